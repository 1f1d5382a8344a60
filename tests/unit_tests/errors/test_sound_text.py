"""Escapes of half a surrogate pair in JSON text become that of U+FFFD, and nothing else changes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.operations import operations
from langchain_dbchat.errors.sound_text import clean_text, read_json, sound_escapes

ESCAPES = [r"\ud83d", r"\uDE00", r"\uD800", r"\udc00", r"\\", r"\n", r"\"", r"\u00e9", "u", "d800", "é", "a"]


@given(st.lists(st.sampled_from(ESCAPES), max_size=12).map("".join))
def test_any_escapes(inner: str) -> None:
    text = f'"{inner}"'
    value = clean_text(json.loads(text))
    assert json.loads(sound_escapes(text)) == value
    assert read_json(text) == read_json(text.encode()) == value


def test_what_is_not_utf_8_is_no_json() -> None:
    with pytest.raises(ValueError, match="line 1 column"):
        read_json(b'"\\ud800\xff"')


@pytest.mark.parametrize("text", [r"\ud800", r"\\", r"\ud83d\uDE00"])
def test_no_code_of_ours_runs_for_each_escape(text: str) -> None:
    assert operations(lambda: sound_escapes(text * 10_000 + r"\ud800")) <= 200
