"""Read from the workspace which model a serving endpoint serves, and in which wire formats, for ``family="discover"``.

An endpoint's own name is free text; the workspace knows the served entity
(https://docs.databricks.com/api/workspace/servingendpoints/get). The lookup is one ``GET`` before the first call, and
its result is cached for the process.

Rule 1. Only one lookup per endpoint runs at a time. Other calls of that endpoint wait for its result; no call waits for
the lookup of another endpoint or host.
Rule 2. A call waits for another call's lookup no longer than its own timeout for the first event.
Rule 3. A refusal (403, 404) counts for its caller alone, for an hour, because a user may be allowed to query an
endpoint but not to view it. Their calls get the family of an unknown model, and the user is warned. If the caller is
not known before signing, each call asks.
Rule 4. After a transient failure the next call repeats the lookup; calls that waited for it do not.
Rule 5. If the call that runs the lookup is cancelled or not authenticated (401), one of the waiting calls runs it.
"""

from __future__ import annotations

import concurrent.futures
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from pydantic_core import from_json

from langchain_dbchat.connection.descriptions import EndpointDescription, read_description
from langchain_dbchat.connection.endpoints import endpoint_of
from langchain_dbchat.errors import (
    ConfigurationError,
    DatabricksAuthenticationError,
    DatabricksError,
    DatabricksNotFoundError,
    DatabricksPermissionDeniedError,
    MalformedResponseError,
)
from langchain_dbchat.errors.user_warnings import warn
from langchain_dbchat.models.families import GENERIC
from langchain_dbchat.transport.effects import Effect, post

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Generator

    from langchain_dbchat.connection.session import Session
    from langchain_dbchat.routing.address import Workspace
    from langchain_dbchat.transport.messages import Reply, Request

__all__ = ["discover"]

_EndpointKey = tuple[str, str]


class _End(NamedTuple):
    """How a lookup ended: successful, failed, abandoned, so that another call runs it, or refused to its caller."""

    error: DatabricksError | None = None
    is_abandoned: bool = False
    is_refused: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class _Lookup:
    """A running lookup: the thread and event loop that run it, and the future that other calls wait for."""

    thread: int
    loop: AbstractEventLoop | None
    ended: concurrent.futures.Future[_End] = field(default_factory=concurrent.futures.Future)


_running: dict[_EndpointKey, _Lookup] = {}  # no lock: changed by `setdefault` and by the call that runs the lookup

if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_running.clear)  # the parent's lookups never end in the child


def discover(session: Session, endpoint: str, name_caller: Callable[[], str | None]) -> Generator[Effect, Any, Session]:
    """Plan the lookup of an endpoint's family: whether this call runs it or waits for another one, and for how long.

    Args:
        session: The connection.
        endpoint: The endpoint's name.
        name_caller: Names the caller, as `callers.caller_of` does; may read a file.

    Returns:
        The plan; it returns the connection.
    """
    key, record = (session.address, endpoint), endpoint_of(session.address, endpoint)
    loop: AbstractEventLoop | None = yield Effect(lambda: None, _running_loop)
    caller: str | None = yield Effect(name_caller, lambda: _in_thread(name_caller))
    own = _Lookup(threading.get_ident(), loop)
    own.ended.set_running_or_notify_cancel()  # so a cancelled task that waits for it cannot cancel it
    timeout = session.channel.timeouts.first_event
    deadline = None if timeout is None else time.monotonic() + timeout
    while record.family is None and record.is_shown_to(caller):
        other = _join(key, own)
        if other is None:
            yield from _look_up(session, endpoint, caller, own)
            break
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        end: _End | None = yield _end_of(other, left)
        if end is None:
            _warn(endpoint, f"Another call reads it, and had no answer within {timeout:g} s.")
            break
        if end.is_refused and record.is_shown_to(caller):  # not refused to this caller, who need not wait again
            yield from _look_up(session, endpoint, caller, own)
            break
        if end.error is not None:
            _warn(endpoint, str(end.error))
        if not end.is_abandoned:
            break
    return session


def _join(key: _EndpointKey, own: _Lookup) -> _Lookup | None:
    """Return the lookup to wait for; None if the caller has to run it."""
    other = _running.setdefault(key, own)
    if other is own:
        return None
    is_dead = other.loop is not None and other.loop.is_closed()
    # A sync call on the thread of the event loop that runs the lookup would wait for itself.
    blocks_itself = own.loop is None and other.loop is not None and other.thread == own.thread
    if is_dead:
        _running[key] = own
    return None if is_dead or blocks_itself else other


def _look_up(session: Session, endpoint: str, caller: str | None, own: _Lookup) -> Generator[Effect, Any, None]:
    """Run the lookup, store its result, and wake the waiting calls."""
    key, end = (session.address, endpoint), _End(is_abandoned=True)
    record = endpoint_of(*key)
    try:
        if record.family is None:  # otherwise another lookup has ended since the caller checked
            reply: Reply = yield post(session.home.channel, _lookup_request(session.home.workspace, endpoint))
            found = _read(reply.body or b"{}", session, endpoint)
            record.wires, record.family = found.wires, found.family
        end = _End()
    except DatabricksError as error:
        is_refused = isinstance(error, (DatabricksPermissionDeniedError, DatabricksNotFoundError))
        if is_refused:
            record.hide_from(caller)
        if not isinstance(error, (DatabricksAuthenticationError, ConfigurationError)):
            end = _End(error, is_refused=is_refused)
        _warn(endpoint, str(error))
    finally:
        if _running.get(key) is own:
            del _running[key]
        own.ended.set_result(end)


async def _running_loop() -> AbstractEventLoop:
    import asyncio  # noqa: PLC0415  # the caller has loaded it

    return asyncio.get_running_loop()


async def _in_thread(name_caller: Callable[[], str | None]) -> str | None:
    import asyncio  # noqa: PLC0415  # the caller has loaded it

    return await asyncio.to_thread(name_caller)


def _end_of(lookup: _Lookup, seconds: float | None) -> Effect:
    """Return the effect of waiting for another call's lookup; its result is None after the timeout."""
    return Effect(lambda: _wait(lookup, seconds), lambda: _await(lookup, seconds))


def _wait(lookup: _Lookup, seconds: float | None) -> _End | None:
    concurrent.futures.wait([lookup.ended], timeout=seconds)
    return lookup.ended.result() if lookup.ended.done() else None


async def _await(lookup: _Lookup, seconds: float | None) -> _End | None:
    import asyncio  # noqa: PLC0415  # the caller has loaded it

    ended = asyncio.wrap_future(lookup.ended)
    try:
        done, _ = await asyncio.wait({ended}, timeout=seconds)
    finally:
        ended.cancel()  # the loop of this wrapper may be closed before the lookup ends
    return ended.result() if done else None


def _warn(endpoint: str, reason: str) -> None:
    warn(
        f"The workspace did not say what is behind {endpoint!r}, so the family {GENERIC.name!r} is used. Name the "
        f"family with family=... instead. {reason}"
    )


def _lookup_request(workspace: Workspace, endpoint: str) -> Request:
    from langchain_dbchat.transport.messages import Request  # noqa: PLC0415  # loads with the transport

    url = f"{workspace.origin}/api/2.0/serving-endpoints/{quote(endpoint, safe='')}"
    return Request(url=url, headers={}, body=b"", endpoint=endpoint, host=workspace.host, method="GET")


def _read(body: bytes, session: Session, endpoint: str) -> EndpointDescription:
    try:
        answer = from_json(body)
    except ValueError:
        raise MalformedResponseError(
            "The description of the endpoint is not JSON.", endpoint=endpoint, host=session.workspace.host
        ) from None
    return read_description(answer if isinstance(answer, Mapping) else {})
