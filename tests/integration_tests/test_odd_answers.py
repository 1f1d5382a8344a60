"""Whatever a server sends is an error of ours, or a message that can be stored and sent back, whole and streamed."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest
from langchain_core.load import dumpd, load
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage, messages_from_dict, messages_to_dict
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from kit.scripted import Received, Scripted, ScriptedServer, sse
from kit.ways import Way, ainvoke, astream, four_ways, invoke, stream
from langchain_dbchat import ChatDatabricksCompat
from langchain_dbchat.errors import ConfigurationError, DatabricksError, UnsupportedContentError

VALUES = {
    "a large number": str(2**70),
    "a large negative number": str(-(2**70)),
    "one more than 64 bits": str(2**64),
    "infinite": "1e400",
    "not a number": "NaN",
    "half of a pair": '"\\ud800"',
    "a pair": '"\\ud83d\\ude00"',
    "NUL": '"\\u0000"',
    "nested": '{"a":' * 150 + "1" + "}" * 150,
    "nested as deeply as a parser follows": '{"a":' * 195 + "[]" + "}" * 195,
    "nested too deeply": "[" * 5_000 + "]" * 5_000,
    "many digits": "9" * 5_000,
    "a key of nothing": '{"": {"\\udc00": 1}}',
    "another kind of digit": '"\u00b2"',
}
PLACES = {
    "the answer": '{"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}], "extra": %s}',
    "a choice": '{"choices": [{"message": {"content": "x"}, "finish_reason": "stop", "extra": %s}]}',
    "a message": '{"choices": [{"message": {"content": "x", "extra": %s}, "finish_reason": "stop"}]}',
    "a text": '{"choices": [{"message": {"content": [{"type": "text", "text": "x", "e": %s}]}, '
    '"finish_reason": "stop"}]}',
    "a part": '{"choices": [{"message": {"content": [{"type": "odd", "extra": %s}]}, "finish_reason": "stop"}]}',
    "content": '{"choices": [{"message": {"content": %s}, "finish_reason": "stop"}]}',
    "a call": '{"choices": [{"message": {"tool_calls": [{"id": "c", "extra": %s, "function": {"name": "f", '
    '"arguments": "{}"}}]}, "finish_reason": "tool_calls"}]}',
    "a function": '{"choices": [{"message": {"tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}", '
    '"extra": %s}}]}, "finish_reason": "tool_calls"}]}',
    "the usage": '{"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}], "usage": {"prompt_tokens": %s, '
    '"prompt_tokens_details": {"cached_tokens": 1}}}',
    "a citation": '{"choices": [{"message": {"content": "x", "annotations": [{"url": "https://x", "start_index": %s}'
    ']}, "finish_reason": "stop"}]}',
    "log probabilities": '{"choices": [{"message": {"content": "x"}, "finish_reason": "stop", "logprobs": {"content": '
    '[{"logprob": %s}]}}]}',
    "an error": '{"error": {"message": "x", "code": %s}}',
    "an error's code": '{"error_code": %s, "message": "x"}',
    "an error's pause": '{"error_code": "BUSY", "message": "x", "retry_after": %s}',
}


def _stored(message: AIMessage) -> list[AIMessage]:
    """The message after each way of storing it."""
    serializer = JsonPlusSerializer()
    return [
        pickle.loads(pickle.dumps(message)),
        load(json.loads(json.dumps(dumpd([[message]]))), allowed_objects="all")[0][0],
        messages_from_dict(json.loads(json.dumps(messages_to_dict([message]))))[0],
        serializer.loads_typed(serializer.dumps_typed({"messages": [message]}))["messages"][0],
    ]


def _judge(call: Way, llm: Any) -> str:
    """Call, store what comes, and send it back; say what it was."""
    try:
        message = call(llm, "Hello!")
    except DatabricksError as error:
        str(error).encode()
        return f"{type(error).__name__} {'' if repr(pickle.loads(pickle.dumps(error))) == repr(error) else call}"
    for stored in _stored(message):
        assert repr(stored) == repr(message)
    message.model_dump_json()
    results = [ToolMessage("done", tool_call_id=called["id"]) for called in message.tool_calls]
    try:
        llm.invoke([HumanMessage("Hello!"), message, *results, HumanMessage("Go on.")])
    except (ConfigurationError, UnsupportedContentError):
        raise
    except DatabricksError:
        return "a message"  # the server says the same again
    return "a message"


@pytest.mark.filterwarnings("ignore:.*content that the endpoint does not take")
@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("model", ["my-own", "databricks-claude-sonnet-4-6"])
def test_it_can_be_stored_and_sent_back_or_is_our_error(model: str, place: str, value: str) -> None:
    body = PLACES[place] % VALUES[value]

    def reply(received: Received) -> Scripted:
        event = body.replace('"message": {', '"delta": {') if "choices" in body else body
        return Scripted(f"data: {event}\n\ndata: [DONE]\n\n" if received.json.get("stream") else body)

    with ScriptedServer(reply) as server:
        llm = ChatDatabricksCompat(model=model, host=server.url, token="t", max_retries=0)
        assert len({_judge(call, llm) for call in (invoke, ainvoke, stream, astream)}) == 1


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("model", ["my-own", "databricks-claude-sonnet-4-6"])
def test_the_same_in_the_arguments_of_a_call(model: str, value: str) -> None:
    arguments = json.dumps(f'{{"a": {VALUES[value]}}}')
    says = f'{{"tool_calls": [{{"id": "c", "function": {{"name": "f", "arguments": {arguments}}}}}]}}'

    def reply(received: Received) -> Scripted:
        if received.json.get("stream"):
            return Scripted(f'data: {{"choices": [{{"delta": {says}, "finish_reason": "tool_calls"}}]}}\n\n')
        return Scripted(f'{{"choices": [{{"message": {says}, "finish_reason": "tool_calls"}}]}}')

    with ScriptedServer(reply) as server:
        llm = ChatDatabricksCompat(model=model, host=server.url, token="t", max_retries=0)
        assert {_judge(call, llm) for call in (invoke, ainvoke, stream, astream)} == {"a message"}
        whole, streamed = invoke(llm, "Hello!"), stream(llm, "Hello!")
        assert repr(whole.tool_calls) == repr(streamed.tool_calls)
        assert (
            bool(whole.invalid_tool_calls) == bool(streamed.invalid_tool_calls) == ("a" not in repr(whole.tool_calls))
        )
        assert bool(whole.tool_calls) is (not value.startswith("nested"))  # half of a pair is U+FFFD


@pytest.mark.parametrize("way", [invoke, ainvoke, stream, astream])
@pytest.mark.parametrize(
    "body",
    [
        r'{"error_code": "BAD\ud800", "message": "not \udc00 sound"}',
        r'{"error": {"message": "not \ud800 sound", "code": "x\ud800"}}',
        r'{"detail": [{"loc": ["body", "\ud800"], "msg": "not \ud800 sound"}]}',
        r'{"external_model_provider": "a\ud800", "external_model_error": "not \ud800 sound"}',
        r'{"error_code": "X", "message": "{\"message\": \"not \\ud800 sound\"}"}',
    ],
    ids=["databricks", "openai", "fastapi", "provider", "nested"],
)
def test_an_error_can_be_printed_and_stored_whatever_it_quotes(way: Way, body: str) -> None:
    with ScriptedServer(lambda _: Scripted(body.encode(), 400)) as server:
        llm = ChatDatabricksCompat(model="my-own", host=server.url, token="t", max_retries=0)
        with pytest.raises(DatabricksError, match="not . sound") as caught:
            way(llm, "Hello!")
    error = caught.value
    for text in (str(error), repr(error), error.detail or "", error.error_code or "", repr(vars(error))):
        text.encode()


@four_ways
@pytest.mark.parametrize("given", [[{"type": "text", "text": "a"}], ["a"], {"text": "a"}])
def test_reasoning_in_another_format_than_text_is_kept(given: Any, call: Way) -> None:
    def answer(request: Received) -> Scripted:
        said = {"content": "Hi", "reasoning_content": given}
        if request.json.get("stream"):
            return Scripted(sse({"choices": [{"index": 0, "delta": said, "finish_reason": "stop"}]}))
        return Scripted({"choices": [{"index": 0, "message": said, "finish_reason": "stop"}]})

    with ScriptedServer(answer) as server:
        message = call(ChatDatabricksCompat(model="databricks-kimi-k3", host=server.url, token="dapi0"), "Hi")
    assert message.text == "Hi"
    assert message.additional_kwargs["reasoning_content"] == given


@four_ways
@pytest.mark.parametrize("coalesce", [False, True])
@pytest.mark.parametrize(
    ("given", "found"),
    [
        ([{"content": [{"token": "a"}], "mean": -0.5}, {"content": [{"token": "b"}], "mean": -0.7}],
         {"content": [{"token": "a"}, {"token": "b"}], "mean": -0.7}),
        ([{"content": [{"logprob": -0.5, "index": 0}]}, {"content": [{"logprob": 1, "index": 0}]}],
         {"content": [{"logprob": -0.5, "server_index": 0}, {"logprob": 1, "server_index": 0}]}),
        ([{"content": [1], "x": {"a": 1}, "y": True}, {"content": {"a": 1}, "x": 2.5, "y": False}],
         {"content": [1], "x": 2.5, "y": False}),
        ([{"content": None, "tokens": ["a"]}, {"content": [2], "tokens": None}, {"content": "z"}],
         {"content": [2], "tokens": ["a"]}),
        ([{"x": "a"}, {"x": "a"}], {"x": "a"}),
        ([{"x": 1}, {"x": [1]}, {"x": [2]}], {"x": [1, 2]}),
    ],
)  # fmt: skip
def test_log_probabilities_of_any_kind_can_be_added_up(call: Way, coalesce: bool, given: Any, found: Any) -> None:
    def answer(request: Received) -> Scripted:
        if request.json.get("stream"):
            deltas = [{"index": 0, "delta": {"content": "a"}, "logprobs": each} for each in given]
            return Scripted(sse(*({"choices": [each]} for each in [*deltas, {"delta": {}, "finish_reason": "stop"}])))
        choice = {"message": {"content": "a" * len(given)}, "logprobs": found}
        return Scripted({"choices": [{**choice, "finish_reason": "stop"}]})

    with ScriptedServer(answer) as server:
        message = call(ChatDatabricksCompat(model="m", host=server.url, token="t", coalesce=coalesce), "Hi")
    assert message.text == "a" * len(given)
    assert message.response_metadata["logprobs"] == found
