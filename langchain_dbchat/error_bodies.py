"""Reading what a server says when it refuses: error bodies in every shape, and taking secrets out of them.

A refusal comes from several authors: the workspace, the serving endpoint, the model's own provider behind it, an
agent server, a proxy in between, or a login page. Each has its own JSON, and each may be wrapped in the next one's
``message`` as JSON text. Reading therefore goes inwards until it meets words, and the outermost code wins, because the
outermost author speaks for the whole call.

Shapes, outermost first: ``{"error_code", "message"}``; the same with a number as code; ``{"error": {"message", "type",
"code"}}``; ``{"error": "..."}``; ``{"detail": ...}`` (FastAPI, MLflow scoring); ``{"error", "error_description"}``
(OAuth); ``{"type": "error", "code", "message"}`` (Responses); an event stream with one error event (LiteLLM proxy);
plain text, possibly ``ERROR_CODE: message``; HTML; nothing.
"""

from __future__ import annotations

import html
import math
import re
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic_core import from_json

from langchain_dbchat.error_redaction import scrub

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ErrorBody", "read_error_body", "read_error_value", "read_retry_after", "scrub"]


class ErrorBody(NamedTuple):
    """What an error body says, whatever its shape.

    Attributes:
        message: The server's own words, unwrapped; empty if there are none. Not scrubbed.
        code: The textual error code, such as ``ENDPOINT_NOT_FOUND``.
        status: A status given as a number within the body (``"error_code": 401``, ``"code": "429"``).
        retry_after: Seconds to wait, where the body names them.
        limit_type: The limit that was hit, where the body names it.
        request_id: The request id, where the body names it.
        page: Whether the body is an HTML page.
    """

    message: str = ""
    code: str | None = None
    status: int | None = None
    retry_after: float | None = None
    limit_type: str | None = None
    request_id: str | None = None
    page: bool = False


_DEPTH = 6  # JSON within JSON: three layers were seen (workspace, gateway, provider)
_CODED_TEXT = re.compile(r"([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+):\s*(?=\S)")
_PAGE_START = re.compile(r"\s*<(?:!doctype\s+html|html|head|body|title)\b", re.IGNORECASE)
_PAGE_PARTS = re.compile(r"<(title|h1|pre)\b[^>]*>(.*?)</\1\s*>", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<[^>]*>")
_PAGE_LIMIT = 65_536  # characters of a page that are searched for its title
_STATUSES = range(400, 600)


def read_error_body(body: bytes) -> ErrorBody:
    """Read an error body of any shape.

    Args:
        body: The bytes as they came, decompressed.

    Returns:
        What they say; an empty `ErrorBody` for an empty body.
    """
    text = body.decode("utf-8", "replace").lstrip("\ufeff").strip()
    if _PAGE_START.match(text):
        return _read_page(text)
    if text.startswith(("data:", "event:", ":")):
        return _read_event_stream(text)
    return read_error_value(text)


def read_error_value(value: Any, depth: int = 0) -> ErrorBody:
    """Read an error from a decoded JSON value, going inwards through JSON text.

    Args:
        value: A dict, list, string or other JSON value.
        depth: How many layers have been opened already.

    Returns:
        What it says.
    """
    if isinstance(value, str):
        return _read_text(value, depth)
    if isinstance(value, dict):
        return _read_object(value, depth)
    if isinstance(value, list):
        return ErrorBody(message="; ".join(filter(None, (_read_item(item) for item in value))))
    return ErrorBody(message="" if value is None else str(value))


def _read_text(text: str, depth: int) -> ErrorBody:
    text = text.strip()
    if text.startswith(("{", "[")) and depth < _DEPTH:
        try:
            inner = from_json(text)
        except ValueError:
            return ErrorBody(message=text)
        return read_error_value(inner, depth + 1)
    coded = _CODED_TEXT.match(text)
    if coded:
        return ErrorBody(message=text[coded.end() :], code=coded[1])
    return ErrorBody(message=text)


def _read_object(value: Mapping[str, Any], depth: int) -> ErrorBody:
    error = value.get("error")
    codes = [value.get("error_code"), value.get("code"), value.get("type")]
    if isinstance(error, dict):
        words: Any = error
    elif isinstance(error, str) and value.get("error_description"):
        words, codes = value["error_description"], [error]
    else:
        words = next((value[key] for key in ("message", "error", "detail", "msg", "reason") if value.get(key)), None)
    inner = read_error_value(words, depth + 1)
    code = next((code for code in codes if _is_code(code)), None) or inner.code
    status = next(filter(None, map(_status, (*codes, value.get("status")))), None) or inner.status
    wait = _seconds(value.get("retry_after"))
    return inner._replace(
        code=code,
        status=status,
        retry_after=inner.retry_after if wait is None else wait,
        limit_type=_text(value.get("limit_type")) or inner.limit_type,
        request_id=_text(value.get("request_id")) or inner.request_id,
    )


def _read_item(item: Any) -> str:
    """Render one entry of a list of errors, as FastAPI sends them: ``{"loc": ["body", "n"], "msg": "..."}``."""
    if isinstance(item, dict) and isinstance(item.get("loc"), list):
        return f"{'.'.join(map(str, item['loc']))}: {read_error_value(item).message}"
    return read_error_value(item).message


def _read_event_stream(text: str) -> ErrorBody:
    """Read an error that came as an event stream: a LiteLLM proxy answers 500 with ``data: {"error": ...}``."""
    payloads = [line[5:].strip() for line in text.splitlines() if line.startswith("data:")]
    return next((read_error_value(payload) for payload in payloads if payload != "[DONE]"), ErrorBody())


def _read_page(text: str) -> ErrorBody:
    parts = [
        " ".join(html.unescape(_TAG.sub(" ", part)).split()) for _, part in _PAGE_PARTS.findall(text[:_PAGE_LIMIT])
    ]
    words = list(dict.fromkeys(part[:300] for part in parts if part))
    return ErrorBody(message=" - ".join(words[:3]), page=True)


def _is_code(value: Any) -> bool:
    return isinstance(value, str) and bool(value) and not value.isdigit() and value not in {"error", "object"}


def _status(value: Any) -> int | None:
    """Read a status that a body gives as a number or, as LiteLLM does, as a string of digits."""
    if isinstance(value, str) and value.isdigit():
        value = int(value[:4])
    return value if isinstance(value, int) and value in _STATUSES else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _seconds(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        seconds = float(value)
    except ValueError:
        return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def read_retry_after(headers: Mapping[str, str], body: ErrorBody) -> float | None:
    """Read how long the server asks to wait.

    A date is compared with the server's own ``Date``, so that a wrong clock on either side does no harm.

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
            seconds = max(0.0, until - (time.time() if now is None else now))
    return body.retry_after if seconds is None else seconds


def _date(value: str) -> float | None:
    try:
        return parsedate_to_datetime(value).timestamp()
    except (TypeError, ValueError, OverflowError):  # 3.10 also raises TypeError for a text that is no date
        return None
