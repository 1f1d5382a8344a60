"""One language of faults: the workspace and the proxy in front of it do the same, and meet the same requests."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from pydantic_core import from_json

from langchain_dbchat import local
from langchain_dbchat.local import Fault, FaultProxy, LocalWorkspace
from langchain_dbchat.local.faults.named import NAMED
from langchain_dbchat.local.faults.plan import FaultPlan

GEMINI = "databricks-gemini-3-5-flash"
CLAUDE = "databricks-claude-sonnet-4-6"
BODY = {"messages": [{"role": "user", "content": "The sky over Oslo is wide and blue."}]}
Outcome = tuple[Any, ...]


@pytest.fixture(scope="module")
def own() -> Iterator[LocalWorkspace]:
    with LocalWorkspace() as workspace:
        yield workspace


def call(host: str, token: str, *, stream: bool = True, model: str = GEMINI, timeout: float = 5) -> Outcome:
    """What a plain client gets: the status, what it could read, and how that ended."""
    body = b""
    status = 0
    try:
        with httpx.stream(
            "POST",
            f"{host}/serving-endpoints/{model}/invocations",
            json={**BODY, "stream": stream},
            headers={"authorization": f"Bearer {token}"},
            timeout=timeout,
            trust_env=False,
        ) as response:
            status = response.status_code
            for piece in response.iter_raw():
                body += piece
    except httpx.HTTPError as error:
        return status, readable(body), type(error)
    return status, readable(body), None


def readable(body: bytes) -> list[Any]:
    """The events that arrived, or the whole body, without what differs from answer to answer."""
    texts = body.decode("latin-1").split("\n\n")
    return [_words(text.removeprefix("data: ")) for text in texts if text and not text.startswith(":")]


def _words(text: str) -> Any:
    try:
        parsed = from_json(text)
    except ValueError:
        return "[DONE]" if text == "[DONE]" else "not JSON"
    return parsed.get("choices", parsed)


def through_proxy(workspace: LocalWorkspace, fault: Fault, **how: Any) -> Outcome:
    with FaultProxy(workspace.host, [fault]) as proxy:
        return call(proxy.host, workspace.token, **how)


def in_workspace(workspace: LocalWorkspace, fault: Fault, **how: Any) -> Outcome:
    workspace.inject(fault)
    return call(workspace.host, workspace.token, **how)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("fault", "ends_in"),
    [
        (Fault(status=503), None),
        (Fault(status=400, body="no"), None),
        (Fault(status=200, body={"choices": []}, headers={"x-own": "1"}), None),
        *((Fault.named(name), None) for name in NAMED),
        (Fault(lose=True), httpx.RemoteProtocolError),
        (Fault(lose=True, reset=True), httpx.ReadError),
        (Fault(cut_after=300), httpx.RemoteProtocolError),
        (Fault(cut_after_events=0), httpx.RemoteProtocolError),
        (Fault(not_http=True), httpx.RemoteProtocolError),
        (Fault(garbage_after=300), None),
        (Fault(drip=0.001, piece=100), None),
        (Fault(latency=0.01), None),
    ],
    ids=lambda value: repr(value)[:60] if isinstance(value, Fault) else "",
)
def test_the_workspace_does_what_the_proxy_does(
    own: LocalWorkspace, fault: Fault, ends_in: type | None, stream: bool
) -> None:
    outcome = in_workspace(own, fault, stream=stream)
    assert outcome == through_proxy(own, fault, stream=stream)
    assert outcome[2] is ends_in
    assert call(own.host, own.token)[0] == 200


@pytest.mark.parametrize("fault", [Fault(cut_after_events=3), Fault(duplicate=1), Fault(swap=1)])
def test_events_go_wrong_in_the_same_way(own: LocalWorkspace, fault: Fault) -> None:
    _, right, _ = call(own.host, own.token)
    status, wrong, error = in_workspace(own, fault)
    assert (status, wrong, error) == through_proxy(own, fault)
    expected = {
        "cut": right[:3],
        "duplicate": [right[0], right[1], *right[1:]],
        "swap": [right[0], right[2], right[1], *right[3:]],
    }
    kind = "cut" if fault.cut_after_events else "swap" if fault.swap is not None else "duplicate"
    assert wrong == expected[kind]


@pytest.mark.parametrize("where", [in_workspace, through_proxy])
def test_comments_do_not_end_until_the_client_leaves(own: LocalWorkspace, where: Any) -> None:
    _, right, _ = call(own.host, own.token)
    fault = Fault(comments_after=2)
    if where is through_proxy:
        with FaultProxy(own.host, [fault]) as proxy:
            _comments(proxy.host, own.token, right)
        return
    own.inject(fault)
    _comments(own.host, own.token, right)


def _comments(host: str, token: str, right: list[Any]) -> None:
    body = b""
    headers = {"authorization": f"Bearer {token}"}
    url = f"{host}/serving-endpoints/{GEMINI}/invocations"
    with httpx.stream("POST", url, json={**BODY, "stream": True}, headers=headers, trust_env=False) as response:
        for piece in response.iter_raw():
            body += piece
            if body.count(b": keep-alive\n\n") == 3:
                break
    assert readable(body) == right[:2]


@pytest.mark.parametrize("fault", [Fault(latency=0.3), Fault(drip=0.1, piece=1000), Fault(status=429, latency=0.3)])
@pytest.mark.parametrize("where", [in_workspace, through_proxy])
def test_slowness_takes_its_time(own: LocalWorkspace, where: Any, fault: Fault) -> None:
    began = time.monotonic()
    where(own, fault)
    assert time.monotonic() - began >= 0.3


@pytest.mark.parametrize("where", ["workspace", "proxy"])
def test_which_requests_meet_a_fault(where: str) -> None:
    fault = Fault(status=503, every=3, times=2, model=GEMINI)
    with LocalWorkspace() as workspace, FaultProxy(workspace.host, [fault] if where == "proxy" else []) as proxy:
        if where == "workspace":
            workspace.inject(fault)
        gemini = [call(proxy.host, workspace.token)[0] for _ in range(4)]
        others = [call(proxy.host, workspace.token, model=CLAUDE)[0] for _ in range(3)]
        rest = [call(proxy.host, workspace.token)[0] for _ in range(6)]
    assert gemini == [200, 200, 503, 200]
    assert others == [200, 200, 200]
    assert rest == [200, 503, 200, 200, 200, 200]


def test_a_model_is_found_in_the_body_too(own: LocalWorkspace) -> None:
    own.fail_next(503, model=GEMINI)
    with httpx.Client(headers={"authorization": f"Bearer {own.token}"}, trust_env=False) as client:
        url = f"{own.host}/serving-endpoints/chat/completions"
        assert client.post(url, json={**BODY, "model": CLAUDE}).status_code == 200
        assert client.post(url, json={**BODY, "model": GEMINI}).status_code == 503


def test_a_fault_without_an_end() -> None:
    plan = FaultPlan([Fault(status=500, times=None)])
    assert all(plan.take("/x", b"") for _ in range(100))


def test_a_plan_takes_faults_from_another_thread() -> None:
    plan = FaultPlan()
    met = 0

    def add() -> None:
        for _ in range(500):
            plan.add(Fault(status=500))

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    end = time.monotonic() + 10
    while met < 2000 and time.monotonic() < end:
        met += plan.take("/x", b"") is not None
    for thread in threads:
        thread.join()
    assert met == 2000


def test_the_same_name_means_the_same_everywhere() -> None:
    assert local.Mishap is Fault
    assert Fault.rate_limit(2, retry_after=1) == Fault.named("rate_limit", times=2, headers={"retry-after": "1"})
    assert Fault.invalid_token() == Fault.named("expired_token")
    assert Fault.invalid_token(status=401) == Fault.named("unknown_token")
    assert Fault.login_page() == Fault.named("login_page")


@pytest.mark.parametrize(
    "wrong",
    [{"every": 0}, {"cut_after_events": -1}, {"status": 500, "message": {}}, {"message": {}, "chunks": []}],
    ids=str,
)
def test_a_fault_that_means_nothing_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must|one answer"):
        Fault(**wrong)


def test_a_fault_of_no_name() -> None:
    with pytest.raises(ValueError, match="input_guardrail"):
        Fault.named("no-such-fault")


def test_a_plan_may_let_requests_pass(workspace: LocalWorkspace) -> None:
    workspace.inject(None, Fault(status=503, times=1), None, None, Fault(status=429, times=1))
    headers = {"authorization": f"Bearer {workspace.token}"}
    with httpx.Client(base_url=workspace.host, headers=headers, trust_env=False) as client:
        found = [client.get("/api/2.0/serving-endpoints").status_code for _ in range(6)]
    assert found == [200, 503, 200, 200, 429, 200]
