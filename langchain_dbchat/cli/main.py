"""The command ``dbchat`` and its sub-commands.

Rule 1. Each sub-command is a row of `COMMANDS`: its name, the functions that add its options and run it, and whether it
needs the extra ``cli``.
Rule 2. A failure is one paragraph on the standard error and an exit code (`ExitCode`), never a traceback. What a
program reads is alone on the standard output.
Rule 3. argparse (standard library) reads all command lines, so that ``doctor``, ``local`` and ``--version`` work
without the extra, and the others are read and explained in the same way. shtab writes the completion of shells from
argparse's parsers.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, NoReturn

from langchain_dbchat._version import __version__
from langchain_dbchat.cli import ask, chat, doctor, embed, models
from langchain_dbchat.cli.completion import PrintCompletion
from langchain_dbchat.cli.connection import NotSignedInError
from langchain_dbchat.cli.exit_codes import ExitCode, UsageError, exit_code_of
from langchain_dbchat.cli.output import error_line
from langchain_dbchat.errors import DatabricksError
from langchain_dbchat.local.server import terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["main", "run"]


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
    Command("chat", chat.add_arguments, chat.chat),
    Command("ask", ask.add_arguments, ask.ask),
    Command("models", models.add_arguments, models.models),
    Command("embed", embed.add_arguments, embed.embed),
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
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help(sys.stderr)
        return ExitCode.USAGE
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


def run() -> NoReturn:
    """Run ``dbchat``, and end the process; after Ctrl-C, requests under way in other threads are not waited for."""
    code = main()
    if code == ExitCode.INTERRUPTED:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _run(options: argparse.Namespace) -> int:
    """Run the sub-command, and print what goes wrong."""
    command: Command = options.command
    if command.needs_extra and not _has_extra():
        error_line(f'dbchat {command.name} needs the extra "cli". Install it: pip install "langchain-dbchat[cli]"')
        return ExitCode.USAGE
    try:
        code = command.run(options)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except (NotSignedInError, UsageError, DatabricksError, ImportError, ValueError, OSError) as error:
        return _failed(error)
    return code


def _failed(error: Exception) -> ExitCode:
    """Print an error, and return the exit code for it."""
    if isinstance(error, NotSignedInError):
        error_line(error.error)
        return ExitCode.NOT_SIGNED_IN
    if isinstance(error, OSError) and not isinstance(error, DatabricksError):  # of a file
        error_line(f"{error.filename}: {error.strerror}." if error.filename else str(error))
        return ExitCode.FAILED
    error_line(error)
    # A ValueError is a setting that the model does not have.
    return exit_code_of(error) if isinstance(error, DatabricksError) else ExitCode.USAGE


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one paragraph."""

    def error(self, message: str) -> NoReturn:
        """Print what is wrong and where the options are listed, and end."""
        error_line(f"{message[:1].upper()}{message[1:].rstrip('.')}. `{self.prog} --help` lists the options.")
        sys.exit(ExitCode.USAGE)


def _parser() -> argparse.ArgumentParser:
    """Return the parser of all sub-commands."""
    parser = _Parser(
        prog="dbchat",
        description="Chat models and embeddings of Databricks model serving, from a terminal.",
        epilog="Exit codes: 0 done, 1 the call failed, 2 wrong usage, 3 not signed in or no host, 130 interrupted.",
    )
    parser.add_argument("--version", action="version", version=f"dbchat {__version__}")
    parser.add_argument(
        "--completion",
        action=PrintCompletion,
        choices=PrintCompletion.SHELLS,
        metavar="SHELL",
        help=f"print the script that completes commands and options in {', '.join(PrintCompletion.SHELLS)}",
    )
    commands = parser.add_subparsers(metavar="command")
    parser.set_defaults(command=None)
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
    run()
