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

from langchain_dbchat.dialects.parts import Call, Other, Part, Reasoning, Refusal, Text
from langchain_dbchat.dialects.reasoning import CALL_EXTRAS
from langchain_dbchat.dialects.tools import parse_arguments

if TYPE_CHECKING:
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
    id: str | None = None
    name: str = ""
    arguments: list[str] = field(default_factory=list)
    held: str = ""
    extras: Block = field(default_factory=dict)


class Answer:
    """One choice of an answer.

    Args:
        whole: Whether parts come from a whole message, where a reasoning part's end is real, or from deltas.
        blocks: Whether content that came as a list stays one even if it is plain text.
    """

    __slots__ = ("_blocks", "_by_index", "_calls", "_refusal", "_segments", "_whole")

    def __init__(self, *, whole: bool = False, blocks: bool = False) -> None:
        self._whole = whole
        self._blocks = blocks
        self._segments: list[_Segment] = []
        self._calls: list[_CallState] = []
        self._by_index: dict[int, _CallState] = {}
        self._refusal: list[str] = []

    @property
    def is_empty(self) -> bool:
        """Whether nothing has been said yet."""
        return not (self._segments or self._calls or self._refusal)

    def add(self, part: Part) -> Delta | None:
        """Add a part.

        Args:
            part: What the server said next.

        Returns:
            What it adds to the message, or None if that is nothing.
        """
        if type(part) is Text:
            return self._add_text(part)
        if type(part) is Reasoning:
            return self._add_reasoning(part)
        if type(part) is Call:
            return self._add_call(part)
        if type(part) is Refusal:
            self._refusal.append(part.text)
            return Delta(self.empty_content(), additional={"refusal": part.text})
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
        if last is None or last.kind != "text" or (self._whole and (last.extras or part.extras)):
            last = self._open("text", "lc_txt_")
        last.texts.append(part.text)
        if not self._blocks:
            return Delta(part.text)
        block: Block = {"type": "text", "text": part.text, "index": last.index}
        if part.extras:
            last.extras.update(_merged(last.extras, part.extras))
            block.update(part.extras)
        return Delta([block])

    def _add_reasoning(self, part: Reasoning) -> Delta | None:
        if not (part.text or part.signature or part.data) and not self._whole:
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
            state.id = chunk["id"] = f"{part.id}-{state.index}" if part.id in taken else part.id
        if part.name and part.name != state.name:
            state.name += part.name
            chunk["name"] = part.name
        chunk["args"] = self._arguments(state, part.arguments)
        additional = None
        if part.extras:
            state.extras.update(part.extras)
            if state.id is not None:
                additional = {CALL_EXTRAS: {state.id: part.extras}}
        if chunk["args"] or chunk["id"] or chunk["name"] or additional:
            return Delta(self.empty_content(), call=chunk, additional=additional)
        return None

    def _state_of(self, part: Call) -> _CallState:
        """Find the call that a fragment belongs to: by its index, else by its id, else the last one."""
        key = part.index
        state = self._by_index.get(key) if key is not None else None
        if key is None:
            state = next((call for call in self._calls if part.id and call.id == part.id), None)
            if state is None and not part.id and not (self._whole and part.name):
                state = self._calls[-1] if self._calls else None
        elif state is not None and part.name and part.id and part.id != state.id:
            state = None
        if state is None:
            state = _CallState(len(self._calls))
            self._calls.append(state)
        if key is not None:
            self._by_index[key] = state
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
        return text

    def finish(self) -> list[Delta]:
        """End a stream: give what was held back, name calls without an id, spoil arguments that were cut off.

        langchain-core completes streamed arguments as far as it can, so that cut-off arguments would become a valid
        call; a closing bracket that matches nothing makes it file the call under ``invalid_tool_calls``.

        Returns:
            The last deltas, if any.
        """
        deltas = []
        for state in self._calls:
            tail = state.held
            name = None
            if state.held:
                state.arguments.append(state.held)
                state.held = ""
            arguments = "".join(state.arguments)
            if parse_arguments(arguments)[1] is not None:
                tail += _spoiler(arguments)
            call_id = None
            if state.id is None:
                state.id = call_id = _new_id()
            if tail or call_id:
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

    def calls(self) -> tuple[list[ToolCall], list[InvalidToolCall]]:
        """Return the whole tool calls, those whose arguments are a JSON object and the others."""
        valid: list[ToolCall] = []
        invalid: list[InvalidToolCall] = []
        for state in self._calls:
            if state.id is None:
                state.id = _new_id()
            text = "".join(state.arguments)
            arguments, error = parse_arguments(text)
            if error is None:
                valid.append(tool_call(name=state.name, args=arguments, id=state.id))
            else:
                invalid.append(invalid_tool_call(name=state.name, args=text, id=state.id, error=error))
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
