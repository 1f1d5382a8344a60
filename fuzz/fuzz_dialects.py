"""Fuzz target: answers of each wire format, damaged, through the event stream decoder and the dialect, and back again.

Whatever comes, the result is a message or one of our errors; a message that came out can be sent back, survives its
trips, and calls no tool with arguments that are not an object.
"""

from __future__ import annotations

import copy
import pickle
import sys
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from pydantic_core import from_json, to_json
from running import CORPUS, pieces, run, streams

from langchain_dbchat.dialects import dialect_named
from langchain_dbchat.dialects.dialect import ChatRequest, Target
from langchain_dbchat.dialects.shared.answer import translators
from langchain_dbchat.dialects.shared.answer.events import is_last
from langchain_dbchat.dialects.shared.request.sent import SentTools
from langchain_dbchat.errors import DatabricksError
from langchain_dbchat.models.families import FAMILIES
from langchain_dbchat.transport.sse import EventStreamDecoder

if TYPE_CHECKING:
    import random

    from langchain_core.outputs import ChatGenerationChunk

    from langchain_dbchat.dialects.dialect import Dialect
    from langchain_dbchat.models.families import WireName

translators.register()

_FAMILIES = sorted(FAMILIES)
_FOLDERS: dict[WireName, str] = {"chat": "*", "responses": "responses/*", "messages": "messages/*", "agent": "agents/*"}
"""Where the samples of each wire format are, below the corpus."""
WIRES = tuple(_FOLDERS)
_ANSWERS = {
    wire: [from_json(path.read_bytes()) for path in sorted(CORPUS.glob(f"{folder}/response.json"))]
    for wire, folder in _FOLDERS.items()
}
_EVENTS = {
    wire: [
        [from_json(payload) for payload in EventStreamDecoder(is_last=is_last).feed(stream) if not is_last(payload)]
        for stream in streams(folder)
    ]
    for wire, folder in _FOLDERS.items()
}
_ODD: tuple[Any, ...] = (
    None, True, 0, -1, 1.5, 10**400, "", "x", "{}", '{"a":', "null", "[DONE]", [], {}, [None], [[]], [{}], {"": None},
    {"type": None}, {"type": "reasoning"}, {"type": "text", "text": None}, {"type": "reasoning", "summary": None},
    {"type": "reasoning", "summary": [{"type": "summary_text"}]}, {"function": None}, {"function": {"arguments": {}}},
    {"index": "0"}, "\ud800", "\x00", ["a", 1, None], {"error": None}, "ä" * 50,
)  # fmt: skip
_KEYS = (
    "type",
    "text",
    "content",
    "index",
    "id",
    "function",
    "arguments",
    "error",
    "delta",
    "summary",
    "usage",
    "name",
)


def _places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path, *(place for key, value in inner for place in _places(value, (*path, key)))]


def damaged(dice: random.Random, value: Any) -> Any:
    """Change a JSON value in a few places: other values, missing and added keys, doubled elements."""
    root = [copy.deepcopy(value)]
    for _ in range(dice.choice((0, 1, 1, 2, 4))):
        place = dice.choice(_places(root))
        if not place:
            continue
        *path, last = place
        node: Any = root
        for key in path:
            node = node[key]
        what = dice.random()
        if what < 0.5 or node is root:
            node[last] = copy.deepcopy(dice.choice(_ODD))
        elif what < 0.7:
            del node[last]
        elif isinstance(node, list):
            node.insert(dice.randint(0, len(node)), copy.deepcopy(dice.choice((node[last], *_ODD))))
        else:
            node[dice.choice(_KEYS)] = copy.deepcopy(dice.choice(_ODD))
    return root[0]


def _written(value: Any) -> bytes:
    try:
        return to_json(value)
    except ValueError:  # a lone surrogate is no JSON, but a server may send it escaped
        import json  # noqa: PLC0415  # only for this

        return json.dumps(value).encode()


def _sent(dice: random.Random) -> SentTools:
    return SentTools(bound=frozenset(dice.choice(((), ("get_weather",), ("get_weather", "f")))))


def _streamed(dice: random.Random, dialect: Dialect, target: Target) -> AIMessage:
    """Read a damaged stream as the channel and the chat model do."""
    events = [damaged(dice, event) if dice.random() < 0.3 else event for event in dice.choice(_EVENTS[dialect.name])]
    for _ in range(dice.choice((0, 0, 1, 3))):
        place = dice.randint(0, len(events))
        events = dice.choice((events[:place] + events[place + 1 :], events[: place + 1] + events[place:], events[::-1]))
    body = b"".join(b"data: " + _written(event) + b"\n\n" for event in events) + dice.choice((b"data: [DONE]\n\n", b""))
    if dice.random() < 0.2:
        body = body[: dice.randint(0, len(body))]
    raw = EventStreamDecoder(is_last=dialect.is_last(target))
    reader = dialect.decoder(target, "req", coalesce=dice.random() < 0.5, usage=True, sent=_sent(dice), mask=None)
    chunks: list[ChatGenerationChunk] = []
    try:
        for piece in pieces(dice, body):
            chunks.extend(reader.feed(raw.feed(piece)))
        chunks.extend(reader.feed(raw.close()))
        chunks.extend(reader.close())
    except DatabricksError as error:
        reader.keep_partial(error)
        raise
    whole = chunks[0].message
    for chunk in chunks[1:]:
        whole = whole + chunk.message
    if not isinstance(whole, AIMessageChunk):
        raise TypeError(type(whole))
    marked = [chunk for chunk in chunks if getattr(chunk.message, "usage_metadata", None)]
    if len(marked) > 1:
        raise AssertionError("usage came more than once")
    return whole


def _check(message: AIMessage, dialect: Dialect, target: Target) -> None:
    """Ask of a message what holds for every one."""
    for call in message.tool_calls:
        args: object = call["args"]
        if not isinstance(args, dict) or not call["id"]:
            raise AssertionError(f"a tool call that cannot be executed: {call!r}")
    text, shown = str(message.text), to_json(message.content_blocks, fallback=repr)
    if not shown or text != "".join(block["text"] for block in message.content_blocks if block["type"] == "text"):
        raise AssertionError("the text and the blocks differ")
    before = copy.deepcopy(message)
    if pickle.loads(pickle.dumps(message)) != message:  # noqa: S301  # our own pickle
        raise AssertionError("a pickle changes the message")
    _written(dialect.encode(ChatRequest([HumanMessage("a"), message, HumanMessage("b")], {}, target)).body)
    if message != before:
        raise AssertionError("encoding changed the message")


def reading(dice: random.Random) -> None:
    """Read one damaged answer, streamed or whole, and send it back, also over another wire format."""
    dialect, other = (dialect_named(dice.choice(WIRES)) for _ in range(2))
    families = [Target("m", FAMILIES[dice.choice(_FAMILIES)]) for _ in range(2)]
    try:
        if dice.random() < 0.6:
            message = _streamed(dice, dialect, families[0])
        else:
            body = _written(damaged(dice, dice.choice(_ANSWERS[dialect.name])))
            said = dialect.decode(body, families[0], None, _sent(dice)).generations[0].message
            if not isinstance(said, AIMessage):
                raise TypeError(type(said))
            message = said
        _check(message, dice.choice((dialect, other)), dice.choice(families))
    except DatabricksError as error:
        pickle.loads(pickle.dumps(error))  # noqa: S301  # our own pickle
        if error.partial is not None:
            _ = error.partial.content_blocks


if __name__ == "__main__":
    sys.exit(run(reading))
