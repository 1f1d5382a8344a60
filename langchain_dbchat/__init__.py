"""LangChain chat models and embeddings for Databricks model serving.

Importing the package loads neither httpx nor databricks.sdk: they are loaded by the first call that needs them.
"""

from __future__ import annotations

from langchain_dbchat._version import __version__
from langchain_dbchat.chat_models import ChatDatabricksCompat
from langchain_dbchat.embeddings import DatabricksEmbeddings

__all__ = ["ChatDatabricksCompat", "DatabricksEmbeddings", "__version__"]
