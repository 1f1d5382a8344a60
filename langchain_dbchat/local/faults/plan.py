"""Which fault a request meets: rows in the order given, each until it is used up.

Rule 1. A request meets the first waiting row that is for it; the row is used up after `Fault.times` requests.
Rule 2. Rows of the plan are read one by one, each when no row waits; None is a request that passes.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from langchain_dbchat.local.faults.fault import Fault


@dataclass(slots=True)
class _WaitingFault:
    """A fault that waits for requests."""

    fault: Fault
    seen: int = 0
    """Requests that the fault is for."""
    met: int = 0
    """Requests that met it."""


@dataclass(slots=True)
class PlannedOutcome:
    """What goes wrong with one request: decided before it is routed, or by the answer that a script has for it."""

    fault: Fault | None = None


class FaultPlan:
    """Faults in order.

    Args:
        rows: Faults, and None for requests that pass; may be endless.
    """

    def __init__(self, rows: Iterable[Fault | None] = ()) -> None:
        self.waiting: deque[_WaitingFault] = deque()
        self._rows = iter(rows)
        self._lock = threading.Lock()  # faults are added in the user's thread and taken in the server's

    def add(self, fault: Fault) -> None:
        """Put a fault at the end of those that wait."""
        with self._lock:
            self.waiting.append(_WaitingFault(fault))

    def clear(self) -> None:
        """Forget the faults that wait."""
        with self._lock:
            self.waiting.clear()

    def take(self, path: str, body: bytes) -> Fault | None:
        """Return the fault that a request meets; None if it passes."""
        with self._lock:
            if not self.waiting:
                fault = next(self._rows, None)
                if fault is not None:
                    self.waiting.append(_WaitingFault(fault))
            for row in self.waiting:
                if not row.fault.is_for(path, body):
                    continue
                row.seen += 1
                if row.seen % row.fault.every == 0:
                    row.met += 1
                    if row.met == row.fault.times:
                        self.waiting.remove(row)
                    return row.fault
        return None
