"""Read what a guardrail or a content filter says when it blocks a call.

Rule 1. Databricks AI gateway: ``{"input_guardrail": [{"flagged": true, "categories": {"privacy": true, ...},
"pii_detection": null, "anonymized_input": null}], "finishReason": "input_guardrail_triggered"}`` (docs/wire.md, 6.4),
and ``output_guardrail`` likewise. Personal data is reported as ``"flagged": false, "pii_detection": true``. The same
keys are in answers that were not blocked; only the finish reason says that a call was blocked.
Rule 2. Unity AI gateway: words only, "Request blocked by input guardrail 'no-secrets'", "Output guardrail 'x' failed to
evaluate".
Rule 3. Azure OpenAI: ``{"error": {"code": "content_filter", "innererror": {"content_filter_result": {"violence":
{"filtered": true, "severity": "medium"}, "jailbreak": {"filtered": true, "detected": true}}}}}``
(https://learn.microsoft.com/azure/ai-services/openai/concepts/content-filter). OpenAI: ``content_policy_violation``.
Rule 4. Providers' filters that answer in words only. Anthropic: "Output blocked by content filtering policy"
(anthropics/claude-code #6195). OpenAI: "your prompt was flagged as potentially violating our usage policy"
(openai/codex #7250). Gemini: its block reasons (ai.google.dev/api/generate-content#BlockReason).
Rule 5. The text that was checked (``anonymized_input``) is the caller's own: it is never repeated in the error.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Guardrail", "blocks", "filter_in_words", "finish_reason_of", "guardrail_in_words", "read_guardrail"]

FILTER_CODES = frozenset(
    {
        "CONTENT_FILTER",
        "CONTENT_POLICY_VIOLATION",
        "RESPONSIBLEAIPOLICYVIOLATION",
        "CONTENTFILTER",
        "GUARDRAIL_INTERVENED",
    }
)
"""Codes of providers that mean: a content filter refused."""

_REASON = re.compile(r"(?i)(?:(input|output)_?)?guardrail_?(?:triggered|intervened|blocked|violat\w*)")
_SIDES = ("input", "output")
_OF_INPUT = ("prompt", "messages", "input")  # no set: what a server sends may not be hashable
_WORDS = re.compile(
    r"(?i)\b(?:(?:blocked|rejected|denied|refused|flagged|stopped)\s+by\s+(?:an?\s+|the\s+)?(?:(input|output)\s+)?"
    r"guard-?rails?|(?:(input|output)\s+)?guard-?rails?\b[^.\n]{0,80}?\b(?:failed\s+to\s+evaluate|triggered|blocked|"
    r"violat\w+|rejected))"
)
_FILTER_WORDS = re.compile(
    r"(?i)\b(?:blocked|rejected|flagged|filtered|refused)\b[^.\n]{0,60}?\b(?:content[ -](?:filter(?:s|ing)?|moderation)"
    r"|(?:usage|content|safety|moderation|content management) polic(?:y|ies)|safety (?:system|filters?)"
    r"|(?-i:SAFETY|IMAGE_SAFETY|PROHIBITED_CONTENT|BLOCKLIST|SPII|RECITATION))\b"
)
_SIDE_IN_WORDS = re.compile(r"(?i)\b(input|output)\s+guard-?rail")
_NAME_IN_WORDS = re.compile(r"(?i)guard-?rails?\s{0,4}[:(]?\s{0,4}['\"`]([^'\"`\n]{1,200})['\"`]")
# Keys of an entry that are not findings: numbers, verdicts about everything, and the caller's own text.
_NO_FINDING = frozenset(
    {"flagged", "filtered", "detected", "anonymized_input", "anonymized_output", "include_in_response"}
)
_LONGEST = 10_000  # characters of an error's words that are searched
_MOST = 100  # findings
_LONGEST_NAME = 200  # characters of a finding
_NAMES = ("name", "guardrail_name", "guardrail", "label", "type")


@dataclass(frozen=True, slots=True)
class Guardrail:
    """The verdict of a guardrail: who blocked a call, and why.

    Attributes:
        side: ``input`` or ``output``; None if it is not known.
        name: The guardrail's own name, where it has one.
        categories: What was found, such as ``violent-crimes`` or ``pii``.
        words: The guardrail's own words for the user, where it has some.
    """

    side: str | None = None
    name: str | None = None
    categories: tuple[str, ...] = ()
    words: str = ""

    def describe(self) -> str:
        """Describe the verdict in one sentence without a full stop."""
        side = f"{self.side.capitalize()} guardrail" if self.side else "Guardrail"
        name = f" {self.name!r}" if self.name else ""
        found = f": {', '.join(self.categories)}" if self.categories else ""
        return f"{side}{name} triggered{found}{f' ({self.words})' if self.words else ''}"


def finish_reason_of(value: Mapping[str, Any]) -> str | None:
    """Find the finish reason of an error body, an event or a choice, in both spellings.

    Args:
        value: The object.
    """
    reason = value.get("finishReason") or value.get("finish_reason")
    return reason if isinstance(reason, str) else None


def blocks(reason: str | None) -> bool:
    """Return whether a finish reason means that a guardrail blocked the call.

    Args:
        reason: Such as ``input_guardrail_triggered``.
    """
    return reason is not None and _REASON.fullmatch(reason) is not None


def read_guardrail(value: Mapping[str, Any]) -> Guardrail | None:
    """Read a guardrail's verdict from an error body or an answer.

    Args:
        value: The object that may contain it.

    Returns:
        The verdict; None if there is none.
    """
    reason = finish_reason_of(value)
    sides = [side for side in _SIDES if value.get(f"{side}_guardrail")]
    named = _REASON.fullmatch(reason) if reason else None
    if named is None and not any(_findings(value[f"{side}_guardrail"]) for side in sides):
        return _read_filter(value)
    side = (named[1].lower() if named and named[1] else None) or next(
        (side for side in sides if _findings(value[f"{side}_guardrail"])), sides[0] if sides else None
    )
    entries = value.get(f"{side}_guardrail") if side else value.get("guardrail_response")
    return Guardrail(side, _name(entries), _findings(entries), _reject_words(value, entries))


def guardrail_in_words(text: str) -> Guardrail | None:
    """Recognise a guardrail that answers in words only.

    Args:
        text: The server's words.
    """
    if _WORDS.search(text) is None:
        return None
    side, name = _SIDE_IN_WORDS.search(text), _NAME_IN_WORDS.search(text)
    return Guardrail(side[1].lower() if side else None, name[1] if name else None)


def filter_in_words(text: str) -> bool:
    """Return whether a provider's content filter says in words that it refused.

    Args:
        text: The server's words.
    """
    return _FILTER_WORDS.search(text[:_LONGEST]) is not None


def _read_filter(value: Mapping[str, Any]) -> Guardrail | None:
    """Read a content filter's verdict, as Azure OpenAI gives it within the error."""
    inner = value.get("innererror")
    results = inner.get("content_filter_result") if isinstance(inner, dict) else value.get("content_filter_result")
    if not isinstance(results, dict):
        return None
    side = value.get("param")
    return Guardrail("input" if side in _OF_INPUT else None, None, _findings(results))


def _findings(entries: Any) -> tuple[str, ...]:
    """List what was found, each once, and no more than an error can say."""
    return tuple(dict.fromkeys(finding[:_LONGEST_NAME] for finding in islice(_found(entries), _MOST)))


def _found(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from [item] if isinstance(item, str) else _found(item)
    elif isinstance(value, dict):
        for key, inner in value.items():
            if key in _NO_FINDING:
                continue
            if key in {"pii_detection", "pii"} and inner:
                yield from ("pii", *_entities(inner))
            elif inner is True or (isinstance(inner, dict) and True in (inner.get("filtered"), inner.get("detected"))):
                yield key
            elif key != "category_scores" and isinstance(inner, (dict, list)):
                yield from _found(inner)


def _entities(value: Any) -> Iterator[str]:
    """List the kinds of personal data, in the shapes that detectors use."""
    for item in value if isinstance(value, list) else ():
        kind = item.get("entity_type") or item.get("type") if isinstance(item, dict) else item
        if isinstance(kind, str):
            yield kind


def _name(entries: Any) -> str | None:
    first = entries[0] if isinstance(entries, list) and entries else entries
    if not isinstance(first, dict):
        return None
    return next((first[key] for key in _NAMES if isinstance(first.get(key), str) and first[key]), None)


def _reject_words(value: Mapping[str, Any], entries: Any) -> str:
    """Find the words that a custom guardrail has for the user."""
    places = [value, *(entries if isinstance(entries, list) else [entries])]
    words = [place.get(key) for place in places if isinstance(place, dict) for key in ("reject_message", "reason")]
    return next((text for text in words if isinstance(text, str) and text), "")
