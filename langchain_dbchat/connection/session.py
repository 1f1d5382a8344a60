"""A resolved connection, the cache of what a model's fields make, and the settings of one call that change it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from langchain_dbchat.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel

    from langchain_dbchat.connection.marks import Marks
    from langchain_dbchat.routing.address import Workspace
    from langchain_dbchat.transport.channel import Channel
    from langchain_dbchat.transport.signing import Credentials

_T = TypeVar("_T")


class Session(NamedTuple):
    """A resolved connection: the address, the channel to it, and the credentials."""

    workspace: Workspace
    channel: Channel
    credentials: Credentials
    variables: tuple[str, ...] = ()
    """The environment variables from which they were resolved."""

    @property
    def address(self) -> str:
        """Return the address with its path and workspace id, if it has one; endpoint names are unique within it."""
        workspace = self.workspace
        return (
            workspace.base_url if workspace.workspace_id is None else f"{workspace.base_url}?o={workspace.workspace_id}"
        )

    @property
    def home(self) -> Session:
        """Return the connection to the workspace that describes the endpoint, with the same caller.

        It is this one, unless the endpoint is route-optimized: the host of such an endpoint serves nothing else.

        Raises:
            ConfigurationError: If the workspace of a route-optimized endpoint is not known.
        """
        if self.workspace.kind != "optimized":
            return self
        from langchain_dbchat.auth.endpoint_tokens import EndpointCredentials  # noqa: PLC0415  # for such endpoints only

        if not isinstance(self.credentials, EndpointCredentials):
            raise TypeError  # not reached: `auth.resolver` makes the credentials of such an address
        workspace, credentials = self.credentials.home()
        return self._replace(workspace=workspace, channel=self.channel.signed_by(credentials), credentials=credentials)


class FieldCache(Generic[_T]):
    """Cache of a value that was made from a model's fields, valid as long as they do not change.

    Copies and pickles of it are empty.
    """

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: tuple[object, _T] | None = None

    def get(self, key: object) -> _T | None:
        """Return the cached value if it was made from these fields."""
        kept = self._kept
        try:
            return kept[1] if kept is not None and kept[0] == key else None
        except Exception:  # noqa: BLE001  # == may raise: a field may contain arrays
            return None

    def put(self, key: object, value: _T) -> _T:
        """Cache a value together with the fields that it was made from."""
        self._kept = key, value
        return value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FieldCache)

    def __hash__(self) -> int:
        return hash(FieldCache)

    def __reduce__(self) -> tuple[type[FieldCache[_T]], tuple[()]]:
        return (FieldCache, ())

    def __copy__(self) -> FieldCache[_T]:
        return FieldCache()

    def __deepcopy__(self, memo: object) -> FieldCache[_T]:
        return FieldCache()


def field_cache(model: BaseModel, name: str) -> FieldCache[Any]:
    """Return the cache that is the private attribute `name` of a model, 50 times as fast as pydantic finds it."""
    private: dict[str, FieldCache[Any]] = model.__pydantic_private__ or {}
    return private[name]


def endpoint_name(name: str) -> str:
    """Remove the prefix that names the provider in other clients.

    Args:
        name: The name that the user gave, such as ``"databricks/databricks-gpt-5"``.

    Returns:
        The endpoint's own name.

    Raises:
        ConfigurationError: If the name is not Unicode, so that no request can contain it.
    """
    if not name.isascii():
        from langchain_dbchat.errors.sound_text import clean_text  # noqa: PLC0415  # few names are not ASCII

        if clean_text(name) != name:
            raise ConfigurationError(f"model={name!r} contains half of a surrogate pair, which no request can contain.")
    while name.startswith("databricks/"):
        name = name.removeprefix("databricks/")
    return name


def call_overrides(marks: Marks, call: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the settings of a call that change its connection.

    A credential that was given as None means that the caller is not known, for example because a header was missing. It
    raises, because without it the request would be signed as another user.

    Args:
        marks: The marks of the model's class.
        call: The settings of the call, by their fields' names.

    Returns:
        Settings that say who calls, and settings that say how the request is sent; each empty if the call gives none.

    Raises:
        ConfigurationError: If credentials were given and all of them are None.
    """
    if not call:
        return {}, {}
    identity = {name: call[name] for name in marks.who if name in call}
    if identity and all(value is None for value in identity.values()):
        raise ConfigurationError(
            f"{' and '.join(identity)} of this call: None was given, so it is not known who signs it. Check where the "
            "value comes from, or leave it out to sign as the model does."
        )
    return identity, {name: call[name] for name in marks.how if name in call}
