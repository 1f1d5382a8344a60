"""dasllama's server as a process of ours on 127.0.0.1, from `start` to `stop`.

Rule 1. What it writes (logs, tuning) goes into one folder: it is the process's home and working folder.
Rule 2. It ends with us: with `stop`, and when Python ends.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

START_SECONDS = 120.0
STOP_SECONDS = 5.0
_PORTS = 5  # how many are tried
SHOWN_BYTES = 1_000
"""How much of its output an error shows."""


class ModelProcess:
    """A model server.

    Args:
        folder: Its home.
        command: The program and its options, without the port.
    """

    def __init__(self, folder: Path, command: Sequence[str]) -> None:
        self._folder = folder
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> str:
        """Start it, and return its base URL as soon as it answers.

        Raises:
            RuntimeError: It ended, or did not answer in time; the text has the end of its output.
            OSError: It cannot be started.
        """
        deadline = time.monotonic() + START_SECONDS
        for _ in range(_PORTS):
            port = _free_port()
            self._begin(port)
            while self._runs() and time.monotonic() < deadline:
                if _answers(port) and self._runs():  # else it was another server that answered there
                    return f"http://127.0.0.1:{port}/v1"
                time.sleep(0.05)
            self.stop()
            if not _is_taken(port):
                break
        said = self._output.read_bytes()[-SHOWN_BYTES:].decode("utf-8", "replace").strip()
        raise RuntimeError(f"The small model did not start. Its output in {self._output} ends with:\n{said}")

    @property
    def _output(self) -> Path:
        return self._folder / "output.txt"

    def _begin(self, port: int) -> None:
        home = {"HOME": str(self._folder), "USERPROFILE": str(self._folder)}
        with self._output.open("wb") as file:
            self._process = subprocess.Popen(  # noqa: S603  # the program of an installed package
                [*self._command, "--port", f"{port}"], stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT,
                cwd=self._folder, env={**os.environ, **home},
            )  # fmt: skip
        atexit.register(self.stop)

    def _runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """End it."""
        atexit.unregister(self.stop)
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _is_taken(port: int) -> bool:
    """Return whether another program uses a port, as it may since `_free_port` found it free."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def _answers(port: int) -> bool:
    """Return whether the server lists its model."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{port}/v1/models", timeout=5) as answer:
            return b'"id"' in answer.read()
    except (urllib.error.URLError, OSError):
        return False
