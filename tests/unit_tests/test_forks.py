"""A forked child waits for no lock that a thread of its parent held."""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path

import pytest

import langchain_dbchat
from langchain_dbchat._process_lock import ProcessLock

_REPLACED = {("sdk.py", "_making")}
"""Locks of modules that a child replaces when it begins."""

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")


def test_no_other_module_has_a_lock() -> None:
    root = Path(langchain_dbchat.__file__).parent
    own = [path for path in root.rglob("*.py") if path.relative_to(root).parts[0] != "local"]  # that is a server
    lock = re.compile(r"(?m)^(\w+) = threading\.R?Lock\(\)")
    found = {(path.name, name) for path in own for name in lock.findall(path.read_text("utf-8"))}
    assert found == _REPLACED


def test_a_child_has_a_lock_of_its_own() -> None:
    lock = ProcessLock()
    with lock:
        child = os.fork()
        if child == 0:
            threading.Timer(20, os._exit, [2]).start()
            with lock:
                os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_threads_exclude_each_other() -> None:
    lock, inside = ProcessLock(), threading.Event()

    def enter() -> None:
        with lock:
            inside.set()

    with lock:
        other = threading.Thread(target=enter)
        other.start()
        assert not inside.wait(0.05)
    assert inside.wait(30)
    other.join()
