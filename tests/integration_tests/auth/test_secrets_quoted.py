"""A server quotes the token that it got, of no known form: it stands in nothing that an error shows."""

from __future__ import annotations

import asyncio
import base64
import json
import pickle
import socket
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from langchain_core.tracers import BaseTracer
from langchain_core.tracers.schemas import Run

from kit.raw import RawServer, take_request
from kit.scripted import Received, Scripted, ScriptedServer, sse
from kit.ways import Way, four_ways
from langchain_dbchat import ChatDatabricksCompat, DatabricksEmbeddings
from langchain_dbchat.errors import (
    DatabricksError,
    DatabricksInvalidRequestError,
    DatabricksRefusalError,
    ErrorResponse,
    sent_secrets,
)

TOKEN = "zq7-PLAIN-secret/with+odd=chars"
FORMS = {
    "as it is": TOKEN,
    "JSON": TOKEN.replace("/", "\\/").replace("+", "\\u002b"),
    "code points": "".join(f"\\u{ord(letter):04x}" for letter in TOKEN),
    "URL": quote(TOKEN, safe=""),
    "HTML": "".join(f"&#{ord(letter)};" for letter in TOKEN),
    "Base64": base64.b64encode(f"Bearer {TOKEN}".encode()).decode(),
}
BEFORE = ["", "\\n", "\\u003c", "\\u0027", "\\t", "%3D", "%20"]

Reply = Callable[[str], Scripted]


class _Traced(BaseTracer):
    """What a tracer keeps of a run that failed."""

    def __init__(self) -> None:
        super().__init__()
        self.errors: list[str] = []

    def _persist_run(self, run: Run) -> None:
        self.errors.append(str(run.error))


def _shown(error: BaseException) -> str:
    """Everything that an error shows: its text, fields, traceback, causes and notes, and what a pickle holds."""
    pieces = ["".join(traceback.format_exception(error)), repr(error.__dict__), repr(error.args)]
    at: BaseException | None = error
    while at is not None:
        pieces += [str(at), repr(at)]
        at = at.__cause__ or at.__context__
    response = getattr(error, "response", None)
    pieces.append(response.text if isinstance(response, ErrorResponse) else "")
    return "\n".join(pieces) + pickle.dumps(error).decode("latin-1")


@contextmanager
def _raises_without_the_token(*quoted: str) -> Iterator[None]:
    with pytest.raises(DatabricksError) as caught:
        yield
    shown = _shown(caught.value)
    for form in (TOKEN, *quoted):
        assert form[3:-5] not in shown, shown


def _ask(call: Way, server: ScriptedServer, **settings: Any) -> None:
    tracer = _Traced()
    llm = ChatDatabricksCompat(model="e", host=server.url, max_retries=0, **{"token": TOKEN, **settings})
    try:
        call(llm.with_config(callbacks=[tracer]), "Hello!")
    finally:
        assert not any(TOKEN in error for error in tracer.errors)


@four_ways
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("before", BEFORE)
def test_in_a_refusal_and_in_an_error_within_an_answer(call: Way, form: str, before: str) -> None:
    words = f'{{"message": "You sent {before}{FORMS[form]}.", "code": "{before}{FORMS[form]}"}}'.encode()
    within = b'{"error": ' + words + b"}"

    def reply(received: Received) -> Scripted:
        return Scripted(sse(within.decode()) if received.json.get("stream") else within)

    with ScriptedServer(Scripted(words, 401, {"x-request-id": FORMS[form]})) as server:
        with _raises_without_the_token(FORMS[form]):
            _ask(call, server)
    with ScriptedServer(reply) as server, _raises_without_the_token(FORMS[form]):
        _ask(call, server)


NESTED = {
    "HTML in JSON of Go": TOKEN.replace("+", "\\u0026#43;").replace("=", "\\u0026#61;"),
    "URL in JSON": quote(TOKEN, safe="").replace("%", "\\u0025"),
    "JSON in a URL": quote(TOKEN.replace("/", "\\/").replace("+", "\\u002b"), safe=""),
    "JSON in HTML": TOKEN.replace("/", "&#92;/"),
    "octal in JSON": TOKEN.replace("+", "\\\\053"),
    "Base64 in lines": base64.b64encode(TOKEN.encode()).decode()[:-3].replace("e", "e\\n"),
    "a hexadecimal": TOKEN.encode().hex(),
    "another case": TOKEN.lower(),
    "its beginning": TOKEN[:20],
}


@four_ways
@pytest.mark.parametrize("form", NESTED)
def test_behind_escapes_of_several_kinds_and_in_other_codes(call: Way, form: str) -> None:
    """Also where each step of the reading of an answer undoes one of them."""
    said = f'{{"message": "You sent {NESTED[form]}.", "code": "{NESTED[form]}"}}'
    with ScriptedServer(Scripted(said, 400)) as server, pytest.raises(DatabricksError) as caught:
        _ask(call, server)
    assert caught.value.message.startswith("HTTP 400: You sent ***.")
    assert isinstance(caught.value.response, ErrorResponse)
    assert caught.value.response.text == '{"message": "You sent ***.", "code": "***"}'


_PLACES: dict[str, Reply] = {
    "a header": lambda form: Scripted({"message": "x"}, 400, {"x-echo": form, "www-authenticate": form}),
    "a login page": lambda form: Scripted(
        f"<html><title>Hello {form}</title></html>", 200, {"content-type": "text/html"}
    ),
    "a redirect": lambda form: Scripted("", 302, {"location": f"https://h/login/{form}"}),
    "the edge of what is quoted": lambda form: Scripted("x" * 1_985 + " " + form, 400),
    "the edge of what is quoted of no answer": lambda form: Scripted("x" * 185 + form),
    "a nested text": lambda form: Scripted({"error": {"message": f'{{"message": "\\"{form}\\""}}'}}, 500),
    "no answer": lambda form: Scripted({"message": "y" * 1_985 + form, "a": {"b": [form]}}),
    "an event that is called an error": lambda form: Scripted(f"event: error\ndata: You sent {form}.\n\n"),
    "an event of no known shape": lambda form: Scripted(
        sse({"strange": ["y" * 1_980 + form]}, {"message": form}, done=False)
    ),
    "a choice": lambda form: Scripted(sse({"choices": [{"index": 7, "delta": {"content": form}}]})),
    "a guardrail": lambda form: Scripted(
        {"choices": [{"message": {"content": form}, "finish_reason": "input_guardrail_triggered"}]}
    ),
    "an illegal head": lambda form: Scripted(b"", 200, {f"no header {form}": "x"}),
    "an illegal first chunk": lambda form: Scripted(f"{form}\r\n".encode(), 200, {"transfer-encoding": "chunked"}),
    "an illegal chunk": lambda form: Scripted(
        b"d\r\ndata: x\n\ndata:\r\n" + f"{form}\r\n".encode(), 200, {"transfer-encoding": "chunked"}
    ),
}


@four_ways
@pytest.mark.parametrize("form", ["as it is", "URL", "Base64"])
@pytest.mark.parametrize("place", _PLACES)
def test_wherever_it_stands(call: Way, form: str, place: str) -> None:
    with ScriptedServer(_PLACES[place](FORMS[form])) as server, _raises_without_the_token(FORMS[form]):
        _ask(call, server)


@four_ways
@pytest.mark.parametrize("api", ["chat", "responses", "messages", "agent"])
@pytest.mark.parametrize("event", [{"a": "You sent {}."}, {"status": "{}"}, {"errors": ["{}"]}, {"output": "{}"}])
def test_in_an_event_that_no_api_knows(call: Way, api: str, event: dict[str, Any]) -> None:
    text = json.dumps(event).replace("{}", TOKEN)
    with (
        ScriptedServer(Scripted(f"data: {text}\n\n", headers={"content-type": "text/event-stream"})) as server,
        _raises_without_the_token(),
    ):
        _ask(call, server, api=api)


@four_ways
@pytest.mark.parametrize("token", [r"pw-1234\ud800xyz", "a%ud83dbcdefgh1", "&#55357;abcdefgh1", r"\u{d800}abcdefgh1"])
def test_a_token_with_the_escape_of_half_a_pair(call: Way, token: str) -> None:
    with ScriptedServer(Scripted({"message": f"You sent {token}."}, 400)) as server:
        with pytest.raises(DatabricksInvalidRequestError) as caught:
            _ask(call, server, token=token)
    assert token not in _shown(caught.value)


CHUNK = sse({"choices": [{"index": 0, "delta": {"content": "x"}}]}, done=False)
WITH_REQUEST_ID: dict[str, Callable[[dict[str, str]], Scripted]] = {
    "a refusal": lambda headers: Scripted({"message": "no"}, 400, headers),
    "a stream that is cut": lambda headers: Scripted(CHUNK, 200, headers),
    "a connection that breaks": lambda headers: Scripted([CHUNK, CHUNK], 200, headers, drop_after=1),
    "a stream that stops": lambda headers: Scripted([CHUNK], 200, headers, stall=True),
    "a stream that does not begin": lambda headers: Scripted([": c\n\n"], 200, headers, stall=True),
    "an error in a stream": lambda headers: Scripted(sse({"error": {"message": "no"}}), 200, headers),
    "an error with status 200": lambda headers: Scripted({"error": {"message": "no"}}, 200, headers),
    "an answer of no known shape": lambda headers: Scripted({"a": 1}, 200, headers),
    "bad compression": lambda headers: Scripted(CHUNK, 200, {**headers, "content-encoding": "gzip"}),
}


@four_ways
@pytest.mark.parametrize("form", ["as it is", "URL", "Base64"])
@pytest.mark.parametrize("kind", WITH_REQUEST_ID)
def test_as_the_id_of_a_request(call: Way, kind: str, form: str) -> None:
    reply = WITH_REQUEST_ID[kind]({"x-request-id": FORMS[form]})
    with ScriptedServer(reply) as server, _raises_without_the_token(FORMS[form]):
        _ask(call, server, timeout=0.3)


ANSWER = {"choices": [{"index": 0, "message": {"content": "Hi!"}, "finish_reason": "stop"}]}
UUID = "2f1a6c1e-5d3b-4c11-9e0e-1f2a3b4c5d6e"


def _whole_or_streamed(headers: dict[str, str]) -> Callable[[Received], Scripted]:
    delta = {"choices": [{"index": 0, "delta": {"content": "Hi!"}, "finish_reason": "stop"}]}
    return lambda got: Scripted(sse(delta) if got.json.get("stream") else ANSWER, 200, headers)


SHORT = UUID.replace("-", "")[:9]
BASIC_UUID = "Basic " + base64.b64encode(f"me:{UUID}".encode()).decode()
SENT_SECRETS: list[tuple[str, dict[str, Any]]] = [
    (TOKEN, {}),
    (UUID, {}),
    (SHORT, {}),
    (TOKEN, {"default_headers": {"X-Api-Key": TOKEN}, "token": "t"}),
    (TOKEN, {"default_headers": {"Cookie": f"a=1; sid={TOKEN}"}, "token": "t"}),
    (UUID, {"default_headers": {"Authorization": BASIC_UUID}, "token": "t"}),
    (UUID, {"default_query": {"code": UUID}, "token": "t"}),
]


@four_ways
@pytest.mark.parametrize("own", [False, True], ids=["our client", "a client of the user's"])
@pytest.mark.parametrize(("secret", "settings"), SENT_SECRETS, ids=str)
def test_as_the_id_of_a_request_that_was_answered(call: Way, secret: str, settings: dict[str, Any], own: bool) -> None:
    given: dict[str, Any] = {"token": secret, **settings}
    if own:
        theirs = httpx.AsyncClient(limits=httpx.Limits(max_keepalive_connections=0))
        given |= {"http_client": httpx.Client(), "http_async_client": theirs}
    for request_id in (secret, f"req-{secret}", f"req-{secret.upper()}", f"%3D{quote(secret)}"):
        with ScriptedServer(_whole_or_streamed({"x-request-id": request_id})) as server:
            message = call(ChatDatabricksCompat(model="e", host=server.url, **given), "Hello!")
        assert "***" in message.response_metadata["request_id"]
    if own:
        given["http_client"].close()


@four_ways
@pytest.mark.parametrize("request_id", ["r1", "bench", UUID, "req_011CSHoEeqs5C35K2UUqR7Fy", "a" * 60])
def test_another_id_of_a_request_is_told(call: Way, request_id: str) -> None:
    with ScriptedServer(_whole_or_streamed({"x-request-id": request_id})) as server:
        message = call(ChatDatabricksCompat(model="e", host=server.url, token=TOKEN), "Hello!")
    assert message.response_metadata["request_id"] == request_id


SCHEMES = [
    f"Api-Key {TOKEN}",
    f"ApiKey-v1 {TOKEN}",
    f"Bearer-Token {TOKEN}",
    f"OAuth2 {TOKEN}",
    f"bearer\t{TOKEN}",
    f"Token token={TOKEN}",
    f'Token token="v2:{TOKEN}", name="me"',
    f"key={TOKEN}",
    f"AWS4-HMAC-SHA256 {TOKEN}",
    f"AWS4-HMAC-SHA256 Credential=AKID/20260101/x, SignedHeaders=host;x-date, Signature={TOKEN}",
    f'Digest username="me", realm="r", uri="/v1/models", response="{TOKEN}"',
]
UNDER_NAMES: list[dict[str, str]] = [
    *({"Authorization": value} for value in SCHEMES),
    {"X-Api-Key": f"v2:{TOKEN}"},
    {"X-Tokens": f"other-8 , {TOKEN}"},
    {"Cookie": f"a=1; sid={quote(TOKEN, safe='')}"},
    {"X-Hub-Signature-256": f"sha256={TOKEN}"},
    {"X-Amz-Signature": TOKEN},
    {"X-Hmac": TOKEN},
    {"X-Passphrase": TOKEN},
    {"X-Otp": TOKEN},
]


@four_ways
@pytest.mark.parametrize("headers", UNDER_NAMES, ids=str)
def test_under_other_schemes_and_names(call: Way, headers: dict[str, str]) -> None:
    words = "AWS4-HMAC-SHA256, Bearer-Token or ApiKey-v1 of me for POST /v1/models with host;x-date"
    with ScriptedServer(Scripted({"message": f"{words}: {TOKEN}."}, 400)) as server:
        with pytest.raises(DatabricksError, match=words) as caught:
            _ask(call, server, token="other", default_headers=headers)
    assert TOKEN not in _shown(caught.value)


class _Signed:
    """Credentials with headers of their own names."""

    name = "mine"

    def headers(self, *, refresh: bool = False) -> dict[str, str]:
        assert not refresh
        return {"X-Corp-Ident": TOKEN, "X-Databricks-Workspace-Id": "1234567890123456"}

    async def aheaders(self, *, refresh: bool = False) -> dict[str, str]:
        return self.headers(refresh=refresh)


@four_ways
def test_each_header_of_credentials_is_a_secret(call: Way) -> None:
    said = {"message": f"Not {TOKEN} in workspace 1234567890123456."}
    with ScriptedServer(Scripted(said, 400)) as server, pytest.raises(DatabricksError) as caught:
        _ask(call, server, token=None, credentials=_Signed())
    assert "Not *** in workspace 1234567890123456." in caught.value.message
    assert TOKEN not in _shown(caught.value)


@four_ways
@pytest.mark.parametrize("status", [401, 403])
def test_the_token_of_an_earlier_attempt(call: Way, status: int) -> None:
    tokens = iter([TOKEN, "second-token-9", "third-token-9"])

    def reply(received: Received) -> Scripted:
        first = received.headers["authorization"].endswith(TOKEN)
        said = {"message": "Invalid Token" if first else f"You first sent {TOKEN}."}
        return Scripted(said, status if first else 400, {"x-request-id": "r1" if first else TOKEN})

    with ScriptedServer(reply) as server, _raises_without_the_token():
        _ask(call, server, token=lambda: next(tokens))


@four_ways
def test_a_key_of_an_object(call: Way) -> None:
    for reply in (Scripted({TOKEN: {"a": 1}, "message": "no"}, 400), Scripted(sse({TOKEN: {TOKEN: 1}}))):
        with ScriptedServer(reply) as server, _raises_without_the_token():
            _ask(call, server)


_LARGE = "%2F" * 500_000  # more than is searched
_LARGE_PLACES: dict[str, Callable[[str], Any]] = {
    "before the limit": lambda form: {"message": form, "strange": _LARGE},
    "behind the limit": lambda form: {"strange": _LARGE, "message": form},
    "an error before the limit": lambda form: {"error": {"message": form}, "more": _LARGE},
    "an error behind the limit": lambda form: {"more": _LARGE, "error": {"message": form}},
}


@four_ways
@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("place", _LARGE_PLACES)
def test_in_a_large_answer_with_status_200(
    call: Way, place: str, streamed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of which errors quote a little: the first MiB is searched, and nothing of the rest is shown."""
    said = _LARGE_PLACES[place](FORMS["URL"])
    searched: list[int] = []
    original = sent_secrets._unescaped

    def unescaped(text: str) -> Any:
        searched.append(len(text))
        return original(text)

    monkeypatch.setattr(sent_secrets, "_unescaped", unescaped)
    with ScriptedServer(Scripted(sse(said) if streamed else said)) as server, _raises_without_the_token(FORMS["URL"]):
        _ask(call, server)
    assert max(searched) <= 1024 * 1024


@four_ways
def test_a_large_answer_that_a_guardrail_ended_stays_a_refusal(call: Way) -> None:
    choice = {"index": 0, "message": {"content": f"{TOKEN} {_LARGE}"}, "finish_reason": "input_guardrail_triggered"}
    with ScriptedServer(Scripted({"choices": [choice]})) as server, pytest.raises(DatabricksRefusalError) as caught:
        _ask(call, server)
    assert TOKEN not in str(caught.value)


@four_ways
@pytest.mark.parametrize(
    "headers",
    [{"X-Api-Key": TOKEN}, {"Authorization": "Basic " + base64.b64encode(f"me:{TOKEN}".encode()).decode()}],
    ids=str,
)
def test_in_a_header_of_the_user(call: Way, headers: dict[str, str]) -> None:
    with ScriptedServer(lambda _: Scripted({"message": f"You sent {TOKEN}."}, 400)) as server:
        with _raises_without_the_token():
            _ask(call, server, token="other", default_headers=headers)


@pytest.mark.parametrize("options", [{"headers": {"X-Api-Key": TOKEN}}, {"auth": ("me", TOKEN)}], ids=str)
def test_in_what_a_client_of_the_user_adds(options: dict[str, Any]) -> None:
    async def ask(url: str) -> None:
        async with httpx.AsyncClient(**options) as client:
            await ChatDatabricksCompat(model="e", host=url, token="other", http_async_client=client).ainvoke("Hello!")

    with ScriptedServer(lambda _: Scripted({"message": f"You sent {TOKEN}."}, 400)) as server:
        with httpx.Client(**options) as client, _raises_without_the_token():
            ChatDatabricksCompat(model="e", host=server.url, token="other", http_client=client).invoke("Hello!")
        with _raises_without_the_token():
            asyncio.run(ask(server.url))


def test_embeddings() -> None:
    for reply in (Scripted({"message": TOKEN}, 400), Scripted({"error": f"You sent {TOKEN}"})):
        with ScriptedServer(lambda _, reply=reply: reply) as server:
            embeddings = DatabricksEmbeddings(model="e", host=server.url, token=TOKEN, max_retries=0)
            with _raises_without_the_token():
                embeddings.embed_query("x")
            with _raises_without_the_token():
                asyncio.run(embeddings.aembed_documents(["x", "y"]))


@four_ways
@pytest.mark.parametrize("form", FORMS)
def test_a_sign_in(call: Way, form: str) -> None:
    refusal = f'{{"error": "invalid_client", "error_description": "Not\\n{FORMS[form]}"}}'.encode()
    with ScriptedServer(lambda _: Scripted(refusal, 401)) as server, _raises_without_the_token(FORMS[form]):
        _ask(call, server, token=None, client_id="me", client_secret=TOKEN)


@four_ways
def test_words_that_only_look_like_it_are_told(call: Way) -> None:
    said = {"error_code": "invalid_api_key", "message": "The secret/with+odd=chars is zq7-PLAIN: Incorrect API key."}
    with ScriptedServer(Scripted(said, 401)) as server, pytest.raises(DatabricksError) as caught:
        _ask(call, server)
    assert said["message"] in caught.value.message
    assert caught.value.error_code == "invalid_api_key"


# A client of the user's, and proxies


class _Signing(httpx.Auth):
    """Signs with one secret, and again with another; or signs a copy."""

    requires_response_body = True

    def __init__(self, *secrets: str, copies: bool = False) -> None:
        self._secrets, self._copies = secrets, copies

    def auth_flow(self, request: httpx.Request) -> Any:
        for secret in self._secrets:
            signed = request
            if self._copies:
                signed = httpx.Request(
                    request.method,
                    request.url,
                    headers=request.headers,
                    content=request.content,
                    extensions=request.extensions,
                )
            signed.headers["Authorization"] = f"Bearer {secret}"
            yield signed


SECOND = "zq8-OTHER-secret/with+odd=chars"
CLIENTS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "a header": ({"headers": {"X-Tenant-Pass": TOKEN}}, [TOKEN]),
    "a header twice": ({"headers": [("X-Jwt", TOKEN), ("X-Jwt", SECOND)]}, [TOKEN, SECOND]),
    "an authentication that renews its token": ({"auth": _Signing(TOKEN, SECOND)}, [TOKEN, SECOND]),
    "an authentication that copies the request": ({"auth": _Signing(TOKEN, copies=True)}, [TOKEN]),
}


@four_ways
@pytest.mark.parametrize("kind", CLIENTS)
def test_what_a_client_of_the_users_sends(call: Way, kind: str) -> None:
    settings, secrets = CLIENTS[kind]
    refusal = Scripted({"message": f"You sent {' and '.join(secrets)}."}, 403)
    with ScriptedServer(lambda _: refusal) as server, httpx.Client(**settings) as client:
        theirs = httpx.AsyncClient(**settings, limits=httpx.Limits(max_keepalive_connections=0))
        llm = ChatDatabricksCompat(
            model="e", host=server.url, token="t", max_retries=0, http_client=client, http_async_client=theirs
        )
        with pytest.raises(DatabricksError, match="You sent") as caught:
            call(llm, "Hello!")
    assert not [secret for secret in secrets if secret in _shown(caught.value)]


PASSWORD = "zq9-PLAIN-password"
BASIC = base64.b64encode(f"me:{PASSWORD}".encode()).decode()


@four_ways
@pytest.mark.parametrize("way", ["proxy", "HTTPS_PROXY", "http_client"])
def test_the_password_of_a_proxy_that_it_quotes(call: Way, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(connection: socket.socket, _: int) -> None:
        take_request(connection)
        said = f"you sent {BASIC} for {PASSWORD}"
        connection.sendall(f"HTTP/1.1 407 {said}\r\ncontent-length: 0\r\n\r\n".encode())

    with RawServer(refuse) as proxy:
        address = proxy.url.removesuffix("/x").replace("//", f"//me:{PASSWORD}@")
        settings: dict[str, Any] = {}
        if way == "HTTPS_PROXY":
            monkeypatch.setenv(way, address)
        elif way == "proxy":
            settings = {"proxy": address}
        else:
            theirs = httpx.AsyncClient(proxy=address)
            settings = {"http_client": httpx.Client(proxy=address), "http_async_client": theirs}
        host = "https://adb-1.azuredatabricks.net"
        llm = ChatDatabricksCompat(model="e", host=host, token="t", max_retries=0, **settings)
        with pytest.raises(DatabricksError, match="407 you sent") as caught:
            call(llm, "Hello!")
    shown = _shown(caught.value)
    assert PASSWORD not in shown
    assert BASIC not in shown
