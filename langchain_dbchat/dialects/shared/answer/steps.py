"""The steps of an agent that ran on the server: the tools that it called, their results, and what it said before.

All wires on which agents answer (ChatAgent's, and Responses for a ResponsesAgent) write steps in this one form.

Rule 1. A step is a content block, in the order in which it happened. A call is LangChain's ``server_tool_call``, a
    result its ``server_tool_result`` (docs.langchain.com/oss/python/langchain/messages#standard-content-blocks), and a
    message that was not the last one an ``agent_message`` with its ``text``, which `AIMessage.text` does not contain.
Rule 2. A call is never among ``tool_calls`` if the answer has its result, because the caller would execute it again.
Rule 3. A call without a result at the end of the answer is the caller's to execute, so it is among ``tool_calls`` too.
    Its block was streamed before that was known, so it stays in ``content``; the standard ``content_blocks`` have
    the call once, as a ``tool_call``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from langchain_dbchat.dialects.shared.answer.beside import Other
from langchain_dbchat.dialects.shared.answer.fields import says_something
from langchain_dbchat.dialects.shared.answer.parts import ToolCallPart
from langchain_dbchat.dialects.shared.blocks.block_fields import flattened, remaining, unwrapped
from langchain_dbchat.dialects.shared.blocks.call_arguments import parse_arguments
from langchain_dbchat.dialects.shared.blocks.content_blocks import TextBlock, ToolResultBlock, ToolUseBlock
from langchain_dbchat.dialects.shared.blocks.json_text import write_json
from langchain_dbchat.dialects.shared.blocks.storable import (
    LARGE_INTEGERS,
    extras_of_server,
    storable,
    with_large_integers,
)

__all__ = ["AGENT_MESSAGE", "AgentSteps", "read_step", "without_handed_over"]

AGENT_MESSAGE = "agent_message"
"""The type of the block of what an agent said before its last answer."""

_CALL = "server_tool_call"
_RESULT = "server_tool_result"


class AgentSteps:
    """The steps of one answer, while they arrive."""

    __slots__ = ("_known", "_unanswered")

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, str], int] = {}  # id, name and arguments of each call, and its place
        self._unanswered: dict[str, list[ToolCallPart]] = {}  # by their ids, of which two calls may have one

    def call(self, call_id: str, name: str, arguments: str, extras: Mapping[str, Any] | None = None) -> Other | None:
        """Add a tool call of the agent.

        Args:
            call_id: The id that its result names.
            name: The name of the tool.
            arguments: The arguments as JSON text.
            extras: What else the server sent with the call.

        Returns:
            The block of the call as a part of the answer; None if the answer has this call already.
        """
        key = (call_id, name, arguments)
        if key in self._known:
            return None
        self._known[key] = len(self._known)
        more = _kept(extras)
        call = ToolCallPart(None, call_id, name, arguments, dict(more) or None)
        self._unanswered.setdefault(call_id, []).append(call)
        args, fault = parse_arguments(arguments)
        integers: dict[str, None] = {}
        args = storable(args, integers)
        if integers:
            more[LARGE_INTEGERS] = list(integers)
        block: dict[str, Any] = {
            "type": _CALL,
            "id": call_id,
            "name": name,
            "args": args if fault is None else {"invalid_arguments": arguments},
        }
        return Other({**block, "extras": more} if more else block)

    def result(
        self, call_id: str, output: Any, *, failed: bool = False, extras: Mapping[str, Any] | None = None
    ) -> Other:
        """Add the result of a tool call.

        Args:
            call_id: The id of the call.
            output: What the tool returned, as the server sent it.
            failed: Whether the tool failed.
            extras: What else the server sent with the result, such as the name of the tool.

        Returns:
            The block of the result as a part of the answer.
        """
        self._unanswered.pop(call_id, None)
        block: dict[str, Any] = {
            "type": _RESULT,
            "tool_call_id": call_id,
            "status": "error" if failed else "success",
            "output": storable(output),
        }
        more = _kept(extras)
        return Other({**block, "extras": more} if more else block)

    def message(self, text: str, extras: Mapping[str, Any] | None = None) -> Other:
        """Add what the agent said before its last answer.

        Args:
            text: The text.
            extras: What else the server sent with the message, such as its id and the name of the agent.

        Returns:
            The block of the message as a part of the answer.
        """
        return Other({"type": AGENT_MESSAGE, "text": text, **_kept(extras)})

    def unanswered(self) -> list[ToolCallPart]:
        """Return the calls without a result, which are the caller's to execute; to be read at the end of the answer."""
        calls = [call for calls in self._unanswered.values() for call in calls]
        return sorted(calls, key=lambda call: self._known[call.id or "", call.name or "", call.arguments])


def read_step(block: Mapping[str, Any]) -> ToolUseBlock | ToolResultBlock | TextBlock | None:
    """Read a step of an earlier answer, to send it back to an agent.

    Args:
        block: A block of an answer's content, which LangChain may have wrapped. It is not changed.

    Returns:
        The call, the result with its output as the only text, or the text of a message; None for any other block.
    """
    block = unwrapped(block)
    kind, fields = block.get("type"), flattened(block)
    if kind == _CALL:
        extras = remaining(fields, frozenset({"id", "name", "args"}))
        arguments = with_large_integers(fields.get("args"), extras)
        extras = remaining(extras, frozenset({LARGE_INTEGERS}))
        return ToolUseBlock(str(fields.get("id") or ""), str(fields.get("name") or ""), arguments, extras=extras)
    if kind == _RESULT:
        output = fields.get("output")
        text = output if isinstance(output, str) else write_json(output, "the output of a tool")
        extras = remaining(fields, frozenset({"tool_call_id", "status", "output"}))
        failed = fields.get("status") == "error"
        return ToolResultBlock(
            str(fields.get("tool_call_id") or ""), (TextBlock(text),), failed, extras=extras, written=block
        )
    if kind == AGENT_MESSAGE:
        return TextBlock(str(fields.get("text") or ""), extras=remaining(block, frozenset({"text"})))
    return None


def without_handed_over(content: Sequence[Any], handed_over: AbstractSet[Any]) -> Sequence[Any]:
    """Leave out the blocks of calls that are among the message's ``tool_calls`` (rule 3).

    Args:
        content: The blocks of a message.
        handed_over: The ids of the message's tool calls.

    Returns:
        The same list if there are none, or a new one, also without what was said together with such a call, which the
        answer repeats as its text.
    """
    left_out = {place for place, block in enumerate(content) if _is_handed_over(block, handed_over)}
    if not left_out:
        return content
    left_out |= {place - 1 for place in left_out if place and _kind(content[place - 1]) == AGENT_MESSAGE}
    return [block for place, block in enumerate(content) if place not in left_out]


def _is_handed_over(block: Any, ids: AbstractSet[Any]) -> bool:
    call_id = unwrapped(block).get("id") if _kind(block) == _CALL else None
    return isinstance(call_id, str) and call_id in ids


def _kind(block: Any) -> Any:
    return unwrapped(block).get("type") if isinstance(block, Mapping) else None


def _kept(extras: Mapping[str, Any] | None) -> dict[str, Any]:
    return {key: storable(value) for key, value in extras_of_server(extras).items() if says_something(value)}
