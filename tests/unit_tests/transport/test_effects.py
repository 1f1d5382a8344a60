"""A plan gets the result or the exception of each effect, and is closed, in a thread and in a task."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from typing import Any

import pytest

from langchain_dbchat.transport.effects import Effect, aexecute, execute

Plan = Generator[Effect, Any, Any]


def in_a_task(plan: Plan) -> Any:
    return asyncio.run(aexecute(plan))


each_loop = pytest.mark.parametrize("loop", [execute, in_a_task])


def gives(result: object) -> Effect:
    async def acall() -> object:
        return result

    return Effect(lambda: result, acall)


def fails(error: BaseException) -> Effect:
    def call() -> None:
        raise error

    async def acall() -> None:
        raise error

    return Effect(call, acall)


@each_loop
def test_results_go_to_the_plan_in_order(loop: Callable[[Plan], Any]) -> None:
    def plan() -> Plan:
        first = yield gives(1)
        second = yield gives(2)
        return [first, second]

    assert loop(plan()) == [1, 2]


@each_loop
def test_a_plan_without_effects_returns_at_once(loop: Callable[[Plan], Any]) -> None:
    def plan() -> Plan:
        yield from ()
        return "done"

    assert loop(plan()) == "done"


@each_loop
def test_a_plan_may_catch_a_failure_and_go_on(loop: Callable[[Plan], Any]) -> None:
    def plan() -> Plan:
        try:
            yield fails(OSError("no"))
        except OSError as error:
            return [str(error), (yield gives("yes"))]

    assert loop(plan()) == ["no", "yes"]


@each_loop
@pytest.mark.parametrize("error", [OSError("no"), KeyboardInterrupt(), asyncio.CancelledError()])
def test_what_a_plan_does_not_catch_is_raised_after_its_cleanup(
    loop: Callable[[Plan], Any], error: BaseException
) -> None:
    ended: list[str] = []

    def plan() -> Plan:
        try:
            yield fails(error)
        finally:
            ended.append("closed")

    with pytest.raises(type(error)):
        loop(plan())
    assert ended == ["closed"]
