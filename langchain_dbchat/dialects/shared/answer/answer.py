"""Assemble one answer from parts: content blocks, tool calls and additional fields.

Rule 1. All state of a stream is in one `GrowingAnswer`. Each added part returns the delta of a streamed chunk, and the
sum of all parts is the whole message. Streamed and whole answers use the same code, so they are equal.
Rule 2. Content is a plain string unless the answer contains more than text. Streamed blocks have string indices
(``lc_txt_0``, ``lc_rs_0``) and tool calls integer ones, because langchain-core merges blocks by index and would
otherwise merge a text block 0 with a tool call 0 under ``output_version="v1"``.
Rule 3. An unknown field of a message or a delta is kept in ``additional_kwargs`` under its own name
(``custom_outputs``, ``reasoning_details``), with the prefix ``server_`` if LangChain or this package uses that name
itself. It is in one chunk only, at the end of the stream.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic_core import to_json

from langchain_dbchat.dialects.shared.answer.beside import Audio, Cited, Other, UnknownFields
from langchain_dbchat.dialects.shared.answer.bounds import MOST_BLOCKS, too_many
from langchain_dbchat.dialects.shared.answer.fields import Fields
from langchain_dbchat.dialects.shared.answer.parts import Part, Reasoning, Refusal, Text, ToolCallPart
from langchain_dbchat.dialects.shared.answer.segments import ReasoningEntry, Segment, extend
from langchain_dbchat.dialects.shared.blocks.message_keys import CALL_EXTRAS
from langchain_dbchat.dialects.shared.request.sent import SentTools

if TYPE_CHECKING:
    from langchain_core.messages import InvalidToolCall, ToolCall

    from langchain_dbchat.dialects.shared.answer.answer_tools import AnswerToolCalls
    from langchain_dbchat.dialects.shared.answer.calls import Calls

_OWN_NAMES = frozenset({CALL_EXTRAS, "refusal", "tool_calls", "function_call", "parsed", "lc_source", "lc_data"})
"""Names in ``additional_kwargs`` that LangChain or this package uses itself."""


@dataclass(slots=True)
class Delta:
    """The change of the message by one part, as the fields of an ``AIMessageChunk``; `calls` are whole."""

    content: str | list[dict[str, Any]] = ""
    call: dict[str, Any] | None = None
    calls: list[dict[str, Any]] | None = None
    additional: dict[str, Any] | None = None


class GrowingAnswer:
    """One choice of an answer, while its parts arrive.

    Args:
        whole: Whether the parts come from a whole message, in which each part is complete, or from deltas.
        blocks: Whether content is a list of blocks even if it is plain text.
        sent: The changes of the request's tools, which are reverted; None for none.
    """

    __slots__ = (
        "_answer_calls",
        "_audio",
        "_beside",
        "_blocks",
        "_calls",
        "_cited",
        "_concluded",
        "_count",
        "_refusal",
        "_segments",
        "_sent",
        "_whole",
    )

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
        self._count = 0  # of blocks and entries
        self._segments: list[Segment] = []
        self._sent = sent
        self._calls: Calls | None = None
        self._answer_calls: AnswerToolCalls | None = None
        if sent is not None and sent.answer:
            from langchain_dbchat.dialects.shared.answer.answer_tools import AnswerToolCalls  # noqa: PLC0415  # few requests have one

            self._answer_calls = AnswerToolCalls(sent.answer)
        self._refusal: list[str] = []
        self._cited: dict[str, dict[bytes, Any]] = {}
        self._audio: list[Mapping[str, Any]] = []
        self._beside = Fields(fragments=True)

    def add(self, part: Part) -> Delta | None:
        """Add a part.

        Args:
            part: The next part.

        Returns:
            The change of the message, or None if there is none.

        Raises:
            MalformedResponseError: If the answer has too many calls, blocks or fields.
        """
        last = self._segments[-1] if self._segments else None
        delta = self._ADDERS[type(part)](self, part)
        if delta is not None and last is not None and (last is not self._segments[-1] or delta.call is not None):
            tail = last.end()
            if tail and not isinstance(delta.content, str):
                delta.content = [*tail, *delta.content]
        return delta

    def extend_text(self, text: str) -> bool:
        """Add more of the text with which a streamed answer ends, if it has nothing but text so far.

        Args:
            text: The text.

        Returns:
            Whether it was added, so that it is the content of the chunk. If not, `add` takes it as a part.
        """
        if not text or self._blocks or not self._segments:  # without blocks, each segment is text
            return False
        self._segments[-1].texts.append(text)
        return True

    def _add_refusal(self, part: Refusal) -> None:
        self._refusal.append(part.text)

    def _add_cited(self, part: Cited) -> None:
        known = self._cited.setdefault(part.key, {})
        for citation in part.citations:  # by their JSON, because comparing with 10,000 citations is slow
            known.setdefault(to_json(citation, inf_nan_mode="constants"), citation)

    def _add_audio(self, part: Audio) -> None:
        self._audio.append(part.audio)

    def _add_unknown_fields(self, part: UnknownFields) -> None:
        self._beside.add(part.fields)

    def _add_other(self, part: Other) -> Delta:
        self._blocks = True
        block = part.block
        kind = block.get("type")
        if not isinstance(kind, str) or (kind == "text" and not isinstance(block.get("text"), str)):
            # LangChain would read it as text.
            block = {"type": "non_standard", "value": block}
        segment = self._open(block["type"], "lc_blk_")
        segment.extras = block
        return Delta([{**block, "index": segment.index}])

    def empty_content(self) -> str | list[dict[str, Any]]:
        """Return empty content of this answer's type, because adding a string to a list adds a block."""
        return [] if self._blocks else ""

    def _open(self, kind: str, prefix: str) -> Segment:
        self._count_block()
        segment = Segment(kind, f"{prefix}{len(self._segments)}")
        self._segments.append(segment)
        return segment

    def _count_block(self) -> None:
        if self._count >= MOST_BLOCKS and not self._concluded:  # what concludes an answer may be one more
            raise too_many("content blocks", MOST_BLOCKS)
        self._count += 1

    def _add_text(self, part: Text) -> Delta | None:
        if part.extras:
            self._blocks = True
        elif not part.text:
            return None
        last = self._segments[-1] if self._segments else None
        if part.opens and last is not None and last.kind == "text":
            self._blocks = True
        is_plain = not (part.extras or part.opens or self._whole)
        if last is None or last.kind != "text" or not (is_plain or self._continues(last, part)):
            last = self._open("text", "lc_txt_")
        last.texts.append(part.text)
        if part.extras:
            extend(last.extras, part.extras)
        if not self._blocks:
            return Delta(part.text)
        return Delta([{"type": "text", "text": part.text, "index": last.index}])

    def _continues(self, last: Segment, part: Text) -> bool:
        """Return whether a text belongs to the last block: if both have no extras, or, in deltas, equal ones."""
        if part.opens or self._whole:
            return not (part.opens or last.extras or part.extras)
        return not last.has_ended and all(
            isinstance(value, list) or last.extras.get(key, value) == value
            for key, value in (part.extras or {}).items()
        )

    def _add_reasoning(self, part: Reasoning) -> Delta | None:
        if part.item is not None:
            return self._end_reasoning(part.item)
        if not (part.text or part.signature or part.data):
            return None
        self._blocks = True
        last = self._segments[-1] if self._segments else None
        entry = last.entries[-1] if last is not None and last.entries else None
        closed = entry is None or entry.signature is not None or entry.data is not None or part.data is not None
        is_new = last is None or last.kind != "reasoning" or last.has_ended
        if last is None or is_new or (part.opens and (closed or self._whole)):
            last = self._open("reasoning", "lc_rs_")
            entry = None
        if entry is None or not part.opens or closed:
            self._count_block()
            entry = ReasoningEntry(part.verbatim)
            last.entries.append(entry)
        added: dict[str, Any] = {"index": len(last.entries) - 1}
        if part.data is not None:
            entry.data = part.data
            added = {"type": "summary_encrypted_text", "data": part.data, **added}
        else:
            entry.texts.append(part.text)
            added = {"type": entry.kind, "text": part.text, **added}
            if part.signature is not None:
                entry.signature = added["signature"] = part.signature
        return Delta([{"type": "reasoning", "summary": [added], "index": last.index}])

    def _end_reasoning(self, item: dict[str, Any]) -> Delta | None:
        last = self._segments[-1] if self._segments else None
        if last is None or last.kind != "reasoning" or last.has_ended:
            if not item:
                return None
            last = self._open("reasoning", "lc_rs_")
        self._blocks = True
        last.extras, last.has_ended = item, True
        return Delta([{"type": "reasoning", "summary": [], "index": last.index, **item}]) if item else None

    def _add_call(self, part: ToolCallPart) -> Delta | None:
        text = None if self._answer_calls is None else self._answer_calls.text_of(part)
        if text is not None:
            return self._add_text(Text(text))
        if self._calls is None:
            from langchain_dbchat.dialects.shared.answer.calls import Calls  # noqa: PLC0415  # many answers call nothing

            self._calls = Calls(whole=self._whole, sent=self._sent or SentTools())
        chunk, extras = self._calls.add(part)
        if chunk["args"] or chunk["id"] or chunk["name"] or extras:
            return self._call_delta(chunk, extras)
        return None

    def _call_delta(self, chunk: dict[str, Any], extras: dict[str, Any] | None) -> Delta:
        return Delta(self.empty_content(), call=chunk, additional={CALL_EXTRAS: extras} if extras else None)

    def conclude(self, kept: Mapping[str, Any], *, cut: bool = False) -> list[Delta]:
        """End the content: add the citations to the text, and the audio to the answer.

        Args:
            kept: The unknown fields of the answer and the choice, which may contain sources.
            cut: Whether a limit ended the answer.

        Returns:
            The changes of the message; none if the content has ended already.
        """
        if self._concluded:
            return []
        self._concluded = True
        deltas = self._rest_of_answer(cut=cut)
        cited: dict[str, Any] = {}
        if self._cited:
            cited = {key: list(citations.values()) for key, citations in self._cited.items() if citations}
            self._cited = {}
        beside = self._beside.whole()
        for fields in (kept, beside, beside.get("provider_specific_fields")):
            if fields and isinstance(fields, Mapping):
                from langchain_dbchat.dialects.shared.blocks.citations import sources_of  # noqa: PLC0415  # many answers have no such fields

                known = [citation for citations in cited.values() for citation in citations]
                found = sources_of(fields, self._text(), known)
                if found:
                    cited.setdefault("citations", []).extend(found)
        if cited:
            deltas.append(self._cite(cited))
        tail = self._segments[-1].end() if self._segments else []
        if tail:
            deltas.append(Delta(tail))
        if self._audio:
            from langchain_dbchat.dialects.shared.blocks.spoken import read_audio  # noqa: PLC0415  # few answers are spoken

            audio, left = read_audio(self._audio)
            self._audio = []
            self._beside.add(left)
            if audio:
                deltas.append(self._add_other(Other(audio)))
        return deltas

    def _rest_of_answer(self, *, cut: bool) -> list[Delta]:
        rest = self._answer_calls.rest(cut=cut) if self._answer_calls is not None else ""
        delta = self._add_text(Text(rest)) if rest else None
        return [delta] if delta is not None else []

    def _cite(self, cited: dict[str, Any]) -> Delta:
        """Add citations to the last text, or to a new one if that has ended: langchain-core keeps the last extras."""
        self._blocks = True
        segment = next((segment for segment in reversed(self._segments) if segment.kind == "text"), None)
        if segment is None or segment.has_ended:
            segment = self._open("text", "lc_txt_")
        extend(segment.extras, cited)
        segment.has_ended = True
        return Delta([{"type": "text", "text": "", "index": segment.index, **segment.extras}])

    def _text(self) -> str:
        return "".join(text for segment in self._segments if segment.kind == "text" for text in segment.texts)

    def finish(self, kept: Mapping[str, Any], *, cut: bool = False) -> list[Delta]:
        """End a stream: return the remaining changes, and finish the tool calls.

        Args:
            kept: The unknown fields of the answer and the choice.
            cut: Whether a limit ended the answer.

        Returns:
            The last deltas, if any.
        """
        deltas = self.conclude(kept, cut=cut)
        additional = self._fields()
        if additional:
            deltas.append(Delta(self.empty_content(), additional=additional))
        if self._calls is not None:
            deltas.extend(self._call_delta(*end) for end in self._calls.finish(cut=cut))
            late, extras = self._calls.late(cut=cut)
            if late:
                beside = {CALL_EXTRAS: extras} if extras else None
                deltas.append(Delta(self.empty_content(), calls=late, additional=beside))
        return deltas

    def _fields(self) -> dict[str, Any]:
        """Return the refusal and the unknown fields, for ``additional_kwargs``."""
        fields: dict[str, Any] = {"refusal": "".join(self._refusal)} if self._refusal else {}
        for key, value in self._beside.whole().items():
            fields[f"server_{key}" if key in _OWN_NAMES else key] = value
        return fields

    def content(self) -> str | list[dict[str, Any]]:
        """Return the whole content."""
        if not self._blocks:
            return "".join(text for segment in self._segments for text in segment.texts)
        blocks: list[dict[str, Any]] = []
        for segment in self._segments:
            if segment.kind == "text":
                blocks.append({"type": "text", "text": "".join(segment.texts), **segment.extras})
            elif segment.kind == "reasoning":
                entries = [entry.whole() for entry in segment.entries]
                blocks.append({"type": "reasoning", "summary": entries, **segment.extras})
            else:
                blocks.append(dict(segment.extras))
        return blocks

    def calls(self, *, cut: bool = False) -> tuple[list[ToolCall], list[InvalidToolCall]]:
        """Return the whole tool calls: the valid ones, whose arguments are a JSON object, and the invalid ones.

        Args:
            cut: Whether a limit ended the answer.

        Returns:
            The valid calls and the invalid ones.
        """
        return ([], []) if self._calls is None else self._calls.whole(cut=cut)

    def additional(self) -> dict[str, Any]:
        """Return the ``additional_kwargs``; call it after `calls`, which sets the id of each call."""
        fields = self._fields()
        extras = {} if self._calls is None else self._calls.extras()
        return {CALL_EXTRAS: extras, **fields} if extras else fields

    _ADDERS: ClassVar[dict[type[Part], Callable[[GrowingAnswer, Any], Delta | None]]] = {
        Text: _add_text,
        Reasoning: _add_reasoning,
        ToolCallPart: _add_call,
        Other: _add_other,
        # These are returned at the end, because v3 events keep only the last piece of such a field.
        Refusal: _add_refusal,
        Cited: _add_cited,
        Audio: _add_audio,
        UnknownFields: _add_unknown_fields,
    }
    """How each kind of part is added."""
