"""Remember how much an endpoint takes in one request, as its refusals have shown.

Rule 1. A limit belongs to an endpoint at an address, so all runs of this process share it.
Rule 2. A limit is only ever lowered.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["RequestLimit", "forget", "learn_limit", "limit_of"]


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
        """Return the smaller of two limits, value by value."""
        return RequestLimit(
            min(filter(None, (self.inputs, other.inputs)), default=None),
            min(filter(None, (self.size, other.size)), default=None),
        )


_limits: dict[tuple[str, str], RequestLimit] = {}


def limit_of(address: str, endpoint: str) -> RequestLimit:
    """Return the limit of an endpoint, as far as this process knows it.

    Args:
        address: The address, as `Link.address` writes it.
        endpoint: The endpoint's name.
    """
    return _limits.get((address, endpoint), RequestLimit())


def learn_limit(address: str, endpoint: str, limit: RequestLimit) -> None:
    """Lower the limit of an endpoint.

    Args:
        address: The address, as `Link.address` writes it.
        endpoint: The endpoint's name.
        limit: What a refusal has shown.
    """
    # One assignment of a new value: threads may lose a limit, which is then learned again, but never see half of one.
    _limits[address, endpoint] = limit_of(address, endpoint).lowered(limit)


def forget() -> None:
    """Forget the limits of all endpoints."""
    _limits.clear()
