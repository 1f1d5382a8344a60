"""What another wire format or URL teaches: nothing before it has answered, because a refusal may retell a prompt."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

from kit.scripted import Received, Scripted, ScriptedServer
from kit.ways import Way, four_ways
from langchain_dbchat import ChatDatabricksCompat, DatabricksEmbeddings
from langchain_dbchat.errors import DatabricksError

ANSWER = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi."}, "finish_reason": "stop"}]}


def _plain(words: str) -> dict[str, Any]:
    return {"error_code": "BAD_REQUEST", "message": words}


RETOLD = [
    ("Show me how OpenAI's responses api is used", "Blocked by policy: the prompt asks how to use the Responses API"),
    ("use the <b>responses api</b>", "Blocked: use the responses api"),
    ("Use http://x/v1/responses?a=1", "Blocked: Use http%3A//x/v1/responses%3Fa=1"),
    ("Bitte nutze die Responses API", "The prompt (translated: use the responses api) is blocked"),
    ("Is there a way through MLflow's agents?", "Blocked: ResponsesAgentRequest"),
]
BEHIND = {
    "no such URL": (404, "no such path", "Blocked|translated"),
    "not a method": (405, "no such method", "Blocked|translated"),
    "not that API": (400, "Responses API passthrough is not supported for this endpoint", "Blocked|translated"),
    "bad request": (400, "Bad request: unsupported", "unsupported"),
    "forbidden": (403, "no", "no"),
    "broken": (500, "broken", "broken"),
}


@four_ways
@pytest.mark.parametrize("behind", BEHIND)
@pytest.mark.parametrize(("prompt", "words"), RETOLD)
def test_a_wire_format_is_remembered_when_it_has_answered(call: Way, prompt: str, words: str, behind: str) -> None:
    status, said, raised = BEHIND[behind]

    def reply(request: Received) -> Scripted:
        if request.path.endswith("/responses"):
            return Scripted({"error_code": "BAD_REQUEST", "message": said}, status)
        return Scripted(_plain(words), 400) if prompt in str(request.json) else Scripted(ANSWER)

    with ScriptedServer(reply) as server, warnings.catch_warnings():
        warnings.simplefilter("error")
        llm = ChatDatabricksCompat(model="mine", host=server.url, token="t", max_retries=0)
        with pytest.raises(DatabricksError, match=raised):
            call(llm, prompt)
        assert call(llm, "Hello!").text == "Hi."
    paths = [request.path.rpartition("/")[2] for request in server.requests]
    assert paths == ["invocations", "responses", "invocations"]


@four_ways
def test_a_wire_format_whose_answer_breaks_off_is_not_remembered(call: Way) -> None:
    def reply(request: Received) -> Scripted:
        if request.path.endswith("/responses"):
            return Scripted({"foo": 1})
        return Scripted(_plain(RETOLD[0][1]), 400) if RETOLD[0][0] in str(request.json) else Scripted(ANSWER)

    with ScriptedServer(reply) as server:
        llm = ChatDatabricksCompat(model="mine", host=server.url, token="t", max_retries=0)
        with pytest.raises(DatabricksError):
            call(llm, RETOLD[0][0])
        assert call(llm, "Hello!").text == "Hi."
    assert server.requests[-1].path.endswith("/invocations")


@four_ways
def test_what_the_other_wire_format_refuses_is_not_remembered_either(call: Way) -> None:
    def reply(request: Received) -> Scripted:
        if request.path.endswith("/responses"):
            refuses = "temperature" in request.json
            return Scripted(_plain("Unknown parameter: 'temperature'" if refuses else "unsupported"), 400)
        return Scripted(_plain(RETOLD[0][1]), 400) if RETOLD[0][0] in str(request.json) else Scripted(ANSWER)

    with ScriptedServer(reply) as server, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        llm = ChatDatabricksCompat(model="mine", host=server.url, token="t", max_retries=0, temperature=0.2)
        with pytest.raises(DatabricksError):
            call(llm, RETOLD[0][0])
        assert call(llm, "Hello!").text == "Hi."
    assert server.requests[-1].json["temperature"] == 0.2


@four_ways
def test_a_url_is_remembered_when_it_has_answered(call: Way) -> None:
    failing = [True]

    def reply(request: Received) -> Scripted:
        if request.path.startswith("/ai-gateway/"):
            return Scripted({"error_code": "NOT_FOUND", "message": "no"}, 404) if failing[0] else Scripted(ANSWER)
        return Scripted({"error_code": "NOT_FOUND", "message": "no"}, 404)

    with ScriptedServer(reply) as server, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        llm = ChatDatabricksCompat(model="system.ai.claude-opus-5", host=server.url, token="t", max_retries=0)
        with pytest.raises(DatabricksError):
            call(llm, "Hello!")
        failing[0] = False
        assert call(llm, "Hello!").text == "Hi."
    assert [request.path.startswith("/ai-gateway/") for request in server.requests] == [True, False, True]


def test_a_url_for_embeddings_is_remembered_when_it_has_answered() -> None:
    failing = [True]

    def reply(request: Received) -> Scripted:
        if request.path.startswith("/ai-gateway/") and not failing[0]:
            return Scripted({"data": [{"index": 0, "embedding": [1.0]}]})
        return Scripted({"error_code": "NOT_FOUND", "message": "no"}, 404)

    with ScriptedServer(reply) as server:
        model = DatabricksEmbeddings(model="system.ai.gte-large-en", host=server.url, token="t", max_retries=0)
        with pytest.raises(DatabricksError):
            model.embed_query("Hello!")
        failing[0] = False
        assert model.embed_query("Hello!") == [1.0]
