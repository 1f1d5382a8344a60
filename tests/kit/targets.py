"""Models to encode for and to decode from."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from pydantic_core import to_json

from kit.encoding import encode_messages
from langchain_dbchat.dialects.chat_completions.decode import ChatStreamDecoder
from langchain_dbchat.dialects.dialect import Target
from langchain_dbchat.errors import DatabricksError
from langchain_dbchat.models.families import FAMILIES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_dbchat.dialects.dialect import StreamDecoder


def target(family: str = "generic", model: str = "my-endpoint") -> Target:
    """An endpoint of that family."""
    return Target(model, FAMILIES[family])


def encode(*messages: BaseMessage, family: str = "generic", model: str = "my-endpoint") -> list[dict[str, Any]]:
    """The messages as the wire has them."""
    return encode_messages(messages, target(family, model))


def event(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
    """One event of a stream."""
    return to_json({"id": "a1", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more})


def chunks_of(*events: bytes, family: str = "generic", coalesce: bool = False) -> list[AIMessageChunk]:
    """The chunks that a stream of those events makes."""
    decoder = ChatStreamDecoder(target(family), coalesce=coalesce)
    messages = [chunk.message for chunk in [*decoder.feed(events), *decoder.close()]]
    assert all(isinstance(message, AIMessageChunk) for message in messages)
    return [message for message in messages if isinstance(message, AIMessageChunk)]


@contextmanager
def keeping_partial(decoder: StreamDecoder) -> Iterator[None]:
    """Give each error the partial message of a decoder, as the channel does."""
    try:
        yield
    except DatabricksError as error:
        decoder.keep_partial(error)
        raise


def summed(*events: bytes, family: str = "generic", coalesce: bool = False) -> AIMessage:
    """The message that a stream of those events makes, added up one by one as a user does."""
    chunks = chunks_of(*events, family=family, coalesce=coalesce)
    total = chunks[0]
    for chunk in chunks[1:]:
        total = total + chunk
    return total


def call_delta(arguments: str, name: str | None = None, *, index: int | None = 0, call_id: str | None = None) -> Any:
    """A delta with one fragment of a tool call."""
    fragment: dict[str, Any] = {"function": {"arguments": arguments}}
    if name is not None:
        fragment["function"]["name"] = name
    if index is not None:
        fragment["index"] = index
    if call_id is not None:
        fragment["id"] = call_id
    return {"tool_calls": [fragment]}
