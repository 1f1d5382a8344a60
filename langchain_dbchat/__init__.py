"""LangChain chat models and embeddings for Databricks model serving.

Rule 1. Importing the package loads nothing: pytest imports it for its plugin, and the command line for its version. A
public name is loaded when it is first used.
Rule 2. Neither the names nor their objects load httpx or databricks.sdk: the first call that needs them does.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from langchain_dbchat._version import __version__

if TYPE_CHECKING:
    from langchain_dbchat.chat_models import ChatDatabricks, ChatDatabricksCompat
    from langchain_dbchat.chat_models.approvals import approve, deny, pending_approvals
    from langchain_dbchat.connection.listing import alist_endpoints, list_endpoints
    from langchain_dbchat.embeddings import DatabricksEmbeddings
    from langchain_dbchat.errors import (
        ConfigurationError,
        DatabricksAPIError,
        DatabricksAuthenticationError,
        DatabricksConnectionError,
        DatabricksContextOverflowError,
        DatabricksError,
        DatabricksInvalidRequestError,
        DatabricksNotFoundError,
        DatabricksPermissionDeniedError,
        DatabricksProviderAuthenticationError,
        DatabricksRateLimitError,
        DatabricksRefusalError,
        DatabricksTimeoutError,
        EmbeddingsIncompleteError,
        MalformedResponseError,
        StreamInterruptedError,
        UnsupportedContentError,
    )
    from langchain_dbchat.integrations.costs import cost_of, track_costs
    from langchain_dbchat.integrations.litellm_config import from_litellm_config
    from langchain_dbchat.integrations.registration import register
    from langchain_dbchat.transport.signing import Credentials
    from langchain_dbchat.transport.timeouts import Timeouts

__all__ = [
    "ChatDatabricks",
    "ChatDatabricksCompat",
    "ConfigurationError",
    "Credentials",
    "DatabricksAPIError",
    "DatabricksAuthenticationError",
    "DatabricksConnectionError",
    "DatabricksContextOverflowError",
    "DatabricksEmbeddings",
    "DatabricksError",
    "DatabricksInvalidRequestError",
    "DatabricksNotFoundError",
    "DatabricksPermissionDeniedError",
    "DatabricksProviderAuthenticationError",
    "DatabricksRateLimitError",
    "DatabricksRefusalError",
    "DatabricksTimeoutError",
    "EmbeddingsIncompleteError",
    "MalformedResponseError",
    "StreamInterruptedError",
    "Timeouts",
    "UnsupportedContentError",
    "__version__",
    "alist_endpoints",
    "approve",
    "cost_of",
    "deny",
    "from_litellm_config",
    "list_endpoints",
    "pending_approvals",
    "register",
    "track_costs",
]

_PLACES = {
    "ChatDatabricks": "chat_models",
    "ChatDatabricksCompat": "chat_models",
    "Credentials": "transport.signing",
    "DatabricksEmbeddings": "embeddings",
    "Timeouts": "transport.timeouts",
    "alist_endpoints": "connection.listing",
    "approve": "chat_models.approvals",
    "cost_of": "integrations.costs",
    "deny": "chat_models.approvals",
    "from_litellm_config": "integrations.litellm_config",
    "list_endpoints": "connection.listing",
    "pending_approvals": "chat_models.approvals",
    "register": "integrations.registration",
    "track_costs": "integrations.costs",
}
"""Where a public name is defined, if not in `errors`."""
_PACKAGES = frozenset({"chat_models", "embeddings", "errors"})
"""The packages that are attributes without having been imported."""


def __getattr__(name: str) -> object:
    if name not in _PACKAGES and name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in _PACKAGES:
        return import_module(f"{__name__}.{name}")
    return getattr(import_module(f"{__name__}.{_PLACES.get(name, 'errors')}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
