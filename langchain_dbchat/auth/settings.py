"""The user's settings for signing in, before anything is looked up.

Rule 1. A model keeps these settings and no other part of its credentials, so it can be pickled and copied wherever the
user's own values can.
Rule 2. Secret strings become `SecretStr` as soon as they are given.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from langchain_dbchat.auth.credentials import TokenCallable
from langchain_dbchat.errors import ConfigurationError

if TYPE_CHECKING:
    from langchain_dbchat.transport.signing import Credentials
    from langchain_dbchat.transport.user_clients import UserClients

TokenArgument = str | SecretStr | TokenCallable

# The `auth_type` of an agent on Databricks that calls with its caller's rights; the first name is the SDK's own.
ON_BEHALF = frozenset({"model_serving_user_credentials", "model-serving-user"})

# Arguments that say who calls. `auth_type` is not one of them: it chooses among them and the environment.
IDENTITY = (
    "credentials",
    "token",
    "user_session_token",
    "client_id",
    "client_secret",
    "workspace_client",
    "config",
    "profile",
    "config_file",
)


@dataclass(frozen=True)
class AuthSettings:
    """The arguments that say where requests go and who calls; each may be left out.

    Args:
        host: The workspace, in any shape that `parse_workspace` reads.
        base_url: The base URL of any OpenAI-compatible server; goes before `host`.
        token: A token, or a sync or async callable that returns one and is asked for every attempt.
        client_id: A service principal's id, for OAuth machine-to-machine; needs `client_secret`.
        client_secret: Its secret.
        profile: A profile of the configuration file.
        config_file: The configuration file, if it is not `~/.databrickscfg`.
        auth_type: The one way of signing in to use, by the Databricks SDK's names ("pat", "oauth-m2m",
            "databricks-cli", "external-browser", ...) or Posit's ("posit-workbench", "posit-oauth-integration").
        workspace_client: A `databricks.sdk.WorkspaceClient`.
        config: A `databricks.sdk.core.Config`.
        credentials: Anything that fulfils `Credentials`.
        user_session_token: The viewer's session token on Posit Connect (the request header
            `Posit-Connect-User-Session-Token`), or a callable that returns it.
        audience: The Posit Connect OAuth integration to use, if the content has several.
        workspace_id: The workspace's id on a host that fronts several.
        allow_http: Permit `http://` to a host that is not this machine.
        clients: The HTTP clients that the user gave, which send token requests too.
    """

    host: str | None = None
    base_url: str | None = None
    token: TokenArgument | None = field(default=None, repr=False)
    client_id: str | None = None
    client_secret: SecretStr | str | None = field(default=None, repr=False)
    profile: str | None = None
    config_file: str | None = None
    auth_type: str | None = None
    workspace_client: Any = field(default=None, repr=False)
    config: Any = field(default=None, repr=False)
    credentials: Credentials | None = field(default=None, repr=False)
    user_session_token: TokenArgument | None = field(default=None, repr=False)
    audience: str | None = None
    workspace_id: str | None = None
    allow_http: bool = False
    clients: UserClients | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Wrap secrets and refuse what was given but is empty.

        Raises:
            ConfigurationError: An argument is empty, or of a type that cannot work.
        """
        for name in ("token", "user_session_token", "client_secret"):
            value = getattr(self, name)
            if isinstance(value, str):
                object.__setattr__(self, name, SecretStr(value))
            elif not (value is None or isinstance(value, SecretStr) or (callable(value) and name != "client_secret")):
                raise ConfigurationError(f"{name} is {type(value).__name__}; it must be a string or a SecretStr.")
        for item in fields(self):
            value = getattr(self, item.name)
            text = value.get_secret_value() if isinstance(value, SecretStr) else value
            if isinstance(text, str) and not text.strip():
                # Going on without it would sign in as somebody else without a word.
                raise ConfigurationError(
                    f"{item.name} was given but is empty. Check where it comes from, or leave it out to look in the "
                    "environment."
                )

    @property
    def is_explicit(self) -> bool:
        """Return whether the user said who calls, so that the environment has no say in it."""
        return any(getattr(self, name) is not None for name in IDENTITY)

    @property
    def sdk_config(self) -> Any:
        """Return the `databricks.sdk` Config that was given, alone or inside a WorkspaceClient; None if none was."""
        return self.config if self.config is not None else getattr(self.workspace_client, "config", None)

    def with_identity(self, **identity: Any) -> AuthSettings:
        """Return a copy with another caller.

        Every other argument that says who calls is dropped, except those that may be needed to find the host
        (`profile`, `config_file`, `config`, `workspace_client`) when a token or a session token is given, because
        these go before them.

        Args:
            **identity: The arguments that say who calls now, such as `token=...`.

        Raises:
            ConfigurationError: An argument does not say who calls, or none was given. If all arguments that identify
                somebody are None, the others do not replace them, because the environment would then say who calls.
        """
        allowed = {*IDENTITY, "auth_type", "audience"}
        unknown = sorted(set(identity) - allowed)
        given = {name: value for name, value in identity.items() if name in IDENTITY}
        if unknown or all(value is None for value in (given.values() or [identity.get("auth_type")])):
            raise ConfigurationError(
                f"with_credentials takes {', '.join(sorted(allowed))}"
                + (f", not {', '.join(unknown)}." if unknown else ".")
            )
        keeps_host = any(
            identity.get(name) is not None for name in ("credentials", "token", "user_session_token", "client_id")
        )
        dropped: set[str] = {*IDENTITY, "auth_type"}
        if keeps_host:
            dropped -= {"profile", "config_file", "config", "workspace_client"}
        return replace(self, **{**dict.fromkeys(dropped), **identity})


def as_secret(value: str | SecretStr) -> SecretStr:
    """Return a secret in the form that `AuthSettings` has.

    Args:
        value: The secret, wrapped or not.
    """
    return SecretStr(value) if isinstance(value, str) else value
