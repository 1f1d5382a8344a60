"""Raise the errors that servers send as answers: with status 200, or in the middle of a stream.

Rule 1. An answer with an ``error`` or an ``error_code`` is an error, whatever its other fields are.
Rule 2. An answer without the expected field is also an error if it has a ``detail``, or a ``message`` with a status or
    a code, as FastAPI and proxies write errors.
Rule 3. An answer that a guardrail ended is a refusal. Its error contains the text of the answer and the message, so it
    is raised after the answer has been read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from langchain_core.messages import AIMessage


def raise_error_within(
    payload: Mapping[str, Any], expected: str, *, request_id: str | None = None, endpoint: str | None = None
) -> None:
    """Raise an error if an answer is one.

    Args:
        payload: The decoded answer or event.
        expected: The field that an answer without an error has, such as ``"choices"``.
        request_id: The request id from the response's headers.
        endpoint: The serving endpoint that was called.

    Raises:
        DatabricksError: If the answer is an error.
    """
    if payload.get(expected) and "error" not in payload and "error_code" not in payload:
        return
    from langchain_dbchat.errors.answers import error_from_event  # noqa: PLC0415  # most answers are not errors

    error = error_from_event(payload, request_id=request_id, endpoint=endpoint)
    if error is None and payload.get(expected) is None and _is_plain_error(payload):
        error = error_from_event({"error": dict(payload)}, request_id=request_id, endpoint=endpoint)
    if error is not None:
        raise error


def raise_blocked(
    payload: Mapping[str, Any],
    answer: Callable[[], AIMessage],
    *,
    beside: Callable[[], Mapping[str, Any]] = dict,
    request_id: str | None = None,
) -> None:
    """Raise a refusal if a guardrail ended an answer.

    Args:
        payload: The decoded answer or event.
        answer: Returns the message that was read so far; the error contains its text, and the message as `partial`.
        beside: Returns the unknown fields of the events so far, which may contain the guardrail's findings.
        request_id: The request id from the response's headers.

    Raises:
        DatabricksRefusalError: If a guardrail ended the answer.
    """
    from langchain_dbchat.errors.answers import error_from_event  # noqa: PLC0415  # most answers are not errors

    if error_from_event(payload) is None:
        return
    error = error_from_event({**beside(), **payload}, request_id=request_id, answer=answer())
    if error is not None:
        raise error


def may_be_blocked(payload: Mapping[str, Any]) -> bool:
    """Return whether a guardrail may have ended an answer or one of its choices; `error_from_event` decides.

    Args:
        payload: The answer, an event or a choice, with a finish reason such as ``input_guardrail_triggered``.
    """
    reason = payload.get("finish_reason") or payload.get("finishReason")
    if isinstance(reason, str) and "guardrail" in reason.lower():
        return True
    if "choices" in payload and isinstance(payload["choices"], list):
        for choice in payload["choices"]:  # for each event of some servers: a generator takes twice as long
            if isinstance(choice, dict) and may_be_blocked(choice):
                return True
    return False


def _is_plain_error(payload: Mapping[str, Any]) -> bool:
    has_code = any(payload.get(key) for key in ("code", "status", "status_code", "statusCode"))
    return bool(payload.get("detail") or (payload.get("message") and has_code))
