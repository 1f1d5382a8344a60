"""Each field of each surface with each type of JSON: an answer, or a refusal in words, on the same connection."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from kit.junk import places, with_junk

if TYPE_CHECKING:
    import httpx

Body = dict[str, Any]

HUGE = 10**30
DEEP: Any = 1
for _ in range(100):
    DEEP = {"a": [DEEP]}
ALWAYS: list[Any] = [None, True, 1, "x", [], ["x"], {}, {"type": []}]
SOMETIMES: list[Any] = [
    False, 0, -1, 3.5, HUGE, -HUGE, 1e308, "", "0.5", " ", "²", [None], [[]], [1], [{}], {"type": "text"}, {"type": {}},
    {"x": 1}, DEEP,
]  # fmt: skip
SCHEMA = {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"], "additionalProperties": False}
FUNCTION = {"type": "function", "name": "look", "description": "Look.", "parameters": SCHEMA, "strict": True}
TEXT = {"type": "text", "text": "Seen."}
PNG = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
MESSAGES: Body = {
    "model": "databricks-claude-sonnet-4-6",
    "max_tokens": 3000,
    "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "Look at Oslo."}, {"type": "image", "source": PNG}]},
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "I look."},
                {"type": "tool_use", "id": "t1", "name": "look", "input": {"q": "Oslo"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "42"}]},
                {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}},
                {"type": "document", "title": "x", "source": {"type": "content", "content": [TEXT]}},
                {"type": "search_result", "source": "x", "title": "y", "content": [TEXT]},
            ],
        },
    ],
    "tools": [{"name": "look", "description": "Look.", "input_schema": SCHEMA}],
    "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
    "stop_sequences": ["x"],
    "temperature": 0.5,
    "metadata": {"user_id": "u"},
    "stream": False,
}
ASKED: list[Body] = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Look at Oslo."}]
CHAT: Body = {
    "messages": ASKED,
    "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA, "strict": True}},
    "max_tokens": 900,
    "stream": True,
}
THINKING: Body = {
    "model": "databricks-claude-sonnet-4-6",
    "max_tokens": 3000,
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": SCHEMA}},
    "messages": [{"role": "user", "content": "Look at Oslo."}],
    "stream": True,
}
RESPONSES: Body = {
    "model": "databricks-gpt-5-2",
    "instructions": "Be brief.",
    "input": [
        {"role": "user", "content": [{"type": "input_text", "text": "Look at Oslo."}]},
        {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "look", "arguments": '{"q": "Oslo"}'},
        {"type": "function_call_output", "call_id": "c1", "output": "42"},
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "42", "annotations": []}],
        },
        {"type": "message", "role": "user", "content": "And Bergen?"},
    ],
    "tools": [FUNCTION],
    "tool_choice": {"type": "function", "name": "look"},
    "reasoning": {"effort": "low", "summary": "auto"},
    "text": {"format": {"type": "json_schema", "name": "x", "schema": SCHEMA, "strict": True}},
    "max_output_tokens": 2000,
    "include": ["reasoning.encrypted_content"],
    "metadata": {"a": "b"},
    "stream": False,
}
AGENT: Body = {
    "input": [*RESPONSES["input"], {"type": "reasoning", "id": "rs_1", "summary": []}],
    "custom_inputs": {"a": "b"},
    "context": {"user_id": "u", "conversation_id": "c"},
    "databricks_options": {"return_trace": True},
    "stream": False,
}
APPROVAL: Body = {
    "input": [
        {"role": "user", "content": "Look."},
        {"type": "mcp_approval_request", "id": "a1", "name": "look", "arguments": "{}", "server_label": "s"},
        {"type": "mcp_approval_response", "approval_request_id": "a1", "approve": True},
    ]
}
CHAT_AGENT: Body = {
    "messages": [
        {"role": "user", "content": "Look.", "id": "u1"},
        {
            "role": "assistant",
            "content": "",
            "id": "a1",
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}],
        },
        {"role": "tool", "content": "42", "tool_call_id": "c1", "name": "look", "id": "t1", "attachments": {"a": "b"}},
        {"role": "user", "content": "Again."},
    ],
    "custom_inputs": {"a": "b"},
    "context": {"user_id": "u", "conversation_id": "c"},
    "stream": False,
}
SURFACES: dict[str, tuple[str, Body]] = {
    "messages": ("/serving-endpoints/anthropic/v1/messages", MESSAGES),
    "messages of the gateway": ("/ai-gateway/anthropic/v1/messages", MESSAGES),
    "messages with thinking": ("/serving-endpoints/anthropic/v1/messages", THINKING),
    "responses": ("/serving-endpoints/responses", RESPONSES),
    "agent": ("/serving-endpoints/agent-research/invocations", AGENT),
    "agent's approval": ("/serving-endpoints/agent-research/invocations", APPROVAL),
    "chat agent": ("/serving-endpoints/agent-support/invocations", CHAT_AGENT),
    "agent of chat completions": (
        "/serving-endpoints/agent-simple/invocations",
        {"messages": [{"role": "user", "content": "Look."}], "max_tokens": 9, "stop": ["x"], "custom_inputs": {"a": 1}},
    ),
    "chat of GPT": (
        "/serving-endpoints/databricks-gpt-5-2/invocations",
        {**CHAT, "reasoning_effort": "low", "stream_options": {"include_usage": True}},
    ),
    "chat of Gemini": (
        "/serving-endpoints/databricks-gemini-3-flash/invocations",
        {"messages": ASKED, "top_p": 0.5, "stop": ["x"]},
    ),
    "chat of GLM": ("/serving-endpoints/databricks-glm-5-2/invocations", CHAT),
    "embeddings": (
        "/serving-endpoints/databricks-gte-large-en/invocations",
        {"input": ["x"], "instruction": "y"},
    ),
}


@pytest.mark.parametrize("surface", SURFACES)
def test_junk_in_any_field_is_refused_in_words_or_answered(client: httpx.Client, surface: str) -> None:
    path, body = SURFACES[surface]
    assert client.post(path, json=body).status_code == 200
    dice = random.Random(surface)  # noqa: S311  # the same junk each time
    for place in places(body):
        for junk in [*ALWAYS, *dice.sample(SOMETIMES, 3)]:
            response = client.post(path, json=with_junk(body, place, junk))
            assert response.status_code in {200, 400, 404}, (place, junk, response.text)


@pytest.mark.parametrize("name", ["page_token", "page_size"])
@pytest.mark.parametrize("given", ["9" * 5_000, "9" * 30, "-1", "1e9", "²", "x"])
def test_junk_in_a_query_is_refused_in_words_or_answered(client: httpx.Client, name: str, given: str) -> None:
    response = client.get("/api/2.1/unity-catalog/model-services", params={name: given, "parent": "schemas/system.ai"})
    assert response.status_code in {200, 400}, response.text
