"""One request to a token endpoint, by a client of httpx that is used for this one token.

Rule 1. A timeout is a deadline for the whole answer, however its bytes come.

Rule 2. An answer has `LARGEST` bytes, decompressed. Tokens have a few kilobytes.
"""

from __future__ import annotations

import time
import zlib
from typing import TYPE_CHECKING, Any

from langchain_dbchat.errors import MalformedResponseError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import httpx

    from langchain_dbchat.auth.grants import TokenRequest

# The largest answer that is read, in bytes.
LARGEST = 1024 * 1024

Raw = tuple[int, "Mapping[str, str]", bytes]  # status, headers, body


def _post_options(request: TokenRequest) -> dict[str, Any]:
    """How both clients post."""
    headers = {
        "Authorization": request.authorization.get_secret_value(),
        "Accept": "application/json",
        "Accept-Encoding": "identity",
    }
    return {"headers": headers, "data": dict(request.form)}


def ask(client: httpx.Client, request: TokenRequest, timeout: float) -> Raw:
    """Send the request, and read an answer that is neither too large nor too slow."""
    until = time.monotonic() + timeout
    options = {**_post_options(request), "extensions": {"trace": lambda event, info: _hurry(event, info, until)}}
    raw = bytearray()
    with client.stream("POST", request.url, **options) as response:
        for piece in response.iter_raw():
            raw += piece
            if len(raw) > LARGEST:
                break
    return _checked(request, response, bytes(raw))


async def aask(client: httpx.AsyncClient, request: TokenRequest) -> Raw:
    """Do the same in a task, whose caller looks at the clock."""
    raw = bytearray()
    async with client.stream("POST", request.url, **_post_options(request)) as response:
        async for piece in response.aiter_raw():
            raw += piece
            if len(raw) > LARGEST:
                break
    return _checked(request, response, bytes(raw))


def _hurry(event: str, info: Mapping[str, Any], until: float) -> None:
    """Let the reads of a new connection end by a time; httpx's own timeout restarts with every byte.

    httpcore says in a trace that it has made a connection (https://www.encode.io/httpcore/extensions/). Each client
    here is used for one token, so each connection is a new one.
    """
    if not event.endswith(("connect_tcp.complete", "start_tls.complete")):
        return
    stream = info["return_value"]
    read: Callable[..., bytes] = stream.read

    def in_time(max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG001 - as httpcore's own read
        import httpx  # noqa: PLC0415 - importing the package must not load httpx

        left = until - time.monotonic()
        if left <= 0:
            raise httpx.ReadTimeout("the answer did not end")
        return read(max_bytes, timeout=left)

    stream.read = in_time


def _checked(request: TokenRequest, response: httpx.Response, raw: bytes) -> Raw:
    """Take out of a response what is decided on."""
    if response.headers.get("content-encoding", "identity").lower() != "identity":  # not asked for
        try:
            raw = zlib.decompressobj(32 + zlib.MAX_WBITS).decompress(raw, LARGEST + 1)
        except zlib.error:
            raw = b""
    if len(raw) > LARGEST:
        raise MalformedResponseError(
            f"{request.purpose} to {request.url} failed: the answer is larger than {LARGEST} bytes, so it is no token. "
            "Check the host.",
            status_code=response.status_code,
            auth=request.step,
        )
    return response.status_code, response.headers, raw
