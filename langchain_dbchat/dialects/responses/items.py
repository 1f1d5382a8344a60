"""Write a conversation as the ``input`` of a Responses request.

Rule 1. Databricks bounds ids to 64 characters, wants those of messages to begin with ``msg_`` and those of calls with
``fc_``, and refuses ``status`` and null (databricks-ai-bridge, ``chat_models.py``: "FMAPI enforces max 64-char IDs and
requires msg_ prefix on message ids"). An id of another form is left out, because ids are optional here.
Rule 2. Reasoning goes back byte for byte, to who can read it: OpenAI's encrypted content, and the text of Open
Responses ("If it's dropped or modified, the model can't reason over its earlier thinking"). A call is right behind
the reasoning that it followed.
Rule 3. An item of a provider's own tools, and a step of an agent, goes back to the endpoint that it came from.
Rule 4. An approval is not sent if the conversation has the result of the approved call ("each tool_use must have a
single result", databricks-ai-bridge).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from langchain_dbchat.dialects.responses.parts import write_part
from langchain_dbchat.dialects.shared.answer.steps import AGENT_MESSAGE, read_step, without_handed_over
from langchain_dbchat.dialects.shared.blocks.content_blocks import (
    MediaBlock,
    NeutralBlock,
    ProviderBlock,
    ReasoningBlock,
    TextBlock,
    ToolResultBlock,
    ToolUseBlock,
)
from langchain_dbchat.dialects.shared.blocks.json_text import write_json
from langchain_dbchat.dialects.shared.blocks.openai_tools import native_item, results_by_call
from langchain_dbchat.dialects.shared.blocks.stand_ins import see_next, write_or_name
from langchain_dbchat.dialects.shared.conversation.conversation import write_conversation
from langchain_dbchat.dialects.shared.conversation.turns import NO_OUTPUT, is_taken
from langchain_dbchat.dialects.shared.request.names import fit_past_names
from langchain_dbchat.errors.sound_text import clean_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from langchain_core.messages import BaseMessage

    from langchain_dbchat.dialects.dialect import Target
    from langchain_dbchat.dialects.shared.conversation.turns import ConversationTurn

__all__ = ["CUSTOM_INPUT", "FOLLOWS", "ITEM_ID", "ITEM_TYPE", "encode_items"]

InputItem = dict[str, Any]

ITEM_ID = "item_id"
ITEM_TYPE = "item_type"
FOLLOWS = "follows"
"""What is kept of a call besides its function: the id and the type of its item, and the reasoning before it."""

CUSTOM_INPUT = "__arg1"
"""The argument that contains the plain text of a call of a custom tool, as ChatOpenAI names it."""

_LONGEST_ID = 64
_APPROVAL = "mcp_approval_response"
_STEPS = frozenset({"server_tool_call", "server_tool_result", AGENT_MESSAGE})


def encode_items(
    messages: Sequence[BaseMessage], target: Target, bound: Mapping[str, str]
) -> tuple[list[InputItem], list[str]]:
    """Write a conversation.

    Args:
        messages: The conversation, in LangChain's types. They are not changed.
        target: The called model or agent.
        bound: The sent name of each bound tool.

    Returns:
        The items, and warnings for the user.

    Raises:
        UnsupportedContentError: If a message cannot be represented, or if nothing is left to answer.
    """

    def write(turns: list[ConversationTurn], replaced: set[str]) -> list[InputItem]:
        names = fit_past_names((call.name for turn in turns for call in turn.calls), bound, target.family)
        return _InputItems(target, replaced, names).write(turns)

    return write_conversation(messages, target, write, lambda block: bool(block.kind))


class _InputItems:
    """The items of one request, while they are written.

    Args:
        target: The called model or agent.
        replaced: The kinds of content that text stands for; kinds are added to it.
        names: The sent names of past calls that differ from the caller's.
    """

    def __init__(self, target: Target, replaced: set[str], names: Mapping[str, str]) -> None:
        self._family = target.family
        self._replaced = replaced
        self._names = names
        self._items: list[InputItem] = []
        self._custom: set[str] = set()  # the ids of calls of custom tools
        self._media: list[InputItem] = []  # of an answer, which follow in a user message

    def write(self, turns: Iterable[ConversationTurn]) -> list[InputItem]:
        """Write the turns of a conversation."""
        for turn in turns:
            if turn.role != "tool":
                self._end_media()
            if turn.role == "tool":
                self._add_result(turn)
            elif turn.role == "assistant":
                self._add_answer(turn)
            else:
                self._add_said(turn)
        self._end_media()
        done = {item.get("call_id") for item in self._items if item["type"] == "function_call_output"}
        return [
            item for item in self._items if item["type"] != _APPROVAL or item.get("approval_request_id") not in done
        ]

    def _end_media(self) -> None:
        if self._media:
            self._items.append({"type": "message", "role": "user", "content": self._media})
            self._media = []

    def _add_said(self, turn: ConversationTurn) -> None:
        if isinstance(turn.content, str):
            self._items.append({"type": "message", "role": turn.role, "content": turn.content})
            return
        parts: list[InputItem] = []
        for number, block in turn.content:
            if isinstance(block, ProviderBlock) and block.kind == _APPROVAL:
                self._items.append(_item(block.value))
            else:
                parts.append(write_part(block, self._family, f"{turn.where}, block {number}"))
        if parts:
            self._items.append({"type": "message", "role": turn.role, "content": _collapsed(parts)})

    def _add_result(self, turn: ConversationTurn) -> None:
        parts = [self._named(block, turn.where) for _, block in turn.blocks()]
        parts = [part for part in parts if part["type"] != "input_text" or part["text"]]
        if turn.failed and not turn.is_made_up and not _begins_with_error(parts):
            parts.insert(0, {"type": "input_text", "text": "Error:"})
        output = _collapsed(parts) if parts else NO_OUTPUT
        kind = "custom_tool_call_output" if turn.call_id in self._custom else "function_call_output"
        self._items.append({"type": kind, "call_id": turn.call_id, "output": output})

    def _named(self, block: NeutralBlock, where: str, edge: str = "") -> InputItem:
        return write_or_name(block, lambda one: write_part(one, self._family, where), self._replaced, edge=edge)

    def _add_answer(self, turn: ConversationTurn) -> None:
        calls: dict[str, list[ToolUseBlock]] = {}
        for call in turn.calls:
            calls.setdefault(str(call.extras.get(FOLLOWS) or "") if turn.replays else "", []).append(call)
        entries: list[ReasoningBlock] = []
        for block in [*self._with_steps(turn), None]:
            if entries and not (isinstance(block, ReasoningBlock) and block.continues):
                self._items.extend(_reasoning(entries))
                self._add_calls(calls, entries[0].id, turn)
                entries = []
            if isinstance(block, ReasoningBlock):
                entries.append(block)
            elif block is not None:
                self._add_block(block, turn)
                if isinstance(block, TextBlock):
                    self._add_calls(calls, block.extras.get("id"), turn)
        for call in (call for group in calls.values() for call in group):
            self._add_call(call, turn)

    def _add_calls(self, calls: dict[str, list[ToolUseBlock]], item_id: Any, turn: ConversationTurn) -> None:
        """Add the calls that followed an item, directly behind it."""
        for call in calls.pop(str(item_id), ()) if item_id else ():
            self._add_call(call, turn)

    def _add_block(self, block: NeutralBlock, turn: ConversationTurn) -> None:
        if isinstance(block, TextBlock):
            self._add_text(block, turn)
        elif isinstance(block, ProviderBlock) and turn.replays and block.kind and not block.fault:
            self._items.append(_item(block.value))
        elif isinstance(block, (ToolUseBlock, ToolResultBlock)):
            self._add_step(block, turn)
        else:
            self._add_content(block, turn)

    def _with_steps(self, turn: ConversationTurn) -> list[NeutralBlock]:
        """Return the blocks of an answer, with an agent's steps read and the items of OpenAI's own tools restored."""
        content: Any = turn.message.content
        if isinstance(content, str) or not turn.replays:
            return [block for _, block in turn.blocks()]
        kept = {id(block) for block in without_handed_over(content, {call.id for call in turn.calls})}
        results = results_by_call(content)
        found: list[NeutralBlock] = []
        for number, block in turn.blocks():
            written = block.written if isinstance(block, MediaBlock) else getattr(block, "value", {})
            native = native_item(written, results)
            if native is not None:
                found.extend([ProviderBlock(native["type"], native)] if native else [])
                continue
            if not isinstance(block, ProviderBlock) or block.kind not in _STEPS:
                found.append(block)
                continue
            step = read_step(block.value) if id(content[number]) in kept else None
            if step is not None:
                found.append(step)
        return found

    def _add_text(self, block: TextBlock, turn: ConversationTurn) -> None:
        text = clean_text(block.text)
        if not is_taken(text, self._family) or not text:
            return
        extras = block.extras if turn.replays else {}
        item: InputItem = {"type": "message", "role": "assistant", "content": text}
        item_id = _bounded(extras.get("id"), "msg_")
        if item_id is not None:
            said: InputItem = {"type": "output_text", "text": text, "annotations": []}
            item.update(id=item_id, content=[{"type": "refusal", "refusal": text} if block.refusal else said])
        if isinstance(extras.get("phase"), str):
            item["phase"] = extras["phase"]
        last = self._items[-1] if self._items else {}
        if item.keys() == last.keys() == {"type", "role", "content"} and last["role"] == "assistant":
            last["content"] += text  # an answer's text is one text
        else:
            self._items.append(item)

    def _add_content(self, block: NeutralBlock, turn: ConversationTurn) -> None:
        part = self._named(block, turn.where, "\n")
        if part["type"] == "input_text":
            self._add_text(TextBlock(part["text"]), turn)
        else:
            self._media.append(part)
            self._add_text(TextBlock(see_next(1)), turn)

    def _add_call(self, call: ToolUseBlock, turn: ConversationTurn) -> None:
        extras = call.extras if turn.replays else {}
        name = self._names.get(call.name, call.name)
        item: InputItem = {"type": "function_call", "call_id": call.id or "", "name": name}
        if call.extras.get(ITEM_TYPE) == "custom_tool_call" and isinstance(call.arguments, Mapping):
            self._custom.add(call.id or "")
            item.update(type="custom_tool_call", input=str(call.arguments.get(CUSTOM_INPUT, "")))
        else:
            item["arguments"] = _arguments(call, turn.where)
            item_id = _bounded(extras.get(ITEM_ID), "fc_")
            if item_id is not None:
                item["id"] = item_id
        self._items.append(item)

    def _add_step(self, step: ToolUseBlock | ToolResultBlock, turn: ConversationTurn) -> None:
        if isinstance(step, ToolUseBlock):
            self._items.append(
                {"type": "function_call", "call_id": step.id or "", "name": step.name,
                 "arguments": _arguments(step, turn.where)}
            )  # fmt: skip
            return
        text = "".join(block.text for block in step.content if isinstance(block, TextBlock))
        self._items.append({"type": "function_call_output", "call_id": step.call_id, "output": clean_text(text)})


def _arguments(call: ToolUseBlock, where: str) -> str:
    if isinstance(call.arguments, str):
        return call.arguments
    return write_json(call.arguments, f"{where}: the arguments of the call {call.id!r} of {call.name!r}")


def _begins_with_error(parts: list[InputItem]) -> bool:
    return bool(parts) and str(parts[0].get("text", "")).lower().startswith("error")


def _collapsed(parts: list[InputItem]) -> str | list[InputItem]:
    """Write plain text as a string, which every endpoint takes."""
    if all(part["type"] == "input_text" for part in parts):
        return "\n".join(part["text"] for part in parts)
    return parts


def _bounded(value: Any, prefix: str) -> str | None:
    return value[:_LONGEST_ID] if isinstance(value, str) and value.startswith(prefix) else None


def _item(value: Mapping[str, Any]) -> InputItem:
    """Return an item as it came, without what the server adds and refuses."""
    item = {key: below for key, below in value.items() if key not in {"status", "index"} and below is not None}
    if isinstance(item.get("id"), str):
        item["id"] = item["id"][:_LONGEST_ID]
    return item


def _reasoning(entries: list[ReasoningBlock]) -> Iterator[InputItem]:
    """Write the entries of one reasoning item; nothing if nobody could read it."""
    first = entries[0]
    encrypted = first.extras.get("encrypted_content")
    verbatim = [{"type": "reasoning_text", "text": entry.text} for entry in entries if entry.verbatim]
    if not encrypted and not verbatim:
        return
    summary = [{"type": "summary_text", "text": entry.text} for entry in entries if not entry.verbatim and entry.text]
    item: InputItem = {"type": "reasoning", "summary": summary}
    if first.id:
        item["id"] = first.id[:_LONGEST_ID]
    if verbatim:
        item["content"] = verbatim
    if encrypted:
        item["encrypted_content"] = encrypted
    yield item
