"""The command ``dbchat`` and its sub-commands.

Rule 1. Each sub-command is a row of `COMMANDS`: its name, and the functions that add its options and run it.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from langchain_dbchat.cli import doctor
from langchain_dbchat.local.server import terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass(frozen=True, slots=True)
class Command:
    """One sub-command."""

    name: str
    """The word after ``dbchat``."""
    add_arguments: Callable[[argparse.ArgumentParser], None]
    """Adds its options to its parser."""
    run: Callable[[argparse.Namespace], int]
    """Runs it and returns the exit code; its docstring is the help text."""


COMMANDS = (
    Command("local", terminal.add_arguments, terminal.serve),
    Command("doctor", doctor.add_arguments, doctor.examine),
)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all sub-commands."""
    parser = argparse.ArgumentParser(prog="dbchat", description="LangChain and Databricks model serving.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for command in COMMANDS:
        text = command.run.__doc__
        one = commands.add_parser(command.name, help=text, description=text)
        command.add_arguments(one)
        one.set_defaults(run=command.run)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``dbchat``.

    Args:
        arguments: The arguments after ``dbchat``; None for those of the command line.

    Returns:
        The exit code.
    """
    options = build_parser().parse_args(arguments)
    try:
        code: int = options.run(options)
    except ImportError as error:
        print(error, file=sys.stderr)
        return 1
    return code


if __name__ == "__main__":
    sys.exit(main())
