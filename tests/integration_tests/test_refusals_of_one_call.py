"""A refusal that may hold for one call changes this call, and no call of anybody else."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

from kit.scripted import Received, Scripted, ScriptedServer
from kit.ways import Way, four_ways
from langchain_dbchat import ChatDatabricksCompat, DatabricksEmbeddings
from langchain_dbchat.errors import DatabricksError

ANSWER = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi."}, "finish_reason": "stop"}]}
CONDITIONAL: dict[str, tuple[str, dict[str, Any]]] = {
    "`temperature` and `top_p` cannot both be specified for this model.": ("top_p", {"temperature": 0.3, "top_p": 0.4}),
    "temperature is not supported when reasoning is enabled": ("temperature", {"temperature": 0.3}),
    "logprobs is not supported when stream is true": ("logprobs", {"logprobs": True}),
    "seed is not supported with n > 1": ("seed", {"seed": 1}),
    "temperature is not supported above 0.2": ("temperature", {"temperature": 0.3}),
    "Unsupported value: 'temperature' does not support 0.3 with this model.": ("temperature", {"temperature": 0.3}),
    "Parameter 'service_tier' is not supported for user a (plan: free)": ("service_tier", {"service_tier": "flex"}),
    "max_tokens is not supported with tools, use max_completion_tokens": ("max_tokens", {"max_tokens": 5}),
    "tool_choice is not supported when thinking is enabled": ("tool_choice", {"tool_choice": "auto"}),
}
RETOLD = {
    "The [temperature](http://a) is not supported": "Blocked: The temperature is not supported",
    "temp\u00adrature is not supported": "Blocked: temperature is not supported",
    "t\u00e9mperature is not supported": "Blocked: temperature is not supported",
    "\uff54emperature is not supported": "Blocked: temperature is not supported",
    "Temperatur wird nicht unterst\u00fctzt": "Blocked (translated): temperature is not supported",
    "Is temperature unsupported?": "Off-topic question (temperature is not supported)",
    "Die Rollen wechseln sich ab": "Blocked (translated): roles must alternate",
}


def _refusing(user: str, words: str) -> ScriptedServer:
    """Return a server that refuses the first request of a user with these words, and no other request."""
    left = [Scripted({"error_code": "BAD_REQUEST", "message": words}, 400)]
    return ScriptedServer(
        lambda received: left.pop() if left and received.headers["authorization"].endswith(user) else Scripted(ANSWER)
    )


@four_ways
@pytest.mark.parametrize("words", CONDITIONAL)
def test_a_refusal_with_a_condition_changes_one_call(call: Way, words: str) -> None:
    field, settings = CONDITIONAL[words]
    extra = {key: settings.pop(key) for key in list(settings) if key in {"service_tier", "tool_choice"}}
    with _refusing("user-a", words) as server, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        first = ChatDatabricksCompat(model="mine", host=server.url, token="user-a", extra_body=extra, **settings)
        try:
            call(first, "Hello!")
        except DatabricksError:
            assert field == "tool_choice"  # without a structured answer there is no other way
        call(first.with_credentials(token="user-b"), "Hello!")
    assert field in server.requests[-1].json
    if field not in {"tool_choice", "max_tokens"}:
        assert field not in server.requests[1].json
        assert [str(one.message) for one in caught] == [
            f"'mine' refused {field!r}, so it is left out of this call: {words}"
        ]
    settings.update(extra)


@four_ways
@pytest.mark.parametrize("prompt", RETOLD)
def test_a_refusal_that_retells_the_prompt_changes_nobody_elses_call(call: Way, prompt: str) -> None:
    with _refusing("user-a", RETOLD[prompt]) as server, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        first = ChatDatabricksCompat(model="mine", host=server.url, token="user-a", temperature=0.3)
        call(first, [("user", "Zero"), ("user", prompt)])
        call(first.with_credentials(token="user-b"), [("user", "One"), ("user", "Two")])
    assert server.requests[-1].json["temperature"] == 0.3
    assert len(server.requests[-1].json["messages"]) == 2


def test_each_refusal_of_one_call_is_answered_with_one_warning() -> None:
    words = "seed is not supported with n > 1"

    def reply(received: Received) -> Scripted:
        return Scripted({"message": words}, 400) if "seed" in received.json else Scripted(ANSWER)

    with ScriptedServer(reply) as server, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        llm = ChatDatabricksCompat(model="mine", host=server.url, token="t", seed=1)
        for _ in range(3):
            assert llm.invoke("Hello!").text == "Hi."
    assert len(server.requests) == 6
    assert len(caught) == 1


def test_a_refusal_with_a_condition_changes_one_request_for_embeddings() -> None:
    words = "dimensions is not supported for user a"
    left = [Scripted({"message": words}, 400)]
    answer = Scripted({"data": [{"index": 0, "embedding": [1.0]}]})
    with ScriptedServer(lambda _: left.pop() if left else answer) as server:
        model = DatabricksEmbeddings(
            model="databricks-qwen3-embedding-0-6b", host=server.url, token="t", dimensions=1, query_instruction=""
        )
        with pytest.warns(UserWarning, match="refused 'dimensions', so it is left out of this request"):
            model.embed_query("Hello!")
        model.embed_query("Hello!")
    assert ["dimensions" in request.json for request in server.requests] == [True, False, True]


@four_ways
@pytest.mark.parametrize("as_extra", [False, True])
def test_who_loses_a_field_by_the_call_of_another_is_warned(call: Way, as_extra: bool) -> None:
    def reply(received: Received) -> Scripted:
        return Scripted({"message": "Unknown parameter: 'seed'"}, 400) if "seed" in received.json else Scripted(ANSWER)

    settings: dict[str, Any] = {"extra_body": {"seed": 1}} if as_extra else {"seed": 1}
    with ScriptedServer(reply) as server:
        first = ChatDatabricksCompat(model="mine", host=server.url, token="user-a", **settings)
        second = first.with_credentials(token="user-b")
        third = ChatDatabricksCompat(model="mine", host=server.url, token="user-c")
        with pytest.warns(UserWarning, match="refused 'seed', so it is left out from now on"):
            call(first, "Hello!")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            call(first, "Hello!")
            call(third, "Hello!")
        with pytest.warns(UserWarning, match=r"seed was left out .* 'mine': the endpoint refused it in another call"):
            call(second, "Hello!")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            call(second, "Hello!")
