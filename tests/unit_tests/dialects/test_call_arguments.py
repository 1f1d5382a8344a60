from __future__ import annotations

import json
from typing import Any

import pytest

from langchain_dbchat.dialects.shared.blocks.call_arguments import parse_arguments


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("", {}),
        (" \n", {}),
        ("{}", {}),
        ('{"a": [1, {"b": null}]}', {"a": [1, {"b": None}]}),
        ('{"a": "line\nbreak\t"}', {"a": "line\nbreak\t"}),
        ('{"a": "\\ud83d\\ude00 å"}', {"a": "😀 å"}),
    ],
)
def test_arguments_that_are_an_object(text: str, arguments: dict[str, Any]) -> None:
    assert parse_arguments(text) == (arguments, None)


@pytest.mark.parametrize("text", ["", " \n", "null", " null ", "None", "undefined", "{}", '""', '"null"', '"{}"'])
def test_no_arguments(text: str) -> None:
    assert parse_arguments(text) == ({}, None)


@pytest.mark.parametrize(
    "text",
    [
        json.dumps('{"city": "Oslo"}'),
        json.dumps(json.dumps('{"city": "Oslo"}')),
        json.dumps(json.dumps(json.dumps('{"city": "Oslo"}'))),
        ' "  {\\"city\\": \\"Oslo\\"}\\n" ',
        '```json\n{"city": "Oslo"}\n```',
        '```\n{"city": "Oslo"}```\n',
        json.dumps('```json\n{"city": "Oslo"}\n```'),
    ],
)
def test_what_stands_for_one_object_is_that_object(text: str) -> None:
    assert parse_arguments(text) == ({"city": "Oslo"}, None)


def test_text_within_an_object_stays_text() -> None:
    assert parse_arguments('{"body": "{\\"a\\": 1}", "none": "null"}') == ({"body": '{"a": 1}', "none": "null"}, None)


def _encoded(times: int) -> str:
    text = "{}"
    for _ in range(times):
        text = json.dumps(text)
    return text


@pytest.mark.parametrize(
    "text",
    [
        '{"a": "hel', "{", "}", "[1]", "[]", "3", "true", '"a"', '"Oslo"', "{a: 1}", "{'a': 1}", "{} {}", "nul",
        '{"a": 1}</tool_call>', '{"a": 1}{"b": 2}', '"{\\"a\\": "', '"[1]"',
        '```json\n{"a": 1}', _encoded(5), "[" * 100_000,
    ],
)  # fmt: skip
def test_arguments_that_are_none(text: str) -> None:
    arguments, error = parse_arguments(text)
    assert arguments == {}
    assert error
