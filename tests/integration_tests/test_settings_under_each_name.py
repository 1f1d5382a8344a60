"""A setting has one meaning under each of its names, in the constructor and in a call; no secret is shown anywhere."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.load import dumps
from langchain_core.runnables import ConfigurableField
from langchain_core.tracers.base import BaseTracer
from pydantic import BaseModel, SecretStr, ValidationError

from kit.scripted import Received, Scripted, ScriptedServer, sse
from kit.ways import Way, four_ways
from langchain_dbchat import ChatDatabricksCompat, DatabricksEmbeddings
from langchain_dbchat.connection.marks import marks_of
from langchain_dbchat.errors import ConfigurationError

if TYPE_CHECKING:
    from langchain_core.runnables import Runnable

SECRET = "tok-of-the-user-2f7d"
CONNECTION = {
    "host": "https://other.example",
    "workspace": "https://other.example",
    "workspace_url": "https://other.example",
    "base_url": "https://other.example/v1",
    "api_base": "https://other.example/v1",
    "openai_api_base": "https://other.example/v1",
    "profile": SECRET,
    "config_profile": SECRET,
    "config_file": SECRET,
    "client_id": SECRET,
    "client_secret": SECRET,
    "auth_type": SECRET,
    "workspace_client": SECRET,
    "credentials": SECRET,
    "audience": SECRET,
    "workspace_id": SECRET,
    "allow_http": True,
    "default_query": {"key": SECRET},
    "proxy": SECRET,
    "openai_proxy": SECRET,
    "http_client": SECRET,
    "http_async_client": SECRET,
}


def _answer(request: Received) -> Scripted:
    if request.json.get("stream"):
        delta = {"choices": [{"index": 0, "delta": {"content": "ok"}, "finish_reason": "stop"}]}
        return Scripted(sse(delta))
    return Scripted({"choices": [{"index": 0, "message": {"content": "ok"}, "finish_reason": "stop"}]})


def _llm(server: ScriptedServer, **settings: Any) -> ChatDatabricksCompat:
    return ChatDatabricksCompat(**{"model": "m", "host": server.url, "token": "of-the-app", **settings})


class Everything(BaseTracer, BaseCallbackHandler):
    """Keep all that a tracer is given."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def _persist_run(self, run: Any) -> None:
        self.seen.append(repr(run) + json.dumps(run.model_dump() if hasattr(run, "model_dump") else {}, default=repr))

    def on_chat_model_start(self, *args: Any, **kwargs: Any) -> Any:
        self.seen.append(repr((args, kwargs)))
        return super().on_chat_model_start(*args, **kwargs)


@four_ways
@pytest.mark.parametrize("name", ["token", "api_key"])
@pytest.mark.parametrize("given", ["plain", "SecretStr"])
def test_a_token_of_a_call_signs_it_and_is_shown_nowhere(call: Way, name: str, given: str) -> None:
    tracer = Everything()
    token: Any = SECRET if given == "plain" else SecretStr(SECRET)
    with ScriptedServer(_answer) as server:
        bound = _llm(server).bind(**{name: token})
        shown = repr(bound) + dumps(bound)
        assert call(bound.with_config(callbacks=[tracer]), "hi").text == "ok"
    assert server.requests[0].headers["authorization"] == f"Bearer {SECRET}"
    assert SECRET not in server.requests[0].body.decode() + shown + "".join(tracer.seen)
    assert tracer.seen


def _in_kwargs(server: ScriptedServer, tracer: Everything, setting: dict[str, Any]) -> None:
    _llm(server).invoke("hi", {"callbacks": [tracer]}, **setting)


def _in_a_batch(server: ScriptedServer, tracer: Everything, setting: dict[str, Any]) -> None:
    _llm(server).batch(["hi"], {"callbacks": [tracer]}, **setting)


def _with_tools(server: ScriptedServer, tracer: Everything, setting: dict[str, Any]) -> None:
    tool = {"name": "f", "description": "d", "parameters": {"type": "object", "properties": {}}}
    _llm(server).bind_tools([tool], **setting).invoke("hi", {"callbacks": [tracer]})


class Said(BaseModel):
    """What was said."""

    text: str


def _structured(server: ScriptedServer, tracer: Everything, setting: dict[str, Any]) -> None:
    _llm(server).with_structured_output(Said, include_raw=True, **setting).invoke("hi", {"callbacks": [tracer]})


def _in_events(server: ScriptedServer, tracer: Everything, setting: dict[str, Any]) -> None:
    async def collect() -> None:
        async for event in _llm(server).astream_events("hi", {"callbacks": [tracer]}, version="v2", **setting):
            tracer.seen.append(repr(event))

    asyncio.run(collect())


def _by_generate(server: ScriptedServer, tracer: Everything, setting: dict[str, Any]) -> None:
    _llm(server).generate([[("human", "hi")]], callbacks=[tracer], **setting)  # type: ignore[list-item]  # a tuple will do


@pytest.mark.parametrize("way", [_in_kwargs, _in_a_batch, _with_tools, _structured, _in_events])
@pytest.mark.parametrize(
    "setting",
    [
        {"api_key": SECRET},
        {"token": SECRET},
        {"extra_headers": {"x-user": SECRET}},
        {"default_headers": {"x-user": SECRET}},
        {"api_headers": {"x-user": SECRET}},
        {"extra_query": {"key": SECRET}},
        {"extra_params": {"extra_headers": {"x-user": SECRET}}},
        {"extra_body": {"extra_query": {"key": SECRET}}},
        {"api_args": {"extra_body": {"default_headers": {"x-user": SECRET}}}},
    ],
    ids=str,
)
def test_nothing_of_the_connection_reaches_a_body_or_a_trace(way: Any, setting: dict[str, Any]) -> None:
    tracer = Everything()
    with ScriptedServer(_answer) as server:
        way(server, tracer, setting)
    (request,) = server.requests
    sent = repr(dict(request.headers)) + repr(dict(request.query))
    assert SECRET in sent
    assert SECRET not in request.body.decode()
    assert tracer.seen
    assert SECRET not in "".join(tracer.seen)


@four_ways
@pytest.mark.parametrize(
    "setting",
    [
        {"extra_query": {"key": SECRET}},
        {"extra_body": {"extra_query": {"key": SECRET}, "user": "u"}},
        {"extra_params": {"extra_headers": {"x-user": SECRET}}},
        {"api_args": {"extra_body": {"default_headers": {"x-user": SECRET}}}},
    ],
    ids=str,
)
def test_what_is_bound_of_the_connection_is_shown_nowhere(call: Way, setting: dict[str, Any]) -> None:
    with ScriptedServer(_answer) as server:
        bound = _llm(server).bind(**setting)
        shown = repr(bound) + dumps(bound)
        assert call(bound, "hi").text == "ok"
    assert SECRET not in shown
    (request,) = server.requests
    assert SECRET in repr(dict(request.headers)) + repr(dict(request.query))
    assert SECRET not in request.body.decode()


@four_ways
@pytest.mark.parametrize("name", CONNECTION)
def test_a_setting_of_the_connection_is_refused_in_a_call_under_each_name(call: Way, name: str) -> None:
    tracer = Everything()
    with ScriptedServer(_answer) as server:
        bound = _llm(server).bind(**{name: CONNECTION[name]}).with_config(callbacks=[tracer])
        with pytest.raises(
            ValueError, match=rf"^{name} (\(another name of \w+\) )?cannot be given for one call"
        ) as caught:
            call(bound, "hi")
    assert not server.requests
    assert SECRET not in str(caught.value) + "".join(tracer.seen)


def test_no_setting_of_the_connection_is_forgotten_above() -> None:
    marks = marks_of(ChatDatabricksCompat)
    fixed = {name for name in marks.connection if name not in marks.per_call}
    others = {other for other, name in marks.aliases.items() if name in fixed}
    assert fixed | others | {"profile"} == set(CONNECTION)


@four_ways
@pytest.mark.parametrize("place", ["extra_body", "extra_params", "api_args"])
@pytest.mark.parametrize("name", ["token", "api_key", "host", "base_url", "client_secret", "profile", "http_client"])
def test_a_setting_of_the_connection_is_refused_among_extra_fields(call: Way, place: str, name: str) -> None:
    says = f"extra_body contains {name!r}, which belongs to the connection"
    with ScriptedServer(_answer) as server:
        with pytest.raises(ValueError, match=says) as caught:
            call(_llm(server).bind(**{place: {name: SECRET}}), "hi")
        assert SECRET not in str(caught.value)
        with pytest.raises(ValidationError, match=says) as caught_too:
            _llm(server, **{place: {name: SECRET}})
        assert SECRET not in str(caught_too.value)
    assert not server.requests


@four_ways
@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("temprature", "temperature"),
        ("max_token", "max_tokens"),
        ("apikey", "api_key"),
        ("api_kye", "api_key"),
        ("tokn", "token"),
        ("databricks_host", "host"),
        ("databricks_api_key", "api_key"),
        ("x-api-key", "api_key"),
        ("DATABRICKS_CONFIG_FILE", "config_file"),
        ("reasoning_efort", "reasoning_effort"),
    ],
)
def test_a_slip_in_the_name_of_a_setting_is_refused_in_a_call(call: Way, name: str, meant: str) -> None:
    with ScriptedServer(_answer) as server:
        with pytest.raises(ValueError, match=f"no setting '{name}'. Did you mean '{meant}'"):
            call(_llm(server).bind(**{name: SECRET}), "hi")
    assert not server.requests


@pytest.mark.parametrize(
    "name",
    [
        "access_token",
        "password",
        "Authorization",
        "DATABRICKS_TOKEN",
        "bearer",
        "anthropic_api_key",
        "azure_access_token",
        "azure_ad_token",
        "azure_ad_token_provider",
        "aws_secret_access_key",
        "google_application_credentials",
        "proxy_authorization",
        "refresh_token",
        "private_key",
        "openai_key",
        "proxy_password",
    ],
)
def test_what_looks_like_a_secret_is_no_request_field(name: str) -> None:
    with ScriptedServer(_answer) as server:
        with pytest.raises(ValueError, match="looks like a secret") as caught:
            _llm(server).bind(**{name: SECRET}).invoke("hi")
    assert SECRET not in str(caught.value)
    assert not server.requests


@four_ways
@pytest.mark.parametrize(
    "field",
    [
        "guided_json",
        "min_p",
        "top_a",
        "speed",
        "best_of",
        "max_new_tokens",
        "stop_token_ids",
        "bos_token",
        "prompt_logprobs",
        "min_tokens",
        "verbosity",
    ],
)
def test_a_request_field_without_a_setting_is_sent(call: Way, field: str) -> None:
    with ScriptedServer(_answer) as server:
        call(_llm(server).bind(**{field: 1}), "hi")
    assert server.requests[0].json[field] == 1


@four_ways
def test_of_two_names_the_later_counts(call: Way) -> None:
    with ScriptedServer(_answer) as server:
        call(_llm(server).bind(token="first").bind(api_key="second"), "hi")
        call(_llm(server).bind(max_completion_tokens=5).bind(max_tokens=7), "hi")
    assert server.requests[0].headers["authorization"] == "Bearer second"
    assert server.requests[1].json["max_tokens"] == 7


@four_ways
def test_nobody_under_another_name_is_not_replaced_by_the_app(call: Way) -> None:
    with ScriptedServer(_answer) as server:
        with pytest.raises(ConfigurationError, match="None was given"):
            call(_llm(server).bind(api_key=None), "hi")
    assert not server.requests


def test_with_credentials_takes_the_constructors_names() -> None:
    llm = ChatDatabricksCompat(model="m", host="https://workspace.example", token="a")
    assert llm.with_credentials(api_key="b").token == SecretStr("b")
    assert llm.with_credentials(profile="p").config_profile == "p"
    assert llm.with_credentials(config_profile="p").config_profile == "p"


def test_a_configurable_token_signs() -> None:
    tracer = Everything()
    with ScriptedServer(_answer) as server:
        llm: Runnable[Any, Any] = _llm(server).configurable_fields(token=ConfigurableField(id="api_key"))
        llm.with_config(configurable={"api_key": SECRET}).invoke("hi", {"callbacks": [tracer]})
    assert server.requests[0].headers["authorization"] == f"Bearer {SECRET}"
    assert SECRET not in server.requests[0].body.decode() + "".join(tracer.seen)


@pytest.mark.parametrize("name", ["default_headers", "default_query", "client_secret", "token"])
def test_a_secret_of_the_constructor_is_in_no_dump(name: str) -> None:
    value: Any = {"x": SECRET} if name.startswith("default") else SECRET
    llm = ChatDatabricksCompat(**{"model": "m", "host": "https://w.example", "client_id": "i", name: value})
    shown = [
        repr(llm),
        str(llm),
        dumps(llm),
        repr(llm.model_dump()),
        llm.model_dump_json(),
        repr(llm._identifying_params),
    ]
    assert SECRET not in "".join(shown)


# databricks-langchain's defaults and spellings.


def test_none_means_the_default_for_every_field_that_takes_no_none() -> None:
    needed: dict[str, Any] = {"model": "m"}
    for cls in (ChatDatabricksCompat, DatabricksEmbeddings):
        plain = cls(**needed)
        for name in set(cls.model_fields) - {"model", "metadata"}:  # LangChain writes versions there
            given = cls(**{**needed, name: None})
            if name in marks_of(cls).no_none:
                assert getattr(given, name) == getattr(plain, name), name
            else:
                assert getattr(given, name) is None, name


OLD_EMBEDDINGS: dict[str, Any] = {
    "endpoint": "e",
    "target_uri": "databricks",
    "query_params": {},
    "documents_params": None,
}


def test_the_defaults_of_databricks_langchain_are_the_defaults_here() -> None:
    defaults: dict[str, Any] = {
        "model": "m",
        "target_uri": None,
        "workspace_client": None,
        "temperature": None,
        "n": 1,
        "stop": None,
        "max_tokens": None,
        "extra_params": None,
        "stream_usage": None,
        "use_responses_api": False,
        "use_ai_gateway": False,
        "timeout": None,
        "max_retries": None,
    }
    llm = ChatDatabricksCompat(**defaults)
    assert (llm.max_retries, llm.stream_usage, llm.timeout) == (5, True, None)
    embeddings = DatabricksEmbeddings(**OLD_EMBEDDINGS)
    assert embeddings.documents_params == {}


KEYWORDS = {
    "extra_headers": {"x-team": "a"},
    "extra_query": {"trace": "yes"},
    "extra_body": {"guided_json": {"a": 1}},
    "top_k": 3,
    "timeout": 7.5,
}


@four_ways
@pytest.mark.parametrize("place", ["extra_params", "extra_body", "api_args"])
@pytest.mark.parametrize("where", ["constructor", "call"])
def test_the_openai_clients_keywords_are_settings_inside_extra_params(call: Way, place: str, where: str) -> None:
    given = {place: KEYWORDS}
    with ScriptedServer(_answer) as server:
        call(_llm(server, **given) if where == "constructor" else _llm(server).bind(**given), "hi")
    (request,) = server.requests
    assert request.headers["x-team"] == "a"
    assert request.query == {"trace": ["yes"]}
    assert request.json["guided_json"] == {"a": 1}
    assert request.json["top_k"] == 3
    assert not {"extra_headers", "extra_query", "extra_body", "timeout"} & set(request.json)
    if where == "constructor":
        assert _llm(server, **given).timeout == 7.5


@four_ways
def test_a_setting_beside_extra_params_goes_over_the_one_inside(call: Way) -> None:
    with ScriptedServer(_answer) as server:
        llm = _llm(server, default_headers={"x-a": "ctor", "x-c": "ctor"})
        inside = {"extra_headers": {"x-a": "inside", "x-b": "inside"}}
        call(llm.bind(extra_params=inside, extra_headers={"x-b": "beside"}), "hi")
    headers = server.requests[0].headers
    assert (headers["x-a"], headers["x-b"], headers["x-c"]) == ("inside", "beside", "ctor")


def test_the_callers_mappings_are_not_changed() -> None:
    given = {"extra_headers": {"x-a": "1"}, "extra_body": {"a": 1}, "top_k": 1}
    kept = json.dumps(given)
    with ScriptedServer(_answer) as server:
        _llm(server, extra_params=given).invoke("hi", extra_params=given, extra_headers={"x-b": "2"})
    assert json.dumps(given) == kept


# What an unknown field is answered with.

CHAT: Any = ChatDatabricksCompat
EMBEDDINGS: Any = DatabricksEmbeddings  # as untyped code sees it


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (
            lambda: CHAT(model="m", temprature=1),
            "Did you mean 'temperature'.*extra_body.*default_headers",
        ),
        (lambda: CHAT(model="m", default_header={}), "Did you mean 'default_headers'"),
        (lambda: EMBEDDINGS(model="e", batchsize=3), "Did you mean 'batch_size'.*query_params"),
        (lambda: EMBEDDINGS(model="e", top_k=3), "extra_body=.*query_params=.*documents_params=.*default_headers"),
    ],
)
def test_the_advice_names_what_the_class_has(make: Any, says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        make()
