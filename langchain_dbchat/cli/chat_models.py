"""The chat model of a command, and the options that choose it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_dbchat.cli.connection import add_connection, chosen_model, connection_settings, resolve_auth
from langchain_dbchat.cli.exit_codes import UsageError

if TYPE_CHECKING:
    import argparse

    from langchain_dbchat.chat_models import ChatDatabricksCompat

__all__ = ["add_model", "chat_model"]

_APIS = ("auto", "chat", "responses", "messages", "agent")


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add the options of a chat model and of its connection to a parser."""
    parser.add_argument("--model", metavar="NAME", help="the endpoint to ask (default: DATABRICKS_MODEL)")
    parser.add_argument("--system", metavar="TEXT", help="the system message")
    parser.add_argument("--api", choices=_APIS, default="auto", help="the API to call (default: auto)")
    parser.add_argument("--reasoning-effort", metavar="LEVEL", help="how much to reason: none, low, medium, high, ...")
    parser.add_argument("--max-tokens", type=int, metavar="N", help="the longest answer, in tokens")
    add_connection(parser)


def chat_model(options: argparse.Namespace) -> ChatDatabricksCompat:
    """Make the model that the options choose.

    Args:
        options: The options of the command line.

    Returns:
        The model.

    Raises:
        NotSignedInError: If there is no host, or nobody is signed in.
        UsageError: If no model is named for a server that has no default.
        ConfigurationError: If a setting is wrong.
    """
    from langchain_dbchat.chat_models import ChatDatabricksCompat  # noqa: PLC0415  # `dbchat --help` does not need it
    from langchain_dbchat.connection.settings import DEFAULT_MODEL  # noqa: PLC0415  # the same

    workspace = resolve_auth(options).workspace
    name = chosen_model(options)
    if not name and workspace.kind == "openai":
        raise UsageError("Name a model of this server with --model; `dbchat models` lists them.")
    if not name and workspace.kind != "app" and not workspace.endpoint:
        name = DEFAULT_MODEL
    settings = connection_settings(options)
    for key, value in (
        ("model", name),
        ("reasoning_effort", options.reasoning_effort),
        ("max_tokens", options.max_tokens),
    ):
        if value:
            settings[key] = value
    return ChatDatabricksCompat(**settings, api=options.api)
