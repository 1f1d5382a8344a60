"""Read the messages of a ChatAgent's answer as parts: the steps, and the last answer.

Rule 1. The answer is the last message, if the assistant says it and calls no tool. All other messages, and what tools
    returned, are steps (`shared.steps`), in their order. A message that says nothing is not a message.
Rule 2. Tool calls come whole, without an index, and results have the role ``tool`` (mlflow/types/agent.py;
    databricks-ai-bridge, ``chat-agent-fixtures.ts``).
Rule 3. Most agents stream whole messages. The first piece of a message is kept until the next event, which shows
    whether it was the whole of a message that is not the last one. A message that comes in more pieces is passed on at
    once as text of the answer, because the caller wants to see it grow; if it was not the last one, an
    ``agent_message`` without text follows it, which has its fields. This is the only difference between a streamed
    and a whole answer.
Rule 4. A message's id, the agent's name and attachments stay with the step. Those of the last answer are in
    ``response_metadata["id"]`` and in ``additional_kwargs``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from langchain_dbchat.dialects.shared.answer.beside import UnknownFields, arguments_in, text_in
from langchain_dbchat.dialects.shared.answer.fields import says_something
from langchain_dbchat.dialects.shared.answer.parts import Part, Text
from langchain_dbchat.dialects.shared.answer.steps import AgentSteps
from langchain_dbchat.dialects.shared.blocks.call_arguments import UNNAMED
from langchain_dbchat.dialects.shared.blocks.storable import storable
from langchain_dbchat.errors import MalformedResponseError

__all__ = ["AgentMessages"]

_READ = frozenset({"role", "content", "tool_calls", "tool_call_id"})
_CALL_KEYS = frozenset({"index", "id", "type", "function"})
_TEXT_TYPES = ("text", "output_text")  # no set: what an agent sends may not be hashable


class AgentMessages:
    """The messages of one answer, while they arrive."""

    __slots__ = ("_calling", "_fields", "_has_text", "_held", "_steps", "id")

    def __init__(self) -> None:
        self._steps = AgentSteps()
        self._fields: dict[str, Any] = {}  # of the last message of the assistant, unless it is a step
        self._has_text = False  # text of that message was passed on, and nothing since
        self._held: Mapping[str, Any] | None = None  # the first piece of a message, which may be a step
        self._calling: tuple[str, dict[str, Any]] = ("", {})  # text and fields of the message whose calls are open
        self.id: str | None = None
        """The id of the last message of the assistant."""

    def read_all(self, messages: list[Any]) -> Iterator[Part]:
        """Read a whole answer.

        Args:
            messages: Its messages.

        Yields:
            Their parts.

        Raises:
            MalformedResponseError: If a message has another format.
        """
        for message in [_checked(message) for message in messages]:
            yield from self._next(message, is_same=False)

    def read_delta(self, delta: Any) -> Iterator[Part]:
        """Read a message of a stream, or a piece of one.

        Args:
            delta: The message.

        Yields:
            Its parts.

        Raises:
            MalformedResponseError: If it has another format.
        """
        message = _checked(delta)
        message_id = text_in(message, "id")
        known = self.id if self._held is None else text_in(self._held, "id")
        yield from self._next(message, is_same=message_id is None or known is None or message_id == known)

    def continued_text(self, delta: Any) -> str | None:
        """Return the text of a piece that only continues the text of the answer, as most pieces do.

        Args:
            delta: The message.

        Returns:
            The text; None for any other piece, which `read_delta` reads.
        """
        if not self._has_text or self._held is not None or type(delta) is not dict:
            return None
        content, fields = delta.get("content"), self._fields
        if type(content) is not str or delta.get("id") not in (None, self.id):
            return None
        for key, value in delta.items():
            if key == "role":
                if value != "assistant":
                    return None
            elif key != "content" and value is not None and (type(value) is not str or value != fields.get(key)):
                return None
        return content or None

    def held(self) -> Iterator[Part]:
        """Read the piece that was kept, because no more events come.

        Yields:
            Its text.
        """
        held, self._held = self._held, None
        if held is not None:
            yield from self._read_text(held)

    def rest(self) -> Iterator[Part]:
        """Read what is known at the end of the answer only.

        Yields:
            The text of a last message that was kept; the calls without a result, which are the caller's to execute,
            with the text of their message; and the fields of the last message.
        """
        yield from self.held()
        text, fields = self._calling
        if text:
            yield Text(text)
        yield from self._steps.unanswered()
        fields = {key: value for key, value in (fields or self._fields).items() if key != "id"}
        if fields:
            yield UnknownFields(fields)

    def _next(self, message: Mapping[str, Any], *, is_same: bool) -> Iterator[Part]:
        """Read the next message, or the next piece of the same one."""
        is_said = _is_said(message)
        if is_said and not _says_something(message):
            if self._held is not None or self._has_text:
                return
            self.id = text_in(message, "id") or self.id
            return
        held, self._held = self._held, None
        if held is not None:
            yield from self._after_held(held, message, is_same=is_same)
        elif is_said and self._has_text and is_same:
            yield from self._read_text(message)
        elif is_said:
            yield from self._end_text()
            self._held = message
        else:
            yield from self._next_step(message, is_same=is_same)

    def _after_held(self, held: Mapping[str, Any], message: Mapping[str, Any], *, is_same: bool) -> Iterator[Part]:
        """Read what was kept as what the next message shows it to be."""
        is_said = _is_said(message)
        if is_same and is_said:
            yield from self._read_text(held)
            yield from self._read_text(message)
        elif is_same and _role(message) == "assistant":
            text = "".join(part.text for one in (held, message) for part in _text_parts(one))
            yield from self._read_step({**held, **message, "content": text})
        else:
            yield from self._read_step(held)
            if is_said:
                self._held = message
            else:
                yield from self._read_step(message)

    def _next_step(self, message: Mapping[str, Any], *, is_same: bool) -> Iterator[Part]:
        if not is_same:
            yield from self._end_text()
        if self._has_text and _role(message) == "assistant":
            yield from _text_parts(message)
            yield from self._read_step({**message, "content": None})
        else:
            yield from self._read_step(message)

    def _read_text(self, message: Mapping[str, Any]) -> Iterator[Part]:
        """Read a message that may be the last one."""
        self._calling = ("", {})
        parts = list(_text_parts(message))
        self.id = text_in(message, "id") or self.id
        self._fields.update(_beside(message))
        self._has_text = self._has_text or bool(parts)
        yield from parts

    def _end_text(self) -> Iterator[Part]:
        """End the text of a message that was not the last one, if one was passed on."""
        if self._has_text:
            yield self._steps.message("", {**self._fields, "id": self.id})
            self._fields, self._has_text = {}, False

    def _read_step(self, message: Mapping[str, Any]) -> Iterator[Part]:
        role, beside, calls = _role(message), _beside(message), message.get("tool_calls") or []
        if not isinstance(calls, list):
            raise MalformedResponseError(f"The tool calls of an agent are a {type(calls).__name__}, not a list.")
        if role == "tool":
            self._calling, self._has_text, self.id = ("", {}), False, None
            call_id, output = text_in(message, "tool_call_id") or "", message.get("content")
            yield self._steps.result(call_id, "" if output is None else output, extras=beside)
            return
        text = "".join(part.text for part in _text_parts(message))
        said = {**self._fields, **beside, **({} if role == "assistant" else {"role": role})}
        self._fields, self._has_text = {}, False
        if text or said.keys() - {"id", "name"}:
            yield self._steps.message(text, said)
        if calls:
            self.id, self._calling = text_in(message, "id") or self.id, (text, beside)
        for number, call in enumerate(calls):
            part = self._read_call(call, number, message)
            if part is not None:
                yield part

    def _read_call(self, call: Any, number: int, message: Mapping[str, Any]) -> Part | None:
        if not isinstance(call, Mapping):
            raise MalformedResponseError(f"A tool call of an agent is a {type(call).__name__}, not an object.")
        function = call.get("function")
        function = function if isinstance(function, Mapping) else {}
        extras = {"message_id": message.get("id"), "agent": message.get("name")}
        extras.update({key: value for key, value in call.items() if key not in _CALL_KEYS})
        call_id = text_in(call, "id") or f"{message.get('id') or 'call'}_{number}"
        return self._steps.call(call_id, text_in(function, "name") or UNNAMED, arguments_in(function), extras)


def _is_said(message: Mapping[str, Any]) -> bool:
    """Return whether a message is something that the agent says without calling a tool."""
    return _role(message) == "assistant" and not message.get("tool_calls")


def _says_something(message: Mapping[str, Any]) -> bool:
    return any(_text_parts(message)) or not _beside(message).keys() <= {"id", "name"}


def _checked(message: Any) -> Mapping[str, Any]:
    if not isinstance(message, Mapping):
        raise MalformedResponseError(f"A message of the agent is a {type(message).__name__}, not an object.")
    return message


def _role(message: Mapping[str, Any]) -> str:
    """Return the role; a piece of a stream without one continues what the assistant says."""
    return text_in(message, "role") or "assistant"


def _beside(message: Mapping[str, Any]) -> dict[str, Any]:
    return {key: storable(value) for key, value in message.items() if key not in _READ and says_something(value)}


def _text_parts(message: Mapping[str, Any]) -> Iterator[Text]:
    content = message.get("content")
    if isinstance(content, str):
        if content:
            yield Text(content)
    elif isinstance(content, list):
        for part in content:
            text = part if isinstance(part, str) else None
            if isinstance(part, Mapping) and part.get("type") in _TEXT_TYPES:
                text = text_in(part, "text")
            elif text is None:
                raise MalformedResponseError(f"The agent sent content that is not text: {part!r:.200}")
            if text:
                yield Text(text)
    elif content is not None:
        raise MalformedResponseError(f"The content of an agent's message is a {type(content).__name__}, not text.")
