"""Execute a plan, in a thread or in a task, so that what it decides is written once.

Rule 1. A plan is a generator. It yields an `Effect`, gets its result or its exception back, and returns a value.
Rule 2. The two loops contain no decision. They close the plan however it ends.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator

    from langchain_dbchat.transport.channel import Channel
    from langchain_dbchat.transport.exchange import Request

__all__ = ["Effect", "aexecute", "execute", "post"]

_Result = TypeVar("_Result")


class Effect(NamedTuple):
    """What a plan asks for: the same call for a thread and for a task.

    Attributes:
        call: Does it, and returns the result.
        acall: Does it without blocking the event loop.
    """

    call: Callable[[], Any]
    acall: Callable[[], Awaitable[Any]]


def post(channel: Channel, request: Request) -> Effect:
    """Return the effect of sending a request and reading the whole answer.

    Args:
        channel: What sends it.
        request: The request.
    """
    return Effect(lambda: channel.post(request), lambda: channel.apost(request))


def execute(plan: Generator[Effect, Any, _Result]) -> _Result:
    """Execute a plan in this thread.

    Args:
        plan: The plan.

    Returns:
        What the plan returns.
    """
    with closing(plan):
        try:
            effect = next(plan)
            while True:
                try:
                    outcome = effect.call()
                except BaseException as error:  # noqa: BLE001, PERF203  # the plan decides, and raises it again
                    effect = plan.throw(error)
                else:
                    effect = plan.send(outcome)
        except StopIteration as end:
            value: _Result = end.value
            return value


async def aexecute(plan: Generator[Effect, Any, _Result]) -> _Result:
    """Execute a plan without blocking the event loop.

    Args:
        plan: The plan.

    Returns:
        What the plan returns.
    """
    with closing(plan):
        try:
            effect = next(plan)
            while True:
                try:
                    outcome = await effect.acall()
                except BaseException as error:  # noqa: BLE001, PERF203  # the plan decides, and raises it again
                    effect = plan.throw(error)
                else:
                    effect = plan.send(outcome)
        except StopIteration as end:
            value: _Result = end.value
            return value
