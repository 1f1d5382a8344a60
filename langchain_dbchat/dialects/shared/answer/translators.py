"""Register the translation to LangChain's standard content blocks; it is loaded when a message is translated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_core.messages.block_translators import register_translator

from langchain_dbchat.dialects.shared.blocks.message_keys import PROVIDER

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage, AIMessageChunk
    from langchain_core.messages import content as types

__all__ = ["register"]


def register() -> None:
    """Register the translators with langchain-core."""
    register_translator(PROVIDER, _translate_message, _translate_chunk)


def _translate_message(message: AIMessage) -> list[types.ContentBlock]:
    from langchain_dbchat.dialects.shared.answer.standard_blocks import translate_content  # noqa: PLC0415  # few programs read blocks

    return translate_content(message)


def _translate_chunk(message: AIMessageChunk) -> list[types.ContentBlock]:
    from langchain_dbchat.dialects.shared.answer.standard_blocks import translate_content_chunk  # noqa: PLC0415  # the same

    return translate_content_chunk(message)
