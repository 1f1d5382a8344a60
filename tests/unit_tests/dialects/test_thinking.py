"""Asking for reasoning: every family by every effort, and what budgets and `max_tokens` make of each other."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from langchain_dbchat.dialects.chat_completions.thinking import encode_thinking
from langchain_dbchat.dialects.dialect import Target
from langchain_dbchat.dialects.shared.request.thinking import BUDGETS, EFFORTS, is_thinking
from langchain_dbchat.models.families import FAMILIES

BUDGET = {
    effort: {"thinking": {"type": "enabled", "budget_tokens": n}, "max_tokens": n + 4096}
    for effort, n in {
        "minimal": 1024,
        "low": 1024,
        "medium": 2048,
        "high": 4096,
        "xhigh": 8192,
        "max": 16_384,
    }.items()
}


def adaptive(effort: str) -> dict[str, Any]:
    return {"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": effort}}


def efforts(*names: str, **aliases: str) -> dict[str, Any]:
    sent = {**{name: name for name in names}, **aliases}
    return {asked: {"reasoning_effort": effort} for asked, effort in sent.items()}


ADAPTIVE = {"minimal": adaptive("low"), **{name: adaptive(name) for name in ("low", "medium", "high", "xhigh", "max")}}
OMITTED = {"type": "adaptive", "display": "omitted"}
OFF: dict[str, Any] = {"thinking": {"type": "disabled"}}
ALWAYS: dict[str, Any] = {name: {} for name in EFFORTS if name != "none"}

WANTED: dict[str, dict[str, Any]] = {
    "generic": efforts(*EFFORTS),
    "openai-compatible": efforts(*EFFORTS),
    "claude": {"none": {}, **BUDGET},
    "claude-4-6": {"none": {}, **BUDGET},
    "claude-adaptive": {"none": OFF, **ADAPTIVE},
    "claude-opus-5": {"none": OFF, **ADAPTIVE},
    "claude-fable-5": ADAPTIVE,
    "claude-opus-5-5": ADAPTIVE,
    "gpt-5": efforts("minimal", "low", "medium", "high"),
    "gpt-5-1": efforts("none", "low", "medium", "high"),
    "gpt-5-2": efforts("none", "low", "medium", "high", "xhigh"),
    "gpt-5-pro": efforts("medium", "high", "xhigh"),
    "gpt-codex": efforts("low", "medium", "high", "xhigh"),
    "gpt-5-5": efforts("none", "low", "medium", "high", "xhigh"),
    "gpt-5-6": efforts("none", "low", "medium", "high", "xhigh"),
    "gpt-6": efforts("low", "medium", "high", "xhigh", "max"),
    "gemini-2-5-flash": {"none": {"thinking": {"type": "enabled", "budget_tokens": 0}}, **BUDGET},
    "gemini-2-5-pro": BUDGET,
    "gemini-3": efforts("low", "medium", "high"),
    "gemini-3-1-pro": efforts("minimal", "low", "medium", "high"),
    "gemini-3-6": efforts("low", "medium", "high"),
    "gemini-image": {"none": {}},
    "gpt-oss": efforts("low", "medium", "high"),
    "glm-5-2": efforts("none", "high", "max"),
    "glm-5-3": efforts("low", "high", "max", minimal="max", medium="max", xhigh="max"),
    "glm-5-3-flash": efforts("low", "high", "max", minimal="max", medium="max", xhigh="max"),
    "kimi-k3": efforts("none", "low", "high", "max"),
    "deepseek-v4": efforts("none", "low", "high", "xhigh", "max", minimal="low", medium="high"),
    "inkling": efforts("minimal", "low", "medium", "high", "xhigh", "max"),
    "grok": efforts("low", "medium", "high", "xhigh"),
    "thinking-open-weights": ALWAYS,
    "open-weights": {"none": {}},
    "llama-4": {"none": {}},
}
"""What each family is sent for each effort; an effort that does not stand here is a ValueError."""

_SAME_AS_THE_ROW_THEY_COME_FROM = {name for name in FAMILIES if name.startswith("open-weights-")}


def budget(tokens: int) -> dict[str, Any]:
    return {"type": "enabled", "budget_tokens": tokens}


def ask(
    family: str, effort: str | None = None, thinking: Any = None, max_tokens: int | None = None, *, tools: bool = False
) -> Any:
    settings = {"reasoning_effort": effort, "thinking": thinking, "max_tokens": max_tokens}
    return encode_thinking(settings, Target("", FAMILIES[family]), tools=tools)


def test_the_table_has_every_family() -> None:
    assert WANTED.keys() == FAMILIES.keys() - _SAME_AS_THE_ROW_THEY_COME_FROM


@pytest.mark.parametrize("effort", EFFORTS)
@pytest.mark.parametrize("family", WANTED)
def test_every_family_by_every_effort(family: str, effort: str) -> None:
    wanted = WANTED[family].get(effort)
    if wanted is None:
        with pytest.raises(ValueError, match=family):
            ask(family, effort)
    else:
        assert ask(family, effort) == (wanted, [])


@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_is_sent_that_was_not_asked_for(family: str) -> None:
    assert ask(family, max_tokens=100) == ({}, [])


@pytest.mark.parametrize("spelling", ["disable", "disabled", "NONE", "None"])
def test_other_words_for_none(spelling: str) -> None:
    assert ask("gpt-5-2", spelling) == ({"reasoning_effort": "none"}, [])


def test_a_word_that_is_no_effort_raises() -> None:
    with pytest.raises(ValueError, match="'much' is not one of none, minimal"):
        ask("generic", "much")


@pytest.mark.parametrize("thinking", [{}, {"type": "deep"}, {"budget_tokens": 2048}, "enabled", True])
def test_thinking_that_is_not_understood_raises(thinking: Any) -> None:
    with pytest.raises(ValueError, match="is not valid"):
        ask("claude", thinking=thinking)


@pytest.mark.parametrize(
    ("family", "thinking", "effort", "fields"),
    [
        ("claude", budget(2048), None, {"thinking": budget(2048), "max_tokens": 6144}),
        ("claude", {"type": "disabled"}, None, {}),
        ("claude-4-6", {"type": "adaptive"}, None, {"thinking": {"type": "adaptive", "display": "summarized"}}),
        ("claude-4-6", {"type": "adaptive"}, "max", adaptive("max")),
        ("claude-4-6", budget(1024), None, {"thinking": budget(1024), "max_tokens": 5120}),
        ("claude-opus-5", {"type": "adaptive"}, "minimal", adaptive("low")),
        ("claude-opus-5", OMITTED, None, {"thinking": OMITTED}),
        ("claude-opus-5", {"type": "disabled"}, "none", OFF),
        ("generic", budget(7), None, {"thinking": budget(7)}),
        ("generic", {"type": "disabled"}, None, OFF),
        ("generic", {"type": "adaptive"}, "high", {"thinking": {"type": "adaptive"}, "reasoning_effort": "high"}),
        ("gemini-2-5-flash", budget(0), None, {"thinking": budget(0), "max_tokens": 4096}),
        ("gpt-5-2", {"type": "disabled"}, None, {"reasoning_effort": "none"}),
        ("deepseek-v4", {"type": "disabled"}, None, {"reasoning_effort": "none"}),
    ],
)
def test_thinking_in_anthropics_words(family: str, thinking: Any, effort: str | None, fields: dict[str, Any]) -> None:
    before = copy.deepcopy(thinking)
    assert ask(family, effort, thinking) == (fields, [])
    assert thinking == before


@pytest.mark.parametrize(
    ("family", "thinking", "effort", "why"),
    [
        ("claude", {"type": "adaptive"}, None, "is refused by the family 'claude'"),
        ("claude-opus-5", budget(2048), None, r"takes thinking={'type': 'adaptive'}"),
        ("claude-4-6", {"type": "adaptive"}, "xhigh", "low, medium, high, max|adaptive"),
        ("gpt-5", budget(2048), None, "reasoning_effort, one of minimal"),
        ("gemini-3", {"type": "adaptive"}, None, "reasoning_effort, one of low"),
        ("open-weights", budget(2048), None, "no setting for reasoning"),
        ("claude", {"type": "enabled"}, None, "needs 'budget_tokens' from 1024"),
        ("claude", budget(1023), None, "from 1024"),
        ("gemini-2-5-pro", budget(127), None, "from 128 to 32768"),
        ("gemini-2-5-flash", budget(24_577), None, "from 0 to 24576"),
        ("claude", budget(2048), "low", "not both"),
        ("claude", {"type": "disabled"}, "low", "contradict"),
        ("claude", budget(2048), "none", "contradict"),
        ("claude-fable-5", {"type": "disabled"}, None, "always reason"),
        ("gpt-5", {"type": "disabled"}, None, "cannot be switched off"),
    ],
)
def test_what_a_family_cannot_do_raises_and_says_what_it_can(family: str, thinking: Any, effort: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        ask(family, effort, thinking)


# Budgets and max_tokens.


@pytest.mark.parametrize(
    ("effort", "max_tokens", "budget"),
    [("high", 4097, 4096), ("high", 4096, 4095), ("high", 1025, 1024), ("low", 20_000, 1024), ("max", 8000, 7999)],
)
def test_a_budget_shrinks_below_max_tokens(effort: str, max_tokens: int, budget: int) -> None:
    fields = {"thinking": {"type": "enabled", "budget_tokens": budget}, "max_tokens": max_tokens}
    assert ask("claude", effort, max_tokens=max_tokens) == (fields, [])
    asked = {"type": "enabled", "budget_tokens": BUDGETS[effort]}
    assert ask("claude", thinking=asked, max_tokens=max_tokens) == (fields, [])


@pytest.mark.parametrize("max_tokens", [1, 1023, 1024])
def test_no_room_to_think_raises(max_tokens: int) -> None:
    with pytest.raises(ValueError, match=f"max_tokens={max_tokens} is too small"):
        ask("claude", "low", max_tokens=max_tokens)


def test_geminis_budget_does_not_depend_on_max_tokens() -> None:
    fields, _ = ask("gemini-2-5-flash", "high", max_tokens=100)
    assert fields == {"thinking": budget(4096), "max_tokens": 100}


# Tools.


def test_tools_that_need_effort_none_get_it() -> None:
    assert ask("gpt-5-6", tools=True) == ({"reasoning_effort": "none"}, [])
    assert ask("gpt-5-6", "none", tools=True) == ({"reasoning_effort": "none"}, [])
    with pytest.raises(ValueError, match="call without tools"):
        ask("gpt-5-6", "high", tools=True)
    assert ask("gpt-5-6", "high") == ({"reasoning_effort": "high"}, [])


def test_opus_5_goes_on_thinking_while_tools_are_bound() -> None:
    fields, (warning,) = ask("claude-opus-5", "none", tools=True)
    assert fields == adaptive("low")
    assert "writes tool calls as text" in warning
    assert ask("claude-adaptive", "none", tools=True) == (OFF, [])


def test_who_thinks() -> None:
    claude, fable = FAMILIES["claude"], FAMILIES["claude-fable-5"]
    assert not is_thinking({}, claude)
    assert not is_thinking({"thinking": {"type": "disabled"}}, claude)
    assert is_thinking({"thinking": budget(1024)}, claude)
    assert is_thinking({"thinking": {"type": "adaptive"}}, claude)
    assert is_thinking({}, fable)
