"""Each tick of the overview's table is a feature that works with that API, on the local workspace."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest
from langchain_core.messages import AIMessageChunk, HumanMessage, SystemMessage
from pydantic import BaseModel

from langchain_dbchat import ChatDatabricksCompat, pending_approvals

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_dbchat.local import LocalWorkspace

APIS: dict[str, tuple[Literal["chat", "responses", "messages", "agent"], str]] = {
    "chat completions": ("chat", "databricks-claude-sonnet-4-6"),
    "Responses": ("responses", "databricks-gpt-5-2"),
    "Anthropic's Messages": ("messages", "databricks-claude-sonnet-4-6"),
    "agents": ("agent", "agent-support"),
}
TABLE = Path(__file__).parents[2].joinpath("docs/index.md").read_text("utf-8").partition("## What works")[2]
LLAMA = "databricks-meta-llama-3-3-70b-instruct"
IMAGE = {"type": "image", "base64": "iVBORw0KGgo=", "mime_type": "image/png"}


class City(BaseModel):
    """A city."""

    name: str


def get_weather(city: str) -> str:
    """Get the current weather in a city."""
    return city


def _streamed(llm: ChatDatabricksCompat) -> AIMessageChunk:
    chunks = list(llm.stream("What does a ChatAgent return?"))
    total = chunks[0]
    for chunk in chunks[1:]:
        total += chunk
    return total


def _cached(llm: ChatDatabricksCompat) -> bool:
    rules = {"type": "text", "text": "Be brief. " * 600, "cache_control": {"type": "ephemeral"}}
    answers = [llm.invoke([SystemMessage([rules]), HumanMessage("Say: hello")]) for _ in range(2)]
    usage = answers[-1].usage_metadata
    return bool(usage and usage["input_token_details"]["cache_read"] > 0)


def _thought(llm: ChatDatabricksCompat) -> bool:
    answer = llm.invoke("Why is the sky blue?", reasoning_effort="low")
    return any(block["type"] == "reasoning" for block in answer.content_blocks)


def _saw(llm: ChatDatabricksCompat) -> bool:
    return bool(llm.invoke([HumanMessage([{"type": "text", "text": "What is this?"}, IMAGE])]).text)


FEATURES: dict[str, Callable[[ChatDatabricksCompat], Any]] = {
    "streaming, sync and async": lambda llm: _streamed(llm).text,
    "token usage, also in streams": lambda llm: _streamed(llm).usage_metadata,
    "tools": lambda llm: llm.bind_tools([get_weather]).invoke("What is the weather in Oslo?").tool_calls,
    "structured output": lambda llm: llm.with_structured_output(City).invoke("Name a city: Oslo."),
    "reasoning": _thought,
    "images and files": _saw,
    "prompt caching": _cached,
    "log probabilities": lambda llm: llm.invoke("Hello!", model=LLAMA, logprobs=True).text,
    "approvals of tool calls": lambda llm: pending_approvals(llm.invoke("Printer!", model="agent-tickets")),
}


def _ticks() -> list[tuple[str, str]]:
    head, _, *rows = [line.strip("| ").split("|") for line in TABLE.splitlines() if line.startswith("|")]
    columns = [name.strip() for name in head[1:]]
    return [
        (re.sub(r"\[(.+)\]\(.+\)", r"\1", row[0].strip()), api)
        for row in rows
        for api, cell in zip(columns, row[1:], strict=False)
        if cell.strip() == "✓"
    ]


def test_the_table_has_each_api_and_each_feature() -> None:
    assert {api for _, api in _ticks()} == set(APIS)
    assert {feature for feature, _ in _ticks()} == set(FEATURES)


@pytest.mark.parametrize(("feature", "api"), _ticks())
def test_each_tick_is_true(feature: str, api: str, workspace: LocalWorkspace) -> None:
    name, model = APIS[api]
    llm = ChatDatabricksCompat(model=model, api=name, host=workspace.host, token=workspace.token)
    assert FEATURES[feature](llm)
    if feature == "log probabilities":
        assert workspace.requests[-1].json["logprobs"] is True


@pytest.mark.parametrize("api", APIS)
async def test_streams_are_async_too(api: str, workspace: LocalWorkspace) -> None:
    name, model = APIS[api]
    llm = ChatDatabricksCompat(model=model, api=name, host=workspace.host, token=workspace.token)
    assert "".join([chunk.text async for chunk in llm.astream("What does a ChatAgent return?")])
