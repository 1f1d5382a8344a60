"""Read citations from all fields and spellings of servers, and translate them to LangChain's standard format.

Rule 1. A citation outside of the content belongs to the answer's text: OpenAI's ``annotations``
    (platform.openai.com/docs/api-reference/chat/object), LiteLLM's ``provider_specific_fields.citations`` and, in
    deltas, ``citation`` (docs.litellm.ai/docs/providers/anthropic), Perplexity's ``citations`` and ``search_results``
    next to ``choices`` (docs.perplexity.ai/api-reference/chat-completions-post), Gemini's grounding metadata
    (ai.google.dev/api/generate-content#GroundingMetadata), which LiteLLM passes on as ``vertex_ai_grounding_metadata``.
Rule 2. A message's content has the citation as the server wrote it; ``content_blocks`` has LangChain's ``citation``
    with ``url``, ``title``, ``cited_text``, ``start_index`` and ``end_index``, and other fields in ``extras``. An
    annotation that is not a citation (OpenAI's ``file_path``) is a ``non_standard_annotation``.
Rule 3. Perplexity's ``citations`` are URLs only; each is replaced by the entry of ``search_results`` with that URL.
Rule 4. Gemini's positions count bytes of UTF-8, LangChain's count characters.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

from langchain_dbchat.dialects.shared.blocks.block_fields import flat
from langchain_dbchat.errors import MalformedResponseError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["read_citation", "sources_of"]

_NAMES = {
    "url": ("url", "uri", "source"),
    "title": ("title", "document_title", "filename"),
    "cited_text": ("cited_text", "quote", "content"),
}
"""The standard's text fields, each with the spellings of servers; the first spelling that occurs is used."""

_GROUNDING = ("groundingMetadata", "grounding_metadata", "vertex_ai_grounding_metadata")
_STANDARD = frozenset({"citation", "non_standard_annotation"})
_PIECE = 1_000  # characters
_MOST_SOURCES = 5_000  # they are read for each choice of an answer
_MOST_CITED = 16 * 1024 * 1024  # bytes; a source is repeated for each segment that cites it


def read_citation(citation: Any) -> dict[str, Any]:
    """Translate a citation.

    Args:
        citation: A server's citation, or one in LangChain's format.

    Returns:
        LangChain's ``citation``, or a ``non_standard_annotation`` with the server's one.
    """
    if not isinstance(citation, Mapping):
        if _is_url(citation):
            return {"type": "citation", "url": citation}
        return {"type": "non_standard_annotation", "value": {"citation": citation}}
    kind = citation.get("type")
    if isinstance(kind, str) and kind in _STANDARD:
        return dict(citation)
    fields = _unnested(citation)
    standard: dict[str, Any] = {}
    for name, spellings in _NAMES.items():
        for spelling in spellings:
            value = fields.get(spelling)
            if isinstance(value, str) and (spelling != "source" or _is_url(value)):
                standard[name] = fields.pop(spelling)
                break
    for name in ("start_index", "end_index"):
        if isinstance(fields.get(name), int):
            standard[name] = fields.pop(name)
    if not standard:
        return {"type": "non_standard_annotation", "value": dict(citation)}
    extras = fields.pop("extras", {})
    fields = {**extras, **fields} if isinstance(extras, Mapping) else {**fields, "extras": extras}
    return {"type": "citation", **standard, **({"extras": fields} if fields else {})}


def _unnested(citation: Mapping[str, Any]) -> dict[str, Any]:
    """Return OpenAI's ``{"type": "url_citation", "url_citation": {"url": ...}}`` in its flat form."""
    fields = {key: value for key, value in citation.items() if key != "type" and value is not None}
    kind = citation.get("type")
    nested = fields.get(kind) if isinstance(kind, str) else None
    if isinstance(kind, str) and isinstance(nested, Mapping):
        del fields[kind]
        fields.update((key, value) for key, value in nested.items() if value is not None)
    return fields


def sources_of(fields: Mapping[str, Any], text: str, cited: Iterable[Any]) -> list[Any]:
    """Return the sources in the fields of an answer, a choice or a message.

    Args:
        fields: The fields.
        text: The answer's text.
        cited: The known citations; their URLs are not returned again.

    Returns:
        The new citations.
    """
    urls = {url for citation in cited if (url := _url_of(citation)) is not None}
    found = [*_listed_sources(fields)]
    if len(found) > _MOST_SOURCES:
        raise MalformedResponseError(
            f"The answer has more than {_MOST_SOURCES:,} sources beside it, which no model gives, so it was not read "
            "on. Look at what the endpoint sends."
        )
    found += _grounding_sources(fields, text)
    return [source for source in found if _url_of(source) not in urls]


def _url_of(citation: Any) -> str | None:
    url = read_citation(citation).get("url")
    return url if isinstance(url, str) else None


def _listed_sources(fields: Mapping[str, Any]) -> Iterator[Any]:
    citations = list(flat(fields.get("citations")))
    results = [result for result in flat(fields.get("search_results")) if isinstance(result, Mapping)]
    by_url = {result.get("url"): result for result in reversed(results) if isinstance(result.get("url"), str)}
    for citation in citations:
        yield by_url.get(citation, citation) if isinstance(citation, str) else citation
    if not citations:
        yield from results


def _grounding_sources(fields: Mapping[str, Any], text: str) -> Iterator[dict[str, Any]]:
    places, left = _BytePlaces(text), _MOST_CITED
    for key in _GROUNDING:
        for metadata in flat(fields.get(key)):
            for source in _segments(metadata, places) if isinstance(metadata, Mapping) else ():
                left -= len(to_json(source, inf_nan_mode="constants"))
                if left < 0:
                    raise MalformedResponseError(
                        f"The citations of the answer's segments are more than {_MOST_CITED:,} bytes, which no model "
                        "writes, so it was not read on. Look at what the endpoint sends."
                    )
                yield source


class _BytePlaces:
    """The places of a text's bytes in UTF-8, each found without encoding all of the text again."""

    def __init__(self, text: str) -> None:
        self._length = len(text)
        self._pieces = [text[start : start + _PIECE].encode() for start in range(0, len(text), _PIECE)]
        self._starts = list(accumulate(map(len, self._pieces), initial=0))

    def characters(self, count: Any) -> int | None:
        """Return how many characters the first bytes are."""
        if not isinstance(count, int) or count < 0:
            return None
        number = bisect_right(self._starts, count) - 1
        if number >= len(self._pieces):
            return self._length
        piece = self._pieces[number][: count - self._starts[number]]
        return number * _PIECE + len(piece.decode(errors="ignore"))


def _segments(metadata: Mapping[str, Any], places: _BytePlaces) -> Iterator[dict[str, Any]]:
    """Read one object of Gemini's metadata: the sources of its segments, else all its sources."""
    sources = [_source(chunk) for chunk in flat(_either(metadata, "groundingChunks", "grounding_chunks"))]
    supported = False
    for support in flat(_either(metadata, "groundingSupports", "grounding_supports")):
        segment = support.get("segment") if isinstance(support, Mapping) else None
        if not isinstance(segment, Mapping):
            continue
        where: dict[str, Any] = {"end_index": places.characters(_either(segment, "endIndex", "end_index"))}
        where["start_index"] = places.characters(_either(segment, "startIndex", "start_index") or 0)
        where["cited_text"] = segment.get("text")
        for number in flat(_either(support, "groundingChunkIndices", "grounding_chunk_indices")):
            if isinstance(number, int) and 0 <= number < len(sources):
                supported = True
                yield {**sources[number], **{key: value for key, value in where.items() if value is not None}}
    if not supported:
        yield from filter(None, sources)


def _source(chunk: Any) -> dict[str, Any]:
    """Read a source: a web page or a retrieved document."""
    values = chunk.values() if isinstance(chunk, Mapping) else ()
    inner = next((value for value in values if isinstance(value, Mapping)), {})
    return {key: value for key, value in inner.items() if value is not None}


def _either(fields: Mapping[str, Any], *names: str) -> Any:
    return next((fields[name] for name in names if name in fields), None)


def _is_url(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(("https://", "http://"))
