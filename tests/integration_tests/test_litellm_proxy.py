"""A LiteLLM proxy on loopback answers chat, streams, tools, thinking over two turns, and embeddings."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kit.ways import Way, four_ways
from langchain_dbchat import ChatDatabricks, DatabricksEmbeddings, list_endpoints
from langchain_dbchat.local import LocalWorkspace

COMMAND = os.environ.get("LITELLM_COMMAND") or shutil.which("litellm")
pytestmark = [
    pytest.mark.skipif(COMMAND is None, reason="needs a LiteLLM proxy: pip install 'litellm[proxy]' (extra peers)"),
]


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory, served_workspace: LocalWorkspace) -> Iterator[str]:
    assert COMMAND is not None
    there = {"api_base": f"{served_workspace.host}/serving-endpoints", "api_key": served_workspace.token}
    models = {"claude": "databricks-claude-sonnet-4-6", "words": "databricks-gte-large-en"}
    config = {
        "model_list": [
            {"model_name": name, "litellm_params": {"model": f"databricks/{model}", **there}}
            for name, model in models.items()
        ]
    }
    path: Path = tmp_path_factory.mktemp("proxy") / "config.yaml"
    path.write_text(json.dumps(config), "utf-8")
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
    known = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true"}
    environment = {**{key: value for key, value in os.environ.items() if key != "PYTHONPATH"}, **known}
    command = [COMMAND, "--config", str(path), "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(url)
        yield url
    finally:
        process.terminate()
        process.wait(20)


def _wait(url: str) -> None:
    end = time.monotonic() + 120
    while True:
        try:
            urllib.request.urlopen(f"{url}/health/liveliness", timeout=20).close()  # noqa: S310  # a fixed address on this machine
        except OSError:  # noqa: PERF203  # it waits anyway
            if time.monotonic() > end:
                raise
            time.sleep(0.5)
        else:
            return


def _llm(proxy: str, **settings: Any) -> Any:
    return ChatDatabricks(model="claude", base_url=proxy, token="sk-1", **settings)


@four_ways
def test_chat_and_thinking_over_two_turns(call: Way, proxy: str) -> None:
    llm = _llm(proxy, extra_body={"reasoning_effort": "low"})
    first = call(llm, "Say: one")
    assert first.text == "one"
    assert call(llm, ["Say: one", first, "Say: two"]).text == "two"


@four_ways
def test_tools(call: Way, proxy: str) -> None:
    def get_weather(city: str) -> str:
        """Get the current weather in a city."""
        return city

    message = call(_llm(proxy).bind_tools([get_weather]), "What is the weather in Oslo?")
    assert message.tool_calls[0]["args"] == {"city": "Oslo"}


def test_embeddings_and_the_list(proxy: str) -> None:
    embeddings = DatabricksEmbeddings(model="words", base_url=proxy, token="sk-1")
    assert len(embeddings.embed_query("x")) == 1024
    assert [each.name for each in list_endpoints(base_url=proxy, token="sk-1")] == ["claude", "words"]
