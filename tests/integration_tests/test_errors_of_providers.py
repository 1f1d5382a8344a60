"""External models and guardrails, over a socket, in all four ways of calling."""

from __future__ import annotations

import asyncio
import warnings
from typing import Any

import pytest
from langchain_core import exceptions as core
from pydantic_core import to_json

from kit.scripted import Received, Scripted, ScriptedServer, sse
from kit.ways import Way, four_ways
from langchain_dbchat import ChatDatabricksCompat, DatabricksEmbeddings, errors
from langchain_dbchat.local import LocalWorkspace
from langchain_dbchat.local.faults.named import NAMED

MODEL = "databricks-gemini-3-5-flash"
WORDS = {"choices": [{"index": 0, "delta": {"content": "Hi."}, "finish_reason": "stop"}]}
ANSWER = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi."}, "finish_reason": "stop"}]}
FLAGGED = [{"flagged": True, "categories": {"hate": True, "privacy": False}}]

FAULTS: dict[str, tuple[type[errors.DatabricksError], str]] = {
    "external_model_invalid_key": (errors.DatabricksProviderAuthenticationError, "owner has to renew that key"),
    "external_model_invalid_request": (errors.DatabricksInvalidRequestError, "Invalid value for tools[0]"),
    "external_model_context_overflow": (errors.DatabricksContextOverflowError, "prompt is too long"),
    "external_model_content_filter": (errors.DatabricksRefusalError, "violence"),
    "external_model_not_found": (errors.DatabricksNotFoundError, "The model `gpt-x` does not exist."),
    "external_model_rate_limit": (errors.DatabricksRateLimitError, "exceeded token rate limit"),
    "external_model_quota": (errors.DatabricksRateLimitError, "You exceeded your current quota."),
    "external_model_bad_gateway": (errors.DatabricksAPIError, "502 Bad Gateway"),
    "input_guardrail": (errors.DatabricksRefusalError, "Input guardrail triggered: violent-crimes"),
    "output_guardrail": (errors.DatabricksRefusalError, "Output guardrail triggered: privacy"),
    "pii_guardrail": (errors.DatabricksRefusalError, "Input guardrail triggered: pii"),
    "named_guardrail": (errors.DatabricksRefusalError, "blocked by input guardrail 'no-secrets'"),
}


def _answer(received: Received) -> Scripted:
    return Scripted(sse(WORDS)) if received.json.get("stream") else Scripted(ANSWER)


@four_ways
@pytest.mark.parametrize("name", FAULTS)
def test_every_named_fault_is_understood(call: Way, name: str, workspace: LocalWorkspace) -> None:
    kind, words = FAULTS[name]
    llm = ChatDatabricksCompat(model=MODEL, host=workspace.host, token=workspace.token, max_retries=0)
    workspace.fail_next(name)
    with pytest.raises(kind) as caught:
        call(llm, "Hello!")
    assert type(caught.value) is kind
    assert words in caught.value.message
    assert call(llm, "Hello!").text


def test_no_named_fault_is_left_out() -> None:
    elsewhere = {"rate_limit", "expired_token", "unknown_token", "login_page"}  # test_fault_proxy.py
    assert FAULTS.keys() | elsewhere == NAMED.keys()


def test_a_fault_without_a_name(workspace: LocalWorkspace) -> None:
    with pytest.raises(ValueError, match="input_guardrail"):
        workspace.fail_next("no-such-fault")


@four_ways
@pytest.mark.parametrize("name", FAULTS)
def test_only_what_passes_is_sent_again(call: Way, name: str, workspace: LocalWorkspace) -> None:
    llm = ChatDatabricksCompat(model=MODEL, host=workspace.host, token=workspace.token)
    passes = name in {"external_model_rate_limit", "external_model_bad_gateway"}
    workspace.fail_next(name)
    if passes:
        assert call(llm, "Hello!").text
    else:
        with pytest.raises(errors.DatabricksError):
            call(llm, "Hello!")
    assert len(workspace.requests) == 1 + passes


@four_ways
@pytest.mark.parametrize("status", [400, 500])
def test_the_providers_status_decides_about_retries(call: Way, status: int) -> None:
    limited = {"external_model_provider": "x", "external_model_error": {"error": {"message": "slow", "code": "429"}}}
    wrong = {"external_model_provider": "x", "external_model_error": {"error_code": 400, "message": "wrong"}}
    replies = [Scripted(limited, status, {"retry-after": "0"})]
    with ScriptedServer(lambda received: replies.pop() if replies else _answer(received)) as server:
        assert call(ChatDatabricksCompat(model="e", host=server.url, token="t"), "Hello!").text == "Hi."
        replies.append(Scripted(wrong, status))
        with pytest.raises(errors.DatabricksInvalidRequestError):
            call(ChatDatabricksCompat(model="e", host=server.url, token="t"), "Hello!")
    assert len(server.requests) == 3


@four_ways
@pytest.mark.parametrize("status", [400, 500])
def test_a_field_is_learned_from_the_provider(call: Way, status: int) -> None:
    error = {
        "message": "Unsupported parameter: 'seed' is not supported with this model.",
        "code": "unsupported_parameter",
    }
    body = {"external_model_provider": "openai", "external_model_error": {"error": error}}
    refusal = Scripted({"error_code": "BAD_REQUEST", "message": to_json(body).decode()}, status)

    def reply(received: Received) -> Scripted:
        return refusal if "seed" in received.json else _answer(received)

    with ScriptedServer(reply) as server:
        llm = ChatDatabricksCompat(model="e", host=server.url, token="t", seed=1)
        with pytest.warns(UserWarning, match="refused 'seed'"):
            assert call(llm, "Hello!").text == "Hi."
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert call(llm, "Hello!").text == "Hi."
    assert len(server.requests) == 3


@four_ways
@pytest.mark.parametrize("reason", ["finish_reason", "finishReason"])
@pytest.mark.parametrize("side", ["input", "output"])
@pytest.mark.parametrize("place", ["event", "choice", "empty choices"])
def test_a_guardrail_in_an_answer_with_status_200(call: Way, side: str, reason: str, place: str) -> None:
    facts: dict[str, Any] = {f"{side}_guardrail": FLAGGED}
    named = {reason: f"{side}_guardrail_triggered"}
    if place == "choice":
        choice = {"index": 0, "delta": {"content": ""}, "message": {"role": "assistant", "content": ""}, **named}
        blocked = {"choices": [choice], **facts}
    else:
        blocked = {**({"choices": []} if place == "empty choices" else {}), **facts, **named}

    def reply(received: Received) -> Scripted:
        if received.json.get("stream"):
            return Scripted(sse({"choices": [{"index": 0, "delta": {"content": "So far"}}]}, blocked))
        return Scripted(blocked)

    with ScriptedServer(reply) as server:
        with pytest.raises(errors.DatabricksRefusalError) as caught:
            call(ChatDatabricksCompat(model="e", host=server.url, token="t"), "Hello!")
    assert isinstance(caught.value, getattr(core, "ModelRefusalError", core.ModelError))
    assert (caught.value.side, caught.value.categories) == (side, ("hate",))
    assert not caught.value.is_retryable
    assert len(server.requests) == 1
    if server.requests[0].json.get("stream"):
        assert caught.value.partial is not None
        assert caught.value.partial.text == "So far"
        assert caught.value.raw_message is caught.value.partial


@four_ways
@pytest.mark.parametrize("said", [{"content": "Not this one."}, {"refusal": "Not this one.", "content": None}])
@pytest.mark.parametrize("place", ["choice", "answer", "event before"])
@pytest.mark.parametrize("reason", ["finish_reason", "finishReason"])
def test_the_words_of_an_answer_that_a_guardrail_ended_are_told(
    call: Way, said: dict[str, Any], place: str, reason: str
) -> None:
    facts = {"output_guardrail": FLAGGED}
    named = {reason: "output_guardrail_triggered"}

    def reply(received: Received) -> Scripted:
        choice: dict[str, Any] = {"index": 0, "delta": said, "message": said}
        if not received.json.get("stream"):
            return Scripted({"choices": [choice if place == "answer" else {**choice, **named}], **facts, **named})
        last: dict[str, Any] = {"index": 0, "delta": {}}
        if place == "choice":
            return Scripted(sse({"choices": [{**choice, **named}], **facts}))
        if place == "answer":
            return Scripted(sse({"choices": [choice], **facts, **named}))
        return Scripted(sse({"choices": [choice], **facts}, {"choices": [{**last, **named}]}))

    with ScriptedServer(reply) as server, pytest.raises(errors.DatabricksRefusalError) as caught:
        call(ChatDatabricksCompat(model="e", host=server.url, token="t"), "Hello!")
    assert "Output guardrail triggered: hate. Not this one." in caught.value.message
    assert caught.value.detail == "Not this one."
    assert caught.value.categories == ("hate",)
    raw = caught.value.raw_message
    assert raw is not None
    assert "Not this one." in (raw.text, raw.additional_kwargs.get("refusal"))


@four_ways
@pytest.mark.parametrize("reason", ["guardrail", "output_guardrail_triggered"])
def test_the_sources_of_such_an_answer_are_told_once(call: Way, reason: str) -> None:
    facts = {"citations": ["https://example.com/a"]}

    def reply(received: Received) -> Scripted:
        choice = {"index": 0, "delta": {"content": "Yes."}, "message": {"content": "Yes."}, "finish_reason": reason}
        body = {"choices": [choice], **facts}
        return Scripted(sse(body) if received.json.get("stream") else body)

    with ScriptedServer(reply) as server:
        try:
            message: Any = call(ChatDatabricksCompat(model="e", host=server.url, token="t"), "Hello!")
        except errors.DatabricksRefusalError as error:
            message = error.raw_message
    cited = [block for block in message.content_blocks if block.get("annotations")]
    assert [block["annotations"][0]["url"] for block in cited] == ["https://example.com/a"]
    assert message.text == "Yes."


@four_ways
def test_what_a_guardrail_let_through_is_an_answer(call: Way) -> None:
    facts = {"input_guardrail": [{"flagged": False, "pii_detection": True}]}

    def reply(received: Received) -> Scripted:
        return Scripted(sse({**WORDS, **facts}) if received.json.get("stream") else {**ANSWER, **facts})

    with ScriptedServer(reply) as server:
        assert call(ChatDatabricksCompat(model="e", host=server.url, token="t"), "Hello!").text == "Hi."


@four_ways
@pytest.mark.parametrize(
    "event",
    [
        {"error": {"external_model_provider": "openai", "external_model_error": {"message": "the words"}}},
        {"external_model_provider": "openai", "external_model_error": "the words"},
        {"error_code": "INTERNAL_ERROR", "message": '{"external_model_error": {"say": "the words"}}'},
        {"error": "Received error from openai", "external_model_message": {"error": {"message": "the words"}}},
        {"type": "error", "error": {"type": "overloaded_error", "message": "the words"}},
        {"error": {"unheard_of": {"text": "the words"}}},
        {"detail": "the words"},
        {"detail": [{"loc": ["body"], "msg": "the words"}]},
        [{"error": {"code": 500, "message": "the words", "status": "INTERNAL"}}],
        {"status": 500, "message": "the words"},
    ],
)
def test_an_error_within_an_answer_tells_its_words(call: Way, event: Any) -> None:
    def reply(received: Received) -> Scripted:
        return Scripted(sse(event) if received.json.get("stream") else event)

    with ScriptedServer(reply) as server:
        with pytest.raises(errors.DatabricksError, match="the words"):
            call(ChatDatabricksCompat(model="e", host=server.url, token="t"), "Hello!")


def test_embeddings_hear_the_provider(workspace: LocalWorkspace) -> None:
    embeddings = DatabricksEmbeddings(model="databricks-gte-large-en", host=workspace.host, token=workspace.token)
    workspace.fail_next("external_model_invalid_key")
    with pytest.raises(errors.DatabricksProviderAuthenticationError, match="openai"):
        embeddings.embed_query("x")
    workspace.fail_next("pii_guardrail")
    with pytest.raises(errors.DatabricksRefusalError, match="pii"):
        asyncio.run(embeddings.aembed_query("x"))


UNNAMED: list[tuple[int, Any]] = [
    (401, {"external_model_error": {"error": {"message": "Incorrect API key provided"}}}),
    (401, {"external_model_message": "Incorrect API key provided"}),
    (401, {"error": "Received error", "external_model_message": {"message": "Incorrect API key provided"}}),
    (401, {"external_model_provider": None, "external_model_error": "Incorrect API key provided"}),
    (401, {"external_model_provider": "", "external_model_error": ["Incorrect API key provided"]}),
]


@four_ways
@pytest.mark.parametrize(("status", "body"), UNNAMED)
def test_a_provider_without_a_name_is_said_to_have_none(status: int, body: Any, call: Way) -> None:
    with ScriptedServer(lambda _: Scripted(body, status=status)) as server:
        llm = ChatDatabricksCompat(model="mine", host=server.url, token="dapi0", max_retries=0)
        with pytest.raises(errors.DatabricksProviderAuthenticationError) as caught:
            call(llm, "Hi")
    assert "HTTP 401 from the provider (not named): Incorrect API key provided" in str(caught.value)
    assert "The provider (not named) refuses the key that the endpoint 'mine' keeps for it" in caught.value.advice
    assert caught.value.provider == "(not named)"


FILTERED = [
    "Output blocked by content filtering policy",
    "Invalid prompt: your prompt was flagged as potentially violating our usage policy. Please try again.",
    "Your request was rejected as a result of our safety system.",
    "The prompt was blocked: PROHIBITED_CONTENT",
    "The response was blocked due to SAFETY.",
    "Your input was refused by our content policy",
]
NOT_FILTERED = [
    "Access blocked: the safety officer has to agree",
    "Your request was rejected: temperature is out of range",
    "The usage policy has changed",
    "Requests are blocked. The content policy of the page is strict.",
]


@four_ways
@pytest.mark.parametrize("words", FILTERED)
@pytest.mark.parametrize("shape", ["plain", "provider"])
def test_a_filter_that_answers_in_words_refused(words: str, shape: str, call: Way) -> None:
    plain = {"error_code": "BAD_REQUEST", "message": words}
    body = plain if shape == "plain" else {"external_model_provider": "p", "external_model_error": {"message": words}}
    with ScriptedServer(lambda _: Scripted(body, status=400)) as server:
        llm = ChatDatabricksCompat(model="mine", host=server.url, token="dapi0", max_retries=0)
        with pytest.raises(errors.DatabricksRefusalError, match="What to do: The provider's content filter refused"):
            call(llm, "Hi")


@pytest.mark.parametrize("words", NOT_FILTERED)
def test_words_that_are_no_filters(words: str) -> None:
    with ScriptedServer(lambda _: Scripted({"error_code": "BAD_REQUEST", "message": words}, status=400)) as server:
        llm = ChatDatabricksCompat(model="mine", host=server.url, token="dapi0", max_retries=0)
        with pytest.raises(errors.DatabricksInvalidRequestError) as caught:
            llm.invoke("Hi")
    assert not isinstance(caught.value, errors.DatabricksRefusalError)
