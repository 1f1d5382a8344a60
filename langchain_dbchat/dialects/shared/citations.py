"""Citations, from every place and spelling that servers have for them, in LangChain's standard shape.

Rule 1. A citation that stands beside the content belongs to the answer's text: OpenAI's ``annotations``
    (platform.openai.com/docs/api-reference/chat/object), LiteLLM's ``provider_specific_fields.citations`` and, in
    deltas, ``citation`` (docs.litellm.ai/docs/providers/anthropic), Perplexity's ``citations`` and ``search_results``
    beside ``choices`` (docs.perplexity.ai/api-reference/chat-completions-post), Gemini's grounding metadata
    (ai.google.dev/api/generate-content#GroundingMetadata), which LiteLLM passes on as ``vertex_ai_grounding_metadata``.
Rule 2. In a message's content a citation stays as the server wrote it; ``content_blocks`` shows LangChain's
    ``citation`` with ``url``, ``title``, ``cited_text``, ``start_index`` and ``end_index``. What the standard has no
    word for is in its ``extras``. An annotation that cites nothing (OpenAI's ``file_path``) is a
    ``non_standard_annotation``.
Rule 3. Perplexity's ``citations`` are bare URLs; what ``search_results`` says of the same URL goes with them.
Rule 4. Gemini counts a segment in bytes of UTF-8, LangChain in characters.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["flat", "read_citation", "sources_of"]

_NAMES = {
    "url": ("url", "uri", "source"),
    "title": ("title", "document_title", "filename"),
    "cited_text": ("cited_text", "quote", "content"),
}
"""The standard's names of texts, each with the spellings that servers have for it, the first one first."""

_GROUNDING = ("groundingMetadata", "grounding_metadata", "vertex_ai_grounding_metadata")
_STANDARD = frozenset({"citation", "non_standard_annotation"})


def flat(citations: Any) -> Iterator[Any]:
    """Unpack citations: a list of them when whole, a list of lists or a single one in deltas.

    Args:
        citations: Citations in lists of any depth.

    Yields:
        Each citation.
    """
    if isinstance(citations, list):
        for citation in citations:
            yield from flat(citation)
    elif citations is not None:
        yield citations


def read_citation(citation: Any) -> dict[str, Any]:
    """Translate a citation.

    Args:
        citation: The citation as a server wrote it, or one in LangChain's shape.

    Returns:
        LangChain's ``citation``, or a ``non_standard_annotation`` that holds the server's own.
    """
    if not isinstance(citation, Mapping):
        if _is_url(citation):
            return {"type": "citation", "url": citation}
        return {"type": "non_standard_annotation", "value": {"citation": citation}}
    kind = citation.get("type")
    if isinstance(kind, str) and kind in _STANDARD:
        return dict(citation)
    said = _unnested(citation)
    standard: dict[str, Any] = {}
    for name, spellings in _NAMES.items():
        for spelling in spellings:
            value = said.get(spelling)
            if isinstance(value, str) and (spelling != "source" or _is_url(value)):
                standard[name] = said.pop(spelling)
                break
    for name in ("start_index", "end_index"):
        if isinstance(said.get(name), int):
            standard[name] = said.pop(name)
    if not standard:
        return {"type": "non_standard_annotation", "value": dict(citation)}
    extras = said.pop("extras", {})
    said = {**extras, **said} if isinstance(extras, Mapping) else {**said, "extras": extras}
    return {"type": "citation", **standard, **({"extras": said} if said else {})}


def _unnested(citation: Mapping[str, Any]) -> dict[str, Any]:
    """Read OpenAI's ``{"type": "url_citation", "url_citation": {"url": ...}}`` as its flat form."""
    said = {key: value for key, value in citation.items() if key != "type" and value is not None}
    kind = citation.get("type")
    nested = said.get(kind) if isinstance(kind, str) else None
    if isinstance(kind, str) and isinstance(nested, Mapping):
        del said[kind]
        said.update((key, value) for key, value in nested.items() if value is not None)
    return said


def sources_of(said: Mapping[str, Any], text: str, cited: Iterable[Any]) -> list[Any]:
    """Find the sources that stand beside the choices, in a choice or in a message.

    Args:
        said: Fields of the answer.
        text: The answer's text.
        cited: The citations that are known already; their URLs are not cited again.

    Returns:
        Citations, none twice.
    """
    urls = {url for citation in cited if (url := _url_of(citation)) is not None}
    found = [*_listed(said), *_grounded(said, text)]
    return [source for source in found if _url_of(source) not in urls]


def _url_of(citation: Any) -> str | None:
    url = read_citation(citation).get("url")
    return url if isinstance(url, str) else None


def _listed(said: Mapping[str, Any]) -> Iterator[Any]:
    citations = list(flat(said.get("citations")))
    results = [result for result in flat(said.get("search_results")) if isinstance(result, Mapping)]
    by_url = {result.get("url"): result for result in reversed(results) if isinstance(result.get("url"), str)}
    for citation in citations:
        yield by_url.get(citation, citation) if isinstance(citation, str) else citation
    if not citations:
        yield from results


def _grounded(said: Mapping[str, Any], text: str) -> Iterator[dict[str, Any]]:
    for key in _GROUNDING:
        for metadata in flat(said.get(key)):
            if isinstance(metadata, Mapping):
                yield from _segments(metadata, text)


def _segments(metadata: Mapping[str, Any], text: str) -> Iterator[dict[str, Any]]:
    """Read one object of Gemini's: what its supports cite, else its sources."""
    sources = [_source(chunk) for chunk in flat(_either(metadata, "groundingChunks", "grounding_chunks"))]
    supported = False
    for support in flat(_either(metadata, "groundingSupports", "grounding_supports")):
        segment = support.get("segment") if isinstance(support, Mapping) else None
        if not isinstance(segment, Mapping):
            continue
        where: dict[str, Any] = {"end_index": _characters(text, _either(segment, "endIndex", "end_index"))}
        where["start_index"] = _characters(text, _either(segment, "startIndex", "start_index") or 0)
        where["cited_text"] = segment.get("text")
        for number in flat(_either(support, "groundingChunkIndices", "grounding_chunk_indices")):
            if isinstance(number, int) and 0 <= number < len(sources):
                supported = True
                yield {**sources[number], **{key: value for key, value in where.items() if value is not None}}
    if not supported:
        yield from filter(None, sources)


def _source(chunk: Any) -> dict[str, Any]:
    """Read a source: a page of the web, or a document that was retrieved."""
    values = chunk.values() if isinstance(chunk, Mapping) else ()
    inner = next((value for value in values if isinstance(value, Mapping)), {})
    return {key: value for key, value in inner.items() if value is not None}


def _characters(text: str, count: Any) -> int | None:
    return len(text.encode()[:count].decode(errors="ignore")) if isinstance(count, int) and count >= 0 else None


def _either(said: Mapping[str, Any], *names: str) -> Any:
    return next((said[name] for name in names if name in said), None)


def _is_url(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(("https://", "http://"))
