"""How long to wait for what, in seconds.

Rule 1. A reasoning model may think for minutes before its first event; but once events arrive, two minutes without one
mean that something has failed. So there are two read timeouts: `first_event` counts from the moment the request is sent
to the first event (for an answer that is not streamed: to its end), and `idle` counts between events.
Rule 2. Each is a deadline: comments that keep a connection alive are not events, and an incomplete event is not one.
Rule 3. A timeout of more than 24 days is no limit: the milliseconds that a socket waits are counted in 32 bits. Python
lets them overflow, and then the wait ends too early, or raises.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_dbchat.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Timeouts"]

_OPTIONAL = ((2, "write"), (3, "pool"))  # of httpx's tuple
_LONGEST = (2**31 - 1) / 1000  # seconds
_NAMES = ("connect", "write", "pool", "first_event", "idle")


@dataclass(frozen=True, slots=True)
class Timeouts:
    """The timeouts of one call; None means no limit, and so does more than 24 days, which becomes None.

    Attributes:
        connect: Seconds for a connection with its TLS handshake, 10 by default.
        write: Seconds for the network to take the request, 60 by default.
        pool: Seconds to wait for a free connection, 60 by default.
        first_event: Seconds from sending to the first event, or to the end of an answer that is not streamed, 300 by
            default.
        idle: Seconds between two events, 120 by default.
    """

    connect: float | None = 10.0
    write: float | None = 60.0
    pool: float | None = 60.0
    first_event: float | None = 300.0
    idle: float | None = 120.0

    def __post_init__(self) -> None:
        """Refuse what is not a duration, and replace what is longer than a socket can wait.

        Raises:
            ConfigurationError: A timeout is not a positive number.
        """
        for name in _NAMES:
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0):
                raise ConfigurationError(
                    f"timeout: {name} is {value!r}; it must be a number of seconds above 0, or None."
                )
            if value is not None and value > _LONGEST:
                object.__setattr__(self, name, None)

    @classmethod
    def of(cls, value: Any = None) -> Timeouts:
        """Read a user's timeout.

        Args:
            value: None for the defaults; a number of seconds, which bounds each wait; a pair (to connect, to read), as
                OpenAI's client takes it, or an ``httpx.Timeout``, of which the seconds to read become both
                `first_event` and `idle`; or `Timeouts`.

        Returns:
            The timeouts.

        Raises:
            ConfigurationError: The value is none of these, or not above 0.
        """
        if value is None:
            return cls()
        if isinstance(value, cls):
            return value
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return cls(min(10.0, value), min(60.0, value), min(60.0, value), first_event=value, idle=value)
        if isinstance(value, (tuple, list)):
            return cls._of_pair(value)
        if all(hasattr(value, name) for name in ("connect", "read", "write", "pool")):  # httpx.Timeout, of any version
            return cls(value.connect, value.write, value.pool, first_event=value.read, idle=value.read)
        raise ConfigurationError(
            f"timeout: {value!r} is neither a number of seconds nor a pair (to connect, to read) nor httpx.Timeout nor "
            "Timeouts."
        )

    @classmethod
    def _of_pair(cls, value: Sequence[Any]) -> Timeouts:
        """Read a tuple as httpx does: to connect, to read, to write, for a free connection; the last two are optional.

        A list is the same tuple after a way through JSON.
        """
        if not 2 <= len(value) <= 4:  # noqa: PLR2004  # the forms of httpx
            raise ConfigurationError(f"timeout: {value!r} has {len(value)} values. A pair is (to connect, to read).")
        default = cls()
        write, pool = (value[at] if at < len(value) else getattr(default, name) for at, name in _OPTIONAL)
        return cls(value[0], write, pool, first_event=value[1], idle=value[1])
