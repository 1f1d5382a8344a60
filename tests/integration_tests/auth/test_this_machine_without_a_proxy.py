"""What is meant for this machine does not go through a proxy, which would see the token in clear."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from kit.sign_in import PAT, Mirror, chat, on_connect
from kit.ways import Way, four_ways, invoke
from langchain_dbchat import DatabricksEmbeddings
from langchain_dbchat.errors import ConfigurationError, DatabricksConnectionError

ELSEWHERE_SERVED = {"127.0.0.2", "db.localhost", "localhost.", "[::ffff:127.0.0.1]", "::ffff:127.0.0.1"}
"""Not served, or not known to every resolver: only the proxy would answer."""
NAMES = [
    *("127.0.0.1", "127.0.0.2", "localhost", "LOCALHOST", "db.localhost", "localhost.", "127.1"),
    *("0.0.0.0", "0", "2130706433", "0x7f000001", "0X7F.1", "0177.1", "[::ffff:127.0.0.1]"),  # noqa: S104  # called, not bound
]
OTHERS = [
    *("127.0.0.1.example.com", "localhost.example.com", "127.0.0.1.", "127.1.example", "0x7f000001.example"),
    *("notlocalhost", "1.127.0.0", "128.1", "2147483649", "[::ffff:128.0.0.1]", "[::2]", "0.0.0.1", "127x"),
]
VARIABLES = ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    with Mirror() as server:
        yield server


@pytest.fixture(params=VARIABLES)
def proxy(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    with Mirror() as server:
        monkeypatch.setenv(request.param, server.url)
        yield server


@four_ways
@pytest.mark.parametrize("name", NAMES)
def test_a_call_of_this_machine(
    call: Way, name: str, mirror: Mirror, proxy: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name in ELSEWHERE_SERVED:
        monkeypatch.setattr(socket, "getaddrinfo", _to_this_machine(socket.getaddrinfo))
    host = mirror.url.replace("127.0.0.1", name)
    for host_argument in ({"host": host}, {"base_url": f"{host}/v1"}):
        assert call(chat(token=PAT, **host_argument), "Who am I?").text == PAT
    assert proxy.requests == []
    elsewhere = chat("http://workspace.example", token="given", allow_http=True)
    assert call(elsewhere, "Who am I?").text == "given"
    assert [request.headers["host"] for request in proxy.requests] == ["workspace.example"]


def _to_this_machine(resolve: Any) -> Any:
    def resolved(host: Any, *args: Any, **kwargs: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        return resolve("127.0.0.1" if name in ELSEWHERE_SERVED else host, *args, **kwargs)

    return resolved


@pytest.mark.parametrize("name", OTHERS)
def test_what_only_looks_like_this_machine(name: str, proxy: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="would send the token unencrypted"):
        invoke(chat(f"http://{name}", token="given"), "Who am I?")
    assert invoke(chat(f"http://{name}", token="given", allow_http=True), "Who am I?").text == "given"
    assert len(proxy.requests) == 1
    monkeypatch.setenv("DATABRICKS_HOST", "https://home.example")
    monkeypatch.setenv("DATABRICKS_TOKEN", PAT)
    with pytest.raises(ConfigurationError, match="is not sent to"):
        invoke(chat(f"http://{name}", allow_http=True), "Who am I?")
    assert len(proxy.requests) == 1


@four_ways
def test_a_call_of_this_machine_by_ipv6(call: Way, proxy: Mirror) -> None:
    with socket.socket(socket.AF_INET6) as closed:
        try:
            closed.bind(("::1", 0))
        except OSError:
            pytest.skip("this machine has no IPv6")
        port = closed.getsockname()[1]
    with pytest.raises(DatabricksConnectionError, match="cannot be reached"):
        call(chat(f"http://[::1]:{port}", token=PAT, max_retries=0), "Who am I?")
    assert proxy.requests == []


@four_ways
def test_token_requests_to_this_machine(
    call: Way, mirror: Mirror, proxy: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call(chat(mirror.url, client_id="id", client_secret=PAT), "Who am I?").text == "of-id"
    for name, value in on_connect(mirror).items():
        monkeypatch.setenv(name, value)
    assert call(chat(mirror.url, user_session_token="ada"), "Who am I?").text == "for-ada-2"
    assert proxy.requests == []


def test_embeddings_of_this_machine(mirror: Mirror, proxy: Mirror) -> None:
    embeddings = DatabricksEmbeddings(model="e", host=mirror.url, token=PAT)
    assert embeddings.embed_query("x") == [1.0]
    assert asyncio.run(embeddings.aembed_query("x")) == [1.0]
    assert proxy.requests == []
