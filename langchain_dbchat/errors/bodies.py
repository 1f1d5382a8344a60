"""Read what a server says when it refuses: error bodies of every shape.

A refusal may come from the workspace, the serving endpoint, the provider of an external model, an agent server, a proxy
or a login page. Each has its own JSON, and each may be wrapped in the next one's ``message`` as JSON text.

Rule 1. Read inwards until there are words. Keys with known meanings are read first (`_WORDS`); an object of unknown
shape is read through its only text or object, or else quoted as JSON. A body with words in it is never reported as a
refusal without an explanation.
Rule 2. Shapes: ``{"error_code", "message"}``; the same with a number as code; ``{"error": {"message", "type",
"code"}}``; ``{"error": "..."}``; ``{"detail": ...}`` (FastAPI, MLflow scoring, RFC 9457); ``{"error",
"error_description"}`` (OAuth); ``{"type": "error", "code", "message"}`` (Responses); ``{"type": "error", "error":
{...}}`` (Anthropic); ``{"__type", "message"}`` (AWS); ``[{"error": {"code", "message", "status"}}]`` (Google); an event
stream with an error event (LiteLLM proxy); text, possibly ``ERROR_CODE: message`` or words before JSON or a Python dict
("Error code: 400 - {'error': ...}", as agents quote the OpenAI client); HTML; nothing.
Rule 3. The outermost code counts, because its author answers for the whole call. A code that says no more than a status
(`VAGUE_CODES`) counts only if there is no other.
Rule 4. An external model's error comes from its provider: ``{"external_model_provider", "external_model_error": object,
text or web page}``, bare or as JSON text in ``message``; older ``{"error": "Received error from openai",
"external_model_message": {...}}``. Its words, codes and status count before those around it, because the wrapper's code
can be wrong (docs/wire.md, 6.4; databricks-ai-bridge #211).
Rule 5. A number may be anything that JSON or a header can contain: of thousands of digits, NaN, infinite, negative.
"""

from __future__ import annotations

import ast
import json
import math
import re
import time
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

from langchain_dbchat.errors.guardrails import Guardrail, blocks, finish_reason_of, guardrail_in_words, read_guardrail
from langchain_dbchat.errors.html_pages import page_words
from langchain_dbchat.errors.sound_text import read_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["VAGUE_CODES", "ErrorBody", "read_error_body", "read_error_value", "read_retry_after"]

VAGUE_CODES: dict[str, int] = {
    "BAD_REQUEST": 400,
    "INVALID_PARAMETER_VALUE": 400,
    "INVALID_REQUEST_ERROR": 400,
    "INVALID_REQUEST": 400,
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "INVALID_PROMPT": 400,
    "INVALID_STATE": 400,
    "VALIDATIONEXCEPTION": 400,
    "BADREQUESTERROR": 400,
    "NOT_FOUND": 404,
    "INTERNAL_ERROR": 500,
    "INTERNAL": 500,
    "INTERNAL_SERVER_ERROR": 500,
    "SERVER_ERROR": 500,
    "API_ERROR": 500,
    "UNKNOWN": 500,
}
"""Codes that say no more than a status does, and that status. Compared in upper case."""


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """What an error body says, whatever its shape.

    Attributes:
        message: The server's own words, unwrapped; empty if there are none. Secrets are not masked yet.
        code: The most specific textual error code, such as ``ENDPOINT_NOT_FOUND``.
        status: A status given as a number within the body (``"error_code": 401``, ``"code": "429"``).
        retry_after: Seconds to wait, where the body names them.
        limit_type: The limit that was hit, where the body names it.
        request_id: The request id, where the body names it.
        page: Whether the words come from an HTML page.
        provider: The external model's provider, if the words are the provider's.
        guardrail: The verdict of a guardrail or content filter, if one blocked the call.
        field: The request's field that the body names (OpenAI's ``param``).
        codes: All textual codes, in the order in which they count.
    """

    message: str = ""
    code: str | None = None
    status: int | None = None
    retry_after: float | None = None
    limit_type: str | None = None
    request_id: str | None = None
    page: bool = False
    provider: str | None = None
    guardrail: Guardrail | None = None
    field: str | None = None
    codes: tuple[str, ...] = ()

    def with_codes(self, codes: tuple[str, ...]) -> ErrorBody:
        """Return the same with other codes, and with the most specific of them as `code`."""
        telling = next((code for code in codes if code.upper() not in VAGUE_CODES), None)
        return replace(self, codes=codes, code=telling or (codes[0] if codes else None))


_DEPTH = 200  # lists and objects within each other; JSON text within JSON text counts as several of them
_LAYER = 33  # so that six layers of text are opened; three were seen (workspace, gateway, provider)
_CODED_TEXT = re.compile(r"([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+):\s*(?=\S)")
_PAGE_START = re.compile(r"\s*<(?:!doctype\s+html|html|head|body|title)\b", re.IGNORECASE)
_PAGE_WITHIN = re.compile(r"<(?:!doctype\s+html|html)\b", re.IGNORECASE)
_MOST = 100  # entries of a list or an object in which words are looked for; an error quotes fewer
_WORDS_LIMIT = 8_000  # characters in which a guardrail's words are looked for
_LITERAL_LIMIT = 20_000  # characters of a Python dict that is read
_STATUSES = range(400, 600)
_YEAR = 31_536_000.0  # seconds
_CODE = re.compile(r"[A-Za-z][\w.#:-]{1,100}")
_NO_CODES = frozenset({"error", "object", "none", "null", "about:blank", "exception"})
_CODE_KEYS = ("error_code", "code", "type", "status", "__type", "Code", "errorCode", "error_type")
_STATUS_KEYS = ("error_code", "code", "status", "statusCode", "status_code", "http_status")
_PROVIDER_KEYS = ("external_model_error", "external_model_message")
_RECEIVED = re.compile(r"Received error from ([\w./-]{1,100})")
_SOMEBODY = "(not named)"
_WORDS = (
    "message", "error", "Message", "detail", "msg", "reason", "error_message", "errorMessage", "error_msg",
    "error_description", "details", "errors", "title", "description", "exception", "cause",
)  # fmt: skip
# Facts about an error that are not words for a person. What is left of an unknown object is quoted.
_FACTS = frozenset(
    {
        *_CODE_KEYS, *_STATUS_KEYS, "param", "request_id", "requestId", "object", "retry_after", "limit_type", "id",
        "external_model_provider", "usage", "sequence_number", "stack_trace", "stackTrace", "traceback", "timestamp",
        "path", "instance", "finishReason", "finish_reason",
    }
)  # fmt: skip
_ERROR_KEYS = frozenset({"error", "message", "detail", "error_code", *_PROVIDER_KEYS})


def read_error_body(body: bytes) -> ErrorBody:
    """Read an error body of any shape.

    Args:
        body: The bytes as they came, decompressed.

    Returns:
        What they say; an empty `ErrorBody` for an empty body.
    """
    text = body.decode("utf-8", "replace").lstrip("\ufeff").strip()
    if text.startswith(("data:", "event:", "id:", ":")):
        return _read_event_stream(text)
    return read_error_value(text)


def read_error_value(value: Any, depth: int = 0) -> ErrorBody:
    """Read an error from a decoded JSON value, going inwards through JSON text.

    Args:
        value: A dict, list, string or other JSON value.
        depth: How many lists and objects, and layers of JSON text, it is in.

    Returns:
        What it says.
    """
    if isinstance(value, str):
        return _read_text(value, depth)
    if isinstance(value, (dict, list)) and depth >= _DEPTH:
        return ErrorBody(message=to_json(value, inf_nan_mode="constants").decode())
    if isinstance(value, dict):
        return _read_object(value, depth)
    if isinstance(value, list):
        items = [_read_item(item, depth + 1) for item in value[:_MOST]]
        first = next((item for item in items if item.message), ErrorBody())
        return replace(first, message="; ".join(filter(None, (item.message for item in items))))
    return ErrorBody(message="" if value is None else str(value))


def _read_text(text: str, depth: int) -> ErrorBody:
    text = text.strip()
    if _PAGE_START.match(text):
        return _read_page(text)
    if depth >= _DEPTH:
        return ErrorBody(message=text)
    if text.startswith(("{", "[")):
        inner = _parsed(text)
        return ErrorBody(message=text) if inner is None else read_error_value(inner, depth + _LAYER)
    coded = _CODED_TEXT.match(text)
    if coded:
        said = _read_text(text[coded.end() :], depth + _LAYER)
        return said.with_codes((*said.codes, coded[1]) if said.provider else (coded[1], *said.codes))
    return _read_quoting(text, depth) or ErrorBody(message=text, guardrail=guardrail_in_words(text[:_WORDS_LIMIT]))


def _read_quoting(text: str, depth: int) -> ErrorBody | None:
    """Read words that quote an error: "Error code: 400 - {...}", "litellm.BadRequestError: {...}", "got <html>..."."""
    start = text.find("{")
    quoted = _parsed(text[start:].rstrip(" .\n")) if start > 0 else None
    if isinstance(quoted, dict) and not _ERROR_KEYS.isdisjoint(quoted):
        said = _read_object(quoted, depth + _LAYER)
    else:
        page = _PAGE_WITHIN.search(text)
        if page is None:
            return None
        start, said = page.start(), _read_page(text[page.start() :])
    before = text[:start].rstrip(" \n:-")
    return replace(said, message=f"{before}: {said.message}") if said.message and before else None


def _parsed(text: str) -> Any:
    """Read JSON, or a dict as Python writes it; None if it is neither."""
    try:
        return read_json(text)
    except ValueError:
        return _literal(text)


def _literal(text: str) -> Any:
    """Read a dict of JSON values as Python writes it, as agents quote an answer that they got; None for other text."""
    if len(text) > _LITERAL_LIMIT or not text.startswith(("{'", "[{'", '{"')):
        return None
    try:
        value = read_json(json.dumps(ast.literal_eval(text)))
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return None
    return value if isinstance(value, (dict, list)) else None


def _read_object(value: Mapping[str, Any], depth: int) -> ErrorBody:
    own = tuple(_codes(value))
    said = ErrorBody()
    for words in islice(_candidates(value), _MOST):
        said = read_error_value(words, depth + 1)
        if said.message or said.provider or said.guardrail:
            break
    behind = any(value.get(key) for key in _PROVIDER_KEYS)
    if behind and not said.provider:
        status = said.status or next(
            (VAGUE_CODES[code] for code in map(str.upper, said.codes) if code in VAGUE_CODES), None
        )
        said = replace(said, provider=_provider(value), status=status)
    said = said.with_codes((*said.codes, *own) if said.provider else (*own, *said.codes))
    status = next(filter(None, (_status(value.get(key)) for key in _STATUS_KEYS)), None)
    guardrail = said.guardrail or read_guardrail(value)
    message = said.message or (guardrail.describe() if guardrail else "") or _leftover(value)
    wait = _seconds(value.get("retry_after"))
    return replace(
        said,
        message=message,
        status=(said.status or status) if said.provider else (status or said.status),
        retry_after=said.retry_after if wait is None else wait,
        limit_type=_text(value.get("limit_type")) or said.limit_type,
        request_id=_text(value.get("request_id")) or said.request_id,
        guardrail=guardrail,
        field=said.field or _text(value.get("param")),
    )


def _candidates(value: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the values that may contain the words, the most likely first."""
    yield from (value[key] for key in _PROVIDER_KEYS if value.get(key))
    error = value.get("error")
    if isinstance(error, (dict, list)):
        yield error
    elif isinstance(error, str) and value.get("error_description"):
        yield value["error_description"]
    if read_guardrail(value) is not None and not value.get("message"):
        return
    yield from (value[key] for key in _WORDS if value.get(key))
    rest = [inner for key, inner in value.items() if key not in _FACTS and key not in _WORDS and inner]
    texts = [inner for inner in rest if isinstance(inner, str)]
    yield from texts if len(texts) == 1 else ()
    yield from (inner for inner in rest if isinstance(inner, (dict, list)))


def _leftover(value: Mapping[str, Any]) -> str:
    """Quote an object that has no words under a known key, without its facts."""
    rest = {
        key: inner for key, inner in value.items() if key not in _FACTS and inner not in (None, "", [], {}, "error")
    }
    return to_json(rest, inf_nan_mode="constants").decode() if rest else ""


def _codes(value: Mapping[str, Any]) -> Iterator[str]:
    """Yield the textual codes of an object, the most specific key first."""
    for key in _CODE_KEYS:
        code = value.get(key)
        if isinstance(code, str):
            code = code.rpartition("#")[2]  # AWS: "com.amazon.coral.service#ThrottlingException"
            if _is_code(code):
                yield code
    error = value.get("error")
    if isinstance(error, str) and _is_code(error) and any(value.get(key) for key in _WORDS if key != "error"):
        yield error
    inner = value.get("innererror")
    if isinstance(inner, dict) and isinstance(inner.get("code"), str):
        yield inner["code"]
    details = value.get("details")
    for detail in details if isinstance(details, list) else ():  # Google: [{"@type": ".../ErrorInfo", "reason": "..."}]
        if isinstance(detail, dict) and isinstance(detail.get("reason"), str) and _is_code(detail["reason"]):
            yield detail["reason"]
    reason = finish_reason_of(value)
    if reason is not None and blocks(reason):
        yield reason


def _provider(value: Mapping[str, Any]) -> str:
    received = _RECEIVED.search(str(value.get("error") or value.get("message") or ""))
    return _text(value.get("external_model_provider")) or (received[1] if received else _SOMEBODY)


def _read_item(item: Any, depth: int) -> ErrorBody:
    """Read one entry of a list of errors; FastAPI sends ``{"loc": ["body", "n"], "msg": "..."}``, vLLM its repr."""
    said = read_error_value(item, depth)
    if isinstance(item, dict) and isinstance(item.get("loc"), (list, tuple)):
        return ErrorBody(message=f"{'.'.join(map(str, item['loc'][:_MOST]))}: {said.message}")
    return said


def _read_event_stream(text: str) -> ErrorBody:
    """Read an error that came as an event stream: the event with the name ``error``, else the first with words."""
    found = ErrorBody()
    for block in re.split(r"\r?\n\r?\n|\r\r", text):
        lines = block.splitlines()
        payload = "\n".join(line[5:].strip() for line in lines if line.startswith("data:"))
        said = ErrorBody() if payload == "[DONE]" else read_error_value(payload)
        if said.message and any(line[6:].strip() == "error" for line in lines if line.startswith("event:")):
            return said
        if not (found.message or found.code):
            found = said
    return found


def _read_page(text: str) -> ErrorBody:
    return ErrorBody(message=page_words(text), page=True)


def _is_code(value: str) -> bool:
    return _CODE.fullmatch(value) is not None and value.lower() not in _NO_CODES


def _status(value: Any) -> int | None:
    """Read a status that a body gives as a number or, as LiteLLM does, as a string of digits."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value[:4])
    return int(value) if isinstance(value, (int, float)) and value in _STATUSES else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def read_number(value: object) -> float | None:
    """Read a number that a server sent as a number or as digits.

    Args:
        value: The value.

    Returns:
        The number; None if the value is not a number, or not finite.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):  # OverflowError: a whole number of hundreds of digits
        return None
    return number if math.isfinite(number) else None


def _seconds(value: Any) -> float | None:
    """Read a number of seconds, or a string of it; None if it is neither, or not finite.

    A negative number counts as zero. A number beyond a year counts as a year, because locks and sleeps refuse larger
    ones.
    """
    seconds = read_number(value)
    return None if seconds is None else min(max(0.0, seconds), _YEAR)


def read_retry_after(headers: Mapping[str, str], body: ErrorBody) -> float | None:
    """Read how long the server asks to wait.

    A date is compared with the server's own ``Date``, so a wrong clock on either side does not matter.

    Args:
        headers: The response's headers, with lower-case names.
        body: The body that came with them.

    Returns:
        Seconds from now, or None if the server named no time.
    """
    milliseconds = _seconds(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after", "")
    seconds = _seconds(value)
    if seconds is None and value:
        until = _date(value)
        if until is not None:
            now = _date(headers.get("date", ""))
            seconds = _seconds(until - (time.time() if now is None else now))
    return body.retry_after if seconds is None else seconds


def _date(value: str) -> float | None:
    try:
        return parsedate_to_datetime(value).timestamp()
    except (TypeError, ValueError, OverflowError):  # Python 3.10 raises TypeError for a text that is not a date
        return None
