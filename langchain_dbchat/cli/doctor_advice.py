"""What to do about a failure that ``dbchat doctor`` has met.

Rule 1. The first row whose class fits gives the advice. Where no row fits, or a row gives none, the advice is that
of the error itself, which knows the server's words.
"""

from __future__ import annotations

import difflib
import os
from typing import TYPE_CHECKING, NamedTuple

from langchain_dbchat.cli.output import explain
from langchain_dbchat.errors import (
    ConfigurationError,
    DatabricksAuthenticationError,
    DatabricksConnectionError,
    DatabricksError,
    DatabricksNotFoundError,
    DatabricksPermissionDeniedError,
    DatabricksTimeoutError,
    MalformedResponseError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from langchain_dbchat.auth.resolver import ResolvedAuth

__all__ = ["FailedStep", "advice_on"]

_LAST = "Try again; if it fails again, give the request id to the server's administrator."


class FailedStep(NamedTuple):
    """A step that failed.

    Attributes:
        error: Why.
        signed: Where the calls went, and who signed them.
        model: The endpoint that was asked, if one was.
        names: The names of the endpoints that there are, as far as they are known.
    """

    error: DatabricksError
    signed: ResolvedAuth
    model: str = ""
    names: Iterable[str] = ()


def advice_on(step: FailedStep) -> str:
    """Say what to do about a failure.

    Args:
        step: The step that failed.

    Returns:
        The advice; empty if there is none.
    """
    own = explain(step.error).advice
    if isinstance(step.error, ConfigurationError):
        return own
    advise = next((row for kind, row in _ROWS if isinstance(step.error, kind)), None)
    return (advise(step) if advise else "") or own or _LAST


def _on_credentials(step: FailedStep) -> str:
    """Say how to sign in anew, in the way that was used."""
    workspace, name = step.signed.workspace, step.signed.credentials.name
    if workspace.kind == "openai":
        return "Check the token, and that it belongs to this server; --token-env NAME gives another one."
    if workspace.is_loopback:
        return "Set DATABRICKS_HOST and DATABRICKS_TOKEN to what `dbchat local` has printed when it was started."
    login = f"`databricks auth login --host {workspace.origin}`"
    if name in {"DATABRICKS_TOKEN", "DATABRICKS_API_KEY"}:
        return f"Make a new token in the workspace and set {name} to it; or unset {name} and run {login}."
    if "CLI" in name:
        return f"Sign in again: {login}."
    return f"Check the credentials of {name}; or sign in anew with {login} and give --auth-type databricks-cli."


def _on_permission(step: FailedStep) -> str:
    """Say how to go on where endpoints may not be listed."""
    if step.model:
        return ""
    return "The credentials are valid, but may not list endpoints. Name an endpoint with --model to ask it."


def _on_name(step: FailedStep) -> str:
    """Name the endpoints whose names are like one that does not exist."""
    close = difflib.get_close_matches(step.model, step.names, n=3, cutoff=0.5)
    return f"Did you mean {' or '.join(close)}? `dbchat models` lists all." if close else ""


def _on_time(_: FailedStep) -> str:
    return f"Check the address in a browser on this machine, or try a larger --timeout. {_proxies()}"


def _on_network(step: FailedStep) -> str:
    origin = step.signed.workspace.origin
    return f"Open {origin} in a browser on this machine; check the address, a proxy, a VPN. {_proxies()}"


def _on_web_page(step: FailedStep) -> str:
    origin = step.signed.workspace.origin
    return f"Open {origin} in a browser: the address of the workspace is what stays after login."


def _proxies() -> str:
    """Name the proxy variables of the environment."""
    names = sorted(name for name in os.environ if name.lower().endswith("_proxy"))
    return f"Proxy variables that are set: {', '.join(names) or 'none'}."


_ROWS: tuple[tuple[type[DatabricksError], Callable[[FailedStep], str]], ...] = (
    (DatabricksAuthenticationError, _on_credentials),
    (DatabricksPermissionDeniedError, _on_permission),
    (DatabricksNotFoundError, _on_name),
    (DatabricksTimeoutError, _on_time),
    (DatabricksConnectionError, _on_network),
    (MalformedResponseError, _on_web_page),
)
