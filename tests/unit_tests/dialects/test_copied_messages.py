"""A message or a chunk that is a copy is what langchain-core's constructors make, and shares nothing with another."""

from __future__ import annotations

import pickle
import random
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.load import dumps
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.tool import invalid_tool_call, tool_call
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from langchain_dbchat.dialects.shared.answer import copied_messages
from langchain_dbchat.dialects.shared.answer.copied_messages import (
    TAG,
    content_chunk,
    fragment_chunk,
    generation,
    generation_chunk,
    result,
    whole_message,
)

LETTERS = "ab {}[]\"'\\\n\t\u2028é\U0001f600"
DICE = random.Random(7)  # noqa: S311  # reproducible, not secret


USAGE: dict[str, Any] = {
    "input_tokens": 1,
    "output_tokens": 2,
    "total_tokens": 3,
    "input_token_details": {"cache_read": 1},
    "output_token_details": {"reasoning": 1},
}


def _text() -> str:
    return "".join(DICE.choices(LETTERS, k=DICE.randrange(20)))


def _block() -> dict[str, Any]:
    block: dict[str, Any] = {"type": DICE.choice(["text", "reasoning", "image"]), "index": f"lc_{DICE.randrange(9)}"}
    more = {"text": _text(), "summary": [{"type": _text(), "text": _text()}], "extras": {"a": [_text()]}}
    return block | {key: value for key, value in more.items() if DICE.random() < 0.5}


def _content() -> str | list[dict[str, Any]]:
    return _text() if DICE.random() < 0.5 else [_block() for _ in range(DICE.randrange(4))]


def assert_same(ours: Any, theirs: Any) -> None:
    assert type(ours) is type(theirs)
    assert ours.__getstate__() == theirs.__getstate__()
    assert [*vars(ours)] == [*vars(theirs)]
    assert {name: type(value) for name, value in vars(ours).items()} == {
        name: type(value) for name, value in vars(theirs).items()
    }


def test_any_content() -> None:
    for _ in range(2_000):
        content = _content()
        theirs = AIMessageChunk(content=content, response_metadata=TAG)
        ours = content_chunk(content)
        assert_same(ours, theirs)
        assert_same(generation_chunk(ours), ChatGenerationChunk(message=theirs))


def test_any_fragment() -> None:
    for _ in range(2_000):
        name, call_id = DICE.choice([None, _text()]), DICE.choice([None, _text()])
        call = {
            "type": "tool_call_chunk",
            "name": name,
            "args": "x" + _text(),
            "id": call_id,
            "index": DICE.randrange(9),
        }
        content: Any = DICE.choice(["", []])
        theirs = AIMessageChunk(content=content, response_metadata=TAG, tool_call_chunks=[call])
        ours = fragment_chunk(call, content)
        assert_same(ours, theirs)
        assert_same(generation_chunk(ours), ChatGenerationChunk(message=theirs))


def test_any_whole_message() -> None:
    for _ in range(500):
        calls = [tool_call(name=_text(), args={_text(): 1}, id=_text()) for _ in range(DICE.randrange(3))]
        fields: dict[str, Any] = {
            "content": _content(),
            "tool_calls": calls,
            "invalid_tool_calls": [invalid_tool_call(name="f", args=_text(), id=None, error=_text())]
            * DICE.randrange(2),
            "additional_kwargs": {_text(): {"a": 1}},
            "response_metadata": {"model_provider": _text(), "token_usage": {"a": 1}},
            "usage_metadata": DICE.choice([None, USAGE]),
        }
        theirs = AIMessage(**fields)
        ours = whole_message(**fields)
        assert_same(ours, theirs)
        info = DICE.choice([None, {"finish_reason": _text()}])
        assert_same(generation(ours, info), ChatGeneration(message=theirs, generation_info=info))
        assert_same(result([generation(ours, info)], {"a": 1}), _constructed_result(theirs, info))


def _constructed_result(message: AIMessage, info: dict[str, Any] | None) -> ChatResult:
    return ChatResult(generations=[ChatGeneration(message=message, generation_info=info)], llm_output={"a": 1})


@pytest.mark.parametrize("content", ["", "a", [], [{"type": "text", "text": "a"}], [{"type": "reasoning"}]])
def test_what_is_done_with_chunks(content: Any) -> None:
    ours, theirs = content_chunk(content), AIMessageChunk(content=content, response_metadata=TAG)
    pairs: list[tuple[Any, Any]] = [(ours, theirs), (generation_chunk(ours), ChatGenerationChunk(message=theirs))]
    for chunk, other in pairs:
        assert chunk + chunk == other + other
        assert pickle.loads(pickle.dumps(chunk)) == other
        assert chunk.model_copy(deep=True) == other
        assert chunk.model_dump_json() == other.model_dump_json()
        assert dumps(chunk) == dumps(other)
    assert ours.content_blocks == theirs.content_blocks
    for chunk in (ours, theirs):
        chunk.id, chunk.response_metadata = "i", {"a": 1}
    assert_same(ours, theirs)


def _changeable(value: Any) -> Iterator[int]:
    """Yield the identity of each object in a chunk that can be changed."""
    if isinstance(value, (list, set)):
        yield id(value)
    elif isinstance(value, dict):
        yield id(value)
        for each in value.values():
            yield from _changeable(each)


def _parts(chunk: Any) -> list[Any]:
    return [vars(chunk), chunk.__pydantic_fields_set__, chunk.__pydantic_extra__]


@pytest.mark.parametrize("content", ["a", [{"type": "text", "text": "a"}]])
def test_two_chunks_share_nothing_that_can_be_changed(content: Any) -> None:
    call = {"type": "tool_call_chunk", "name": "f", "args": "x", "id": "i", "index": 0}
    made: list[Any] = []
    for _ in range(2):
        made += [content_chunk(content), fragment_chunk(call, ""), generation_chunk(content_chunk(content))]
    given = [*_changeable(content), *_changeable(call)]  # a delta is made for its chunk alone
    seen = [each for chunk in made for part in _parts(chunk) for each in _changeable(part) if each not in given]
    assert len(seen) == len({*seen}) > 30
    assert not {*seen} & {*_changeable(TAG)}
    made[0].additional_kwargs["a"] = made[0].response_metadata["a"] = 1
    made[0].tool_calls.append({})
    made[0].id = "i"
    assert_same(content_chunk(content), AIMessageChunk(content=content, response_metadata=TAG))
    assert TAG == {"model_provider": "databricks"}


def test_other_versions_use_the_constructors(monkeypatch: pytest.MonkeyPatch) -> None:
    assert copied_messages._can_copy
    assert copied_messages._copies_are_equal()
    for kind, change in ((AIMessageChunk, {"name": "other"}), (ChatGenerationChunk, {"generation_info": {"a": 1}})):
        with monkeypatch.context() as patch:
            original = kind.__init__
            patch.setattr(kind, "__init__", lambda self, *a, o=original, c=change, **k: o(self, *a, **{**k, **c}))
            assert not copied_messages._copies_are_equal()
    with monkeypatch.context() as patch:
        patch.delattr(copied_messages._Template, "copy")
        assert not copied_messages._copies_are_equal()
