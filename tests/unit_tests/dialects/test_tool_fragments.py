"""A fragment of a tool call becomes the chunk that langchain-core's constructor makes, on the short way, too."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessageChunk

from langchain_dbchat.dialects.shared.answer.chunks import call_chunk

FIELDS = {"content": "", "response_metadata": {"model_provider": "databricks"}}
LETTERS = ' \t\n\r{}[]":,\\ab0-1.eEtrufalsn\u2028é'


def assert_same(args: str, name: str | None = None, call_id: str | None = None, index: int = 0) -> None:
    call = {"type": "tool_call_chunk", "name": name, "args": args, "id": call_id, "index": index}
    ours = call_chunk(call)
    theirs = AIMessageChunk(tool_call_chunks=[call], **FIELDS)
    assert ours == theirs
    assert ours.model_dump() == theirs.model_dump()
    assert ours.model_fields_set == theirs.model_fields_set
    assert list(ours.__dict__) == list(theirs.__dict__)
    assert (ours + ours) == (theirs + theirs)


@settings(max_examples=1000, deadline=None)
@given(
    st.text(LETTERS, max_size=12),
    st.sampled_from([None, "note"]),
    st.sampled_from([None, "call_1"]),
    st.integers(0, 2),
)
def test_any_fragment(args: str, name: str | None, call_id: str | None, index: int) -> None:
    assert_same(args, name, call_id, index)


def test_fragments_of_real_arguments() -> None:
    whole = '{"text": "a \\"quoted\\" {word}\\n", "deep": {"list": [1, 2.5, {"x": null}], "ok": true}}  '
    dice = random.Random(7)  # noqa: S311  # reproducible, not secret
    for _ in range(1000):
        start = dice.randrange(len(whole))
        assert_same(whole[start : start + dice.randrange(20)])


@pytest.mark.parametrize("args", ["", " ", "{", " {}", '{"a": 1}', "}", "[{", "null", "\ufeff{}", '"{', "\u00a0{}"])
def test_corner_cases(args: str) -> None:
    assert_same(args)


def test_a_long_object_that_is_whole() -> None:
    assert_same(json.dumps({"list": list(range(1_000))}) + " ", "note", "call_1")


def test_the_long_beginning_of_an_object_is_not_completed() -> None:
    text = json.dumps({"list": list(range(1_000))})
    call = {"type": "tool_call_chunk", "name": "note", "args": text[:-2], "id": "call_1", "index": 0}
    chunk = call_chunk(call)
    assert chunk.tool_call_chunks == [call]
    assert not chunk.tool_calls
    assert [invalid["args"] for invalid in chunk.invalid_tool_calls] == [text[:-2]]
    rest = call_chunk({**call, "name": None, "id": None, "args": text[-2:]})
    assert [call["args"] for call in (chunk + rest).tool_calls] == [json.loads(text)]
