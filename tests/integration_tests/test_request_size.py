"""Requests that are larger than Databricks takes are refused before they are sent, with the culprit named."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from langchain_core import exceptions as core
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

from kit.scripted import Scripted, ScriptedServer
from kit.ways import Way, four_ways
from langchain_dbchat import ChatDatabricksCompat, DatabricksEmbeddings
from langchain_dbchat.errors import DatabricksInvalidRequestError
from langchain_dbchat.local import LocalWorkspace

MIB = 2**20
ANSWER = {"choices": [{"index": 0, "message": {"content": "Hi."}, "finish_reason": "stop"}]}


def _image(size: int) -> dict[str, Any]:
    return {"type": "image", "base64": base64.b64encode(b"x" * size).decode(), "mime_type": "image/png"}


@four_ways
def test_a_body_over_the_limit_is_not_sent(call: Way) -> None:
    said = [
        SystemMessage("Be terse."),
        HumanMessage([{"type": "text", "text": "What is this?"}, _image(1000), _image(4 * MIB)]),
        AIMessage("A wide sky."),
        HumanMessage("And now?"),
    ]
    with ScriptedServer(lambda _: Scripted(ANSWER)) as server:
        llm = ChatDatabricksCompat(model="databricks-claude-sonnet-4-6", host=server.url, token="dapi0")
        with pytest.raises(DatabricksInvalidRequestError) as caught:
            call(llm, said)
        assert server.requests == []
    assert isinstance(caught.value, core.ModelInvalidRequestError)
    text = str(caught.value)
    assert "5.33 MiB" in text
    assert "takes 4.00 MiB" in text
    assert "the largest is message 1 (user" in text
    assert "block 2 (image_url" in text
    assert len(text) < 1000
    assert caught.value.endpoint == "databricks-claude-sonnet-4-6"


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"extra_body": {"notes": "x" * (5 * MIB)}}, "'notes'"),
        ({"extra_body": {"notes": ["x", "y" * (5 * MIB)]}}, "notes[1]"),
    ],
    ids=["field", "list"],
)
def test_whatever_is_the_largest_is_named(settings: dict[str, Any], named: str) -> None:
    llm = ChatDatabricksCompat(model="m", host="https://workspace.example", token="dapi0", **settings)
    with pytest.raises(DatabricksInvalidRequestError) as caught:
        llm.invoke("Hello!")
    assert named in str(caught.value)


def test_small_sizes_are_told_in_bytes() -> None:
    llm = ChatDatabricksCompat(model="m", host="https://workspace.example", token="dapi0", max_request_bytes=1000)
    with pytest.raises(DatabricksInvalidRequestError, match=r"takes 1000 bytes\..* message 0 \(user, 2028 bytes\)\."):
        llm.invoke("y" * 2000)


def test_a_text_of_one_message_is_named() -> None:
    llm = ChatDatabricksCompat(model="m", host="https://workspace.example", token="dapi0")
    with pytest.raises(DatabricksInvalidRequestError, match=r"message 1 \(user, 5.00 MiB\)\."):
        llm.invoke([("system", "x"), ("human", "y" * (5 * MIB))])


def test_the_limit_is_the_servers_own() -> None:
    with LocalWorkspace() as workspace:
        llm = ChatDatabricksCompat(model="databricks-claude-haiku-4-5", host=workspace.host, token=workspace.token)
        frame = len(b'{"messages":[{"role":"user","content":""}]}')
        with pytest.raises(DatabricksInvalidRequestError, match="was not sent"):
            llm.invoke("x" * (4 * MIB - frame + 1))
        assert not workspace.requests
        # At the limit it is sent; that the model's context is smaller is for the server to say.
        with pytest.raises(core.ContextOverflowError):
            llm.invoke("word " * ((4 * MIB - frame) // 5))
        with pytest.raises(DatabricksInvalidRequestError, match="cannot exceed 4194304 bytes"):
            llm.model_copy(update={"max_request_bytes": None}).invoke("x" * (4 * MIB + 1))
        assert len(workspace.requests) == 2


def test_custom_models_and_other_servers_take_more() -> None:
    long = "x" * (5 * MIB)
    with ScriptedServer(lambda _: Scripted(ANSWER)) as server:
        custom = ChatDatabricksCompat(model="m", host=server.url, token="dapi0", max_request_bytes=16 * MIB)
        assert custom.invoke(long).text == "Hi."
        with pytest.raises(DatabricksInvalidRequestError, match=r"takes 16\.00 MiB"):
            custom.invoke(long * 4)
        other = ChatDatabricksCompat(model="m", base_url=f"{server.url}/v1", token="dapi0")
        assert other.invoke(long).text == "Hi."


def test_embeddings_are_measured_too() -> None:
    embeddings = DatabricksEmbeddings(
        model="databricks-gte-large-en", host="https://workspace.example", token="dapi0", max_request_bytes=1000
    )
    with pytest.raises(DatabricksInvalidRequestError, match="was not sent") as caught:
        embeddings.embed_query("word " * 1000)
    assert "'input'" in str(caught.value)
