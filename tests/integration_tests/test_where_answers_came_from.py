"""An error about an answer with status 2xx says where it came from, as other errors do."""

from __future__ import annotations

import pickle
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest

from kit.scripted import Received, Scripted, ScriptedServer, sse
from kit.ways import Way, ainvoke, four_ways, invoke
from langchain_dbchat import ChatDatabricksCompat, DatabricksEmbeddings, DatabricksError, MalformedResponseError

FAILED = {"error": {"message": "The model failed.", "code": 500}}
ANSWERS = {
    "empty": Scripted(b""),
    "no content": Scripted(b"", status=204),
    "text": Scripted(b"hello", headers={"content-type": "text/plain"}),
    "a list": Scripted([1, 2]),
    "another object": Scripted({"x": 1}),
    "an error": Scripted(FAILED),
    "an event that is an error": Scripted(sse(FAILED, done=False)),
    "an event that is text": Scripted(sse("hello", done=False)),
}
answers = pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)


def _check(error: DatabricksError, server: ScriptedServer, endpoint: str) -> None:
    host = urlsplit(server.url).netloc
    line = f"  Where: endpoint {endpoint!r}, host {host}, credentials from: token argument"
    assert [part for part in str(error).splitlines() if "Where:" in part] == [line]
    assert (error.endpoint, error.host, error.auth) == (endpoint, host, "token argument")
    assert error.message == str(error)


@four_ways
@pytest.mark.parametrize("api", ["chat", "responses", "messages"])
@answers
def test_the_chat_model(answer: Scripted, api: Literal["chat", "responses", "messages"], call: Way) -> None:
    name = "databricks-claude-sonnet-4-6"
    with ScriptedServer(lambda _: answer) as server:
        llm = ChatDatabricksCompat(model=name, host=server.url, token="dapi0", max_retries=0, api=api)
        with pytest.raises(DatabricksError) as caught:
            call(llm, "Hi")
        _check(caught.value, server, name)


@answers
def test_embeddings(answer: Scripted) -> None:
    name = "databricks-gte-large-en"
    with ScriptedServer(lambda _: answer) as server:
        embeddings: Any = DatabricksEmbeddings(model=name, host=server.url, token="dapi0", max_retries=0)
        with pytest.raises(DatabricksError) as caught:
            embeddings.embed_query("Hi")
        _check(caught.value, server, name)


OWN_LINES = "It failed.\n  Where: in the kitchen\n  What to do: call the cook"


@four_ways
@pytest.mark.parametrize("status", [200, 500])
def test_words_of_the_server_that_look_like_our_lines_stay_words(status: int, call: Way) -> None:
    error = {"error_code": "INTERNAL_ERROR", "message": OWN_LINES}

    def answer(received: Received) -> Scripted:
        streamed = received.json.get("stream") and status == 200
        return Scripted(sse(error, done=False)) if streamed else Scripted(error, status=status)

    with ScriptedServer(answer) as server:
        llm = ChatDatabricksCompat(model="mine", host=server.url, token="dapi0", max_retries=0)
        with pytest.raises(DatabricksError) as caught:
            call(llm, "Hi")
    error_, host = caught.value, urlsplit(server.url).netloc
    place = f"Where: endpoint 'mine', host {host}, credentials from: token argument"
    assert error_.what is not None
    assert OWN_LINES in error_.what
    assert str(error_) == f"{error_.what}\n  {place}\n  What to do: {error_.advice}"
    assert "cook" not in error_.advice
    copied = pickle.loads(pickle.dumps(error_))
    assert (copied.what, copied.advice, str(copied)) == (error_.what, error_.advice, str(error_))


MISSING = [
    ("chat", {"choices": []}, "'choices' that is empty"),
    ("chat", {"choices": None}, "'choices' that is null"),
    ("chat", {"id": "x"}, r"\['id'\] instead of 'choices'"),
    ("responses", {"output": None}, "'output' that is null"),
    ("responses", {"output": "x"}, "'output' that is str"),
    ("messages", {"content": None}, "'content' that is null"),
    ("messages", {"content": "x"}, "'content' that is str"),
    ("messages", {"id": "x"}, r"\['id'\] instead of 'content'"),
]


@pytest.mark.parametrize(("api", "body", "words"), MISSING)
@pytest.mark.parametrize("call", [invoke, ainvoke])
def test_an_answer_without_what_it_needs_says_what_it_has(api: Any, body: Any, words: str, call: Way) -> None:
    with ScriptedServer(lambda _: Scripted(body)) as server:
        llm = ChatDatabricksCompat(model="mine", host=server.url, token="t", api=api, max_retries=0)
        with pytest.raises(MalformedResponseError, match=f"'mine' answered with {words}: it does not use"):
            call(llm, "Hi")
