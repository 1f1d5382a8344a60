"""Values that no request can contain are refused in words, from the constructor, a call and the environment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from kit.scripted import Scripted, ScriptedServer
from kit.ways import Way, four_ways
from langchain_dbchat import ChatDatabricksCompat, DatabricksEmbeddings
from langchain_dbchat.errors import ConfigurationError

HALF = "\ud800"
REFUSED = (ConfigurationError, ValidationError)  # what a validator raises is the latter
HALVES: list[dict[str, Any]] = [
    {"model": HALF},
    {"model": f"é{HALF}"},
    {"extra_body": {HALF: 1}},
    {"extra_body": {"a": [HALF]}},
    {"extra_body": {"extra_query": {"a": HALF}}},
    {"extra_headers": {"a": HALF}},
]


def _loop(name: str) -> dict[str, Any]:
    loop: dict[str, Any] = {}
    loop[name] = loop
    return loop


def _nested(levels: int) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for _ in range(levels - 1):
        nested = {"a": [nested]} if levels % 2 else {"a": nested}
    return nested


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer(lambda _: Scripted({"data": [{"index": 0, "embedding": [1.0]}]})) as server:
        yield server
        assert not server.requests


def _given(server: ScriptedServer, settings: dict[str, Any]) -> dict[str, Any]:
    return {"model": "mine", "host": server.url, "token": "t", **settings}


def _chat(call: Way, server: ScriptedServer, settings: dict[str, Any]) -> list[Callable[[], object]]:
    return [
        lambda: call(ChatDatabricksCompat(**_given(server, settings)), "Hi"),
        lambda: call(ChatDatabricksCompat(**_given(server, {})).bind(**settings), "Hi"),
    ]


def _embeddings(server: ScriptedServer, settings: dict[str, Any]) -> list[Callable[[], object]]:
    def made(more: dict[str, Any]) -> Any:
        return DatabricksEmbeddings(**_given(server, more))

    return [
        lambda: made(settings).embed_query("a"),
        lambda: made({}).embed_query("a", **settings),
        lambda: asyncio.run(made(settings).aembed_query("a")),
    ]


@four_ways
@pytest.mark.parametrize("settings", HALVES)
def test_half_of_a_surrogate_pair(call: Way, settings: dict[str, Any], server: ScriptedServer) -> None:
    for attempt in _chat(call, server, settings):
        with pytest.raises(REFUSED, match="surrogate|ASCII|not allowed in a header"):
            attempt()


@four_ways
def test_half_of_a_surrogate_pair_in_the_environment(
    call: Way, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABRICKS_MODEL", "\udcff")  # as Python reads a byte that is not UTF-8
    with pytest.raises(REFUSED, match="half of a surrogate pair"):
        call(ChatDatabricksCompat(host=server.url, token="t"), "Hi")


@pytest.mark.parametrize(
    "settings",
    [
        *HALVES[:4],
        {"instruction": HALF},
        {"query_instruction": HALF},
        {"query_params": {"a": HALF}},
        {"default_query": {"a": HALF}},
        {"query_params": _loop("a")},
    ],
)
def test_embeddings_refuse_it_too(settings: dict[str, Any], server: ScriptedServer) -> None:
    for attempt in _embeddings(server, settings)[: 1 if "default_query" in settings else 3]:
        with pytest.raises(REFUSED, match="surrogate|contains itself"):
            attempt()


@four_ways
@pytest.mark.parametrize("name", ["extra_body", "model_kwargs", "custom_inputs", "thinking", "context"])
@pytest.mark.parametrize("value", [_loop("a"), _loop("extra_body"), {"a": [_loop("a")]}, _nested(252), _nested(3001)])
def test_a_mapping_that_contains_itself(call: Way, name: str, value: dict[str, Any], server: ScriptedServer) -> None:
    for attempt in _chat(call, server, {name: value}):
        with pytest.raises(REFUSED, match=f"{name} contains itself, or has more than 250 levels"):
            attempt()


@four_ways
@pytest.mark.parametrize("name", ["n", "thinking", "reasoning_effort", "verbosity"])
def test_nor_may_a_list(call: Way, name: str, server: ScriptedServer) -> None:
    for value in ([_loop("a")], [[_nested(3001)]]):
        with pytest.raises(ConfigurationError, match=f"{name} contains itself, or has more than 250 levels"):
            call(ChatDatabricksCompat(**_given(server, {})).bind(**{name: value}), "Hi")


@four_ways
@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"extra_body": {1: 2}}, "extra_body has the name 1, but names are strings"),
        ({"extra_body": {None: 2}}, "extra_body has the name None"),
        ({"extra_body": {"extra_body": {1: 2}}}, "extra_body has the name 1"),
        ({"extra_body": {"extra_body": 5}}, "extra_body is a int, but it has to be a mapping"),
        ({"extra_body": {"extra_query": 5}}, "extra_query is a int"),
        ({"extra_body": {"extra_headers": "x"}}, "extra_headers is a str"),
        ({"extra_body": {"extra_headers": {1: "x"}}}, "extra_headers has the name 1"),
    ],
)
def test_names_of_fields_are_strings(call: Way, settings: dict[str, Any], words: str, server: ScriptedServer) -> None:
    for attempt in _chat(call, server, settings):
        with pytest.raises(REFUSED, match=words):
            attempt()


def test_so_are_those_of_embeddings(server: ScriptedServer) -> None:
    for name in ("extra_body", "query_params", "documents_params"):
        for attempt in _embeddings(server, {name: {1: 2}}):
            with pytest.raises(REFUSED, match=f"{name} has the name 1"):
                attempt()


@four_ways
@pytest.mark.parametrize("value", [5, "x", ["a"], True])
def test_query_parameters_of_a_call_are_a_mapping(call: Way, value: Any, server: ScriptedServer) -> None:
    with pytest.raises(ConfigurationError, match="extra_query is a "):
        call(ChatDatabricksCompat(**_given(server, {})).bind(extra_query=value), "Hi")
