"""What users give as timeout=, and what httpx's exceptions become."""

from __future__ import annotations

import socket
import ssl
import time
from typing import Any

import httpx
import pytest

from kit.scripted import Received, Scripted, ScriptedServer, sse
from kit.ways import Way, four_ways
from langchain_dbchat import ChatDatabricksCompat
from langchain_dbchat.errors import (
    ConfigurationError,
    DatabricksConnectionError,
    DatabricksError,
    DatabricksTimeoutError,
)
from langchain_dbchat.transport.failures import failure_of
from langchain_dbchat.transport.messages import Request
from langchain_dbchat.transport.stream import NETWORK_ERRORS
from langchain_dbchat.transport.timeouts import Timeouts

WRAPPED = (2**32 + 200) / 1000
"""Seconds that are 200 ms in 32 bits."""
REQUEST = Request("https://h/x", {}, b"", "ep", "https://h")


@pytest.mark.parametrize(
    ("value", "timeouts"),
    [
        (None, Timeouts(10, 60, 60, 300, 120)),
        (5, Timeouts(5, 5, 5, 5, 5)),
        (0.5, Timeouts(0.5, 0.5, 0.5, 0.5, 0.5)),
        (600, Timeouts(10, 60, 60, 600, 600)),
        (httpx.Timeout(7), Timeouts(7, 7, 7, 7, 7)),
        (httpx.Timeout(7, connect=1, read=None), Timeouts(1, 7, 7, None, None)),
        (Timeouts(idle=1), Timeouts(10, 60, 60, 300, 1)),
        ((3, 60), Timeouts(3, 60, 60, 60, 60)),
        ([3, 60], Timeouts(3, 60, 60, 60, 60)),
        ((3, None), Timeouts(3, 60, 60, None, None)),
        ((3, 70, 5), Timeouts(3, 5, 60, 70, 70)),
        ((3, 70, 5, None), Timeouts(3, 5, None, 70, 70)),
        (2e6, Timeouts(10, 60, 60, 2e6, 2e6)),
        (WRAPPED, Timeouts(10, 60, 60, None, None)),
        (10**400, Timeouts(10, 60, 60, None, None)),
        (float("inf"), Timeouts(10, 60, 60, None, None)),
        ((1e10, 1e300, 2**63, 1e10), Timeouts(None, None, None, None, None)),
        (httpx.Timeout(1e300), Timeouts(None, None, None, None, None)),
    ],
)
def test_timeouts_of(value: Any, timeouts: Timeouts) -> None:
    assert Timeouts.of(value) == timeouts


@four_ways
@pytest.mark.parametrize("per_call", [False, True])
@pytest.mark.parametrize("value", [WRAPPED, 1e10, 1e300, 10**400, (1e10, 1e10), Timeouts(1e10, 1e10, 1e10, 1e10, 1e10)])
def test_longer_than_a_socket_can_wait_is_no_limit(call: Way, value: Any, per_call: bool) -> None:
    def late(request: Received) -> Scripted:
        time.sleep(0.4)
        choice = {"index": 0, "delta": {"content": "Hi."}, "message": {"content": "Hi."}, "finish_reason": "stop"}
        return Scripted(sse({"choices": [choice]}) if request.json.get("stream") else {"choices": [choice]})

    with ScriptedServer(late) as server:
        settings: dict[str, Any] = {"model": "e", "host": server.url, "token": "t", "max_retries": 0}
        llm = ChatDatabricksCompat(**settings, timeout=None if per_call else value)
        assert call(llm.bind(timeout=value) if per_call else llm, "Hi").text == "Hi."


@pytest.mark.parametrize("value", [0, -1, float("nan"), "10", True, object(), (1,), (1, 2, 3, 4, 5), (0, 2), ()])
def test_what_is_no_timeout(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="timeout: "):
        Timeouts.of(value)


@pytest.mark.parametrize(
    ("error", "kind", "sent", "words"),
    [
        (httpx.ConnectTimeout("x"), DatabricksTimeoutError, False, "timeout: connect"),
        (httpx.PoolTimeout("x"), DatabricksTimeoutError, False, "timeout: pool"),
        (httpx.WriteTimeout("x"), DatabricksTimeoutError, False, "timeout: write"),
        (httpx.ReadTimeout("x"), DatabricksTimeoutError, True, "timeout: first_event"),
        (httpx.ConnectError("x"), DatabricksConnectionError, False, "cannot be reached: x"),
        (httpx.ProxyError("x"), DatabricksConnectionError, False, "The proxy on the way"),
        (httpx.WriteError("x"), DatabricksConnectionError, False, "took no request"),
        (httpx.ReadError("x"), DatabricksConnectionError, True, "closed the connection"),
        (httpx.RemoteProtocolError("x"), DatabricksConnectionError, True, "closed the connection"),
        (httpx.CloseError(""), DatabricksConnectionError, True, "CloseError"),
        (httpx.UnsupportedProtocol("x"), ConfigurationError, False, "not an address"),
        (httpx.InvalidURL("x"), ConfigurationError, False, "not an address"),
        (httpx.LocalProtocolError("Illegal header value b's3cret'"), ConfigurationError, False, "line breaks"),
    ],
)
def test_what_went_wrong_on_the_way(error: Exception, kind: type[DatabricksError], sent: bool, words: str) -> None:
    assert isinstance(error, NETWORK_ERRORS)
    failure = failure_of(error, REQUEST, "TOKEN", Timeouts())
    assert type(failure.error) is kind
    assert failure.sent is sent
    assert words in failure.error.message
    assert "s3cret" not in failure.error.message
    assert (failure.error.host, failure.error.endpoint, failure.error.auth) == ("https://h", "ep", "TOKEN")
    assert failure.error.__cause__ is (None if kind is ConfigurationError else error)


def test_every_exception_of_httpx_has_a_row() -> None:
    def leaves(kind: type[Exception]) -> list[type[Exception]]:
        return [leaf for sub in kind.__subclasses__() for leaf in leaves(sub)] or [kind]

    for kind in leaves(httpx.HTTPError):
        # HTTPStatusError is raised by raise_for_status alone; other packages in the process derive theirs from httpx's.
        if kind is not httpx.HTTPStatusError and kind.__module__.startswith("httpx"):
            assert isinstance(failure_of(kind("x"), REQUEST, "TOKEN", Timeouts()).error, DatabricksError)


@pytest.mark.parametrize(
    ("cause", "advice"),
    [
        (ssl.SSLCertVerificationError(1, "self-signed certificate"), "SSL_CERT_FILE"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "spelling of DATABRICKS_HOST"),
    ],
)
def test_what_will_not_pass_by_itself_is_said_to_be_so(cause: Exception, advice: str) -> None:
    error = httpx.ConnectError("x")
    error.__cause__ = ConnectionError()
    error.__cause__.__context__ = cause
    failed = failure_of(error, REQUEST, "TOKEN", Timeouts()).error
    assert advice in failed.message
    assert isinstance(failed, DatabricksConnectionError)
    assert not failed.is_retryable
    passing = failure_of(httpx.ConnectError("refused"), REQUEST, "TOKEN", Timeouts()).error
    assert isinstance(passing, DatabricksConnectionError)
    assert passing.is_retryable


@pytest.mark.parametrize(
    ("host", "endpoint"), [("helper-1.aws.databricksapps.com", "helper"), ("127.0.0.1:8000", "apps/helper")]
)
def test_a_stopped_app_has_no_name_in_dns(host: str, endpoint: str) -> None:
    error = httpx.ConnectError("x")
    error.__cause__ = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    failed = failure_of(error, REQUEST._replace(host=host, endpoint=endpoint), "TOKEN", Timeouts()).error
    assert "the app is stopped or deleted" in failed.message
    assert "DATABRICKS_HOST" not in failed.message
