"""``dbchat doctor``: show where calls go and who signs them, test the connection, and say how to fix a failure.

Rule 1. It resolves host and credentials with the same code as a model, and prints the result: the host and its source,
the way of signing in, and each way that was skipped, with the reason.
Rule 2. It then signs, sends one ``GET`` and, if a model is given, one short question. The last two are independent, and
each failure is printed with advice.
Rule 3. It prints only the names of variables and headers, and masks secrets in the texts of servers and tools.
Rule 4. A token is given by the name of its variable, because a token on the command line stays in the shell's history.
"""

from __future__ import annotations

import difflib
import os
import platform
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json

from langchain_dbchat._version import __version__
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
from langchain_dbchat.errors.redaction import scrub

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from langchain_dbchat.auth.resolver import ResolvedAuth
    from langchain_dbchat.routing.address import Workspace

_PREFIXES = ("DATABRICKS_", "POSIT_PRODUCT", "RSTUDIO_PRODUCT", "CONNECT_", "ARM_", "GOOGLE_", "SSL_CERT_")
_EMBEDDINGS = "llm/v1/embeddings"
_SHOWN = 60  # characters of an answer
_MARGIN = "\n          "

# The advice for each kind of failure; the first match wins. A ConfigurationError contains its own advice.
_ADVICE: tuple[tuple[type[DatabricksError], str], ...] = (
    (ConfigurationError, ""),
    (
        DatabricksAuthenticationError,
        "Make a new token, sign in again (`databricks auth login --host {origin}`), or try --auth-type or --profile.",
    ),
    (
        DatabricksPermissionDeniedError,
        "The credentials are valid, but their owner may not do this. Name an endpoint with --model, or ask an admin.",
    ),
    (DatabricksNotFoundError, "{names}"),
    (DatabricksTimeoutError, "Try again with a larger --timeout. {network}"),
    (DatabricksConnectionError, "Open {origin} in a browser on this machine. {network}"),
    (MalformedResponseError, "Open {origin} in a browser: the address of the workspace is what stays after login."),
    (DatabricksError, "Try again; if it fails again, give the request id to whoever runs the server."),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``dbchat doctor`` to a parser.

    Args:
        parser: The parser.
    """
    parser.add_argument("--host", help="the workspace (default: as the models find it)")
    parser.add_argument("--base-url", help="base URL of an OpenAI-compatible server instead of a workspace")
    parser.add_argument("--token-env", metavar="NAME", help="the environment variable with the token")
    parser.add_argument("--profile", help="a profile of ~/.databrickscfg")
    parser.add_argument("--auth-type", help="the only way of signing in to try, such as pat or databricks-cli")
    parser.add_argument("--model", help="a serving endpoint to ask a short question")
    parser.add_argument("--timeout", type=float, default=30.0, metavar="SECONDS", help="per request (default: 30)")
    parser.add_argument("--allow-http", action="store_true", help="permit http:// to a host that is not this machine")


def examine(options: argparse.Namespace) -> int:
    """Show where calls go and who signs them, test the connection, and say how to fix a failure."""
    _print("doctor", f"langchain-dbchat {__version__}, Python {platform.python_version()}")
    variables = sorted(name for name in os.environ if name.startswith(_PREFIXES))
    _print("set", ", ".join(variables) or "nothing of Databricks")
    try:
        signed = _resolved(options)
    except ConfigurationError as error:
        return _failed(error)
    _print_session(signed)
    try:
        _print("ok", _signature(signed))
    except DatabricksError as error:
        return _failed(error, signed.workspace)
    names: dict[str, str] = {}
    listed = _attempt(signed, lambda: _list(signed, options.timeout, names))
    answered = bool(options.model) and _attempt(signed, lambda: _ask(options, names), names, options.model)
    if listed and not options.model:
        _print("", "Name an endpoint with --model to ask it a question, too.")
    return 0 if (answered if options.model else listed) else 1


def _resolved(options: argparse.Namespace) -> ResolvedAuth:
    """Resolve host and credentials as a model does."""
    from langchain_dbchat.auth.resolver import resolve  # noqa: PLC0415  # `dbchat --help` does not need it
    from langchain_dbchat.auth.settings import AuthSettings  # noqa: PLC0415  # the same

    return resolve(
        AuthSettings(
            host=options.host,
            base_url=options.base_url,
            token=_token(options),
            profile=options.profile,
            auth_type=options.auth_type,
            allow_http=options.allow_http,
        )
    )


def _token(options: argparse.Namespace) -> str | None:
    """Return the token from the variable that ``--token-env`` names, if any."""
    if options.token_env is None:
        return None
    token = os.environ.get(options.token_env, "").strip()
    if not token:
        raise ConfigurationError(f"--token-env names {options.token_env}, which is not set.")
    return token


def _print_session(signed: ResolvedAuth) -> None:
    """Print where calls go, who signs them, and which ways of signing in were skipped."""
    workspace = signed.workspace
    _print("host", f"{workspace.base_url} ({workspace.kind}), from {signed.host_source}")
    workspace_id = getattr(signed.credentials, "workspace_id", None)
    if workspace_id:
        _print("", f"workspace id {workspace_id}")
    _print("sign-in", signed.credentials.name)
    if signed.skipped:
        _print("", "skipped before it:\n" + "\n".join(map(str, signed.skipped)))


def _signature(signed: ResolvedAuth) -> str:
    """Sign a request, and return who signed it and with which headers."""
    names = ", ".join(sorted(signed.credentials.headers()))
    return f"signed by {signed.credentials.name} ({names})"


def _list(signed: ResolvedAuth, timeout: float, names: dict[str, str]) -> str:
    """List the endpoints, or the models of another server, and add their names and tasks to ``names``."""
    from langchain_dbchat.auth.endpoint_tokens import EndpointCredentials  # noqa: PLC0415  # `--help` does not need it
    from langchain_dbchat.transport.channel import Channel, Timeouts  # noqa: PLC0415  # loads httpx
    from langchain_dbchat.transport.exchange import Request, RetryPolicy  # noqa: PLC0415  # the same

    workspace, credentials = signed.workspace, signed.credentials
    if isinstance(credentials, EndpointCredentials):  # the host of a route-optimized endpoint lists nothing
        workspace, credentials = credentials.home()
    is_openai = workspace.kind == "openai"
    url = f"{workspace.base_url}/models" if is_openai else f"{workspace.origin}/api/2.0/serving-endpoints"
    request = Request(url, {}, b"", url.rpartition("/")[2], workspace.host, method="GET")
    channel = Channel(credentials, timeouts=Timeouts.of(timeout), policy=RetryPolicy(max_retries=1))
    body = channel.post(request).body or b""
    names.update(_names(body, "data" if is_openai else "endpoints", "id" if is_openai else "name"))
    embedders = sum(task == _EMBEDDINGS for task in names.values())
    kinds = f", {embedders} of them for embeddings" if embedders else ""
    return f"GET {url}: {len(names)} {'models' if is_openai else 'serving endpoints'}{kinds}"


def _names(body: bytes, key: str, name: str) -> dict[str, str]:
    """Return the names and tasks in a list; entries of an unknown format are left out."""
    try:
        answer = from_json(body)
    except ValueError:
        return {}
    entries: Any = answer.get(key) if isinstance(answer, Mapping) else None
    rows = [entry for entry in entries if isinstance(entry, Mapping)] if isinstance(entries, list) else []
    return {str(row[name]): str(row.get("task") or "") for row in rows if row.get(name)}


def _ask(options: argparse.Namespace, names: Mapping[str, str]) -> str:
    """Ask one endpoint a short question, as a user's program would."""
    settings: dict[str, Any] = {
        "model": options.model,
        "host": options.host,
        "base_url": options.base_url,
        "token": _token(options),
        "config_profile": options.profile,
        "auth_type": options.auth_type,
        "allow_http": options.allow_http,
        "timeout": options.timeout,
        "max_retries": 1,
    }
    began = time.monotonic()
    if names.get(options.model) == _EMBEDDINGS:
        from langchain_dbchat.embeddings import DatabricksEmbeddings  # noqa: PLC0415  # `--help` does not need it

        row = DatabricksEmbeddings(**settings).embed_query("OK")
        reply = f"a row of {len(row)} numbers"
    else:
        from langchain_dbchat.chat_models import ChatDatabricksCompat  # noqa: PLC0415  # the same

        answer = ChatDatabricksCompat(**settings, max_tokens=64).invoke("Say OK.")
        reply = repr(scrub(str(answer.text))[:_SHOWN])
    return f"{options.model} answered {reply} in {time.monotonic() - began:.1f} s"


def _attempt(signed: ResolvedAuth, check: Any, names: Iterable[str] = (), model: str = "") -> bool:
    """Run one check and print its result."""
    try:
        _print("ok", check())
    except DatabricksError as error:
        _failed(error, signed.workspace, names, model)
        return False
    return True


def _failed(
    error: DatabricksError, workspace: Workspace | None = None, names: Iterable[str] = (), model: str = ""
) -> int:
    """Print what failed and how to fix it; return the exit code."""
    _print("FAILED", str(error))
    for note in getattr(error, "__notes__", ()):
        _print("", scrub(note))
    advice = next(text for kind, text in _ADVICE if isinstance(error, kind))
    origin = workspace.origin if workspace else ""
    if advice:
        _print("fix", advice.format(origin=origin, names=_similar(names, model), network=_network()))
    return 1


def _similar(names: Iterable[str], model: str) -> str:
    """Return advice on a name that does not exist."""
    close = difflib.get_close_matches(model, names, n=3, cutoff=0.5)
    if close:
        return f"Did you mean {' or '.join(close)}?"
    return "Check the address and the name. Name an endpoint of the workspace's Serving page with --model."


def _network() -> str:
    """Return which proxy variables the environment has."""
    proxies = sorted(name for name in os.environ if name.lower().endswith("_proxy"))
    return f"Proxy variables that are set: {', '.join(proxies) or 'none'}."


def _print(label: str, text: str) -> None:
    """Print a paragraph with its label in the margin."""
    sys.stdout.write(f"{label:<8}  {_MARGIN.join(text.splitlines())}".rstrip() + "\n")
