"""Databricks Apps: found by their name in a workspace, called with OAuth tokens only, and what their refusals mean."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from kit.scripted import Received, Scripted, ScriptedServer, sse
from kit.ways import Way, four_ways, invoke
from langchain_dbchat import ChatDatabricksCompat
from langchain_dbchat.errors import (
    ConfigurationError,
    DatabricksAPIError,
    DatabricksAuthenticationError,
    DatabricksError,
    DatabricksNotFoundError,
    DatabricksPermissionDeniedError,
    DatabricksTimeoutError,
)
from langchain_dbchat.errors.answers import error_from_response

OAUTH = "eyJhbGciOiJSUzI1NiJ9.e30.c2lnbmF0dXJl"
PAT = "dapi0123456789abcdef"
_names = itertools.count()


class AppServer(ScriptedServer):
    """A workspace with one app, which it serves itself below ``/its-app``."""

    def __init__(self, **described: Any) -> None:
        super().__init__(self._reply)
        self.described = described
        self.refusal: Scripted | None = None

    def _reply(self, received: Received) -> Scripted:
        if received.path.startswith("/api/2.0/apps/"):
            name = received.path.rpartition("/")[2]
            return Scripted({"name": name, "url": f"{self.url}/its-app", **self.described})
        if self.refusal is not None:
            return self.refusal
        head = {"id": "1", "model": "m"}
        if received.json.get("stream"):
            choice = {"index": 0, "delta": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
        else:
            choice = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
        answer = {**head, "choices": [choice]}
        return Scripted(sse(answer) if received.json.get("stream") else answer)

    def model(self, token: str = OAUTH, **settings: Any) -> ChatDatabricksCompat:
        """A model that calls an app with a name of its own, because URLs are cached for the process."""
        name = settings.pop("model", f"apps/helper-{next(_names)}")
        return ChatDatabricksCompat(model=name, host=self.url, token=token, max_retries=0, api="chat", **settings)


@pytest.fixture
def server() -> Iterator[AppServer]:
    with AppServer(compute_status={"state": "ACTIVE"}) as running:
        yield running


@four_ways
def test_an_app_is_found_by_its_name_once(call: Way, server: AppServer) -> None:
    model = server.model()
    assert call(model, "Hello!").text == "Hi"
    assert call(model, "Hello!").text == "Hi"
    name = model.model.removeprefix("apps/")
    assert [(received.method, received.path) for received in server.requests] == [
        ("GET", f"/api/2.0/apps/{name}"),
        ("POST", "/its-app/chat/completions"),
        ("POST", "/its-app/chat/completions"),
    ]
    assert {received.headers["authorization"] for received in server.requests} == {f"Bearer {OAUTH}"}


@four_ways
def test_a_personal_access_token_is_refused_before_anything_is_sent(call: Way, server: AppServer) -> None:
    with pytest.raises(ConfigurationError, match="accepts OAuth tokens only") as caught:
        call(server.model(PAT), "Hello!")
    assert "Nothing was sent" in str(caught.value)
    assert "client_id" in str(caught.value)
    assert PAT not in str(caught.value)
    assert server.requests == []


@four_ways
@pytest.mark.parametrize("token", [PAT, f"Bearer {PAT}"])
def test_a_personal_access_token_is_refused_at_an_apps_url(call: Way, token: str) -> None:
    model = ChatDatabricksCompat(model="helper", host="https://helper-123.aws.databricksapps.com", token=token)
    with pytest.raises(ConfigurationError, match=r"helper-123.aws.databricksapps.com accepts OAuth tokens only"):
        call(model, "Hello!")


@four_ways
def test_a_call_may_name_an_app(call: Way, server: AppServer) -> None:
    model = server.model(model="databricks-claude-sonnet-4-6")
    assert call(model, "Hello!").text == "Hi"
    assert call(model.bind(model="apps/other"), "Hello!").text == "Hi"
    assert [received.path for received in server.requests] == [
        "/serving-endpoints/databricks-claude-sonnet-4-6/invocations",
        "/api/2.0/apps/other",
        "/its-app/chat/completions",
    ]


@four_ways
def test_discovery_does_not_ask_for_a_serving_endpoint_of_an_apps_name(call: Way, server: AppServer) -> None:
    call(server.model(family="discover"), "Hello!")
    assert [received.path.partition("helper")[0] for received in server.requests] == [
        "/api/2.0/apps/",
        "/its-app/chat/completions",
    ]


@pytest.mark.parametrize("name", ["apps/", "apps//"])
def test_an_app_needs_a_name(name: str, server: AppServer) -> None:
    with pytest.raises(ConfigurationError, match="does not name an app"):
        invoke(server.model(model=name), "Hello!")
    assert server.requests == []


@four_ways
@pytest.mark.parametrize("state", ["STOPPED", "STOPPING", "DELETING"])
def test_a_stopped_app_is_not_called(call: Way, state: str) -> None:
    with AppServer(compute_status={"state": state}) as server:
        model = server.model()
        for _ in range(2):  # it may be started at any time
            with pytest.raises(DatabricksAPIError, match=f"is {state.lower()}.*databricks apps start"):
                call(model, "Hello!")
        assert [received.method for received in server.requests] == ["GET", "GET"]


@four_ways
@pytest.mark.parametrize("url", [None, "", 3])
def test_an_app_that_was_never_deployed_has_no_url(call: Way, url: Any) -> None:
    with AppServer(url=url) as server, pytest.raises(DatabricksAPIError, match="no URL"):
        call(server.model(), "Hello!")


@pytest.mark.parametrize(
    "url", ["https://example.com", "https://databricksapps.com.example.com", "http://x.com:80/app"]
)
def test_a_token_is_not_sent_to_a_host_that_is_no_app(url: str) -> None:
    with AppServer(url=url) as server:
        with pytest.raises(ConfigurationError):
            invoke(server.model(), "Hello!")
        assert len(server.requests) == 1


@four_ways
def test_an_app_that_does_not_exist(call: Way) -> None:
    body = {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "App with name x does not exist or is deleted."}
    with ScriptedServer(lambda _: Scripted(body, 404)) as server:
        model = ChatDatabricksCompat(model="apps/x", host=server.url, token=OAUTH, max_retries=0)
        with pytest.raises(DatabricksNotFoundError, match="databricks apps list"):
            call(model, "Hello!")


PAGE = "<html><head><title>Upstream timeout</title></head><body>timeout</body></html>"


@four_ways
@pytest.mark.parametrize(
    ("reply", "kind", "advice"),
    [
        (Scripted({"detail": "Not Found"}, 404), DatabricksNotFoundError, "AgentServer serves /invocations"),
        (Scripted({"detail": "Method Not Allowed"}, 405), DatabricksError, "AgentServer serves /invocations"),
        (Scripted("", 403), DatabricksPermissionDeniedError, "CAN USE on the app"),
        (Scripted({}, 401), DatabricksAuthenticationError, "OAuth tokens only"),
        (
            Scripted("", 302, headers={"location": "https://x.cloud.databricks.com/oidc/oauth2/v2.0/authorize?c=1"}),
            DatabricksAuthenticationError,
            "OAuth tokens only",
        ),
        (Scripted(PAGE, 504, headers={"content-type": "text/html"}), DatabricksTimeoutError, "120 s"),
        (Scripted({"detail": "boom"}, 500), DatabricksAPIError, "logs"),
        (Scripted("App Not Available", 503), DatabricksAPIError, "logs"),
    ],
)
def test_what_the_refusals_of_an_app_mean(
    call: Way, reply: Scripted, kind: type[DatabricksError], advice: str, server: AppServer
) -> None:
    server.refusal = reply
    with pytest.raises(kind, match=advice):
        call(server.model(), "Hello!")


def test_an_apps_host_is_enough_for_that_advice() -> None:
    host = "helper-123.aws.databricksapps.com"
    error = error_from_response(status=403, headers={}, body=b"", endpoint="helper", host=host)
    assert "CAN USE on the app" in str(error)
