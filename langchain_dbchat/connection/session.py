"""A connection that has been worked out: the address, the channel to it, and who calls.

Rule 1. Answers in a cache are never shared between callers or workspaces. Where the caller is not known before a
request is signed (a callable token, the Databricks CLI, the SDK, credentials of the user's own), nothing is cached.
Rule 2. A cache may be a file: its key holds a digest of the caller and never a secret.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_dbchat.connection.marks import QUERY, call_settings
from langchain_dbchat.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_dbchat.connection.marks import Marks
    from langchain_dbchat.connection.settings import DatabricksConnection
    from langchain_dbchat.routing.address import Workspace
    from langchain_dbchat.transport.channel import Channel
    from langchain_dbchat.transport.signing import Credentials


class Session(NamedTuple):
    """A connection that has been worked out: the address, the channel to it, and who signs."""

    workspace: Workspace
    channel: Channel
    credentials: Credentials
    variables: tuple[str, ...] = ()
    """The variables of the environment that were read to find them."""

    @property
    def address(self) -> str:
        """The address with its path, and the workspace where a host fronts several: what an endpoint's name is for."""
        workspace = self.workspace
        return (
            workspace.base_url if workspace.workspace_id is None else f"{workspace.base_url}?o={workspace.workspace_id}"
        )


class SessionCache:
    """Keeps the session of a model as long as the fields that it came from stay the same; never copied or pickled."""

    __slots__ = ("_key", "_session")

    def __init__(self) -> None:
        self._key: object = None
        self._session: Session | None = None

    def get(self, key: object) -> Session | None:
        """Return the session that was made from these fields, if it was."""
        return self._session if self._key == key else None

    def put(self, key: object, session: Session) -> Session:
        """Keep a session along with the fields that it came from."""
        self._key, self._session = key, session
        return session

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SessionCache)

    def __hash__(self) -> int:
        return hash(SessionCache)

    def __reduce__(self) -> tuple[type[SessionCache], tuple[()]]:
        return (SessionCache, ())

    def __copy__(self) -> SessionCache:
        return SessionCache()

    def __deepcopy__(self, memo: object) -> SessionCache:
        return SessionCache()


def endpoint_name(name: str) -> str:
    """Strip the prefix by which other clients tell Databricks from other providers.

    Args:
        name: A name as the user has it, such as ``"databricks/databricks-gpt-5"``.

    Returns:
        The endpoint's own name.
    """
    while name.startswith("databricks/"):
        name = name.removeprefix("databricks/")
    return name


def call_overrides(marks: Marks, call: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Find what a call says of its connection.

    What was given and is None is a user who could not be told (a header that was missing); going on without it would
    sign in as somebody else.

    Args:
        marks: The marks of the model's class.
        call: The settings of the call, by their fields' names.

    Returns:
        Who makes it and how it is sent; each is empty where the model's own fields count.

    Raises:
        ConfigurationError: If who makes it was given and says nobody.
    """
    if not call:
        return {}, {}
    identity = {name: call[name] for name in marks.who if name in call}
    if identity and all(value is None for value in identity.values()):
        raise ConfigurationError(
            f"{' and '.join(identity)} of this call: None was given, so nobody is known to sign it. Check where it "
            "comes from, or leave it out to sign as the model does."
        )
    return identity, {name: call[name] for name in marks.how if name in call}


def caller_of(settings: DatabricksConnection, session: Session, call: Mapping[str, Any]) -> str | None:
    """Name who makes a call, and where it goes, for a cache of answers; may read a file.

    Args:
        settings: The settings of the connection.
        session: The call's connection.
        call: The settings of the call.

    Returns:
        A digest that no other caller and no other workspace has, or None where the caller is known only when a request
        is signed: then nothing may be cached.
    """
    if settings.http_client is not None or settings.http_async_client is not None:
        return None  # a client of the user's may sign by itself
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
        # Where a variable has changed since, another model that is made now would call as somebody else.
        [(name, os.environ.get(name)) for name in session.variables],
    )
    return hashlib.sha256(repr(parts).encode()).hexdigest()
