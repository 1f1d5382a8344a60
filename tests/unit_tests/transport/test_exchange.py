"""The exchange, driven by hand: every decision, no byte, no sleep."""

from __future__ import annotations

from dataclasses import dataclass, field
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

import pytest
from pydantic_core import to_json

from langchain_dbchat.errors import (
    ConfigurationError,
    DatabricksAPIError,
    DatabricksAuthenticationError,
    DatabricksConnectionError,
    DatabricksError,
    DatabricksInvalidRequestError,
    DatabricksNotFoundError,
    DatabricksPermissionDeniedError,
    DatabricksRateLimitError,
    DatabricksTimeoutError,
    MalformedResponseError,
)
from langchain_dbchat.transport.content import Content
from langchain_dbchat.transport.exchange import LESSONS, Failure, Pause, RetryPolicy, Send, exchange
from langchain_dbchat.transport.messages import Reply, Request

if TYPE_CHECKING:
    from collections.abc import Callable

REQUEST = Request("https://host/x", {}, b'{"a":1,"b":2}', "ep", "https://host")
OK = Reply(200, {"content-type": "application/json"}, Content(b"{}"))


@dataclass
class Drive:
    """Runs an exchange against outcomes; each attempt takes `attempt_seconds` on the clock."""

    outcomes: list[Any]
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    request: Request = REQUEST
    revise: Callable[[DatabricksError], Request | None] | None = None
    dice: float = 0.5
    attempt_seconds: float = 0.0
    now: float = 1000.0
    sends: list[Send] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)

    def run(self) -> Reply:
        steps = exchange(
            self.request, self.policy, clock=lambda: self.now, dice=lambda: self.dice, auth="TOKEN", revise=self.revise
        )
        outcome: Reply | Failure | None = None
        rest = iter(self.outcomes)
        try:
            while True:
                wanted = steps.send(outcome)
                if isinstance(wanted, Pause):
                    self.pauses.append(wanted.seconds)
                    self.now += wanted.seconds
                    outcome = None
                else:
                    self.sends.append(wanted)
                    self.now += self.attempt_seconds
                    outcome = next(rest)
        except StopIteration as end:
            reply: Reply = end.value
            return reply

    def fails(self, kind: type[DatabricksError]) -> DatabricksError:
        with pytest.raises(kind) as caught:
            self.run()
        assert type(caught.value) is kind
        return caught.value


def reply(status: int, body: Any = b"", **headers: str) -> Reply:
    data = body if isinstance(body, bytes) else to_json(body)
    return Reply(status, {name.replace("_", "-"): value for name, value in headers.items()}, Content(data))


def unsent() -> Failure:
    return Failure(DatabricksConnectionError("refused"), sent=False)


def unanswered() -> Failure:
    return Failure(DatabricksTimeoutError("silence"), sent=True)


def test_the_answer_is_returned_as_it_is() -> None:
    drive = Drive([OK])
    assert drive.run() is OK
    assert drive.sends == [Send(REQUEST, refresh=False)]
    opened = Reply(200, {"content-type": "text/event-stream"}, None)
    assert Drive([opened]).run() is opened


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_passing_failures_are_sent_again(status: int) -> None:
    drive = Drive([reply(status), reply(status), OK])
    assert drive.run() is OK
    assert len(drive.sends) == 3
    assert drive.pauses == [0.25, 0.5]


@pytest.mark.parametrize("status", [400, 402, 404, 405, 409, 413, 422, 501])
def test_other_failures_are_not_sent_again(status: int) -> None:
    drive = Drive([reply(status), OK])
    with pytest.raises(DatabricksError) as caught:
        drive.run()
    assert caught.value.status_code == status
    assert len(drive.sends) == 1


def test_a_failure_that_will_not_pass_is_not_sent_again_whatever_its_status() -> None:
    Drive([reply(500, {"error_code": "ENDPOINT_NOT_FOUND", "message": "no"}), OK]).fails(DatabricksNotFoundError)
    hopeless = DatabricksConnectionError("certificate")
    hopeless.is_retryable = False
    Drive([Failure(hopeless, sent=False), OK]).fails(DatabricksConnectionError)
    Drive([Failure(ConfigurationError("url"), sent=False), OK]).fails(ConfigurationError)


def test_max_retries_and_the_last_error_tells_of_all_attempts() -> None:
    drive = Drive([reply(503, {"message": "one"}), unsent(), reply(429, {"message": "three"})], RetryPolicy(2))
    error = drive.fails(DatabricksRateLimitError)
    assert len(drive.sends) == 3
    notes = error.__dict__["__notes__"]
    assert notes[0].startswith("attempt 1: HTTP 503: one -> waited 0.2")
    assert notes[1].startswith("attempt 2: refused -> waited 0.5")
    assert notes[2].startswith("attempt 3: HTTP 429: three -> given up after 2 retries")
    assert len(notes) == 3


def test_no_retries_at_all() -> None:
    drive = Drive([reply(503), OK], RetryPolicy(0))
    drive.fails(DatabricksAPIError)
    assert drive.pauses == []


def test_an_error_at_once_has_no_notes() -> None:
    assert "__notes__" not in Drive([reply(404)]).fails(DatabricksNotFoundError).__dict__


def test_full_jitter_doubles_up_to_the_cap() -> None:
    policy = RetryPolicy(max_retries=6, deadline=1000, base=1, cap=8)
    drive = Drive([reply(500)] * 6 + [OK], policy, dice=1.0)
    drive.run()
    assert drive.pauses == [1, 2, 4, 8, 8, 8]
    drive = Drive([reply(500)] * 3 + [OK], policy, dice=0.0)
    drive.run()
    assert drive.pauses == [0, 0, 0]


def test_only_the_first_pause_after_a_broken_connection_is_short() -> None:
    drive = Drive([unsent(), unsent(), unsent(), OK], dice=1.0)
    drive.run()
    assert drive.pauses == [0.05, 1, 2]
    drive = Drive([reply(503), unsent(), OK], dice=1.0)
    drive.run()
    assert drive.pauses == [0.5, 1]
    slow = Failure(DatabricksTimeoutError("no connection"), sent=False)
    drive = Drive([slow, OK], dice=1.0)
    drive.run()
    assert drive.pauses == [0.5]


def test_retry_after_is_obeyed_in_every_form() -> None:
    seconds = reply(429, retry_after="7")
    milliseconds = reply(429, retry_after_ms="1500")
    date = reply(503, date=formatdate(1_700_000_000, usegmt=True), retry_after=formatdate(1_700_000_009, usegmt=True))
    nested = reply(429, {"error": {"message": "slow", "retry_after": 15}})
    top = reply(429, {"message": "slow", "retry_after": "2"})
    past = reply(503, date=formatdate(1_700_000_009, usegmt=True), retry_after=formatdate(1_700_000_000, usegmt=True))
    nonsense = reply(429, retry_after="soon")
    drive = Drive([seconds, milliseconds, date, nested, top, past, nonsense, OK], RetryPolicy(9), dice=0.0)
    drive.run()
    assert drive.pauses == [7, 1.5, 9, 15, 2, 0, 0]


def test_a_wait_longer_than_the_deadline_is_not_begun() -> None:
    drive = Drive([reply(429, retry_after="3"), reply(429, retry_after="118"), OK])
    error = drive.fails(DatabricksRateLimitError)
    assert drive.pauses == [3]
    assert error.retry_after == 118
    assert "the server asks to wait 118.00 s, and 117.00 s of the deadline are left" in error.__dict__["__notes__"][-1]


def test_time_spent_in_attempts_counts_towards_the_deadline() -> None:
    drive = Drive([reply(504)] * 9, attempt_seconds=50.0)
    drive.fails(DatabricksTimeoutError)
    assert len(drive.sends) == 3


def test_what_never_reached_the_server_is_sent_again() -> None:
    assert Drive([unsent(), unsent(), OK]).run() is OK


def test_what_the_server_may_be_doing_is_sent_again_only_on_request() -> None:
    Drive([unanswered(), OK]).fails(DatabricksTimeoutError)
    assert Drive([unanswered(), OK], RetryPolicy(retry_sent=True)).run() is OK


@pytest.mark.parametrize(
    "refusal",
    [reply(401), reply(403, b"Invalid Token"), reply(403, {"error": "Invalid Token"}), reply(403, b"Token is expired")],
)
def test_a_stale_token_is_renewed_once(refusal: Reply) -> None:
    drive = Drive([refusal, OK])
    drive.run()
    assert [send.refresh for send in drive.sends] == [False, True]
    assert drive.pauses == []
    drive = Drive([refusal, refusal, OK])
    error = drive.fails(DatabricksAuthenticationError)
    assert len(drive.sends) == 2
    assert error.auth == "TOKEN"


def test_a_renewed_token_is_not_renewed_for_the_retries_that_follow() -> None:
    drive = Drive([reply(503), reply(401), reply(503), OK])
    drive.run()
    assert [send.refresh for send in drive.sends] == [False, False, True, False]


@pytest.mark.parametrize(
    "refusal",
    [
        reply(403),
        reply(401, {"error_code": "PERMISSION_DENIED", "message": "IP"}),
        reply(403, b"PERMISSION_DENIED: no"),
    ],
)
def test_a_missing_permission_is_no_reason_for_a_new_token(refusal: Reply) -> None:
    drive = Drive([refusal, OK])
    drive.fails(DatabricksPermissionDeniedError)
    assert len(drive.sends) == 1


def test_a_request_that_the_user_signed_has_no_other_token() -> None:
    drive = Drive([reply(401), OK], request=REQUEST._replace(headers={"AUTHORIZATION": "Bearer mine"}))
    drive.fails(DatabricksAuthenticationError)
    assert len(drive.sends) == 1


def test_revise_gives_another_request() -> None:
    seen: list[DatabricksError] = []
    other = REQUEST._replace(body=b'{"a":1}')

    def revise(error: DatabricksError) -> Request | None:
        seen.append(error)
        return other

    refusal = reply(400, {"error_code": "BAD_REQUEST", "message": '{"message":"b: Extra inputs are not permitted"}'})
    drive = Drive([refusal, reply(503), OK], revise=revise)
    drive.run()
    assert [send.request for send in drive.sends] == [REQUEST, other, other]
    assert seen[0].detail == "b: Extra inputs are not permitted"


def test_revise_is_asked_about_several_refusals_up_to_a_bound() -> None:
    asked: list[DatabricksError] = []

    def revise(error: DatabricksError) -> Request:
        asked.append(error)
        return REQUEST._replace(body=b"%d" % len(asked))

    drive = Drive([reply(400)] * LESSONS + [OK], revise=revise)
    assert drive.run() is OK
    assert [send.request.body for send in drive.sends] == [REQUEST.body, b"1", b"2", b"3", b"4"]
    asked.clear()
    drive = Drive([reply(400)] * (LESSONS + 1), revise=revise)
    error = drive.fails(DatabricksInvalidRequestError)
    assert (len(asked), len(drive.sends)) == (LESSONS, LESSONS + 1)
    assert "another request was sent" in error.__dict__["__notes__"][0]


def test_what_was_sent_already_is_not_sent_again() -> None:
    bodies = [b"1", REQUEST.body]

    def revise(error: DatabricksError) -> Request:
        del error
        return REQUEST._replace(body=bodies.pop(0))

    drive = Drive([reply(400)] * 2, revise=revise)
    drive.fails(DatabricksInvalidRequestError)
    assert len(drive.sends) == 2


def test_the_same_body_goes_to_another_url() -> None:
    other = REQUEST._replace(url="https://host/serving-endpoints/m/invocations")
    drive = Drive([reply(404), OK], revise=lambda _: other)
    assert drive.run() is OK
    assert [send.request.url for send in drive.sends] == [REQUEST.url, other.url]


def test_a_revision_that_changes_nothing_is_not_sent() -> None:
    drive = Drive([reply(400)], revise=lambda _: REQUEST)
    drive.fails(DatabricksInvalidRequestError)
    assert len(drive.sends) == 1


def test_revise_may_decline_and_is_asked_only_about_refusals() -> None:
    asked: list[int | None] = []

    def revise(error: DatabricksError) -> None:
        asked.append(error.status_code)

    Drive([reply(400), OK], revise=revise).fails(DatabricksInvalidRequestError)
    Drive([reply(404), OK], revise=revise).fails(DatabricksNotFoundError)
    assert Drive([reply(500), OK], revise=revise).run() is OK
    assert asked == [400, 404]


def test_redirects_are_errors() -> None:
    login = reply(302, location="https://host/login.html?next=secret")
    error = Drive([login]).fails(DatabricksAuthenticationError)
    assert "login page" in error.message
    assert "secret" not in error.message
    assert error.response is not None
    assert error.response.headers["location"] == "https://host/login.html"
    error = Drive([reply(308, location="https://other/x")]).fails(MalformedResponseError)
    assert "a redirect to https://other/x" in error.message
    assert "DATABRICKS_HOST" in error.message


@pytest.mark.parametrize(
    "page",
    [
        reply(200, b"<!DOCTYPE html><html><title>Sign in</title></html>", content_type="text/html; charset=utf-8"),
        reply(200, b"\n <HTML><head><title>Sign in</title>", content_type="application/json"),
    ],
)
def test_a_page_is_no_answer(page: Reply) -> None:
    error = Drive([page, OK]).fails(MalformedResponseError)
    assert "Sign in" in error.message
    assert "login page" in error.message


def test_a_send_must_be_answered() -> None:
    with pytest.raises(TypeError, match="answered with"):
        Drive([None]).run()


def test_a_policy_refuses_numbers_without_meaning() -> None:
    wrongs: list[dict[str, Any]] = [{"max_retries": -1}, {"deadline": -1.0}, {"base": float("nan")}, {"cap": -0.1}]
    for wrong in wrongs:
        with pytest.raises(ConfigurationError, match=next(iter(wrong))):
            RetryPolicy(**wrong)
