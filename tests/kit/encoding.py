"""Encode a chat-completions request, a conversation or a schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from langchain_core.messages import BaseMessage, HumanMessage

from langchain_dbchat.dialects import dialect_named
from langchain_dbchat.dialects.chat_completions.content import write_parts
from langchain_dbchat.dialects.chat_completions.messages import encode_conversation
from langchain_dbchat.dialects.dialect import ChatRequest, EncodedRequest, Target
from langchain_dbchat.dialects.shared.blocks.content_blocks import MediaBlock, NeutralBlock, ToolResultBlock
from langchain_dbchat.dialects.shared.conversation.conversation import read_turns
from langchain_dbchat.dialects.shared.schemas import fit_answer
from langchain_dbchat.models.families import Family, WireName


def encode_request(  # each is a fact of its own
    messages: Sequence[BaseMessage],
    settings: Mapping[str, Any],
    target: Target,
    *,
    stream: bool,
    usage: bool = True,
    drops_nulls: bool = False,
    api: WireName = "chat",
) -> EncodedRequest:
    """Write the body of a request.

    Args:
        messages: The conversation.
        settings: The settings of the call; None means not set.
        target: The model that is called.
        stream: Whether the answer is to be streamed.
        usage: Whether a stream should end with its token usage.
        drops_nulls: Whether whoever reads a structured answer drops the nulls that only a closed schema allows.
        api: The wire format.

    Returns:
        The body, and what was left out.
    """
    return dialect_named(api).encode(
        ChatRequest(messages, settings, target, stream=stream, stream_usage=usage, is_structured=drops_nulls)
    )


def encode_messages(messages: Sequence[BaseMessage], target: Target) -> list[dict[str, Any]]:
    """Encode a conversation.

    Args:
        messages: The conversation.
        target: The called model.

    Returns:
        The wire messages.
    """
    return encode_conversation(messages, target)[0]


def encode_parts(blocks: Sequence[Any], family: Family) -> list[dict[str, Any]]:
    """Encode what a user says as parts.

    Args:
        blocks: Blocks in any spelling.
        family: The row of the called model.

    Returns:
        The parts.
    """
    turns = read_turns([HumanMessage(list(blocks))], Target("test", family))
    return [part for turn in turns for part in write_parts(turn.blocks(), family, turn.where)]


def fit_schema(schema: Mapping[str, Any], family: Family) -> dict[str, Any]:
    """Fit the schema of an answer that does not have to follow it exactly.

    Args:
        schema: A JSON schema of any draft.
        family: The row of the called model.

    Returns:
        A schema that the family accepts.
    """
    return fit_answer(schema, family, "test", strict=False, written=False, drops_nulls=False)[0]


def without_data_urls(record: NeutralBlock) -> NeutralBlock:
    """Return a block with its data as Base64 text, whether they were written so or as a data URL.

    Args:
        record: The block.

    Returns:
        The block, equal to each other one that says the same.
    """
    if isinstance(record, ToolResultBlock):
        return replace(record, content=tuple(map(without_data_urls, record.content)))
    return replace(record, encoded=record.data) if isinstance(record, MediaBlock) else record
