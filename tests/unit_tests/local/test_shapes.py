"""Answers in each family's shape, whole and streamed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import httpx

Body = dict[str, Any]
Say = Callable[..., Body]
Stream = Callable[..., list[Body]]

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the weather.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
CLOCK = {
    "type": "function",
    "function": {
        "name": "get_time",
        "description": "Tell the time.",
        "parameters": {"type": "object", "properties": {}},
    },
}
ASKED = "What is the weather in Oslo?"
MODELS = [
    "claude-sonnet-4-6", "claude-opus-5", "claude-fable-5", "gpt-5", "gpt-5-2", "gemini-3-1-pro", "gpt-oss-120b",
    "gpt-oss-20b", "meta-llama-3-3-70b-instruct", "llama-4-maverick", "glm-5-2", "glm-5-3", "kimi-k3", "inkling",
    "deepseek-v4-1-flash", "qwen35-122b-a10b", "qwen3-next-80b-a3b-instruct", "grok-4-6",
]  # fmt: skip


def text_in(content: Any) -> str:
    if isinstance(content, list):
        return "".join(part.get("text", "") for part in content if part["type"] == "text")
    return content or ""


def deltas(events: list[Body]) -> list[Body]:
    return [event["choices"][0]["delta"] for event in events if event["choices"]]


def gathered_calls(events: list[Body]) -> list[Body]:
    calls: dict[int, Body] = {}
    for delta in deltas(events):
        for fragment in delta.get("tool_calls") or []:
            call = calls.setdefault(fragment["index"], {"id": fragment.get("id"), "arguments": ""})
            call["arguments"] += fragment["function"]["arguments"]
            call.setdefault("name", fragment["function"].get("name"))
    return [calls[index] for index in sorted(calls)]


@pytest.mark.parametrize("model", MODELS)
def test_a_stream_adds_up_to_the_whole_answer(ask: Callable[..., httpx.Response], stream: Stream, model: str) -> None:
    for fields in ({}, {"tools": [WEATHER]}):
        whole = ask(model, ASKED, **fields).json()
        message = whole["choices"][0]["message"]
        events = stream(model, ASKED, **fields)
        assert "".join(text_in(delta.get("content")) for delta in deltas(events)) == text_in(message["content"])
        said = [
            {"id": call["id"], "arguments": call["function"]["arguments"], "name": call["function"]["name"]}
            for call in message.get("tool_calls", [])
        ]
        assert gathered_calls(events) == said
        assert bool(said) == bool(fields)
        assert events[-1]["usage"] == whole["usage"]
        thought = "".join(delta.get("reasoning_content", "") for delta in deltas(events))
        assert thought == message.get("reasoning_content", "")


@pytest.mark.parametrize("model", MODELS)
def test_every_event_has_the_frame(stream: Stream, model: str) -> None:
    events = stream(model, "Hello there")
    assert {event["object"] for event in events} == {"chat.completion.chunk"}
    assert len({(event["id"], event["model"]) for event in events}) == 1
    assert f"databricks-{model}" not in {event["model"] for event in events}  # docs/wire.md, 3.1: an upstream name
    assert len(events) > 3  # word by word


# -- usage: docs/wire.md, 3.5, 4.1


def test_claude_has_nulls_until_the_last_event(stream: Stream) -> None:
    usages = [event["usage"] for event in stream("claude-sonnet-4-6", "Hello there")]
    assert all(usage["completion_tokens"] is None and usage["total_tokens"] is None for usage in usages[:-1])
    assert all(usage["prompt_tokens"] > 0 for usage in usages)
    assert usages[-1]["total_tokens"] == usages[-1]["prompt_tokens"] + usages[-1]["completion_tokens"]
    assert {"cache_read_input_tokens", "cache_creation_input_tokens"} <= usages[0].keys()


def test_llama_counts_up(stream: Stream) -> None:
    counts = [event["usage"]["completion_tokens"] for event in stream("meta-llama-3-3-70b-instruct", "Hello you there")]
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]


def test_an_external_model_tells_only_when_asked(client: httpx.Client) -> None:
    url = "/serving-endpoints/gpt-4o/invocations"
    body = {"messages": [{"role": "user", "content": "Hi"}], "stream": True}
    assert '"usage"' not in client.post(url, json=body).text
    lines = client.post(url, json={**body, "stream_options": {"include_usage": True}}).text.split("\n\n")
    assert '"choices":[]' in lines[-3]
    assert '"usage":{"prompt_tokens"' in lines[-3]
    assert lines[-2] == "data: [DONE]"


def test_gpt_counts_reasoning_and_shows_none(ask: Callable[..., httpx.Response]) -> None:
    body = ask("gpt-5", "Hi", reasoning_effort="high").json()
    message, usage = body["choices"][0]["message"], body["usage"]
    assert message.keys() == {"role", "content", "refusal", "annotations"}
    assert isinstance(message["content"], str)
    assert 0 < usage["completion_tokens_details"]["reasoning_tokens"] < usage["completion_tokens"]
    assert ask("gpt-5-1", "Hi").json()["usage"]["completion_tokens_details"]["reasoning_tokens"] == 0


def test_glm_has_both_kinds_of_details(ask: Callable[..., httpx.Response]) -> None:
    usage = ask("glm-5-2", "Hi").json()["usage"]
    assert {"cache_read_input_tokens", "prompt_tokens_details", "completion_tokens_details"} <= usage.keys()


# -- content: docs/wire.md, 3.1, 3.2, 3.3, 3.4


def test_claude_without_thinking_is_a_string(ask: Callable[..., httpx.Response]) -> None:
    body = ask("claude-sonnet-4-6", "Hi").json()
    assert isinstance(body["choices"][0]["message"]["content"], str)
    assert body["model"] == "us.anthropic.claude-sonnet-4-6-v1:0"
    assert body["id"].startswith("msg_bdrk_01")


def test_opus_5_is_a_list_even_so(say: Say) -> None:
    assert say("claude-opus-5", "Say hi")["content"] == [{"type": "text", "text": "hi"}]


def test_gemini_is_a_list_with_a_thought_signature(say: Say, stream: Stream) -> None:
    (part,) = say("gemini-3-flash", "Say hi")["content"]
    assert part["text"] == "hi"
    assert part["thoughtSignature"]
    last = [delta["content"] for delta in deltas(stream("gemini-3-flash", "Say hi")) if delta["content"]][-1]
    assert last == [{"type": "text", "text": "", "thoughtSignature": part["thoughtSignature"]}]


def test_gemini_calls_come_whole_with_a_thought_signature(stream: Stream) -> None:
    calls = [
        delta["tool_calls"]
        for delta in deltas(stream("gemini-3-flash", ASKED, tools=[WEATHER]))
        if "tool_calls" in delta
    ]
    assert len(calls) == 1
    assert calls[0][0]["thoughtSignature"]
    assert calls[0][0]["function"]["arguments"] == '{"city":"Oslo"}'


def test_an_image_model_draws(say: Say, stream: Stream) -> None:
    text, image = say("gemini-3-pro-image", "A cat")["content"]
    assert text["type"] == "text"
    assert image["image_url"]["url"].startswith("data:image/png;base64,")
    assert [image] in [delta["content"] for delta in deltas(stream("gemini-3-pro-image", "A cat"))]


def test_some_ids_are_null(ask: Callable[..., httpx.Response]) -> None:
    assert ask("gpt-oss-120b", "Hi").json()["id"] is None


def test_a_tool_call_streams_in_fragments(stream: Stream) -> None:
    fragments = [
        delta["tool_calls"][0]
        for delta in deltas(stream("claude-sonnet-4-6", ASKED, tools=[WEATHER]))
        if "tool_calls" in delta
    ]
    first, *rest = fragments
    assert first["function"] == {"name": "get_weather", "arguments": ""}
    assert first["type"] == "function"
    assert first["id"].startswith("toolu_bdrk_01")
    assert all(part.keys() == {"index", "function"} and "name" not in part["function"] for part in rest)
    assert len(rest) > 1


def test_no_arguments_are_an_empty_string_on_claude(say: Say, stream: Stream) -> None:
    # docs/wire.md, 3.4, 4.2
    called = say("claude-sonnet-4-6", "Tell me the time", tools=[CLOCK])["tool_calls"]
    assert called[0]["function"]["arguments"] == ""
    assert gathered_calls(stream("claude-sonnet-4-6", "Tell me the time", tools=[CLOCK]))[0]["arguments"] == ""
    assert say("glm-5-2", "Tell me the time", tools=[CLOCK])["tool_calls"][0]["function"]["arguments"] == "{}"


def test_claude_says_something_before_it_calls(say: Say) -> None:
    message = say("claude-sonnet-4-6", ASKED, tools=[WEATHER])
    assert message["content"]
    assert message["tool_calls"]


def test_gemma_writes_calls_into_its_text(say: Say) -> None:
    message = say("gemma-3-12b", ASKED, tools=[WEATHER])
    assert "tool_calls" not in message
    assert '"name": "get_weather"' in message["content"]


def test_opus_5_leaks_calls_when_thinking_is_disabled(ask: Callable[..., httpx.Response]) -> None:
    # docs/wire.md, 2.3
    choice = ask("claude-opus-5", ASKED, tools=[WEATHER], thinking={"type": "disabled"}).json()["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["tool_calls"] == []
    assert '<invoke name="get_weather">' in choice["message"]["content"][0]["text"]


# -- ends: docs/wire.md, 3.6, 4.4


@pytest.mark.parametrize(
    ("model", "url", "finish"),
    [
        ("inkling", "/ai-gateway/mlflow/v1/chat/completions", None),
        ("kimi-k3", "/serving-endpoints/chat/completions", None),
        ("glm-5-2", "/serving-endpoints/chat/completions", None),
        ("glm-5-2", "/ai-gateway/mlflow/v1/chat/completions", "stop"),
        ("gpt-5", "/serving-endpoints/chat/completions", "stop"),
    ],
)
def test_some_streams_end_without_a_reason(client: httpx.Client, model: str, url: str, finish: str | None) -> None:
    body = {"model": f"databricks-{model}", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
    text = client.post(url, json=body).text
    assert text.endswith("data: [DONE]\n\n")
    assert ('"finish_reason":"stop"' in text) == (finish is not None)
    cut_off = client.post(url, json={**body, "max_tokens": 1}).text
    assert '"finish_reason":"length"' in cut_off


def test_a_whole_answer_always_has_a_reason(ask: Callable[..., httpx.Response]) -> None:
    assert ask("inkling", "Hi").json()["choices"][0]["finish_reason"] == "stop"


# -- limits


def test_max_tokens_cuts(ask: Callable[..., httpx.Response]) -> None:
    body = ask("meta-llama-3-3-70b-instruct", "Say one two three four five six seven", max_tokens=3).json()
    assert body["choices"][0]["finish_reason"] == "length"
    assert body["choices"][0]["message"]["content"] == "one two three"
    assert body["usage"]["completion_tokens"] == 3


def test_max_tokens_cuts_arguments_in_the_middle(ask: Callable[..., httpx.Response]) -> None:
    choice = ask("meta-llama-3-3-70b-instruct", ASKED, tools=[WEATHER], max_tokens=16).json()["choices"][0]
    assert choice["finish_reason"] == "length"
    arguments = choice["message"]["tool_calls"][0]["function"]["arguments"]
    assert arguments.startswith('{"city')
    assert not arguments.endswith("}")


def test_reasoning_is_spent_first(say: Say) -> None:
    # docs/wire.md, 3.3: GLM may put everything into reasoning_content when cut
    message = say("glm-5-2", "Hello", max_tokens=5)
    assert message["reasoning_content"]
    assert message["content"] == ""


def test_stop_ends_the_text(ask: Callable[..., httpx.Response]) -> None:
    choice = ask("claude-sonnet-4-6", "Say one two three", stop=["two"]).json()["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("one ", "stop")


def test_n_gives_so_many_answers(ask: Callable[..., httpx.Response], stream: Stream) -> None:
    choices = ask("glm-5-2", "Hello", n=3).json()["choices"]
    assert [choice["index"] for choice in choices] == [0, 1, 2]
    assert len({choice["message"]["content"] for choice in choices}) == 3
    assert {event["choices"][0]["index"] for event in stream("glm-5-2", "Hello", n=3)} == {0, 1, 2}


def test_logprobs(ask: Callable[..., httpx.Response]) -> None:
    choice = ask("meta-llama-3-3-70b-instruct", "Say a b", logprobs=True, top_logprobs=1).json()["choices"][0]
    content = choice["logprobs"]["content"]
    assert "".join(one["token"] for one in content) == choice["message"]["content"]
    assert content[0]["top_logprobs"][0]["bytes"] == [97]


# -- caching: docs/wire.md, 2.4, 3.5


def test_claude_caches_what_is_marked(ask: Callable[..., httpx.Response]) -> None:
    long = {"type": "text", "text": "word " * 1500, "cache_control": {"type": "ephemeral"}}
    messages = [{"role": "system", "content": [long]}, {"role": "user", "content": "Hi"}]
    first = ask("claude-sonnet-4-6", messages).json()["usage"]
    assert first["cache_creation_input_tokens"] >= 1500
    assert first["cache_read_input_tokens"] == 0
    again = ask("claude-sonnet-4-6", [messages[0], {"role": "user", "content": "Something else"}]).json()["usage"]
    assert again["cache_read_input_tokens"] == first["cache_creation_input_tokens"]
    assert again["cache_creation_input_tokens"] == 0
    assert again["prompt_tokens"] > again["cache_read_input_tokens"]


def test_what_is_short_or_unmarked_is_not_cached(ask: Callable[..., httpx.Response]) -> None:
    short = {"type": "text", "text": "few words", "cache_control": {"type": "ephemeral"}}
    for content in ([short], "word " * 1501):
        for _ in range(2):
            usage = ask("claude-sonnet-4-6", [{"role": "user", "content": content}]).json()["usage"]
            assert (usage["cache_read_input_tokens"], usage["cache_creation_input_tokens"]) == (0, 0)


def test_gpt_caches_by_itself(ask: Callable[..., httpx.Response]) -> None:
    text = "another " * 1500
    first, again = (ask("gpt-5", text).json()["usage"]["prompt_tokens_details"] for _ in range(2))
    assert first["cached_tokens"] == 0
    assert again["cached_tokens"] >= 1500
