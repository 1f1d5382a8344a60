"""One answer as it grows: content blocks and tool calls, put together from parts.

The state of a stream lives here, in an object born for that stream. Each part that is added gives the delta that a
streamed chunk carries, and the sum of all parts is the whole message; the two are one set of rules, so a streamed
answer and a whole one cannot disagree.

Shapes: content is a plain string unless the answer holds more than text. Streamed blocks carry string indices
(``lc_txt_0``, ``lc_rs_0``) and tool calls integer ones, because langchain-core merges blocks by index and would
otherwise merge a text block 0 with a tool call 0 under ``output_version="v1"``.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from langchain_core.messages.tool import invalid_tool_call, tool_call
from langchain_core.utils.json import parse_partial_json
from pydantic_core import to_json

from langchain_dbchat.dialects.names import is_whole
from langchain_dbchat.dialects.parts import Call, Other, Part, Reasoning, Refusal, Text
from langchain_dbchat.dialects.reasoning import CALL_EXTRAS
from langchain_dbchat.dialects.schemas import drop_nulls
from langchain_dbchat.dialects.tools import UNNAMED, parse_arguments

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.messages import InvalidToolCall, ToolCall

Block = dict[str, Any]


@dataclass(slots=True)
class Delta:
    """What one part adds to the message, in the shape of an ``AIMessageChunk``'s fields."""

    content: str | list[Block] = ""
    call: Block | None = None
    additional: dict[str, Any] | None = None


@dataclass(slots=True)
class _Segment:
    """A stretch of content of one kind."""

    kind: str
    index: str
    texts: list[str] = field(default_factory=list)
    extras: Block = field(default_factory=dict)
    entries: list[_Entry] = field(default_factory=list)
    settled: bool = False

    def settle(self) -> list[Block]:
        """Say what a text carried besides its words: once, when it has ended.

        langchain-core would join two signatures to one, and its v3 events keep the last citation they hear of.
        """
        if self.kind != "text" or self.settled or not self.extras:
            return []
        self.settled = True
        return [{"type": "text", "text": "", "index": self.index, **self.extras}]


@dataclass(slots=True)
class _Entry:
    """One entry of a reasoning block."""

    texts: list[str] = field(default_factory=list)
    signature: str | None = None
    data: str | None = None

    def whole(self) -> Block:
        if self.data is not None:
            return {"type": "summary_encrypted_text", "data": self.data}
        entry: Block = {"type": "summary_text", "text": "".join(self.texts)}
        return entry if self.signature is None else {**entry, "signature": self.signature}


@dataclass(slots=True)
class _CallState:
    """A tool call in the making."""

    index: int
    sent_id: str | None = None
    id: str | None = None
    name: str = ""
    named: bool = False
    arguments: list[str] = field(default_factory=list)
    held: str = ""
    withheld: bool = False
    extras: Block = field(default_factory=dict)

    def is_other_than(self, part: Call) -> bool:
        """Tell whether a fragment that names a tool is another call, in spite of its index or the lack of one."""
        if not part.name:
            return False
        if part.id and self.sent_id:
            return part.id != self.sent_id
        if not (self.arguments or self.held):
            return False
        return part.name != self.name or (bool(self.arguments) and parse_arguments("".join(self.arguments))[1] is None)


class Answer:
    """One choice of an answer.

    Args:
        whole: Whether parts come from a whole message, where a reasoning part's end is real, or from deltas.
        blocks: Whether content that came as a list stays one even if it is plain text.
        closed: The parameters of strict tools, by name, of whose calls the nulls are dropped that the parameters do not
            allow. The arguments of such a call are held back until they are whole.
        names: The caller's name of each tool that was sent, if any differs.
    """

    __slots__ = ("_blocks", "_by_index", "_calls", "_closed", "_names", "_refusal", "_segments", "_whole")

    def __init__(
        self,
        *,
        whole: bool = False,
        blocks: bool = False,
        closed: Mapping[str, Any] | None = None,
        names: Mapping[str, str] | None = None,
    ) -> None:
        self._whole = whole
        self._closed = closed or {}
        self._names = names or {}
        self._blocks = blocks
        self._segments: list[_Segment] = []
        self._calls: list[_CallState] = []
        self._by_index: dict[int, _CallState] = {}
        self._refusal: list[str] = []

    def add(self, part: Part) -> Delta | None:
        """Add a part.

        Args:
            part: What the server said next.

        Returns:
            What it adds to the message, or None if that is nothing.
        """
        last = self._segments[-1] if self._segments else None
        delta = self._take(part)
        if delta is not None and last is not None and (last is not self._segments[-1] or delta.call is not None):
            tail = last.settle()
            if tail and not isinstance(delta.content, str):
                delta.content = [*tail, *delta.content]
        return delta

    def _take(self, part: Part) -> Delta | None:
        if type(part) is Text:
            return self._add_text(part)
        if type(part) is Reasoning:
            return self._add_reasoning(part)
        if type(part) is Call:
            return self._add_call(part)
        if type(part) is Refusal:
            self._refusal.append(part.text)  # told at the end: v3 events keep the last piece of one that comes in many
            return None
        if type(part) is Other:
            self._blocks = True
            segment = self._open(str(part.block.get("type")), "lc_blk_")
            segment.extras = part.block
            return Delta([{**part.block, "index": segment.index}])
        return None

    def empty_content(self) -> str | list[Block]:
        """Return empty content of this answer's kind: a string after a list, or the reverse, makes a stray block."""
        return [] if self._blocks else ""

    def _open(self, kind: str, prefix: str) -> _Segment:
        segment = _Segment(kind, f"{prefix}{len(self._segments)}")
        self._segments.append(segment)
        return segment

    def _add_text(self, part: Text) -> Delta | None:
        if part.extras:
            self._blocks = True
        elif not part.text:
            return None
        last = self._segments[-1] if self._segments else None
        if last is None or last.kind != "text" or self._ends_text(last, part):
            last = self._open("text", "lc_txt_")
        last.texts.append(part.text)
        if part.extras:
            last.extras.update(_merged(last.extras, part.extras))
        if not self._blocks:
            return Delta(part.text)
        return Delta([{"type": "text", "text": part.text, "index": last.index}])

    def _ends_text(self, last: _Segment, part: Text) -> bool:
        """Tell whether a text is another one than the last: a whole answer says so, in deltas a second signature."""
        if self._whole or not part.extras:
            return self._whole and bool(last.extras or part.extras)
        return last.settled or any(
            not isinstance(value, list) and last.extras.get(key, value) != value for key, value in part.extras.items()
        )

    def _add_reasoning(self, part: Reasoning) -> Delta | None:
        if not (part.text or part.signature or part.data):
            return None
        self._blocks = True
        last = self._segments[-1] if self._segments else None
        entry = last.entries[-1] if last is not None and last.entries else None
        closed = entry is None or entry.signature is not None or entry.data is not None
        if last is None or last.kind != "reasoning" or (part.opens and (closed or self._whole)):
            last = self._open("reasoning", "lc_rs_")
            entry = None
        if entry is None or not part.opens or closed:
            entry = _Entry()
            last.entries.append(entry)
        said: Block = {"index": len(last.entries) - 1}
        if part.data is not None:
            entry.data = part.data
            said = {"type": "summary_encrypted_text", "data": part.data, **said}
        else:
            entry.texts.append(part.text)
            said = {"type": "summary_text", "text": part.text, **said}
            if part.signature is not None:
                entry.signature = said["signature"] = part.signature
        return Delta([{"type": "reasoning", "summary": [said], "index": last.index}])

    def _add_call(self, part: Call) -> Delta | None:
        state = self._state_of(part)
        chunk: Block = {"type": "tool_call_chunk", "name": None, "args": "", "id": None, "index": state.index}
        if part.id and state.id is None:
            taken = {call.id for call in self._calls}
            state.sent_id = part.id
            state.id = chunk["id"] = f"{part.id}-{state.index}" if part.id in taken else part.id
        if part.name and part.name != state.name:
            state.name += part.name
            chunk["name"] = part.name
        if self._names:
            chunk["name"] = self._whole_name(state, ended=bool(part.arguments))
        chunk["args"] = self._arguments(state, part.arguments)
        news = {key: value for key, value in (part.extras or {}).items() if key not in state.extras}
        state.extras.update(news)
        untold = state.extras if chunk["id"] else news
        additional = {CALL_EXTRAS: {state.id: dict(untold)}} if untold and state.id is not None else None
        if chunk["args"] or chunk["id"] or chunk["name"] or additional:
            return Delta(self.empty_content(), call=chunk, additional=additional)
        return None

    def _name_of(self, state: _CallState) -> str:
        """Return the caller's name of the tool that a call names."""
        return self._names.get(state.name, state.name) or UNNAMED

    def _whole_name(self, state: _CallState, *, ended: bool) -> str | None:
        """Give the caller's name once, as soon as the sent name cannot grow: the sent one may come in pieces."""
        if state.named or not state.name or not (ended or is_whole(state.name, self._names)):
            return None
        state.named = True
        return self._name_of(state)

    def _state_of(self, part: Call) -> _CallState:
        """Find the call that a fragment belongs to: by its index, else by its id, else the last one."""
        state = None
        last = self._calls[-1] if self._calls else None
        if self._whole:
            pass  # every call of a whole answer is its own, whatever its id
        elif part.index is not None:
            state = self._by_index.get(part.index, None if part.id or part.name else last)
        elif part.id:
            state = next((call for call in self._calls if call.sent_id == part.id), None)
        else:
            state = last
        if state is None or state.is_other_than(part):
            state = _CallState(len(self._calls))
            self._calls.append(state)
        if part.index is not None:
            self._by_index[part.index] = state
        return state

    def _arguments(self, state: _CallState, text: str) -> str:
        """Take a fragment of arguments; an empty object before the real ones (seen on Claude) is held back."""
        if not self._whole:
            if text == "{}" and not state.arguments and not state.held:
                state.held = text
                return ""
            if text:
                state.held = ""
        if text:
            state.arguments.append(text)
        state.withheld |= bool(self._closed) and self._name_of(state) in self._closed
        return "" if state.withheld else text

    def finish(self, *, cut: bool = False) -> list[Delta]:
        """End a stream: give what was held back, name calls without an id, spoil arguments that were cut off.

        langchain-core completes streamed arguments as far as it can, so that cut-off arguments would become a valid
        call; a closing bracket that matches nothing makes it file the call under ``invalid_tool_calls``.

        Args:
            cut: Whether a limit ended the answer.

        Returns:
            The last deltas, if any.
        """
        deltas = [Delta(tail) for tail in [self._segments[-1].settle()] if tail] if self._segments else []
        if self._refusal:
            deltas.append(Delta(self.empty_content(), additional={"refusal": "".join(self._refusal)}))
        for state in self._calls:
            tail = state.held
            if state.held:
                state.arguments.append(state.held)
                state.held = ""
            arguments, error = self._read_arguments(state, cut=cut)
            if state.withheld:
                tail = "".join(state.arguments)
                if error is None and arguments != parse_arguments(tail)[0]:
                    tail = to_json(arguments).decode()
            if error is not None:
                tail += _spoiler("".join(state.arguments))
            call_id = name = None
            if state.id is None:
                state.id = call_id = _new_id()
            if not state.name:
                state.name = name = UNNAMED
            elif self._names:
                name = self._whole_name(state, ended=True)
            if tail or call_id or name:
                chunk: Block = {
                    "type": "tool_call_chunk",
                    "name": name,
                    "args": tail,
                    "id": call_id,
                    "index": state.index,
                }
                extras = {CALL_EXTRAS: {call_id: state.extras}} if call_id and state.extras else None
                deltas.append(Delta(self.empty_content(), call=chunk, additional=extras))
        return deltas

    def _read_arguments(self, state: _CallState, *, cut: bool) -> tuple[Block, str | None]:
        """Read a call's arguments; none at all are an error where a limit may have come before them."""
        arguments, error = parse_arguments("".join(state.arguments) or state.held)
        if error is None and not arguments and cut:
            error = "The answer was cut off before the arguments."
        if error is None and state.withheld:
            arguments = drop_nulls(arguments, self._closed[self._name_of(state)])
        return arguments, error

    def content(self) -> str | list[Block]:
        """Return the whole content."""
        if not self._blocks:
            return "".join(text for segment in self._segments for text in segment.texts)
        blocks: list[Block] = []
        for segment in self._segments:
            if segment.kind == "text":
                blocks.append({"type": "text", "text": "".join(segment.texts), **segment.extras})
            elif segment.kind == "reasoning":
                blocks.append({"type": "reasoning", "summary": [entry.whole() for entry in segment.entries]})
            else:
                blocks.append(dict(segment.extras))
        return blocks

    def calls(self, *, cut: bool = False) -> tuple[list[ToolCall], list[InvalidToolCall]]:
        """Return the whole tool calls, those whose arguments are a JSON object and the others.

        Args:
            cut: Whether a limit ended the answer.

        Returns:
            The valid calls and the invalid ones.
        """
        valid: list[ToolCall] = []
        invalid: list[InvalidToolCall] = []
        for state in self._calls:
            if state.id is None:
                state.id = _new_id()
            arguments, error = self._read_arguments(state, cut=cut)
            if error is None:
                valid.append(tool_call(name=self._name_of(state), args=arguments, id=state.id))
            else:
                text = "".join(state.arguments)
                invalid.append(invalid_tool_call(name=self._name_of(state), args=text, id=state.id, error=error))
        return valid, invalid

    def additional(self) -> dict[str, Any]:
        """Return what goes into ``additional_kwargs``; call it after `calls`, which gives every call its id."""
        additional: dict[str, Any] = {}
        extras = {state.id: state.extras for state in self._calls if state.extras}
        if extras:
            additional[CALL_EXTRAS] = extras
        if self._refusal:
            additional["refusal"] = "".join(self._refusal)
        return additional


def _merged(left: Block, right: Block) -> Block:
    """Merge extras of one text: lists (citations) grow, anything else is replaced."""
    return {
        key: [*left[key], *value] if isinstance(value, list) and isinstance(left.get(key), list) else value
        for key, value in right.items()
    }


def _spoiler(arguments: str) -> str:
    """Find what, appended, makes langchain-core's lenient parser refuse arguments instead of completing them."""
    return next((tail for tail in ("]", "}", '"]', '"}', '""]', '""}') if not _completes(arguments + tail)), "")


def _completes(arguments: str) -> bool:
    """Tell whether langchain-core would make a valid call of these arguments."""
    try:
        return isinstance(parse_partial_json(arguments), dict)
    except ValueError:
        return False


def _new_id() -> str:
    return f"call_{uuid.uuid4().hex}"
