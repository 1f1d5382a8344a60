"""The exit codes of ``dbchat``, which scripts may rely on (docs/command-line.md)."""

from __future__ import annotations

from enum import IntEnum

from langchain_dbchat.errors import DatabricksAuthenticationError, DatabricksError

__all__ = ["ExitCode", "UsageError", "exit_code_of"]


class ExitCode(IntEnum):
    """Why a command ended."""

    OK = 0
    FAILED = 1
    """A call failed."""
    USAGE = 2
    """The command line is wrong, or a package is missing."""
    NOT_SIGNED_IN = 3
    """There is no host, there are no credentials, or the server does not accept them."""
    INTERRUPTED = 130
    """The user pressed Ctrl-C."""
    PIPE_CLOSED = 141
    """Whoever read the output has stopped, as after ``dbchat ask ... | head``."""


class UsageError(Exception):
    """The command line asks for something that cannot be done; the text says what, and what to do."""


def exit_code_of(error: DatabricksError) -> ExitCode:
    """Return the exit code for the error of a call.

    Args:
        error: What the call raised, after host and credentials had been found.

    Returns:
        The code. A setting or a content that cannot be sent is wrong usage.
    """
    if isinstance(error, DatabricksAuthenticationError):
        return ExitCode.NOT_SIGNED_IN
    return ExitCode.USAGE if isinstance(error, ValueError) else ExitCode.FAILED
