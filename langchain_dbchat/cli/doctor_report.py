"""What ``dbchat doctor`` prints: a line for each step and one advice, or the same as JSON."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from langchain_dbchat.cli.output import explain, wrapped
from langchain_dbchat.errors.redaction import scrub

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_dbchat.errors import DatabricksError

__all__ = ["DoctorReport"]

_MARGIN = " " * 18
_ERASE = "\r\x1b[K"


class DoctorReport:
    """The steps that were taken, printed as they end.

    Args:
        facts: What is known before the first step.
        as_json: Whether everything is printed at the end, as JSON.
        is_verbose: Whether details are printed.
    """

    def __init__(self, facts: Mapping[str, Any], *, as_json: bool, is_verbose: bool) -> None:
        self.advice = ""
        """What to do now."""
        self._facts = facts
        self._steps: list[dict[str, str]] = []
        self._as_json = as_json
        self._is_verbose = is_verbose
        self._print(f"langchain-dbchat {facts['version']}, Python {facts['python']}\n\n")
        if is_verbose:
            self._line("set", "variables", ", ".join(facts["variables"]) or "none of Databricks")

    def begin(self, step: str) -> None:
        """Show at a terminal what is waited for."""
        if sys.stdout.isatty():
            self._print(f"...     {step}")

    def ok(self, step: str, text: str, *details: str) -> None:
        """Print a step that succeeded.

        Args:
            step: The step.
            text: What was found.
            *details: What is printed only on demand.
        """
        self._end("ok", step, text, details)

    def failed(self, step: str, error: DatabricksError, start: str = "", *details: str) -> None:
        """Print a step that failed.

        Args:
            step: The step.
            error: Why.
            start: What comes before the error's text.
            *details: What is printed only on demand, before what the error notes of each attempt.
        """
        what, _, request_id = explain(error)
        text = f"{start}{what}{f' (request id {request_id})' if request_id else ''}"
        whole = error.message if error.message.count("\n  - ") else ""
        self._end("FAILED", step, text, (*details, whole, *getattr(error, "__notes__", ())))

    def end(self, *, is_ok: bool) -> None:
        """Print the advice, or all of it as JSON.

        Args:
            is_ok: Whether calls work.
        """
        if self._as_json:
            result = {**self._facts, "ok": is_ok, "steps": self._steps, "advice": self.advice or None}
            sys.stdout.write(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
            return
        advice = self.advice or ("Everything works." if is_ok else "")
        label = "" if is_ok else f"{'fix':<8}"
        if advice:
            self._print("\n" + wrapped(advice, first=label, rest=" " * len(label)))

    def _end(self, state: str, step: str, text: str, details: tuple[str, ...]) -> None:
        self._steps.append({"step": step, "state": state.lower(), "text": scrub(text)})
        if sys.stdout.isatty():
            self._print(_ERASE)
        self._line(state, step, scrub(text))
        for detail in filter(None, details if self._is_verbose else ()):
            for line in scrub(detail).splitlines():
                self._print(wrapped(line.strip(), first=_MARGIN, rest=f"{_MARGIN}  "))

    def _line(self, state: str, step: str, text: str) -> None:
        self._print(wrapped(text, first=f"{state:<8}{step:<10}", rest=_MARGIN))

    def _print(self, text: str) -> None:
        if not self._as_json:
            sys.stdout.write(text)
            sys.stdout.flush()
