"""Find the Databricks app that a model's name means: ``model="apps/<name>"``.

Rule 1. ``apps/<name>`` is a name of clients, not of the server (databricks-openai): the workspace knows the app's URL
    (https://docs.databricks.com/api/workspace/apps/get), and requests go there. The URL is looked up before the first
    call and cached for the process.
Rule 2. Apps accept OAuth tokens only, so a personal access token is refused before the lookup.
Rule 3. The workspace's tokens are sent only to an https address of Databricks' apps, or, if the workspace is on this
    machine, to this machine.
Rule 4. Apps with agents use Responses, unless the URL says something else (mlflow/genai/agent_server).
Rule 5. An app that the workspace reports as stopped is not called: its host name does not exist in DNS.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pydantic_core import from_json

from langchain_dbchat.connection.endpoints import APPS, endpoint_of
from langchain_dbchat.errors import ConfigurationError, DatabricksAPIError, MalformedResponseError
from langchain_dbchat.transport.effects import post

if TYPE_CHECKING:
    from collections.abc import Generator

    from langchain_dbchat.connection.session import Session
    from langchain_dbchat.routing.address import Workspace
    from langchain_dbchat.transport.effects import Effect
    from langchain_dbchat.transport.messages import Reply, Request

__all__ = ["find_app"]

_STOPPED = frozenset({"STOPPED", "STOPPING", "DELETING"})


def find_app(session: Session, model: str) -> Generator[Effect, Any, Session]:
    """Plan the lookup of an app's URL, if it is not known.

    Args:
        session: The connection to the workspace.
        model: The name, such as ``"apps/helper"``.

    Returns:
        The plan; it returns a connection to the app with the same caller.

    Raises:
        ConfigurationError: If the name of the app is missing, the credentials are a personal access token, or the URL
            is not that of an app.
        DatabricksAPIError: If the app is stopped.
        DatabricksError: If the lookup fails.
    """
    if not model.removeprefix(APPS).strip("/"):
        raise ConfigurationError(f"model={model!r} does not name an app. Write model='apps/<name of the app>'.")
    record, signed = endpoint_of(session.address, model), _with_oauth(session, model)
    if record.app_url is None:
        reply: Reply = yield post(signed.channel, _lookup_request(session.workspace, model))
        record.app_url = _url_in(reply, session, model)
    return _at(signed, record.app_url)


def _with_oauth(session: Session, model: str) -> Session:
    from langchain_dbchat.auth.oauth_only import OAuthOnly  # noqa: PLC0415  # loads at the first call only

    credentials = OAuthOnly(session.credentials, f"The app {model.removeprefix(APPS)!r}")
    return session._replace(channel=session.channel.signed_by(credentials), credentials=credentials)


def _lookup_request(workspace: Workspace, model: str) -> Request:
    from langchain_dbchat.transport.messages import Request  # noqa: PLC0415  # loads with the transport

    name = model.removeprefix(APPS)
    url = f"{workspace.origin}/api/2.0/apps/{quote(name, safe='')}"
    return Request(url=url, headers={}, body=b"", endpoint=name, host=workspace.host, method="GET")


def _url_in(reply: Reply, session: Session, model: str) -> str:
    """Return the URL in the description of an app."""
    where: dict[str, Any] = {"endpoint": model, "host": session.workspace.host}
    try:
        app: Any = from_json(reply.body)
    except ValueError:
        raise MalformedResponseError("The description of the app is not JSON.", **where) from None
    app = app if isinstance(app, dict) else {}
    state = _state_of(app)
    if state in _STOPPED:
        raise DatabricksAPIError(
            f"The app {model.removeprefix(APPS)!r} is {state.lower()}, so it does not answer. Start it under "
            "Compute > Apps, or with `databricks apps start`.",
            error_code=state,
            **where,
        )
    url = app.get("url")
    if not isinstance(url, str) or not url:
        raise DatabricksAPIError(
            f"The workspace reports no URL for the app {model.removeprefix(APPS)!r}: it was never deployed. Deploy "
            "it under Compute > Apps.",
            **where,
        )
    workspace = _address_of(url)
    if not (workspace.kind == "app" or (workspace.is_loopback and session.workspace.is_loopback)):
        raise ConfigurationError(
            f"The workspace says that the app {model.removeprefix(APPS)!r} is at {workspace.host}, which is not a "
            "host of Databricks Apps. The workspace's token is not sent there; give the app's URL as host=... and a "
            "token of its own.",
            **where,
        )
    return url


def _state_of(app: dict[str, Any]) -> str:
    compute = app.get("compute_status")
    return str(compute.get("state") or "") if isinstance(compute, dict) else ""


def _address_of(url: str) -> Workspace:
    from langchain_dbchat.routing.address import parse_workspace  # noqa: PLC0415  # only for apps

    return parse_workspace(url, plain=True)


def _at(session: Session, url: str) -> Session:
    address = _address_of(url)
    return session._replace(workspace=replace(address, kind="app", wire=address.wire or "responses"))
