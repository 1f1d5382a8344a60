"""What can happen to a request on its way through a `FaultProxy`, and what that does to the body of its answer.

A mishap is data: one row of a plan, which may combine several faults (slow, then cut). Bytes are counted in the body
of the answer, events in its event stream, both from 0. Nothing here moves bytes; a `Spoiler` says which pieces are
sent instead of those that came.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from typing_extensions import Self

__all__ = ["GARBAGE", "Mishap", "Spoiler"]

GARBAGE = b"\x00\xff\xfe<<< no such thing was said >>>\x80\r\n\xc3"
"""Neither UTF-8 nor JSON nor HTTP."""

_LIMITED = {
    "error_code": "REQUEST_LIMIT_EXCEEDED",
    "message": "REQUEST_LIMIT_EXCEEDED: Exceeded workspace QPS rate limit.",
}
_UNKNOWN_TOKEN: dict[int, dict[str, Any]] = {
    401: {"error_code": 401, "message": "Credential was not sent or was of an unsupported type for this API."},
    403: {"error_code": 403, "message": "Invalid Token"},
}
_PAGE = "<!doctype html><html><head><title>Databricks - Sign In</title></head><body>Sign in to Databricks</body></html>"


@dataclass(frozen=True, kw_only=True)
class Mishap:
    """What happens to one request, or to several one after the other.

    Attributes:
        times: How many requests it happens to.
        latency: Seconds before the request goes on, or before the proxy's own answer.
        status: The proxy answers with this status itself, and the server never hears of the request.
        headers: Headers of that answer.
        body: Body of that answer: text, or a dict that is sent as JSON.
        drip: Seconds before each piece of the body.
        piece: Bytes in a piece, with `drip`.
        lose: The server gets the request, and its answer is lost: the connection ends without a byte.
        cut_after: The connection ends after so many bytes of the body.
        reset: With `lose` or `cut_after`: by a TCP reset instead of an orderly end.
        not_http: The answer is no HTTP at all.
        garbage_after: After so many bytes of the body come bytes that mean nothing.
        duplicate: The event of this number comes twice.
        swap: The event of this number comes after the next one.
        comments_after: After so many events come comments only, one every 20 ms, until the client leaves.
    """

    times: int = 1
    latency: float = 0.0
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | Mapping[str, Any] = ""
    drip: float = 0.0
    piece: int = 16
    lose: bool = False
    cut_after: int | None = None
    reset: bool = False
    not_http: bool = False
    garbage_after: int | None = None
    duplicate: int | None = None
    swap: int | None = None
    comments_after: int | None = None

    def __post_init__(self) -> None:
        """Refuse numbers that mean nothing.

        Raises:
            ValueError: A number is below 0, or below 1 where that makes no sense.
        """
        for name in ("latency", "drip", "cut_after", "garbage_after", "duplicate", "swap", "comments_after"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise ValueError(f"{name} is {value}; it must not be below 0.")
        if self.times < 1 or self.piece < 1:
            raise ValueError("times and piece must be at least 1.")

    @classmethod
    def rate_limit(cls, times: int = 1, *, retry_after: float | str | None = None) -> Self:
        """Make the next requests hit Databricks' rate limit.

        Args:
            times: How many.
            retry_after: Seconds, or an HTTP date, of the header Retry-After; None sends none, as Databricks does.
        """
        headers = {} if retry_after is None else {"retry-after": str(retry_after)}
        return cls(times=times, status=429, headers=headers, body=_LIMITED)

    @classmethod
    def invalid_token(cls, times: int = 1, *, status: int = 403) -> Self:
        """Let the token of the next requests have expired.

        Args:
            times: How many; a client that gets itself another token survives one.
            status: 403, which Databricks sends for an OAuth token that has expired, or 401.

        Raises:
            ValueError: The status is neither.
        """
        if status not in _UNKNOWN_TOKEN:
            raise ValueError(f"status is {status}; a token is refused with 401 or 403.")
        return cls(times=times, status=status, body=_UNKNOWN_TOKEN[status])

    @classmethod
    def login_page(cls, times: int = 1) -> Self:
        """Answer 200 with the HTML of a login page, as wrong hosts and proxies do.

        Args:
            times: How often.
        """
        return cls(times=times, status=200, headers={"content-type": "text/html; charset=utf-8"}, body=_PAGE)

    def own_answer(self) -> tuple[dict[str, str], bytes]:
        """Write the proxy's own answer: its headers and its body."""
        text = isinstance(self.body, str)
        kind = "text/plain" if text else "application/json"
        body = self.body.encode() if isinstance(self.body, str) else to_json(self.body)
        return {"content-type": kind, **{name.lower(): value for name, value in self.headers.items()}}, body

    @property
    def spoils(self) -> bool:
        """Whether the body that arrives differs from the one that was sent."""
        marks = (self.cut_after, self.garbage_after, self.duplicate, self.swap, self.comments_after)
        return any(mark is not None for mark in marks)


class Spoiler:
    """Does to a body, piece by piece, what a mishap says.

    Args:
        mishap: What happens.
    """

    def __init__(self, mishap: Mishap) -> None:
        self._mishap = mishap
        self._by_event = not (mishap.duplicate is mishap.swap is mishap.comments_after is None)
        self._tail = b""  # an event that has not ended yet
        self._event = 0
        self._kept: bytes | None = None  # the event that waits for the next one
        self._sent = 0
        self.cut = False
        self.only_comments = mishap.comments_after == 0

    def takes(self, data: bytes) -> Iterator[bytes]:
        """Take bytes of the body.

        Args:
            data: The bytes.

        Yields:
            What to send; where `cut` is set afterwards, nothing more.
        """
        if self._by_event:
            *events, self._tail = (self._tail + data).split(b"\n\n")
            data = b"".join(part for event in events for part in self._event_parts(event + b"\n\n"))
        yield from self._bytes(data)

    def ends(self) -> Iterator[bytes]:
        """Say that the body has ended.

        Yields:
            What is left to send.
        """
        data, self._tail, self._kept = (self._kept or b"") + self._tail, b"", None
        yield from self._bytes(b"" if self.only_comments else data)

    def _event_parts(self, event: bytes) -> list[bytes]:
        number, mishap = self._event, self._mishap
        self._event += 1
        if self.only_comments:
            return []
        self.only_comments = mishap.comments_after == self._event
        if number == mishap.swap:
            self._kept = event
            return []
        kept, self._kept = self._kept, None
        return [event] * (2 if number == mishap.duplicate else 1) + ([] if kept is None else [kept])

    def _bytes(self, data: bytes) -> Iterator[bytes]:
        """Cut, and put garbage in, where the count of bytes says so."""
        mishap, begin = self._mishap, self._sent
        if self.cut:
            return
        self._sent += len(data)
        if mishap.cut_after is not None and self._sent >= mishap.cut_after:
            data = data[: mishap.cut_after - begin]
            self.cut = True
        place = mishap.garbage_after
        if place is not None and begin <= place < begin + len(data):
            data = data[: place - begin] + GARBAGE + data[place - begin :]
        if not mishap.drip:
            if data:
                yield data
            return
        for start in range(0, len(data), mishap.piece):
            yield data[start : start + mishap.piece]
