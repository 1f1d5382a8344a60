"""The turns of a conversation: neutral records, which every wire format writes in its own way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.messages import BaseMessage

    from langchain_dbchat.dialects.shared.blocks.content_blocks import NeutralBlock, ToolUseBlock
    from langchain_dbchat.models.families import Family

__all__ = ["CONTINUE", "NO_OUTPUT", "OPENING", "ConversationTurn", "NumberedBlock", "is_taken", "place_of"]

NO_OUTPUT = "(no output)"
"""The text of an empty tool result where empty text is refused: the model has to see that the call was answered."""

CONTINUE = "(continue)"
"""The text of a last user message, where the conversation ends with the assistant and the model refuses that."""

OPENING = "(start of the conversation)"
"""The text of a first user message, where the wire or the model requires one and the conversation has none."""


class NumberedBlock(NamedTuple):
    """A block, and its place in the message."""

    number: int
    block: NeutralBlock


class ConversationTurn(NamedTuple):
    """One turn of a conversation: what one speaker says, or the result of one tool call."""

    role: Literal["system", "user", "assistant", "tool"]
    number: int
    """The place of the message in the conversation, from 0."""
    message: BaseMessage
    """The message that it was read from; the caller's own object. A made-up result has the message that called."""
    content: str | Sequence[NumberedBlock]
    """What is said: text, or blocks without tool calls. The blocks of an answer may be texts that the family refuses
    alone, because an answer's text may be in several blocks. The text of a result may be empty."""
    calls: Sequence[ToolUseBlock] = ()
    """The tool calls that it makes, with the ids to send."""
    call_id: str = ""
    """The id of the call that it is the result of, as it is sent."""
    failed: bool = False
    """Whether the tool failed."""
    is_made_up: bool = False
    """Whether it is the result of a call that nobody answered."""
    cache_control: Any = None
    """Anthropic's mark for prompt caching, on a result."""
    replays: bool = False
    """Whether signed parts of the answer may be sent to the model; see `may_replay`. If not, it has no reasoning."""

    @property
    def where(self) -> str:
        """Return what to call the message in an error; see `place_of`."""
        return place_of(self.message, self.number)

    def blocks(self) -> Sequence[NumberedBlock]:
        """Return the content as blocks; an empty text is none."""
        if not isinstance(self.content, str):
            return self.content
        from langchain_dbchat.dialects.shared.blocks.content_blocks import TextBlock  # noqa: PLC0415  # many conversations are text

        return [NumberedBlock(0, TextBlock(self.content))] if self.content else []


def place_of(message: BaseMessage, number: int) -> str:
    """Return what to call a message in an error, such as ``"message 3 (human)"``.

    Args:
        message: The message.
        number: Its place in the conversation, from 0.
    """
    return f"message {number} ({message.type})"


def is_taken(text: str, family: Family) -> bool:
    """Return whether a model accepts a text.

    Args:
        text: The text.
        family: The row of the called model.

    Returns:
        False if it is empty or blank, and the family refuses that.
    """
    return (family.blank_text or not text.isspace()) if text else family.empty_text
