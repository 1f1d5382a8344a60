"""Any value in any field of an answer is read, or is a malformed answer; nothing else is raised."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from golden import Case, groups_of, load, names
from langchain_core.messages import HumanMessage
from pydantic_core import from_json, to_json

from langchain_dbchat.dialects import dialect_named
from langchain_dbchat.dialects.chat_completions.decode import ChatStreamDecoder, decode_answer
from langchain_dbchat.dialects.dialect import ChatRequest, Target
from langchain_dbchat.dialects.shared.answer import translators
from langchain_dbchat.dialects.shared.request.sent import SentTools
from langchain_dbchat.errors import DatabricksError
from langchain_dbchat.models.families import family_of

translators.register()

MISSING = object()
VALUES: list[Any] = [MISSING, None, -1, 3.5, True, "", "x", [], {}, [1], {"a": 1}, 10**30, [{"type": {}}]]
CASES = [
    name
    for name in names()
    if name.startswith(("agents/", "messages/", "responses/")) and load(name).response is not None
]
Place = tuple[Any, ...]


def places(value: Any, above: Place = ()) -> Iterator[Place]:
    """Every place within a JSON value, itself included."""
    yield above
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in inner:
        yield from places(below, (*above, key))


def changed(value: Any, place: Place, new: Any) -> Any:
    """A copy with another value at one place, or without that place."""
    if not place:
        return None if new is MISSING else new
    copied = copy.deepcopy(value)
    holder = copied
    for key in place[:-1]:
        holder = holder[key]
    if new is MISSING:
        del holder[place[-1]]
    else:
        holder[place[-1]] = new
    return copied


def test_a_field_that_a_content_block_has_itself() -> None:
    """What an item of Responses has beside its text must not be merged with the text."""
    item = {"type": "message", "id": "msg_1", "role": "assistant", "content": [{"type": "output_text", "text": "Hi"}]}
    events: list[dict[str, Any]] = [
        {"type": "response.output_text.delta", "output_index": 0, "delta": "Hi"},
        {"type": "response.output_item.done", "output_index": 0, "item": {**item, "text": ["a"], "index": "x"}},
        {"type": "response.completed", "response": {"output": []}},
    ]
    decoder = load("responses/text").decoder()
    first, *rest = [*decoder.feed([to_json(event) for event in events]), *decoder.close()]
    message = (first + rest).message
    assert message.text == "Hi"
    (block,) = (block for block in message.content if isinstance(block, dict))
    assert (block["server_text"], block["server_index"]) == (["a"], "x")


def test_a_block_without_a_type_is_kept_and_is_not_text() -> None:
    block = {"text": {"a": 1}, "id": "b"}
    case = load("messages/text")
    body = {"type": "message", "role": "assistant", "content": [block], "stop_reason": "end_turn", "usage": {}}
    message = case.dialect.decode(to_json(body), case.target, "r", SentTools()).generations[0].message
    assert message.content == [{"type": "non_standard", "value": block}]
    assert message.text == ""


WORK: list[dict[str, Any]] = [
    {"type": "server_tool_call", "id": "c", "name": "f", "args": {}, "extras": {"block_type": "server_tool_use"}},
    {"type": "server_tool_call", "id": "c", "name": "f", "args": {}, "extras": {"block_type": "web_search_call"}},
    {"type": "server_tool_call", "id": "c", "name": "f", "args": {}, "extras": {"message_id": "m", "agent": "a"}},
    {"type": "server_tool_result", "tool_call_id": "c", "status": "error", "output": "1", "extras": {"name": "f"}},
    {"type": "server_tool_use", "id": "c", "name": "f", "input": {}},
    {"type": "web_search_tool_result", "tool_use_id": "c", "content": [], "is_error": True},
    {"type": "web_search_call", "id": "c", "action": {"sources": []}},
    {"type": "image_generation_call", "id": "c", "result": "AAAA"},
    {"type": "mcp_call", "id": "c", "arguments": "{}"},
    {"type": "tool_call", "id": "c", "name": "f", "args": {}},
    {"type": "tool_call_chunk", "id": "c", "name": "f", "args": "{}", "index": 0},
    {"type": "thinking", "thinking": "hm", "signature": "s"},
    {"type": "reasoning_content", "reasoning_content": {"reasoningText": {"text": "hm", "signature": "s"}}},
    {"type": "image", "source_type": "url", "url": "https://x", "mime_type": "image/png"},
    {"type": "image_url", "image_url": {"url": "https://x", "detail": "low"}},
    {"type": "file", "base64": "AAAA", "mime_type": "text/plain", "filename": "f"},
    {"type": "file", "file": {"file_data": "AAAA", "filename": "f"}},
    {"type": "audio", "base64": "AAAA", "mime_type": "audio/wav"},
    {"type": "document", "source": {"type": "text", "data": "a"}, "title": "t", "citations": {}},
    {"type": "search_result", "content": [{"type": "text", "text": "a"}], "title": "t", "source": "s"},
    {"type": "resource", "resource": {"uri": "u", "text": "a", "mimeType": "text/plain"}},
    {"type": "tool_result", "tool_use_id": "c", "content": [{"type": "text", "text": "a"}], "is_error": True},
    {"type": "function_call_output", "call_id": "c", "output": "1"},
    {"type": "agent_message", "text": "a", "id": "m", "name": "n", "role": "assistant", "attachments": {}},
    {"type": "non_standard", "value": {"type": "server_tool_call", "id": "c"}},
]


@pytest.mark.parametrize("output_version", [None, "v1"])
@pytest.mark.parametrize("block", WORK, ids=lambda block: str(block["type"]))
def test_in_a_block_that_has_a_standard_form(block: dict[str, Any], output_version: str | None) -> None:
    """It is read, shown, and goes back on each wire, to the endpoint that it came from."""
    target = Target("my-own", family_of("databricks-claude-sonnet-4-6"))
    for place in places(block):
        for value in [*VALUES, "\u00e9", "[" * 100_000, "9" * 5_000, [[]], {"block_type": [1]}]:
            part = changed(block, place, value)
            choice = {"index": 0, "message": {"content": [part]}, "finish_reason": "stop"}
            body = to_json({"choices": [choice]})
            try:
                whole = decode_answer(body, target, None).generations[0].message
            except DatabricksError:
                continue
            decoder = ChatStreamDecoder(target)
            events = [body.replace(b'"message"', b'"delta"')]
            chunks: list[Any] = [chunk.message for chunk in [*decoder.feed(events), *decoder.close()]]
            for chunk in chunks if output_version else ():
                chunk.content = chunk.content_blocks
                chunk.response_metadata = {**chunk.response_metadata, "output_version": "v1"}
            streamed = chunks[0] + chunks[1:]
            for message in (whole, streamed):
                to_json(message.content_blocks)
                for wire in ("chat", "responses", "messages", "agent"):
                    said = [HumanMessage("a"), message, HumanMessage("b")]
                    to_json(dialect_named(wire).encode(ChatRequest(said, {}, target)).body)


@pytest.mark.parametrize("name", CASES)
def test_in_a_whole_answer(name: str) -> None:
    case = load(name)
    whole = from_json(case.response or b"")
    lists = [key for key, value in whole.items() if isinstance(value, list)]
    for answer in (whole, {**whole, **{key: [] for key in lists}}):
        for place in places(answer):
            for value in VALUES:
                with suppress(DatabricksError):
                    case.dialect.decode(to_json(changed(answer, place, value)), case.target, "r", SentTools())


@pytest.mark.parametrize("name", CASES)
def test_in_an_event(name: str) -> None:
    case = load(name)
    groups = groups_of(case, [case.stream or b""])
    events = [from_json(event) for group in groups for event in group if event.startswith(b"{")]
    seen: set[Any] = set()
    for number, event in enumerate(events):
        for place in places(event):
            kind = (event.get("type"), *(key for key in place if isinstance(key, str)))
            if kind not in seen:
                seen.add(kind)
                for value in VALUES:
                    read(case, [*events[:number], changed(event, place, value), *events[number + 1 :]])
    assert len(seen) > 5


def read(case: Case, events: list[Any]) -> None:
    decoder = case.decoder()
    try:
        chunks = [*decoder.feed([to_json(event) for event in events]), *decoder.close()]
    except DatabricksError:
        decoder.partial()
        return
    total = chunks[0] if len(chunks) == 1 else chunks[0] + chunks[1:]
    total.message.content_blocks  # noqa: B018  # it must not raise
