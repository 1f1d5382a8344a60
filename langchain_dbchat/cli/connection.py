"""The options that say where a command's calls go and who signs them; each command that calls has them.

Rule 1. A token is given by the name of its variable, because a token on the command line stays in the shell's history.
Rule 2. Host and credentials are resolved with the same code as a model's, before anything is sent.
"""

from __future__ import annotations

import argparse
import os
import re
from typing import TYPE_CHECKING, Any

from langchain_dbchat.errors import ConfigurationError

if TYPE_CHECKING:
    from langchain_dbchat.auth.resolver import ResolvedAuth

__all__ = ["NotSignedInError", "add_connection", "chosen_model", "connection_settings", "resolve_auth"]

_VARIABLE = re.compile("[A-Z][A-Z0-9_]*")


class NotSignedInError(Exception):
    """There is no host, or there are no credentials.

    Args:
        error: Which of them, and where it was looked for.
    """

    def __init__(self, error: ConfigurationError) -> None:
        super().__init__(error)
        self.error = error


def add_connection(parser: argparse.ArgumentParser, timeout: float | None = None) -> None:
    """Add the options of the connection to a parser.

    Args:
        parser: The parser.
        timeout: The default of ``--timeout`` in seconds; None for that of the models.
    """
    group = parser.add_argument_group("connection")
    group.add_argument("--host", metavar="URL", help="the workspace (default: as the models find it)")
    group.add_argument("--base-url", metavar="URL", help="an OpenAI-compatible server instead of a workspace")
    group.add_argument("--token-env", metavar="NAME", help="the environment variable with the token")
    group.add_argument("--profile", metavar="NAME", help="a profile of ~/.databrickscfg")
    group.add_argument("--auth-type", metavar="TYPE", help="the only way of signing in to try, such as databricks-cli")
    shown = "that of the models" if timeout is None else f"{timeout:g}"
    group.add_argument(
        "--timeout", type=_seconds, default=timeout, metavar="SECONDS", help=f"per request (default: {shown})"
    )
    group.add_argument(
        "--max-retries", type=int, metavar="N", help="how often a request is sent again (default: that of the models)"
    )
    group.add_argument("--allow-http", action="store_true", help="permit http:// to a host that is not this machine")


def connection_settings(options: argparse.Namespace) -> dict[str, Any]:
    """Return the settings of a model's connection, without those that were not given.

    Args:
        options: The options of the command line.

    Returns:
        Arguments of a model.

    Raises:
        NotSignedInError: If the variable of ``--token-env`` is not set.
    """
    settings = {
        "host": options.host,
        "base_url": options.base_url,
        "token": _token(options.token_env),
        "config_profile": options.profile,
        "auth_type": options.auth_type,
        "allow_http": options.allow_http or None,
        "timeout": options.timeout,
        "max_retries": options.max_retries,
    }
    return {name: value for name, value in settings.items() if value is not None}


def resolve_auth(options: argparse.Namespace) -> ResolvedAuth:
    """Find the host and the credentials, without sending anything.

    Args:
        options: The options of the command line.

    Returns:
        What was found.

    Raises:
        NotSignedInError: If there is no host, or if no way of signing in applies.
    """
    from langchain_dbchat.auth.resolver import resolve  # noqa: PLC0415  # `dbchat --help` does not need it
    from langchain_dbchat.auth.settings import AuthSettings  # noqa: PLC0415  # the same

    settings = connection_settings(options)
    settings["profile"] = settings.pop("config_profile", None)
    for name in ("timeout", "max_retries"):
        settings.pop(name, None)
    try:
        return resolve(AuthSettings(**settings))
    except ConfigurationError as error:
        raise NotSignedInError(error) from error


def chosen_model(options: argparse.Namespace) -> str:
    """Return the endpoint that the user named, with ``--model`` or ``DATABRICKS_MODEL``; empty if none."""
    name: str = options.model or os.environ.get("DATABRICKS_MODEL", "")
    return name


def _token(variable: str | None) -> str | None:
    if variable is None:
        return None
    token = os.environ.get(variable, "").strip()
    if not token:
        # A token that is given in place of a variable's name must not be printed.
        name = variable if _VARIABLE.fullmatch(variable) else "a variable"
        raise NotSignedInError(
            ConfigurationError(f"--token-env names {name}, which is not set. Give the name of a variable that is set.")
        )
    return token


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return seconds
