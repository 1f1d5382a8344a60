"""What can go wrong with a request: one record, for the workspace, for its `fail_next` and for a `FaultProxy`.

Rule 1. A fault is data. One fault may combine several effects, such as a slow body that is cut.
Rule 2. Bytes are counted in the body of the answer, events in its event stream, both from 0.
Rule 3. ``path``, ``model``, ``every`` and ``times`` decide which requests meet the fault; all others pass.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json, to_json

from langchain_dbchat.local.faults.named import NAMED, default_body

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from typing_extensions import Self

__all__ = ["Fault"]

_INVOCATIONS = re.compile(r"/serving-endpoints/([^/]+)/invocations")
_NO_ANSWERS = ("/api/", "/oidc/", "/.well-known/")
"""Paths that no model answers."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What goes wrong, and with which requests.

    Attributes:
        times: How many requests meet the fault; None for no end.
        every: Only each request of this number meets it: 3 for each third one.
        path: Only requests whose path contains this text meet it.
        model: Only requests to the endpoint of this name meet it.
        latency: Seconds before the request goes on, or before the fault's own answer.
        status: This status is the answer, and no model is asked.
        headers: Headers of that answer.
        body: Body of that answer: text, or a dict that is sent as JSON; None for Databricks' own body of that status.
        message: The model answers with this message or, if it has ``choices``, this chat completions body. Workspace
            only; a proxy passes the request on.
        chunks: The model streams these chat completions chunks. Workspace only; a proxy passes the request on.
        drip: Seconds before each piece of the body.
        piece: Bytes in a piece, with `drip`.
        lose: The request arrives, and its answer is lost: the connection ends without a byte.
        cut_after: The connection ends after so many bytes of the body.
        cut_after_events: The connection ends after so many events of the stream.
        reset: With `lose` and the cuts: by a TCP reset instead of an orderly end.
        not_http: The answer is not HTTP.
        garbage_after: After so many bytes of the body come bytes without a meaning.
        duplicate: The event of this number comes twice.
        swap: The event of this number comes after the next one.
        comments_after: After so many events come only comments, one every 20 ms, until the client leaves.
    """

    times: int | None = 1
    every: int = 1
    path: str = ""
    model: str = ""
    latency: float = 0.0
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | Mapping[str, Any] | None = None
    message: Mapping[str, Any] | None = None
    chunks: Sequence[Mapping[str, Any]] | None = None
    drip: float = 0.0
    piece: int = 16
    lose: bool = False
    cut_after: int | None = None
    cut_after_events: int | None = None
    reset: bool = False
    not_http: bool = False
    garbage_after: int | None = None
    duplicate: int | None = None
    swap: int | None = None
    comments_after: int | None = None

    def __post_init__(self) -> None:
        """Refuse numbers without a meaning, and two answers at once.

        Raises:
            ValueError: A number is below 0, or below 1 where 0 has no meaning; or more than one answer is given.
        """
        for name in (
            "latency", "drip", "cut_after", "cut_after_events", "garbage_after", "duplicate", "swap", "comments_after",
        ):  # fmt: skip
            value = getattr(self, name)
            if value is not None and value < 0:
                raise ValueError(f"{name} is {value}; it must not be below 0.")
        for name in ("times", "every", "piece"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}; it must be at least 1.")
        given = [name for name in ("status", "message", "chunks") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"A fault has one answer, but {' and '.join(given)} are given.")

    @classmethod
    def named(cls, name: str, **changes: Any) -> Self:
        """Return the fault of a name, such as ``input_guardrail``.

        Args:
            name: One of `named.NAMED`.
            **changes: Other attributes, or other values of them.

        Raises:
            ValueError: There is no fault of that name.
        """
        if name not in NAMED:
            raise ValueError(f"There is no fault named {name!r}. There are: {', '.join(NAMED)}.")
        status, body = NAMED[name]
        return cls(**{"status": status, "body": body, **changes})

    @classmethod
    def rate_limit(cls, times: int = 1, *, retry_after: float | str | None = None) -> Self:
        """Refuse requests by Databricks' rate limit.

        Args:
            times: How many.
            retry_after: Seconds, or an HTTP date, of the header Retry-After; None sends none, as Databricks does.
        """
        headers = {} if retry_after is None else {"retry-after": str(retry_after)}
        return cls.named("rate_limit", times=times, headers=headers)

    @classmethod
    def invalid_token(cls, times: int = 1, *, status: int = 403) -> Self:
        """Refuse the token of requests, as one that has expired.

        Args:
            times: How many; a client that fetches another token succeeds after one.
            status: 403, which Databricks sends for an OAuth token that has expired, or 401.

        Raises:
            ValueError: The status is neither.
        """
        if status not in {401, 403}:
            raise ValueError(f"status is {status}; a token is refused with 401 or 403.")
        return cls.named("expired_token" if status == 403 else "unknown_token", times=times)

    @classmethod
    def login_page(cls, times: int = 1) -> Self:
        """Answer 200 with the HTML of a login page, as wrong hosts and proxies do.

        Args:
            times: How often.
        """
        return cls.named("login_page", times=times)

    def is_for(self, path: str, body: bytes) -> bool:
        """Return whether a request can meet this fault.

        Args:
            path: The path of the request.
            body: Its body, in which most paths name the endpoint.
        """
        if self.path not in path or (self.scripts_answer and path.startswith(_NO_ANSWERS)):
            return False
        return not self.model or self.model == _endpoint_in(path, body)

    @property
    def scripts_answer(self) -> bool:
        """Return whether the fault has an answer of the model."""
        return self.message is not None or self.chunks is not None

    def own_answer(self) -> tuple[dict[str, str], bytes]:
        """Return the headers and the body of the fault's own answer."""
        body = default_body(self.status or 500) if self.body is None else self.body
        text = body if isinstance(body, str) else None
        kind = (
            "application/json" if text is None else f"text/{'html' if text.startswith('<') else 'plain'}; charset=utf-8"
        )
        content = to_json(body) if text is None else text.encode()
        return {"content-type": kind, **{name.lower(): value for name, value in self.headers.items()}}, content


def _endpoint_in(path: str, body: bytes) -> str | None:
    """Return the endpoint that a request calls."""
    named = _INVOCATIONS.search(path)
    if named:
        return named[1]
    try:
        parsed = from_json(body) if body else None
    except ValueError:
        return None
    return parsed.get("model") if isinstance(parsed, dict) else None
