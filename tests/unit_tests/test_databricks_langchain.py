"""Every constructor argument of databricks-langchain 0.22 is accepted, with its default and with another value."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel

from langchain_dbchat import ChatDatabricks, DatabricksEmbeddings

ARGUMENTS: dict[str, dict[str, tuple[Any, Any]]] = {
    "ChatDatabricks": {
        "endpoint": ("m", "m"),
        "model": ("m", "m"),
        "target_uri": (None, "databricks://work"),
        "workspace_client": (None, object()),
        "temperature": (None, 0.5),
        "n": (1, 2),
        "stop": (None, ["x"]),
        "max_tokens": (None, 5),
        "extra_params": (None, {"top_p": 0.5}),
        "stream_usage": (True, False),
        "use_responses_api": (False, True),
        "timeout": (None, 30.0),
        "max_retries": (None, 3),
        "use_ai_gateway": (False, True),
        "use_ai_gateway_native_api": (False, True),
    },
    "DatabricksEmbeddings": {
        "endpoint": ("m", "m"),
        "target_uri": ("databricks", "databricks://work"),
        "query_params": ({}, {"a": 1}),
        "documents_params": ({}, {"a": 1}),
    },
}
"""The arguments with their defaults and another value, as the package declares them."""

OURS: dict[str, Any] = {"ChatDatabricks": ChatDatabricks, "DatabricksEmbeddings": DatabricksEmbeddings}
MEANT: dict[str, tuple[str, Any]] = {
    "target_uri": ("config_profile", "work"),
    "use_responses_api": ("api", "responses"),
    "extra_params": ("extra_body", {"top_p": 0.5}),
}
"""The fields of another name or value."""

CASES = [(cls, name) for cls, arguments in ARGUMENTS.items() for name in arguments]


@pytest.mark.parametrize(("cls", "name"), CASES)
def test_an_argument_is_accepted_and_means_the_same(cls: str, name: str) -> None:
    default, value = ARGUMENTS[cls][name]
    needed = {} if name in {"endpoint", "model"} else {"endpoint": "m"}
    plain, same = OURS[cls](endpoint="m"), OURS[cls](**needed, **{name: default})
    field, meant = MEANT.get(name, ("model" if name == "endpoint" else name, value))
    if name != "n":  # 1 is kept, and not sent
        assert getattr(same, field) == getattr(plain, field)
    assert getattr(OURS[cls](**needed, **{name: value}), field) == meant


@pytest.mark.parametrize("cls", ARGUMENTS)
def test_all_of_them_at_once_with_their_defaults(cls: str) -> None:
    defaults = {name: default for name, (default, _) in ARGUMENTS[cls].items() if name != "model"}
    assert OURS[cls](**defaults).model == "m"


@pytest.mark.skipif(
    importlib.util.find_spec("databricks_langchain") is None,
    reason="databricks-langchain is not installed (extra peers)",
)
@pytest.mark.parametrize("cls", ARGUMENTS)
def test_the_arguments_above_are_those_of_the_package(cls: str) -> None:
    import databricks_langchain

    fields = getattr(databricks_langchain, cls).model_fields
    declared = {
        name: (field, field.get_default()) for name, field in fields.items() if name not in BaseChatModel.model_fields
    }
    names = {*declared, *(field.alias for field, _ in declared.values() if field.alias)}
    assert names == set(ARGUMENTS[cls])
    for name, (field, default) in declared.items():
        if not field.is_required():
            assert default == ARGUMENTS[cls][name][0], name
