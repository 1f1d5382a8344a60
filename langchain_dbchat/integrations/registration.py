"""Make LangChain's own constructors know the provider ``databricks``.

Rule 1. LangChain creates models by name from a table of its own (``langchain.chat_models.base``,
``langchain.embeddings.base``), which has no public way to add a row. A row is added only if the user asks for it.
Rule 2. ``init_chat_model``, ``init_embeddings`` and ``create_agent`` all read these tables.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from langchain_dbchat.errors import ConfigurationError

__all__ = ["register"]

_TABLE = "_BUILTIN_PROVIDERS"
_ROWS = {
    "langchain.chat_models.base": "ChatDatabricksCompat",
    "langchain.embeddings.base": "DatabricksEmbeddings",
}


def register(provider: str = "databricks") -> None:
    """Register the classes of this package with LangChain, so that it creates them by name.

    ``init_chat_model("databricks:<endpoint>")``, ``init_embeddings("databricks:<endpoint>")`` and
    ``create_agent("databricks:<endpoint>", ...)`` then use this package. Calling it again changes nothing.

    Args:
        provider: The name before the colon. Default ``"databricks"``.

    Raises:
        ImportError: If the package ``langchain`` is not installed.
        ConfigurationError: If this version of LangChain keeps its providers in another way.

    Example:
        >>> import langchain_dbchat
        >>> langchain_dbchat.register()
        >>> from langchain.chat_models import init_chat_model
        >>> type(init_chat_model("databricks:databricks-claude-sonnet-4-6", temperature=0)).__name__
        'ChatDatabricksCompat'
    """
    tables = {name: _table(module) for module, name in _ROWS.items()}
    for name, table in tables.items():
        table[provider] = ("langchain_dbchat", name, _create)
    _forget_created()


def _table(module: str) -> dict[str, Any]:
    try:
        found = getattr(import_module(module), _TABLE, None)
    except ImportError as error:
        raise ImportError("register() needs the package langchain: pip install langchain.") from error
    if not isinstance(found, dict):
        raise ConfigurationError(
            f"This version of langchain keeps its providers in another way ({module}.{_TABLE} is missing). "
            "Create the models with ChatDatabricksCompat(...) and DatabricksEmbeddings(...)."
        )
    return found


def _create(cls: Any, **settings: Any) -> Any:
    return cls(**settings)


def _forget_created() -> None:
    """Clear LangChain's cache of constructors, which may contain another package's for the same provider."""
    cached = getattr(import_module("langchain.chat_models.base"), "_get_chat_model_creator", None)
    clear = getattr(cached, "cache_clear", None)
    if clear is not None:
        clear()
