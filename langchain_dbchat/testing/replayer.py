"""A workspace that answers from a recording, and from nothing else.

Rule 1. The answers to one request are given in the order in which they were recorded, each once: a program that calls a
model more often than it did when it was recorded has changed. A request that only reads (GET) gets its last answer
again, because clients keep what they have read, and a test may be the first or the second to read it.
Rule 2. A request that was not recorded is refused with 412, which no client sends again or takes for a lesson about a
field. The text names the nearest recorded request and the differences. `ReplayWorkspace.assert_all_recorded` raises it
too, because the program under test may hide errors.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_dbchat.testing.http_message import send_answer, send_refusal
from langchain_dbchat.testing.masking import Masker
from langchain_dbchat.testing.recording import AskedFor, differences, read_recording
from langchain_dbchat.testing.served import ServedWorkspace

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from starlette.types import Send

    from langchain_dbchat.testing.http_message import IncomingRequest
    from langchain_dbchat.testing.recording import Exchange

__all__ = ["ReplayWorkspace"]

_NOT_RECORDED = 412
_SHOWN = 6
"""Differences that an error shows."""


class ReplayWorkspace(ServedWorkspace):
    """A workspace on 127.0.0.1 that answers from a recording.

    Args:
        path: The file that a `RecordingWorkspace` has written.
        secrets: The secrets that were given to the `RecordingWorkspace`, so that requests are masked as they were.
        ignore: Fields of the body, by their names on its first level, that are not compared.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not a recording.
    """

    def __init__(self, path: str | Path, *, secrets: Iterable[str] = (), ignore: Collection[str] = ()) -> None:
        super().__init__("replay workspace")
        self.not_recorded: list[str] = []
        """What was wrong with each request that had no answer."""
        self._path = Path(path)
        head, self._exchanges = read_recording(self._path)
        self.base_path = head.base_path
        self._left = list(self._exchanges)
        self._masker = Masker([*secrets, self.token])
        self._ignored = frozenset(ignore)

    @property
    def unused(self) -> list[Exchange]:
        """Return the recorded calls that no request has used; requests that only read do not count."""
        return [exchange for exchange in self._left if not exchange.request.is_lookup]

    def assert_all_recorded(self) -> None:
        """Check that each request had an answer.

        Raises:
            AssertionError: Some had none; the text says what was different.
        """
        __tracebackhide__ = True
        if self.not_recorded:
            raise AssertionError("\n\n".join(self.not_recorded))

    def assert_all_used(self) -> None:
        """Check that requests have used every recorded call.

        Raises:
            AssertionError: Some were not used; the text names them.
        """
        __tracebackhide__ = True
        if self.unused:
            lines = "\n".join(f"  {exchange.request}" for exchange in self.unused)
            raise AssertionError(f"{len(self.unused)} calls of {self._path} were not made:\n{lines}")

    async def _answer(self, request: IncomingRequest, send: Send) -> None:
        asked = AskedFor.of(request.method, request.path, request.query, request.body, self._masker)
        exchange = self._take(asked)
        if exchange is None:
            text = self._not_recorded(asked)
            self.not_recorded.append(text)
            await send_refusal(send, _NOT_RECORDED, "NOT_RECORDED", text)
            return
        await send_answer(send, exchange.status, exchange.headers, exchange.sent())

    def _take(self, asked: AskedFor) -> Exchange | None:
        """Return the next recorded answer to a request; None if there is none."""
        for number, exchange in enumerate(self._left):
            if self._is_same(exchange.request, asked):
                return self._left.pop(number)
        if asked.is_lookup:
            return next((one for one in reversed(self._exchanges) if self._is_same(one.request, asked)), None)
        return None

    def _is_same(self, recorded: AskedFor, asked: AskedFor) -> bool:
        if (recorded.method, recorded.path, recorded.query) != (asked.method, asked.path, asked.query):
            return False
        return next(differences(self._compared(recorded.body), self._compared(asked.body)), None) is None

    def _compared(self, body: Any) -> Any:
        """Return a body without the fields that are not compared."""
        if self._ignored and isinstance(body, dict):
            return {key: value for key, value in body.items() if key not in self._ignored}
        return body

    def _not_recorded(self, asked: AskedFor) -> str:
        """Return what is wrong with a request that has no answer."""
        times = sum(self._is_same(one.request, asked) for one in self._exchanges)
        if times:
            return f"{asked} was recorded {times} times in {self._path}, and this is request {times + 1}."
        found = [(list(self._between(one.request, asked)), one.request) for one in self._exchanges]
        advice = "If the change is right, record again with `pytest --dbchat-record`."
        if not found:
            return f"{asked} is not in {self._path}, which is empty. {advice}"
        differs, nearest = min(found, key=lambda pair: (pair[1].path != asked.path, len(pair[0])))
        more = [f"and {len(differs) - _SHOWN} more"] if len(differs) > _SHOWN else []
        lines = "".join(f"\n  {line}" for line in [*differs[:_SHOWN], *more])
        return f"{asked} is not in {self._path}. The nearest recorded request is {nearest}:{lines}\n{advice}"

    def _between(self, recorded: AskedFor, asked: AskedFor) -> Iterable[str]:
        for name in ("method", "path", "query"):
            yield from differences(getattr(recorded, name), getattr(asked, name), name)
        yield from differences(self._compared(recorded.body), self._compared(asked.body))
