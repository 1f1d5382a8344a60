"""Read lines at a prompt, with the keys and the history of the terminal's line editor.

Rule 1. The editor is Python's readline. Where it is missing (Windows), the console edits the line itself.
Rule 2. The history is a file that only its owner can read (readline makes it so), in ``$XDG_STATE_HOME``
(https://specifications.freedesktop.org/basedir-spec/latest/). A history that cannot be read or written is not used.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType, TracebackType

    from typing_extensions import Self

__all__ = ["LineEditor"]

_PROMPT = "> "
_CONTINUED = ". "
_KEPT = 1000  # lines


class LineEditor:
    """Reads lines; within ``with`` it has the history of earlier conversations."""

    def __init__(self) -> None:
        self._readline = _readline()
        self._file = _history_file()

    def __enter__(self) -> Self:
        if self._readline is not None:
            with suppress(OSError):
                self._readline.read_history_file(str(self._file))
            self._readline.set_history_length(_KEPT)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._readline is not None:
            with suppress(OSError):
                self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._readline.write_history_file(str(self._file))

    def read(self) -> str | None:
        """Read a line, and the lines that continue it.

        Returns:
            The text; empty if the user pressed Ctrl-C; None at the end of the input (Ctrl-D).
        """
        lines: list[str] = []
        try:
            while True:
                line = input(_CONTINUED if lines else _PROMPT)
                lines.append(line.removesuffix("\\"))
                if not line.endswith("\\"):
                    return "\n".join(lines)
        except KeyboardInterrupt:
            print()  # noqa: T201  # the next prompt begins a line
            return ""
        except EOFError:
            print()  # noqa: T201  # the same
            return None


def _readline() -> ModuleType | None:
    try:
        import readline  # noqa: PLC0415  # only a conversation edits lines, and not every Python has it
    except ImportError:  # pragma: no cover  # Windows
        return None
    return readline


def _history_file() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state, "langchain-dbchat", "chat_history")
