"""What this process knows of each endpoint: one record for each, and one way to forget it.

An endpoint's name is free text, and models change behind it. What its answers show is kept for all models of the
process that call it.

Rule 1. A record belongs to one address with its path, one workspace and one endpoint, because a host may front several
tenants.
Rule 2. A lesson (a field that the endpoint has refused) ends after `LIFETIME` seconds, because models change behind an
endpoint.
Rule 3. Records are changed by single assignments of new values: threads may lose a lesson, which is then learned again,
but never see half of one.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LIFETIME = 3600.0
"""Seconds after which a lesson ends."""


@dataclass(frozen=True, slots=True)
class RequestLimit:
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
    """What is known of one endpoint.

    Attributes:
        family: The row of the model that the workspace named; None as long as nobody has asked it.
        limit: The most that it takes in one request, as its refusals have shown; only ever lowered.
        warnings: The warnings that were given about it, so that each is given once.
    """

    family: str | None = None
    limit: RequestLimit = field(default_factory=RequestLimit)
    warnings: set[str] = field(default_factory=set)
    _lessons: Mapping[str, float] = field(default_factory=dict)

    def lessons(self, clock: Callable[[], float] = time.monotonic) -> frozenset[str]:
        """Return what the endpoint has refused.

        Args:
            clock: Seconds of a clock that never goes back.

        Returns:
            The names of fields.
        """
        if not self._lessons:
            return frozenset()
        now = clock()
        return frozenset(name for name, end in self._lessons.items() if now < end)

    def learn(self, lessons: frozenset[str], clock: Callable[[], float] = time.monotonic) -> None:
        """Keep what the endpoint has refused, each new lesson for `LIFETIME` seconds.

        Args:
            lessons: All that holds from now on.
            clock: Seconds of a clock that never goes back.
        """
        now = clock()
        known = {name: end for name, end in self._lessons.items() if now < end}
        self._lessons = {name: known.get(name, now + LIFETIME) for name in lessons}

    def is_new_warning(self, text: str) -> bool:
        """Tell whether a warning was not given before, and note that it is given now.

        Args:
            text: The warning.

        Returns:
            True the first time.
        """
        if text in self.warnings:
            return False
        self.warnings.add(text)
        return True


_endpoints: dict[tuple[str, str], Endpoint] = {}


def endpoint_of(address: str, name: str) -> Endpoint:
    """Get the record of an endpoint.

    Args:
        address: Where it is, as `Session.address` writes it.
        name: The endpoint's name.

    Returns:
        The record, which all who ask share.
    """
    key = (address, name)
    found = _endpoints.get(key)
    return found if found is not None else _endpoints.setdefault(key, Endpoint())


def forget() -> None:
    """Forget everything that was learned of all endpoints."""
    _endpoints.clear()
