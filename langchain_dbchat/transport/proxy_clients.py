"""Clients that go through a given proxy or those of the environment, and what their failures say about the proxy.

Rule 1. A proxy that cannot be used raises when a request would go through it, with its name, its variable and what to
do. A host that NO_PROXY names is called as if it did not exist.

Rule 2. A proxy that cannot be reached, or that answers instead of opening a way (407, 403, 502), is named: the
workspace is not what failed. A refusal that the next attempt meets too (407, 403) is not tried again.

Rule 3. A request to this machine does not go through a proxy, whatever NO_PROXY says: it may be ``http://``, and the
proxy would see its token.

Rule 4. The proxy of a user's own client is named where httpx shows which transport it would choose.
"""

from __future__ import annotations

import re
import socket
import ssl
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import httpx

from langchain_dbchat._loopback import is_loopback
from langchain_dbchat.transport.proxies import (
    GIVEN,
    exemption_error,
    proxy_error,
    proxy_patterns,
    show_address,
    variable_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from http.cookiejar import CookieJar

    from langchain_dbchat.errors import ConfigurationError
    from langchain_dbchat.transport.proxies import ProxySetting

__all__ = ["AsyncProxiedClient", "ProxiedClient", "ProxyFailure", "proxy_failure", "proxy_of", "source_of"]

_ClientOf = TypeVar("_ClientOf", httpx.Client, httpx.AsyncClient)
_PORTS = {b"http": 80, b"https": 443, b"socks5": 1080, b"socks5h": 1080}
_STATUS = re.compile(r"(\d{3})\b")
_ANSWERS: dict[int, str] = {
    407: "It asks for a user name and a password: write them into its address, http://user:password@proxy:port "
    "(with %40 for @).",
    403: "It does not allow {host}. Ask its administrator to allow that host, or let NO_PROXY name it if there is a "
    "direct way.",
}
_PASSING = frozenset({408, 429, 500, 502, 503, 504})
_NO_WAY = "It found no way to {host}: check DATABRICKS_HOST, and whether the proxy may reach it."
_DEAD = "Check {source}: the proxy may be off, or its address wrong. NO_PROXY names hosts that need no proxy."
_NO_NAME = "The proxy's name does not exist in DNS. Check {source}."


class ProxyFailure(NamedTuple):
    """What a failure says about a proxy.

    Attributes:
        what: What happened, without a full stop.
        advice: What to do.
        passes: Whether the next attempt may succeed.
    """

    what: str
    advice: str
    passes: bool


class _Unusable(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Replaces a proxy that cannot be used, and raises when it is used."""

    def __init__(self, error: ConfigurationError) -> None:
        self._error = error

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Raise what is wrong with the proxy."""
        del request
        raise type(self._error)(self._error.message)  # a new one for each call, because a traceback belongs to one

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Raise what is wrong with the proxy."""
        return self.handle_request(request)


class _ExceptLoopback(Generic[_ClientOf]):
    """A client of httpx that goes through proxies, except to this machine; a base class before httpx's own.

    Args:
        direct: The client for requests to this machine.
        context: The TLS context.
        limits: The limits of each pool.
        cookies: The jar.
        given: The proxy that the user has given; None for the environment's.
    """

    transport: Callable[..., httpx.BaseTransport | httpx.AsyncBaseTransport]

    def __init__(
        self,
        direct: _ClientOf,
        context: ssl.SSLContext,
        limits: httpx.Limits,
        cookies: CookieJar,
        given: str | None = None,
    ) -> None:
        mounts = _mounts(given, lambda proxy: self.transport(verify=context, limits=limits, proxy=proxy))
        options: dict[str, Any] = {"verify": context, "limits": limits, "cookies": cookies, "mounts": mounts}
        super().__init__(trust_env=False, **options)  # type: ignore[call-arg]  # of httpx's class, which comes next
        self._direct: _ClientOf = direct
        self.is_given = given is not None


class ProxiedClient(_ExceptLoopback[httpx.Client], httpx.Client):
    """The client for threads."""

    transport = httpx.HTTPTransport

    def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """Send a request through the proxy, or to this machine without it; options as in httpx."""
        return self._direct.send(request) if is_loopback(request.url.host) else super().send(request, **options)

    def end(self, request: httpx.Request) -> None:
        """Note that an exception has ended the call of a request."""
        self._direct.end(request)  # type: ignore[attr-defined]  # a client of ours

    def close(self) -> None:
        """Close both ways."""
        self._direct.close()
        super().close()


class AsyncProxiedClient(_ExceptLoopback[httpx.AsyncClient], httpx.AsyncClient):
    """The client for an event loop."""

    transport = httpx.AsyncHTTPTransport

    async def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """Send a request; as in `ProxiedClient`."""
        if is_loopback(request.url.host):
            return await self._direct.send(request)
        return await super().send(request, **options)

    async def aclose(self) -> None:
        """Close both ways."""
        await self._direct.aclose()
        await super().aclose()


def _mounts(
    given: str | None, make: Callable[[str], httpx.BaseTransport | httpx.AsyncBaseTransport]
) -> dict[str, httpx.BaseTransport | httpx.AsyncBaseTransport | None]:
    mounts: dict[str, httpx.BaseTransport | httpx.AsyncBaseTransport | None] = {}
    is_readable = True
    for pattern, setting in proxy_patterns(given):
        if setting is not None:
            mounts[pattern] = _transport(setting, make)
        elif _can_be_read(pattern):
            mounts[pattern] = None
        else:
            is_readable = False
    if is_readable:
        return mounts
    unusable = _Unusable(exemption_error())
    return {pattern: None if transport is None else unusable for pattern, transport in mounts.items()}


def _can_be_read(pattern: str) -> bool:
    try:
        _ = httpx.URL(pattern).host
    except (ValueError, httpx.InvalidURL):
        return False
    return True


def _transport(
    setting: ProxySetting, make: Callable[[str], httpx.BaseTransport | httpx.AsyncBaseTransport]
) -> httpx.BaseTransport | httpx.AsyncBaseTransport:
    try:
        _check_host(httpx.URL(setting.address))
        return make(setting.address)
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        return _Unusable(proxy_error(error, setting))


def _check_host(url: httpx.URL) -> None:
    """Raise a ValueError if the address has no host, or one that Python's sockets cannot look up."""
    if not url.host:
        raise ValueError
    url.raw_host.decode("ascii").encode("idna")


def proxy_of(client: httpx.Client | httpx.AsyncClient | None, url: str) -> str | None:
    """Find the proxy that a client uses for a URL.

    Args:
        client: The client; None if it is not known.
        url: The URL.

    Returns:
        ``host:port``; None if there is no proxy, or if the client does not show it.
    """
    if isinstance(client, (ProxiedClient, AsyncProxiedClient)) and is_loopback(httpx.URL(url).host):
        return None
    choose = getattr(client, "_transport_for_url", None)  # httpx offers no other way to ask
    transport = None if choose is None else choose(httpx.URL(url))
    place = getattr(getattr(transport, "_pool", None), "_proxy_url", None)
    if place is None:
        return None
    host = place.host.decode("ascii", "replace")
    port = place.port or _PORTS.get(place.scheme, 0)
    return show_address(f"{place.scheme.decode()}://{f'[{host}]' if ':' in host else host}:{port}")


def source_of(client: httpx.Client | httpx.AsyncClient | None, proxy: str) -> str:
    """Return what says that a client uses a proxy: the setting, a variable, or the user's own client.

    Args:
        client: The client.
        proxy: The proxy, ``host:port``.
    """
    if isinstance(client, (ProxiedClient, AsyncProxiedClient)) and client.is_given:
        return GIVEN
    return variable_of(proxy) or ("http_async_client" if isinstance(client, httpx.AsyncClient) else "http_client")


def proxy_failure(error: Exception, proxy: str, host: str, source: str) -> ProxyFailure | None:
    """Find what a failure says about the proxy.

    Args:
        error: The exception of httpx.
        proxy: The proxy, ``host:port``.
        host: The host that was called.
        source: What says that the proxy is used.

    Returns:
        What happened; None if it is not the proxy that failed.
    """
    name, text = f"{proxy} ({source})", str(error) or type(error).__name__
    causes = list(_causes(error))
    if isinstance(error, httpx.ProxyError):
        found = _STATUS.match(text)
        status = int(found[1]) if found else 0
        advice = _ANSWERS.get(status, _NO_WAY)
        passes = not status or status in _PASSING
        return ProxyFailure(
            f"The proxy {name} answered {text!r} instead of opening a way to {host}", advice.format(host=host), passes
        )
    if not isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout)):
        return None
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        return None
    if any(isinstance(cause, socket.gaierror) and cause.errno == socket.EAI_NONAME for cause in causes):
        return ProxyFailure(f"The proxy {name} cannot be reached: {text}", _NO_NAME.format(source=source), False)
    what = (
        "gave no connection in time (timeout: connect)"
        if isinstance(error, httpx.ConnectTimeout)
        else f"cannot be reached: {text}"
    )
    return ProxyFailure(f"The proxy {name} on the way to {host} {what}", _DEAD.format(source=source), True)


def _causes(error: BaseException | None) -> list[BaseException]:
    causes = []
    while error is not None:
        causes.append(error)
        error = error.__cause__ or error.__context__
    return causes
