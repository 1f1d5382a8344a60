"""Whatever the environment, a file, a token endpoint or a header holds, the caller meets one of our errors."""

from __future__ import annotations

import asyncio
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from kit.scripted import Received, Scripted, ScriptedServer
from kit.sign_in import PAT, Mirror, answer, chat, on_connect, signer, write_cli
from kit.ways import Way, four_ways
from langchain_dbchat import DatabricksEmbeddings
from langchain_dbchat.auth import grants
from langchain_dbchat.errors import (
    ConfigurationError,
    DatabricksAuthenticationError,
    DatabricksConnectionError,
    DatabricksError,
    MalformedResponseError,
)

SECRET = "dose" + "0" * 32
HUGE = "9" * 400


@pytest.fixture(autouse=True)
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    monkeypatch.setattr(grants, "FIRST_PAUSE", 0.01)
    with Mirror() as server:
        yield server


# --- TLS ----------------------------------------------------------------------------------------------------------


@four_ways
@pytest.mark.parametrize("junk", ["missing", "junk", "empty", "directory"])
@pytest.mark.parametrize("kind", ["token", "service principal", "through a proxy"])
def test_certificates_that_cannot_be_read(
    call: Way, junk: str, kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "ca.pem"
    if junk == "directory":
        path.mkdir()
    elif junk != "missing":
        path.write_text("-----BEGIN CERTIFICATE-----\njunk\n-----END CERTIFICATE-----\n" if junk == "junk" else "")
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    if kind == "through a proxy":
        monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    who = {"client_id": "id", "client_secret": SECRET} if kind == "service principal" else {"token": PAT}
    llm = chat("https://127.0.0.1:9", **who)
    if kind == "through a proxy":
        llm = chat("https://workspace.example", **who)
    with pytest.raises(ConfigurationError, match=r"certificate authorities cannot be read .*SSL_CERT_FILE="):
        call(llm, "Who am I?")


@four_ways
def test_a_bundle_of_the_sdk_that_is_missing(call: Way, mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")
    monkeypatch.setenv("CURL_CA_BUNDLE", "/nowhere/ca.pem")
    assert call(chat(mirror.url, token="mine"), "Who am I?").text == "mine"
    for name in ("ARM_CLIENT_ID", "ARM_CLIENT_SECRET", "ARM_TENANT_ID"):
        monkeypatch.setenv(name, "x")
    with pytest.raises((ConfigurationError, DatabricksAuthenticationError), match="Databricks SDK"):
        call(chat("https://127.0.0.1:9"), "Who am I?")


# --- hosts --------------------------------------------------------------------------------------------------------

HOSTS = [
    "https://a..b", "https://.a.b", "https://..", "a..b", f"https://{'a' * 64}.example", f"https://{'a' * 300}",
    f"https://{'a.' * 200}example", f"https://{'ü' * 63}.example", "https://\U0001f600.example", "https://[::zz]",
    "https://[:::1]", "https://\udcff.example", "https://a\u200bb.example", "https://xn--.example",
    "https://xn--\U0001f600.example", "https://-", "https://\u2024\u2024.example", "https://a\u3002\u3002b",
]  # fmt: skip


@four_ways
@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("source", ["host", "base_url", "DATABRICKS_HOST", "profile"])
def test_hosts_that_no_resolver_takes(call: Way, host: str, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings: dict[str, Any] = {"token": PAT, "max_retries": 0, "timeout": 5}
    if source == "DATABRICKS_HOST":
        monkeypatch.setenv(source, host)
    elif source == "profile":
        text = f"[DEFAULT]\nhost = {host}\ntoken = {PAT}\n"
        Path(os.environ["HOME"], ".databrickscfg").write_bytes(text.encode(errors="surrogateescape"))
        del settings["token"]
    else:
        settings[source] = host
    # Some are names that could exist.
    with pytest.raises((ConfigurationError, DatabricksConnectionError, ValidationError)):
        call(chat(**settings), "Who am I?")


@four_ways
@pytest.mark.parametrize(
    "server",
    ["http://[::1", "https://a..b", "not a url", "https://", "ftp://x", "https://\udcff", f"https://{'a' * 300}"],
)
def test_a_connect_server_that_is_not_an_address(call: Way, server: str, mirror: Mirror, monkeypatch: Any) -> None:
    for name, value in {**on_connect(mirror), "CONNECT_SERVER": server}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(DatabricksError):
        call(chat(mirror.url, user_session_token="ada"), "Who am I?")
    assert call(chat(mirror.url, token="mine"), "Who am I?").text == "mine"


# --- headers and tokens -------------------------------------------------------------------------------------------


@four_ways
@pytest.mark.parametrize(
    "value", [5, None, 1.5, True, ["a"], "é", "日本", "a\nb", "a\r\nX-Evil: 1", "a\x00b", "\udcff"]
)
@pytest.mark.parametrize("place", ["of the call", "of the model"])
def test_header_values_that_are_not_text(call: Way, value: Any, place: str, mirror: Mirror) -> None:
    if place == "of the call":
        llm: Any = chat(mirror.url, token="t").bind(extra_headers={"X-Team": value})
    else:
        llm = chat(mirror.url, token="t").model_copy(update={"default_headers": {"X-Team": value}})
    with pytest.raises(ConfigurationError):
        call(llm, "Who am I?")
    assert mirror.requests == []


@four_ways
@pytest.mark.parametrize("token", ["a\nb", "a\x00b", "tökén", "a b", "\udcff", "日本", "", " ", "a\x7fb"])
@pytest.mark.parametrize("place", ["argument", "call", "callable", "credentials", "environment", "profile"])
def test_tokens_that_no_header_takes(
    call: Way, token: str, place: str, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Own:
        name = "mine"

        def headers(self, *, refresh: bool = False) -> dict[str, str]:
            del refresh
            return {"Authorization": f"Bearer {token}"}

        async def aheaders(self, *, refresh: bool = False) -> dict[str, str]:
            return self.headers(refresh=refresh)

    if place in {"environment", "profile"} and (not token.strip() or "\x00" in token or "\n" in token):
        return  # cannot stand there
    settings: dict[str, Any] = {}
    if place == "credentials" and token in {"", " ", "a b"}:
        return  # the user's own object may say what it likes, as far as it can be sent
    if place == "environment":
        monkeypatch.setenv("DATABRICKS_TOKEN", token)
    elif place == "profile":
        path = Path(os.environ["HOME"], ".databrickscfg")
        path.write_bytes(f"[p]\nhost = {mirror.url}\ntoken = {token}\n".encode(errors="surrogateescape"))
        settings = {"profile": "p"}
    else:
        given: dict[str, dict[str, Any]] = {
            "argument": {"token": token},
            "callable": {"token": lambda: token},
            "call": {"token": "mine"},
        }
        settings = given.get(place, {"credentials": Own()})

    def ask() -> None:
        llm: Any = chat(None if place == "profile" else mirror.url, **settings)
        call(llm.bind(token=token) if place == "call" else llm, "Who am I?")

    with pytest.raises((ConfigurationError, ValidationError)):
        ask()
    assert mirror.requests == []


@four_ways
@pytest.mark.parametrize("headers", [None, [], "Bearer x", {"Authorization": None}, {"Authorization": 5}, {5: "x"}])
def test_credentials_that_give_no_headers(call: Way, headers: Any, mirror: Mirror) -> None:
    class Own:
        name = "mine"

        def headers(self, *, refresh: bool = False) -> Any:
            del refresh
            return headers

        async def aheaders(self, *, refresh: bool = False) -> Any:
            del refresh
            return headers

    with pytest.raises(ConfigurationError, match="mine"):
        call(chat(mirror.url, credentials=Own()), "Who am I?")
    if headers != "Bearer x":
        with pytest.raises(ConfigurationError, match="token argument"):
            call(chat(mirror.url, token=lambda: headers), "Who am I?")
    assert mirror.requests == []


@four_ways
@pytest.mark.parametrize("place", ["client_id", "client_secret", "session", "CONNECT_API_KEY"])
@pytest.mark.parametrize("junk", ["\udcff", "a\nb", "日本"])
def test_secrets_that_cannot_be_sent(
    call: Way, place: str, junk: str, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in on_connect(mirror).items():
        monkeypatch.setenv(name, value)
    settings: dict[str, Any] = {"client_id": "id", "client_secret": SECRET}
    if place == "session":
        settings = {"user_session_token": junk}
    elif place == "CONNECT_API_KEY":
        monkeypatch.setenv(place, junk)
        settings = {"user_session_token": "ada"}
    else:
        settings[place] = junk
    llm = chat(mirror.url, **settings)
    if place == "client_secret" and junk != "\udcff":
        assert call(llm, "Who am I?").text == "of-id"  # it is sent in base64
    elif place == "client_id" and junk != "\udcff":
        with pytest.raises(ConfigurationError):  # so is the id, and this server's token repeats it
            call(llm, "Who am I?")
    else:
        with pytest.raises(ConfigurationError) as caught:
            call(llm, "Who am I?")
        assert junk not in str(caught.value)
        assert mirror.requests == []


# --- files --------------------------------------------------------------------------------------------------------


@four_ways
@pytest.mark.parametrize(
    "kind", ["not UTF-8", "UTF-16", "directory", "missing", "binary", "no section", "loop", "long name"]
)
@pytest.mark.parametrize("source", ["DATABRICKS_CONFIG_FILE", "config_file"])
def test_files_of_profiles_that_cannot_be_read(
    call: Way, kind: str, source: str, mirror: Mirror, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / ("x" * 300 if kind == "long name" else "cfg")
    text = f"[DEFAULT]\nhost = {mirror.url}\ntoken = tökén\n"
    if kind == "directory":
        path.mkdir()
    elif kind == "loop":
        path.symlink_to(path)
    elif kind not in {"missing", "long name"}:
        path.write_bytes(
            {
                "not UTF-8": text.encode("latin-1"),
                "UTF-16": text.encode("utf-16"),
                "binary": os.urandom(500) + b"\xff\n[",
                "no section": b"token = x\n",
            }[kind]
        )
    settings: dict[str, Any] = {}
    if source == "config_file":
        settings[source] = str(path)
    else:
        monkeypatch.setenv(source, str(path))
    with pytest.raises(ConfigurationError, match=r"cfg|xxx"):
        call(chat(**settings), "Who am I?")
    if source != "config_file" and kind == "missing":
        assert call(chat(mirror.url, token="mine"), "Who am I?").text == "mine"
        monkeypatch.setenv("DATABRICKS_TOKEN", "of-the-environment")
        assert call(chat(mirror.url), "Who am I?").text == "of-the-environment"


@pytest.mark.parametrize("name", ["a\x00b", "~no-such-user-at-all/cfg"])
def test_paths_that_are_none(name: str, mirror: Mirror) -> None:
    with pytest.raises(ConfigurationError):
        chat(mirror.url, config_file=name).invoke("Who am I?")


def test_a_home_that_is_not_known(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_: int) -> Any:
        raise KeyError("uid not found")

    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", unknown)
    with pytest.raises(ConfigurationError, match="No credentials"):
        chat(mirror.url).invoke("Who am I?")
    assert chat(mirror.url, token="mine").invoke("Who am I?").text == "mine"


# --- token answers ------------------------------------------------------------------------------------------------


def issuing(body: bytes | str, status: int = 200) -> ScriptedServer:
    """A server whose token endpoints give this, and whose models answer with the token."""

    def reply(received: Received) -> Scripted:
        if received.path.endswith(("/token", "/credentials")):
            return Scripted(body, status, {"content-type": "application/json"})
        return answer(received, signer(received))

    return ScriptedServer(reply)


def principal(server: ScriptedServer, kind: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    if kind == "viewer":
        for name, value in on_connect(server).items():
            monkeypatch.setenv(name, value)
        return chat(server.url, user_session_token="ada")
    return chat(server.url, client_id="id", client_secret=SECRET)


@four_ways
@pytest.mark.parametrize("kind", ["service principal", "viewer"])
@pytest.mark.parametrize(
    "life",
    ["-1", "-1e400", "0", "1e400", "1e300", HUGE, f"-{HUGE}", f'"{HUGE}"', '"soon"', '""', "null", "true", "[]", "{}",
     "NaN", "Infinity", '"NaN"', "0.001"],
)  # fmt: skip
def test_lives_of_tokens_that_are_none(call: Way, kind: str, life: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with issuing(f'{{"access_token": "t", "expires_in": {life}}}') as server:
        llm = principal(server, kind, monkeypatch)
        assert call(llm, "Who am I?").text == "t"
        assert call(llm, "Who am I?").text == "t"


@four_ways
@pytest.mark.parametrize("kind", ["service principal", "viewer"])
@pytest.mark.parametrize(
    "body",
    [b"", b"token", b"<html>", b"[]", b'["t"]', b"null", b"5", b'"t"', b"{}", b'{"access_token": null}',
     b'{"access_token": 5}', b'{"access_token": ["t"]}', b'{"access_token": {"t": 1}}',
     b'{"access_token": true}', b'{"access_token": " "}',
     b"\xff\xfe", b"[" * 100_000, b'{"error": ["x"], "message": {"y": 1}}', b'{"error_description": 5}'],
)  # fmt: skip
def test_token_answers_that_are_none(call: Way, kind: str, body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    with issuing(body) as server, pytest.raises(MalformedResponseError, match="it is not a token"):
        call(principal(server, kind, monkeypatch), "Who am I?")
    with issuing(body, 400) as server, pytest.raises(DatabricksAuthenticationError):
        call(principal(server, kind, monkeypatch), "Who am I?")


@four_ways
@pytest.mark.parametrize("token", ["a\\nb", "t\\u00f6", "a b", "\\u0000", "\\ud800"])
def test_tokens_of_an_endpoint_that_no_header_takes(call: Way, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with issuing(f'{{"access_token": "{token}", "expires_in": 60}}') as server, pytest.raises(DatabricksError):
        call(principal(server, "service principal", monkeypatch), "Who am I?")


@pytest.mark.parametrize("after", ["-1", "1e400", HUGE, "soon", "", "é", "Wed, 99 Foo 2015 07:28:00 GMT"])
def test_pauses_that_a_token_endpoint_asks_for_and_that_are_none(after: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def reply(_: Received) -> Scripted:
        return Scripted({"error": "busy"}, 503, {"retry-after": after})

    with ScriptedServer(reply) as server:
        llm = principal(server, "service principal", monkeypatch)
        with pytest.raises(DatabricksError, match="503"):
            llm.invoke("Who am I?")
        with pytest.raises(DatabricksError, match="503"):
            asyncio.run(llm.ainvoke("Who am I?"))


@four_ways
@pytest.mark.parametrize(
    "printed",
    ["", "token", "[]", "null", '{"access_token": null}', '{"access_token": 5}', "\\xff",
     '{"access_token": "a b", "expiry": "2999-01-01T00:00:00Z"}'],
)  # fmt: skip
def test_a_cli_that_prints_no_token(
    call: Way, printed: str, mirror: Mirror, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = write_cli(tmp_path / "bin").with_name("databricks")
    path.write_text(f"#!/bin/sh\nprintf '%b' '{printed}'\n")
    monkeypatch.setenv("DATABRICKS_CLI_PATH", str(path))
    with pytest.raises(DatabricksError):
        call(chat(mirror.url), "Who am I?")


@pytest.mark.parametrize(
    "expiry",
    ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2025-13-45T99:99:99Z", "soon", "", "null", "5"],
)
def test_times_of_expiry_that_are_none(
    expiry: str, mirror: Mirror, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = write_cli(tmp_path / "bin").with_name("databricks")
    path.write_text(f"""#!/bin/sh\necho '{{"access_token": "t", "expiry": "{expiry}"}}'\n""")
    monkeypatch.setenv("DATABRICKS_CLI_PATH", str(path))
    assert chat(mirror.url).invoke("Who am I?").text == "t"
    assert asyncio.run(chat(mirror.url).ainvoke("Who am I?")).text == "t"


@four_ways
@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b'{"token_endpoint": 5}', b'{"token_endpoint": "x"}'])
def test_a_discovery_document_with_junk(call: Way, body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABRICKS_OIDC_TOKEN", "federated")
    with ScriptedServer(lambda _: Scripted(body, headers={"content-type": "application/json"})) as server:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pytest.raises(DatabricksError):
                call(chat(server.url, auth_type="env-oidc", max_retries=0), "Who am I?")


# --- request fields -----------------------------------------------------------------------------------------------


@four_ways
@pytest.mark.parametrize("field", ["x_(", "x(", "x_[", "*_", "x_\\", "(?P<a_", "name_{2", "", "_"])
def test_fields_of_a_request_that_are_no_pattern(call: Way, field: str) -> None:
    refusal = Scripted({"error_code": "BAD_REQUEST", "message": f"Unknown field: `{field}`"}, 400)
    with ScriptedServer(lambda _: refusal) as server, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(DatabricksError, match="Unknown field"):
            call(chat(server.url, token="t", extra_body={field: 1}), "Who am I?")


def test_the_same_for_embeddings() -> None:
    refusal = Scripted({"error_code": "BAD_REQUEST", "message": "Unknown field: `x_(`"}, 400)
    with ScriptedServer(lambda _: refusal) as server, pytest.raises(DatabricksError, match="Unknown field"):
        DatabricksEmbeddings(model="e", host=server.url, token="t", documents_params={"x_(": 1}).embed_documents(["a"])
