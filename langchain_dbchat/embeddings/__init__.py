"""Embeddings of Databricks model serving; `DatabricksEmbeddings` is the class."""

from __future__ import annotations

from langchain_dbchat import _core  # noqa: F401  # langchain-core first
from langchain_dbchat.embeddings.model import DatabricksEmbeddings

__all__ = ["DatabricksEmbeddings"]
