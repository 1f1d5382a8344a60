"""Errors that come as answers: with status 200, or in the middle of a stream.

Rule 1. An ``error`` or an ``error_code`` is an error, whatever stands beside it.
Rule 2. Without the field that an answer fills, so is what FastAPI and proxies say without either: a ``detail``, or a
    ``message`` with a status or a code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


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
    if payload.get(wanted) and "error" not in payload and "error_code" not in payload and not _may_be_blocked(payload):
        return
    from langchain_dbchat.error_answers import error_from_event  # noqa: PLC0415  # most answers are none

    error = error_from_event(payload, request_id=request_id, endpoint=endpoint)
    if error is None and payload.get(wanted) is None and _is_complaint(payload):
        error = error_from_event({"error": dict(payload)}, request_id=request_id, endpoint=endpoint)
    if error is not None:
        raise error


def is_blocked(reason: Any) -> bool:
    """Say whether a finish reason may mean that a guardrail blocked the answer; `error_from_event` knows for certain.

    Args:
        reason: A choice's finish reason, such as ``input_guardrail_triggered``.
    """
    return isinstance(reason, str) and "guardrail" in reason


def _may_be_blocked(payload: Mapping[str, Any]) -> bool:
    if "finishReason" in payload or "finish_reason" in payload:
        return True
    choices = payload.get("choices")
    return isinstance(choices, list) and any(
        isinstance(choice, dict) and is_blocked(choice.get("finish_reason") or choice.get("finishReason"))
        for choice in choices
    )


def _is_complaint(payload: Mapping[str, Any]) -> bool:
    coded = any(payload.get(key) for key in ("code", "status", "status_code", "statusCode"))
    return bool(payload.get("detail") or (payload.get("message") and coded))
