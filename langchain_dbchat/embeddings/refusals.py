"""What a refusal of a batch of texts is about: the request's size, its texts, the load, the server, or the caller.

The status alone does not tell: 400 is said to too many inputs, to one bad text among a hundred, and to a wrong field.
What is done about it differs (`plan`), so the server's words are looked at, as a table.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING

from langchain_dbchat.errors import (
    DatabricksAPIError,
    DatabricksConnectionError,
    DatabricksContextOverflowError,
    DatabricksInvalidRequestError,
    DatabricksRateLimitError,
    DatabricksTimeoutError,
)

if TYPE_CHECKING:
    from langchain_dbchat.errors import DatabricksError

__all__ = ["About", "about", "named_limit"]


class About(Enum):
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
_LIMIT = re.compile(
    r"(?:exceed\w*|maximum|max\.?|at most|limit(?:ed)?(?: (?:of|is|to))?)\D{0,40}?(\d[\d,]*)"
    r"|(\d[\d,]*) (?:limit|inputs|texts)",
    re.IGNORECASE,
)


def about(error: DatabricksError) -> About:
    """Find what a refusal is about.

    Args:
        error: The error, after all retries.

    Returns:
        Its subject.
    """
    words = error.detail or error.message
    if isinstance(error, DatabricksContextOverflowError):
        return About.LENGTH
    if isinstance(error, DatabricksInvalidRequestError) and error.status_code in _STATUSES:
        if _COUNT.search(words):
            return About.COUNT
        return About.SIZE if error.status_code == _TOO_LARGE or _SIZE.search(words) else About.TEXT
    if isinstance(error, DatabricksRateLimitError) or error.status_code == _UNAVAILABLE:
        return About.LOAD
    passing = (DatabricksAPIError, DatabricksConnectionError, DatabricksTimeoutError)
    return About.SERVER if isinstance(error, passing) and error.is_retryable else About.CALL


def named_limit(error: DatabricksError, refused: int) -> int:
    """Find how much an endpoint takes that has refused an amount.

    Args:
        error: The refusal.
        refused: How much it was: texts or bytes.

    Returns:
        The limit that the server's words name, if it is below what was refused; else half of that.
    """
    for found in _LIMIT.finditer(error.detail or error.message):
        limit = int((found[1] or found[2]).replace(",", ""))
        if 0 < limit < refused:
            return limit
    return max(1, refused // 2)
