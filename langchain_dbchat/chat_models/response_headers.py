"""Add the headers of the HTTP response to an answer's metadata, for ``include_response_headers=True``.

Rule 1. They are in ``response_metadata["headers"]``, as langchain-openai's ``ChatOpenAI`` has them; of a stream, on its
first chunk.
Rule 2. Headers that identify a caller are left out, and a value that repeats a secret of the request is masked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_dbchat.errors.redaction import scrub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from langchain_core.messages import AIMessage
    from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

    from langchain_dbchat.dialects.dialect import StreamDecoder

__all__ = ["HeadersDecoder", "add_headers", "visible_headers"]

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


def add_headers(result: ChatResult, headers: Mapping[str, str]) -> ChatResult:
    """Add headers to each answer of a result.

    Args:
        result: The result, which is changed.
        headers: The headers.

    Returns:
        The result.
    """
    for generation in result.generations:
        _add(generation, headers)
    return result


class HeadersDecoder:
    """Decoder that adds headers to the first chunk of another decoder.

    Args:
        inner: The decoder of the wire format.
        headers: The headers.
    """

    def __init__(self, inner: StreamDecoder, headers: Mapping[str, str]) -> None:
        self._inner = inner
        self._headers: Mapping[str, str] | None = headers

    def feed(self, events: Sequence[bytes], /) -> Iterator[ChatGenerationChunk]:
        """Decode events that arrived together."""
        for chunk in self._inner.feed(events):
            yield self._with_headers(chunk)

    def close(self) -> Sequence[ChatGenerationChunk]:
        """End the stream; raise if the answer is incomplete."""
        return [self._with_headers(chunk) for chunk in self._inner.close()]

    def keeping_partial(self) -> AbstractContextManager[None]:
        """Add the partial message to an error that ends the stream."""
        return self._inner.keeping_partial()

    def partial(self) -> AIMessage:
        """Return the partial message."""
        return self._inner.partial()

    def _with_headers(self, chunk: ChatGenerationChunk) -> ChatGenerationChunk:
        if self._headers is not None:
            _add(chunk, self._headers)
            self._headers = None
        return chunk


def _add(generation: ChatGeneration, headers: Mapping[str, str]) -> None:
    message = generation.message
    message.response_metadata = {**message.response_metadata, "headers": dict(headers)}
