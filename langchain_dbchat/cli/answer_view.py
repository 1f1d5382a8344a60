"""Show an answer in a terminal while it arrives: thinking dimmed, the text as Markdown.

Rule 1. Only the last lines are drawn again, because later words can still change them. What is above is printed once
and scrolls, so an answer may be longer than the window.
Rule 2. Control characters of an answer are not sent to the terminal, because they could change what it shows.
Rule 3. What a terminal cannot show, such as an image, is named.
Rule 4. The terminal does not echo keys meanwhile, because their letters (``^C``) would be within the answer.
"""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Literal

from rich.console import Console
from rich.live import Live
from rich.markdown import Markdown
from rich.segment import SegmentLines
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from langchain_core.messages import AIMessage
    from rich.segment import Segment
    from typing_extensions import Self

    Kind = Literal["thinking", "text", "media"]

__all__ = ["AnswerView", "terminal_console"]

_REDRAWN = 8  # lines at the end of an answer
_SECONDS = 0.06  # between two drawings
_WIDEST = 100  # columns
_CONTROLS = dict.fromkeys({*range(32), *range(127, 160)} - {ord("\n"), ord("\t")})
_MEDIA = frozenset({"image", "audio", "video", "file"})


def terminal_console() -> Console:
    """Return a console for the standard output that leaves the last column of the window free."""
    console = Console(highlight=False, markup=False)
    console.width = min(console.width, _WIDEST) - 1
    return console


class AnswerView:
    """Draws the chunks of one answer.

    Args:
        console: Where it draws.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._kind: Kind | None = None
        self._text = ""
        self._printed = 0
        self._drawn = 0.0
        self._live = self._new_live()
        self._keys = ExitStack()

    def __enter__(self) -> Self:
        self._keys.enter_context(_without_echo())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._keys:
            self._finish()

    def add(self, message: AIMessage) -> None:
        """Draw a chunk, or a whole answer.

        Args:
            message: The chunk.
        """
        for kind, text in _pieces(message):
            if kind != self._kind:
                self._finish()
                self._kind = kind
            self._text += text.translate(_CONTROLS)
        if self._kind is not None and time.monotonic() - self._drawn > _SECONDS:
            self._draw()

    def _draw(self) -> None:
        """Print the lines that will not change, and draw the last ones."""
        self._live.start()
        lines = self._lines()
        last = max(len(lines) - min(_REDRAWN, max(self._console.height - 3, 1)), self._printed)
        if last > self._printed:
            self._console.print(SegmentLines(lines[self._printed : last], new_lines=True), end="")
            self._printed = last
        self._live.update(SegmentLines(lines[last:], new_lines=True), refresh=True)
        self._drawn = time.monotonic()

    def _finish(self) -> None:
        """Print the rest of what has arrived."""
        if self._kind is None:
            return
        self._live.stop()
        lines = self._lines()
        if lines[self._printed :]:
            self._console.print(SegmentLines(lines[self._printed :], new_lines=True), end="")
        if self._kind == "thinking":
            self._console.print()
        self._kind, self._text, self._printed = None, "", 0
        self._live = self._new_live()

    def _new_live(self) -> Live:
        return Live(console=self._console, auto_refresh=False, transient=True)

    def _lines(self) -> list[list[Segment]]:
        text = self._text.strip("\n")
        shown = Markdown(text) if self._kind == "text" else Text(text, style="dim")
        lines: list[list[Segment]] = self._console.render_lines(shown, pad=False)
        return lines


@contextmanager
def _without_echo() -> Iterator[None]:
    """Switch the echo of keys off; keys that are pressed meanwhile are kept for the next line."""
    try:
        import termios  # noqa: PLC0415  # not every system has it
    except ImportError:  # pragma: no cover  # Windows
        yield
        return
    if not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    quiet = [*before]
    quiet[3] &= ~termios.ECHO
    termios.tcsetattr(sys.stdin, termios.TCSANOW, quiet)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSANOW, before)


def _pieces(message: AIMessage) -> Iterator[tuple[Kind, str]]:
    """Yield what a message adds to the thinking and to the text."""
    for block in message.content_blocks:
        if block["type"] == "reasoning" and block.get("reasoning"):
            yield "thinking", block["reasoning"]
        elif block["type"] == "text" and block["text"]:
            yield "text", block["text"]
        elif block["type"] in _MEDIA:
            yield "media", f"({block['type']}: a terminal cannot show it)\n"
