"""Forgets what the client keeps for the length of its process, so that nothing of it reaches the next test.

Rule 1. An address does not separate two tests: the system may give the port of one server to another.
Rule 2. `KEPT` is all that the client keeps under such keys; `tests/unit_tests/test_forgetting.py` compares it with the
code.
"""

from __future__ import annotations

from langchain_dbchat.auth import cli, endpoint_tokens, m2m, posit, sdk, steps
from langchain_dbchat.connection import endpoints
from langchain_dbchat.transport import limiter
from langchain_dbchat.transport.clients import close_sync_clients

KEPT = {
    "auth.cli.CELLS": cli.CELLS,
    "auth.endpoint_tokens.CELLS": endpoint_tokens.CELLS,
    "auth.endpoint_tokens._details": endpoint_tokens._details,
    "auth.m2m.CELLS": m2m.CELLS,
    "auth.posit.CELLS": posit.CELLS,
    "auth.posit._last_good": posit._last_good,
    "auth.sdk._made": sdk._made,
    "auth.steps._reported": steps._reported,
    "connection.endpoints._endpoints": endpoints._endpoints,
    "transport.limiter._limiters": limiter._limiters,
}


def forget_everything() -> None:
    """Empty all that is kept, and close the connections that no event loop owns."""
    for kept in KEPT.values():
        kept.clear()  # type: ignore[attr-defined]  # dicts, sets and cells of tokens have it
    close_sync_clients()
