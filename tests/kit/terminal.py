"""A command in a terminal of 80 columns, and what a person sees on it.

The command runs in a process of its own at the other end of a pseudo-terminal; pyte draws what it writes.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pyte

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from typing_extensions import Self

COLUMNS, ROWS = 80, 24
_PATIENCE = 90.0  # seconds
_ROOT = Path(__file__).parents[2]


class Terminal:
    """``dbchat`` in a terminal.

    Args:
        words: The arguments after ``dbchat``.
        variables: The environment, besides that of this process.
        folder: Where it runs; None for the folder of the tests.
        rows: The height of the window.
    """

    def __init__(
        self, *words: str, variables: Mapping[str, str] | None = None, folder: Path | None = None, rows: int = ROWS
    ) -> None:
        self._screen = pyte.HistoryScreen(COLUMNS, rows, history=10_000)
        self._stream = pyte.ByteStream(self._screen)
        self.written = b""
        self.code: int | None = None
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, COLUMNS, 0, 0))
        path = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
        environment = {**os.environ, "TERM": "xterm-256color", "PYTHONPATH": path, **(variables or {})}
        for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "CI"):
            environment.pop(name, None)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "langchain_dbchat", *words],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment,
            cwd=folder,
            start_new_session=True,
            preexec_fn=_own_terminal,  # noqa: PLW1509  # one thread, and Ctrl-C needs a controlling terminal
        )
        os.close(theirs)
        self._file = ours

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(_PATIENCE)
        os.close(self._file)

    @property
    def lines(self) -> list[str]:
        """What has been on the screen, from the first line; lines that scrolled away are included."""
        past = ["".join(line[column].data for column in range(COLUMNS)) for line in self._screen.history.top]
        return [line.rstrip() for line in (*past, *self._screen.display)]

    @property
    def text(self) -> str:
        """The lines, as one text."""
        return "\n".join(self.lines).rstrip()

    @property
    def words(self) -> str:
        """The text without the line breaks of a narrow window."""
        return " ".join(self.text.split())

    @property
    def scrolled(self) -> int:
        """How many lines have left the window."""
        return len(self._screen.history.top)

    def cells(self, text: str) -> list[pyte.screens.Char]:
        """The cells of a text in the window, with their colours."""
        for row, line in enumerate(self._screen.display):
            if text in line:
                start = line.index(text)
                return [self._screen.buffer[row][column] for column in range(start, start + len(text))]
        raise AssertionError(f"{text!r} is not in the window:\n{self.text}")

    def type(self, text: str) -> None:
        """Press keys; a line break is the Enter key."""
        os.write(self._file, text.encode())

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self.type("\x03")

    def end(self) -> None:
        """Press Ctrl-D."""
        self.type("\x04")

    def wait_for(self, text: str, times: int = 1) -> None:
        """Wait until a text was shown.

        Raises:
            AssertionError: If it does not appear in time.
        """
        end = time.monotonic() + _PATIENCE
        while self.words.count(text) < times:
            if time.monotonic() > end or not self._read(0.1):
                raise AssertionError(f"{text!r} was not shown:\n{self.text}")

    def finish(self) -> int:
        """Wait for the end of the command, and return its exit code."""
        end = time.monotonic() + _PATIENCE
        while self._read(0.1) and time.monotonic() < end:
            pass
        self.code = self._process.wait(max(end - time.monotonic(), 0.1))
        return self.code

    def _read(self, seconds: float) -> bool:
        """Draw what has arrived; False at the end."""
        if not select.select([self._file], [], [], seconds)[0]:
            return True
        with contextlib.suppress(OSError):  # Linux reports the other end's close as an error
            got = os.read(self._file, 65536)
            self.written += got
            self._stream.feed(got)
            return bool(got)
        return False


def run(*words: str, variables: Mapping[str, str] | None = None, folder: Path | None = None) -> Terminal:
    """Run a command to its end."""
    with Terminal(*words, variables=variables, folder=folder) as terminal:
        terminal.finish()
    return terminal


def assert_well_shown(terminal: Terminal, *secrets: str) -> None:
    """Assert what holds for every screen: no line is broken by the window, no traceback, no secret."""
    for line in terminal.lines:
        assert len(line) < COLUMNS, f"a line fills the window:\n{terminal.text}"
    assert "Traceback" not in terminal.text
    for secret in secrets:
        assert secret not in terminal.words
        assert secret.encode() not in terminal.written


def _own_terminal() -> None:
    """Make the terminal that of this process, and Ctrl-C its signal."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.default_int_handler)
