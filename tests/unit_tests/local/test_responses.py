"""OpenAI's Responses on the local workspace: what it refuses, and what it answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from pydantic_core import from_json

Body = dict[str, Any]
Post = Callable[..., httpx.Response]

NATIVE = "/serving-endpoints/responses"
OPEN = "/serving-endpoints/open-responses"
OPENAI = "/ai-gateway/openai/v1/responses"
CODEX = "/ai-gateway/codex/v1/responses"
GPT = "databricks-gpt-5"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = {"type": "function", "name": "get_weather", "description": "Get the weather.", "parameters": SCHEMA}
HI: Body = {"role": "user", "content": "Say: hello"}
CALL: Body = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f", "arguments": "{}"}
RESULT: Body = {"type": "function_call_output", "call_id": "call_1", "output": "x"}
SAID: Body = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "a"}]}
THOUGHT: Body = {"type": "reasoning", "id": "rs_1", "summary": []}


@pytest.fixture(scope="module")
def post(client: httpx.Client) -> Post:
    def send(given: Any, path: str = NATIVE, model: str = GPT, **fields: Any) -> httpx.Response:
        return client.post(path, json={"model": model, "input": given, **fields})

    return send


def told(response: httpx.Response) -> list[Body]:
    """Return the events; each has its name, its type and its number."""
    assert response.status_code == 200, response.text
    events = []
    for block in response.text.strip().split("\n\n"):
        name, data = block.split("\n")
        event: Body = from_json(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        events.append(event)
    assert [event["sequence_number"] for event in events] == [*range(len(events))]
    return events


@pytest.mark.parametrize(
    ("items", "fields", "said"),
    [
        ([HI], {"foo": 1}, "Unknown parameter: 'foo'"),
        *(([HI], {key: 1}, f"Unknown parameter: '{key}'") for key in ("n", "stop", "max_tokens", "seed", "top_k")),
        *(([HI], {key: 1}, f"Unknown parameter: '{key}'") for key in ("presence_penalty", "frequency_penalty")),
        *(
            ([HI], {key: "x"}, f"'{key}' is not supported on Databricks")
            for key in ("background", "store", "conversation", "previous_response_id", "service_tier")
        ),
        ([HI], {"temperature": 1}, "'temperature' is not supported with this model"),
        ([HI], {"max_output_tokens": 0}, "expected a positive integer"),
        ([HI], {"max_output_tokens": 10**6}, "max_output_tokens is too large"),
        ([HI], {"reasoning": {"effort": "max"}}, "'reasoning.effort' does not support 'max'"),
        ([HI], {"tools": [{"type": "function", "function": {"name": "f"}}]}, "Unknown parameter: 'tools[0].function'"),
        ([HI], {"tools": [{"type": "function"}]}, "Missing required parameter: 'tools[0].name'"),
        ([HI], {"tools": [{"type": ["function"]}]}, "for 'tools[0].type'"),
        ([HI], {"tool_choice": "required"}, "must be specified with 'tools'"),
        ([HI], {"tools": [TOOL], "tool_choice": {"type": "function", "name": "g"}}, "'g' not found in 'tools'"),
        ([HI], {"text": {"format": {"type": "json_schema", "json_schema": {}}}}, "'text.format.json_schema'"),
        ([HI], {"text": {"format": {"type": "json_schema", "schema": {}}}}, "'text.format.name'"),
        ([], {}, "a string or a list of items that is not empty"),
        ([HI, {**SAID, "id": "msg_" + "a" * 61}], {}, "maximum length 64, but got a string with length 65"),
        ([HI, {**SAID, "id": "run-1"}], {}, "Expected an ID that begins with 'msg_'"),
        ([HI, {**CALL, "id": "call_1"}, RESULT], {}, "Expected an ID that begins with 'fc_'"),
        ([HI, {**THOUGHT, "id": "x"}, SAID], {}, "Expected an ID that begins with 'rs_'"),
        ([HI, {**SAID, "status": "completed"}], {}, "Unknown parameter: 'input[1].status'"),
        ([HI, {**SAID, "phase": None}], {}, "'input[1].phase': expected a value, but got null"),
        ([HI, {**SAID, "content": None}], {}, "'input[1].content': expected a value, but got null"),
        ([{"role": "user", "content": [{"type": "text", "text": "a"}]}], {}, "'text' for 'input[0].content[0].type'"),
        ([{"role": "tool", "content": "a"}], {}, "Invalid value: 'tool' for a role"),
        ([HI, RESULT], {}, "No tool call found for function call output with call_id call_1"),
        ([HI, CALL], {}, "No tool output found for function call call_1"),
        ([HI, THOUGHT, SAID], {}, "Item with id 'rs_1' not found"),
        ([HI, {**THOUGHT, "encrypted_content": "abc"}, SAID], {}, "encrypted content could not be verified"),
    ],
)
def test_what_is_refused(post: Post, items: Any, fields: Body, said: str) -> None:
    response = post(items, **fields)
    assert response.status_code == 400, response.text
    assert said in response.json()["message"]


@pytest.mark.parametrize(
    ("path", "model", "status"),
    [
        (NATIVE, GPT, 200),
        (NATIVE, "databricks-gpt-5-5-pro", 200),
        (NATIVE, "databricks-glm-5-2", 400),
        (NATIVE, "databricks-bge-large-en", 400),
        (OPEN, "databricks-glm-5-2", 200),
        (OPEN, "databricks-claude-sonnet-4-6", 200),
        (OPEN, "databricks-gemini-3-5-flash", 200),
        (OPENAI, "system.ai.gpt-5", 200),
        (OPENAI, "system.ai.kimi-k3", 400),
        (CODEX, "system.ai.kimi-k3", 200),
        (CODEX, "system.ai.gemini-3-5-flash", 400),
    ],
)
def test_which_models_a_path_serves(post: Post, path: str, model: str, status: int) -> None:
    response = post("Say: hello", path, model)
    assert response.status_code == status, response.text
    if status == 200:
        assert response.json()["output"][-1]["content"][0]["text"] == "hello"
    else:
        assert response.json()["message"] == "Responses API passthrough is not supported"


def test_encrypted_reasoning_goes_back_only_unchanged(post: Post) -> None:
    reasoning, message = post([HI], include=["reasoning.encrypted_content"]).json()["output"]
    assert len(message["id"]) > 64  # docs/wire.md, 9.2
    sent = {**reasoning, "id": reasoning["id"][:64]}
    again = [HI, sent, SAID, {"role": "user", "content": "Say: bye"}]
    assert post(again).json()["output"][-1]["content"][0]["text"] == "bye"
    again[1] = {**sent, "encrypted_content": "A" + reasoning["encrypted_content"][1:]}
    assert post(again).status_code == 400
    assert "encrypted_content" not in post([HI]).json()["output"][0]


def test_a_call_and_its_result(post: Post) -> None:
    asked = {"role": "user", "content": "What is the weather in Oslo?"}
    call = post([asked], tools=[TOOL], tool_choice="required").json()["output"][-1]
    assert (call["type"], call["name"], from_json(call["arguments"])) == (
        "function_call",
        "get_weather",
        {"city": "Oslo"},
    )
    sent = {key: call[key] for key in ("type", "call_id", "name", "arguments")}
    result = {"type": "function_call_output", "call_id": call["call_id"], "output": "Sunny, 21 degrees"}
    answer = post([asked, sent, result], tools=[TOOL]).json()["output"][-1]
    assert "21" in answer["content"][0]["text"]


def test_a_schema_is_filled(post: Post) -> None:
    form = {"type": "json_schema", "name": "place", "schema": {**SCHEMA, "additionalProperties": False}, "strict": True}
    message = post("I live in Oslo.", text={"format": form}).json()["output"][-1]
    assert [*from_json(message["content"][0]["text"])] == ["city"]


@pytest.mark.parametrize("streamed", [False, True])
def test_a_limit_makes_the_answer_incomplete(post: Post, streamed: bool) -> None:
    fields = {"max_output_tokens": 2, "stream": streamed}
    response = post("Say: one two three four five", OPEN, "databricks-meta-llama-3-3-70b-instruct", **fields)
    if streamed:
        assert told(response)[-1]["type"] == "response.incomplete"
    whole = told(response)[-1]["response"] if streamed else response.json()
    assert whole["status"] == whole["output"][-1]["status"] == "incomplete"
    assert whole["incomplete_details"] == {"reason": "max_output_tokens"}


def test_the_events_of_a_text(post: Post) -> None:
    events = told(post("Say: hello", stream=True))
    assert [event["type"].removeprefix("response.") for event in events] == [
        "created", "in_progress", "output_item.added", "output_item.done", "output_item.added", "content_part.added",
        "output_text.delta", "output_text.done", "content_part.done", "output_item.done", "completed",
    ]  # fmt: skip
    last = events[-1]["response"]
    assert [event["item"] for event in events if event["type"].endswith("item.done")] == last["output"]
    assert last["usage"]["output_tokens_details"]["reasoning_tokens"] > 0
    assert last["usage"]["input_tokens_details"] == {"cached_tokens": 0}
    whole = post("Say: hello").json()
    assert [item["type"] for item in whole["output"]] == [item["type"] for item in last["output"]]
    assert whole["usage"] == last["usage"]


def test_the_events_of_a_call(post: Post) -> None:
    fields = {"tools": [TOOL], "tool_choice": "required", "stream": True}
    events = told(post("What is the weather in Oslo?", **fields))
    kind = "response.function_call_arguments"
    written = "".join(event["delta"] for event in events if event["type"] == f"{kind}.delta")
    (done,) = [event for event in events if event["type"] == f"{kind}.done"]
    call = events[-1]["response"]["output"][-1]
    assert done["arguments"] == written == call["arguments"]
    assert done["item_id"] == call["id"]


def test_the_reasoning_of_an_open_model_is_readable(post: Post) -> None:
    events = told(post("Say: hello", OPEN, "databricks-glm-5-2", stream=True))
    text = "".join(event["delta"] for event in events if event["type"] == "response.reasoning_text.delta")
    assert text
    assert events[-1]["response"]["output"][0]["content"] == [{"type": "reasoning_text", "text": text}]
    summed = told(post("Say: hello", reasoning={"effort": "low", "summary": "auto"}, stream=True))
    (part,) = summed[-1]["response"]["output"][0]["summary"]
    assert part["text"] == next(e["text"] for e in summed if e["type"] == "response.reasoning_summary_text.done")
