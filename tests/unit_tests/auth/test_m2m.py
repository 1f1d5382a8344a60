from __future__ import annotations

import asyncio
import pickle
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import certifi
import pytest
from blockbuster import blockbuster_ctx
from pydantic import SecretStr

from kit.token_server import SECRET, Fault, jwt
from langchain_dbchat.auth import grants
from langchain_dbchat.auth.grants import TokenRequest
from langchain_dbchat.auth.m2m import ClientCredentials
from langchain_dbchat.auth.secret import Secret
from langchain_dbchat.errors import (
    ConfigurationError,
    DatabricksAPIError,
    DatabricksAuthenticationError,
    DatabricksConnectionError,
    DatabricksError,
    DatabricksInvalidRequestError,
    DatabricksRateLimitError,
    DatabricksTimeoutError,
    MalformedResponseError,
)
from langchain_dbchat.transport import (
    channel,  # noqa: F401  # loaded before a test watches the clock
    clients,
)
from langchain_dbchat.transport.tls import tls_context
from langchain_dbchat.transport.user_clients import UserClients

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

    from kit.token_server import TokenServer

pytestmark = pytest.mark.usefixtures("hermetic")


def principal(server: TokenServer, secret: str = SECRET) -> ClientCredentials:
    return ClientCredentials(server.origin, "id", Secret(SecretStr(secret)))


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grants, "FIRST_PAUSE", 0.0)


async def test_the_request_is_what_databricks_documents(server: TokenServer) -> None:
    sync = principal(server).headers()
    assert sync == {"Authorization": "Bearer m2m-1"}
    assert await principal(server).aheaders() == sync
    (post,) = server.posts
    assert post.path == "/oidc/v1/token"
    assert post.form == {"grant_type": "client_credentials", "scope": "all-apis"}
    assert post.headers["content-type"] == "application/x-www-form-urlencoded"


def test_two_principals_are_the_same_whoever_asks_for_their_token() -> None:
    secret = Secret(SecretStr(SECRET))
    mine, shared = (ClientCredentials("https://h", "id", secret, clients=clients) for clients in (UserClients(), None))
    assert mine == shared
    assert repr(mine) == repr(shared)


def test_the_cache_is_the_process_and_tells_secrets_apart(server: TokenServer) -> None:
    principal(server).headers()
    principal(server).headers()
    assert len(server.posts) == 1
    with pytest.raises(DatabricksAuthenticationError):
        principal(server, "another").headers()


async def test_a_refused_token_is_fetched_again(server: TokenServer) -> None:
    signer = principal(server)
    assert signer.headers()["Authorization"] == "Bearer m2m-1"
    assert signer.headers(refresh=True)["Authorization"] == "Bearer m2m-2"
    assert (await signer.aheaders(refresh=True))["Authorization"] == "Bearer m2m-3"
    assert signer.headers()["Authorization"] == "Bearer m2m-3"


@pytest.mark.parametrize(("expires_in", "fetches"), [(1, 2), ("1", 2), (3600, 1), (None, 1)])
def test_a_token_lives_as_long_as_the_server_says(server: TokenServer, expires_in: object, fetches: int) -> None:
    server.expires_in = expires_in
    signer = principal(server)
    signer.headers()
    time.sleep(1.05)
    signer.headers()
    assert len(server.posts) == fetches


def test_without_expires_in_a_jwt_says_itself(server: TokenServer) -> None:
    server.expires_in = None
    server.token = jwt(exp=time.time() + 1)
    signer = principal(server)
    signer.headers()
    time.sleep(1.05)
    signer.headers()
    assert len(server.posts) == 2


def test_fifty_threads_make_one_post(server: TokenServer) -> None:
    server.delay = 0.3
    barrier = threading.Barrier(50)

    def ask(_: int) -> str:
        barrier.wait()
        return principal(server).headers()["Authorization"]

    with ThreadPoolExecutor(50) as pool:
        assert set(pool.map(ask, range(50))) == {"Bearer m2m-1"}
    assert len(server.posts) == 1


async def test_fifty_tasks_make_one_post_and_the_loop_goes_on(server: TokenServer) -> None:
    server.delay = 1
    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            await asyncio.sleep(0.01)
            beats += 1

    heart = asyncio.create_task(beat())
    found = await asyncio.gather(*(principal(server).aheaders() for _ in range(50)))
    heart.cancel()
    assert {headers["Authorization"] for headers in found} == {"Bearer m2m-1"}
    assert len(server.posts) == 1
    assert beats >= 3  # one or two, if the loop were blocked


def test_loops_one_after_the_other_share_tokens_and_nothing_else(server: TokenServer) -> None:
    server.expires_in = 0.2

    async def main() -> None:
        await principal(server).aheaders()

    for _ in range(3):
        asyncio.run(main())
        time.sleep(0.25)
    assert len(server.posts) == 3


async def test_nothing_blocks_the_event_loop(server: TokenServer) -> None:
    signer = principal(server)
    with blockbuster_ctx():
        await signer.aheaders()
        await signer.aheaders(refresh=True)
    assert len(server.posts) == 2


async def test_the_tls_context_is_not_built_on_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []
    build = tls_context

    def watched() -> ssl.SSLContext:
        threads.append(threading.get_ident())
        return build()

    monkeypatch.setattr(clients, "tls_context", watched)
    monkeypatch.setenv("SSL_CERT_FILE", certifi.where())  # another context than that of the tests before
    with pytest.raises(DatabricksConnectionError):
        await ClientCredentials("https://127.0.0.1:1", "id", Secret(SecretStr(SECRET))).aheaders()
    assert len(threads) == 1
    assert threading.get_ident() not in threads


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
async def test_faults_that_pass_are_tried_again(server: TokenServer, status: int) -> None:
    server.faults = [Fault(status), Fault(status, headers={"Retry-After": "0"})]
    assert principal(server).headers()["Authorization"].startswith("Bearer m2m")
    server.faults = [Fault(status), Fault(status, headers={"Retry-After": "0"})]
    assert (await principal(server).aheaders(refresh=True))["Authorization"].startswith("Bearer m2m")
    assert len(server.posts) == 6


@pytest.mark.parametrize(
    ("fault", "leaf", "posts"),
    [
        (Fault(429), DatabricksRateLimitError, 3),
        (Fault(500, b"oops"), DatabricksAPIError, 3),
        (Fault(503, headers={"Retry-After": "3600"}), DatabricksAPIError, 1),
        (Fault(504), DatabricksTimeoutError, 3),
        (Fault(400, b'{"error":"invalid_scope"}'), DatabricksAuthenticationError, 1),
        (Fault(403, b"nope"), DatabricksAuthenticationError, 1),
        (Fault(404, b"<html>"), DatabricksInvalidRequestError, 1),
        (Fault(303, headers={"Location": "/login"}), MalformedResponseError, 1),
        (Fault(200, b"<html>login</html>"), MalformedResponseError, 1),
        (Fault(200, b'{"access_token": ""}'), MalformedResponseError, 1),
        (Fault(200, b"[1]"), MalformedResponseError, 1),
    ],
)
async def test_faults_that_stay_are_errors_of_their_kind(
    server: TokenServer, fault: Fault, leaf: type[DatabricksError], posts: int
) -> None:
    for sync in (True, False):
        server.seen.clear()
        server.faults = [fault] * 3
        with pytest.raises(leaf, match=r"OAuth M2M token request .*/oidc/v1/token failed") as caught:
            principal(server).headers() if sync else await principal(server).aheaders()
        assert caught.value.status_code == fault.status
        assert caught.value.auth == "client_id and client_secret arguments"
        assert len(server.posts) == posts
        server.faults.clear()


def test_a_refusal_says_what_to_do_and_masks_what_the_server_repeats(server: TokenServer) -> None:
    signer = ClientCredentials(server.origin, "other", Secret(SecretStr(SECRET)))
    with pytest.raises(DatabricksAuthenticationError) as caught:
        signer.headers()
    text = str(caught.value)
    assert "401 invalid_client: Client authentication failed" in text
    assert "secret has not expired" in text
    assert SECRET not in text


async def test_a_host_that_is_not_there_is_a_connection_error() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        origin = f"http://127.0.0.1:{free.getsockname()[1]}"
        signer = ClientCredentials(origin, "id", Secret(SecretStr(SECRET)))
        with pytest.raises(DatabricksConnectionError, match="cannot be reached"):
            signer.headers()
        with pytest.raises(DatabricksConnectionError, match="cannot be reached"):
            await signer.aheaders()


async def test_a_server_that_does_not_answer_is_a_timeout(server: TokenServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grants, "TIMEOUT", 0.5)
    server.delay = 2
    with pytest.raises(DatabricksTimeoutError, match="no answer"):
        principal(server).headers()
    with pytest.raises(DatabricksTimeoutError, match="no answer"):
        await principal(server).aheaders()
    assert len(server.posts) == 2


def request() -> TokenRequest:
    return TokenRequest("https://x/oidc/v1/token", SecretStr("Basic hush"), {"secret": "hush"}, "OAuth", "step")


def test_retry_after_is_obeyed_within_the_deadline(server: TokenServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grants, "RETRY_DEADLINE", 30.0)
    server.faults = [Fault(503, headers={"Retry-After": "0.2"})]
    began = time.monotonic()
    assert principal(server).headers()["Authorization"] == "Bearer m2m-1"
    assert time.monotonic() - began >= 0.2
    server.faults = [Fault(503, headers={"Retry-After": "60"})]
    with pytest.raises(DatabricksAPIError) as caught:
        principal(server).headers(refresh=True)
    assert caught.value.retry_after == 60
    assert len(server.posts) == 3


def test_no_repr_shows_a_secret(server: TokenServer) -> None:
    signer = principal(server)
    assert SECRET not in repr(signer)
    assert "hush" not in repr(request())
    assert "hush" not in repr(grants._prepare(request())[1].purpose)


@pytest.mark.parametrize("expires_in", [-5, "-5", "1e999", "nan", True, [], "soon", 10**400])
def test_a_life_that_is_no_number_of_seconds_is_not_believed(server: TokenServer, expires_in: object) -> None:
    server.expires_in = expires_in
    assert grants.fetch_grant(principal(server)._request).call().lifetime == grants.UNKNOWN_LIFETIME


@pytest.mark.parametrize("letters", range(4))
def test_a_jwt_of_any_length_says_when_it_ends(letters: int) -> None:
    assert grants.jwt_expiry(jwt(exp=1700000000, sub="x" * letters)) == 1700000000


@pytest.mark.parametrize("exp", [-1, "-1", True, 10**400, "soon", None, [1700000000]])
def test_a_jwt_whose_end_is_no_time_does_not_say_when_it_ends(exp: object) -> None:
    assert grants.jwt_expiry(jwt(exp=exp)) is None
    assert grants.jwt_expiry(jwt(exp="1700000000")) == 1700000000


def test_a_pickle_holds_the_secret_that_was_given_and_no_token(server: TokenServer) -> None:
    signer = principal(server)
    signer.headers()
    data = pickle.dumps(signer)
    assert b"m2m-1" not in data
    assert pickle.loads(data) == signer


def test_a_pickle_leaves_the_environments_secret_behind(server: TokenServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABRICKS_CLIENT_SECRET", SECRET)
    signer = ClientCredentials(server.origin, "id", Secret(SecretStr(SECRET), variable="DATABRICKS_CLIENT_SECRET"))
    data = pickle.dumps(signer)
    assert SECRET.encode() not in data
    opened: ClientCredentials = pickle.loads(data)
    assert asyncio.run(opened.aheaders()) == {"Authorization": "Bearer m2m-1"}
    monkeypatch.delenv("DATABRICKS_CLIENT_SECRET")
    elsewhere: ClientCredentials = pickle.loads(data)
    with pytest.raises(ConfigurationError, match="DATABRICKS_CLIENT_SECRET is not set in this process"):
        elsewhere.headers()


async def test_a_secret_that_a_pickle_left_in_a_file_is_read_in_a_thread(server: TokenServer, tmp_path: Path) -> None:
    file = tmp_path / "cfg"
    file.write_text(f"[p]\nclient_secret = {SECRET}\n")
    secret = Secret(SecretStr(SECRET), file=(file, "p", "client_secret"))
    opened: ClientCredentials = pickle.loads(pickle.dumps(ClientCredentials(server.origin, "id", secret)))
    reading: list[threading.Thread] = []
    revealed = Secret.reveal

    def reveal(self: Secret, **more: Any) -> str:
        reading.append(threading.current_thread())
        return revealed(self, **more)

    with pytest.MonkeyPatch.context() as changed:
        changed.setattr(Secret, "reveal", reveal)
        assert await opened.aheaders() == {"Authorization": "Bearer m2m-1"}
    assert reading[0] is not threading.current_thread()


@pytest.mark.parametrize("status", [201, 302, 400, 403, 404])
def test_a_token_in_an_answer_that_is_not_200_is_not_used(server: TokenServer, status: int) -> None:
    server.faults.append(Fault(status, b'{"access_token": "t", "expires_in": 60}'))
    credentials = ClientCredentials(server.origin, "id", Secret(SecretStr(SECRET)))
    with pytest.raises(DatabricksError, match=f" {status} "):
        credentials.headers()
