"""Make messages, chunks and results as copies of those that langchain-core's constructors have made.

The constructors validate each value, although all values have the right type: two thirds of the time of a chunk.

Rule 1. A copy has the state that the constructor would give it, and shares nothing that can be changed with another.
Rule 2. The state is read and set as pickle does it. At import, one copy of each kind is compared with what the
constructor makes; if they differ, because other versions are installed, the constructors make all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.tool import invalid_tool_call, tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from langchain_dbchat.dialects.shared.blocks.message_keys import PROVIDER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel

__all__ = ["TAG", "content_chunk", "fragment_chunk", "generation", "generation_chunk", "result", "whole_message"]

TAG = {"model_provider": PROVIDER}
"""The ``response_metadata`` of each chunk but the last."""

_ModelT = TypeVar("_ModelT", bound="BaseModel")


class _Template(Generic[_ModelT]):
    """What is copied.

    Args:
        made: What the constructor made.
    """

    __slots__ = ("_assigned", "_changeable", "_extra", "_fields", "_kind")

    def __init__(self, made: _ModelT) -> None:
        state = made.__getstate__()
        self._kind = type(made)
        self._fields: dict[str, Any] = state["__dict__"]
        self._changeable = [(name, value) for name, value in self._fields.items() if type(value) in {dict, list}]
        self._assigned: set[str] = state["__pydantic_fields_set__"]
        self._extra: dict[str, Any] | None = state["__pydantic_extra__"]

    def copy(self, changes: dict[str, Any]) -> _ModelT:
        """Return a copy in which some fields have other values, which are not copied."""
        fields = self._fields.copy()
        for name, value in self._changeable:
            fields[name] = value.copy()
        fields.update(changes)
        copied = self._kind.__new__(self._kind)
        copied.__setstate__(
            {
                "__dict__": fields,
                "__pydantic_fields_set__": self._assigned.copy(),
                "__pydantic_extra__": None if self._extra is None else {},
                "__pydantic_private__": None,
            }
        )
        return copied


def _constructed(content: Any, **fields: Any) -> AIMessageChunk:
    return AIMessageChunk(content=content, response_metadata=TAG, **fields)


_FRAGMENT = tool_call_chunk(name="a", args="1", id="b", index=0)
_content: _Template[AIMessageChunk] = _Template(_constructed(""))
_fragment: _Template[AIMessageChunk] = _Template(_constructed("", tool_call_chunks=[_FRAGMENT]))
_generation_chunk: _Template[ChatGenerationChunk] = _Template(ChatGenerationChunk(message=_constructed("")))
_WHOLE: dict[str, Any] = {
    "content": "",
    "tool_calls": [],
    "invalid_tool_calls": [],
    "additional_kwargs": {},
    "response_metadata": {},
    "usage_metadata": None,
}
_whole: _Template[AIMessage] = _Template(AIMessage(**_WHOLE))
_generation: _Template[ChatGeneration] = _Template(ChatGeneration(message=AIMessage(**_WHOLE), generation_info=None))
_result: _Template[ChatResult] = _Template(ChatResult(generations=[], llm_output={}))


def content_chunk(content: str | list[dict[str, Any]]) -> AIMessageChunk:
    """Return a chunk with content alone.

    Args:
        content: Text or blocks; they are not copied.

    Returns:
        The chunk.
    """
    return _content.copy({"content": content}) if _can_copy else _constructed(content)


def fragment_chunk(call: Mapping[str, Any], content: str | list[dict[str, Any]]) -> AIMessageChunk:
    """Return a chunk with a fragment of a tool call; alone it is not a JSON object, so the chunk's call is invalid.

    Args:
        call: The fragment.
        content: Empty text or no blocks.

    Returns:
        The chunk.
    """
    name, arguments, call_id = call["name"], call["args"], call["id"]
    fields = {
        "tool_calls": [],
        "tool_call_chunks": [tool_call_chunk(name=name, args=arguments, id=call_id, index=call["index"])],
        "invalid_tool_calls": [invalid_tool_call(name=name, args=arguments, id=call_id, error=None)],
    }
    if _can_copy:
        return _fragment.copy({"content": content, **fields})
    chunk = _constructed(content)
    for field, value in fields.items():
        setattr(chunk, field, value)
    return chunk


def generation_chunk(message: AIMessageChunk) -> ChatGenerationChunk:
    """Return the generation that contains a chunk.

    Args:
        message: The chunk.

    Returns:
        The generation, without further information.
    """
    if _can_copy:
        return _generation_chunk.copy({"text": message.text, "message": message})
    return ChatGenerationChunk(message=message)


def whole_message(**fields: Any) -> AIMessage:
    """Return a whole message.

    Args:
        **fields: Its content, tool calls, invalid tool calls, additional fields, metadata and usage, which are not
            copied.

    Returns:
        The message.
    """
    return _whole.copy(fields) if _can_copy else AIMessage(**fields)


def generation(message: AIMessage, info: dict[str, Any] | None) -> ChatGeneration:
    """Return the generation that contains a message.

    Args:
        message: The message.
        info: The ``generation_info``, which is not copied.

    Returns:
        The generation.
    """
    if _can_copy:
        return _generation.copy({"text": message.text, "message": message, "generation_info": info})
    return ChatGeneration(message=message, generation_info=info)


def result(generations: list[ChatGeneration], llm_output: dict[str, Any]) -> ChatResult:
    """Return the result of a call.

    Args:
        generations: The generations; the list is not copied.
        llm_output: Facts about the call, which are not copied.

    Returns:
        The result.
    """
    if _can_copy:
        return _result.copy({"generations": generations, "llm_output": llm_output})
    return ChatResult(generations=generations, llm_output=llm_output)


def _copies_are_equal() -> bool:
    try:
        pairs: list[tuple[Any, Any]] = [
            (_content.copy({"content": "a"}), _constructed("a")),
            (fragment_chunk(_FRAGMENT, ""), _constructed("", tool_call_chunks=[_FRAGMENT])),
            (generation_chunk(_constructed("a")), ChatGenerationChunk(message=_constructed("a"))),
            (whole_message(**_WHOLE), AIMessage(**_WHOLE)),
            (generation(AIMessage("a"), {"b": 1}), ChatGeneration(message=AIMessage("a"), generation_info={"b": 1})),
            (result([], {"a": 1}), ChatResult(generations=[], llm_output={"a": 1})),
        ]
        return all(ours.__getstate__() == theirs.__getstate__() for ours, theirs in pairs)
    except Exception:  # noqa: BLE001  # whatever another version of pydantic does
        return False


_can_copy = True  # while copies are compared
_can_copy = _copies_are_equal()
