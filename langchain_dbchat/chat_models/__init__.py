"""The chat model."""

from __future__ import annotations

from langchain_dbchat.chat_models.model import ChatDatabricksCompat

__all__ = ["ChatDatabricksCompat"]
