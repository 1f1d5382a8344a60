"""After a field has changed, or in a copy with another value, caches and traces use the new value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables import RunnableConfig
from pydantic import BaseModel, Field

from kit.scripted import Received, Scripted, ScriptedServer, sse
from kit.ways import Way, four_ways
from langchain_dbchat import ChatDatabricksCompat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def _echo(request: Received) -> Scripted:
    """Answer with the settings of the request."""
    message = {"role": "assistant", "content": str([request.json.get(name) for name in ("temperature", "user")])}
    if request.json.get("stream"):
        return Scripted(sse({"choices": [{"index": 0, "delta": message, "finish_reason": "stop"}]}))
    return Scripted({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer(_echo) as running:
        yield running


def _llm(server: ScriptedServer, **settings: Any) -> ChatDatabricksCompat:
    return ChatDatabricksCompat(
        model="m", base_url=server.url, token="t", temperature=0.5, extra_body={"user": "a"}, **settings
    )


def _set(llm: ChatDatabricksCompat) -> ChatDatabricksCompat:
    llm.temperature = 1.0
    return llm


def _set_in_place(llm: ChatDatabricksCompat) -> ChatDatabricksCompat:
    body: Any = llm.extra_body
    body["user"] = "b"
    return llm


NEW = {"temperature": 1.0}
in_each_way_to_change = pytest.mark.parametrize(
    "change", [_set, lambda llm: llm.model_copy(update=NEW), lambda llm: llm.model_copy(update=NEW, deep=True)]
)


class Traced(BaseCallbackHandler):
    """What a trace gets of the model."""

    def __init__(self) -> None:
        self.temperatures: list[Any] = []

    def on_chat_model_start(self, serialized: dict[str, Any], *_: Any, **__: Any) -> None:
        """Keep the temperature of the model."""
        self.temperatures.append(serialized["kwargs"]["temperature"])


@four_ways
@in_each_way_to_change
def test_a_trace_shows_the_new_value(change: Callable[..., Any], call: Way, server: ScriptedServer) -> None:
    traced = Traced()
    llm, config = _llm(server), RunnableConfig(callbacks=[traced])
    call(llm.with_config(config), "Hi")
    changed = change(llm)
    assert call(changed.with_config(config), "Hi").text == "[1.0, 'a']"
    assert traced.temperatures == [0.5, 1.0]


@pytest.mark.parametrize("run", ["invoke", "ainvoke", "batch", "abatch"])
@pytest.mark.parametrize("change", [*in_each_way_to_change.args[1], _set_in_place])
async def test_a_cached_answer_to_the_old_value_is_not_given(
    change: Callable[..., Any], run: str, server: ScriptedServer
) -> None:
    async def ask(model: ChatDatabricksCompat) -> str:
        found: Any = getattr(model, run)(["Hi"] if "batch" in run else "Hi")
        found = await found if run.startswith("a") else found
        return str((found[0] if "batch" in run else found).text)

    llm = _llm(server, cache=InMemoryCache())
    assert await ask(llm) == await ask(llm) == "[0.5, 'a']"
    changed = change(llm)
    expected = "[0.5, 'b']" if change is _set_in_place else "[1.0, 'a']"
    assert await ask(changed) == await ask(changed) == expected
    assert len(server.requests) == 2


class _Silent(BaseModel):
    """A value whose `repr` does not show its fields."""

    name: str = Field(repr=False)


@pytest.mark.parametrize("way", ["copy", "bind"])
def test_a_cached_answer_to_another_object_is_not_given(way: str, server: ScriptedServer) -> None:
    llm = _llm(server, cache=InMemoryCache())

    def ask(name: str) -> str:
        body = {"user": _Silent(name=name)}
        model = llm.bind(extra_body=body) if way == "bind" else llm.model_copy(update={"extra_body": body})
        return str(model.invoke("Hi").text)

    for _ in range(2):
        assert [ask("a"), ask("b")] == ["[0.5, {'name': 'a'}]", "[0.5, {'name': 'b'}]"]
    assert len(server.requests) == 2


class _Array:
    """A value that cannot be compared, as arrays of NumPy."""

    def __eq__(self, other: object) -> bool:
        raise ValueError("ambiguous")

    __hash__ = None  # type: ignore[assignment]  # as arrays


@four_ways
def test_a_field_whose_values_cannot_be_compared(call: Way, server: ScriptedServer) -> None:
    llm = _llm(server)
    for _ in range(3):
        llm.metadata = {"row": _Array()}
        assert call(llm, "Hi").text == "[0.5, 'a']"


@pytest.mark.parametrize("deep", [False, True])
def test_a_copy_has_the_profile_of_its_own_model(deep: bool) -> None:
    llm = ChatDatabricksCompat(model="databricks-gpt-5", host="https://workspace.example", token="t")
    other = ChatDatabricksCompat(model="databricks-claude-sonnet-4-6", host="https://workspace.example", token="t")
    assert llm.profile
    assert llm.profile != other.profile
    assert llm.model_copy(update={"model": other.model}, deep=deep).profile == other.profile
    assert llm.model_copy(update={"model": f"databricks/{other.model}"}, deep=deep).profile == other.profile
    assert llm.model_copy(update={"model": "my-endpoint"}, deep=deep).profile is None
    assert (
        llm.model_copy(update={"model": "my-endpoint"}).model_copy(update={"model": llm.model}).profile == llm.profile
    )
    assert llm.model_copy(update={"temperature": 1.0}, deep=deep).profile == llm.profile
    given: Any = {"max_input_tokens": 7}
    assert llm.model_copy(update={"model": other.model, "profile": given}).profile == given
    own = ChatDatabricksCompat(model="databricks-gpt-5", host="https://workspace.example", token="t", profile=given)
    assert own.model_copy(update={"model": other.model}, deep=deep).profile == given


@four_ways
def test_no_call_adds_to_what_another_thread_may_be_reading(call: Way, server: ScriptedServer) -> None:
    llm = _llm(server, cache=InMemoryCache())
    before = [*llm.__dict__]
    call(llm, "Hi")
    llm.bind_tools([{"type": "function", "function": {"name": "f"}}])
    assert [*llm.__dict__] == before
