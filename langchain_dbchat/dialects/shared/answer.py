"""One answer as it grows: content blocks, tool calls and what stands beside them, put together from parts.

The state of a stream lives here, in an object born for that stream. Each part that is added gives the delta that a
streamed chunk carries, and the sum of all parts is the whole message; the two are one set of rules, so a streamed
answer and a whole one cannot disagree.

Shapes: content is a plain string unless the answer holds more than text. Streamed blocks carry string indices
(``lc_txt_0``, ``lc_rs_0``) and tool calls integer ones, because langchain-core merges blocks by index and would
otherwise merge a text block 0 with a tool call 0 under ``output_version="v1"``.

A field of a message or a delta that this package does not read is kept in ``additional_kwargs`` under its own name
(``custom_outputs``, ``reasoning_details``), or with the prefix ``server_`` where LangChain or this package gives that
name a meaning of its own. It is given once, at the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

from langchain_dbchat.dialects.shared.beside import Beside, Cited, Other, Spoken
from langchain_dbchat.dialects.shared.calls import Calls
from langchain_dbchat.dialects.shared.citations import sources_of
from langchain_dbchat.dialects.shared.fields import Fields
from langchain_dbchat.dialects.shared.parts import Call, Part, Reasoning, Refusal, Text
from langchain_dbchat.dialects.shared.reasoning import CALL_EXTRAS
from langchain_dbchat.dialects.shared.sent import SentTools
from langchain_dbchat.dialects.shared.spoken import read_audio

if TYPE_CHECKING:
    from langchain_core.messages import InvalidToolCall, ToolCall

Block = dict[str, Any]

_OURS = frozenset({CALL_EXTRAS, "refusal", "tool_calls", "function_call", "parsed", "lc_source", "lc_data"})
"""Names in ``additional_kwargs`` that this package or LangChain gives a meaning of its own."""


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


class Answer:
    """One choice of an answer.

    Args:
        whole: Whether parts come from a whole message, where a reasoning part's end is real, or from deltas.
        blocks: Whether content that came as a list stays one even if it is plain text.
        sent: What the request changed in its tools, which is undone; None for nothing.
    """

    __slots__ = ("_audio", "_beside", "_blocks", "_calls", "_cited", "_concluded", "_refusal", "_segments", "_whole")

    def __init__(
        self,
        *,
        whole: bool = False,
        blocks: bool = False,
        sent: SentTools | None = None,
    ) -> None:
        self._whole = whole
        self._blocks = blocks
        self._concluded = False
        self._segments: list[_Segment] = []
        self._calls = Calls(whole=whole, sent=sent or SentTools())
        self._refusal: list[str] = []
        self._cited: dict[str, dict[bytes, Any]] = {}
        self._audio: list[Mapping[str, Any]] = []
        self._beside = Fields(fragments=True)

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
        if type(part) is Other:
            return self._add_other(part.block)
        # The rest is given at the end: v3 events keep the last piece of what comes in many.
        if type(part) is Refusal:
            self._refusal.append(part.text)
        elif type(part) is Cited:
            known = self._cited.setdefault(part.key, {})
            for citation in part.citations:  # by their text, because a search among 10,000 would be slow
                known.setdefault(to_json(citation, inf_nan_mode="constants"), citation)
        elif type(part) is Spoken:
            self._audio.append(part.audio)
        elif type(part) is Beside:
            self._beside.add(part.fields)
        return None

    def _add_other(self, block: Block) -> Delta:
        self._blocks = True
        segment = self._open(str(block.get("type")), "lc_blk_")
        segment.extras = block
        return Delta([{**block, "index": segment.index}])

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
        chunk, extras = self._calls.add(part)
        if chunk["args"] or chunk["id"] or chunk["name"] or extras:
            return self._call_delta(chunk, extras)
        return None

    def _call_delta(self, chunk: Block, extras: Block | None) -> Delta:
        return Delta(self.empty_content(), call=chunk, additional={CALL_EXTRAS: extras} if extras else None)

    def conclude(self, said: Mapping[str, Any]) -> list[Delta]:
        """End the content: give the text its citations, and the answer its audio.

        Args:
            said: What the server said beside the choices and in the choice, where sources may stand.

        Returns:
            What that adds to the message; nothing if the content has ended already.
        """
        if self._concluded:
            return []
        self._concluded = True
        deltas = []
        cited = {key: list(citations.values()) for key, citations in self._cited.items() if citations}
        self._cited = {}
        beside = self._beside.whole()
        for fields in (said, beside, beside.get("provider_specific_fields")):
            if fields and isinstance(fields, Mapping):
                known = [citation for citations in cited.values() for citation in citations]
                found = sources_of(fields, self._text(), known)
                if found:
                    cited.setdefault("citations", []).extend(found)
        if cited:
            deltas.append(self._cite(cited))
        tail = self._segments[-1].settle() if self._segments else []
        if tail:
            deltas.append(Delta(tail))
        audio, left = read_audio(self._audio)
        self._audio = []
        self._beside.add(left)
        if audio:
            deltas.append(self._add_other(audio))
        return deltas

    def _cite(self, cited: Block) -> Delta:
        """Give citations to the last text that can still take them: langchain-core keeps what a text said last."""
        self._blocks = True
        segment = next((segment for segment in reversed(self._segments) if segment.kind == "text"), None)
        if segment is None or segment.settled:
            segment = self._open("text", "lc_txt_")
        segment.extras.update(_merged(segment.extras, cited))
        segment.settled = True
        return Delta([{"type": "text", "text": "", "index": segment.index, **segment.extras}])

    def _text(self) -> str:
        return "".join(text for segment in self._segments if segment.kind == "text" for text in segment.texts)

    def finish(self, said: Mapping[str, Any], *, cut: bool = False) -> list[Delta]:
        """End a stream: give what was held back, and settle the tool calls.

        Args:
            said: What the server said beside the choices and in the choice.
            cut: Whether a limit ended the answer.

        Returns:
            The last deltas, if any.
        """
        deltas = self.conclude(said)
        beside = self._told()
        if beside:
            deltas.append(Delta(self.empty_content(), additional=beside))
        deltas.extend(self._call_delta(*end) for end in self._calls.finish(cut=cut))
        return deltas

    def _told(self) -> dict[str, Any]:
        """Return what stands beside the content, for ``additional_kwargs``."""
        beside = {f"server_{key}" if key in _OURS else key: value for key, value in self._beside.whole().items()}
        return {**({"refusal": "".join(self._refusal)} if self._refusal else {}), **beside}

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
        return self._calls.whole(cut=cut)

    def additional(self) -> dict[str, Any]:
        """Return what goes into ``additional_kwargs``; call it after `calls`, which gives every call its id."""
        extras = self._calls.extras()
        return {**({CALL_EXTRAS: extras} if extras else {}), **self._told()}


def _merged(left: Block, right: Block) -> Block:
    """Merge extras of one text: lists (citations) grow, anything else is replaced."""
    return {
        key: [*left[key], *value] if isinstance(value, list) and isinstance(left.get(key), list) else value
        for key, value in right.items()
    }
