"""Find what a refusal of a batch of texts is about, and write the error of a run in which some texts failed.

Rule 1. The status alone does not decide: servers answer 400 to too many inputs, to one bad text among a hundred, and to
a wrong field. `plan` treats these differently, so the server's words are searched, as a table.
Rule 2. The error of a run contains what succeeded and the failure of each text; its attributes are those of its cause.
Rule 3. If its cause is a malformed answer, it is a `MalformedResponseError` too, so that one `except` finds both.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING, Any

from langchain_dbchat.errors import (
    DatabricksAPIError,
    DatabricksConnectionError,
    DatabricksContextOverflowError,
    DatabricksInvalidRequestError,
    DatabricksRateLimitError,
    DatabricksTimeoutError,
    EmbeddingsIncompleteError,
    MalformedResponseError,
    MalformedRowsError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_dbchat.errors import DatabricksError

__all__ = ["RefusalCause", "cause_of", "incomplete", "named_limit"]


class RefusalCause(Enum):
    """What a refusal is about."""

    COUNT = "too many texts in one request"
    SIZE = "too many bytes or tokens in one request"
    LENGTH = "a text that is too long"
    TEXT = "something that is not accepted, perhaps one of the texts"
    LOAD = "too many requests"
    SERVER = "a failure that may come from one of the texts"
    CALL = "the call as such"


_STATUSES = frozenset({400, 409, 413, 422})
_UNAVAILABLE = 503
_TOO_LARGE = 413
_SHOWN = 3  # failures that an error's message names
# Databricks; text-embeddings-inference; OpenAI; Cohere and others.
_COUNT = re.compile(
    r"input embeddings size is too large|batch size|too many (?:inputs|texts|input items|documents)"
    r"|array (?:is )?too long|(?:number|count) of (?:inputs|texts|input items)|at most \d+ (?:inputs|texts|elements)",
    re.IGNORECASE,
)
_SIZE = re.compile(
    r"request size|payload|\bbytes\b|tokens (?:per|in one|in a) request|max(?:imum)? (?:request )?(?:size|tokens per)"
    r"|(?:request|entity|body|batch|input) (?:size )?(?:is )?too large",
    re.IGNORECASE,
)
_NUMBER = r"(\d[\d,]{0,17})"  # a limit has no more digits, and `int` refuses thousands of them
_LIMIT = re.compile(
    rf"(?:exceed\w{{0,6}}|maximum|max\.?|at most|limit(?:ed)?(?: (?:of|is|to))?)\D{{0,40}}?{_NUMBER}"
    rf"|(?<!\d)(?<!\d,){_NUMBER} (?:limit|inputs|texts)",
    re.IGNORECASE,
)


def cause_of(error: DatabricksError) -> RefusalCause:
    """Find what a refusal is about.

    Args:
        error: The error, after all retries.

    Returns:
        Its cause.
    """
    words = error.detail or error.message
    if isinstance(error, DatabricksContextOverflowError):
        return RefusalCause.LENGTH
    if isinstance(error, DatabricksInvalidRequestError) and error.status_code in _STATUSES:
        if _COUNT.search(words):
            return RefusalCause.COUNT
        is_size = error.status_code == _TOO_LARGE or _SIZE.search(words)
        return RefusalCause.SIZE if is_size else RefusalCause.TEXT
    if isinstance(error, DatabricksRateLimitError) or error.status_code == _UNAVAILABLE:
        return RefusalCause.LOAD
    passing = (DatabricksAPIError, DatabricksConnectionError, DatabricksTimeoutError)
    return RefusalCause.SERVER if isinstance(error, passing) and error.is_retryable else RefusalCause.CALL


def named_limit(error: DatabricksError, refused: int) -> int:
    """Find how much an endpoint accepts that has refused an amount.

    Args:
        error: The refusal.
        refused: The amount: texts or bytes.

    Returns:
        The limit that the server's words name, if it is below what was refused; else half of that.
    """
    for found in _LIMIT.finditer(error.detail or error.message):
        limit = int((found[1] or found[2]).replace(",", ""))
        if 0 < limit < refused:
            return limit
    return max(1, refused // 2)


def incomplete(  # noqa: PLR0913  # how a run ended, fact by fact
    cause: Exception,
    failures: Mapping[int, Exception],
    rows: Any,
    *,
    total: int,
    done: int | None,
    endpoint: str,
    host: str,
) -> EmbeddingsIncompleteError:
    """Write the error of a run in which some texts have an embedding and others do not.

    Args:
        cause: What stopped the run, or its first failure.
        failures: The error of each text that failed, by index.
        rows: What succeeded.
        total: How many texts there were.
        done: How many texts had an embedding when the run was stopped; None if it came to its end.
        endpoint: The endpoint's name.
        host: The host.

    Returns:
        The error, to be raised from its cause.
    """
    failures = dict(sorted(failures.items()))
    head = f"{len(failures)} of {total} texts have no embedding."
    if done is not None:
        head = f"Stopped when {done} of {total} texts had an embedding: {_first_line(cause)}"
    lines = [head, *(f"  Text {index}: {_first_line(error)}" for index, error in list(failures.items())[:_SHOWN])]
    if len(failures) > _SHOWN:
        lines.append(f"  ... and {len(failures) - _SHOWN} more.")
    lines.append("  What succeeded is in this error's `rows`, the reasons in its `failures`.")
    kind = MalformedRowsError if isinstance(cause, MalformedResponseError) else EmbeddingsIncompleteError
    error = kind("\n".join(lines), endpoint=endpoint, host=host)
    for name in ("status_code", "error_code", "request_id", "retry_after", "limit_type", "auth", "detail"):
        setattr(error, name, getattr(cause, name, None))
    error.is_retryable = bool(getattr(cause, "is_retryable", False))
    error.failures, error.rows = failures, rows
    return error


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).partition("\n")[0]
