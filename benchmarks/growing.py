"""Cases that grow: agents with many tools, long histories, large images and long structured answers.

Each function takes what makes a client's model, and a size, and returns figures. `worker` measures every client with
some sizes; `scaling` measures this package with several.
"""

# ruff: noqa: PLC0415  # a process that measures an import must not have loaded langchain-core before

from __future__ import annotations

import functools
import json
import operator
import resource
import time
from typing import TYPE_CHECKING, Any

import server

if TYPE_CHECKING:
    from collections.abc import Callable

    Make = Callable[[str], Any]
    Figures = dict[str, float]

STEPS = 11
"""Model calls of an agent's run."""

SCHEMA = {
    "title": "answer",
    "description": "The items.",
    "type": "object",
    "properties": {"items": {"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"}}}}},
    "required": ["items"],
}


def _ms(run: Callable[[], object], times: int = 1) -> Figures:
    run()
    began = time.process_time()
    for _ in range(times):
        run()
    return {"ms": (time.process_time() - began) / times * 1e3}


def agent(make: Make, tools: int) -> Figures:
    """Bind tools and call the model again for each step, as an agent does; ms a step."""
    from langchain_core.messages import HumanMessage
    from langchain_core.tools import StructuredTool

    def look_up(city: str, days: int = 3, units: str = "metric") -> str:
        """Get the weather of a city for some days."""
        return f"{city}: {days} days, {units}"

    model = make("text")
    bound = [StructuredTool.from_function(look_up, name=f"tool_{number}") for number in range(tools)]

    def run() -> None:
        history: list[Any] = [HumanMessage("Hi")]
        for _ in range(STEPS):
            history += [model.bind_tools(bound).invoke(history), HumanMessage("Go on")]

    return {"ms": _ms(run)["ms"] / STEPS}


def history(make: Make, messages: int) -> Figures:
    """Call the model with a long conversation; ms a call."""
    from langchain_core.messages import AIMessage, HumanMessage

    said = [kind(f"This is message {number}.") for number in range(messages // 2) for kind in (HumanMessage, AIMessage)]
    model = make("text")
    return _ms(lambda: model.invoke([*said, HumanMessage("Hi")]), 3)


def image(make: Make, megabytes: int) -> Figures:
    """Call the model with an image; ms a call."""
    from langchain_core.messages import HumanMessage

    part = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{'iVBO' * (megabytes * 250_000)}"}}
    model = make("text")
    return _ms(lambda: model.invoke([HumanMessage([{"type": "text", "text": "What is this?"}, part])]), 3)


def structured(make: Make, kind: str, method: str) -> Figures:
    """Stream a structured answer; ms an answer."""
    answers = make(kind).with_structured_output(SCHEMA, method=method)
    last: list[Any] = []

    def run() -> None:
        for partial in answers.stream("Hi"):
            last[:] = [partial]

    taken = _ms(run)
    got = last[0]["items"]
    if got != json.loads(server.objects(kind))["items"]:
        raise SystemExit("the answer is not complete")
    return taken


def summed(make: Make, kind: str) -> Figures:
    """Stream a tool call and add its chunks one by one, as many programs do; ms an answer."""
    model = make(kind)
    return _ms(lambda: functools.reduce(operator.add, model.stream("Hi")))


def embedding_peak(make: Make, texts: int) -> Figures:
    """Embed texts; how much memory that needs at most, in MiB."""
    model = make("embed")
    model.embed_documents(["warm"])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    model.embed_documents([f"text {number}" for number in range(texts)])
    return {"mib": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024}


CASES: dict[str, Callable[[Make], Figures]] = {
    **{f"agent {tools}": functools.partial(agent, tools=tools) for tools in (1, 30, 100)},
    **{f"history {count}": functools.partial(history, messages=count) for count in (302, 3002, 15002)},
    "image": functools.partial(image, megabytes=3),
    "structured": functools.partial(structured, kind="objects", method="json_schema"),
    "structured call": functools.partial(structured, kind="objectcalls", method="function_calling"),
    "summed": functools.partial(summed, kind="objectcalls"),
    "embedding peak": functools.partial(embedding_peak, texts=2000),
}
