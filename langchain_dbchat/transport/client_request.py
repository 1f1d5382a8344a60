"""Write the request of one attempt for a client of httpx: one of our own, or the user's.

Rule 1. A user's client adds its own headers, cookies and parameters to a call. To a request that signs in it adds its
headers alone: its cookies and parameters may be those of another caller.
Rule 2. For our own clients, `build_request` is not used: it merges headers, cookies and parameters that they do not
have, and copies all headers once more to add the two that frame a body.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_dbchat.transport.messages import Request

__all__ = ["parse_url", "request_of_ours", "request_of_user", "setting_of"]


def setting_of(client: httpx.Client | httpx.AsyncClient | None) -> str:
    """Return the name of the setting that a user's client is given as.

    Args:
        client: The client.
    """
    return "http_async_client" if isinstance(client, httpx.AsyncClient) else "http_client"


@lru_cache(maxsize=128)
def parse_url(text: str) -> httpx.URL:
    """Return a parsed URL, from a cache, because parsing takes as long as writing the rest of a request.

    Args:
        text: The URL.

    Raises:
        httpx.InvalidURL: The text is not a URL.
    """
    try:
        url = httpx.URL(text)
        _ = url.host  # raises for a name in another alphabet that is not valid
    except UnicodeError as error:
        raise httpx.InvalidURL(str(error)) from None
    return url


def request_of_ours(
    request: Request, url: httpx.URL, headers: Mapping[str, str], extensions: dict[str, Any]
) -> httpx.Request:
    """Write a request for one of our own clients.

    Args:
        request: The request.
        url: Its URL.
        headers: Its headers, those that sign it too.
        extensions: What httpx hands on to the transport.
    """
    headers = {"host": url.netloc.decode("ascii"), **headers}
    if request.method != "GET":
        headers["content-length"] = str(len(request.body))
    stream = httpx.ByteStream(request.body)
    built = httpx.Request(request.method, url, headers=headers, stream=stream, extensions=extensions)
    built.read()
    return built


def request_of_user(
    client: httpx.Client | httpx.AsyncClient, request: Request, headers: Mapping[str, str], extensions: dict[str, Any]
) -> httpx.Request:
    """Write a request for a user's client.

    Args:
        client: The client.
        request: The request.
        headers: Its headers, those that sign it too.
        extensions: What httpx hands on to the transport.
    """
    body = request.body or None
    if request.purpose is None:
        return client.build_request(request.method, request.url, headers=headers, content=body, extensions=extensions)
    merged = client.headers.copy()
    merged.pop("cookie", None)
    merged.update(headers)
    url = parse_url(request.url)
    return httpx.Request(request.method, url, headers=merged, content=body, extensions=extensions)
