"""Write the error of an embedding run in which some texts have an embedding and others do not.

Rule 1. It holds what succeeded and the failure of each text; its attributes are those of its cause.
Rule 2. If its cause is a malformed answer, it is a `MalformedResponseError` too, so that one `except` finds both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_dbchat.errors import EmbeddingsIncompleteError, MalformedResponseError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MalformedRowsError", "incomplete"]

_SHOWN = 3  # failures that an error's message names


class MalformedRowsError(EmbeddingsIncompleteError, MalformedResponseError):
    """Of many texts some have no embedding, because what came for them is not a list of finite numbers."""


def incomplete(  # noqa: PLR0913  # how a run ended, fact by fact
    cause: Exception,
    failures: Mapping[int, Exception],
    rows: Any,
    *,
    done: int,
    total: int,
    stopped: bool,
    endpoint: str,
    host: str,
) -> EmbeddingsIncompleteError:
    """Write the error.

    Args:
        cause: What stopped the run, or its first failure.
        failures: The error of each text that failed, by index.
        rows: What succeeded.
        done: How many texts have an embedding.
        total: How many texts there were.
        stopped: Whether the run was stopped before its end.
        endpoint: The endpoint's name.
        host: The host.

    Returns:
        The error, to be raised from its cause.
    """
    told = [f"  Text {index}: {_first_line(failure)}" for index, failure in sorted(failures.items())[:_SHOWN]]
    if len(failures) > _SHOWN:
        told.append(f"  ... and {len(failures) - _SHOWN} more.")
    head = f"{len(failures)} of {total} texts have no embedding."
    if stopped:
        head = f"Stopped when {done} of {total} texts had an embedding: {_first_line(cause)}"
    kind = MalformedRowsError if isinstance(cause, MalformedResponseError) else EmbeddingsIncompleteError
    error = kind(
        "\n".join([head, *told, "  What succeeded is in this error's `rows`, the reasons in its `failures`."]),
        endpoint=endpoint,
        host=host,
    )
    for name in ("status_code", "error_code", "request_id", "retry_after", "limit_type", "auth", "detail"):
        setattr(error, name, getattr(cause, name, None))
    error.is_retryable = bool(getattr(cause, "is_retryable", False))
    error.failures, error.rows = dict(sorted(failures.items())), rows
    return error


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).partition("\n")[0]
