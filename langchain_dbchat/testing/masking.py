"""Remove secrets from requests and answers, so that a recording can be committed.

Rule 1. Secrets are: what `errors.redaction` masks in a text; the values that the recorder knows, such as its own token;
the text under a key that names a secret (``{"password": "..."}``), also in JSON within a text, such as the arguments of
a tool call.
Rule 2. The pieces of a stream are read together: a secret that is cut into several events is masked too. The masked
text is then in the first of those events.
Rule 3. What has no secret is not changed, byte for byte.
Rule 4. Masking twice changes nothing, and equal values have equal masks, so that a masked request can be compared.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json, to_json

from langchain_dbchat.errors.redaction import MASK, scrub

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["Masker"]

_SHORTEST = 6
"""Characters of the shortest value that is taken for a secret: "abc" is in too many words."""
_SECRET_KEY = re.compile(
    r"(?i)(?:[a-z]+[_-])*(?:token|secret|password|passwd|(?:api|secret|private|access)[_-]?key|authorization|cookie)"
)
_FRAGMENTS = frozenset(
    {
        "arguments", "content", "delta", "input", "output", "partial_json", "reasoning", "reasoning_content", "refusal",
        "summary", "text", "thinking",
    }
)  # fmt: skip
"""The keys under which the events of a stream have pieces of one text, on every API."""
_PLACES = ("index", "output_index", "content_index", "summary_index", "item_id")
"""The keys that say to which text a piece belongs."""
_EVENT_END = re.compile("\r\n\r\n|\n\n|\r\r")
_DATA = re.compile(r"(?m)^data: ?(.*?)\r?$")


@dataclass(slots=True)
class _StreamEvent:
    """One event of a stream.

    Attributes:
        text: The event with its end, as it came.
        end: The number of characters of the stream up to its end.
        value: The JSON value of its data; None if there is none.
        is_changed: Whether something in the value was masked.
    """

    text: str
    end: int
    value: Any = None
    is_changed: bool = False

    def written(self) -> str:
        """Return the event, as it came if nothing was masked."""
        if not self.is_changed:
            return self.text
        data = to_json(self.value).decode()
        return _DATA.sub(lambda _: f"data: {data}", self.text, count=1)


@dataclass(slots=True)
class _Fragments:
    """The pieces of one text, each with the object and the key that contain it, and its event."""

    pieces: list[tuple[_StreamEvent, Any, Any]] = field(default_factory=list)

    @property
    def text(self) -> str:
        """Return the whole text."""
        return "".join(holder[key] for _, holder, key in self.pieces)

    def replace(self, text: str) -> None:
        """Put another text into the first piece, and nothing into the others."""
        for number, (event, holder, key) in enumerate(self.pieces):
            holder[key] = text if number == 0 else ""
            event.is_changed = True


class Masker:
    """Removes secrets.

    Args:
        secrets: Values that are secret wherever they are; those under 6 characters are not looked for.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: tuple[str, ...] = ()
        self.add(secrets)

    def add(self, secrets: Iterable[str]) -> None:
        """Add values that are secret wherever they are."""
        known = {*self._secrets, *(secret for secret in secrets if len(secret) >= _SHORTEST)}
        self._secrets = tuple(sorted(known, key=len, reverse=True))

    def text(self, text: str) -> str:
        """Return a text without secrets; in JSON, the keys count too.

        Args:
            text: Any text.
        """
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        if text[:1] in {"{", "["}:
            value = _parsed(text)
            masked = self.json(value)
            if masked != value:
                return to_json(masked).decode()
        return scrub(text)

    def json(self, value: Any) -> Any:
        """Return a JSON value without secrets.

        Args:
            value: The value, which is not changed.
        """
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.json(one) for one in value]
        if isinstance(value, dict):
            return {self.text(key): self._field(key, one, value) for key, one in value.items()}
        return value

    def _field(self, key: str, value: Any, siblings: Mapping[str, Any]) -> Any:
        is_secret = isinstance(value, str) and value and _SECRET_KEY.fullmatch(key)
        if is_secret and "logprob" not in siblings:  # beside a probability, a token is a word
            return MASK
        return self.json(value)

    def body(self, body: bytes) -> Any:
        """Return a body without secrets, as JSON where that says the same, else as a text.

        Args:
            body: The body of a request or of a whole answer.
        """
        text = body.decode("utf-8", "replace")
        value = _parsed(text)
        if isinstance(value, (dict, list)) and _parsed(to_json(value, inf_nan_mode="null").decode()) == value:
            return self.json(value)
        return self.text(text)

    def pieces(self, pieces: Iterable[bytes]) -> list[str]:
        """Return the pieces of an event stream without secrets; each ends where an event ends.

        Args:
            pieces: The bytes as they arrived.
        """
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        texts = [decoder.decode(piece) for piece in pieces]
        texts.append(decoder.decode(b"", final=True))
        events = list(_events("".join(texts)))
        self._mask_events(events)
        written: list[str] = []
        arrived, waiting = 0, iter(events)
        event = next(waiting, None)
        for text in texts:
            arrived += len(text)
            together = []
            while event is not None and event.end <= arrived:
                together.append(event.written())
                event = next(waiting, None)
            if together:
                written.append("".join(together))
        return written

    def _mask_events(self, events: list[_StreamEvent]) -> None:
        """Mask the texts that are cut into several events, and then each event.

        The other order would mask the beginning of a secret, and not know its end any more.
        """
        texts: dict[tuple[Any, ...], _Fragments] = {}
        for event in events:
            for place, holder, key in _fragments(event.value, ()):
                texts.setdefault(place, _Fragments()).pieces.append((event, holder, key))
        for fragments in texts.values():
            text = fragments.text
            masked = self.text(text)
            if masked != text:
                fragments.replace(masked)
        for event in events:
            if event.value is None:
                event.text = self.text(event.text)
                continue
            masked = self.json(event.value)
            event.is_changed = event.is_changed or masked != event.value
            event.value = masked


def _events(text: str) -> Iterator[_StreamEvent]:
    start = 0
    for end in [*(match.end() for match in _EVENT_END.finditer(text)), len(text)]:
        if end > start:
            event = text[start:end]
            data = _DATA.findall(event)
            value = _parsed(data[0]) if len(data) == 1 else None
            yield _StreamEvent(event, end, value if isinstance(value, dict) else None)
        start = end


def _fragments(value: Any, place: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Any, Any]]:
    """Yield the pieces of text in an event: to which text each belongs, and the object and the key that contain it."""
    if isinstance(value, list):
        for one in value:
            yield from _fragments(one, place)
    elif isinstance(value, dict):
        here = (*place, *(value.get(name) for name in _PLACES if isinstance(value.get(name), (str, int))))
        for key, one in value.items():
            if isinstance(one, str) and key in _FRAGMENTS:
                yield (*here, key), value, key
            else:
                yield from _fragments(one, (*here, key))


def _parsed(text: str) -> Any:
    try:
        return from_json(text)
    except ValueError:
        return None
