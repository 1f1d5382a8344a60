"""Estimate the number of tokens of texts and conversations, because a serving endpoint does not name its tokenizer."""

from __future__ import annotations

import math
from collections.abc import Sequence  # noqa: TC003  # LangChain resolves the annotations (`binding`, rule 1)
from typing import TYPE_CHECKING, Any

from langchain_core.messages import BaseMessage  # noqa: TC002  # the same
from langchain_core.messages.utils import count_tokens_approximately

from langchain_dbchat.dialects.shared.request.tools import convert_tool

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel as _Counting
else:
    _Counting = object  # a mixin is not a model, so pydantic builds no schema for it

__all__ = ["EstimatesTokens"]


class EstimatesTokens(_Counting):
    """Mixin that counts tokens without downloading a tokenizer; a base class before `BaseChatModel`."""

    def get_num_tokens(self, text: str) -> int:
        """Estimate the number of tokens of a text without a tokenizer, because the endpoint's tokenizer is not known.

        Args:
            text: The text.

        Returns:
            One token for each four characters, or the count of ``custom_get_token_ids``.
        """
        return len(self.custom_get_token_ids(text)) if self.custom_get_token_ids else math.ceil(len(text) / 4)

    def get_token_ids(self, text: str) -> list[int]:
        """Return the token ids of a text, from ``custom_get_token_ids``.

        Args:
            text: The text.

        Returns:
            The ids.

        Raises:
            NotImplementedError: If ``custom_get_token_ids`` is not set.
        """
        if self.custom_get_token_ids is None:
            raise NotImplementedError(
                "The tokenizer of a serving endpoint is not known. Set custom_get_token_ids=..., or use "
                "get_num_tokens, which estimates the count."
            )
        return self.custom_get_token_ids(text)

    def get_num_tokens_from_messages(self, messages: list[BaseMessage], tools: Sequence[Any] | None = None) -> int:
        """Estimate the number of tokens of a conversation, without downloading a tokenizer.

        Args:
            messages: The conversation.
            tools: Tools that are sent with it.

        Returns:
            The estimated number.
        """
        count = count_tokens_approximately(messages)
        for tool in tools or ():
            count += self.get_num_tokens(str(convert_tool(tool, None)))
        return count
