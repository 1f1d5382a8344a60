"""Address the requests of a model, and choose the row of the model that receives them."""

from __future__ import annotations

import json
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
    from langchain_dbchat.errors import DatabricksError
    from langchain_dbchat.routing.routes import Gateway, Paths, Route
    from langchain_dbchat.transport.messages import Request

_SIZE_LIMITED = frozenset({"workspace", "gateway", "optimized"})
"""The kinds of addresses with a documented maximum size of a request."""

NO_URL = frozenset({404, 405, 501})
"""What a server answers at a URL that it does not have, as a workspace without an AI gateway does (litellm #31213)."""

_TAGS = "Databricks-Ai-Gateway-Request-Tags"


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
    route: int = 0,
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
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
        route: Which of the operation's URLs is used, by its place; the last one if there are fewer.
        headers: Headers of this call; they override those of the constructor.
        query: Query parameters of this call; they override those of the constructor.
        tags: Labels of this call for the gateway's usage table; None for those of the constructor.
        streaming: Whether the answer is read as a stream.
        is_last: Returns whether an event is the last one of a stream.

    Returns:
        The request, unsigned.

    Raises:
        ConfigurationError: If the body contains a value that JSON cannot represent.
        DatabricksInvalidRequestError: If the body is larger than `max_request_bytes`.
    """
    from langchain_dbchat.transport.messages import Request  # noqa: PLC0415  # loads with the transport

    found = _routes_of(settings, session, paths, model)
    url, name = found[min(route, len(found) - 1)]
    if name is not None:
        body = {"model": name, **body}
    if settings.default_query or query:
        url = f"{url}?{_query({**(settings.default_query or {}), **(query or {})})}"
    ours: dict[str, str] = {}
    if settings.user_agent:
        from langchain_dbchat.transport.headers import user_agent  # noqa: PLC0415  # loads with the transport

        ours["user-agent"] = user_agent(settings.user_agent)
    tags = settings.request_tags if tags is None else tags
    if tags:
        ours[_TAGS] = _written_tags(tags)
    return Request(
        url=url,
        headers={**ours, **(settings.default_headers or {}), **(headers or {})},
        body=_written(body, settings, session, model),
        endpoint=model,
        host=session.workspace.host,
        streaming=streaming,
        is_last=is_last,
    )


def _written(body: dict[str, Any], settings: DatabricksConnection, session: Session, model: str) -> bytes:
    """Return a body as JSON; raise if that is not possible, or if it is larger than `max_request_bytes`."""
    written = written_json(body)
    limit, size = settings.max_request_bytes, len(written)
    if limit is not None and size > limit and session.workspace.kind in _SIZE_LIMITED:
        from langchain_dbchat.transport.request_size import request_too_large  # noqa: PLC0415  # where something went wrong

        raise request_too_large(body, size, limit, endpoint=model, host=session.workspace.host)
    return written


def _query(parameters: Mapping[str, str]) -> str:
    try:
        return urlencode(parameters)
    except UnicodeEncodeError as error:
        raise ConfigurationError(
            f"{error.object!r} contains half of a surrogate pair, which no URL can contain. Look at default_query and "
            "extra_query."
        ) from error


def written_json(body: Mapping[str, Any]) -> bytes:
    """Return a body as JSON.

    Args:
        body: The body.

    Raises:
        ConfigurationError: If it contains a value that JSON cannot represent.
    """
    try:
        return to_json(body)
    except PydanticSerializationError as error:
        raise ConfigurationError(f"The request contains a value that cannot be written as JSON: {error}") from error


def next_route(  # noqa: PLR0913, PLR0917  # the parts of one request
    error: DatabricksError, settings: DatabricksConnection, session: Session, paths: Paths, model: str, route: int
) -> int | None:
    """Return the URL to use after an answer that says that a URL does not exist.

    Args:
        error: The answer.
        settings: The settings of the connection.
        session: The connection.
        paths: Where the operation is served.
        model: The endpoint's name.
        route: The place of the URL that was used.

    Returns:
        The place of the next one; None if the error means something else, or if there is no other.
    """
    if error.status_code not in NO_URL:
        return None
    found = _routes_of(settings, session, paths, model)
    return route + 1 if route + 1 < len(found) else None


def _routes_of(settings: DatabricksConnection, session: Session, paths: Paths, model: str) -> tuple[Route, ...]:
    gateway: Gateway = "service" if settings.use_ai_gateway else ""
    return routes(session.workspace, paths, model, "native" if settings.use_ai_gateway_native_api else gateway)


def _written_tags(tags: Mapping[str, str]) -> str:
    given: Mapping[Any, Any] = tags
    for key, value in given.items():
        if not (isinstance(key, str) and isinstance(value, str)):
            raise ConfigurationError(f"request_tags: the key {key!r} and its value have to be strings.")
    return json.dumps(dict(tags))  # ASCII alone, as a header has to be
