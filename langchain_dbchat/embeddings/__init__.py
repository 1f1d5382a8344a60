"""The embeddings."""

from __future__ import annotations

from langchain_dbchat.embeddings.model import DatabricksEmbeddings

__all__ = ["DatabricksEmbeddings"]
