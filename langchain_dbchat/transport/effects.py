"""Execute a plan, in a thread or in a task, so that what it decides is written once.

Rule 1. A plan is a generator. It yields an `Effect`, gets its result or its exception back, and returns a value.
Rule 2. The loop contains no decision. It closes the plan however it ends.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from langchain_dbchat.transport.blocking import finish

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator

    from langchain_dbchat.transport.channel import Channel
    from langchain_dbchat.transport.messages import Request
    from langchain_dbchat.transport.signing import Credentials

__all__ = ["Effect", "aexecute", "execute", "planned", "post", "sign"]

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


def sign(credentials: Credentials, *, refresh: bool) -> Effect:
    """Return the effect of signing one attempt.

    Args:
        credentials: What signs.
        refresh: The last headers were refused.
    """
    return Effect(lambda: credentials.headers(refresh=refresh), lambda: credentials.aheaders(refresh=refresh))


def planned(plan: Generator[Effect, Any, _Result]) -> Effect:
    """Return the effect of executing a plan, once.

    Args:
        plan: The plan.
    """
    return Effect(lambda: execute(plan), lambda: aexecute(plan))


def execute(plan: Generator[Effect, Any, _Result]) -> _Result:
    """Execute a plan in this thread.

    Args:
        plan: The plan.

    Returns:
        What the plan returns.
    """
    return finish(_execute(plan, _call))


async def aexecute(plan: Generator[Effect, Any, _Result]) -> _Result:
    """Execute a plan as `execute` does, without blocking the event loop."""
    return await _execute(plan, _acall)


async def _call(effect: Effect) -> Any:
    return effect.call()


def _acall(effect: Effect) -> Awaitable[Any]:
    return effect.acall()


async def _execute(plan: Generator[Effect, Any, _Result], perform: Callable[[Effect], Awaitable[Any]]) -> _Result:
    with closing(plan):
        execution = _Execution(plan)
        while (effect := execution.next()) is not None:
            with execution:
                execution.outcome = await perform(effect)
        return execution.value


class _Execution(Generic[_Result]):
    """A plan that is being executed; as a context, it gives the plan each exception of an effect.

    Attributes:
        outcome: The result of the last effect.
        value: What the plan returned.
    """

    __slots__ = ("_error", "_plan", "outcome", "value")

    value: _Result

    def __init__(self, plan: Generator[Effect, Any, _Result]) -> None:
        self._plan = plan
        self._error: BaseException | None = None
        self.outcome: Any = None

    def next(self) -> Effect | None:
        """Return the next effect; None if the plan has returned its value."""
        error, self._error = self._error, None
        try:
            return self._plan.send(self.outcome) if error is None else self._plan.throw(error)
        except StopIteration as end:
            self.value = end.value
            return None
        finally:
            del error  # its traceback has this frame

    def __enter__(self) -> None:
        self.outcome = None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        self._error = error
        return error is not None
