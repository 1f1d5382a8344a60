"""Search arguments and environment for the host and the credentials.

Rule 1. Nothing here uses the network, imports httpx or starts a process. What only an attempt shows (has somebody
signed in with the CLI?) is left to the first request (see `chain`).
Rule 2. The ways of signing in and their order are the rows of `steps`.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, NamedTuple

from langchain_dbchat.auth.chain import ChainedCredentials, Skipped
from langchain_dbchat.auth.credentials import Anonymous, CallableToken, StaticToken
from langchain_dbchat.auth.destinations import ADVICE, withheld
from langchain_dbchat.auth.search import Search
from langchain_dbchat.auth.steps import FOREIGN, STEPS, Step
from langchain_dbchat.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_dbchat.auth.settings import AuthSettings
    from langchain_dbchat.routing.address import Workspace
    from langchain_dbchat.transport.signing import Credentials

logger = logging.getLogger(__name__)


class ResolvedAuth(NamedTuple):
    """What a search found.

    Args:
        workspace: Where requests go.
        credentials: Who signs them; the headers include `X-Databricks-Workspace-Id` where a workspace id is known.
        step: The way of signing in that applied.
        host_source: What named the host.
        skipped: The ways before it, and why each did not apply.
        variables: The variables of the environment that were read, whether they are set or not.
    """

    workspace: Workspace
    credentials: Credentials
    step: str
    host_source: str
    skipped: tuple[Skipped, ...] = ()
    variables: tuple[str, ...] = ()


def resolve(settings: AuthSettings, environ: Mapping[str, str] | None = None) -> ResolvedAuth:
    """Find out where requests go and who signs them.

    Args:
        settings: What the user said.
        environ: The environment; `os.environ` by default.

    Returns:
        Both, and how they were found.

    Raises:
        ConfigurationError: There is no host, an argument cannot work, or no way of signing in applies; the last lists
            them all.
    """
    search = Search(settings, os.environ if environ is None else environ)
    workspace = search.workspace
    skipped: list[Skipped] = []
    found: list[tuple[Step, Credentials]] = []
    for step in _rows(search):
        answer = _attempt(step, search)
        if isinstance(answer, str):
            skipped.append(Skipped(step.name, answer))
            continue
        found.append((step, answer))
        if not step.is_tentative:
            break
    if not found and workspace.kind == "openai" and search.wanted is None and not _withheld(search):
        # A server of one's own (vLLM, llama.cpp) need not ask who calls; one that does answers 401 and says so. Where
        # a token stands in the environment that does not belong there, the user decides.
        return ResolvedAuth(
            workspace, Anonymous(), "nobody", search.host.source, tuple(skipped), tuple(search.variables)
        )
    if not found:
        raise _nobody(search, skipped)
    is_open = found[0][0].is_tentative and search.wanted is None
    if is_open and workspace.hostname.endswith(".azuredatabricks.net"):
        found.reverse()  # if there is an Azure identity, it is more likely meant than the CLI
    chosen, credentials = found[0]
    if is_open:
        credentials = ChainedCredentials([candidate for _, candidate in found], skipped)
    credentials = _for_host(credentials, search, is_given=_is_given(*found[0]))
    logger.debug("Calls to %s (%s) are signed by %s", workspace.host, search.host.source, credentials.name)
    return ResolvedAuth(
        workspace, credentials, chosen.name, search.host.source, tuple(skipped), tuple(search.variables)
    )


def _for_host(credentials: Credentials, search: Search, *, is_given: bool) -> Credentials:
    """Return credentials that do what the host asks for besides a signature."""
    workspace = search.workspace
    login = search.login.workspace if workspace.kind == "optimized" and search.login else None
    workspace_id = search.workspace_id or (login.workspace_id if login else None)
    if workspace_id:
        from langchain_dbchat.auth.derived import ForWorkspace  # noqa: PLC0415  # few callers name one

        credentials = ForWorkspace(credentials, workspace_id)
    if workspace.kind not in {"app", "optimized"}:
        return credentials
    from langchain_dbchat.auth.oauth_only import OAuthOnly  # noqa: PLC0415  # for these hosts only

    if workspace.kind == "app":
        return OAuthOnly(credentials, f"The app at {workspace.host}")
    if login is None and not is_given:
        raise ConfigurationError(
            f"{workspace.host} is the host of a route-optimized endpoint, whose tokens come from its workspace, and no "
            "workspace is known. Set DATABRICKS_HOST to its address, or name a profile of it with profile=....",
            host=workspace.host,
            auth=credentials.name,
        )
    from langchain_dbchat.auth.endpoint_tokens import EndpointCredentials  # noqa: PLC0415  # for such endpoints only

    signer = OAuthOnly(credentials, f"The route-optimized endpoint at {workspace.host}")
    return EndpointCredentials(signer, workspace, login, is_given=is_given, clients=search.settings.clients)


def _is_given(step: Step, credentials: Credentials) -> bool:
    """Return whether the user gave the token that is sent, so that it may be a token of the endpoint."""
    return step.name == "credentials argument" or isinstance(credentials, (StaticToken, CallableToken))


def _withheld(search: Search) -> bool:
    """Return whether the environment contains a token that is not sent to a foreign server."""
    return bool(search.env("DATABRICKS_TOKEN") or search.env("DATABRICKS_API_KEY"))


def _rows(search: Search) -> tuple[Step, ...]:
    """Return the rows that have a say."""
    wanted = search.wanted
    if wanted is None:
        return STEPS
    named = tuple(step for step in STEPS if wanted in step.auth_types) or STEPS[-1:]
    return tuple(step for step in STEPS if step.is_object or step in named)


def _attempt(step: Step, search: Search) -> Credentials | str:
    """Ask a row, and refuse its answer if its secret would be sent to a host that it does not belong to."""
    if search.workspace.kind == "openai" and not (step.is_argument or step.is_for_any_host):
        return FOREIGN
    answer = step.attempt(search)
    if isinstance(answer, str) or step.is_given:
        return answer
    reason = withheld(search, step.owner(search))
    if reason is None:
        return answer
    if step.is_argument:
        raise ConfigurationError(
            f"The {step.name} cannot be used: {reason}. {ADVICE}.", host=search.workspace.host, auth=answer.name
        )
    search.is_withheld = True
    return reason


def _nobody(search: Search, skipped: list[Skipped]) -> ConfigurationError:
    """Return the error for a search without a find."""
    wanted = search.wanted
    asked = f" with auth_type {wanted!r}" if wanted else ""
    lines = "\n".join(map(str, skipped))
    is_stranger = search.is_withheld or search.workspace.kind == "openai"
    advice = ADVICE if is_stranger else "Pass token=..., or set DATABRICKS_TOKEN, or run `databricks auth login`"
    return ConfigurationError(
        f"No credentials for {search.workspace.host} (from {search.host.source}){asked}. Looked at, in this "
        f"order:\n{lines}\n{advice}.",
        host=search.workspace.host,
    )
