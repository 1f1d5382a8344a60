"""The command ``dbchat`` and its sub-commands.

Rule 1. Each sub-command is a row of `COMMANDS`: its name, the functions that add its options and run it, and whether it
needs the extra ``cli``.
Rule 2. A failure is one paragraph on the standard error and an exit code (`ExitCode`), never a traceback. What a
program reads is alone on the standard output.
Rule 3. argparse (standard library) reads all command lines, so that ``doctor``, ``local`` and ``--version`` work
without the extra, and the others are read and explained in the same way.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from langchain_dbchat._version import __version__
from langchain_dbchat.cli import ask, doctor
from langchain_dbchat.cli.connection import NotSignedInError
from langchain_dbchat.cli.exit_codes import ExitCode, UsageError, exit_code_of
from langchain_dbchat.cli.output import error_line
from langchain_dbchat.errors import DatabricksError
from langchain_dbchat.local.server import terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["main"]


@dataclass(frozen=True, slots=True)
class Command:
    """One sub-command."""

    name: str
    """The word after ``dbchat``."""
    add_arguments: Callable[[argparse.ArgumentParser], None]
    """Adds its options to its parser."""
    run: Callable[[argparse.Namespace], int]
    """Runs it and returns the exit code; its docstring is the help text."""
    needs_extra: bool = True
    """Whether it needs the extra ``cli``."""


COMMANDS = (
    Command("ask", ask.add_arguments, ask.ask),
    Command("doctor", doctor.add_arguments, doctor.examine, needs_extra=False),
    Command("local", terminal.add_arguments, terminal.serve, needs_extra=False),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``dbchat``.

    Args:
        arguments: The arguments after ``dbchat``; None for those of the command line.

    Returns:
        The exit code, a value of `ExitCode`.
    """
    options = _parser().parse_args(arguments)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("default", UserWarning)
            warnings.showwarning = _print_warning
            return _run(options)
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # What is still buffered has no reader either (docs.python.org/3/library/signal.html#note-on-sigpipe).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.PIPE_CLOSED


def _run(options: argparse.Namespace) -> int:
    """Run the sub-command, and print what goes wrong."""
    command: Command = options.command
    if command.needs_extra and not _has_extra():
        error_line(f'dbchat {command.name} needs the extra "cli". Install it: pip install "langchain-dbchat[cli]"')
        return ExitCode.USAGE
    try:
        code = command.run(options)
        sys.stdout.flush()
    except NotSignedInError as error:
        error_line(error.error)
        return ExitCode.NOT_SIGNED_IN
    except (UsageError, ImportError) as error:
        error_line(error)
        return ExitCode.USAGE
    except DatabricksError as error:
        error_line(error)
        return exit_code_of(error)
    except ValueError as error:  # a setting that the model does not have
        error_line(error)
        return ExitCode.USAGE
    return code


def _parser() -> argparse.ArgumentParser:
    """Return the parser of all sub-commands."""
    parser = argparse.ArgumentParser(
        prog="dbchat",
        description="Chat models and embeddings of Databricks model serving, from a terminal.",
        epilog="Exit codes: 0 done, 1 the call failed, 2 wrong usage, 3 not signed in or no host, 130 interrupted.",
    )
    parser.add_argument("--version", action="version", version=f"dbchat {__version__}")
    commands = parser.add_subparsers(required=True, metavar="command")
    for command in COMMANDS:
        text = (command.run.__doc__ or "").partition("\n")[0]
        one = commands.add_parser(command.name, help=text, description=text)
        command.add_arguments(one)
        one.set_defaults(command=command)
    return parser


def _has_extra() -> bool:
    """Return whether the packages of the extra ``cli`` are there."""
    try:
        import_module("rich")
    except ImportError:
        return False
    return True


def _print_warning(message: Warning | str, *_: object, **__: object) -> None:
    """Print a warning of the library as a note, without the line of code that caused it."""
    error_line(f"note: {message}")


if __name__ == "__main__":
    sys.exit(main())
