"""LangChain chat models and embeddings for Databricks model serving.

Importing the package loads neither httpx nor databricks.sdk: they are loaded by the first call that needs them.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from langchain_dbchat._version import __version__


def _import_core() -> None:
    """Import langchain-core, from a frame that fills a block of the interpreter's stack.

    CPython keeps frames in blocks of 16 KiB. Where one ends in the midst of this import, hundreds of thousands of calls
    map the next and unmap it again; that costs up to 70 of 530 ms, and who imports us from how deep decides it. After
    this frame a fresh block begins.
    """
    import langchain_core.language_models.chat_models  # noqa: F401, PLC0415  # for its effect, from this frame


with suppress(Exception):  # compilers such as Nuitka make functions that have no code of CPython's
    _import_core.__code__ = _import_core.__code__.replace(co_stacksize=2048)
_import_core()

from langchain_dbchat.chat_models import ChatDatabricksCompat  # noqa: E402  # langchain-core first

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
