"""Reasoning: asked for, given, signed, and checked when it comes back."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from langchain_dbchat.local import LocalWorkspace

if TYPE_CHECKING:
    import httpx

Body = dict[str, Any]
Ask = Callable[..., "httpx.Response"]

BUDGET: Body = {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 4096}
SHOWN: Body = {"thinking": {"type": "adaptive", "display": "summarized"}}
OMITTED: Body = {"thinking": {"type": "adaptive"}}
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the weather.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
QUESTION = {"role": "user", "content": "What is the weather in Oslo?"}


def reasoning_of(message: Body) -> Body:
    part: Body = message["content"][0]
    assert part["type"] == "reasoning"
    item: Body = part["summary"][0]
    return item


def answered(message: Body) -> list[Body]:
    """The conversation so far, with the assistant's turn sent back as it came."""
    results = [
        {"role": "tool", "tool_call_id": call["id"], "content": "Rain"} for call in message.get("tool_calls", [])
    ]
    message = copy.deepcopy(message)
    for call in message.get("tool_calls", []):
        call["function"]["arguments"] = call["function"]["arguments"] or "{}"
    return [QUESTION, message, *(results or [{"role": "user", "content": "And tomorrow?"}])]


# -- what comes (docs/wire.md, 2.3, 3.2, 3.3)


@pytest.mark.parametrize(
    ("model", "fields"), [("claude-sonnet-4-5", BUDGET), ("claude-sonnet-4-6", BUDGET), ("claude-opus-5", SHOWN)]
)
def test_claude_shows_signed_reasoning(say: Callable[..., Body], model: str, fields: Body) -> None:
    message = say(model, [QUESTION], **fields)
    item = reasoning_of(message)
    assert item.keys() == {"type", "text", "signature"}
    assert item["text"]
    assert len(item["signature"]) > 40
    assert message["content"][1]["type"] == "text"


@pytest.mark.parametrize(("model", "fields"), [("claude-opus-5", OMITTED), ("claude-fable-5", {})])
def test_omitted_reasoning_is_empty_but_signed(say: Callable[..., Body], model: str, fields: Body) -> None:
    item = reasoning_of(say(model, [QUESTION], **fields))
    assert item["text"] == ""
    assert item["signature"]


def test_redacted_reasoning(say: Callable[..., Body], ask: Ask) -> None:
    asked = {"role": "user", "content": "ANTHROPIC_MAGIC_STRING_TRIGGER_REDACTED_THINKING_46C9A13E weather in Oslo?"}
    message = say("claude-sonnet-4-5", [asked], **BUDGET)
    item = reasoning_of(message)
    assert item.keys() == {"type", "data"}
    assert item["type"] == "summary_encrypted_text"
    more = {"role": "user", "content": "And tomorrow?"}
    assert ask("claude-sonnet-4-5", [asked, message, more], **BUDGET).status_code == 200
    item["data"] += "x"
    assert "Invalid `data`" in ask("claude-sonnet-4-5", [asked, message, more], **BUDGET).text


def test_others_show_it_their_own_way(say: Callable[..., Body]) -> None:
    assert "signature" not in reasoning_of(say("gpt-oss-120b", "Hi"))
    harmony = say("gpt-oss-20b", "Hi")["content"][0]
    assert harmony["content"][0]["type"] == "reasoning_text"
    for model in ("glm-5-2", "inkling", "kimi-k3", "deepseek-v4-1-flash"):
        message = say(model, "Hi")
        assert message["reasoning_content"]
        assert isinstance(message["content"], str)
    assert "reasoning_content" not in say("glm-5-2", "Hi", reasoning_effort="none")
    assert [part["type"] for part in say("gemini-3-flash", "Hi")["content"]] == ["text"]
    assert [part["type"] for part in say("gemini-3-flash", "Hi", reasoning_effort="low")["content"]] == [
        "reasoning",
        "text",
    ]


def test_claude_streams_the_signature_alone_and_last(
    stream: Callable[..., list[Body]], say: Callable[..., Body]
) -> None:
    # docs/wire.md, 4.3
    deltas = [event["choices"][0]["delta"] for event in stream("claude-sonnet-4-6", "Hello", **BUDGET)]
    items = [delta["content"][0]["summary"][0] for delta in deltas if isinstance(delta["content"], list)]
    assert all(item["signature"] == "" and item["text"] for item in items[:-1])
    assert items[-1]["text"] == ""
    whole = reasoning_of(say("claude-sonnet-4-6", "Hello", **BUDGET))
    assert ("".join(item["text"] for item in items), items[-1]["signature"]) == (whole["text"], whole["signature"])
    assert all(isinstance(delta["content"], str) for delta in deltas[len(items) :])


def test_omitted_reasoning_streams_a_signature_only(stream: Callable[..., list[Body]]) -> None:
    deltas = [event["choices"][0]["delta"] for event in stream("claude-fable-5", "Hello")]
    lists = [delta for delta in deltas if isinstance(delta["content"], list)]
    assert len(lists) == 1
    assert lists[0]["content"][0]["summary"][0]["signature"]


# -- what goes back (docs/wire.md, 5)

LOOPS = [
    ("claude-sonnet-4-5", BUDGET), ("claude-sonnet-4-6", SHOWN), ("claude-opus-5", SHOWN), ("claude-opus-5", OMITTED),
    ("gemini-3-1-pro", {"reasoning_effort": "low"}), ("gemini-3-flash", {}),
    ("gpt-oss-120b", {}), ("gpt-oss-20b", {}),
]  # fmt: skip


@pytest.mark.parametrize(("model", "fields"), LOOPS)
def test_an_unchanged_turn_is_accepted(ask: Ask, say: Callable[..., Body], model: str, fields: Body) -> None:
    message = say(model, [QUESTION], tools=[WEATHER], **fields)
    assert message["tool_calls"]
    history = answered(message)
    response = ask(model, history, tools=[WEATHER], **fields)
    assert response.status_code == 200, response.text
    final = response.json()["choices"][0]["message"]
    assert "tool_calls" not in final
    more = [*history, final, {"role": "user", "content": "Thank you"}]
    assert ask(model, more, tools=[WEATHER], **fields).status_code == 200


def changed(item: Body) -> None:
    item["text"] += " "


def unsigned(item: Body) -> None:
    del item["signature"]


def blank(item: Body) -> None:
    item["signature"] = ""


def forged(item: Body) -> None:
    item["signature"] = item["signature"][:-2] + "AA"


@pytest.mark.parametrize(
    ("harm", "text"),
    [
        (changed, "Invalid `signature` in `thinking` block"),
        (forged, "Invalid `signature` in `thinking` block"),
        (unsigned, "signature: Field required"),
        (blank, "signature: Field required"),
    ],
)
@pytest.mark.parametrize(("model", "fields"), LOOPS[:4])
def test_a_harmed_signature_is_refused(
    ask: Ask, say: Callable[..., Body], model: str, fields: Body, harm: Callable[[Body], None], text: str
) -> None:
    history = answered(say(model, [QUESTION], tools=[WEATHER], **fields))
    harm(reasoning_of(history[1]))
    response = ask(model, history, tools=[WEATHER], **fields)
    assert response.status_code == 400
    assert text in response.text


def test_reasoning_may_be_left_out(ask: Ask, say: Callable[..., Body]) -> None:
    history = answered(say("claude-sonnet-4-5", [QUESTION], tools=[WEATHER], **BUDGET))
    history[1]["content"] = history[1]["content"][1:]
    assert ask("claude-sonnet-4-5", history, tools=[WEATHER], **BUDGET).status_code == 200


def test_reasoning_comes_first(ask: Ask, say: Callable[..., Body]) -> None:
    history = answered(say("claude-sonnet-4-5", [QUESTION], tools=[WEATHER], **BUDGET))
    history[1]["content"].reverse()
    response = ask("claude-sonnet-4-5", history, tools=[WEATHER], **BUDGET)
    assert response.status_code == 400
    assert "Only place the block where the API allows it" in response.text


def test_reasoning_is_not_the_last_word(ask: Ask, say: Callable[..., Body]) -> None:
    # forgecode #2107
    fields = {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 2048}
    content = say("claude-sonnet-4-5", "Hello", **fields)["content"]
    alone = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": content[:1]}]
    response = ask("claude-sonnet-4-5", [*alone, {"role": "user", "content": "So?"}], **fields)
    assert "messages.1: The final block in an assistant message cannot be `thinking`." in response.text


def test_a_signature_of_another_workspace_is_refused(ask: Ask, say: Callable[..., Body]) -> None:
    with LocalWorkspace() as other:
        import httpx

        theirs = httpx.post(
            f"{other.host}/serving-endpoints/databricks-claude-sonnet-4-5/invocations",
            json={"messages": [QUESTION], **BUDGET},
            headers={"authorization": f"Bearer {other.token}"},
        ).json()["choices"][0]["message"]
    assert reasoning_of(theirs)["text"] == reasoning_of(say("claude-sonnet-4-5", [QUESTION], **BUDGET))["text"]
    response = ask("claude-sonnet-4-5", answered(theirs), **BUDGET)
    assert response.status_code == 400


def test_claude_reads_the_signatures_of_another_claude(ask: Ask, say: Callable[..., Body]) -> None:
    history = answered(say("claude-sonnet-4-5", [QUESTION], **BUDGET))
    assert ask("claude-opus-4-5", history, **BUDGET).status_code == 200


def test_claude_reasoning_is_refused_elsewhere(ask: Ask, say: Callable[..., Body]) -> None:
    history = answered(say("claude-sonnet-4-5", [QUESTION], **BUDGET))
    for model in ("gpt-oss-120b", "gemini-3-flash", "gpt-5", "meta-llama-3-3-70b-instruct", "glm-5-2"):
        assert ask(model, history).status_code == 400


# -- Gemini: docs/wire.md, 3.4, 5.2


def test_gemini_misses_its_signature(ask: Ask, say: Callable[..., Body]) -> None:
    history = answered(say("gemini-3-flash", [QUESTION], tools=[WEATHER]))
    del history[1]["tool_calls"][0]["thoughtSignature"]
    response = ask("gemini-3-flash", history, tools=[WEATHER])
    assert response.status_code == 400
    assert "Function call is missing a thought_signature in functionCall parts" in response.text


def test_gemini_knows_its_signature(ask: Ask, say: Callable[..., Body]) -> None:
    history = answered(say("gemini-3-flash", [QUESTION], tools=[WEATHER]))
    spaced = copy.deepcopy(history)
    spaced[1]["tool_calls"][0]["function"]["arguments"] = '{ "city": "Oslo" }'
    assert ask("gemini-3-flash", spaced, tools=[WEATHER]).status_code == 200
    history[1]["tool_calls"][0]["function"]["arguments"] = '{"city": "Bergen"}'
    assert ask("gemini-3-flash", history, tools=[WEATHER]).status_code == 400


def test_gemini_takes_googles_word_for_a_call_from_elsewhere(ask: Ask, say: Callable[..., Body]) -> None:
    # Gemini API, "Thought signatures": the documented value for histories that another model made
    history = answered(say("gemini-3-flash", [QUESTION], tools=[WEATHER]))
    history[1]["tool_calls"][0]["thoughtSignature"] = "skip_thought_signature_validator"
    assert ask("gemini-3-flash", history, tools=[WEATHER]).status_code == 200
    history[1]["tool_calls"][0]["thoughtSignature"] = "anything else"
    assert ask("gemini-3-flash", history, tools=[WEATHER]).status_code == 400


def test_gemini_forgives_earlier_turns_of_others(ask: Ask) -> None:
    call = {"id": "a", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Oslo"}'}}
    history = [
        QUESTION,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "a", "content": "Rain"},
        {"role": "assistant", "content": "It rains."},
        {"role": "user", "content": "Thanks"},
    ]
    assert ask("gemini-3-flash", history, tools=[WEATHER]).status_code == 200
