"""List what a user can query: a workspace's endpoints and model services, or an OpenAI-compatible server's models.

Rule 1. One ``GET /api/2.0/serving-endpoints`` answers all that is listed
(https://docs.databricks.com/api/workspace/servingendpoints/list). If an answer has a ``next_page_token``, the next page
is requested. A gateway's models are listed by its workspace; another server has ``GET /models`` (OpenAI's API).
Rule 2. The model services of ``system.ai`` (https://docs.databricks.com/aws/en/ai-gateway/) are in another list,
``GET /api/2.1/unity-catalog/model-services``, which is requested only if the caller asks for it. Where it is missing,
the workspace has no gateway, and no services are listed.
Rule 3. If the workspace does not report the wire formats of a chat endpoint, those of its model's family are listed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from pydantic_core import from_json

from langchain_dbchat.connection.descriptions import EndpointDescription, names_of, read_description, read_service
from langchain_dbchat.connection.without_model import WorkspaceConnection
from langchain_dbchat.errors import ConfigurationError, DatabricksError, MalformedResponseError
from langchain_dbchat.models.embedding_models import embedding_model_of
from langchain_dbchat.models.families import FAMILIES, OPENAI_COMPATIBLE
from langchain_dbchat.models.profiles import profile_of
from langchain_dbchat.transport.effects import aexecute, execute, post

if TYPE_CHECKING:
    from collections.abc import Generator

    from langchain_core.language_models import ModelProfile

    from langchain_dbchat.connection.session import Session
    from langchain_dbchat.connection.settings import DatabricksConnection
    from langchain_dbchat.models.families import WireName
    from langchain_dbchat.transport.effects import Effect
    from langchain_dbchat.transport.messages import Reply, Request

    Plan = Generator[Effect, Any, list["ListedEndpoint"]]

__all__ = ["ListedEndpoint", "alist_endpoints", "list_endpoints"]

_SERVICES = "/api/2.1/unity-catalog/model-services?parent=schemas/system.ai&page_size=100"
_MISSING = frozenset({404, 405, 501})
"""The statuses of a workspace without the list of services."""
_CHAT = frozenset({"", "llm/v1/chat"})
_EMBEDDINGS = "llm/v1/embeddings"


@dataclass(frozen=True, slots=True)
class ListedEndpoint:
    """An endpoint that can be queried.

    Attributes:
        name: Its name, for ``model=...``.
        task: Its task, such as ``"llm/v1/chat"`` or ``"llm/v1/embeddings"``; empty if the server does not say.
        family: The family of its model, for ``family=...``; for embeddings the model's name.
        wires: The values of ``api=...`` that it serves, best first; empty for embeddings and for unknown tasks.
        profile: What the model can do; None if that is not known.
        is_ready: Whether it answers now; None if the server does not say.
    """

    name: str
    task: str
    family: str
    wires: tuple[WireName, ...]
    profile: ModelProfile | None
    is_ready: bool | None


class _List(NamedTuple):
    """A list of a server.

    Attributes:
        url: Its URL.
        key: The field of the answer that has the entries.
        read: Reads an entry.
    """

    url: str
    key: str
    read: Callable[[Mapping[str, Any]], ListedEndpoint]


def list_endpoints(*, model_services: bool = False, **connection: Any) -> list[ListedEndpoint]:
    """List the endpoints that the caller can query.

    Args:
        model_services: Whether the AI gateway's model services (``system.ai.<model>``) are listed after the endpoints,
            with one more request; none are listed where the workspace has no gateway.
        **connection: Where and who, under the names that the models have: ``host``, ``token``, ``profile``,
            ``base_url``, ``timeout``, ...; missing values are read from the environment.

    Returns:
        The endpoints, in the order of the server.

    Raises:
        ConfigurationError: If there is no host or no way to sign in, or if the address lists nothing.
        DatabricksError: If the server refuses or cannot be reached.
    """
    settings = WorkspaceConnection(**connection)
    return execute(_lists(settings, settings.session().home, model_services=model_services))


async def alist_endpoints(*, model_services: bool = False, **connection: Any) -> list[ListedEndpoint]:
    """Do the same as `list_endpoints` without blocking the event loop."""
    settings = WorkspaceConnection(**connection)
    session = (await settings.asession()).home
    return await aexecute(_lists(settings, session, model_services=model_services))


def _lists(settings: DatabricksConnection, session: Session, *, model_services: bool) -> Plan:
    """Request all lists, and return what they list."""
    workspace = session.workspace
    if workspace.kind == "app":
        raise ConfigurationError(f"{workspace.host} is an app, which has one agent. Give the address of a workspace.")
    if workspace.kind == "openai":
        models = _List(f"{workspace.base_url}/models", "data", _plain_entry)
        return (yield from _pages(settings, session, models))
    endpoints = _List(f"{workspace.origin}/api/2.0/serving-endpoints", "endpoints", _entry)
    found = yield from _pages(settings, session, endpoints)
    if not model_services:
        return found
    services = _List(workspace.origin + _SERVICES, "model_services", _service)
    try:
        return found + (yield from _pages(settings, session, services))
    except DatabricksError as error:
        if error.status_code not in _MISSING:
            raise
        return found


def _pages(settings: DatabricksConnection, session: Session, wanted: _List) -> Plan:
    """Request each page of a list, and return its entries."""
    found: list[ListedEndpoint] = []
    token = ""
    seen: set[str] = set()
    while token not in seen:
        seen.add(token)
        page = f"{'&' if '?' in wanted.url else '?'}page_token={quote(token, safe='')}" if token else ""
        reply: Reply = yield post(session.channel, _request(settings, session, f"{wanted.url}{page}"))
        answer = reply.understood(lambda body: _read(body, session))
        entries = answer.get(wanted.key) or []
        if not isinstance(entries, list):
            raise MalformedResponseError("The list of endpoints is not a list.", host=session.workspace.host)
        found += [wanted.read(entry) for entry in entries if isinstance(entry, Mapping)]
        token = str(answer.get("next_page_token") or "")
    return found


def _request(settings: DatabricksConnection, session: Session, url: str) -> Request:
    from langchain_dbchat.transport.messages import Request  # noqa: PLC0415  # loads with the transport

    headers = dict(settings.default_headers or {})
    return Request(url=url, headers=headers, body=b"", endpoint="", host=session.workspace.host, method="GET")


def _read(body: bytes, session: Session) -> Mapping[str, Any]:
    try:
        answer = from_json(body or b"{}")
    except ValueError:
        answer = None
    if not isinstance(answer, Mapping):
        raise MalformedResponseError("The list of endpoints is not a JSON object.", host=session.workspace.host)
    return answer


def _entry(entry: Mapping[str, Any]) -> ListedEndpoint:
    described = read_description(entry)
    state = entry.get("state")
    ready = state.get("ready") if isinstance(state, Mapping) else None
    return _listed(described, (described.name, *names_of(entry)), None if ready is None else ready == "READY")


def _service(entry: Mapping[str, Any]) -> ListedEndpoint:
    described = read_service(entry)
    return _listed(described, (described.name,), None)


def _listed(described: EndpointDescription, names: tuple[str, ...], is_ready: bool | None) -> ListedEndpoint:
    profile = next(filter(None, map(profile_of, names)), None)
    family, wires = described.family, described.wires
    if described.task == _EMBEDDINGS:
        models = (embedding_model_of(name) for name in names)
        family, wires = next((model.name for model in models if model.pattern is not None), "unknown"), ()
    elif not wires and described.task in _CHAT:
        wires = FAMILIES[family].wires
    return ListedEndpoint(described.name, described.task, family, wires, profile, is_ready)


def _plain_entry(entry: Mapping[str, Any]) -> ListedEndpoint:
    return ListedEndpoint(str(entry.get("id") or ""), "", OPENAI_COMPATIBLE.name, OPENAI_COMPATIBLE.wires, None, None)
