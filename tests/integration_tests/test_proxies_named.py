"""A proxy that cannot be used, that is dead or that refuses is named, and what to do about it; never its password."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from kit.scripted import Scripted, ScriptedServer, sse
from kit.ways import Way, four_ways
from langchain_dbchat import ChatDatabricksCompat, DatabricksEmbeddings
from langchain_dbchat.errors import ConfigurationError, DatabricksConnectionError, DatabricksError
from langchain_dbchat.transport.proxies import ProxySetting, proxy_error, proxy_patterns, show_address, variable_of

HOST = "https://adb-1.azuredatabricks.net"
PASSWORD = "pa55-word"
WORDS = {"choices": [{"index": 0, "delta": {"content": "Hi."}, "finish_reason": "stop"}]}
ANSWER = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi."}, "finish_reason": "stop"}]}
VARIABLES = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port on which nobody listens, and nobody will while the test runs."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def _llm(host: str = HOST, **settings: Any) -> ChatDatabricksCompat:
    return ChatDatabricksCompat(model="e", host=host, token="t", max_retries=0, **settings)


def _shown(error: DatabricksError) -> str:
    text = f"{error}{error!r}{error.__dict__}{error.__cause__!r}"
    assert PASSWORD not in text
    return error.message


@four_ways
@pytest.mark.parametrize("variable", VARIABLES)
@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
def test_socks_without_its_extra(call: Way, variable: str, scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, f"{scheme}://me:{PASSWORD}@proxy.example.com:1080")
    monkeypatch.setitem(__import__("sys").modules, "socksio", None)  # not installed, wherever this runs
    with pytest.raises(ConfigurationError) as caught:
        call(_llm(), "Hello!")
    shown = _shown(caught.value)
    assert f"{scheme}://proxy.example.com:1080 ({variable})" in shown
    assert 'pip install "httpx[socks]"' in shown


@four_ways
@pytest.mark.parametrize(
    "address",
    [
        f"ftp://me:{PASSWORD}@proxy:1",
        f"http://me:{PASSWORD}@proxy:port",
        "http://",
        f"http://me:{PASSWORD}@[::1",
        f"http://me:{PASSWORD}@{'a' * 64}:1",
        f"http://me:{PASSWORD}@a..b:1",
        f"http://me:{PASSWORD}@xn--.b:1",
    ],
)
def test_an_address_that_cannot_be_read(call: Way, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="proxy=.*cannot be read") as caught:
        call(_llm(proxy=address), "Hello!")
    _shown(caught.value)
    for variable in VARIABLES:
        monkeypatch.setenv(variable, address)
        with pytest.raises(ConfigurationError, match=f"{variable}.*cannot be read") as caught:
            call(_llm(), "Hello!")
        _shown(caught.value)
        monkeypatch.delenv(variable)


@four_ways
def test_nor_can_that_of_a_users_own_client(call: Way) -> None:
    address = f"http://me:{PASSWORD}@a..b:1"
    with pytest.raises(DatabricksConnectionError, match=r"The proxy a\.\.b:1 \(http_(async_)?client\)") as caught:
        call(_llm(http_client=httpx.Client(proxy=address), http_async_client=httpx.AsyncClient(proxy=address)), "Hi!")
    _shown(caught.value)


@pytest.fixture
def named_here(monkeypatch: pytest.MonkeyPatch) -> str:
    """A host name that is not this machine's by its form, and leads to it."""
    name, resolve = "models.example.com", socket.getaddrinfo

    def lookup(host: str | bytes | None, *rest: Any, **options: Any) -> Any:
        return resolve("127.0.0.1" if host in (name, name.encode()) else host, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    return name


@four_ways
@pytest.mark.parametrize("variable", ["NO_PROXY", "no_proxy"])
@pytest.mark.parametrize("entry", [f"http://me:{PASSWORD}@[::1", "http://xn--.x", "\x7f", "http://\udcff", "[::1:"])
def test_an_exemption_that_cannot_be_read(
    call: Way, variable: str, entry: str, closed_port: int, named_here: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{closed_port}")
    monkeypatch.setenv(variable, f"a.example,{entry},{named_here}")
    with pytest.raises(ConfigurationError, match=f"{variable} has an entry that cannot be read") as caught:
        call(_llm(), "Hello!")
    _shown(caught.value)
    for host in (named_here, "127.0.0.1"):  # they need no proxy
        with pytest.raises(DatabricksConnectionError, match="cannot be reached"):
            call(_llm(f"https://{host}:{closed_port}"), "Hello!")


@four_ways
@pytest.mark.parametrize("address", ["socks5://proxy:1080", "ftp://proxy:1"])
@pytest.mark.parametrize("exempt", ["models.example.com", "*", "other.org, example.com", "http://models.example.com"])
def test_a_host_that_needs_no_proxy_is_called(
    call: Way, address: str, exempt: str, named_here: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "socksio", None)
    monkeypatch.setenv("ALL_PROXY", address)
    monkeypatch.setenv("NO_PROXY", exempt)
    with ScriptedServer(lambda r: Scripted(sse(WORDS) if r.json.get("stream") else ANSWER)) as server:
        host = f"http://{named_here}:{server.url.rpartition(':')[2]}"
        assert call(_llm(host, allow_http=True), "Hello!").text == "Hi."
        monkeypatch.delenv("NO_PROXY")
        with pytest.raises(ConfigurationError, match="ALL_PROXY"):
            call(_llm(host, allow_http=True), "Hello!")
        assert call(_llm(server.url), "Hello!").text == "Hi."  # this machine needs none


@four_ways
@pytest.mark.parametrize("variable", VARIABLES)
def test_a_dead_proxy_is_named(call: Way, variable: str, closed_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, f"http://me:{PASSWORD}@127.0.0.1:{closed_port}")
    with pytest.raises(DatabricksConnectionError) as caught:
        call(_llm(), "Hello!")
    shown = _shown(caught.value)
    assert f"The proxy 127.0.0.1:{closed_port} ({variable}) on the way to" in shown
    assert "cannot be reached" in shown
    assert caught.value.is_retryable
    assert "DATABRICKS_HOST" not in shown


@four_ways
def test_a_proxy_whose_name_does_not_exist(call: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://no-such-proxy.invalid:8080")
    with pytest.raises(DatabricksConnectionError, match=r"no-such-proxy\.invalid:8080 \(HTTPS_PROXY\)") as caught:
        call(_llm(), "Hello!")
    assert "DATABRICKS_HOST" not in caught.value.message


@four_ways
@pytest.mark.parametrize(
    ("code", "advice", "passes"),
    [(socket.EAI_NONAME, "does not exist in DNS", False), (socket.EAI_AGAIN, "the proxy may be off", True)],
)
def test_what_dns_says_of_the_proxy(
    call: Way, code: int, advice: str, passes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lookup(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(code, "as the system says it")

    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example.com:8080")
    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    with pytest.raises(DatabricksConnectionError, match=advice) as caught:
        call(_llm(), "Hello!")
    assert caught.value.is_retryable is passes


@pytest.mark.parametrize("address", ["a.example.com:1", "z.example.com:1"])
def test_the_variable_of_a_proxy_among_several(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://m.example.com:1")
    monkeypatch.setenv("ALL_PROXY", f"http://{address}")
    assert variable_of(address) == "ALL_PROXY"
    assert variable_of("m.example.com:1") == "HTTPS_PROXY"
    assert variable_of("other.example.com:1") is None


@four_ways
@pytest.mark.parametrize(
    ("status", "advice", "passes"),
    [(407, "user name and a password", False), (403, "does not allow", False), (502, "found no way", True)],
)
def test_the_proxys_answer_is_named_as_its_own(
    call: Way, status: int, advice: str, passes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ScriptedServer(lambda _: Scripted(b"no", status)) as proxy:
        place = proxy.url.removeprefix("http://")
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:{PASSWORD}@{place}")
        with pytest.raises(DatabricksConnectionError) as caught:
            call(_llm(), "Hello!")
    shown = _shown(caught.value)
    assert f"The proxy {place} (HTTPS_PROXY) answered '{status}" in shown
    assert advice in shown
    assert caught.value.is_retryable is passes
    assert [received.method for received in proxy.requests] == ["CONNECT"]


@four_ways
def test_a_refusal_of_the_proxy_is_not_tried_again(call: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer(lambda _: Scripted(b"no", 407)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with pytest.raises(DatabricksConnectionError):
            call(ChatDatabricksCompat(model="e", host=HOST, token="t"), "Hello!")
    assert len(proxy.requests) == 1


@four_ways
def test_the_proxy_of_a_users_own_client(call: Way, closed_port: int) -> None:
    address = f"http://me:{PASSWORD}@127.0.0.1:{closed_port}"
    with httpx.Client(proxy=address) as client:
        llm = _llm(http_client=client, http_async_client=httpx.AsyncClient(proxy=address))
        with pytest.raises(DatabricksConnectionError) as caught:
            call(llm, "Hello!")
    setting = "http_async_client" if call.__name__.startswith("a") else "http_client"
    assert f"The proxy 127.0.0.1:{closed_port} ({setting})" in _shown(caught.value)


def test_embeddings_and_sign_in_name_it_too(closed_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{closed_port}")
    embeddings = DatabricksEmbeddings(model="e", host=HOST, token="t", max_retries=0)
    with pytest.raises(DatabricksConnectionError, match=rf"127\.0\.0\.1:{closed_port} \(HTTPS_PROXY\)"):
        embeddings.embed_query("x")
    monkeypatch.setitem(__import__("sys").modules, "socksio", None)
    monkeypatch.setenv("HTTPS_PROXY", f"socks5://me:{PASSWORD}@proxy:1080")
    llm = ChatDatabricksCompat(model="e", host=HOST, client_id="i", client_secret="s3cret-of-mine", max_retries=0)
    with pytest.raises(ConfigurationError, match=r"socks5://proxy:1080 \(HTTPS_PROXY\)") as caught:
        llm.invoke("Hello!")
    _shown(caught.value)
    with pytest.raises(ConfigurationError, match="httpx\\[socks\\]"):
        asyncio.run(llm.ainvoke("Hello!"))


def test_the_environment_is_read_as_httpx_does(monkeypatch: pytest.MonkeyPatch) -> None:
    from httpx._utils import get_environment_proxies  # what it has to agree with

    monkeypatch.setenv("HTTPS_PROXY", "proxy:1")
    monkeypatch.setenv("http_proxy", "http://other:2")
    monkeypatch.setenv("NO_PROXY", "a.com, .b.com,10.0.0.1,::1,localhost, http://c.com,192.168.0.0/16,")
    ours = {pattern: setting and setting.address for pattern, setting in proxy_patterns()}
    assert {key: value for key, value in ours.items() if "192" not in key} == {
        key: value for key, value in get_environment_proxies().items() if "192" not in key
    }
    assert str(dict(proxy_patterns())["https://"]) == "proxy:1 (HTTPS_PROXY)"
    monkeypatch.setenv("NO_PROXY", "*")
    assert dict(proxy_patterns()) == {}


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("http://u:p@h:1", "h:1"),
        ("u:p@h:1", "h:1"),
        ("socks5://u:p@h:1/x", "socks5://h:1"),
        ("http://u:p@ss@h:1", "h:1"),
        ("h", "h"),
    ],
)
def test_an_address_is_shown_without_its_user(address: str, shown: str) -> None:
    assert show_address(address) == shown
    assert "p@" not in proxy_error(ValueError(address), ProxySetting(address, "X")).message
