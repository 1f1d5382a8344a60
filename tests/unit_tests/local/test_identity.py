"""Who gets in: personal tokens, OAuth tokens, and what the workspace says of itself (docs/wire.md, 6.1, 6.2, 11)."""

from __future__ import annotations

import base64
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING

import httpx
import pytest

from langchain_dbchat.local import LocalWorkspace
from langchain_dbchat.local.server import identity

if TYPE_CHECKING:
    from collections.abc import Iterator

CHAT = "/serving-endpoints/databricks-claude-sonnet-4-6/invocations"
HI = {"messages": [{"role": "user", "content": "Hi"}]}
FORM = {"grant_type": "client_credentials", "scope": "all-apis"}


@pytest.fixture(scope="module")
def brief() -> Iterator[LocalWorkspace]:
    """A workspace whose OAuth tokens live for a minute."""
    with LocalWorkspace(token_lifetime=60.0, token="dapi-mine") as workspace:
        yield workspace


def post(workspace: LocalWorkspace, authorization: str | None) -> httpx.Response:
    headers = {} if authorization is None else {"authorization": authorization}
    return httpx.post(workspace.host + CHAT, json=HI, headers=headers)


def basic(user: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{secret}".encode()).decode()


def test_a_token_of_ones_own(brief: LocalWorkspace) -> None:
    assert brief.token == "dapi-mine"
    assert post(brief, "Bearer dapi-mine").status_code == 200
    assert post(brief, basic("token", "dapi-mine")).status_code == 200


@pytest.mark.parametrize(
    "authorization",
    [None, "Bearer", "Bearer dapi-other", "dapi-mine", basic("me", "dapi-mine"), basic("token", "x"), "Basic %%%"],
)
def test_a_wrong_token(brief: LocalWorkspace, authorization: str | None) -> None:
    response = post(brief, authorization)
    assert response.status_code == 401
    assert response.json() == {
        "error_code": 401,
        "message": "Credential was not sent or was of an unsupported type for this API.",
    }
    assert response.headers["x-request-id"]


def test_tokens_are_drawn_anew(brief: LocalWorkspace) -> None:
    with LocalWorkspace() as other:
        assert other.token.startswith("dapi")
        assert other.token != brief.token
        assert other.client_secret != brief.client_secret


def test_client_credentials(brief: LocalWorkspace, monkeypatch: pytest.MonkeyPatch) -> None:
    auth = (brief.client_id, brief.client_secret)
    granted = httpx.post(f"{brief.host}/oidc/v1/token", data=FORM, auth=auth).json()
    assert granted["token_type"] == "Bearer"
    assert granted["expires_in"] == 60
    assert granted["access_token"].count(".") == 2
    assert post(brief, f"Bearer {granted['access_token']}").status_code == 200
    in_a_minute = SimpleNamespace(time=time.time, monotonic=lambda: time.monotonic() + 60)
    monkeypatch.setattr(identity, "time", in_a_minute)
    expired = post(brief, f"Bearer {granted['access_token']}")
    assert (expired.status_code, expired.text) == (403, "Invalid Token")
    again = httpx.post(f"{brief.host}/oidc/v1/token", data=FORM, auth=auth).json()
    assert again["access_token"] != granted["access_token"]
    assert post(brief, f"Bearer {again['access_token']}").status_code == 200


@pytest.mark.parametrize(
    ("auth", "form", "status", "error"),
    [
        ("wrong", FORM, 401, "invalid_client"),
        (None, FORM, 401, "invalid_client"),
        ("right", {**FORM, "grant_type": "password"}, 400, "unsupported_grant_type"),
        ("right", {"grant_type": "client_credentials"}, 400, "invalid_scope"),
    ],
)
def test_refused_grants(brief: LocalWorkspace, auth: str | None, form: dict[str, str], status: int, error: str) -> None:
    secret = {"right": brief.client_secret, "wrong": "dose-wrong"}.get(auth or "", "")
    headers = {"authorization": basic(brief.client_id, secret)} if auth else {}
    response = httpx.post(f"{brief.host}/oidc/v1/token", data=form, headers=headers)
    assert (response.status_code, response.json()["error"]) == (status, error)


def test_discovery_needs_no_token(brief: LocalWorkspace) -> None:
    config = httpx.get(f"{brief.host}/.well-known/databricks-config").json()
    assert config["oidc_endpoint"] == f"{brief.host}/oidc"
    oidc = httpx.get(f"{config['oidc_endpoint']}/.well-known/oauth-authorization-server").json()
    assert oidc["token_endpoint"] == f"{brief.host}/oidc/v1/token"


def test_who_am_i(client: httpx.Client, brief: LocalWorkspace) -> None:
    assert "@" in client.get("/api/2.0/preview/scim/v2/Me").json()["userName"]
    assert httpx.get(f"{brief.host}/api/2.0/preview/scim/v2/Me").status_code == 401


def test_databricks_own_client_signs_in(workspace: LocalWorkspace) -> None:
    """The SDK, which is not ours, finds the token endpoint and gets in."""
    config = pytest.importorskip("databricks.sdk.core", reason="wants databricks-sdk").Config(
        host=workspace.host, client_id=workspace.client_id, client_secret=workspace.client_secret
    )
    headers = config.authenticate()
    assert httpx.post(workspace.host + CHAT, json=HI, headers=headers).status_code == 200
