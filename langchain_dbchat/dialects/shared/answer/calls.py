"""Assemble the tool calls of one answer from fragments.

Rule 1. Streamed arguments are passed on immediately, because langchain-core parses the text of all fragments as one
    JSON object. Text that does not begin with a brace is not that object (``null``, an object encoded twice, a Markdown
    fence). It is buffered until the call is complete, and then passed on as the object that `parse_arguments` reads.
Rule 2. Arguments that are not an object, and arguments that a limit cut off, become ``invalid_tool_calls`` and are
    never executed. langchain-core completes partial JSON, so cut-off arguments would become a valid call: in a stream
    they get an end (`invalid_end`) with which it treats the call as invalid, and which is not sent back.
Rule 3. An empty object before the real arguments (seen on Claude) is ignored.
Rule 4. Each call has a unique id within the answer, and a name: the caller's name of the tool, even if another name was
    sent.
Rule 5. A strict tool is sent with a closed schema, so a model may write nulls that the caller's schema does not allow.
    The arguments of such a call are buffered until the call is complete, and passed on without those nulls.
Rule 6. langchain-core compares each fragment with all calls before it. So an answer's first calls come in fragments;
    further ones, which no model writes at once, come together at its end, without an index: those it only appends.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from langchain_core.messages.tool import tool_call

from langchain_dbchat.dialects.shared.answer.bounds import LONGEST_NAME, MOST_CALLS, MOST_FIELDS, too_many
from langchain_dbchat.dialects.shared.answer.parts import EMPTY, new_call_id
from langchain_dbchat.dialects.shared.blocks.argument_fragments import ArgumentFragments
from langchain_dbchat.dialects.shared.blocks.call_arguments import (
    CUT_BEFORE,
    UNNAMED,
    Brackets,
    invalid_end,
    parse_arguments,
)
from langchain_dbchat.dialects.shared.blocks.storable import LARGE_INTEGERS, extras_of_server, storable
from langchain_dbchat.dialects.shared.request.names import is_whole

if TYPE_CHECKING:
    from langchain_core.messages import InvalidToolCall, ToolCall

    from langchain_dbchat.dialects.shared.answer.parts import ToolCallPart
    from langchain_dbchat.dialects.shared.request.sent import SentTools

__all__ = ["Calls"]

Chunk = dict[str, Any]

_JSON_SPACE = " \t\n\r"
_ENDS = {"{": "}", '"': '"', "`": "```"}
"""How arguments end, by their first character, if they are an object, one in a string, or one in a Markdown fence."""
_IN_FRAGMENTS = 128
"""How many calls of an answer are passed on in fragments."""
_TRIES = 16
"""How often the arguments of one call are parsed to find out whether they are complete."""


class _Ending:
    """Where the arguments of a call may end; each fragment is read once, because some servers ask at each fragment."""

    __slots__ = ("_brackets", "_first", "_last", "_read", "_tries")

    def __init__(self) -> None:
        self._brackets = Brackets()
        self._first = self._last = ""  # the first character, and the last ones
        self._read = 0  # fragments
        self._tries = _TRIES

    def may_be_here(self, fragments: list[str]) -> bool:
        """Return whether the fragments so far may be a complete object; that is asked some times for a call only."""
        text = "".join(fragments[self._read :])
        self._read = len(fragments)
        self._brackets.read(text)
        self._first = self._first or text.lstrip()[:1]
        self._last = (self._last + text).rstrip()[-3:]
        if not self._first or not self._last.endswith(_ENDS.get(self._first, "")):
            return False
        if self._brackets.opened or self._brackets.in_string or not self._tries:
            return False
        self._tries -= 1
        return True


@dataclass(slots=True)
class _CallState:
    """The state of one tool call."""

    index: int
    sent_id: str | None = None
    id: str | None = None
    name: str = ""
    is_named: bool = False
    """Whether the caller's name was passed on, if names were changed."""
    arguments: list[str] = field(default_factory=list)
    empty: str = ""
    """An empty object before the first arguments, which later arguments replace."""
    streams: bool | None = None
    """Whether fragments are passed on immediately; None until the first one."""
    extras: dict[str, Any] = field(default_factory=dict)
    fragments: ArgumentFragments = field(default_factory=ArgumentFragments)

    ending: _Ending | None = None
    """Set if somebody has asked whether the arguments are complete."""

    def text(self) -> str:
        return "".join(self.arguments) + self.fragments.held or self.empty

    def late_extras(self) -> dict[str, Any]:
        """Add to the extra fields what is known when the arguments have been read, and return it."""
        late = {LARGE_INTEGERS: list(self.fragments.large_integers)} if self.fragments.large_integers else {}
        self.extras.update(late)
        return late

    def is_other_than(self, part: ToolCallPart) -> bool:
        """Return whether a fragment with a name begins another call, although it has the same index or none."""
        if not part.name:
            return False
        if part.id and self.sent_id:
            return part.id != self.sent_id
        if not (self.arguments or self.empty):
            return False
        return part.name != self.name or self.is_complete()

    def is_complete(self) -> bool:
        """Return whether the arguments are a complete object; they are parsed only where one may end."""
        if self.ending is None:
            self.ending = _Ending()
        return self.ending.may_be_here(self.arguments) and parse_arguments(self.text())[1] is None


class Calls:
    """The tool calls of one answer.

    Args:
        whole: Whether the parts are whole calls or fragments.
        sent: The changes of the request's tools, which are reverted.
    """

    __slots__ = ("_by_index", "_by_sent_id", "_closed", "_ids", "_names", "_states", "_whole")

    def __init__(self, *, whole: bool, sent: SentTools) -> None:
        self._whole = whole
        self._names = sent.names
        self._closed = sent.closed
        self._states: list[_CallState] = []
        self._by_index: dict[int, _CallState] = {}
        self._by_sent_id: dict[str, _CallState] = {}
        self._ids: set[str] = set()

    def add(self, part: ToolCallPart) -> tuple[Chunk, dict[str, Any] | None]:
        """Add a call or a fragment of one.

        Args:
            part: The call or the fragment.

        Returns:
            The change as a ``tool_call_chunk``, which may be empty, and the call's extra fields by its id.

        Raises:
            MalformedResponseError: If the answer has too many calls, or the call too many extra fields.
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
            if len(state.name) > LONGEST_NAME:
                raise too_many("characters in the name of a called tool", LONGEST_NAME)
            name = part.name
        if self._names:
            name = self._whole_name(state, ended=bool(part.arguments))
        new = {key: value for key, value in extras_of_server(part.extras).items() if key not in state.extras}
        state.extras.update(new)
        if new and len(state.extras) > MOST_FIELDS:
            raise too_many("unknown fields in one tool call", MOST_FIELDS)
        text = self._add_arguments(state, part.arguments)
        if self._is_late(state):
            return _chunk(state, None, "", None), None
        unsent = state.extras if call_id else new
        extras = {state.id: dict(unsent)} if unsent and state.id is not None else None
        return _chunk(state, name, text, call_id), extras

    def _is_late(self, state: _CallState) -> bool:
        """Return whether a call is passed on as a whole, at the end of the stream."""
        return state.index >= _IN_FRAGMENTS

    def _name_of(self, state: _CallState) -> str:
        """Return the caller's name of the called tool."""
        return self._names.get(state.name, state.name) or UNNAMED

    def _whole_name(self, state: _CallState, *, ended: bool) -> str | None:
        """Return the caller's name once, as soon as the streamed name, which may come in pieces, is complete."""
        if state.is_named or not state.name or not (ended or is_whole(state.name, self._names)):
            return None
        state.is_named = True
        return self._name_of(state)

    def _state_of(self, part: ToolCallPart) -> _CallState:
        """Return the call of a fragment: by its index, else by its id, else the last one."""
        state = None
        last = self._states[-1] if self._states else None
        if self._whole:
            pass  # in a whole answer each part is another call, even if ids are equal
        elif part.index is not None:
            state = self._by_index.get(part.index, None if part.id or part.name else last)
        elif part.id:
            state = self._by_sent_id.get(part.id)
        else:
            state = last
        if state is None or state.is_other_than(part):
            if len(self._states) >= MOST_CALLS:
                raise too_many("tool calls", MOST_CALLS)
            state = _CallState(len(self._states))
            state.streams = False if self._is_late(state) else None
            self._states.append(state)
        if part.index is not None:
            self._by_index[part.index] = state
        return state

    def _add_arguments(self, state: _CallState, text: str) -> str:
        """Add a fragment of arguments, and return the text that is passed on now."""
        if not text:
            return ""
        if not self._whole and text == EMPTY and not state.arguments and not state.empty:
            state.empty = text
            return ""
        state.empty = ""
        text = state.fragments.add(text)
        state.arguments.append(text)
        if state.streams is None:
            start = text.lstrip(_JSON_SPACE)
            if start:
                state.streams = start.startswith("{") and not (self._closed and self._name_of(state) in self._closed)
                return "".join(state.arguments) if state.streams else ""
        return text if state.streams else ""

    def finish(self, *, cut: bool) -> list[tuple[Chunk, dict[str, Any] | None]]:
        """End a stream: return buffered arguments, set missing ids, and make invalid arguments unparsable.

        Args:
            cut: Whether a limit ended the answer.

        Returns:
            The last chunks of the calls that came in fragments, each with the call's extra fields by its id.
        """
        chunks: list[tuple[Chunk, dict[str, Any] | None]] = []
        for state in self._states[:_IN_FRAGMENTS]:
            call_id = name = None
            if state.id is None:
                state.id = call_id = new_call_id()
            if not state.name:
                state.name = name = UNNAMED
            elif self._names:
                name = self._whole_name(state, ended=True)
            rest = self._rest(state, cut=cut)
            late = state.late_extras()
            extras = state.extras if call_id else late
            if rest or call_id or name or extras:
                chunks.append((_chunk(state, name, rest, call_id), {state.id: extras} if extras else None))
        return chunks

    def late(self, *, cut: bool) -> tuple[list[Chunk], dict[str, Any]]:
        """End a stream: return the calls that did not come in fragments.

        Args:
            cut: Whether a limit ended the answer.

        Returns:
            A chunk for each call, and the calls' extra fields by their ids.
        """
        chunks: list[Chunk] = []
        extras: dict[str, Any] = {}
        for state in self._states[_IN_FRAGMENTS:]:
            state.id = state.id or new_call_id()
            rest = self._rest(state, cut=cut)
            chunks.append({**_chunk(state, self._name_of(state), rest, state.id), "index": None})
            state.late_extras()
            if state.extras:
                extras[state.id] = state.extras
        return chunks, extras

    def whole(self, *, cut: bool) -> tuple[list[ToolCall], list[InvalidToolCall]]:
        """Return the whole tool calls: the valid ones, whose arguments are an object, and the invalid ones.

        Args:
            cut: Whether a limit ended the answer.

        Returns:
            The valid calls and the invalid ones.
        """
        valid: list[ToolCall] = []
        invalid: list[InvalidToolCall] = []
        for state in self._states:
            if state.id is None:
                state.id = new_call_id()
            name = self._name_of(state)
            arguments, error = self._read(state, cut=cut)
            state.late_extras()
            if error is None:
                valid.append(tool_call(name=name, args=arguments, id=state.id))
            else:
                text = "".join(state.arguments) + state.fragments.held
                # In the order in which LangChain's constructors write it.
                invalid.append(
                    {"type": "invalid_tool_call", "id": state.id, "name": name, "args": text, "error": error}
                )
        return valid, invalid

    def _read(self, state: _CallState, *, cut: bool) -> tuple[dict[str, Any], str | None]:
        """Return a call's arguments, or an error; missing arguments are an error if a limit ended the answer."""
        arguments, error = parse_arguments(state.text())
        if not state.streams:  # text within text, which `ArgumentFragments` does not look into
            arguments = storable(arguments, state.fragments.large_integers)
        if error is None and not arguments and cut:
            error = CUT_BEFORE
        parameters = self._closed.get(self._name_of(state)) if self._closed and error is None else None
        if parameters is None:
            return arguments, error
        from langchain_dbchat.dialects.shared.schemas import drop_nulls  # noqa: PLC0415  # loaded since the request

        return drop_nulls(arguments, parameters), error

    def _rest(self, state: _CallState, *, cut: bool) -> str:
        """Return the text of a call's arguments that was not passed on yet."""
        text = state.text()
        arguments, error = self._read(state, cut=cut)
        if error is not None:
            return (state.fragments.held if state.streams else text) + invalid_end(text)
        return "" if state.streams or not text.strip() else json.dumps(arguments, ensure_ascii=False)

    def extras(self) -> dict[str | None, dict[str, Any]]:
        """Return the extra fields of the calls by id; call it after `whole`, which sets missing ids."""
        return {state.id: state.extras for state in self._states if state.extras}


def _chunk(state: _CallState, name: str | None, arguments: str, call_id: str | None) -> Chunk:
    return {"type": "tool_call_chunk", "name": name, "args": arguments, "id": call_id, "index": state.index}
