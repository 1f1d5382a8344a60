from __future__ import annotations

import asyncio
import json
import os
import pickle
from contextvars import ContextVar
from typing import TYPE_CHECKING

import pytest
from blockbuster import blockbuster_ctx
from pydantic import SecretStr

from kit.token_server import Fault
from langchain_dbchat.auth import posit
from langchain_dbchat.auth.resolver import resolve
from langchain_dbchat.auth.settings import AuthSettings
from langchain_dbchat.auth.tokens import TokenCells
from langchain_dbchat.errors import ConfigurationError, DatabricksAuthenticationError

if TYPE_CHECKING:
    from pathlib import Path

    from kit.token_server import TokenServer
    from langchain_dbchat.transport.signing import Credentials

pytestmark = pytest.mark.usefixtures("hermetic")
HOST = "https://dbc-1.cloud.databricks.com"
viewer: ContextVar[str] = ContextVar("viewer")


@pytest.fixture
def connect(server: TokenServer, monkeypatch: pytest.MonkeyPatch) -> TokenServer:
    monkeypatch.setenv("POSIT_PRODUCT", "CONNECT")
    monkeypatch.setenv("CONNECT_SERVER", f"{server.origin}/")
    monkeypatch.setenv("CONNECT_API_KEY", "connect-key")
    return server


def sign_in(**arguments: object) -> Credentials:
    return resolve(AuthSettings(host=HOST, **arguments)).credentials  # type: ignore[arg-type]  # any argument


def test_a_viewers_session_token_is_exchanged_once(connect: TokenServer) -> None:
    for _ in range(3):
        assert sign_in(user_session_token="ada").headers() == {"Authorization": "Bearer ada-1"}
    (post,) = connect.posts
    assert post.path == "/__api__/v1/oauth/integrations/credentials"
    assert post.headers["authorization"] == "Key connect-key"
    assert post.form == {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token_type": "urn:posit:connect:user-session-token",
        "subject_token": "ada",
    }


def test_the_audience_names_the_integration(connect: TokenServer) -> None:
    sign_in(user_session_token="ada", audience="guid").headers()
    assert connect.posts[0].form["audience"] == "guid"


def test_a_viewer_goes_before_tokens_of_the_environment(connect: TokenServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABRICKS_TOKEN", "the-publishers")
    assert sign_in(user_session_token="ada").headers() == {"Authorization": "Bearer ada-1"}
    assert len(connect.posts) == 1


async def test_two_hundred_viewers_at_once_never_get_each_others_token(connect: TokenServer) -> None:
    signer = sign_in(user_session_token=viewer.get)

    async def request(number: int) -> None:
        viewer.set(f"viewer{number % 40}")
        for _ in range(3):
            headers = await signer.aheaders()
            assert headers["Authorization"].startswith(f"Bearer viewer{number % 40}-")

    await asyncio.gather(*(request(number) for number in range(200)))
    assert len(connect.posts) == 40


def test_only_as_many_viewers_as_the_limit_are_remembered(
    connect: TokenServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posit, "CELLS", TokenCells(limit=3))
    for name in "abcd":
        sign_in(user_session_token=name).headers()
    assert len(posit.CELLS) == 3
    assert len(connect.posts) == 4
    assert sign_in(user_session_token="a").headers() == {"Authorization": "Bearer a-5"}


async def test_a_refused_token_is_exchanged_again(connect: TokenServer) -> None:
    signer = sign_in(user_session_token="ada")
    await signer.aheaders()
    assert await signer.aheaders(refresh=True) == {"Authorization": "Bearer ada-2"}
    assert len(connect.posts) == 2


@pytest.mark.parametrize("empty", [None, "", 3])
def test_a_callable_without_a_session_is_told_which_header(connect: TokenServer, empty: object) -> None:
    signer = sign_in(user_session_token=lambda: empty)
    with pytest.raises(ConfigurationError, match="Posit-Connect-User-Session-Token"):
        signer.headers()
    assert connect.posts == []


def test_off_connect_a_viewer_is_refused_rather_than_somebody_else_signed_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABRICKS_TOKEN", "the-publishers")
    with pytest.raises(ConfigurationError, match="Posit Connect only"):
        sign_in(user_session_token="ada")


def test_error_212_says_what_to_add(connect: TokenServer) -> None:
    said = {"error_code": 212, "error_message": "No OAuth integrations have been associated with this content item."}
    connect.faults = [Fault(400, json.dumps(said).encode())]
    with pytest.raises(DatabricksAuthenticationError, match=r"212: No OAuth integrations.*docs\.posit\.co"):
        sign_in(user_session_token="ada").headers()


def test_the_service_account_reads_its_file_anew(
    connect: TokenServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "session"
    file.write_text("content1\n")
    monkeypatch.setenv("CONNECT_CONTENT_SESSION_TOKEN_FILE", str(file))
    monkeypatch.setenv("CONNECT_CONTENT_SESSION_TOKEN", "not-this")
    signer = sign_in()
    assert signer.name == "Posit Connect service account"
    assert signer.headers() == {"Authorization": "Bearer content1-1"}
    file.write_text("content2")
    assert signer.headers() == {"Authorization": "Bearer content2-2"}
    assert connect.posts[0].form["subject_token_type"] == "urn:posit:connect:content-session-token"
    file.unlink()
    with pytest.raises(ConfigurationError, match="CONNECT_CONTENT_SESSION_TOKEN_FILE"):
        signer.headers()


def test_the_service_account_gives_way_to_a_token(connect: TokenServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONNECT_CONTENT_SESSION_TOKEN", "content")
    assert sign_in().headers() == {"Authorization": "Bearer content-1"}
    monkeypatch.setenv("DATABRICKS_TOKEN", "abc")
    assert sign_in().headers() == {"Authorization": "Bearer abc"}
    assert len(connect.posts) == 1


def test_connects_key_and_content_token_stay_out_of_pickles(
    connect: TokenServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONNECT_CONTENT_SESSION_TOKEN", "content-session")
    signer = sign_in()
    signer.headers()
    data = pickle.dumps(signer)
    assert b"connect-key" not in data
    assert b"content-session" not in data.replace(b"urn:posit:connect:content-session-token", b"")
    opened: Credentials = pickle.loads(data)
    assert opened.headers() == signer.headers()
    assert len(connect.posts) == 1


@pytest.fixture
def workbench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "posit-workbench" / "databricks.cfg"
    file.parent.mkdir()
    file.write_text(f"[workbench]\nhost = {HOST}\ntoken = first\n")
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(file))
    return file


async def test_workbenchs_file_is_read_again_when_it_changes(workbench: Path) -> None:
    signed = resolve(AuthSettings())
    assert (signed.step, signed.workspace.origin) == ("Posit Workbench", HOST)
    signer = signed.credentials
    assert signer.headers() == {"Authorization": "Bearer first"}
    for token in ("second-token", "third"):
        await asyncio.to_thread(workbench.write_text, f"[workbench]\nhost = {HOST}\ntoken = {token}\n")
        with blockbuster_ctx():
            assert await signer.aheaders() == {"Authorization": f"Bearer {token}"}


def test_a_refused_token_is_read_again_even_if_the_file_looks_unchanged(workbench: Path) -> None:
    signer = resolve(AuthSettings()).credentials
    signer.headers()
    status = workbench.stat()
    text = workbench.read_text().replace("first", "other")
    workbench.write_text(text)
    os.utime(workbench, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert signer.headers(refresh=True) == {"Authorization": "Bearer other"}


def test_while_the_file_is_rewritten_the_last_token_is_used_once_more(workbench: Path) -> None:
    signer = resolve(AuthSettings()).credentials
    signer.headers()
    for broken in ("", "[workb", f"[workbench]\nhost = {HOST}\ntoken =\n"):
        workbench.write_text(broken)
        assert signer.headers() == {"Authorization": "Bearer first"}
        with pytest.raises(ConfigurationError, match=r"databricks\.cfg"):
            signer.headers(refresh=True)
    workbench.unlink()
    assert signer.headers() == {"Authorization": "Bearer first"}
    with pytest.raises(ConfigurationError, match="does not exist"):
        signer.headers(refresh=True)


def test_workbenchs_token_is_not_sent_to_another_host(workbench: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"is for https://dbc-1.*, not for other\.example\.com"):
        resolve(AuthSettings(host="https://other.example.com"))
    assert workbench.exists()


def test_workbench_without_a_session_says_so(workbench: Path) -> None:
    workbench.write_text(f"[workbench]\nhost = {HOST}\n")
    with pytest.raises(ConfigurationError, match="is a Databricks session selected in Workbench"):
        resolve(AuthSettings())


def test_the_session_token_is_in_no_repr(connect: TokenServer) -> None:
    settings = AuthSettings(host=HOST, user_session_token="hush-hush")
    assert "hush" not in repr(settings)
    assert "hush" not in repr(resolve(settings))
    assert "connect-key" not in repr(resolve(settings))
    assert isinstance(settings.user_session_token, SecretStr)
    assert connect.posts == []
