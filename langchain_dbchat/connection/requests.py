"""Address the requests of a model, and choose the row of the model that receives them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from pydantic_core import PydanticSerializationError, to_json

from langchain_dbchat.errors import ConfigurationError
from langchain_dbchat.models.families import OPENAI_COMPATIBLE, Family, family_of
from langchain_dbchat.routing.routes import routes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from langchain_dbchat.connection.session import Session
    from langchain_dbchat.connection.settings import DatabricksConnection
    from langchain_dbchat.routing.routes import Paths
    from langchain_dbchat.transport.exchange import Request

_SIZE_LIMITED = frozenset({"workspace", "gateway"})
"""The kinds of addresses with a documented maximum size of a request."""


def family_for(settings: DatabricksConnection, model: str, override: str | None = None) -> Family:
    """Return the row of the called model.

    Args:
        settings: The settings of the connection.
        model: The endpoint's name.
        override: A row's name.

    Returns:
        The row that ``override`` names, the row for other servers, or the row for the endpoint's name.

    Raises:
        ValueError: If ``override`` is not the name of a row.
    """
    return OPENAI_COMPATIBLE if override is None and is_plain_server(settings) else family_of(model, override)


def is_plain_server(settings: DatabricksConnection) -> bool:
    """Return whether ``base_url`` belongs to a server that is not a Databricks workspace.

    Args:
        settings: The settings of the connection.

    Returns:
        True for any other OpenAI-compatible server.
    """
    if settings.base_url is None:
        return False
    from langchain_dbchat.routing.address import parse_workspace  # noqa: PLC0415  # few programs give base_url

    return parse_workspace(settings.base_url, allow_http=settings.allow_http, plain=True).kind == "openai"


def address_request(  # noqa: PLR0913  # the parts of one request, the last three by keyword
    settings: DatabricksConnection,
    session: Session,
    paths: Paths,
    model: str,
    body: dict[str, Any],
    *,
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
    streaming: bool = False,
    is_last: Callable[[bytes], bool] | None = None,
) -> Request:
    """Return an addressed request with its serialized body.

    Args:
        settings: The settings of the connection.
        session: The connection.
        paths: Where the operation is served.
        model: The endpoint's name.
        body: The body.
        headers: Headers of this call; they override those of the constructor.
        query: Query parameters of this call; they override those of the constructor.
        streaming: Whether the answer is read as a stream.
        is_last: Tells whether an event is the last one of a stream.

    Returns:
        The request, unsigned.

    Raises:
        ConfigurationError: If the body contains a value that JSON cannot represent.
        DatabricksInvalidRequestError: If the body is larger than `max_request_bytes`.
    """
    from langchain_dbchat.transport.attempt import user_agent  # noqa: PLC0415  # loads httpx: first call only
    from langchain_dbchat.transport.exchange import Request  # noqa: PLC0415  # loads with the transport
    from langchain_dbchat.transport.request_size import check_size  # noqa: PLC0415  # loads with the transport

    url, names_model = routes(session.workspace, paths, model)[0]
    if names_model:
        body = {"model": model, **body}
    if settings.default_query or query:
        url = f"{url}?{urlencode({**(settings.default_query or {}), **(query or {})})}"
    ours = {"user-agent": user_agent(settings.user_agent)} if settings.user_agent else {}
    try:
        written = to_json(body)
    except PydanticSerializationError as error:
        raise ConfigurationError(f"The request contains a value that cannot be written as JSON: {error}") from error
    if settings.max_request_bytes is not None and session.workspace.kind in _SIZE_LIMITED:
        check_size(body, len(written), settings.max_request_bytes, endpoint=model, host=session.workspace.host)
    return Request(
        url=url,
        headers={**ours, **(settings.default_headers or {}), **(headers or {})},
        body=written,
        endpoint=model,
        host=session.workspace.host,
        streaming=streaming,
        is_last=is_last,
    )
