"""What went out: for each request the status, the tokens and the duration, given to an observer.

Rule 1. Tokens are those that the answer itself reports, on every API the last ``usage`` of its body; a stream reports
them where its request asks for that.
Rule 2. A connection that is cut is reported as well, with what was sent until then.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from langchain_dbchat.local.server.request_log import RecordedRequest

if TYPE_CHECKING:
    from starlette.types import Message, Send

TAIL = 4096
"""Bytes of the end of a body in which its usage is."""
INPUT = re.compile(rb'"(?:prompt|input)_tokens":\s*(\d{1,12})')
OUTPUT = re.compile(rb'"(?:completion|output)_tokens":\s*(\d{1,12})')


@dataclass(frozen=True, slots=True)
class SentAnswer:
    """What the workspace sent for one request."""

    status: int | None
    """The HTTP status; None if the connection ended before it."""
    input_tokens: int | None
    output_tokens: int | None
    seconds: float


AnswerObserver = Callable[[RecordedRequest, SentAnswer], None]
"""Called after each answer, in the thread of the server."""


class AnswerMeter:
    """Passes an answer on and measures it.

    Args:
        send: What takes the answer.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._started = time.monotonic()
        self._status: int | None = None
        self._tail = b""

    async def __call__(self, message: Message) -> None:
        """Pass on a message of the answer."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
        else:
            self._tail = (self._tail + message.get("body", b"")[-TAIL:])[-TAIL:]
        await self._send(message)

    @property
    def answer(self) -> SentAnswer:
        """Return what has been sent so far."""
        given, made = (pattern.findall(self._tail) for pattern in (INPUT, OUTPUT))
        return SentAnswer(
            self._status,
            int(given[-1]) if given else None,
            int(made[-1]) if made else None,
            time.monotonic() - self._started,
        )
