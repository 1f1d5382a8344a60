"""The chat model as an object: its settings, what it tells traces and caches, and that it is plain data."""

from __future__ import annotations

import copy
import inspect
import pickle
import types
import warnings
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.messages import HumanMessage
from langchain_core.version import VERSION
from pydantic import SecretStr, ValidationError

from langchain_dbchat import ChatDatabricksCompat, DatabricksEmbeddings
from langchain_dbchat._version import __version__
from langchain_dbchat.connection.settings import DEFAULT_MODEL

TOKEN = "dapi0123456789abcdef0123456789abcdef"


def _model(**settings: Any) -> ChatDatabricksCompat:
    return ChatDatabricksCompat(**{"model": "m", "host": "https://workspace.example", "token": TOKEN, **settings})


@pytest.mark.parametrize(
    ("alias", "field", "value"),
    [
        ("endpoint", "model", "my-endpoint"),
        ("workspace", "host", "https://workspace.example"),
        ("workspace_url", "host", "https://workspace.example"),
        ("api_base", "base_url", "https://proxy.example/v1"),
        ("api_headers", "default_headers", {"x-team": "a"}),
        ("max_completion_tokens", "max_tokens", 7),
        ("stop_sequences", "stop", ["x"]),
        ("extra_params", "extra_body", {"a": 1}),
        ("api_args", "extra_body", {"a": 1}),
        ("profile", "config_profile", "staging"),
    ],
)
def test_aliases(alias: str, field: str, value: Any) -> None:
    given: dict[str, Any] = {"model": "m", alias: value} if field != "model" else {alias: value}
    model = ChatDatabricksCompat(**given)
    assert getattr(model, field) == value


def test_api_key_is_the_token() -> None:
    model = ChatDatabricksCompat(model="m", api_key=TOKEN)
    assert isinstance(model.token, SecretStr)
    assert model.token.get_secret_value() == TOKEN


def test_a_setting_given_twice_is_refused() -> None:
    with pytest.raises(ValidationError, match="'model' is given twice"):
        ChatDatabricksCompat(model="a", endpoint="b")


def test_an_unknown_setting_is_refused_and_no_secret_is_shown() -> None:
    with pytest.raises(ValidationError, match="no field 'temprature'.*extra_body") as caught:
        _model(temprature=1)
    assert TOKEN not in str(caught.value)


def test_profile_as_a_dict_is_langchains() -> None:
    model = _model(profile={"max_input_tokens": 10})
    assert model.profile == {"max_input_tokens": 10}
    assert model.config_profile is None


def test_profiles_are_found_by_name_and_can_be_overridden() -> None:
    known = ChatDatabricksCompat(model="databricks-claude-sonnet-4-6").profile
    assert known is not None
    assert known["max_input_tokens"] == 1_000_000
    assert ChatDatabricksCompat(model="my-own").profile is None


@pytest.mark.parametrize("name", ["databricks/my-endpoint", "databricks/databricks/my-endpoint", "my-endpoint"])
def test_the_prefix_of_other_clients_is_stripped(name: str) -> None:
    assert _model(model=name).model == "my-endpoint"


def test_the_default_model_is_named_in_a_warning() -> None:
    with pytest.warns(UserWarning, match=f"{DEFAULT_MODEL}.*will change") as caught:
        assert ChatDatabricksCompat().model == DEFAULT_MODEL
    assert caught[0].filename == __file__


def test_the_model_of_the_environment_needs_no_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABRICKS_MODEL", "from-the-environment")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ChatDatabricksCompat().model == "from-the-environment"
        assert ChatDatabricksCompat(model="given").model == "given"


def test_an_address_that_names_an_endpoint_gives_the_model() -> None:
    address = "https://workspace.example/serving-endpoints/support-bot/invocations"
    assert ChatDatabricksCompat(host=address).model == "support-bot"


def test_no_secret_in_repr_str_traces_or_cache_keys() -> None:
    model = _model(client_id="id", client_secret="very-secret", default_headers={"x-key": "header-secret"})
    shown = f"{model!r} {model} {model._identifying_params} {model._get_invocation_params(extra_headers={'a': TOKEN})}"
    shown += str(model._get_ls_params(token=TOKEN)) + str(model.model_dump()) + str(model.model_dump_json())
    for secret in (TOKEN, "very-secret", "header-secret"):
        assert secret not in shown


@pytest.mark.parametrize(
    "setting",
    [
        {"model": "other"},
        {"temperature": 0},
        {"top_p": 0.5},
        {"max_tokens": 5},
        {"stop": ["x"]},
        {"seed": 0},
        {"logprobs": False},
        {"extra_body": {"a": 1}},
        {"reasoning_effort": "none"},
        {"thinking": {"type": "disabled"}},
        {"family": "claude"},
        {"host": "https://other.example"},
    ],
    ids=str,
)
def test_whatever_shapes_an_answer_tells_instances_apart(setting: dict[str, Any]) -> None:
    assert _model(**setting)._identifying_params != _model()._identifying_params
    assert _model(**setting)._get_llm_string() != _model()._get_llm_string()


def test_langsmith_params_follow_the_call() -> None:
    model = _model(temperature=0.5, max_tokens=10, stop="x")
    assert model._get_ls_params() == {
        "ls_provider": "databricks",
        "ls_model_name": "m",
        "ls_model_type": "chat",
        "ls_temperature": 0.5,
        "ls_max_tokens": 10,
        "ls_stop": ["x"],
    }
    called = model._get_ls_params(stop=["y"], model="other", temperature=None, max_completion_tokens=3)
    assert called["ls_model_name"] == "other"
    assert called["ls_max_tokens"] == 3
    assert called["ls_stop"] == ["y"]
    assert "ls_temperature" not in called


def test_usage_of_several_prompts_is_added() -> None:
    outputs = [
        {"token_usage": {"prompt_tokens": 1, "prompt_tokens_details": {"cached_tokens": 1}}},
        None,
        {"token_usage": {"prompt_tokens": 2, "prompt_tokens_details": {"cached_tokens": 3}, "completion_tokens": None}},
    ]
    combined = _model()._combine_llm_outputs(outputs)
    assert combined["token_usage"] == {"prompt_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}}


def _through_a_pickle(model: Any) -> Any:
    return pickle.loads(pickle.dumps(model))


@pytest.mark.parametrize("clone", [copy.copy, copy.deepcopy, _through_a_pickle, lambda m: m.model_copy()])
def test_a_model_is_plain_data(clone: Any) -> None:
    for model in (_model(temperature=0, extra_body={"a": [1]}), DatabricksEmbeddings(model="e", token=TOKEN)):
        assert clone(model) == model


def test_tokens_of_a_text_and_of_messages_are_estimated_without_a_download() -> None:
    model = _model()
    assert model.get_num_tokens("a" * 40) == 10
    few = model.get_num_tokens_from_messages([HumanMessage("hello")])
    assert 0 < few < 10
    tool = {"name": "f", "description": "d" * 400, "parameters": {"type": "object", "properties": {}}}
    assert model.get_num_tokens_from_messages([HumanMessage("hello")], [tool]) > few + 100


def test_tool_choice_has_to_name_a_bound_tool() -> None:
    tool = {"name": "f", "description": "d", "parameters": {"type": "object", "properties": {}}}
    with pytest.raises(ValueError, match="names the tool 'g'.*bound tools are: f"):
        _model().bind_tools([tool], tool_choice="g")


@pytest.mark.parametrize("choice", ["any", "required", True, "f", {"type": "function", "function": {"name": "f"}}])
def test_every_spelling_of_a_forced_choice(choice: Any) -> None:
    tool = {"name": "f", "description": "d", "parameters": {"type": "object", "properties": {}}}
    bound: Any = _model().bind_tools([tool], tool_choice=choice)
    named = {"type": "function", "function": {"name": "f"}}
    assert bound.kwargs["tool_choice"] == ("required" if choice in ("any", "required", True) else named)


def test_with_credentials_gives_a_copy_and_changes_nothing() -> None:
    model = _model(temperature=0.5)
    other = model.with_credentials(token="another")
    assert model.token == SecretStr(TOKEN)
    assert other.token == SecretStr("another")
    assert other.temperature == 0.5
    assert other.host == model.host


def test_a_copy_leaves_the_models_own_connection_alone() -> None:
    model = _model()
    session = model._session()
    assert model.with_credentials(token="another")._session() is not session
    assert model._session() is session


def test_the_cache_tells_models_apart() -> None:
    cache = InMemoryCache()
    first, second = _model(cache=cache), _model(model="n", cache=cache)
    assert first._get_llm_string() != second._get_llm_string()


@pytest.mark.parametrize(
    "clone", [copy.copy, copy.deepcopy, _through_a_pickle, lambda m: m.with_credentials(token="b")]
)
def test_a_trace_names_the_versions_of_every_package(clone: Any) -> None:
    given = {"team": "search"}
    versions = {"langchain-core": VERSION, "langchain-dbchat": __version__}
    plain = _model()
    for model in (plain, clone(plain)):
        assert model.metadata is not None
        assert model.metadata["lc_versions"].items() >= versions.items()
    metadata = _model(metadata=given).metadata
    assert metadata is not None
    assert metadata["team"] == "search"
    assert given == {"team": "search"}


@pytest.mark.parametrize("hook", [ChatDatabricksCompat._generate, ChatDatabricksCompat._agenerate])
def test_the_signature_that_langchain_asks_for_is_that_of_the_code(hook: Any) -> None:
    code = types.FunctionType(hook.__code__, hook.__globals__, hook.__name__, hook.__defaults__)
    known = inspect.signature(hook)
    assert [(name, it.kind, it.default) for name, it in known.parameters.items()] == [
        (name, it.kind, it.default) for name, it in inspect.signature(code).parameters.items()
    ]
