"""What came in: the last requests of a workspace, each readable without knowing its API, and assertions about them.

Rule 1. The log is bounded by number and by bytes; the oldest request goes first.
Rule 2. A call is a request for an answer or for vectors. Requests for a token or for the description of an endpoint are
in the log, but no assertion counts them. A request that a client sends again counts again.
Rule 3. Headers that contain secrets are not kept.
"""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, overload
from urllib.parse import unquote

from pydantic_core import from_json
from typing_extensions import TypedDict, Unpack

from langchain_dbchat.local.rule_model.script_step import tool_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

KEPT_REQUESTS = 1000
KEPT_BYTES = 64 * 1024 * 1024
"""Bytes of all bodies in a log."""
SHOWN = 10
"""Calls that a failed assertion shows."""
SHOWN_TEXT = 80
"""Characters of a text that a failed assertion shows."""
SECRET_HEADER = re.compile("authorization|cookie|token|secret|password|api-?key")
NAMED_BY_PATH = re.compile(r"^/(?:serving-endpoints/([^/]+)/invocations|apps/([^/]+)/(?:invocations|responses))$")

ApiName = Literal["chat", "responses", "messages", "embeddings"]
ENDINGS: tuple[tuple[str, ApiName], ...] = (
    ("/chat/completions", "chat"),
    ("responses", "responses"),  # /responses and /open-responses
    ("/v1/messages", "messages"),
    ("/embeddings", "embeddings"),
)
"""The end of a path, and the API that is there (docs/wire.md, 1.1)."""


@dataclass(frozen=True, repr=False)
class RecordedRequest:
    """One request as it came in.

    Attributes:
        method: The HTTP method.
        path: The path.
        query: The query, without the question mark.
        headers: The headers by lower-case name, without those that contain secrets.
        body: The body.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes

    @cached_property
    def json(self) -> Any:
        """Return the parsed body; None if it is not JSON."""
        try:
            return from_json(self.body) if self.body else None
        except ValueError:
            return None

    @property
    def api(self) -> ApiName | None:
        """Return the API whose format the request has; None if it asks for no answer and no vectors."""
        if self.method != "POST":
            return None
        if self.path.endswith("/invocations"):
            given = self._fields.get("input")
            if given is None:
                return "chat"
            parts = given if isinstance(given, list) else [given]
            return "responses" if parts and all(isinstance(part, dict) for part in parts) else "embeddings"
        return next((api for ending, api in ENDINGS if self.path.endswith(ending)), None)

    @property
    def endpoint(self) -> str | None:
        """Return the endpoint or app that is called, by the name that the request has for it; None if it calls none."""
        if named := NAMED_BY_PATH.search(self.path):
            return unquote(named[1] or named[2])
        model = self._fields.get("model")
        return model if isinstance(model, str) and self.api is not None else None

    @property
    def messages(self) -> list[dict[str, Any]]:
        """Return the messages as they were sent; those of the system, which some APIs put elsewhere, come first."""
        given = self._fields.get("input" if self.api == "responses" else "messages")
        if isinstance(given, str):
            given = [{"role": "user", "content": given}]
        system = self._fields.get("instructions" if self.api == "responses" else "system")
        first = [{"role": "system", "content": system}] if system and self.api in {"responses", "messages"} else []
        return [*first, *(one for one in given or [] if isinstance(one, dict))]

    @property
    def tools(self) -> list[str]:
        """Return the names of the tools that the model may call."""
        given = [tool for tool in self._fields.get("tools") or [] if isinstance(tool, dict)]
        return [str((tool.get("function") or tool).get("name") or tool.get("type")) for tool in given]

    @property
    def texts(self) -> list[str]:
        """Return all texts of the messages in their order, or the texts to embed."""
        if self.api == "embeddings":
            given = self._fields.get("input")
            return [str(one) for one in (given if isinstance(given, list) else [given])]
        return [text for message in self.messages for text in _texts_in(message) if text]

    @property
    def user_agent(self) -> str:
        """Return the ``User-Agent``; empty if there is none."""
        return self.headers.get("user-agent", "")

    @property
    def _fields(self) -> dict[str, Any]:
        return self.json if isinstance(self.json, dict) else {}

    def __repr__(self) -> str:
        if self.api is None:
            return f"{self.method} {self.path}"
        texts = self.texts
        last = texts[-1] if texts else ""
        said = last if len(last) <= SHOWN_TEXT else f"{last[:SHOWN_TEXT]}..."
        tools = f", tools {self.tools}" if self.tools else ""
        return f"{self.endpoint} ({self.api}), {len(texts)} texts, the last is {said!r}{tools}"


class CallFilter(TypedDict, total=False):
    """What a call has to have."""

    endpoint: str
    """The name of the endpoint, as the request has it."""
    api: ApiName
    text: str
    """A text within one of the texts that are sent."""
    tools: Sequence[Any]
    """Tools, or their names, all of which the model may call; an empty list means that it may call none."""
    fields: Mapping[str, Any]
    """Fields of the body with these values; of an object, the named keys alone are compared."""


class RequestLog(Sequence[RecordedRequest]):
    """The last requests, oldest first.

    Args:
        count: How many are kept.
        size: How many bytes of their bodies are kept.
    """

    def __init__(self, count: int = KEPT_REQUESTS, size: int = KEPT_BYTES) -> None:
        self._count, self._limit, self._size = count, size, 0
        self._kept: deque[RecordedRequest] = deque()
        self._lock = threading.Lock()  # requests are added in the server's thread and read in the test's

    def append(self, request: RecordedRequest) -> None:
        """Add a request, and drop the oldest ones that are too many."""
        with self._lock:
            self._kept.append(request)
            self._size += len(request.body)
            while len(self._kept) > self._count or (self._size > self._limit and len(self._kept) > 1):
                self._size -= len(self._kept.popleft().body)

    def clear(self) -> None:
        """Forget all requests."""
        with self._lock:
            self._kept.clear()
            self._size = 0

    @property
    def calls(self) -> list[RecordedRequest]:
        """Return the requests for an answer or for vectors, oldest first."""
        return [request for request in self if request.api is not None]

    def __len__(self) -> int:
        return len(self._kept)

    @overload
    def __getitem__(self, place: int) -> RecordedRequest: ...
    @overload
    def __getitem__(self, place: slice) -> list[RecordedRequest]: ...
    def __getitem__(self, place: int | slice) -> RecordedRequest | list[RecordedRequest]:
        with self._lock:
            return self._kept[place] if isinstance(place, int) else list(self._kept)[place]

    def __iter__(self) -> Iterator[RecordedRequest]:
        with self._lock:
            return iter(list(self._kept))

    def __repr__(self) -> str:
        return f"RequestLog({list(self)!r})"


class CallAssertions:
    """Assertions about the calls of a workspace; what the keywords of each mean, `CallFilter` says."""

    requests: RequestLog
    """The last 1,000 requests."""

    def assert_called(self, times: int | None = None, **expected: Unpack[CallFilter]) -> list[RecordedRequest]:
        """Check that there were calls of this kind, and return them.

        Args:
            times: How many there were; None for one or more.
            **expected: What a call has to have: ``endpoint``, ``api``, ``text``, ``tools``, ``fields``.

        Raises:
            AssertionError: There were more or fewer; the text shows the calls that there were.
            TypeError: There is no such keyword.
        """
        __tracebackhide__ = True
        if unknown := expected.keys() - CallFilter.__annotations__.keys():
            raise TypeError(f"A call has no {sorted(unknown)}. It has: {', '.join(CallFilter.__annotations__)}.")
        calls = self.requests.calls
        differences = [list(_differences(call, expected)) for call in calls]
        found = [call for call, differs in zip(calls, differences, strict=True) if not differs]
        if len(found) == times or (times is None and found):
            return found
        wanted = "at least one call" if times is None else f"{times} call{'s' if times != 1 else ''}"
        given = " with " + ", ".join(f"{name}={value!r}" for name, value in expected.items()) if expected else ""
        raise AssertionError(f"Expected {wanted}{given}, but there were {len(found)}.{_shown(calls, differences)}")

    def assert_called_once(self, **expected: Unpack[CallFilter]) -> RecordedRequest:
        """Check that there was exactly one call of this kind, and return it.

        Args:
            **expected: What a call has to have: ``endpoint``, ``api``, ``text``, ``tools``, ``fields``.

        Raises:
            AssertionError: There was none, or there were more; the text shows the calls that there were.
        """
        __tracebackhide__ = True
        return self.assert_called(1, **expected)[0]

    def assert_not_called(self, **expected: Unpack[CallFilter]) -> None:
        """Check that there was no call of this kind.

        Args:
            **expected: What a call has to have: ``endpoint``, ``api``, ``text``, ``tools``, ``fields``.

        Raises:
            AssertionError: There were such calls; the text shows them.
        """
        __tracebackhide__ = True
        self.assert_called(0, **expected)


def keep_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that contain no secrets.

    Args:
        headers: The headers by lower-case name.
    """
    return {name: value for name, value in headers.items() if not SECRET_HEADER.search(name)}


def _differences(call: RecordedRequest, expected: CallFilter) -> Iterator[str]:
    """Yield what a call has in another way than expected."""
    for name in ("endpoint", "api"):
        if name in expected and getattr(call, name) != expected[name]:
            yield f"{name} is {getattr(call, name)!r}"
    if "text" in expected and not any(expected["text"] in text for text in call.texts):
        yield f"no text has {expected['text']!r}"
    if "tools" in expected:
        wanted = {tool_name(tool) for tool in expected["tools"]}
        if not wanted <= set(call.tools) or (not wanted and call.tools):
            yield f"tools are {call.tools}"
    for name, value in expected.get("fields", {}).items():
        body = call.json if isinstance(call.json, dict) else {}
        if name not in body:
            yield f"there is no field {name}"
        elif not _has(body[name], value):
            yield f"{name} is {body[name]!r}"


def _has(value: Any, wanted: Any) -> bool:
    """Return whether a value is the wanted one; of an object, the wanted keys are compared."""
    if isinstance(wanted, dict) and isinstance(value, dict):
        return all(name in value and _has(value[name], inner) for name, inner in wanted.items())
    return bool(value == wanted)


def _shown(calls: list[RecordedRequest], differences: list[list[str]]) -> str:
    """Return the last calls as lines, each with what is not as expected."""
    if not calls:
        return " No call has come in."
    lines = []
    for number, (call, differs) in enumerate(zip(calls, differences, strict=True), 1):
        lines.append("\n     ".join([f"  {number}. {call!r}", *differs]))
    more = f", of which the last {SHOWN} are shown" if len(calls) > SHOWN else ""
    return f" These calls came in{more}:\n" + "\n".join(lines[-SHOWN:])


def _texts_in(value: Any) -> Iterator[str]:
    """Yield the texts of a message or of a part of it."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for part in value:
            yield from _texts_in(part)
    elif isinstance(value, dict):
        for name in ("text", "content", "output"):
            yield from _texts_in(value.get(name))
