"""Add the headers of the HTTP response to an answer's metadata, for ``include_response_headers=True``.

Rule 1. They are in ``response_metadata["headers"]``, as langchain-openai's ``ChatOpenAI`` has them; of a stream, on its
first chunk.
Rule 2. Headers that identify a caller are left out, and a value that repeats a secret of the request is masked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_dbchat.errors.redaction import scrub

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from langchain_core.outputs import ChatGeneration, ChatResult

__all__ = ["add_headers", "add_to_first", "visible_headers"]

_LEFT_OUT = frozenset(
    {
        "authentication-info",
        "authorization",
        "cookie",
        "proxy-authenticate",
        "proxy-authorization",
        "set-cookie",
        "www-authenticate",
    }
)


def visible_headers(headers: Mapping[str, str], hide: Callable[[str], str] | None) -> dict[str, str]:
    """Return the headers that a message may contain.

    Args:
        headers: The headers of the response, with names in lower case.
        hide: Masks the secrets of the request in a text; None if there are none.

    Returns:
        A new dict.
    """
    return {
        name: scrub(hide(value) if hide is not None else value)
        for name, value in headers.items()
        if name not in _LEFT_OUT
    }


def add_headers(result: ChatResult, headers: Mapping[str, str]) -> None:
    """Add headers to each answer of a result.

    Args:
        result: The result, which is changed.
        headers: The headers.
    """
    for generation in result.generations:
        _add(generation, headers)


def add_to_first(headers: Mapping[str, str]) -> Callable[[ChatGeneration], None]:
    """Return a function that adds headers to the first chunk that it is called with.

    Args:
        headers: The headers.

    Returns:
        The function, which changes the chunk.
    """
    left = [headers]

    def add(chunk: ChatGeneration) -> None:
        if left:
            _add(chunk, left.pop())

    return add


def _add(generation: ChatGeneration, headers: Mapping[str, str]) -> None:
    message = generation.message
    message.response_metadata = {**message.response_metadata, "headers": dict(headers)}
