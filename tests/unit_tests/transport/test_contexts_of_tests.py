"""A test's own context stays its own on Python 3.10, too."""

from __future__ import annotations

import contextvars
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any

import pytest


@pytest.mark.skipif(sys.version_info >= (3, 11), reason="this Python has asyncio.Runner")
def test_no_thread_takes_the_context_of_a_test() -> None:
    backport: Any = import_module("backports.asyncio.runner.runner")
    mine = contextvars.copy_context()
    with ThreadPoolExecutor(1) as threads, backport._patch_object(contextvars, "copy_context", lambda: mine):
        assert contextvars.copy_context() is mine
        assert threads.submit(contextvars.copy_context).result() is not mine
    assert contextvars.copy_context() is not mine
