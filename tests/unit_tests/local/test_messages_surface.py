"""Anthropic's Messages on the local workspace: what it refuses, and what it answers."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from pydantic_core import from_json

from langchain_dbchat.local import LocalWorkspace

Body = dict[str, Any]
Post = Callable[..., httpx.Response]

PATH = "/serving-endpoints/anthropic/v1/messages"
SONNET = "databricks-claude-sonnet-4-5"
TOOL = {
    "name": "get_weather",
    "description": "Get the weather.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
ASKED = {"role": "user", "content": "What is the weather in Oslo?"}
BUDGET: Body = {"thinking": {"type": "enabled", "budget_tokens": 1024}}
EXTRA = "Extra inputs are not permitted"
MARK = {"type": "ephemeral"}


@pytest.fixture(scope="module")
def post(client: httpx.Client) -> Post:
    def send(model: str, messages: Any, **fields: Any) -> httpx.Response:
        body = {"model": model, "max_tokens": 2048, "messages": messages, **fields}
        return client.post(PATH, json={key: value for key, value in body.items() if value is not None})

    return send


def user(*blocks: Body) -> list[Body]:
    return [{"role": "user", "content": list(blocks)}]


def text(said: str, **more: Any) -> Body:
    return {"type": "text", "text": said, **more}


def used(call_id: str = "toolu_1") -> Body:
    return {"role": "assistant", "content": [{"type": "tool_use", "id": call_id, "name": "f", "input": {}}]}


def result(call_id: str = "toolu_1") -> Body:
    return {"type": "tool_result", "tool_use_id": call_id, "content": "x"}


HI = user(text("Hi"))
FORGED: Body = {"type": "thinking", "thinking": "a"}
REFUSED: dict[str, tuple[str, Any, Body, str]] = {
    "no limit": (SONNET, HI, {"max_tokens": None}, "max_tokens: Field required"),
    "limit too large": (SONNET, HI, {"max_tokens": 10**6}, "max_tokens: 1000000 > 64000, which is the maximum"),
    "unknown field": (SONNET, HI, {"seed": 1}, f"seed: {EXTRA}"),
    "unknown field of a block": (SONNET, user(text("Hi", foo=1)), {}, f"messages.0.content.0.text.foo: {EXTRA}"),
    "unknown field of a message": (SONNET, [{**HI[0], "name": "x"}], {}, f"messages.0.name: {EXTRA}"),
    "strict tools": (SONNET, HI, {"tools": [{**TOOL, "strict": True}]}, f"tools.0.custom.strict: {EXTRA}"),
    "no schema": (SONNET, HI, {"tools": [{"name": "f"}]}, "tools.0.custom.input_schema: Field required"),
    "a schema without a type": (SONNET, HI, {"tools": [{"name": "f", "input_schema": {}}]}, "type: Field required"),
    "empty text": (SONNET, user(text("")), {}, "text content blocks must be non-empty"),
    "blank text": (SONNET, user(text(" ")), {}, "must contain non-whitespace text"),
    "a system role": (SONNET, [{"role": "system", "content": "x"}, *HI], {}, "Unexpected role 'system'"),
    "two users": (SONNET, [*HI, *HI], {}, "roles must alternate"),
    "the assistant first": (SONNET, [{"role": "assistant", "content": "x"}, *HI], {}, 'must use the "user" role'),
    "an image by URL": (
        SONNET,
        user({"type": "image", "source": {"type": "url", "url": "https://a/b.png"}}),
        {},
        "Http data URLs are not supported by Claude",
    ),
    "an id with a point": (SONNET, [*HI, used("a.b"), *user(result("a.b"))], {}, "String should match pattern"),
    "ids twice": (
        SONNET,
        [*HI, used(), *user(result()), used(), *user(result())],
        {},
        "`tool_use` ids must be unique",
    ),
    "a result without a call": (SONNET, user(result()), {}, "unexpected `tool_use_id` found in `tool_result` blocks"),
    "a call without a result": (SONNET, [*HI, used(), *HI], {}, "were found without `tool_result` blocks immediately"),
    "a result behind text": (SONNET, [*HI, used(), *user(text("a"), result())], {}, "must come first"),
    "five marks": (
        SONNET,
        user(*(text(word, cache_control=MARK) for word in "abcde")),
        {},
        "A maximum of 4 blocks with cache_control may be provided. Found 5.",
    ),
    "a long lifetime behind a short one": (
        SONNET,
        user(text("a", cache_control=MARK), text("b", cache_control={**MARK, "ttl": "1h"})),
        {},
        "must not come after a ttl='5m'",
    ),
    "another lifetime": (SONNET, user(text("a", cache_control={**MARK, "ttl": "1d"})), {}, "'5m' or '1h'"),
    "forced while it thinks": (
        SONNET,
        HI,
        {**BUDGET, "tools": [TOOL], "tool_choice": {"type": "any"}},
        "Thinking may not be enabled when tool_choice forces tool use.",
    ),
    "forced on opus 5.5": (
        "databricks-claude-opus-5-5",
        HI,
        {"tools": [TOOL], "tool_choice": {"type": "tool", "name": "get_weather"}},
        "forcing tool use is not supported",
    ),
    "a choice without tools": (SONNET, HI, {"tool_choice": {"type": "any"}}, "while providing tools"),
    "a budget above the limit": (SONNET, HI, {**BUDGET, "max_tokens": 1024}, "`max_tokens` must be greater"),
    "a budget on opus 5": ("databricks-claude-opus-5", HI, BUDGET, "thinking.type.enabled"),
    "temperature on opus 5": ("databricks-claude-opus-5", HI, {"temperature": 0.1}, "`temperature` is deprecated"),
    "thinking disabled on fable 5": (
        "databricks-claude-fable-5",
        HI,
        {"thinking": {"type": "disabled"}},
        "is not supported for this model",
    ),
    "a prefill on sonnet 4.6": (
        "databricks-claude-sonnet-4-6",
        [*HI, {"role": "assistant", "content": "So"}],
        {},
        "does not support assistant message prefill",
    ),
    "white space at the end": (SONNET, [*HI, {"role": "assistant", "content": "So "}], {}, "trailing whitespace"),
    "calls without their reasoning": (
        SONNET,
        [*HI, used(), *user(result())],
        BUDGET,
        "Expected `thinking` or `redacted_thinking`, but found `tool_use`",
    ),
    "reasoning of nobody": (
        SONNET,
        [
            *HI,
            {"role": "assistant", "content": [{"type": "thinking", "thinking": "a", "signature": "b"}, text("c")]},
            *HI,
        ],
        {},
        "Invalid `signature` in `thinking` block",
    ),
    "an open schema": (
        SONNET,
        HI,
        {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object", "properties": {}}}}},
        "'additionalProperties' must be explicitly set to false",
    ),
    "blank stop": (SONNET, HI, {"stop_sequences": [" "]}, "must contain non-whitespace"),
    "another family": ("databricks-glm-5-2", HI, {}, "Anthropic Messages API is not supported"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(post: Post, name: str) -> None:
    model, messages, fields, words = REFUSED[name]
    response = post(model, messages, **fields)
    assert response.status_code == 400, response.text
    body = response.json()
    assert body["type"] == "error"
    assert body["error"]["type"] == "invalid_request_error"
    assert words in body["error"]["message"]


def answered(message: Body) -> list[Body]:
    results = [
        {"type": "tool_result", "tool_use_id": block["id"], "content": "Rain"}
        for block in message["content"]
        if block["type"] == "tool_use"
    ]
    return [ASKED, {"role": "assistant", "content": copy.deepcopy(message["content"])}, *user(*results)]


LOOPS: list[tuple[str, Body]] = [
    (SONNET, BUDGET),
    ("databricks-claude-opus-5", {"thinking": {"type": "adaptive", "display": "summarized"}}),
    ("databricks-claude-opus-5-5", {}),
    ("databricks-claude-fable-5-1", {}),
]


@pytest.mark.parametrize(("model", "fields"), LOOPS)
def test_a_turn_goes_back_unchanged_or_is_refused(post: Post, model: str, fields: Body) -> None:
    message = post(model, [ASKED], tools=[TOOL], **fields).json()
    kinds = [block["type"] for block in message["content"]]
    assert kinds[0] == "thinking"
    assert kinds[-1] == "tool_use"
    assert message["stop_reason"] == "tool_use"
    history = answered(message)
    final = post(model, history, tools=[TOOL], **fields)
    assert final.status_code == 200, final.text
    assert final.json()["stop_reason"] == "end_turn"
    history[1]["content"][0]["thinking"] += " "
    assert "Invalid `signature`" in post(model, history, tools=[TOOL], **fields).text


def test_the_newest_bind_the_prefix(post: Post) -> None:
    # docs/wire.md, 5.1
    for model, status in (("databricks-claude-opus-5-5", 400), ("databricks-claude-opus-5", 200)):
        fields: Body = {} if model.endswith("5-5") else {"thinking": {"type": "adaptive"}}
        history = answered(post(model, [ASKED], tools=[TOOL], **fields).json())
        history[0] = {"role": "user", "content": "What is the weather in Bergen?"}
        assert post(model, history, tools=[TOOL], **fields).status_code == status


@pytest.mark.parametrize(("model", "fields"), [*LOOPS, (SONNET, {})])
def test_events_add_up_to_the_whole_answer(post: Post, model: str, fields: Body) -> None:
    whole = post(model, [ASKED], tools=[TOOL], **fields).json()
    response = post(model, [ASKED], tools=[TOOL], stream=True, **fields)
    lines = [line.split("\n") for line in response.text.strip().split("\n\n")]
    events = [from_json(data.removeprefix("data: ")) for _, data in lines]
    assert [name.removeprefix("event: ") for name, _ in lines] == [event["type"] for event in events]
    assert (events[0]["type"], events[-2]["type"], events[-1]["type"]) == (
        "message_start",
        "message_delta",
        "message_stop",
    )
    blocks: list[Body] = []
    for event in events:
        if event["type"] == "content_block_start":
            assert event["index"] == len(blocks)
            blocks.append({**event["content_block"], "json": ""})
        elif event["type"] == "content_block_delta":
            add(blocks[event["index"]], event["delta"])
    for block in blocks:
        written = block.pop("json")
        if block["type"] == "tool_use":
            block["input"] = from_json(written)
    assert blocks == whole["content"]
    assert events[-2]["delta"]["stop_reason"] == whole["stop_reason"]
    assert events[-2]["usage"] == whole["usage"]


def add(block: Body, delta: Body) -> None:
    for key, value in delta.items():
        if key == "partial_json":
            block["json"] += value
        elif key != "type":
            block[key] += value


def test_the_gateway_lists_the_models(client: httpx.Client) -> None:
    listed = client.get("/ai-gateway/anthropic/v1/models").json()
    assert {"type": "model", "id": "system.ai.claude-opus-5-5", "display_name": "Claude Opus 5 5"} in listed["data"]
    assert not any("gpt" in model["id"] for model in listed["data"])


def test_an_answer_of_a_test() -> None:
    with LocalWorkspace() as workspace:
        said = [{"type": "text", "text": "So", "citations": [{"type": "char_location", "cited_text": "x"}]}]
        for stream in (False, True):
            workspace.answer_next({"content": said, "stop_reason": "refusal"})
            body = {"model": SONNET, "max_tokens": 9, "messages": HI, "stream": stream}
            headers = {"authorization": f"Bearer {workspace.token}"}
            reply = httpx.post(f"{workspace.host}{PATH}", json=body, headers=headers, trust_env=False)
            assert "char_location" in reply.text
            assert '"refusal"' in reply.text
