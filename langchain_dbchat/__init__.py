"""LangChain chat models and embeddings for Databricks model serving.

Importing the package loads neither httpx nor databricks.sdk: they are loaded by the first call that needs them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

# First and from here, though chat_models imports it too: from deeper in the stack it takes 10 % longer (CPython's
# frames then cross the border of a memory block again and again).
import langchain_core.language_models.chat_models  # noqa: F401

from langchain_dbchat._version import __version__
from langchain_dbchat.chat_models import ChatDatabricksCompat

if TYPE_CHECKING:
    from langchain_dbchat.embeddings import DatabricksEmbeddings

__all__ = ["ChatDatabricksCompat", "DatabricksEmbeddings", "__version__"]


def __getattr__(name: str) -> object:
    """Load the embeddings when somebody asks for them: a chat that starts cold does not wait for them."""
    if name == "DatabricksEmbeddings":
        from langchain_dbchat.embeddings import DatabricksEmbeddings  # noqa: PLC0415  # see above

        return DatabricksEmbeddings
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), "DatabricksEmbeddings"]
