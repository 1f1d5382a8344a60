"""The tool calls of one answer, put together from fragments.

Rule 1. Streamed arguments are given as they come, because langchain-core parses the text of all fragments as one JSON
    object. Text that does not begin with a brace is not the object itself (``null``, an object encoded twice, a
    Markdown fence): it is held back until the call is whole, and then given as the object that it stands for
    (what stands for an object is told in `parse_arguments`).
Rule 2. Arguments that stand for no object, and arguments that a limit cut off, end in ``invalid_tool_calls`` and are
    never executed. langchain-core completes streamed arguments as far as it can, so that cut-off ones would become a
    valid call; a closing bracket that matches nothing makes it file the call as invalid.
Rule 3. An empty object before the real arguments (seen on Claude) is not the arguments.
Rule 4. Each call has an id that no other call of the answer has, and a name: the caller's own, where another one had to
    be sent.
Rule 5. A strict tool's schema is closed when it is sent, so a model may write nulls that the caller's schema does not
    allow. The arguments of such a call are held back until the call is whole, and given without those nulls.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from langchain_core.messages.tool import invalid_tool_call, tool_call
from langchain_core.utils.json import parse_partial_json

from langchain_dbchat.dialects.shared.names import is_whole
from langchain_dbchat.dialects.shared.tools import UNNAMED, parse_arguments

if TYPE_CHECKING:
    from langchain_core.messages import InvalidToolCall, ToolCall

    from langchain_dbchat.dialects.shared.parts import Call
    from langchain_dbchat.dialects.shared.sent import SentTools

__all__ = ["Calls"]

Chunk = dict[str, Any]

_JSON_SPACE = " \t\n\r"


@dataclass(slots=True)
class _State:
    """A tool call in the making."""

    index: int
    sent_id: str | None = None
    id: str | None = None
    name: str = ""
    named: bool = False
    """Whether the caller's name was given, where it is not the one that was sent."""
    arguments: list[str] = field(default_factory=list)
    empty: str = ""
    """An empty object that came first and may have to give way."""
    given: bool | None = None
    """Whether fragments are given as they come; None until the first one tells."""
    extras: dict[str, Any] = field(default_factory=dict)

    def text(self) -> str:
        return "".join(self.arguments) or self.empty

    def is_other_than(self, part: Call) -> bool:
        """Tell whether a fragment that names a tool is another call, in spite of its index or the lack of one."""
        if not part.name:
            return False
        if part.id and self.sent_id:
            return part.id != self.sent_id
        if not (self.arguments or self.empty):
            return False
        return part.name != self.name or self.is_complete()

    def is_complete(self) -> bool:
        """Tell whether the arguments stand for an object; what does not end with a brace is not parsed for it."""
        last = next((text for text in map(str.rstrip, reversed(self.arguments)) if text), "")
        return bool(last) and (not self.given or last.endswith("}")) and parse_arguments(self.text())[1] is None


class Calls:
    """The tool calls of one answer.

    Args:
        whole: Whether parts are whole calls, each its own, or fragments.
        sent: What the request changed in its tools, which is undone.
    """

    __slots__ = ("_by_index", "_by_sent_id", "_closed", "_ids", "_names", "_states", "_whole")

    def __init__(self, *, whole: bool, sent: SentTools) -> None:
        self._whole = whole
        self._names = sent.names
        self._closed = sent.closed
        self._states: list[_State] = []
        self._by_index: dict[int, _State] = {}
        self._by_sent_id: dict[str, _State] = {}
        self._ids: set[str] = set()

    def add(self, part: Call) -> tuple[Chunk, dict[str, Any] | None]:
        """Add a call or a fragment of one.

        Args:
            part: What the server said.

        Returns:
            What it adds, as a ``tool_call_chunk`` that may say nothing, and what the call carried besides its function,
            by call id.
        """
        state = self._state_of(part)
        call_id = name = None
        if part.id and state.id is None:
            state.sent_id = call_id = part.id
            self._by_sent_id.setdefault(part.id, state)
            while call_id in self._ids:
                call_id = f"{call_id}-{state.index}"
            state.id = call_id
            self._ids.add(call_id)
        if part.name and part.name != state.name:
            state.name += part.name
            name = part.name
        if self._names:
            name = self._whole_name(state, ended=bool(part.arguments))
        news = {key: value for key, value in (part.extras or {}).items() if key not in state.extras}
        state.extras.update(news)
        untold = state.extras if call_id else news
        extras = {state.id: dict(untold)} if untold and state.id is not None else None
        return _chunk(state, name, self._take(state, part.arguments), call_id), extras

    def _name_of(self, state: _State) -> str:
        """Return the caller's name of the tool that a call names."""
        return self._names.get(state.name, state.name) or UNNAMED

    def _whole_name(self, state: _State, *, ended: bool) -> str | None:
        """Give the caller's name once, as soon as the sent name cannot grow: the sent one may come in pieces."""
        if state.named or not state.name or not (ended or is_whole(state.name, self._names)):
            return None
        state.named = True
        return self._name_of(state)

    def _state_of(self, part: Call) -> _State:
        """Find the call that a fragment belongs to: by its index, else by its id, else the last one."""
        state = None
        last = self._states[-1] if self._states else None
        if self._whole:
            pass  # every call of a whole answer is its own, whatever its id
        elif part.index is not None:
            state = self._by_index.get(part.index, None if part.id or part.name else last)
        elif part.id:
            state = self._by_sent_id.get(part.id)
        else:
            state = last
        if state is None or state.is_other_than(part):
            state = _State(len(self._states))
            self._states.append(state)
        if part.index is not None:
            self._by_index[part.index] = state
        return state

    def _take(self, state: _State, text: str) -> str:
        """Take a fragment of arguments, and say what of them can be given now."""
        if not text:
            return ""
        if not self._whole and text == "{}" and not state.arguments and not state.empty:
            state.empty = text
            return ""
        state.empty = ""
        state.arguments.append(text)
        if state.given is None:
            start = text.lstrip(_JSON_SPACE)
            if start:
                state.given = start.startswith("{") and not (self._closed and self._name_of(state) in self._closed)
                return "".join(state.arguments) if state.given else ""
        return text if state.given else ""

    def finish(self, *, cut: bool) -> list[tuple[Chunk, dict[str, Any] | None]]:
        """End a stream: give what was held back, name calls without an id, spoil arguments that are not valid.

        Args:
            cut: Whether a limit ended the answer.

        Returns:
            The last chunks, each with what the call carried besides its function.
        """
        chunks: list[tuple[Chunk, dict[str, Any] | None]] = []
        for state in self._states:
            call_id = name = None
            if state.id is None:
                state.id = call_id = _new_id()
            if not state.name:
                state.name = name = UNNAMED
            elif self._names:
                name = self._whole_name(state, ended=True)
            tail = self._tail(state, cut=cut)
            if tail or call_id or name:
                extras = {call_id: state.extras} if call_id and state.extras else None
                chunks.append((_chunk(state, name, tail, call_id), extras))
        return chunks

    def whole(self, *, cut: bool) -> tuple[list[ToolCall], list[InvalidToolCall]]:
        """Return the whole tool calls, those whose arguments are an object and the others.

        Args:
            cut: Whether a limit ended the answer.

        Returns:
            The valid calls and the invalid ones.
        """
        valid: list[ToolCall] = []
        invalid: list[InvalidToolCall] = []
        for state in self._states:
            if state.id is None:
                state.id = _new_id()
            name = self._name_of(state)
            arguments, error = self._read(state, cut=cut)
            if error is None:
                valid.append(tool_call(name=name, args=arguments, id=state.id))
            else:
                text = "".join(state.arguments)
                invalid.append(invalid_tool_call(name=name, args=text, id=state.id, error=error))
        return valid, invalid

    def _read(self, state: _State, *, cut: bool) -> tuple[dict[str, Any], str | None]:
        """Read a call's arguments; none at all are an error where a limit may have come before them."""
        arguments, error = parse_arguments(state.text())
        if error is None and not arguments and cut:
            error = "The answer was cut off before the arguments."
        parameters = self._closed.get(self._name_of(state)) if self._closed and error is None else None
        if parameters is None:
            return arguments, error
        from langchain_dbchat.dialects.shared.schemas import drop_nulls  # noqa: PLC0415  # loaded since the request

        return drop_nulls(arguments, parameters), error

    def _tail(self, state: _State, *, cut: bool) -> str:
        """Return what is still to be given of a call's arguments."""
        text = state.text()
        arguments, error = self._read(state, cut=cut)
        if error is not None:
            return ("" if state.given else text) + _spoiler(text)
        return "" if state.given or not text.strip() else json.dumps(arguments, ensure_ascii=False)

    def extras(self) -> dict[str | None, dict[str, Any]]:
        """Return what the calls carried besides their functions; call it after `whole`, which gives each its id."""
        return {state.id: state.extras for state in self._states if state.extras}


def _chunk(state: _State, name: str | None, arguments: str, call_id: str | None) -> Chunk:
    return {"type": "tool_call_chunk", "name": name, "args": arguments, "id": call_id, "index": state.index}


def _spoiler(arguments: str) -> str:
    """Find what, appended, makes langchain-core's lenient parser refuse arguments instead of completing them."""
    return next((tail for tail in ("]", "}", '"]', '"}', '""]', '""}') if not _completes(arguments + tail)), "")


def _completes(arguments: str) -> bool:
    """Tell whether langchain-core would make a valid call of these arguments."""
    try:
        return isinstance(parse_partial_json(arguments), dict)
    except (ValueError, RecursionError):  # langchain-core files such a call as invalid, too
        return False


def _new_id() -> str:
    return f"call_{uuid.uuid4().hex}"
