"""``dbchat doctor``: test host, sign-in, listing and a question, one line each, and say how to fix the first failure.

Rule 1. It resolves host and credentials with the same code as a model, and then calls as a program would: one request
for the list of endpoints, and one short question.
Rule 2. Who may list may not query, and the other way round: after a refusal of the list, the question is still asked.
After a failure that the question would meet too (who calls, the network), it is not.
Rule 3. There is one advice. It is for the step that decides: the last one that failed.
Rule 4. It prints only the names of variables and headers, and masks secrets in the texts of servers and tools.
"""

from __future__ import annotations

import os
import platform
import time
from typing import TYPE_CHECKING, Any

from langchain_dbchat._version import __version__
from langchain_dbchat.cli.connection import (
    NotSignedInError,
    add_connection,
    chosen_model,
    connection_settings,
    resolve_auth,
)
from langchain_dbchat.cli.doctor_advice import FailedStep, advice_on
from langchain_dbchat.cli.doctor_report import DoctorReport
from langchain_dbchat.cli.exit_codes import ExitCode, exit_code_of
from langchain_dbchat.cli.output import explain, plain
from langchain_dbchat.errors import (
    DatabricksAuthenticationError,
    DatabricksConnectionError,
    DatabricksError,
    DatabricksTimeoutError,
)
from langchain_dbchat.errors.redaction import scrub

if TYPE_CHECKING:
    import argparse

    from langchain_dbchat.auth.resolver import ResolvedAuth

__all__ = ["add_arguments", "examine"]

_PREFIXES = ("DATABRICKS_", "POSIT_PRODUCT", "RSTUDIO_PRODUCT", "CONNECT_", "ARM_", "GOOGLE_", "SSL_CERT_")
_EMBEDDINGS = "llm/v1/embeddings"
_SHOWN = 40  # characters of an answer
_SECONDS = 20.0
_DECISIVE = (DatabricksAuthenticationError, DatabricksConnectionError, DatabricksTimeoutError)
"""What the question would meet too, if the list of endpoints has met it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``dbchat doctor`` to a parser."""
    parser.add_argument("--model", metavar="NAME", help="the endpoint to ask (default: DATABRICKS_MODEL)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--verbose", action="store_true", help="show variables, headers, and each way of signing in")
    add_connection(parser, _SECONDS)


def examine(options: argparse.Namespace) -> int:
    """Test host, sign-in and an endpoint; say what to fix."""
    variables = sorted(name for name in os.environ if name.startswith(_PREFIXES))
    report = DoctorReport(
        {"version": __version__, "python": platform.python_version(), "variables": variables},
        as_json=options.json,
        is_verbose=options.verbose,
    )
    code = _examine(options, report)
    report.end(is_ok=code == ExitCode.OK)
    return code


def _examine(options: argparse.Namespace, report: DoctorReport) -> ExitCode:
    """Take the steps in their order, until one decides."""
    try:
        signed = resolve_auth(options)
    except NotSignedInError as absent:
        report.failed("sign-in" if absent.error.host else "host", absent.error)
        report.advice = explain(absent.error).advice
        return ExitCode.NOT_SIGNED_IN
    report.ok("host", *_where(signed))
    if _sign(signed, report) is not None:
        return ExitCode.NOT_SIGNED_IN
    names: dict[str, str] = {}
    refused = _list(options, signed, names, report)
    if isinstance(refused, _DECISIVE):
        report.advice = advice_on(FailedStep(refused, signed))
        return exit_code_of(refused)
    model = _model(options, signed, names, is_listed=refused is None)
    if model is None and refused is not None:
        report.advice = advice_on(FailedStep(refused, signed))
        return exit_code_of(refused)
    if model is None:
        report.advice = "The connection works. Name an endpoint with --model to ask it a question, too."
        return ExitCode.OK
    return _question(options, signed, model, names, report)


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    """Return the settings of a call that shows the first failure, unless ``--max-retries`` asks for more."""
    return {"max_retries": 0, **connection_settings(options)}


def _where(signed: ResolvedAuth) -> tuple[str, str]:
    """Return where calls go and what named the host, and the workspace's id."""
    workspace = signed.workspace
    kind = "" if workspace.kind == "workspace" else f" ({workspace.kind})"
    address = workspace.origin if workspace.kind == "workspace" else workspace.base_url
    workspace_id = getattr(signed.credentials, "workspace_id", None)
    return plain(f"{address}{kind}, from {signed.host_source}"), f"workspace id {workspace_id}" if workspace_id else ""


def _sign(signed: ResolvedAuth, report: DoctorReport) -> DatabricksError | None:
    """Sign a request, which may ask for a token first."""
    report.begin("sign-in")
    name = signed.credentials.name
    skipped = "\n".join(("skipped before it:", *map(str, signed.skipped))) if signed.skipped else ""
    try:
        headers = ", ".join(sorted(signed.credentials.headers()))
    except DatabricksError as error:
        report.failed("sign-in", error, f"({name}) ", skipped)
        report.advice = advice_on(FailedStep(error, signed))
        return error
    report.ok("sign-in", name, f"signs the headers {headers}" if headers else "", skipped)
    return None


def _list(
    options: argparse.Namespace, signed: ResolvedAuth, names: dict[str, str], report: DoctorReport
) -> DatabricksError | None:
    """List the endpoints, and add their names and tasks to ``names``."""
    from langchain_dbchat.connection.listing import list_endpoints  # noqa: PLC0415  # `dbchat --help` does not need it

    if signed.workspace.kind == "app":  # it is one agent, and lists nothing
        return None
    report.begin("listing")
    try:
        names.update({one.name: one.task for one in list_endpoints(**_settings(options))})
    except DatabricksError as error:
        report.failed("listing", error)
        return error
    what = "models" if signed.workspace.kind == "openai" else "serving endpoints"
    embedders = sum(task == _EMBEDDINGS for task in names.values())
    report.ok("listing", f"{len(names)} {what}{f', {embedders} of them for embeddings' if embedders else ''}")
    return None


def _model(options: argparse.Namespace, signed: ResolvedAuth, names: dict[str, str], *, is_listed: bool) -> str | None:
    """Return the endpoint to ask; an empty name for that of the address, None if there is none to ask."""
    from langchain_dbchat.connection.settings import DEFAULT_MODEL  # noqa: PLC0415  # `dbchat --help` does not need it

    if chosen_model(options):
        return chosen_model(options)
    if signed.workspace.kind == "app" or signed.workspace.endpoint:
        return signed.workspace.endpoint or ""
    is_workspace = signed.workspace.kind != "openai"
    return DEFAULT_MODEL if is_workspace and (DEFAULT_MODEL in names or not is_listed) else None


def _question(
    options: argparse.Namespace, signed: ResolvedAuth, model: str, names: dict[str, str], report: DoctorReport
) -> ExitCode:
    """Ask an endpoint a short question, as a user's program would."""
    report.begin("question")
    try:
        reply = _ask(options, model, is_embedder=names.get(model) == _EMBEDDINGS)
    except DatabricksError as error:
        report.failed("question", error, f"{model}: " if model else "")
        report.advice = advice_on(FailedStep(error, signed, model, names))
        return exit_code_of(error)
    report.ok("question", f"{model or 'the endpoint'} answered {reply}")
    report.advice = "" if names else "You may query this endpoint; a list of endpoints is not needed for that."
    return ExitCode.OK


def _ask(options: argparse.Namespace, model: str, *, is_embedder: bool) -> str:
    """Return what an endpoint answers, in short, and how long that took."""
    settings = {**_settings(options), **({"model": model} if model else {})}
    if is_embedder:
        from langchain_dbchat.embeddings import DatabricksEmbeddings  # noqa: PLC0415  # `--help` does not need it

        embeddings = DatabricksEmbeddings(**settings)
        began = time.monotonic()
        reply = f"a row of {len(embeddings.embed_query('OK'))} numbers"
    else:
        from langchain_dbchat.chat_models import ChatDatabricksCompat  # noqa: PLC0415  # the same

        llm = ChatDatabricksCompat(**settings, max_tokens=64)
        began = time.monotonic()
        reply = repr(scrub(str(llm.invoke("Say OK.").text))[:_SHOWN])
    return f"{reply} in {time.monotonic() - began:.1f} s"
