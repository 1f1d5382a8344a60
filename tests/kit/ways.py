"""The ways of calling a chat model, each giving one whole message."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable

Way = Callable[[Runnable[Any, Any], Any], AIMessage]


def invoke(model: Runnable[Any, Any], messages: Any) -> AIMessage:
    """Call and wait."""
    answer: AIMessage = model.invoke(messages)
    return answer


def ainvoke(model: Runnable[Any, Any], messages: Any) -> AIMessage:
    """Call and wait, in an event loop of its own."""
    answer: AIMessage = asyncio.run(model.ainvoke(messages))
    return answer


def stream(model: Runnable[Any, Any], messages: Any) -> AIMessage:
    """Stream and add up."""
    answer: AIMessage = add_up(list(model.stream(messages)))
    return answer


def astream(model: Runnable[Any, Any], messages: Any) -> AIMessage:
    """Stream and add up, in an event loop of its own."""

    async def collect() -> list[Any]:
        return [chunk async for chunk in model.astream(messages)]

    answer: AIMessage = add_up(asyncio.run(collect()))
    return answer


def events(model: Runnable[Any, Any], messages: Any) -> AIMessage:
    """Stream as LangChain's events of version 3, which assemble the message themselves."""
    stream: Any = model.stream_events(messages, version="v3")
    answer: AIMessage = stream.output
    return answer


def aevents(model: Runnable[Any, Any], messages: Any) -> AIMessage:
    """Stream as events of version 3, in an event loop of its own."""

    async def collect() -> AIMessage:
        stream: Any = await model.astream_events(messages, version="v3")
        answer: AIMessage = await stream.output
        return answer

    return asyncio.run(collect())


def add_up(chunks: list[Any]) -> Any:
    """Add messages as a user would; of the objects of a structured answer, each more complete, take the last."""
    if not hasattr(chunks[0], "__add__"):
        return chunks[-1]
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole = whole + chunk
    return whole


four_ways = pytest.mark.parametrize("call", [invoke, ainvoke, stream, astream])

six_ways = pytest.mark.parametrize("call", [invoke, ainvoke, stream, astream, events, aevents])
