"""Write a conversation as the messages of MLflow's ChatAgent.

Rule 1. MLflow checks each message against a schema (mlflow/types/agent.py): ``content`` is text, a message has either
    content or calls, a ``tool`` message has ``name`` and ``tool_call_id``, and an unknown field is refused.
Rule 2. The steps of an earlier answer of the same agent go back as the messages that they were, with the agent's ids,
    because the agent keeps nothing between calls. The steps of another agent are left out; its last answer stays.
Rule 3. Attachments, text by name, go with a message as ``additional_kwargs["attachments"]``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from langchain_dbchat.dialects.shared.answer.steps import AGENT_MESSAGE, read_step, without_handed_over
from langchain_dbchat.dialects.shared.blocks.call_arguments import UNNAMED
from langchain_dbchat.dialects.shared.blocks.content import read_block
from langchain_dbchat.dialects.shared.blocks.content_blocks import (
    DocumentBlock,
    NeutralBlock,
    ReasoningBlock,
    TextBlock,
    ToolResultBlock,
    ToolUseBlock,
)
from langchain_dbchat.dialects.shared.blocks.documents import document_text
from langchain_dbchat.dialects.shared.blocks.json_text import write_json
from langchain_dbchat.dialects.shared.blocks.message_keys import PROVIDER
from langchain_dbchat.dialects.shared.blocks.stand_ins import kind_of_content, stand_in
from langchain_dbchat.dialects.shared.conversation.conversation import write_conversation
from langchain_dbchat.errors import UnsupportedContentError
from langchain_dbchat.errors.sound_text import clean_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from langchain_core.messages import BaseMessage

    from langchain_dbchat.dialects.dialect import Target
    from langchain_dbchat.dialects.shared.blocks.content_blocks import ProviderBlock
    from langchain_dbchat.dialects.shared.conversation.turns import ConversationTurn

__all__ = ["encode_messages"]

WireMessage = dict[str, Any]

_STEPS = frozenset({"server_tool_call", "server_tool_result", AGENT_MESSAGE})


def encode_messages(messages: Sequence[BaseMessage], target: Target) -> tuple[list[WireMessage], list[str]]:
    """Write a conversation.

    Args:
        messages: The conversation, in LangChain's types. They are not changed.
        target: The called agent.

    Returns:
        The messages to send, and warnings for the user.

    Raises:
        UnsupportedContentError: If a message cannot be represented, or if nothing is left to answer.
    """
    return write_conversation(
        messages, target, lambda turns, replaced: _Thread(target, replaced).write(turns), _is_step
    )


def _is_step(block: ProviderBlock) -> bool:
    return block.kind in _STEPS


class _Thread:
    """The messages of one request, while they are written.

    Args:
        target: The called agent.
        replaced: The kinds of content that text stands for; kinds are added to it.
    """

    def __init__(self, target: Target, replaced: set[str]) -> None:
        self._target = target
        self._replaced = replaced
        self._wire: list[WireMessage] = []
        self._names: dict[str, str] = {}  # of the called tools, by the call's id

    def write(self, turns: Iterable[ConversationTurn]) -> list[WireMessage]:
        """Write the turns of a conversation."""
        for turn in turns:
            if turn.role == "tool":
                self._add_result(turn)
            elif turn.role == "assistant":
                self._add_answer(turn)
            else:
                self._add({"role": turn.role, "content": self._text(turn, "\n", refuses=True)}, turn.message)
        return self._wire

    def _add(
        self, wire: WireMessage, source: BaseMessage | None = None, extras: Mapping[str, Any] | None = None
    ) -> None:
        """Add a message, with the name and the attachments of its source, or with what the agent sent with it."""
        said = dict(extras or {})
        if source is not None:
            said.setdefault("name", source.name or source.additional_kwargs.get("name"))
            said.setdefault("attachments", source.additional_kwargs.get("attachments"))
        for key, kind in (("id", str), ("name", str), ("attachments", Mapping)):
            if key not in wire and said.get(key) and isinstance(said[key], kind):
                wire[key] = said[key] if kind is str else dict(said[key])
        self._wire.append(wire)

    def _add_result(self, turn: ConversationTurn) -> None:
        text = self._text(turn, "\n")
        if turn.failed and not turn.is_made_up and not text.lower().startswith("error"):
            text = f"Error: {text}"
        name = getattr(turn.message, "name", None) if not turn.is_made_up else None
        name = self._names.get(turn.call_id) or name or UNNAMED
        self._add({"role": "tool", "content": text, "tool_call_id": turn.call_id, "name": name})

    def _add_answer(self, turn: ConversationTurn) -> None:
        text = self._add_steps(turn) if self._is_own(turn.message) else self._text(turn, "")
        calls = [self._call(call, turn.where) for call in turn.calls]
        if not (text or calls):
            return
        wire: WireMessage = {"role": "assistant", "content": text}
        if calls:
            wire["tool_calls"] = calls
        metadata = turn.message.response_metadata
        self._add(wire, turn.message, {"id": metadata.get("id")} if self._is_own(turn.message) else None)

    def _is_own(self, message: BaseMessage) -> bool:
        """Return whether the called agent gave this answer."""
        metadata = message.response_metadata
        return bool(metadata.get("model_provider") == PROVIDER and metadata.get("model_name") == self._target.model)

    def _add_steps(self, turn: ConversationTurn) -> str:
        """Add the steps of an answer as the messages that they were, and return the text of the last message."""
        content: Any = turn.message.content
        if isinstance(content, str):
            return self._text(turn, "")
        content = without_handed_over(content, {call["id"] for call in getattr(turn.message, "tool_calls", [])})
        texts: list[str] = []
        ids = (block.get("tool_call_id") for block in content if isinstance(block, Mapping))
        answered = {call_id for call_id in ids if isinstance(call_id, str)}
        for number, block in enumerate(content):
            step = read_step(block) if isinstance(block, Mapping) else None
            if step is None:
                written = (self._written(one, f"{turn.where}, block {number}") for one in read_block(block))
                texts.extend(text for text in written if text)
                continue
            if isinstance(step, ToolUseBlock):
                if step.id not in answered:  # a stream that was cut off ended here
                    continue
                self._add_step_call(step, "".join(texts), turn.where)
            elif isinstance(step, TextBlock):
                self._add_step_message("".join(texts) + step.text, step.extras)
            else:
                self._add_step_message("".join(texts), {})
                self._add_step_result(step)
            texts.clear()
        return "".join(texts)

    def _add_step_message(self, text: str, extras: Mapping[str, Any]) -> None:
        if text or extras.get("attachments"):
            role = extras.get("role")
            self._add(
                {"role": role if isinstance(role, str) else "assistant", "content": clean_text(text)}, None, extras
            )

    def _add_step_call(self, step: ToolUseBlock, text: str, where: str) -> None:
        """Add a call to the message that made it, or with a new one."""
        call, message_id = self._call(step, where), step.extras.get("message_id")
        last = self._wire[-1] if self._wire else {}
        is_same = last.get("id") == message_id and (message_id or "tool_calls" in last)
        if not text and last.get("role") == "assistant" and is_same:
            last.setdefault("tool_calls", []).append(call)
        else:
            wire = {"role": "assistant", "content": clean_text(text), "tool_calls": [call]}
            self._add(wire, None, {"id": message_id, "name": step.extras.get("agent")})

    def _add_step_result(self, step: ToolResultBlock) -> None:
        name = step.extras.get("name") or self._names.get(step.call_id) or UNNAMED
        text = "".join(block.text for block in step.content if isinstance(block, TextBlock))
        wire = {"role": "tool", "content": clean_text(text), "tool_call_id": step.call_id, "name": str(name)}
        self._add(wire, None, step.extras)

    def _call(self, call: ToolUseBlock, where: str) -> WireMessage:
        arguments = call.arguments
        if not isinstance(arguments, str):
            arguments = write_json(arguments, f"{where}: the arguments of the call {call.id!r} of {call.name!r}")
        if call.id:
            self._names[call.id] = call.name
        return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}

    def _text(self, turn: ConversationTurn, between: str, *, refuses: bool = False) -> str:
        """Write the content of a turn as text; media that cannot be named in text raise if it refuses them."""
        if isinstance(turn.content, str):
            return clean_text(turn.content)
        written = (
            self._written(block, f"{turn.where}, block {number}", refuses=refuses) for number, block in turn.content
        )
        return clean_text(between.join(text for text in written if text))

    def _written(self, block: NeutralBlock, where: str, *, refuses: bool = False) -> str:
        if isinstance(block, TextBlock):
            return block.text
        if isinstance(block, (ReasoningBlock, ToolUseBlock)):
            return ""
        if isinstance(block, DocumentBlock):
            return document_text(block, where)
        if refuses:
            raise UnsupportedContentError(
                f"{where}: the messages of a ChatAgent are text, so {kind_of_content(block)!r} content cannot be sent. "
                "Give the agent what it reads itself, with custom_inputs=... or as an attachment: "
                "HumanMessage(text, additional_kwargs={'attachments': {'name': 'text'}})."
            )
        self._replaced.add(kind_of_content(block))
        return stand_in(block)
