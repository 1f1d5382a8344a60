"""``dbchat --completion SHELL``: print the script with which a shell completes commands and options (shtab).

Rule 1. The script contains the words itself, so pressing Tab starts no Python.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from langchain_dbchat.cli.exit_codes import ExitCode
from langchain_dbchat.cli.output import error_line

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["PrintCompletion"]

_FILES = frozenset({"input", "output", "image", "schema"})
"""The arguments that take the name of a file."""


class PrintCompletion(argparse.Action):
    """An option that prints the script of a shell, and ends the program."""

    SHELLS = ("bash", "zsh", "fish", "powershell", "tcsh")
    """The shells that shtab writes for."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        """Print the script for the shell that was given."""
        del namespace, option
        try:
            import shtab  # noqa: PLC0415  # an extra
        except ImportError:
            error_line('dbchat --completion needs the extra "cli". Install it: pip install "langchain-dbchat[cli]"')
            parser.exit(ExitCode.USAGE)
        for action in _actions(parser):
            if action.dest in _FILES:
                action.complete = shtab.FILE  # type: ignore[attr-defined]  # shtab reads it
        sys.stdout.write(shtab.complete(parser, values))
        parser.exit(ExitCode.OK)


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yield the arguments of a parser and of its sub-commands."""
    for action in parser._actions:  # noqa: SLF001  # argparse has no public list; shtab reads this one
        yield action
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001  # the same
            for command in dict.fromkeys(action.choices.values()):
                yield from _actions(command)
