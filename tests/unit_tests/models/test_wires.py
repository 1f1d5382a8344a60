"""Which wire format is chosen for a call, and what the page says of it."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any, get_args

import pytest

from langchain_dbchat import ChatDatabricksCompat
from langchain_dbchat.cli.chat_models import add_model
from langchain_dbchat.dialects import choose_dialect
from langchain_dbchat.dialects.dialect import Target
from langchain_dbchat.models.families import FAMILIES, OPENAI_COMPATIBLE, WireName, family_of

PAGE = (Path(__file__).parents[3] / "docs" / "apis.md").read_text("utf-8")
TOOLS = {"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]}

CHOSEN = {
    "messages": "claude-opus-5-5 claude-fable-5-1",
    "responses": "gpt-6-astra gpt-6-sol gpt-6-luna gpt-5-5 gpt-5-5-pro gpt-5-4-pro gpt-5-3-codex",
    "chat": (
        "claude-opus-5 claude-sonnet-5 claude-fable-5 claude-opus-4-8 claude-opus-4-7 claude-opus-4-6 "
        "claude-sonnet-4-6 claude-opus-4-5 claude-sonnet-4-5 claude-haiku-4-5 claude-opus-4-1 claude-opus-4 "
        "claude-sonnet-4 "
        "claude-3-7-sonnet gpt-5-6-sol gpt-5-6-terra gpt-5-6-luna gpt-5-4 gpt-5-4-mini gpt-5-4-nano gpt-5-2 gpt-5-1 "
        "gpt-5 gpt-5-mini gpt-5-nano gemini-4-carbon gemini-3-8-flash gemini-3-7-flash gemini-3-6-flash "
        "gemini-3-5-flash gemini-3-5-flash-lite gemini-3-1-pro gemini-3-flash gemini-3-1-flash-lite "
        "gemini-3-1-flash-image gemini-3-pro-image gemini-3-pro gemini-2-5-pro gemini-2-5-flash grok-4-6 glm-5-3 "
        "glm-5-3-flash glm-5-2 kimi-k3 kimi-k2-7-code deepseek-v4-1-flash deepseek-v4-flash-0731 deepseek-v4-pro-0813 "
        "inkling qwen35-122b-a10b qwen3-next-80b-a3b-instruct gpt-oss-120b gpt-oss-20b llama-4-maverick "
        "meta-llama-3-3-70b-instruct meta-llama-3-1-8b-instruct meta-llama-3-1-405b-instruct gemma-3-12b"
    ),
}
"""The models of docs/wire.md, 8.1, and the wire format of a plain call."""


def chosen(model: str, settings: dict[str, Any] | None = None, api: str = "auto", **known: Any) -> str:
    return choose_dialect(api, Target(model, family_of(model)), settings or {}, **known).name


@pytest.mark.parametrize("prefix", ["databricks-", "system.ai."])
@pytest.mark.parametrize(
    ("wire", "model"), [(wire, model) for wire, names in CHOSEN.items() for model in names.split()]
)
def test_the_model_decides(wire: str, model: str, prefix: str) -> None:
    assert chosen(prefix + model) == wire


@pytest.mark.parametrize("model", ["databricks-gpt-5-4", "databricks-gpt-5-6-sol"])
@pytest.mark.parametrize(
    ("settings", "wire"),
    [
        (TOOLS, "chat"),
        ({"reasoning_effort": "high"}, "chat"),
        ({**TOOLS, "reasoning_effort": "none"}, "chat"),
        ({**TOOLS, "thinking": {"type": "disabled"}}, "chat"),
        ({**TOOLS, "reasoning_effort": "high"}, "responses"),
        ({**TOOLS, "thinking": {"type": "adaptive"}}, "responses"),
    ],
)
def test_a_call_that_chat_completions_cannot_express_is_made_through_responses(
    model: str, settings: dict[str, Any], wire: str
) -> None:
    assert chosen(model, settings) == wire


@pytest.mark.parametrize("api", ["chat", "responses", "messages", "agent"])
def test_the_users_choice_counts_before_all_else(api: str) -> None:
    assert chosen("databricks-claude-opus-5-5", api=api, requested="chat", spoken=("messages",)) == api


def test_what_the_endpoint_asked_for_counts_before_what_the_workspace_says() -> None:
    assert chosen("my-agent", requested="responses", spoken=("agent",)) == "responses"
    assert chosen("my-agent", spoken=("agent",)) == "agent"
    assert chosen("my-agent", spoken=("responses", "chat")) == "chat"
    assert chosen("databricks-claude-opus-5-5", spoken=("chat", "messages")) == "messages"
    assert chosen("databricks-claude-opus-5-5", spoken=("chat",)) == "chat"
    assert chosen("databricks-gpt-5-5", spoken=("chat",)) == "chat"


def test_another_server_is_called_through_chat_completions() -> None:
    assert choose_dialect("auto", Target("gpt-5.5", OPENAI_COMPATIBLE), {}).name == "chat"


def test_an_unknown_api_raises_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="api='completions' is not one of 'auto', 'chat', 'responses'"):
        chosen("m", api="completions")


def test_the_table_of_the_page_is_that_of_the_rows() -> None:
    rows = re.findall(r"^\| (.*`[\w-]+-[\w-]+`.*?) \| (\w+) \| (\w*) ?\|$", PAGE, re.MULTILINE)
    named = {name: (first, also) for models, first, also in rows for name in re.findall(r"`([\w-]+)`", models)}
    assert len(named) > 12
    for name, (first, also) in named.items():
        assert family_of(f"databricks-{name}").wires == (first, *([also] if also else [])), name
    shown = {family_of(f"databricks-{name}").wires for name in named}
    assert shown == {row.wires for row in FAMILIES.values()}


def test_each_wire_format_can_be_chosen() -> None:
    every = ("auto", *get_args(WireName))
    assert get_args(ChatDatabricksCompat.model_fields["api"].annotation) == every
    parser = argparse.ArgumentParser()
    add_model(parser)
    assert next(tuple(action.choices or ()) for action in parser._actions if action.dest == "api") == every
