"""Find the field that the text of a 400 refuses.

An endpoint's name is free text, and its model can be replaced, so only a 400 shows reliably what an endpoint accepts.

Rule 1. Only the fields of a dialect's `RefusableFields` are found; docs/settings.md lists them. Any other field is a
part of what the user wants, so its refusal is raised.
Rule 2. A field is refused if the server's own text names it as a field ("temperature: Extra inputs are not permitted",
"Unknown parameter: 'top_p'", "does not support the `seed` parameter"). Text that the server quotes from the request
does not count.
Rule 3. Text about a field's value ("must be between 0 and 1") does not count, because leaving the field out would hide
the user's mistake.
Rule 4. A text that names another API ("use /v1/responses") names the wire format that the endpoint serves.
Rule 5. "Roles must alternate" means that the endpoint serves a model with Llama's rule (aider #1920).
Rule 6. "Invalid signature" means that reasoning of earlier answers cannot be sent back in this conversation: Opus 5.5
binds signatures to the messages before them (docs/wire.md, 5.1).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from langchain_dbchat.dialects.dialect import PREFILL, ROLES, SIGNATURES
from langchain_dbchat.dialects.shared.request.merging import without_nested
from langchain_dbchat.dialects.shared.request.refusal_words import (
    EXTRA,
    GIVEN,
    NAME,
    NAMES,
    NO,
    NOT,
    NOUN,
    PLACE,
    REFUSES,
    UNKNOWN,
)

if TYPE_CHECKING:
    from langchain_dbchat.dialects.dialect import RefusableFields
    from langchain_dbchat.models.families import WireName

_REFUSAL = re.compile(
    r"extra inputs are not permitted"
    r"|(?:unknown|unrecognized|unexpected|unsupported) (?:field|name|parameter|argument|request argument|key)"
    r"|(?:is|are|does) not supported?|not support(?:ed)? |not allowed with|cannot both be specified|is deprecated"
    r"|may not be enabled when",
    re.IGNORECASE,
)
"""Text that refuses a field."""

_RANGE = re.compile(
    r"must be(?! satisfied)|maximum|minimum|between|expected (?:a|an|one)|out of range|too (?:long|large)",
    re.IGNORECASE,
)
"""Text that refuses a field's value; Groq says that conditions "must be satisfied" for any refusal."""

_PREFILL = re.compile(r"assistant message prefill|must end with a user message", re.IGNORECASE)
"""The text of the lesson `PREFILL`, in errors of Anthropic and of Databricks."""

_ALTERNATION = re.compile(r"roles must alternate", re.IGNORECASE)
"""The text of the lesson `ROLES`, in errors of Databricks and of the chat templates of open models."""

_SIGNATURE = re.compile(
    r"invalid [`'\"]?(?:signature|data)[`'\"]? in [`'\"]?(?:redacted_)?thinking"
    r"|thought[ _]signature[`'\"]? is (?:not valid|invalid|corrupted)|corrupted thought signature"
    r"|encrypted content [^.\n]{0,80}could not be (?:verified|decrypted)",
    re.IGNORECASE,
)
"""The text of the lesson `SIGNATURES`, in errors of Anthropic, Google and OpenAI."""

_ADVICE = (
    r"(?:(?<!not )(?<!n't )\b"
    r"(?:use|using|try|call|via|with|through|requires?|switch to"
    r"|(?:supported|available|served)(?: only)? (?:in|on|at|by))\b)[^.;\n]{0,40}?"
)
_WIRES: tuple[tuple[WireName, re.Pattern[str]], ...] = (
    # This model is only supported in v1/responses and not in v1/chat/completions.
    # To use function tools, use /v1/responses or set reasoning_effort to 'none'.
    ("responses", re.compile(rf"{_ADVICE}(?:/?v1/responses|/responses\b|\bresponses api)", re.IGNORECASE)),
    ("messages", re.compile(rf"{_ADVICE}(?:/?v1/messages|/messages\b|\bmessages api)", re.IGNORECASE)),
    ("chat", re.compile(rf"{_ADVICE}(?:/?v1/chat/completions|/chat/completions\b|\bchat completions)", re.IGNORECASE)),
    # Model is missing inputs ['input']. Note that there were extra inputs: ['messages'].
    # Invalid data for ResponsesAgentRequest: 1 validation error (MLflow's schema of a ResponsesAgent, and its server)
    ("responses", re.compile(r"missing inputs \['input'\].{0,40}extra inputs[^\n]{0,400}'messages'")),
    ("responses", re.compile(r"\bResponsesAgentRequest\b")),
    # Responses API passthrough is not supported
    ("chat", re.compile(r"responses api (?:passthrough )?is not supported", re.IGNORECASE)),
)
"""Texts that name the wire format to use, in OpenAI's, Anthropic's and Databricks' words."""

# Texts that name the refused fields after a noun or a colon.
_LISTED = (
    # Unknown parameter: 'top_p' -- json: unknown field "stream_options" -- Unrecognized request argument supplied: n
    rf"{UNKNOWN} (?:\w+ )?{NOUN}{GIVEN}:? {NAMES}",
    # databricks does not support parameters: ['seed'] -- does not support the parameter `seed`
    rf"{REFUSES}(?: the)?(?: following)? {NOUN}:? {NAMES}",
    # Argument not supported on this model: seed -- The following parameters are not supported: seed, top_k
    rf"{NOUN} (?:is |are )?{NOT}[^:.\n]{{0,60}}: {NAMES}",
    # Extra inputs are not permitted: seed
    rf"{EXTRA}: {NAMES}",
    # Additional properties are not allowed ('seed' was unexpected)
    rf"not allowed(?::| \() ?{NAMES} (?:was|were) unexpected",
)
# Texts that name them within a sentence.
_SENTENCES = (
    # tools.0.custom.strict: Extra inputs are not permitted
    rf"{PLACE}{NAMES}(?::| -)?\s+(?:{EXTRA}|{NO}|{UNKNOWN} {NOUN})",
    # Parameter 'seed' is not supported with this model -- `temperature` is deprecated for this model
    rf"{PLACE}{NAMES} (?:{NOUN} )?{NO}",
    # This model does not support the temperature parameter
    rf"{REFUSES}(?: the(?: use of)?)? {NAMES} {NOUN}\b",
    # This model does not support `seed` -- Model x does not support top_k
    rf"{REFUSES} {NAMES}(?=[.,;)\]]|$| (?:with|for|when|if|on|in|at|unless|as|while)\b)",
)
_PATTERNS = tuple(
    (re.compile(pattern, re.IGNORECASE | re.MULTILINE), patterns is _SENTENCES)
    for patterns in (_LISTED, _SENTENCES)
    for pattern in patterns
)

_WRAPPERS = frozenset({"body", "request", "generation_config", "inference_config", "params", "parameters", "kwargs"})
"""Prefixes that servers write before the name of a top-level field."""

_BEFORE, _AFTER = 2, 3
"""The number of words before or after a name that must also be in the request, so that the name counts as quoted."""

_AFTER_NOUN = re.compile(rf"\b{NOUN}{GIVEN}:? \[?$", re.IGNORECASE)

_LONGEST = 2_000  # the number of characters of a server's text that are searched
_ENGLISH = frozenset({"user", "name", "metadata"})
"""Names that are also English words ("user is not permitted"): they count only if they look like a field."""


def refused_field(text: str, body: Mapping[str, Any], fields: RefusableFields) -> str | None:
    """Return the refused field that a 400 names, if it is one of the refusable fields.

    Args:
        text: The server's text.
        body: The request's body.
        fields: The refusable fields of the dialect.

    Returns:
        A field of the body that can be left out, the setting of one that can be replaced, `ROLES`, `PREFILL`,
        `SIGNATURES`, or None.
    """
    text = text[:_LONGEST]
    quoted = _Quoted(text, body)
    if _ALTERNATION.search(text):
        return ROLES if "messages" in body and not quoted.contains(_ALTERNATION.pattern) else None
    for lesson, pattern in ((PREFILL, _PREFILL), (SIGNATURES, _SIGNATURE)):
        found = pattern.search(text)
        if found:
            return None if quoted.contains(" ".join(_words(found[0]))) else lesson
    if _RANGE.search(text):
        return None
    if _REFUSAL.search(text):
        for key, other in fields.renamed.items():
            # Databricks documents `max_tokens`, so it is kept unless the server names the other field.
            if key in body and (other in text or key != "max_tokens") and _has_name(text, key, quoted):
                return key
    named = {
        field: place
        for field, place in _named(text, body, quoted, fields.nested)
        if field in fields.optional or field in fields.nested
    }
    if _REFUSAL.search(text):
        named |= {
            setting: text.rfind(key)
            for key, setting in fields.replaced.items()
            if key.partition(".")[0] in body and _has_name(text, key, quoted)
        }
    # Of several fields the last one: "`temperature` and `top_p` cannot both be specified".
    return max(named, key=lambda field: named[field], default=None)


def named_wire(text: str, body: Mapping[str, Any]) -> WireName | None:
    """Return the wire format that an error asks for.

    Args:
        text: The server's text.
        body: The request's body.

    Returns:
        The name of the wire format, or None. Text that is quoted from the request does not count.
    """
    if len(text) > _LONGEST:  # MLflow writes the request and the schema before the reason
        text = f"{text[:_LONGEST]}\n{text[-_LONGEST // 2 :]}"
    found = [(match.start(), name, match) for name, pattern in _WIRES if (match := pattern.search(text))]
    if not found:
        return None
    _, name, match = min(found, key=lambda one: one[0])
    return None if _Quoted(text, body).contains(" ".join(_words(match[0]))) else name


def named_field(text: str, body: Mapping[str, Any]) -> str | None:
    """Return the field that a 400 names, whether it is refusable or not.

    Args:
        text: The server's text.
        body: The request's body.

    Returns:
        A field of the body, or None.
    """
    text = text[:_LONGEST]
    if _RANGE.search(text):
        return None
    named = dict(_named(text, body, _Quoted(text, body), {}))
    return max(named, key=lambda field: named[field], default=None)


class _Quoted:
    """The words of a server's text that are quoted from the request.

    Args:
        text: The server's text.
        body: The request's body.
    """

    def __init__(self, text: str, body: Mapping[str, Any]) -> None:
        self._text = text
        self._request_words = f" {' '.join(word for leaf in _texts(body) for word in _words(leaf))} "
        self._messages = [_words(text) for text in _message_texts(body)]

    def is_quoted(self, start: int, end: int) -> bool:
        """Return whether the words at a position are a whole message, or are in the request with those beside them."""
        within = _words(self._text[start:end])
        if within in self._messages:
            return True
        before, after = _words(self._text[:start])[-_BEFORE:], _words(self._text[end:])[:_AFTER]
        sides = ([*before, *within] if len(before) == _BEFORE else [], [*within, *after] if len(after) > 1 else [])
        return any(side and self.contains(" ".join(side)) for side in sides)

    def contains(self, words: str) -> bool:
        """Return whether the request contains a sequence of words."""
        return f" {words} " in self._request_words


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", re.sub(r"\\[nrt]", " ", text.lower()))


def _message_texts(body: Mapping[str, Any]) -> Iterator[str]:
    """Yield the texts of the messages of a request in any wire format."""
    for given in (body.get("messages"), body.get("input"), body.get("system")):
        for item in given if isinstance(given, list) else [given]:
            content = item.get("content", item.get("text")) if isinstance(item, Mapping) else item
            blocks = content if isinstance(content, list) else [content]
            for block in blocks:
                text = block.get("text") if isinstance(block, Mapping) else block
                if isinstance(text, str):
                    yield text


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _texts(inner)


def _named(
    text: str, body: Mapping[str, Any], quoted: _Quoted, nested: Mapping[str, tuple[str, ...]]
) -> Iterator[tuple[str, int]]:
    """Yield the fields of a body that a text refuses, each with its position in the text."""
    for pattern, is_sentence in _PATTERNS:
        for match in pattern.finditer(text):
            for name in re.finditer(NAME, match["names"]):
                start, end = (match.start("names") + place for place in name.span())
                field = _field(_unquoted(name[0]), body, nested)
                if field is None or quoted.is_quoted(start, end):
                    continue
                if is_sentence and name[0].lower() in _ENGLISH and not _looks_like_a_field(text, start, end):
                    continue
                yield field, start


def _unquoted(name: str) -> str:
    return name.strip('\\"') if name.startswith("\\") else name.strip("\"'`")


def _looks_like_a_field(text: str, start: int, end: int) -> bool:
    return text[end : end + 1] in {":", "\n"} or _AFTER_NOUN.search(text[:start]) is not None


def _field(path: str, body: Mapping[str, Any], nested: Mapping[str, tuple[str, ...]]) -> str | None:
    """Return the field of a path such as ``tools.0.function.strict``: a top-level field, or a nested optional key."""
    if path in body:
        return path
    spelled = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", path).lower()  # Google's "topP"
    parts = [part for part in re.split(r"[.\[\]/]+", spelled) if part and not part.isdigit()]
    while len(parts) > 1 and parts[0] in _WRAPPERS:
        parts.pop(0)
    if len(parts) == 1 and parts[0] in body:
        return parts[0]
    key = parts[-1] if parts else ""
    is_within = len(parts) == 1 or (parts[:1] and parts[0] in nested.get(key, ()) and "properties" not in parts)
    return key if is_within and key in nested and without_nested(body, key) != body else None


def _has_name(text: str, key: str, quoted: _Quoted) -> bool:
    """Return whether a text names a field outside of quotes from the request; its ``type`` stands for the field."""
    found = re.finditer(rf"(?<![a-z_]){re.escape(key)}(?![a-z_])(?!\.(?!type\b)\w)", text)
    return any(not quoted.is_quoted(*match.span()) for match in found)
