"""The file of a recording: one JSON object a line, the first about the file, each other one exchange.

Rule 1. A line has what decides the answer and the answer itself: method, path, query and body; status, the headers that
clients read, and the body, or the pieces of a stream. Headers of requests are left out: they contain secrets and
differ between machines.
Rule 2. Nothing is in a line that was not masked (see `masking`).
Rule 3. Two requests are the same if their methods, paths, queries and bodies are; bodies are compared as JSON, so that
the order of keys does not count. The workspace id ``o`` in a query does not count.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

from pydantic_core import from_json, to_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from langchain_dbchat.testing.masking import Masker

__all__ = ["KEPT_HEADERS", "AskedFor", "Exchange", "RecordingHead", "differences", "first_line", "read_recording"]

VERSION = 1
KEPT_HEADERS = frozenset({"content-type", "retry-after", "served-model-name", "x-request-id"})
"""The headers of an answer that are recorded: those that clients read, and no other one."""
_ID = "o"


@dataclass(frozen=True, slots=True)
class RecordingHead:
    """The first line of a recording.

    Attributes:
        base_path: The path that a client has to append to the host; empty for a workspace.
    """

    base_path: str = ""


@dataclass(frozen=True, slots=True)
class AskedFor:
    """What decides an answer.

    Attributes:
        method: The HTTP method.
        path: The path.
        query: The query, without the workspace id.
        body: The body: a JSON object or array, else a text; None if there is none.
    """

    method: str
    path: str
    query: str = ""
    body: Any = None

    @classmethod
    def of(cls, method: str, path: str, query: str, body: bytes, masker: Masker) -> AskedFor:
        """Return what a request asks for, without secrets.

        Args:
            method: The HTTP method.
            path: The path.
            query: The query.
            body: The body.
            masker: Removes the secrets.
        """
        pairs = [(name, value) for name, value in parse_qsl(query, keep_blank_values=True) if name != _ID]
        return cls(
            method, masker.text(path), masker.text(urlencode(sorted(pairs))), masker.body(body) if body else None
        )

    @property
    def is_lookup(self) -> bool:
        """Return whether the request only reads, so that its answer may be given again."""
        return self.method == "GET"

    def __str__(self) -> str:
        query = f"?{self.query}" if self.query else ""
        return f"{self.method} {self.path}{query}"


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and its answer.

    Attributes:
        request: What was asked for.
        status: The status of the answer.
        headers: Its headers.
        body: The body of a whole answer: a JSON object or array, else a text.
        pieces: The pieces of a streamed answer; None for a whole one.
    """

    request: AskedFor
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    pieces: tuple[str, ...] | None = None

    def line(self) -> bytes:
        """Return the line of the file."""
        asked = self.request
        request = {"method": asked.method, "path": asked.path, "query": asked.query, "body": asked.body}
        answer: dict[str, Any] = {"status": self.status, "headers": dict(self.headers)}
        answer |= {"body": self.body} if self.pieces is None else {"pieces": list(self.pieces)}
        return to_json({"request": request, "response": answer}) + b"\n"

    def sent(self) -> list[bytes]:
        """Return the pieces of the body."""
        if self.pieces is not None:
            return [piece.encode() for piece in self.pieces]
        if self.body is None:
            return []
        return [self.body.encode() if isinstance(self.body, str) else to_json(self.body)]


def first_line(head: RecordingHead) -> bytes:
    """Return the line of the file that says what it is.

    Args:
        head: What is true of all exchanges.
    """
    return to_json({"dbchat_recording": VERSION, "base_path": head.base_path}) + b"\n"


def read_recording(path: Path) -> tuple[RecordingHead, list[Exchange]]:
    """Read a recording.

    Args:
        path: The file.

    Returns:
        What is true of all exchanges, and the exchanges in the order in which they ended.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not a recording, or a line is damaged; the text names the line.
    """
    try:
        first, *lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        raise FileNotFoundError(
            f"There is no recording {path}. Record one with `pytest --dbchat-record` or with a RecordingWorkspace."
        ) from None
    head = _object(path, 1, first)
    if head.get("dbchat_recording") != VERSION:
        raise ValueError(f"{path} is not a recording of version {VERSION}: its first line does not say so.")
    exchanges = []
    for number, line in enumerate(lines, 2):
        if line.strip():
            try:
                exchanges.append(_exchange(_object(path, number, line)))
            except (KeyError, TypeError) as error:
                raise ValueError(f"{path}, line {number} is not an exchange: {error!r}") from None
    return RecordingHead(str(head.get("base_path", ""))), exchanges


def differences(recorded: Any, sent: Any, place: str = "") -> Iterator[str]:
    """Yield where a sent value is not the recorded one.

    Args:
        recorded: The value of the recording.
        sent: The value of a request.
        place: Where the values are, such as ``messages[0].content``.
    """
    if isinstance(recorded, dict) and isinstance(sent, dict):
        for key in [*recorded, *(key for key in sent if key not in recorded)]:
            inner = f"{place}.{key}" if place else str(key)
            if key not in sent:
                yield f"{inner} was recorded, and is missing"
            elif key not in recorded:
                yield f"{inner} was not recorded, and is {_short(sent[key])}"
            else:
                yield from differences(recorded[key], sent[key], inner)
    elif isinstance(recorded, list) and isinstance(sent, list):
        for number, (one, other) in enumerate(zip(recorded, sent, strict=False)):
            yield from differences(one, other, f"{place}[{number}]")
        if len(recorded) != len(sent):
            yield f"{place} has {len(sent)} entries; {len(recorded)} were recorded"
    elif recorded != sent or isinstance(recorded, bool) is not isinstance(sent, bool):  # True is not the number 1
        yield f"{place or 'the body'} is {_short(sent)}; recorded was {_short(recorded)}"


def _exchange(line: dict[str, Any]) -> Exchange:
    request, answer = line["request"], line["response"]
    asked = AskedFor(request["method"], request["path"], request["query"], request["body"])
    pieces = answer.get("pieces")
    return Exchange(
        asked,
        int(answer["status"]),
        dict(answer["headers"]),
        answer.get("body"),
        None if pieces is None else tuple(pieces),
    )


def _object(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        value = from_json(line)
    except ValueError:
        value = None
    if isinstance(value, dict):
        return value
    raise ValueError(f"{path}, line {number} is not a JSON object.")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


_SHOWN = 120
"""Characters of a value that a difference shows."""
