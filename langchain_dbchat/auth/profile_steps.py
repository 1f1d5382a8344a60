"""Find the way of signing in of a profile in the configuration file.

Rule 1. A profile names its way (`auth_type`), or has a token, or has the id and secret of a service principal, or has
keys that only the SDK understands (`azure_*`, `google_*`, ...).
Rule 2. Tokens and service principals are handled here, `databricks-cli` by the CLI, and everything else by the SDK.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import SecretStr

from langchain_dbchat.auth import sdk
from langchain_dbchat.auth.cli import CommandLine, find_cli
from langchain_dbchat.auth.m2m import ClientCredentials
from langchain_dbchat.auth.posit import FileToken
from langchain_dbchat.auth.secret import Secret
from langchain_dbchat.errors import ConfigurationError

if TYPE_CHECKING:
    from langchain_dbchat.auth.search import Search
    from langchain_dbchat.transport.signing import Credentials

# Options that say where and how, but not who.
_NOT_IDENTITY = frozenset({"host", "workspace_id", "account_id", "cluster_id", "warehouse_id", "serverless_compute_id"})


def profile_credentials(search: Search) -> Credentials | str:
    """Sign in as a profile says.

    Args:
        search: What is looked at.

    Returns:
        Credentials, or the reason why the profile gives none.

    Raises:
        ConfigurationError: The profile needs something that is missing.
    """
    name, source = search.profile
    config = search.config_file
    if not config.exists:
        return f"{config.path} does not exist"
    if name not in config.sections:
        return f"{config.path} has no profile {name!r} ({source}); it has: {', '.join(config.profiles) or 'none'}"
    host = config.option(name, "host")
    if not search.has_profile_argument and not search.belongs(host):
        return _other_host(search, name, host)
    kind = _kind(search, name)
    if search.wanted not in {None, kind}:
        return f"profile {name!r} in {config.path} signs in with {kind or 'nothing'}"
    return _build(search, name, kind)


def _kind(search: Search, name: str) -> str:
    """Return the SDK's name for the way in which a profile signs in; empty if it names none."""
    option = search.config_file.option
    named = option(name, "auth_type")
    if named:
        return named.lower()
    if option(name, "token"):
        return "pat"
    if option(name, "client_id") and option(name, "client_secret"):
        return "oauth-m2m"
    return ""


def _build(search: Search, name: str, kind: str) -> Credentials | str:
    """Return credentials of one kind."""
    config = search.config_file
    label = f"profile {name!r} in {config.path}"
    if kind == "pat":
        return FileToken(config.path, name, label) if config.option(name, "token") else f"{label} has no token"
    if kind == "oauth-m2m":
        return _service_principal(search, name, label)
    if kind == "external-browser" and search.profile[1] == "the default":
        return f"{label} asks for a browser, which is never opened unasked; pass auth_type='external-browser'"
    others = sorted(set(config.sections[name]) - _NOT_IDENTITY)
    if kind == "databricks-cli" or not others:
        return _command_line(search, name, label, kind)
    return sdk.SdkSignIn(f"Databricks SDK, {label}", search.login_origin, kind or None, name, search.config_text)


def _service_principal(search: Search, name: str, label: str) -> Credentials | str:
    """Return a profile with a service principal."""
    option = search.config_file.option
    client_id, secret, host = option(name, "client_id"), option(name, "client_secret"), option(name, "host")
    if not client_id or not secret:
        return f"{label} lacks client_id or client_secret"
    origin = search.parse(host).origin if host else search.login_origin
    if origin is None:
        return f"{label} names no host that issues tokens"
    found = Secret(SecretStr(secret), file=(search.config_file.path, name, "client_secret"))
    return ClientCredentials(origin, client_id, found, label, search.settings.clients)


def _command_line(search: Search, name: str, label: str, kind: str) -> Credentials | str:
    """Return a profile of the Databricks CLI."""
    cli = find_cli(search.environ)
    if cli:
        return CommandLine(cli, name, None, search.config_text, f"Databricks CLI, {label}")
    if kind:
        raise ConfigurationError(
            f"{label} signs in with the Databricks CLI, and there is no command `databricks` on PATH. Install it, or "
            "set DATABRICKS_CLI_PATH."
        )
    return f"{label} has nothing to sign in with but a host"


def _other_host(search: Search, name: str, host: str | None) -> str:
    """Return why a profile is not used for another host, and which one might be."""
    config = search.config_file
    matching = [
        other
        for other in config.profiles
        if (there := config.option(other, "host")) and search.belongs(there) and other != name
    ]
    hint = f"; profile {matching[0]!r} is, pass profile={matching[0]!r}" if matching else ""
    return f"profile {name!r} in {config.path} is for {host}, not for {search.workspace.host}{hint}"
