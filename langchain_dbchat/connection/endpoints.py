"""What this process has learned about each endpoint: one record per endpoint.

An endpoint's name is free text, and its model can be replaced. So the client learns from the endpoint's answers; all
models of the process share what was learned.

Rule 1. The key of a record is the address with its path, the workspace and the endpoint, because one host may serve
several workspaces. What refusals teach counts only for the same headers and query parameters, because a proxy may tell
its tenants apart by them.
Rule 2. A lesson (a field that the endpoint has refused, the wire format that it asked for and answered in, the first of
its URLs that exists) expires after `LIFETIME` seconds, because the model of an endpoint can be replaced.
Rule 3. Records are changed by single assignments of new values. Concurrent threads may lose a lesson, which is then
learned again, but never see an incomplete one.
"""

from __future__ import annotations

import time
import weakref
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

APPS = "apps/"
"""What the name of a Databricks app begins with; see `apps`."""

DISCOVER = "discover"
"""The value of ``family=`` that reads the family from the workspace; see `discovery`."""

LIFETIME = 3600.0
"""Seconds after which a lesson expires."""


class RequestLimit(NamedTuple):
    """The most that an endpoint takes in one request; None where it has not refused yet.

    Attributes:
        inputs: Number of texts.
        size: Number of bytes.
    """

    inputs: int | None = None
    size: int | None = None

    def lowered(self, other: RequestLimit) -> RequestLimit:
        """Return the smaller of two limits, value by value.

        Args:
            other: The other limit.
        """
        return RequestLimit(
            min(filter(None, (self.inputs, other.inputs)), default=None),
            min(filter(None, (self.size, other.size)), default=None),
        )


@dataclass(slots=True, eq=False)
class Endpoint:
    """What has been learned about one endpoint.

    Attributes:
        family: The name of the model's row, as read from the workspace; None before the lookup.
        wires: The wire formats that the workspace reports for it; empty if it reports none.
        app_url: The URL of a Databricks app, as read from the workspace; None before the lookup.
        limit: The most that it takes in one request, as its refusals have shown; only ever lowered.
        warnings: The warnings that were shown for it, so that each is shown once.
        clock: Returns the seconds of a monotonic clock.
    """

    family: str | None = None
    wires: tuple[str, ...] = ()
    app_url: str | None = None
    limit: RequestLimit = field(default_factory=RequestLimit)
    warnings: set[str] = field(default_factory=set)
    clock: Callable[[], float] = time.monotonic
    _lessons: Mapping[str, float] = field(default_factory=dict)
    _teachers: dict[str, weakref.ref[object]] = field(default_factory=dict)
    _wire: tuple[str, float] | None = None
    _route: tuple[int, float] | None = None
    _not_shown_to: Mapping[str, float] = field(default_factory=dict)

    def is_shown_to(self, caller: str | None) -> bool:
        """Return whether the workspace may describe the endpoint to a caller: it has not refused that to them.

        Args:
            caller: The caller; None if it is not known who signs.
        """
        return caller is None or self.clock() >= self._not_shown_to.get(caller, 0.0)

    def hide_from(self, caller: str | None) -> None:
        """Store that the workspace has refused to describe the endpoint to a caller, for `LIFETIME` seconds.

        Args:
            caller: The caller; if it is None, nothing is stored.
        """
        if caller is not None:
            now = self.clock()
            kept = {other: end for other, end in self._not_shown_to.items() if now < end}
            self._not_shown_to = {**kept, caller: now + LIFETIME}

    def lessons(self) -> frozenset[str]:
        """Return the lessons that have not expired.

        Returns:
            The names of refused fields.
        """
        if not self._lessons:
            return frozenset()
        now = self.clock()
        return frozenset(name for name, end in self._lessons.items() if now < end)

    def learn(self, lessons: frozenset[str]) -> None:
        """Replace the lessons; each new one expires after `LIFETIME` seconds.

        Args:
            lessons: All lessons from now on.
        """
        now = self.clock()
        known = {name: end for name, end in self._lessons.items() if now < end}
        self._lessons = {name: known.get(name, now + LIFETIME) for name in lessons}

    def set_teacher(self, lesson: str, channel: object) -> None:
        """Store whose call has taught a lesson; that caller has been warned.

        Args:
            lesson: The refused field.
            channel: The caller's channel; no reference to it is kept.
        """
        self._teachers[lesson] = weakref.ref(channel)

    def is_teacher(self, lesson: str, channel: object) -> bool:
        """Return whether a call through this channel has taught a lesson.

        Args:
            lesson: The refused field.
            channel: The caller's channel.
        """
        teacher = self._teachers.get(lesson)
        return teacher is not None and teacher() is channel

    def wire(self) -> str | None:
        """Return the wire format that the endpoint asked for in a refusal.

        Returns:
            Its name; None if there was none, or if it has expired.
        """
        return self._wire[0] if self._wire is not None and self.clock() < self._wire[1] else None

    def learn_wire(self, name: str) -> None:
        """Store the wire format that a refusal asked for.

        Args:
            name: Its name.
        """
        self._wire = (name, self.clock() + LIFETIME)

    def route(self) -> int:
        """Return the number of the first of the endpoint's URLs that exists.

        Returns:
            Its place in the list of `routing.routes`, 0 for the first.
        """
        return self._route[0] if self._route is not None and self.clock() < self._route[1] else 0

    def learn_route(self, number: int) -> None:
        """Store that the URLs before this one do not exist.

        Args:
            number: Its place in the list of `routing.routes`.
        """
        self._route = (number, self.clock() + LIFETIME)

    def is_new_warning(self, text: str) -> bool:
        """Return whether a warning is new, and record that it is shown.

        Args:
            text: The warning.

        Returns:
            True the first time.
        """
        if text in self.warnings:
            return False
        self.warnings.add(text)
        return True


_NOT_OF_A_TENANT = frozenset(
    {
        "authorization", "proxy-authorization", "cookie", "api-key", "x-api-key", "traceparent", "tracestate",
        "baggage", "b3", "x-request-id", "x-correlation-id", "x-client-request-id", "idempotency-key",
    }
)  # fmt: skip
"""Headers that differ from token to token, or from request to request."""

_MOST = 10_000  # records; the oldest one is then deleted
_endpoints: dict[tuple[str, str, int], Endpoint] = {}


def tenant_of(headers: Mapping[str, str], query: Mapping[str, str]) -> int:
    """Return a number for the headers and query parameters by which a proxy may tell its tenants apart.

    Args:
        headers: The user's headers.
        query: The user's query parameters.

    Returns:
        A hash, from which no value can be read; 0 if there are none.
    """
    given = frozenset((str(key).lower(), str(value)) for key, value in headers.items())
    told = frozenset(header for header in given if header[0] not in _NOT_OF_A_TENANT)
    asked = frozenset((str(key), str(value)) for key, value in query.items())
    return hash((told, asked)) if told or asked else 0


def endpoint_of(address: str, name: str, tenant: int = 0) -> Endpoint:
    """Return the record of an endpoint.

    Args:
        address: Where it is, as `Session.address` writes it.
        name: The endpoint's name.
        tenant: The tenant, as `tenant_of` numbers it.

    Returns:
        The record, which all callers share.
    """
    key = (address, name, tenant)
    found = _endpoints.get(key)
    if found is not None:
        return found
    if len(_endpoints) >= _MOST:
        _endpoints.pop(list(_endpoints)[0], None)  # noqa: RUF015  # other threads may add records: a list is one step
    return _endpoints.setdefault(key, Endpoint())


def forget() -> None:
    """Delete the records of all endpoints."""
    _endpoints.clear()
