"""An agent of ours is logged, loaded, asked, served and traced by MLflow itself; its messages are MLflow's items."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from kit.ways import Way, four_ways
from langchain_dbchat import ChatDatabricksCompat
from langchain_dbchat.errors import UnsupportedContentError
from langchain_dbchat.integrations.mlflow import (
    aresponse_events,
    from_response_items,
    response_events,
    to_response_items,
)
from langchain_dbchat.local import LocalWorkspace

pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("mlflow") is None or importlib.util.find_spec("pandas") is None,
        reason='needs MLflow: pip install "langchain-dbchat[mlflow]"',
    ),
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType"),  # MLflow's own types, when imported
]

SONNET = "databricks-claude-sonnet-4-6"
GPT = "databricks-gpt-5-4"
SCRIPT = Path(__file__).parents[2] / "kit" / "deployed_agent.py"


@pytest.fixture(scope="module")
def deployed(served_workspace: LocalWorkspace) -> dict[str, Any]:
    """Deploy the agent once, in a process of its own, because MLflow changes the process."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(SCRIPT)],
        env={**os.environ, "DATABRICKS_HOST": served_workspace.host, "DATABRICKS_TOKEN": served_workspace.token},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_a_logged_agent_has_the_resources_of_its_models(deployed: dict[str, Any]) -> None:
    assert deployed["resources"]["databricks"] == {
        "serving_endpoint": [{"name": SONNET}, {"name": "databricks-gte-large-en"}]
    }


def test_a_loaded_agent_answers_with_reasoning_calls_and_outputs(deployed: dict[str, Any]) -> None:
    items = deployed["answer"]["output"]
    wanted = ["reasoning", "message", "function_call", "function_call_output", "reasoning", "message"]
    assert [item["type"] for item in items] == wanted
    assert items[0]["summary"][0]["signature"]
    assert items[2]["call_id"] == items[3]["call_id"]
    assert "It rains in Oslo." in items[5]["content"][0]["text"]


def test_an_answer_goes_back_to_the_agent(deployed: dict[str, Any]) -> None:
    """The local workspace refuses reasoning whose signature is not its own."""
    assert deployed["again"]["output"][-1]["type"] == "message"


def test_a_loaded_agent_streams_text_and_items(deployed: dict[str, Any]) -> None:
    events = deployed["events"]
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert [item["type"] for item in done] == [item["type"] for item in deployed["answer"]["output"]]
    texts: dict[str, str] = {}
    for event in events:
        if event["type"] == "response.output_text.delta":
            texts[event["item_id"]] = texts.get(event["item_id"], "") + event["delta"]
    assert texts == {item["id"]: item["content"][0]["text"] for item in done if item["type"] == "message"}


def test_a_served_agent_answers_over_http(deployed: dict[str, Any]) -> None:
    assert "It rains in Oslo." in deployed["served"]["whole"]
    assert deployed["served"]["streamed"] == deployed["served"]["whole"]


@pytest.mark.filterwarnings("ignore")  # of MLflow, when imported
def test_what_mlflow_does_not_have_or_refuses_hides_nothing_from_others() -> None:
    from mlflow.langchain.langchain_tracer import MlflowLangchainTracer

    from langchain_dbchat.integrations.mlflow import spans

    class Other:
        ended = 0

        def __exit__(self, *error: object) -> None:
            self.ended += 1

    without_spans = object.__new__(MlflowLangchainTracer)  # as in another version of MLflow
    run: Any = SimpleNamespace(run_id="1", handlers=[without_spans])
    assert spans._span_of(run) is None
    other: Any = Other()
    observed = spans._AnsweredSpan(None, other)
    observed._span = object()
    with pytest.raises(AttributeError):
        observed.__exit__(None, None, None)
    assert other.ended == 1


def test_mlflows_spans_have_the_endpoint_and_its_tokens(deployed: dict[str, Any]) -> None:
    for model in (SONNET, GPT):
        calls = called(deployed, model)
        assert len(calls) >= 4
        for attributes in calls:
            assert attributes["mlflow.llm.provider"] == "databricks"
            cached = {"cache_read_input_tokens", "cache_creation_input_tokens"}
            assert attributes["mlflow.chat.tokenUsage"].keys() >= {"input_tokens", "output_tokens", *cached}


def test_mlflows_spans_have_the_served_model_the_request_and_the_reasoning(deployed: dict[str, Any]) -> None:
    """Of an agent's calls, and of a model that is called whole, streamed, async and in a batch."""
    for attributes in called(deployed, SONNET):
        assert attributes["gen_ai.response.model"] == "us.anthropic.claude-sonnet-4-6-v1:0"
    calls = called(deployed, GPT)
    assert len(calls) == 5
    for attributes in calls:
        assert attributes["gen_ai.response.model"].startswith("gpt-5-4")
        assert attributes["gen_ai.usage.reasoning.output_tokens"] > 0
        assert attributes["gen_ai.usage.cache_read.input_tokens"] == 0
    requests = [attributes["databricks.request_id"] for attributes in called(deployed, SONNET) + calls]
    assert len(set(requests)) == len(requests)


def called(deployed: dict[str, Any], model: str) -> list[dict[str, Any]]:
    """Return the attributes of MLflow's spans of a model's calls."""
    found = [span["attributes"] for span in deployed["spans"] if span["type"] == "CHAT_MODEL"]
    return [attributes for attributes in found if attributes["mlflow.llm.model"] == model]


def test_without_mlflow_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name == "mlflow" or name.startswith("mlflow.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(ImportError, match=r"langchain-dbchat\[mlflow\]"):
        ChatDatabricksCompat(model="z").resources()
    with pytest.raises(ImportError, match=r"langchain-dbchat\[mlflow\]"):
        list(response_events([]))
    assert to_response_items([AIMessage("Hi")])[0]["type"] == "message"


@four_ways
def test_a_message_survives_the_way_through_items(call: Way, workspace: LocalWorkspace) -> None:
    from mlflow.types.responses import ResponsesAgentRequest, ResponsesAgentResponse

    def get_weather(city: str) -> str:
        """Get the current weather in a city."""
        return f"It rains in {city}."

    model = ChatDatabricksCompat(
        model=SONNET, host=workspace.host, token=workspace.token, reasoning_effort="low"
    ).bind_tools([get_weather])
    asked = {"role": "user", "content": "What is the weather in Oslo?"}
    message = call(model, [asked])
    result = ToolMessage("It rains.", tool_call_id=message.tool_calls[0]["id"])
    items = ResponsesAgentResponse(output=to_response_items([message, result])).model_dump()["output"]
    assert [item["type"] for item in items] == ["reasoning", "message", "function_call", "function_call_output"]
    _, back, output = from_response_items(ResponsesAgentRequest(input=[asked, *items]).input)
    assert isinstance(back, AIMessage)
    assert back.tool_calls == message.tool_calls
    assert back.text == message.text
    assert output.content == "It rains."
    answer = call(model, [asked, back, output])  # a changed signature would be refused
    assert "It rains." in answer.text
    sent = workspace.requests[-1].json["messages"][1]["content"][0]
    assert sent["summary"][0]["signature"] == items[0]["summary"][0]["signature"]


def test_items_of_every_kind_of_content() -> None:
    content: list[Any] = [
        {"type": "reasoning", "reasoning": "Hm.", "extras": {"signature": "S"}},
        "one ",
        {
            "type": "text",
            "text": "two",
            "annotations": [{"type": "citation", "url": "https://a.example", "title": "A"}],
        },
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "E"},
        {"type": "text", "text": "three"},
        {"type": "refusal", "refusal": "No."},
        {"type": "tool_use", "id": "c1", "name": "f", "input": {}},
    ]
    call = {"name": "f", "args": {"x": "ä"}, "id": "c1"}
    first, text, second, more, called = to_response_items(AIMessage(content, id="m", tool_calls=[call]))
    assert first["summary"] == [{"type": "summary_text", "text": "Hm."}]
    assert first["extras"] == {"signature": "S"}
    assert [part["text"] for part in text["content"]] == ["one ", "two"]
    assert text["content"][1]["annotations"][0]["url"] == "https://a.example"
    assert (second["id"], second["encrypted_content"]) == ("rs_1", "E")
    assert [part.get("text", part.get("refusal")) for part in more["content"]] == ["three", "No."]
    assert (text["id"], more["id"]) == ("m", "m_1")
    assert (called["call_id"], called["arguments"]) == ("c1", '{"x": "ä"}')
    assert to_response_items([HumanMessage("Hi"), SystemMessage("Be terse."), AIMessage("")]) == []
    with pytest.raises(UnsupportedContentError, match="type 'image'"):
        to_response_items(AIMessage([{"type": "image", "base64": "AA=="}]))


def test_outputs_of_tools_keep_pictures_and_errors() -> None:
    picture: list[str | dict[str, Any]] = [
        {"type": "text", "text": "a map"},
        {"type": "image", "base64": "AA==", "mime_type": "image/png"},
    ]
    failed = ToolMessage("no such city", tool_call_id="c1", status="error")
    shown = ToolMessage(picture, tool_call_id="c2")
    items = to_response_items([failed, shown])
    assert items[1]["output"][1] == {"type": "input_image", "image_url": "data:image/png;base64,AA=="}
    back = from_response_items(items)
    assert [message.status for message in back if isinstance(message, ToolMessage)] == ["error", "success"]
    assert back[1].content[1] == {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}


def test_input_of_every_kind() -> None:
    items: list[Any] = [
        {"role": "developer", "content": "Be terse."},
        {"role": "user", "content": [{"type": "input_text", "text": "Hi"}, {"type": "input_image", "image_url": "u"}]},
        {"role": "assistant", "content": "Hello."},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": ""},
        {"type": "function_call", "call_id": "c2", "name": "g", "arguments": '{"x": 1}'},
        {"type": "function_call_output", "call_id": "c1", "output": "1"},
        {"type": "function_call_output", "call_id": "c2", "output": "2"},
    ]
    system, user, assistant, one, two = from_response_items(items)
    assert isinstance(system, SystemMessage)
    assert user.content[1] == {"type": "image_url", "image_url": {"url": "u"}}
    assert isinstance(assistant, AIMessage)
    assert (assistant.content, [call["args"] for call in assistant.tool_calls]) == ("Hello.", [{}, {"x": 1}])
    assert [message.content for message in (one, two)] == ["1", "2"]
    with pytest.raises(UnsupportedContentError, match="computer_call"):
        from_response_items([{"type": "computer_call"}])
    for arguments, why in [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[1]", "not a JSON object"),
        ("7", "not a"),
    ]:
        with pytest.raises(UnsupportedContentError, match=f"'c3' are {why}"):
            from_response_items([{"type": "function_call", "call_id": "c3", "name": "f", "arguments": arguments}])


def _chunks() -> list[BaseMessage]:
    return [
        AIMessageChunk(content=[{"type": "text", "text": "a", "index": "0"}], id="m"),
        AIMessageChunk(content="other", id="n"),
        AIMessageChunk(content=[{"type": "text", "text": "b", "index": "0"}], id="m"),
        AIMessageChunk(content=[{"type": "reasoning", "reasoning": "Hm.", "index": "1"}], id="m"),
        AIMessageChunk(content=[{"type": "text", "text": "c", "index": "2"}], id="m", chunk_position="last"),
        ToolMessage("done", tool_call_id="c1"),
    ]


def test_streams_of_two_messages_do_not_mix() -> None:
    events = [event.model_dump() for event in response_events((chunk, {"node": "x"}) for chunk in _chunks())]
    deltas = [(event["item_id"], event["delta"]) for event in events if "delta" in event]
    assert deltas == [("m", "a"), ("n", "other"), ("m", "b"), ("m_1", "c")]
    done = [event["item"] for event in events if "item" in event]
    assert [item.get("id", "")[:3].rstrip("_") for item in done] == ["m", "rs", "m_1", "", "n"]

    async def again() -> list[Any]:
        async def chunks() -> Any:
            for chunk in _chunks():
                yield chunk

        return [event.type async for event in aresponse_events(chunks())]

    assert asyncio.run(again()) == [event["type"] for event in events]


def test_a_stream_of_something_else_says_what_to_use() -> None:
    with pytest.raises(TypeError, match="stream_mode='messages'"):
        list(response_events([{"model": {}}]))
