"""Name the caller of a model, for a cache of answers.

Rule 1. Cached answers are never shared between callers or workspaces. If the caller is not known before a request is
signed (a callable token, the Databricks CLI, the SDK, the user's own credentials), nothing is cached.
Rule 2. A cache may be a file: its key contains a digest of the caller and never a secret.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any

from langchain_dbchat.connection.given import call_settings
from langchain_dbchat.connection.marks import QUERY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_dbchat.connection.session import Session
    from langchain_dbchat.connection.settings import DatabricksConnection


def caller_of(settings: DatabricksConnection, session: Session, call: Mapping[str, Any]) -> str | None:
    """Return a digest of the caller and the workspace, for a cache of answers; may read a file.

    Args:
        settings: The settings of the connection.
        session: The call's connection.
        call: The settings of the call.

    Returns:
        A digest that is unique to the caller and the workspace. None if the caller is known only when a request is
        signed; nothing may be cached then.
    """
    if settings.http_client is not None or settings.http_async_client is not None:
        return None  # the user's own HTTP client may sign requests itself
    name_caller = getattr(session.credentials, "cache_identity", None)
    caller = name_caller() if callable(name_caller) else None
    if caller is None:
        return None
    given = call_settings(type(settings), call)
    headers = {**(settings.default_headers or {}), **(given.get("default_headers") or {})}
    query = {**(settings.default_query or {}), **(given.get(QUERY) or {})}
    workspace = session.workspace
    parts = (
        caller,
        (workspace.kind, workspace.base_url, workspace.workspace_id),
        sorted((str(key).lower(), str(value)) for key, value in headers.items()),
        sorted((str(key), str(value)) for key, value in query.items()),
        # If a variable has changed since, an equal model that is made now would have another caller.
        [(name, os.environ.get(name)) for name in session.variables],
    )
    return hashlib.sha256(repr(parts).encode()).hexdigest()
