"""The connections: shared by every model of the process, because they have no identity.

Who calls is written into a header of each attempt, so one client serves all tokens and hosts, and a model can be made,
copied and dropped at no cost.

Rule 1. Loading the certificate authorities takes 25 ms, so the TLS context is built once, when a server needs it, in a
thread where an event loop would wait for it. SSL_CERT_FILE and SSL_CERT_DIR are read as httpx does, proxies come from
the environment. If these variables change, a new client is made, because they are part of its key.
Rule 2. A connection of asyncio belongs to the event loop that opened it, and `asyncio.run` makes a new loop each time.
So there is one async client for each loop. A loop that is shut down properly closes it: an async generator of ours
waits in the loop, and `loop.shutdown_asyncgens`, which `asyncio.run` calls, runs the generator's `finally`. Clients of
loops that were closed without that are dropped when the next one is made.
Rule 3. A forked child must not write to its parent's sockets: the process id is part of the state, and a child begins
with an empty one. It keeps what it inherited, untouched, because a lock in there may be held by a thread that does not
exist in the child.
Rule 4. No cookies are kept, because a cookie of one user's login must not be sent with another user's token.
Rule 5. Token requests use the same clients: they have their own `Authorization`, and a loop's connections end with it.
Rule 6. The connections are in a pool of our own (see `http`), and what httpx's client does around a pool is left out:
redirects, cookies, authentication. Where a proxy is set, it is httpx's own client with its own pool (see
`proxy_clients`); a request to this machine does not go through the proxy, because ``http://`` is allowed there and the
proxy would see its token.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Any, TypeVar

import httpx

from langchain_dbchat.transport.bare_threads import in_thread
from langchain_dbchat.transport.http import AsyncPooledTransport, PooledTransport
from langchain_dbchat.transport.proxies import has_proxy
from langchain_dbchat.transport.tls import tls_context

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator, Callable

__all__ = ["AnyClient", "async_client", "close_sync_clients", "sync_client"]

AnyClient = TypeVar("AnyClient", httpx.Client, httpx.AsyncClient)
"""A client for threads or one for an event loop."""

# What httpx reads from the environment when a client is made, in the spellings that it knows.
_VARIABLES = (
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    *(name for word in ("http", "https", "all", "no") for name in (f"{word}_proxy", f"{word}_proxy".upper())),
)
# Agents pause for longer than httpx's 5 s between calls, and load balancers keep idle connections for 60 s.
_EXPIRY = 30.0
_LIMITS = httpx.Limits(max_connections=500, max_keepalive_connections=100, keepalive_expiry=_EXPIRY)
# For httpx's own pool, which is quadratic in its limits: its defaults.
_PROXY_LIMITS = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=_EXPIRY)

_ClientKey = tuple[str | None, ...]


class _Client(httpx.Client):
    """A client that only sends: a request of ours has all its headers, and an answer is read by us."""

    asks_deadline = True  # before each read

    def __init__(self, context: Callable[[], ssl.SSLContext]) -> None:
        self._pool = PooledTransport(context, _LIMITS)
        super().__init__(transport=self._pool, trust_env=False)

    def send(self, request: httpx.Request, **_: Any) -> httpx.Response:
        """Send a request, and leave the answer's body open.

        Args:
            request: The request.
            **_: Options of httpx for redirects and authentication, of which there are none here.
        """
        return self._pool.handle_request(request)

    def end(self, request: httpx.Request) -> None:
        """Note that an exception has ended the call of a request."""
        self._pool.end(request)


class _AsyncClient(httpx.AsyncClient):
    """The same for an event loop."""

    asks_deadline = True

    def __init__(self, context: Callable[[], ssl.SSLContext]) -> None:
        self._pool = AsyncPooledTransport(context, _LIMITS)
        super().__init__(transport=self._pool, trust_env=False)

    async def send(self, request: httpx.Request, **_: Any) -> httpx.Response:
        """Send a request, and leave the answer's body open; as in `_Client`."""
        return await self._pool.handle_async_request(request)


class _ProcessClients:
    """The clients of one process."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.lock = threading.Lock()
        self.tls_lock = threading.Lock()
        self.contexts: dict[_ClientKey, ssl.SSLContext] = {}
        self.clients: dict[_ClientKey, httpx.Client] = {}
        self.async_clients: dict[asyncio.AbstractEventLoop, dict[_ClientKey, _Kept]] = {}


class _Kept:
    """An async client and the generator that closes it when its loop is shut down."""

    def __init__(self, client: httpx.AsyncClient, keeper: AsyncGenerator[None, None]) -> None:
        self.client = client
        self.keeper = keeper


_states = [_ProcessClients()]  # the last one is this process's; those before were inherited


def sync_client(proxy: str | None = None) -> httpx.Client:
    """Get the process's client for sync calls; any thread may use it.

    Args:
        proxy: The URL of a proxy; None for the environment's.

    Returns:
        The client, which the caller does not close.
    """
    state, key = _state(), _key(proxy)
    client = state.clients.get(key)
    if client is None:
        with state.lock:
            client = state.clients.get(key)
            if client is None:
                client = state.clients[key] = _new_client(_tls(state, key), proxy)
    return client


async def async_client(proxy: str | None = None) -> httpx.AsyncClient:
    """Get the running event loop's client for async calls; otherwise as `sync_client`."""
    state, key, loop = _state(), _key(proxy), asyncio.get_running_loop()
    kept = state.async_clients.get(loop, {}).get(key)
    if kept is not None:
        return kept.client
    context = _tls(state, key)
    if proxy or has_proxy():
        await in_thread(context)
    with state.lock:
        for other in [other for other in state.async_clients if other.is_closed()]:
            del state.async_clients[other]
        ours = state.async_clients.setdefault(loop, {})
        kept = ours.get(key)
        if kept is not None:  # another task of this loop was faster
            return kept.client
        client = _new_async_client(context, proxy)
        kept = ours[key] = _Kept(client, _keep(client, state, loop))
    await anext(kept.keeper)  # only a generator that has begun is known to the loop
    return kept.client


def _new_client(context: Callable[[], ssl.SSLContext], proxy: str | None = None) -> httpx.Client:
    if not proxy and not has_proxy():
        return _Client(context)
    from langchain_dbchat.transport.proxy_clients import ProxiedClient  # noqa: PLC0415  # where there is a proxy

    return ProxiedClient(_Client(context), context(), _PROXY_LIMITS, _no_cookies(), proxy)


def _new_async_client(context: Callable[[], ssl.SSLContext], proxy: str | None = None) -> httpx.AsyncClient:
    if not proxy and not has_proxy():
        return _AsyncClient(context)
    from langchain_dbchat.transport.proxy_clients import AsyncProxiedClient  # noqa: PLC0415  # where there is a proxy

    return AsyncProxiedClient(_AsyncClient(context), context(), _PROXY_LIMITS, _no_cookies(), proxy)


async def _keep(
    client: httpx.AsyncClient, state: _ProcessClients, loop: asyncio.AbstractEventLoop
) -> AsyncGenerator[None, None]:
    """Wait until the loop is shut down, then close its client."""
    try:
        yield
    finally:
        state.async_clients.pop(loop, None)
        await client.aclose()


def _state() -> _ProcessClients:
    state = _states[-1]
    if state.pid != os.getpid():
        state = _ProcessClients()
        _states.append(state)
    return state


def _key(proxy: str | None = None) -> _ClientKey:
    return (*map(os.environ.get, _VARIABLES), proxy)


def _tls(state: _ProcessClients, key: _ClientKey) -> Callable[[], ssl.SSLContext]:
    """Make a function that gets the TLS context, and builds it the first time that it is called."""

    def context() -> ssl.SSLContext:
        with state.tls_lock:
            made = state.contexts.get(key[:2])
            if made is None:
                made = tls_context()
                made.set_alpn_protocols(["http/1.1"])
                if _key()[:2] == key[:2]:  # it was made of what the environment says now
                    state.contexts[key[:2]] = made
        return made

    return context


def _no_cookies() -> CookieJar:
    return CookieJar(policy=DefaultCookiePolicy(allowed_domains=[]))


@atexit.register
def close_sync_clients() -> None:
    """Close the sync clients of this process, not those that it inherited. The next call makes a new one."""
    state = _states[-1]
    if state.pid == os.getpid():
        with state.lock:
            clients = [*state.clients.values()]
            state.clients.clear()
        for client in clients:
            client.close()
