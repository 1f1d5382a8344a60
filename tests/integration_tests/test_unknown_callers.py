"""A model without a known host or caller: its cache's key, and what a call says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from langchain_core import __version__ as core_version
from langchain_core.caches import InMemoryCache
from langchain_core.globals import set_llm_cache

from kit.ways import Way, ainvoke, four_ways, invoke
from langchain_dbchat import ChatDatabricksCompat
from langchain_dbchat._version import __version__
from langchain_dbchat.errors import ConfigurationError


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemoryCache]:
    for name in ("DATABRICKS_HOST", "DATABRICKS_API_BASE", "DATABRICKS_TOKEN", "DATABRICKS_CONFIG_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", "/nowhere/databrickscfg")
    found = InMemoryCache()
    set_llm_cache(found)
    yield found
    set_llm_cache(None)


def test_the_key_of_an_unknown_caller_is_nobody_elses() -> None:
    llm = ChatDatabricksCompat(model="my-own")
    keys = {llm._get_llm_string(), llm._get_llm_string(), ChatDatabricksCompat(model="my-own")._get_llm_string()}
    assert len(keys) == 3


@four_ways
def test_the_call_itself_says_that_no_host_is_known(call: Way, cache: InMemoryCache) -> None:
    with pytest.raises(ConfigurationError, match="No Databricks workspace is known"):
        call(ChatDatabricksCompat(model="my-own"), "hi")
    assert not cache._cache


@pytest.mark.parametrize("call", [invoke, ainvoke])
@pytest.mark.parametrize("flag", [True, None, False])
def test_the_same_with_a_cache_of_its_own_and_a_caller_who_is_nobody(
    call: Way, flag: bool | None, cache: InMemoryCache
) -> None:
    llm = ChatDatabricksCompat(model="my-own", host="https://workspace.example", cache=flag)
    with pytest.raises(ConfigurationError, match="None was given"):
        call(llm.bind(token=None), "hi")
    assert not cache._cache


class Mine(ChatDatabricksCompat):
    """A class of the user's."""


@pytest.mark.parametrize("made", [ChatDatabricksCompat, Mine])
def test_the_versions_in_the_metadata_are_those_of_core_and_of_this_package(made: type[ChatDatabricksCompat]) -> None:
    given = {"team": "a"}
    llm = made(model="my-own", metadata=given)
    assert llm.metadata is not None
    assert llm.metadata["team"] == "a"
    versions = llm.metadata["lc_versions"]
    assert (versions["langchain-core"], versions["langchain-dbchat"]) == (core_version, __version__)
    assert given == {"team": "a"}
    assert not any("model_post_init" in vars(cls) for cls in made.__mro__ if cls.__name__ == "DatabricksConnection")
