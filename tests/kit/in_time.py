"""Calls of servers that never come to an end."""

from __future__ import annotations

import time

import pytest

from kit.ways import Way
from langchain_dbchat import ChatDatabricksCompat
from langchain_dbchat.errors import DatabricksTimeoutError

LONG = 15.0


def ends_in_time(call: Way, llm: ChatDatabricksCompat, text: str = "first_event", least: float = 0.35) -> None:
    """Expect that a call raises a timeout of a name, not before so many seconds, and long before the test ends."""
    began = time.monotonic()
    with pytest.raises(DatabricksTimeoutError, match=text):
        call(llm, "hi")
    assert least < time.monotonic() - began < LONG
