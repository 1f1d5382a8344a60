"""Rehearsed faults: a queue of failures that the next requests meet, and the record of what came in."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from langchain_dbchat.local.refusals import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

TEXTS: dict[int, tuple[str, str]] = {
    400: ("BAD_REQUEST", "Bad request: rehearsed."),
    403: ("PERMISSION_DENIED", "PERMISSION_DENIED: User token does not have permission to access endpoint."),
    404: ("ENDPOINT_NOT_FOUND", "The given endpoint does not exist."),
    429: ("REQUEST_LIMIT_EXCEEDED", "REQUEST_LIMIT_EXCEEDED: Exceeded workspace QPS rate limit."),
    500: ("INTERNAL_ERROR", "The server received an invalid response from an upstream server."),
    502: ("INTERNAL_ERROR", "The server received an invalid response from an upstream server."),
    503: ("TEMPORARILY_UNAVAILABLE", "The service is temporarily at capacity."),
    504: ("DEADLINE_EXCEEDED", "The request took too long."),
}
"""What the statuses say when no body is given (docs/wire.md, 6.2)."""

SECRET_HEADERS = frozenset({"authorization", "cookie", "x-databricks-ai-gateway-token", "proxy-authorization"})


@dataclass(frozen=True, slots=True)
class Recorded:
    """One request as it came in."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    """Lower-case names; without those that carry secrets."""
    body: bytes
    json: Any
    """The parsed body; None when it is not JSON."""


@dataclass(slots=True)
class Fault:
    """A failure that waits for requests."""

    status: int
    body: dict[str, Any] | str | None
    headers: dict[str, str]
    times: int
    path: str
    drop: bool
    drop_after: int | None

    def strike(self) -> None:
        """Refuse a request, unless the fault is a connection that is cut later.

        Raises:
            Refused: With the rehearsed status, body and headers.
        """
        if self.drop_after is not None:
            return
        code, message = TEXTS.get(self.status, ("UNKNOWN", f"Rehearsed status {self.status}."))
        body = {"error_code": code, "message": message} if self.body is None else self.body
        raise Refused(self.status, body, self.headers)


@dataclass(slots=True)
class Faults:
    """The queue."""

    waiting: deque[Fault] = field(default_factory=deque)

    def take(self, path: str) -> Fault | None:
        """The fault that a request to ``path`` meets; it is used up after its ``times``."""
        for fault in self.waiting:
            if fault.path in path:
                fault.times -= 1
                if fault.times <= 0:
                    self.waiting.remove(fault)
                return fault
        return None
