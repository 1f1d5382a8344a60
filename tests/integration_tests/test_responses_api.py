"""OpenAI's Responses over a socket: failures, ends of streams, calls of agents, and how an endpoint asks for it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from pydantic import BaseModel

from kit.scripted import Received, Scripted, ScriptedServer, sse
from kit.ways import Way, four_ways
from langchain_dbchat import ChatDatabricksCompat
from langchain_dbchat.errors import (
    DatabricksError,
    DatabricksRateLimitError,
    MalformedResponseError,
    StreamInterruptedError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

PATH = "/serving-endpoints/responses"


@tool
def get_weather(city: str) -> str:
    """Get the weather."""
    return city


class Person(BaseModel):
    """A person."""

    name: str
    age: int | None = None


def said(text: str) -> dict[str, Any]:
    """Return an item with a text."""
    return {"type": "message", "id": "msg_1", "role": "assistant", "content": [{"type": "output_text", "text": text}]}


def response(*items: Any, **more: Any) -> dict[str, Any]:
    """Return a whole answer."""
    return {"id": "resp_1", "object": "response", "status": "completed", "output": list(items), "error": None, **more}


def events(*items: Any, end: str = "response.completed", **more: Any) -> bytes:
    """Return a stream whose items come whole."""
    done = [{"type": "response.output_item.done", "output_index": n, "item": item} for n, item in enumerate(items)]
    return sse(*done, {"type": end, "response": response(*items, **more)}, done=False)


def answering(*items: Any, **more: Any) -> Callable[[Received], Scripted]:
    """Answer with these items, streamed if that is asked for."""

    def answer(request: Received) -> Scripted:
        return Scripted(events(*items, **more)) if request.json.get("stream") else Scripted(response(*items, **more))

    return answer


def llm(server: ScriptedServer, model: str = "databricks-gpt-5-2", **settings: Any) -> Any:
    given: dict[str, Any] = {"model": model, "host": server.url, "token": "dapi0", "max_retries": 0, **settings}
    return ChatDatabricksCompat(**given)


@four_ways
def test_settings_have_the_names_of_this_wire(call: Way) -> None:
    with ScriptedServer(answering(said("Hi"))) as server:
        model = llm(server, api="responses", max_tokens=9, reasoning_effort="low", verbosity="low")
        bound = model.bind_tools([get_weather], tool_choice="get_weather", parallel_tool_calls=False)
        assert call(bound, "Hi").text == "Hi"
    (request,) = server.requests
    assert request.path == PATH
    body = {key: value for key, value in request.json.items() if key not in {"input", "tools", "stream"}}
    assert body == {
        "model": "databricks-gpt-5-2",
        "max_output_tokens": 9,
        "reasoning": {"effort": "low"},
        "text": {"verbosity": "low"},
        "tool_choice": {"type": "function", "name": "get_weather"},
        "parallel_tool_calls": False,
        "include": ["reasoning.encrypted_content"],
    }
    assert request.json["tools"][0]["name"] == "get_weather"
    assert request.json["tools"][0]["strict"] is False


LOGPROBS = [{"token": "Hi", "logprob": -0.5, "bytes": [72, 105], "top_logprobs": []}]


@four_ways
def test_log_probabilities_and_what_a_text_has_besides(call: Way) -> None:
    text = {"type": "output_text", "text": "Hi", "annotations": [], "logprobs": LOGPROBS, "origin": {"shard": 3}}
    item = {"type": "message", "id": "msg_1", "role": "assistant", "content": [text]}
    with ScriptedServer(answering(item)) as server:
        model = llm(server, api="responses", logprobs=True, top_logprobs=2)
        answer = call(model, "Hi")
        call(model, [("human", "Hi"), answer, ("human", "And now?")])
    assert answer.response_metadata["logprobs"] == {"content": LOGPROBS}
    assert any(block.get("origin") == {"shard": 3} for block in answer.content if isinstance(block, dict))
    first, second = (request.json for request in server.requests)
    assert first["include"] == ["message.output_text.logprobs", "reasoning.encrypted_content"]
    assert first["top_logprobs"] == 2
    assert "logprobs" not in first
    assert "origin" not in str(second["input"])


@four_ways
def test_no_log_probabilities_unless_they_are_wanted(call: Way) -> None:
    with ScriptedServer(answering(said("Hi"))) as server:
        answer = call(llm(server, api="responses", logprobs=False), "Hi")
    assert "logprobs" not in answer.response_metadata
    assert server.requests[0].json["include"] == ["reasoning.encrypted_content"]


@pytest.mark.parametrize("name", ["previous_response_id", "conversation"])
def test_what_the_server_would_have_to_remember_raises(name: str) -> None:
    with ScriptedServer(answering(said("Hi"))) as server:
        with pytest.raises(ValueError, match=f"{name}: Databricks stores no conversations"):
            llm(server, api="responses").invoke("Hi", **{name: "resp_1"})
    assert not server.requests


@four_ways
def test_what_the_wire_does_not_know_is_left_out_with_a_warning(call: Way) -> None:
    with ScriptedServer(answering(said("Hi"))) as server:
        model = llm(server, api="responses", seed=1, stop=["x"])
        model = model.bind(store=False, background=True, service_tier="flex")
        with pytest.warns(UserWarning, match="left out"):
            call(model, "Hi")
    assert set(server.requests[0].json) <= {"model", "input", "include", "stream"}


@four_ways
def test_structured_output_is_strict(call: Way) -> None:
    with ScriptedServer(answering(said('{"name": "Ann", "age": null}'))) as server:
        found: Any = call(llm(server, api="responses").with_structured_output(Person), "Who?")
    assert found == Person(name="Ann")
    written = server.requests[0].json["text"]["format"]
    assert (written["type"], written["name"], written["strict"]) == ("json_schema", "Person", True)
    assert written["schema"]["additionalProperties"] is False
    assert written["schema"]["required"] == ["name", "age"]


@four_ways
@pytest.mark.parametrize(
    "failure",
    [
        {
            "type": "response.failed",
            "response": {"status": "failed", "error": {"code": "server_error", "message": "Broken"}},
        },
        {"type": "error", "code": "server_error", "message": "Broken", "param": None},
        {"error": "Broken"},
        {"error": {"code": "server_error", "message": "Broken"}},
    ],
    ids=["failed", "error", "agent", "object"],
)
def test_a_failure_raises_with_what_had_arrived(call: Way, failure: dict[str, Any]) -> None:
    delta = {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "Half"}
    whole = {"status": "failed", "error": {"code": "server_error", "message": "Broken"}, "output": []}

    def answer(request: Received) -> Scripted:
        return Scripted(sse(delta, failure)) if request.json.get("stream") else Scripted(whole)

    with ScriptedServer(answer) as server, pytest.raises(DatabricksError, match="Broken") as caught:
        call(llm(server, api="responses"), "Hi")
    if server.requests[0].json.get("stream"):
        assert caught.value.partial is not None
        assert caught.value.partial.text == "Half"


@four_ways
def test_the_code_of_a_failure_decides_its_class(call: Way) -> None:
    whole = response(status="failed", error={"code": "rate_limit_exceeded", "message": "Slow down"})

    def answer(request: Received) -> Scripted:
        return Scripted(sse({"type": "response.failed", "response": whole}) if request.json.get("stream") else whole)

    with ScriptedServer(answer) as server, pytest.raises(DatabricksRateLimitError, match="Slow down") as caught:
        call(llm(server, api="responses"), "Hi")
    assert caught.value.error_code == "rate_limit_exceeded"


@four_ways
@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_a_failure_without_a_reason_says_so(call: Way, status: str) -> None:
    whole = response(said("Half"), status=status, model="gpt-5.2-2026")

    def answer(request: Received) -> Scripted:
        return Scripted(sse({"type": f"response.{status}", "response": whole}) if request.json.get("stream") else whole)

    with ScriptedServer(answer) as server, pytest.raises(DatabricksError, match="without a reason") as caught:
        call(llm(server, api="responses"), "Hi")
    assert "2026" not in str(caught.value)


@pytest.mark.parametrize("status", ["queued", "in_progress"])
def test_an_answer_that_has_only_begun_is_not_an_empty_one(status: str) -> None:
    with (
        ScriptedServer(lambda _: Scripted(response(status=status, background=True))) as server,
        pytest.raises(MalformedResponseError, match=f"status '{status}'.*leave 'background' out"),
    ):
        llm(server, api="responses").invoke("Hi")


@four_ways
@pytest.mark.parametrize("as_event", [False, True])
@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"status": "cancelled"}, "server_error: the response ended without an answer"),
        ({"status": "failed", "error": {"code": "server_error", "message": "boo"}}, "server_error: boo"),
        ({"status": "queued", "output": []}, "has only begun to answer"),
    ],
    ids=["cancelled", "failed", "begun"],
)
def test_a_whole_response_that_is_no_answer_raises_alike(
    call: Way, as_event: bool, more: dict[str, Any], says: str
) -> None:
    """Also where a stream was requested."""
    item = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "half"}]}
    body = {"object": "response", "output": [item], **more}

    def reply(received: Received) -> Scripted:
        return Scripted(sse(body)) if as_event and received.json.get("stream") else Scripted(body)

    with ScriptedServer(reply) as server, pytest.raises(DatabricksError, match=says):
        call(llm(server, api="responses"), "Hi")


def test_a_stream_without_an_end_raises() -> None:
    delta = {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "Half"}
    with ScriptedServer(lambda _: Scripted(sse(delta, done=False))) as server:
        with pytest.raises(StreamInterruptedError, match=r"response\.completed") as caught:
            list(llm(server, api="responses").stream("Hi"))
    assert caught.value.partial is not None
    assert caught.value.partial.text == "Half"


@four_ways
def test_another_format_raises(call: Way) -> None:
    def answer(request: Received) -> Scripted:
        return Scripted(sse({"foo": 1})) if request.json.get("stream") else Scripted({"foo": 1})

    with ScriptedServer(answer) as server, pytest.raises(MalformedResponseError, match="does not use Responses"):
        call(llm(server, api="responses"), "Hi")


@four_ways
def test_an_agents_call_without_a_result_is_the_callers(call: Way) -> None:
    item = {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "client_tool", "arguments": '{"a": 1}'}
    with ScriptedServer(answering(item)) as server:
        message = call(llm(server, "my-agent", api="responses"), "Hi")
    assert [(made["name"], made["args"], made["id"]) for made in message.tool_calls] == [
        ("client_tool", {"a": 1}, "c1")
    ]
    assert message.response_metadata["finish_reason"] == "tool_calls"


@four_ways
def test_an_agents_call_with_a_result_is_not_executed_again(call: Way) -> None:
    made = {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "inner", "arguments": "{}"}
    result = {"type": "function_call_output", "call_id": "c1", "output": "42"}
    with ScriptedServer(answering(made, result, said("It is 42."), custom_outputs={"k": 1})) as server:
        message = call(llm(server, "my-agent", api="responses", custom_inputs={"a": 1}), "Hi")
    assert (message.text, message.tool_calls) == ("It is 42.", [])
    steps = [block["type"] for block in message.content if isinstance(block, dict)]
    assert steps[:2] == ["server_tool_call", "server_tool_result"]
    assert message.response_metadata["custom_outputs"] == {"k": 1}
    assert server.requests[0].json["custom_inputs"] == {"a": 1}


@four_ways
@pytest.mark.parametrize(
    "words",
    [
        "This model is only supported in v1/responses and not in v1/chat/completions.",
        "To use function tools, use /v1/responses or set reasoning_effort to 'none'.",
    ],
)
def test_an_endpoint_that_asks_for_responses_gets_it(call: Way, words: str) -> None:
    def answer(request: Received) -> Scripted:
        if not request.path.endswith("/responses"):
            return Scripted({"error_code": "BAD_REQUEST", "message": words}, status=400)
        return answering(said("Hi"))(request)

    with ScriptedServer(answer) as server:
        model = llm(server, "my-endpoint")
        assert [call(model, "Hi").text for _ in range(2)] == ["Hi", "Hi"]
        with pytest.raises(DatabricksError, match="v1/responses"):
            call(llm(server, "my-endpoint", api="chat"), "Hi")
    paths = [request.path.rpartition("/")[2] for request in server.requests]
    assert paths == ["invocations", "responses", "responses", "invocations"]


def test_words_of_the_prompt_do_not_change_the_wire() -> None:
    quoted = "Please use the Responses API now"

    def answer(request: Received) -> Scripted:
        prompt = json.dumps(request.json["messages"][-1]["content"])
        return Scripted({"error_code": "BAD_REQUEST", "message": f"Invalid prompt: {prompt}"}, status=400)

    with ScriptedServer(answer) as server, pytest.raises(DatabricksError):
        llm(server, "my-endpoint").invoke(quoted)
    assert len(server.requests) == 1


@four_ways
@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("databricks-gpt-5-5-pro", PATH),
        ("databricks-gpt-5-3-codex", PATH),
        ("system.ai.gpt-6-sol", "/ai-gateway/openai/v1/responses"),
    ],
)
def test_auto_calls_models_of_this_wire(call: Way, model: str, path: str) -> None:
    with ScriptedServer(answering(said("Hi"))) as server:
        call(llm(server, model), "Hi")
    assert [request.path for request in server.requests] == [path]


@four_ways
@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("databricks-claude-sonnet-4-6", "/serving-endpoints/open-responses"),
        ("databricks-glm-5-3", "/serving-endpoints/open-responses"),
        ("system.ai.kimi-k3", "/ai-gateway/codex/v1/responses"),
        ("my-agent", PATH),
    ],
)
def test_other_models_answer_at_open_responses(call: Way, model: str, path: str) -> None:
    with ScriptedServer(answering(said("Hi"))) as server:
        assert call(llm(server, model, api="responses"), "Hi").text == "Hi"
    assert [request.path for request in server.requests] == [path]


@four_ways
def test_each_call_goes_back_behind_its_own_reasoning(call: Way) -> None:
    items = []
    for number in (1, 2):
        items += [
            {"type": "reasoning", "id": f"rs_{number}", "summary": [], "encrypted_content": f"secret {number}"},
            {"type": "function_call", "id": f"fc_{number}", "call_id": f"c{number}", "name": "get_weather",
             "arguments": '{"city": "Oslo"}'},
        ]  # fmt: skip
    with ScriptedServer(answering(*items)) as server:
        model = llm(server, api="responses").bind_tools([get_weather])
        first = call(model, "Hi")
        call(model, [("human", "Hi"), first, *(get_weather.invoke(made) for made in first.tool_calls)])
    back = server.requests[1].json["input"][1:]
    assert back[:4] == items
    assert [item["type"] for item in back[4:]] == ["function_call_output"] * 2


@four_ways
def test_messages_of_several_responses_stay_apart(call: Way) -> None:
    """A stream of an agent has a response for each turn; the whole answer has all messages in one."""

    def answer(request: Received) -> Scripted:
        if not request.json.get("stream"):
            return Scripted(response(said("First."), said("Second.")))
        return Scripted(events(said("First.")) + events(said("Second.")) + b"data: [DONE]\n\n")

    with ScriptedServer(answer) as server:
        found = call(llm(server, "my-agent", api="responses"), "Hi")
    texts = [block["text"] for block in found.content_blocks if block["type"] == "text"]
    assert texts == ["First.", "Second."]
    assert found.text == "First.Second."


REPORT = {"custom_outputs": {"score": 1}, "databricks_output": {"trace": {"info": {"trace_id": "tr-1"}}}}


@four_ways
@pytest.mark.parametrize("place", ["delta", "item", "end", "untyped"])
def test_an_agent_reports_at_any_event(call: Way, place: str) -> None:
    """Each event of MLflow's `ResponsesAgentStreamEvent` may have ``custom_outputs``."""
    delta = {"type": "response.output_text.delta", "output_index": 0, "delta": "Hi"}
    item = {"type": "response.output_item.done", "output_index": 0, "item": said("Hi")}
    end = {"type": "response.completed", "response": response(said("Hi"))}
    rows: dict[str, dict[str, Any]] = {"delta": delta, "item": item, "end": end, "untyped": {}}
    rows[place] = {**rows[place], **(REPORT if place != "delta" else {"custom_outputs": {"score": 1}})}

    def answer(request: Received) -> Scripted:
        whole = response(said("Hi"), **REPORT)
        return Scripted(sse(*filter(None, rows.values()), done=False) if request.json.get("stream") else whole)

    with ScriptedServer(answer) as server:
        found = call(llm(server, "my-agent", api="responses"), "Hi")
    assert found.text == "Hi"
    assert found.response_metadata["custom_outputs"] == {"score": 1}
    if place != "delta":
        assert found.response_metadata["trace_id"] == "tr-1"


@four_ways
@pytest.mark.parametrize("where", ["constructor", "extra_body", "call"])
def test_what_the_user_includes_is_added_to_the_reasoning(call: Way, where: str) -> None:
    """Without the encrypted content, the next turn could not replay the reasoning."""
    include: dict[str, Any] = {"include": ["web_search_call.action.sources"]}
    with ScriptedServer(answering(said("Hi"))) as server:
        given = {} if where == "call" else {"extra_body": include} if where == "extra_body" else include
        model = llm(server, api="responses", **given)
        call(model.bind(**include) if where == "call" else model, "Hi")
    assert set(server.requests[0].json["include"]) == {*include["include"], "reasoning.encrypted_content"}


@four_ways
@pytest.mark.parametrize("field", ["store", "service_tier", "background"])
def test_what_databricks_refuses_is_left_out_wherever_it_is_given(call: Way, field: str) -> None:
    value = {"service_tier": "auto"}.get(field, True)
    with ScriptedServer(answering(said("Hi"))) as server, pytest.warns(UserWarning, match=field):
        call(llm(server, api="responses", extra_body={field: value, "kept": 1}), "Hi")
    assert field not in server.requests[0].json
    assert server.requests[0].json["kept"] == 1


def test_another_server_gets_what_databricks_refuses() -> None:
    with ScriptedServer(answering(said("Hi"))) as server:
        model: Any = ChatDatabricksCompat(model="m", base_url=server.url, token="x", api="responses", store=True)
        model.invoke("Hi")
    assert server.requests[0].json["store"] is True


@four_ways
@pytest.mark.parametrize(
    ("tool", "choice", "sent"),
    [
        ({"type": "web_search"}, "web_search", {"type": "web_search"}),
        ({"type": "web_search"}, {"type": "web_search"}, {"type": "web_search"}),
        ({"type": "custom", "name": "run"}, "run", {"type": "custom", "name": "run"}),
        ({"type": "custom", "name": "run"}, {"type": "custom", "name": "run"}, {"type": "custom", "name": "run"}),
        ({"type": "mcp", "server_label": "docs"}, "mcp", {"type": "mcp", "server_label": "docs"}),
        ({"type": "function", "name": "f"}, "f", {"type": "function", "name": "f"}),
        ({"type": "function", "name": "f"}, {"type": "function", "name": "f"}, {"type": "function", "name": "f"}),
    ],
    ids=str,
)
def test_any_tool_can_be_chosen(call: Way, tool: dict[str, Any], choice: Any, sent: dict[str, Any]) -> None:
    with ScriptedServer(answering(said("Hi"))) as server:
        model = llm(server, api="responses")
        call(model.bind_tools([tool], tool_choice=choice), "Hi")
        call(model.bind(tools=[tool], tool_choice=choice), "Hi")
    assert [request.json["tool_choice"] for request in server.requests] == [sent, sent]
    with pytest.raises(ValueError, match="tool_choice"):
        model.bind_tools([tool], tool_choice="none such")


def _streamed(*items: dict[str, Any]) -> bytes:
    """Return a stream as OpenAI sends it: texts in deltas before their complete items."""
    told: list[dict[str, Any]] = []
    for n, item in enumerate(items):
        told.append({"type": "response.output_item.added", "output_index": n, "item": {**item, "content": []}})
        texts = [part["text"] for part in item.get("content", ())]
        told += [{"type": "response.output_text.delta", "output_index": n, "delta": text} for text in texts]
        told.append({"type": "response.output_item.done", "output_index": n, "item": item})
    return sse(*told, {"type": "response.completed", "response": response(*items)}, done=False)


CALL = {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "get_weather", "arguments": '{"city": "Oslo"}'}
THOUGHT = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "E"}
CITED = {"type": "output_text", "text": "Rain.", "annotations": [{"type": "url_citation", "url": "https://a.example"}]}


@four_ways
@pytest.mark.parametrize(
    "items",
    [
        [{**said("I look it up."), "phase": "commentary"}, {**said("Rain."), "id": "msg_2", "phase": "final_answer"}],
        [{**said(""), "content": [CITED]}],
        [THOUGHT, {**said("I look it up."), "phase": "commentary"}, CALL],
        [THOUGHT, CALL, said("Wait.")],
        [THOUGHT, said("First."), CALL, {**THOUGHT, "id": "rs_2"}, {**CALL, "id": "fc_2", "call_id": "c2"}],
    ],
    ids=["phases", "citations", "text before a call", "text behind a call", "calls between"],
)
def test_an_answer_goes_back_in_its_order_streamed_or_whole(call: Way, items: list[dict[str, Any]]) -> None:
    def answer(request: Received) -> Scripted:
        return Scripted(_streamed(*items) if request.json.get("stream") else response(*items))

    with ScriptedServer(answer) as server:
        model = llm(server, api="responses").bind_tools([get_weather])
        message = call(model, "Hi")
        results: list[Any] = [ToolMessage("Rain", tool_call_id=one["id"]) for one in message.tool_calls]
        call(model, [HumanMessage("Hi"), message, *(results or [HumanMessage("And now?")])])
    sent = server.requests[1].json["input"][1 : len(items) + 1]
    assert [one["type"] for one in sent] == [one["type"] for one in items]
    assert [one.get("id") for one in sent if one["type"] != "message"] == [
        one["id"] for one in items if one["type"] != "message"
    ]
    assert [one.get("phase") for one in sent] == [one.get("phase") for one in items]
    assert [text for one in sent for text in _texts(one)] == [text for one in items for text in _texts(one)]


def _texts(item: dict[str, Any]) -> list[str]:
    content = item.get("content") or []
    return [content] if isinstance(content, str) else [part["text"] for part in content]
