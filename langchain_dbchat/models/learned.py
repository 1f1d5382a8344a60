"""What endpoints have taught: fields that they refuse although nothing in their name says so.

An endpoint's name is free text, and models change behind it. A 400 that names an optional field teaches the client: the
request is sent again without the field, and every model in the process remembers that for an hour.

Rule 1. Only the fields of `OPTIONAL` and `NESTED` are ever left out; docs/settings.md lists them. Any other field says
what is asked, and the server's refusal of it is the caller's to decide about.
Rule 2. A field is refused where the server's own words name it in the place of a field ("temperature: Extra inputs are
not permitted", "Unknown parameter: 'top_p'", "does not support the `seed` parameter"). Words that the server quotes
from the request teach nothing.
Rule 3. Words about a field's value ("must be between 0 and 1") teach nothing: leaving the field out would hide the
mistake.
Rule 4. A lesson belongs to one address with its path, one workspace and one endpoint, because a host may front several
tenants. It ends after `LIFETIME` seconds, because models change behind an endpoint.
Rule 5. The limit of an answer's length has two names (`max_tokens`, and `max_completion_tokens` for OpenAI's reasoning
models); an endpoint that refuses one gets the value under the other (pydantic-ai #1205, dify #24307).
Rule 6. A structured answer that `with_structured_output` asked for can be had by a tool or by a response format; an
endpoint that refuses one is asked by the other.
Rule 7. "Roles must alternate" teaches that the endpoint serves a model with Llama's rule (aider #1920).
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

Body = dict[str, Any]

OPTIONAL = frozenset(
    {
        "temperature",
        "top_p",
        "top_k",
        "min_p",
        "seed",
        "frequency_penalty",
        "presence_penalty",
        "repetition_penalty",
        "logprobs",
        "top_logprobs",
        "parallel_tool_calls",
        "stream_options",
        "service_tier",
        "verbosity",
        "user",
        "metadata",
    }
)
"""Fields at the top of a request that may be left out: how to sample, what to report besides the answer, and hints."""

NESTED = {"strict": ("tools",), "cache_control": ("messages", "tools"), "name": ("messages",)}
"""Optional keys below the top level, and the fields that hold them."""

REPLACED = frozenset({"response_format", "tool_choice"})
"""Fields that are put in another way where the caller asked for a structured answer, and kept everywhere else."""

RENAMED = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
"""Fields whose value goes under another name where an endpoint refuses this one."""

ROLES = "roles"
"""The lesson that user and assistant have to take turns; it is not a field, and no message is dropped for it."""

LIFETIME = 3600.0
"""Seconds after which a lesson ends."""

_REFUSAL = (
    r"extra inputs are not permitted"
    r"|(?:unknown|unrecognized|unexpected|unsupported) (?:field|name|parameter|argument|request argument|key)"
    r"|(?:is|are|does) not supported?|not support(?:ed)? |not allowed with|cannot both be specified|is deprecated"
    r"|may not be enabled when"
)
"""Words that refuse a field altogether."""

_RANGE = r"must be|maximum|minimum|between|expected (?:a|an|one)|out of range|too (?:long|large)"
"""Words that refuse a field's value."""

_TURNS = r"roles must alternate"
"""The words that teach `ROLES`: Databricks' and those of the chat templates of open models."""

_NAME = r"(?:\\?\"[^\"\s]+\"|'[^'\s]+'|`[^`\s]+`|[A-Za-z_][\w.\[\]-]*\w|[A-Za-z_])"
_NAMES = rf"\[?(?P<names>{_NAME}(?:(?:,? and |,? or |, ){_NAME})*)\]?"
_NOUN = (
    r"(?:request )?(?:keyword )?"
    r"(?:fields?|names?|param(?:eter)?(?:s|\(s\))?|arguments?|keys?|options?|settings?|propert(?:y|ies))"
)
_GIVEN = r"(?: supplied| provided| received| given| in request)?"
_PLACE = rf"(?:^|[:;,.(\n]\s*|\b{_NOUN}:? |\bthe |\buse of |\busing )"
_EXTRA = r"extra (?:inputs are|fields) not permitted"
_NOT = r"not (?:supported|permitted|allowed)"
_NO = (
    r"(?:(?:is|are|was|were) (?:currently |only )?"
    rf"(?:{_NOT}|not (?:available|accepted|recognized)|unsupported|unknown|unexpected|deprecated|no longer supported)"
    rf"|is not an? (?:supported|valid|recognized|known|allowed) {_NOUN}"
    r"|(?:does|do) not support"
    r"|(?:cannot|can't|can not|may not|must not) (?:both |be both )?be (?:set|used|specified|combined|given)"
    rf"|{_NOT})"
)
_UNKNOWN = r"(?:unknown|unrecognized|unexpected|unsupported(?: value)?|extra|invalid|extraneous)"
_REFUSES = r"(?:does not|do not|doesn't|don't|cannot|not) (?:support(?:ed)?|accept|allow|take|recognize)"

# Where the words of servers name the fields that they refuse: after a noun or a colon.
_LISTED = (
    # Unknown parameter: 'top_p' -- json: unknown field "stream_options" -- Unrecognized request argument supplied: n
    rf"{_UNKNOWN} (?:\w+ )?{_NOUN}{_GIVEN}:? {_NAMES}",
    # databricks does not support parameters: ['seed'] -- does not support the parameter `seed`
    rf"{_REFUSES}(?: the)?(?: following)? {_NOUN}:? {_NAMES}",
    # Argument not supported on this model: seed -- The following parameters are not supported: seed, top_k
    rf"{_NOUN} (?:is |are )?{_NOT}[^:.\n]{{0,60}}: {_NAMES}",
    # Extra inputs are not permitted: seed
    rf"{_EXTRA}: {_NAMES}",
    # Additional properties are not allowed ('seed' was unexpected)
    rf"not allowed(?::| \() ?{_NAMES} (?:was|were) unexpected",
)
# The same within a sentence.
_SENTENCES = (
    # tools.0.custom.strict: Extra inputs are not permitted
    rf"{_PLACE}{_NAMES}(?::| -)?\s+(?:{_EXTRA}|{_NO}|{_UNKNOWN} {_NOUN})",
    # Parameter 'seed' is not supported with this model -- `temperature` is deprecated for this model
    rf"{_PLACE}{_NAMES} (?:{_NOUN} )?{_NO}",
    # This model does not support the temperature parameter
    rf"{_REFUSES}(?: the(?: use of)?)? {_NAMES} {_NOUN}\b",
    # This model does not support `seed` -- Model x does not support top_k
    rf"{_REFUSES} {_NAMES}(?=[.,;)\]]|$| (?:with|for|when|if|on|in|at|unless|as|while)\b)",
)

_WRAPPERS = frozenset({"body", "request", "generation_config", "inference_config", "params", "parameters", "kwargs"})
"""What servers put before the name of a field at the top."""

_BEFORE, _AFTER = 2, 3
"""How many words before or after a name have to stand in the request too, so that the name counts as quoted."""

_AFTER_NOUN = rf"\b{_NOUN}{_GIVEN}:? \[?$"

_LONGEST = 2_000  # characters of a server's words that are searched
_ENGLISH = frozenset({"user", "name", "metadata"})
"""Names that are also words of a sentence ("user is not permitted"): they count only where they look like a field."""


@cache
def _pattern(text: str, flags: int = re.IGNORECASE) -> re.Pattern[str]:
    """Compile a pattern when the first refusal is read: that takes 12 ms, which a program that starts does not wait."""
    return re.compile(text, flags)


_lessons: dict[tuple[str, str], dict[str, float]] = {}


def lessons_of(address: str, endpoint: str, clock: Callable[[], float] = time.monotonic) -> frozenset[str]:
    """Return what an endpoint has been seen to refuse.

    Args:
        address: Where it is, as `Link.address` writes it.
        endpoint: The endpoint's name.
        clock: Seconds of a clock that never goes back.

    Returns:
        The names of fields.
    """
    known = _lessons.get((address, endpoint))
    if not known:
        return frozenset()
    now = clock()
    return frozenset(field for field, end in known.items() if now < end)


def learn(address: str, endpoint: str, field: str, clock: Callable[[], float] = time.monotonic) -> bool:
    """Remember for `LIFETIME` seconds that an endpoint refuses a field.

    Args:
        address: Where it is, as `Link.address` writes it.
        endpoint: The endpoint's name.
        field: The field.
        clock: Seconds of a clock that never goes back.

    Returns:
        Whether that is news.
    """
    known = lessons_of(address, endpoint, clock)
    # An endpoint that takes neither of two names is not believed: the last word counts.
    kept = {name: end for name, end in _lessons.get((address, endpoint), {}).items() if name in known}
    kept.pop(RENAMED.get(field, ""), None)
    # One assignment of a new value: threads may lose a lesson, which is then learned again, but never see half of one.
    _lessons[address, endpoint] = {**kept, field: clock() + LIFETIME}
    return field not in known


def forget() -> None:
    """Forget all lessons, of all endpoints."""
    _lessons.clear()


def refused_field(text: str, body: Mapping[str, Any]) -> str | None:
    """Find the field that a 400 names, if an endpoint's dislike of it may teach.

    Args:
        text: The server's words.
        body: The request's body.

    Returns:
        A field that the body holds and that can be left out or put in another way, `ROLES`, or None.
    """
    text = text[:_LONGEST]
    quoted = _Quoted(text, body)
    if _pattern(_TURNS).search(text):
        return ROLES if "messages" in body and not quoted.holds(_TURNS) else None
    if _pattern(_RANGE).search(text):
        return None
    if _pattern(_REFUSAL).search(text):
        for key, other in RENAMED.items():
            # `max_tokens` is what Databricks documents, so it stays unless the server asks for the other.
            if key in body and (other in text or key != "max_tokens") and _has_name(text, key, quoted):
                return key
    named = {field: place for field, place in _named(text, body, quoted) if field in OPTIONAL or field in NESTED}
    if _pattern(_REFUSAL).search(text):
        named |= {key: text.rfind(key) for key in REPLACED if key in body and _has_name(text, key, quoted)}
    # Of several the last one named: "`temperature` and `top_p` cannot both be specified".
    return max(named, key=lambda field: named[field], default=None)


def named_field(text: str, body: Mapping[str, Any]) -> str | None:
    """Find the field that a 400 names, whatever it means.

    Args:
        text: The server's words.
        body: The request's body.

    Returns:
        A field that the body holds, or None.
    """
    text = text[:_LONGEST]
    if _pattern(_RANGE).search(text):
        return None
    named = dict(_named(text, body, _Quoted(text, body)))
    return max(named, key=lambda field: named[field], default=None)


def without(body: Mapping[str, Any], field: str) -> Body:
    """Write a body without a field.

    Args:
        body: The body; it is not changed.
        field: A field at the top, or an optional key of tools, parts or messages.

    Returns:
        A new body.
    """
    if field in body:
        return {key: value for key, value in body.items() if key != field}
    return _without_nested(dict(body), field)


def renamed(body: Mapping[str, Any], field: str) -> Body:
    """Write a body with the value of a field under the field's other name.

    Args:
        body: The body; it is not changed.
        field: One of `RENAMED`.

    Returns:
        A new body, or an equal one if the field is not there. What stands under the other name already stays.
    """
    if field not in body:
        return dict(body)
    other = RENAMED[field]
    rest = {key: value for key, value in body.items() if key != field}
    return {other: body[field], **rest}


class _Quoted:
    """Tells which of a server's words are quoted from the request.

    Args:
        text: The server's words.
        body: The request's body.
    """

    def __init__(self, text: str, body: Mapping[str, Any]) -> None:
        self._text = text
        self._theirs = f" {' '.join(word for leaf in _texts(body) for word in _words(leaf))} "

    def has(self, start: int, end: int) -> bool:
        """Tell whether the words at a place stand in the request along with the words before or after them."""
        within = _words(self._text[start:end])
        before, after = _words(self._text[:start])[-_BEFORE:], _words(self._text[end:])[:_AFTER]
        sides = ([*before, *within] if len(before) == _BEFORE else [], [*within, *after] if len(after) > 1 else [])
        return any(side and self.holds(" ".join(side)) for side in sides)

    def holds(self, words: str) -> bool:
        """Tell whether words stand in the request, whatever stands beside them."""
        return f" {words} " in self._theirs


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", re.sub(r"\\[nrt]", " ", text.lower()))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _texts(inner)


def _named(text: str, body: Mapping[str, Any], quoted: _Quoted) -> Iterator[tuple[str, int]]:
    """Give the fields of a body that a text refuses, and where it names them."""
    for pattern in (*_LISTED, *_SENTENCES):
        for match in _pattern(pattern, re.IGNORECASE | re.MULTILINE).finditer(text):
            for name in re.finditer(_NAME, match["names"]):
                start, end = (match.start("names") + place for place in name.span())
                field = _field(_unquoted(name[0]), body)
                if field is None or quoted.has(start, end):
                    continue
                if pattern in _SENTENCES and name[0].lower() in _ENGLISH and not _looks_like_a_field(text, start, end):
                    continue
                yield field, start


def _unquoted(name: str) -> str:
    return name.strip('\\"') if name.startswith("\\") else name.strip("\"'`")


def _looks_like_a_field(text: str, start: int, end: int) -> bool:
    return text[end : end + 1] in {":", "\n"} or _pattern(_AFTER_NOUN).search(text[:start]) is not None


def _field(path: str, body: Mapping[str, Any]) -> str | None:
    """Read a path such as ``tools.0.function.strict``: a field at the top of a body, or an optional key within it."""
    if path in body:
        return path
    spelled = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", path).lower()  # Google's "topP"
    parts = [part for part in re.split(r"[.\[\]/]+", spelled) if part and not part.isdigit()]
    while len(parts) > 1 and parts[0] in _WRAPPERS:
        parts.pop(0)
    if len(parts) == 1 and parts[0] in body:
        return parts[0]
    key = parts[-1] if parts else ""
    is_within = len(parts) == 1 or (parts[:1] and parts[0] in NESTED.get(key, ()) and "properties" not in parts)
    return key if is_within and key in NESTED and _without_nested(dict(body), key) != body else None


def _has_name(text: str, key: str, quoted: _Quoted) -> bool:
    """Tell whether a text names a field in words that are the server's own."""
    found = re.finditer(rf"(?<![a-z_]){re.escape(key)}(?![a-z_])(?!\.\w)", text)
    return any(not quoted.has(*match.span()) for match in found)


def _without_nested(body: Body, key: str) -> Body:
    cleaned = dict(body)
    if key == "name":
        cleaned["messages"] = [_drop(message, "name") for message in body.get("messages", [])]
        return cleaned
    if "tools" in body:
        cleaned["tools"] = _drop_everywhere(body["tools"], key)
    if key == "cache_control" and "messages" in body:
        cleaned["messages"] = _drop_everywhere(body["messages"], key)
    return cleaned


def _drop(value: Mapping[str, Any], key: str) -> Body:
    return {name: inner for name, inner in value.items() if name != key}


def _drop_everywhere(value: Any, key: str) -> Any:
    if isinstance(value, list):
        return [_drop_everywhere(item, key) for item in value]
    if isinstance(value, Mapping):
        # The properties of a tool's schema are the user's: a parameter may well be called "strict".
        plain = {"properties", "arguments", "text"}
        return {
            name: inner if name in plain else _drop_everywhere(inner, key)
            for name, inner in value.items()
            if name != key
        }
    return value
