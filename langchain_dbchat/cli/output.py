"""Text for a terminal: paragraphs that fit its width, and errors in the words of the command line.

Rule 1. What is printed to a terminal is wrapped between words. What goes to a file or a pipe is one line, so that
programs can search it.
Rule 2. An error is one paragraph: what happened, what to do, and the server's id of the request. The library's messages
name Python's arguments; here they are the options of the command.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from langchain_dbchat.errors import DatabricksAuthenticationError, DatabricksError
from langchain_dbchat.errors.redaction import scrub

if TYPE_CHECKING:
    from typing import TextIO

__all__ = ["Explanation", "error_line", "explain", "plain", "wrapped"]

_WIDEST = 100  # columns; longer lines are hard to read
_SEARCH = re.compile(r" Looked at, in this order:(?:\n\s*- [^\n]*)+")
_LAST_SENTENCE = re.compile(
    r"(?<=[.!?]) ((?:Give|Set|Name|Leave|Make|Check|Call|Use|Run|Install)\b[^.]*(?:\.[^ .][^.]*)*\.)$"
)
_OPTIONS = (
    (re.compile(r"(?:Pass|pass) host='https://<workspace>'"), "Give --host https://<workspace>"),
    (re.compile(r"\bfrom host argument"), "from --host"),
    (re.compile(r"\bfrom base_url argument"), "from --base-url"),
    (re.compile(r"(?:Pass|pass) token=\.\.\."), "Give --token-env NAME"),
    (re.compile(r"\btoken=\.\.\."), "--token-env NAME"),
    (re.compile(r"\bprofile=\.\.\."), "--profile NAME"),
    (re.compile(r"\bmodel=(?:\.\.\.)?(?=\W|$)"), "--model"),
    (re.compile(r"\bhost=\.\.\."), "--host"),
    (re.compile(r"\bbase_url=(?:\.\.\.)?(?=\W|$)"), "--base-url"),
    (re.compile(r"\ballow_http=True"), "--allow-http"),
    (re.compile(r"\bapi='"), "--api '"),
    (re.compile(r"\btimeout=(?=\W|$)"), "--timeout"),
    (re.compile(r"\blist_endpoints\(\)"), "`dbchat models`"),
)
"""The library's words for what to do, and the options of the command that do it."""


class Explanation(NamedTuple):
    """An error for a reader at a terminal.

    Attributes:
        what: What happened.
        advice: What to do; empty if `what` says it.
        request_id: The server's id of the request; empty if there is none.
    """

    what: str
    advice: str
    request_id: str

    def __str__(self) -> str:
        """Return all of it in one paragraph."""
        what = self.what if self.what.endswith((".", "!", "?")) else f"{self.what}."
        return " ".join(filter(None, (what, self.advice, self.request_id and f"(request id {self.request_id})")))


def explain(error: DatabricksError) -> Explanation:
    """Return what happened and what to do.

    Args:
        error: The error.

    Returns:
        Both, without line breaks and secrets, and without the list of what was looked at.
    """
    what, advice = error.message if error.what is None else error.what, error.advice
    what = plain(_SEARCH.sub("", what))
    if not advice and (last := _LAST_SENTENCE.search(what)):
        what, advice = what[: last.start()], last[1]
    return Explanation(what, plain(advice), error.request_id or "")


def wrapped(text: str, *, first: str = "", rest: str = "", stream: TextIO | None = None) -> str:
    """Return a paragraph as it is printed.

    Args:
        text: The text.
        first: What comes before its first line.
        rest: What comes before the other lines.
        stream: Where it is printed; None for the standard output.

    Returns:
        The lines, with a line break at the end; a single line if the stream is not a terminal.
    """
    stream = stream or sys.stdout
    if not stream.isatty():
        return f"{first}{text}".rstrip() + "\n"
    columns = min(shutil.get_terminal_size().columns, _WIDEST)
    lines = textwrap.wrap(
        text,
        columns - 1,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(lines or [first.rstrip()]) + "\n"


def error_line(error: Exception | str, more: str = "") -> None:
    """Print an error as one paragraph on the standard error.

    Args:
        error: The error, or its text.
        more: What is said after it.
    """
    text = str(explain(error)) if isinstance(error, DatabricksError) else plain(_words_of(error))
    if isinstance(error, DatabricksAuthenticationError):
        text += " `dbchat doctor` says more."
    text = f"{text} {more}".rstrip()
    sys.stdout.flush()
    sys.stderr.write(wrapped(text, first="dbchat: ", rest="  ", stream=sys.stderr))


def _words_of(error: Exception | str) -> str:
    """Return the text of an error; pydantic's names the options in place of fields, types and its own pages."""
    from pydantic_core import ValidationError  # noqa: PLC0415  # `dbchat --help` does not need it

    if not isinstance(error, ValidationError):
        return str(error)
    wrong = [(".".join(map(str, one["loc"])), one["msg"].removeprefix("Value error, ")) for one in error.errors()]
    said = (f"--{field.replace('_', '-')}: {text}" if field else text for field, text in wrong)
    return " ".join(text if text.endswith(".") else f"{text}." for text in said)


def plain(text: str) -> str:
    """Write a text of the library in one line, without secrets, in the words of the command line.

    The home directory is written as ``~``, because a path is a word that cannot be wrapped.

    Args:
        text: The text.

    Returns:
        The line.
    """
    text = " ".join(scrub(text).split())
    home = Path.home()
    if home.name:  # not the root of the file system
        text = text.replace(f"{home}{os.sep}", f"~{os.sep}")
    for words, option in _OPTIONS:
        text = words.sub(option, text)
    return text
