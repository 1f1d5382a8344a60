"""Models with values that cannot leave their process: copies share them, and pickles name the setting."""

from __future__ import annotations

import copy
import pickle
import threading
from typing import Any

import httpx
import pytest
from langchain_core.rate_limiters import InMemoryRateLimiter

from kit.scripted import Scripted, ScriptedServer, sse
from kit.ways import Way, four_ways
from langchain_dbchat import ChatDatabricksCompat, ConfigurationError, DatabricksEmbeddings

CHOICE = {"index": 0, "message": {"role": "assistant", "content": "Hi."}, "finish_reason": "stop"}
STREAMED = {"choices": [{"index": 0, "delta": CHOICE["message"], "finish_reason": "stop"}]}


def _answer(request: Any) -> Scripted:
    return Scripted(sse(STREAMED)) if request.json.get("stream") else Scripted({"choices": [CHOICE]})


class _Tokens:
    """A source of tokens that has a lock."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def __call__(self) -> str:
        return "t"


class _Named:
    """A source of tokens that can be pickled, and refers to a model that has it."""

    model: Any = None

    def __call__(self) -> str:
        return "t"


def _source() -> str:
    return "t"


SECRET = "tok-of-the-user-2f7d"
KINDS = [ChatDatabricksCompat, DatabricksEmbeddings]
kinds = pytest.mark.parametrize("kind", KINDS, ids=["chat", "embeddings"])
STAYING = {
    "http_client": httpx.Client,
    "http_async_client": httpx.AsyncClient,
    "rate_limiter": InMemoryRateLimiter,
    "token": _Tokens,
    "credentials": _Tokens,
}
staying = pytest.mark.parametrize("name", list(STAYING))


def _model(kind: Any, name: str, value: Any) -> Any:
    return kind(**{"model": "m", "host": "http://127.0.0.1:9", "token": "dapi0", name: value})


@kinds
@staying
def test_a_pickle_names_the_setting_that_stays_in_its_process(kind: Any, name: str) -> None:
    cloudpickle = pytest.importorskip("cloudpickle")
    model = _model(kind, name, STAYING[name]())
    words = f"{kind.__name__} cannot be pickled: its '{name}' .* Leave {name} out, and set it in the process"
    for dumps in (pickle.dumps, cloudpickle.dumps):
        with pytest.raises(ConfigurationError, match=words):
            dumps(model)
        with pytest.raises(ConfigurationError, match=words):
            dumps({"deep": [model]})


def test_a_pickle_of_a_chain_names_the_setting_too() -> None:
    llm = _model(ChatDatabricksCompat, "http_client", httpx.Client())
    for chain in (llm.bind(stop=["x"]), llm.with_retry(), llm.with_structured_output({"title": "T", "type": "object"})):
        with pytest.raises(ConfigurationError, match="its 'http_client'"):
            pickle.dumps(chain)


@kinds
def test_a_function_without_a_place_is_an_error_of_plain_pickle_alone(kind: Any) -> None:
    cloudpickle = pytest.importorskip("cloudpickle")
    for source in (lambda: "t", type("Local", (), {"__call__": lambda _: "t"})()):
        model = _model(kind, "token", source)
        with pytest.raises(ConfigurationError, match=r"its 'token' .* top of a module, or .* cloudpickle"):
            pickle.dumps(model)
        assert pickle.loads(cloudpickle.dumps(model)).token() == "t"
    assert pickle.loads(pickle.dumps(_model(kind, "token", _source))).token() == "t"


@kinds
def test_a_value_that_refers_to_its_model_is_pickled_once(kind: Any) -> None:
    source = _Named()
    source.model = _model(kind, "token", source)
    loaded = pickle.loads(pickle.dumps(source.model))
    assert loaded.token.model is loaded


def test_the_error_shows_no_value() -> None:
    class Secretive:
        def __repr__(self) -> str:
            return "dapi-secret"

        def __reduce__(self) -> Any:
            raise pickle.PicklingError(repr(self))

    with pytest.raises(ConfigurationError) as caught:
        pickle.dumps(_model(ChatDatabricksCompat, "metadata", {"a": Secretive()}))
    assert "dapi-secret" not in f"{caught.value!r}{caught.value.__cause__!r}{caught.value.__context__!r}"


@four_ways
def test_a_deep_copy_shares_the_client(call: Way) -> None:
    sent: list[str] = []
    with ScriptedServer(_answer) as server, httpx.Client() as client:
        client.event_hooks["request"].append(lambda request: sent.append(str(request.url)))
        given: dict[str, Any] = {"http_client": client, "rate_limiter": InMemoryRateLimiter(requests_per_second=1000)}
        llm = ChatDatabricksCompat(model="m", host=server.url, token="t", metadata={"a": [1]}, **given)
        bound: Any = copy.deepcopy(llm.bind(stop=["x"]))
        for copied in (copy.deepcopy(llm), llm.model_copy(deep=True), bound.bound):
            assert call(copied, "Hello").text == "Hi."
            assert copied.http_client is client
            assert copied.rate_limiter is llm.rate_limiter
            assert copied.metadata == llm.metadata
            assert copied.metadata is not llm.metadata
    assert len(sent) == (3 if call.__name__ in ("invoke", "stream") else 0)
    assert len(server.requests) == 3


NAMES = {"token": "token", "api_key": "token", "openai_api_key": "token", "client_secret": "client_secret"}


@kinds
@pytest.mark.parametrize("name", [*NAMES, "user_session_token", "proxy", "openai_proxy"])
def test_a_secret_of_a_copy_is_under_each_of_its_names_and_shown_nowhere(kind: Any, name: str) -> None:
    model = _model(kind, "max_retries", 0)
    copied = model.model_copy(update={name: SECRET}, deep=True)
    field = {**NAMES, "openai_proxy": "proxy"}.get(name, name)
    assert getattr(copied, field).get_secret_value() == SECRET
    changed = model.model_copy()
    setattr(changed, field, SECRET)
    for each in (copied, changed):
        shown = repr(each) + str(each) + repr(each.model_dump()) + each.model_dump_json()
        assert SECRET not in shown


@four_ways
def test_a_copy_signs_and_calls_as_the_other_names_of_the_fields_say(call: Way) -> None:
    with ScriptedServer(_answer) as server:
        llm = ChatDatabricksCompat(model="m", host="http://127.0.0.1:9", token="of-the-app")
        other = llm.model_copy(update={"api_key": "of-ada", "workspace": server.url, "endpoint": "databricks-gpt-5"})
        assert call(other, "Hello").text == "Hi."
        assert (other.model, other.max_retries) == ("databricks-gpt-5", llm.max_retries)
        assert other.profile == ChatDatabricksCompat(model="databricks-gpt-5", host="http://127.0.0.1:9").profile
    assert server.requests[0].headers["authorization"] == "Bearer of-ada"


def test_the_limit_of_a_copy_is_sent_under_its_own_name() -> None:
    llm = _model(ChatDatabricksCompat, "max_tokens", 5).model_copy(update={"max_completion_tokens": 7})
    assert (llm.max_tokens, llm.max_tokens_name) == (7, "max_completion_tokens")


@kinds
@pytest.mark.parametrize("wrong", [{"tokn": SECRET}, {"token": SECRET, "api_key": SECRET}, {"temprature": 1}])
def test_a_copy_refuses_what_it_would_ignore(kind: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"has no field|is given twice") as caught:
        _model(kind, "max_retries", 0).model_copy(update=wrong)
    assert SECRET not in str(caught.value)
