"""A connection that has been worked out: the address, the channel to it, and how a request finds its path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from langchain_dbchat.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_dbchat.auth.workspace import Workspace
    from langchain_dbchat.transport.channel import Channel

WHO = ("token", "user_session_token")
"""Arguments that say who calls and may be given for one call."""

TRAVEL = ("timeout", "max_retries", "retry_deadline", "resend_after_loss", "max_response_bytes")
"""Arguments that say how a request travels and may be given for one call."""

PER_CALL = (*WHO, *TRAVEL)

_UC_NAME_DOTS = 2
_OPERATIONS = {"chat": "chat/completions", "embeddings": "embeddings"}


class Link(NamedTuple):
    """A connection that has been worked out: the address, and the channel to it."""

    workspace: Workspace
    channel: Channel


class Holder:
    """Keeps the link of a model for as long as the fields that it came from stay the same; never copied or pickled."""

    __slots__ = ("_key", "_link")

    def __init__(self) -> None:
        self._key: object = None
        self._link: Link | None = None

    def get(self, key: object) -> Link | None:
        """Return the link that was made from these fields, if it was."""
        return self._link if self._key == key else None

    def put(self, key: object, link: Link) -> Link:
        """Keep a link along with the fields that it came from."""
        self._key, self._link = key, link
        return link

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Holder)

    def __hash__(self) -> int:
        return hash(Holder)

    def __reduce__(self) -> tuple[type[Holder], tuple[()]]:
        return (Holder, ())

    def __copy__(self) -> Holder:
        return Holder()

    def __deepcopy__(self, memo: object) -> Holder:
        return Holder()


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


def of_call(call: Mapping[str, Any] | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Find what a call says of its connection.

    What was given and is None is a user who could not be told (a header that was missing); going on without it would
    sign in as somebody else.

    Args:
        call: The settings of the call.

    Returns:
        Who makes it and how it travels; each is empty where the model's own fields count.

    Raises:
        ConfigurationError: If who makes it was given and says nobody.
    """
    identity = {name: call[name] for name in WHO if call and name in call}
    if identity and all(value is None for value in identity.values()):
        raise ConfigurationError(
            f"{' and '.join(identity)} of this call: None was given, so nobody is known to sign it. Check where it "
            "comes from, or leave it out to sign as the model does."
        )
    return identity, {name: call[name] for name in TRAVEL if call and name in call}


def route(workspace: Workspace, operation: str, model: str) -> tuple[str, bool]:
    """Find the URL of an operation.

    Every kind of endpoint answers at ``/serving-endpoints/<name>/invocations``; model services of Unity Catalog
    (``<catalog>.<schema>.<name>``) answer at the AI gateway only, and any other server at OpenAI's paths.

    Args:
        workspace: The address.
        operation: ``"chat"`` or ``"embeddings"``.
        model: The endpoint's or service's name.

    Returns:
        The URL, and whether the body has to name the model.
    """
    path = _OPERATIONS[operation]
    if workspace.kind == "workspace":
        if model.count(".") >= _UC_NAME_DOTS:
            return f"{workspace.origin}/ai-gateway/mlflow/v1/{path}", True
        return f"{workspace.base_url}/{quote(model, safe='')}/invocations", False
    return f"{workspace.base_url}/{path}", True
