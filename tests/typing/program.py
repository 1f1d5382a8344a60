"""A user's program, which a type checker has to accept: mypy and pyright read it, nobody runs it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import numpy as np
from langchain_core.messages import AIMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.tools import tool
from numpy.typing import NDArray
from pydantic import BaseModel, SecretStr
from typing_extensions import TypedDict, assert_type

from langchain_dbchat import ChatDatabricksCompat, DatabricksEmbeddings, Timeouts
from langchain_dbchat.errors import DatabricksError, DatabricksRateLimitError
from langchain_dbchat.local import Fault, LocalWorkspace
from langchain_dbchat.testing import RecordingWorkspace, ReplayWorkspace


class Joke(BaseModel):
    """A joke."""

    setup: str
    punchline: str


@dataclass
class Point:
    """A point."""

    x: int
    y: int


class City(TypedDict):
    """A city."""

    name: str


@tool
def get_weather(city: str) -> str:
    """Get the weather."""
    return f"It rains in {city}."


def new_token() -> str:
    """Return a token."""
    return "dapi"


async def new_token_later() -> str:
    """Return a token."""
    return "dapi"


def construct() -> list[ChatDatabricksCompat]:
    """Give each argument under each of its names, and text where a secret is expected."""
    return [
        ChatDatabricksCompat(),
        ChatDatabricksCompat(model="m", host="h", token="dapi"),
        ChatDatabricksCompat(endpoint="m", workspace_url="h", api_key=SecretStr("dapi"), max_retries=None),
        ChatDatabricksCompat(model="m", token=new_token, timeout=10),
        ChatDatabricksCompat(model="m", token=new_token_later, timeout=Timeouts(first_event=5.0)),
        ChatDatabricksCompat(model="m", client_id="id", client_secret="secret", profile="DEFAULT"),
        ChatDatabricksCompat(model="m", base_url="http://localhost:8000/v1", max_completion_tokens=5, stop="x"),
        ChatDatabricksCompat(model="m", api="responses", temperature=0, reasoning_effort="low", stop_sequences=["x"]),
        ChatDatabricksCompat(model="m", extra_params={"top_k": 3}, adaptive_limit="always", stream_usage=None),
        ChatDatabricksCompat(model="m", tags=["a"], metadata={"a": 1}, cache=False, output_version="v1", verbose=True),
    ]


def call(llm: ChatDatabricksCompat) -> None:
    """Call in each way."""
    assert_type(llm.invoke("Hi"), AIMessage)
    assert_type(llm.bind_tools([get_weather], tool_choice="any").invoke("Hi"), AIMessage)
    for chunk in llm.stream("Hi"):
        assert_type(chunk.usage_metadata, UsageMetadata | None)
    copy = llm.with_credentials(token="dapi1")
    assert_type(copy, ChatDatabricksCompat)


def structured(llm: ChatDatabricksCompat) -> None:
    """Ask for an answer of a type."""
    joke = llm.with_structured_output(Joke).invoke("A joke")
    assert_type(joke, Joke)
    assert_type(llm.with_structured_output(Joke, method="json_schema", strict=True).invoke("x").setup, str)
    assert_type(llm.with_structured_output(Point).invoke("A point").x, int)
    assert_type(llm.with_structured_output(City).invoke("A city")["name"], str)
    assert_type(llm.with_structured_output(Joke, tools=[get_weather]).invoke("A joke"), Joke | None)
    assert_type(llm.with_structured_output(Joke, include_raw=True).invoke("A joke"), dict[str, Any])
    assert_type(llm.with_structured_output({"title": "City", "type": "object"}).invoke("A city"), Any)


def embed() -> None:
    """Embed in each way."""
    embeddings = DatabricksEmbeddings(endpoint="m", api_key="dapi", batch_size=20, dimensions=None)
    assert_type(embeddings.embed_query("x"), list[float])
    assert_type(embeddings.embed_documents(["x"]), list[list[float]])
    assert_type(embeddings.embed_array(["x"]), NDArray[np.float32])
    assert_type(asyncio.run(embeddings.aembed_array(["x"])), NDArray[np.float32])


def handle(llm: ChatDatabricksCompat) -> float | None:
    """Catch an error."""
    try:
        llm.invoke("Hi")
    except DatabricksRateLimitError as error:
        return error.retry_after
    except DatabricksError as error:
        assert_type(error.partial, AIMessage | None)
        assert_type(error.request_id, str | None)
    return None


def test_with_a_script(local_workspace: LocalWorkspace, chat_model: ChatDatabricksCompat) -> None:
    """Test with the fixtures of the plugin."""
    local_workspace.script("m").call(get_weather, city="Oslo").and_call("other").answer(Joke(setup="a", punchline="b"))
    local_workspace.script().answer(lambda request: request.prompt, times=None).slowly(0.1).fail(503).then_rules()
    local_workspace.inject(Fault.rate_limit(2, retry_after=0), None, Fault(cut_after=5))
    chat_model.invoke("Hi")
    call = local_workspace.assert_called_once(endpoint="m", api="chat", text="Hi", tools=[get_weather], fields={"a": 1})
    assert_type(call.endpoint, str | None)
    assert_type(call.tools, list[str])
    assert_type(call.texts, list[str])
    assert_type(local_workspace.requests[-1].headers["x"], str)
    assert_type(len(local_workspace.assert_called(2)), int)


def test_with_a_recording() -> None:
    """Record and replay."""
    with RecordingWorkspace("a.jsonl", secrets=["x"], host="h", token="t") as recording:
        assert_type(recording.host, str)
    with ReplayWorkspace("a.jsonl", ignore=["user"]) as replay:
        assert_type(replay.token, str)
        replay.assert_all_used()
        replay.assert_not_called(api="embeddings")
