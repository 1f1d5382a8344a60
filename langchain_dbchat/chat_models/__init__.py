"""The chat model."""

from __future__ import annotations

from langchain_dbchat import _core  # noqa: F401  # langchain-core first
from langchain_dbchat.chat_models.model import ChatDatabricksCompat

__all__ = ["ChatDatabricks", "ChatDatabricksCompat"]

ChatDatabricks = ChatDatabricksCompat
"""The name of databricks-langchain's class. It is the same class and not a subclass, so that an instance, its dump and
its cached answers do not depend on the name under which the class was imported."""
