"""Ask the workspace what is behind a serving endpoint, for ``family="discover"``.

An endpoint's own name is free text; the workspace knows the served entity
(https://docs.databricks.com/api/workspace/servingendpoints/get). The question is one ``GET`` before the first call, and
its answer is kept for the process.

Rule 1. One question per endpoint is under way; other calls of that endpoint wait for its answer, and no call waits for
the question of another endpoint or host.
Rule 2. A call waits for another call's question as long as its own timeout for the first event permits.
Rule 3. A refusal (403, 404) is an answer that stays: who may query an endpoint need not be allowed to look at it. The
endpoint is then treated like any other that says nothing about itself, and the user is told.
Rule 4. A failure that may pass leaves the question open for the next call; calls that waited do not ask once more.
Rule 5. If the call that asks is cancelled, or nobody knows who it is (401), one of those that wait asks instead.

`_plan` decides; `discover` and `adiscover` send and wait for it.
"""

from __future__ import annotations

import concurrent.futures
import os
import re
import threading
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from pydantic_core import from_json

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
from langchain_dbchat.models.families import GENERIC, family_of

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Generator

    from langchain_dbchat.connection.session import Session
    from langchain_dbchat.routing.address import Workspace
    from langchain_dbchat.transport.exchange import Reply, Request

    Steps = Generator["Request | _Wait", Any, None]

DISCOVER = "discover"
"""The value of ``family=`` that asks the workspace."""

_Key = tuple[str, str]


class _End(NamedTuple):
    """How a question ended: answered, failed, or abandoned so that somebody else asks."""

    error: DatabricksError | None = None
    is_abandoned: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class _Question:
    """A question under way: who asks, and the future that those who wait look at."""

    thread: int
    loop: AbstractEventLoop | None
    ended: concurrent.futures.Future[_End] = field(default_factory=concurrent.futures.Future)


class _Wait(NamedTuple):
    """The effect "wait for somebody else's question", for so many seconds."""

    question: _Question
    seconds: float | None


_asking: dict[_Key, _Question] = {}  # changed by `setdefault` and by the one who asks, so it needs no lock

if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_asking.clear)  # nobody in the child will end the parent's questions


def discovered(address: str, endpoint: str) -> str | None:
    """Return the family that was found behind an endpoint.

    Args:
        address: Where it is, as `Session.address` writes it.
        endpoint: The endpoint's name.

    Returns:
        The row's name, or None if nobody has asked yet.
    """
    return endpoint_of(address, endpoint).family


def discover(session: Session, endpoint: str) -> None:
    """Ask the workspace what is behind an endpoint, unless that is known.

    Args:
        session: The connection.
        endpoint: The endpoint's name.
    """
    with closing(_plan(session, endpoint, None)) as plan:
        effect = next(plan, None)
        while effect is not None:
            effect = _next(plan, _wait(effect) if isinstance(effect, _Wait) else _post(session, effect))


async def adiscover(session: Session, endpoint: str) -> None:
    """Do the same as `discover` without blocking the event loop.

    Args:
        session: The connection.
        endpoint: The endpoint's name.
    """
    import asyncio  # noqa: PLC0415  # sync programs never load it for us

    with closing(_plan(session, endpoint, asyncio.get_running_loop())) as plan:
        effect = next(plan, None)
        while effect is not None:
            effect = _next(plan, await (_await(effect) if isinstance(effect, _Wait) else _apost(session, effect)))


def _next(plan: Steps, outcome: Reply | _End | DatabricksError | None) -> Request | _Wait | None:
    """Tell the plan what came of its last effect, and get the next one; None at its end."""
    try:
        return plan.throw(outcome) if isinstance(outcome, DatabricksError) else plan.send(outcome)
    except StopIteration:
        return None


def _plan(session: Session, endpoint: str, loop: AbstractEventLoop | None) -> Steps:
    """Decide who asks and who waits, and for how long."""
    key, record = (session.address, endpoint), endpoint_of(session.address, endpoint)
    own = _Question(threading.get_ident(), loop)
    own.ended.set_running_or_notify_cancel()  # a waiting task that is cancelled must not cancel it
    patience = session.channel.timeouts.first_event
    deadline = None if patience is None else time.monotonic() + patience
    while record.family is None:
        other = _join(key, own)
        if other is None:
            yield from _ask(session, endpoint, own)
            return
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        end: _End | None = yield _Wait(other, left)
        if end is None:
            _warn(endpoint, f"Another call has asked, and there was no answer within {patience:g} s.")
            return
        if end.error is not None:
            _warn(endpoint, str(end.error))
        if not end.is_abandoned:
            return


def _join(key: _Key, own: _Question) -> _Question | None:
    """Find the question to wait for; None if the caller has to ask."""
    other = _asking.setdefault(key, own)
    if other is own:
        return None
    is_dead = other.loop is not None and other.loop.is_closed()
    # A sync call on the thread of the event loop that asks would wait for itself.
    blocks_itself = own.loop is None and other.loop is not None and other.thread == own.thread
    if is_dead:
        _asking[key] = own
    return None if is_dead or blocks_itself else other


def _ask(session: Session, endpoint: str, own: _Question) -> Steps:
    """Ask, keep the answer, and wake those who wait."""
    key, end = (session.address, endpoint), _End(is_abandoned=True)
    record = endpoint_of(*key)
    try:
        if record.family is None:  # otherwise another question has ended since the caller looked
            reply: Reply = yield _question(session.workspace, endpoint)
            record.family = _read(reply.body or b"{}", session, endpoint)
        end = _End()
    except DatabricksError as error:
        if isinstance(error, (DatabricksPermissionDeniedError, DatabricksNotFoundError)):
            record.family = GENERIC.name
        if not isinstance(error, (DatabricksAuthenticationError, ConfigurationError)):
            end = _End(error)
        _warn(endpoint, str(error))
    finally:
        if _asking.get(key) is own:
            del _asking[key]
        own.ended.set_result(end)


def _post(session: Session, request: Request) -> Reply | DatabricksError:
    try:
        return session.channel.post(request)
    except DatabricksError as error:
        return error


async def _apost(session: Session, request: Request) -> Reply | DatabricksError:
    try:
        return await session.channel.apost(request)
    except DatabricksError as error:
        return error


def _wait(effect: _Wait) -> _End | None:
    """Wait in a thread; None when out of patience."""
    concurrent.futures.wait([effect.question.ended], timeout=effect.seconds)
    return effect.question.ended.result() if effect.question.ended.done() else None


async def _await(effect: _Wait) -> _End | None:
    """Wait in a task; None when out of patience."""
    import asyncio  # noqa: PLC0415  # loaded by whoever calls this

    ended = asyncio.wrap_future(effect.question.ended)
    try:
        done, _ = await asyncio.wait({ended}, timeout=effect.seconds)
    finally:
        ended.cancel()  # ours alone: its loop may be closed by the time the answer comes
    return ended.result() if done else None


def _warn(endpoint: str, reason: str) -> None:
    warn(
        f"The workspace did not say what is behind {endpoint!r}, so its family is taken for {GENERIC.name!r}; "
        f"name it with family=... instead. {reason}"
    )


def _question(workspace: Workspace, endpoint: str) -> Request:
    from langchain_dbchat.transport.exchange import Request  # noqa: PLC0415  # loads with the transport

    url = f"{workspace.origin}/api/2.0/serving-endpoints/{quote(endpoint, safe='')}"
    return Request(url=url, headers={}, body=b"", endpoint=endpoint, host=workspace.host, method="GET")


def _read(body: bytes, session: Session, endpoint: str) -> str:
    """Find the family in an answer."""
    try:
        answer = from_json(body)
    except ValueError:
        raise MalformedResponseError(
            "Its description is not JSON.", endpoint=endpoint, host=session.workspace.host
        ) from None
    return next(filter(None, map(_family, _names(answer))), GENERIC.name)


def _names(answer: Any) -> list[str]:
    """List the names that the served entities go by."""
    config = answer.get("config") if isinstance(answer, Mapping) else None
    entities = config.get("served_entities") if isinstance(config, Mapping) else None
    names: list[str] = []
    for entity in entities if isinstance(entities, list) else []:
        if isinstance(entity, Mapping):
            for holder in (entity.get("foundation_model"), entity.get("external_model"), entity):
                if isinstance(holder, Mapping):
                    names += [name for key in ("name", "entity_name") if isinstance(name := holder.get(key), str)]
    return names


def _family(name: str) -> str | None:
    """Find the row of a model by any of its names: ``system.ai.claude-sonnet-4-5``, ``claude-3.7``, ``gpt-5.2``."""
    plain = re.sub(r"[._\s]+", "-", name.lower()).removeprefix("system-ai-").removeprefix("databricks-")
    row = family_of(f"databricks-{plain}").name
    return None if row == GENERIC.name else row
