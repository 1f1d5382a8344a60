"""Errors that come as answers: with status 200, or in the middle of a stream.

Rule 1. An ``error`` or an ``error_code`` is an error, whatever stands beside it.
Rule 2. Without the field that an answer fills, so is what FastAPI and proxies say without either: a ``detail``, or a
    ``message`` with a status or a code.
Rule 3. An answer that a guardrail ended is a refusal. Its error has the words of the answer and the message itself, so
    it is raised when the answer has been read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from langchain_core.messages import AIMessage


def raise_error_within(
    payload: Mapping[str, Any], wanted: str, *, request_id: str | None = None, endpoint: str | None = None
) -> None:
    """Raise the error that an answer is, if it is one.

    Args:
        payload: The decoded answer or event.
        wanted: The field that an answer without an error fills, such as ``"choices"``.
        request_id: The request id from the response's headers.
        endpoint: The serving endpoint that was called.

    Raises:
        DatabricksError: The answer is an error.
    """
    if payload.get(wanted) and "error" not in payload and "error_code" not in payload:
        return
    from langchain_dbchat.errors.answers import error_from_event  # noqa: PLC0415  # most answers are none

    error = error_from_event(payload, request_id=request_id, endpoint=endpoint)
    if error is None and payload.get(wanted) is None and _is_complaint(payload):
        error = error_from_event({"error": dict(payload)}, request_id=request_id, endpoint=endpoint)
    if error is not None:
        raise error


def raise_blocked(
    payload: Mapping[str, Any], answer: Callable[[], AIMessage], *, request_id: str | None = None
) -> None:
    """Raise the refusal that an answer is, if a guardrail ended it.

    Args:
        payload: The decoded answer or event.
        answer: Makes the answer as far as it was read; the error has its words, and it as `partial`.
        request_id: The request id from the response's headers.

    Raises:
        DatabricksRefusalError: A guardrail ended the answer.
    """
    from langchain_dbchat.errors.answers import error_from_event  # noqa: PLC0415  # most answers are none

    if error_from_event(payload) is None:
        return
    error = error_from_event(payload, request_id=request_id, answer=answer())
    if error is not None:
        raise error


def may_be_blocked(said: Mapping[str, Any]) -> bool:
    """Say whether a guardrail may have ended an answer or one of its choices; `error_from_event` knows for certain.

    Args:
        said: The answer, an event or a choice, in which a finish reason such as ``input_guardrail_triggered`` stands.
    """
    reason = said.get("finish_reason") or said.get("finishReason")
    if isinstance(reason, str) and "guardrail" in reason.lower():
        return True
    if "choices" in said and isinstance(said["choices"], list):
        for choice in said["choices"]:  # for each event of some servers: a generator takes twice as long
            if isinstance(choice, dict) and may_be_blocked(choice):
                return True
    return False


def _is_complaint(payload: Mapping[str, Any]) -> bool:
    coded = any(payload.get(key) for key in ("code", "status", "status_code", "statusCode"))
    return bool(payload.get("detail") or (payload.get("message") and coded))
