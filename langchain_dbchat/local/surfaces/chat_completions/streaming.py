"""Streamed answers, in the shape of the model's family (docs/wire.md, 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_dbchat.local.rule_model.answer import (
    FinishPiece,
    ModelAnswer,
    ReasoningPiece,
    RefusalPiece,
    TextPiece,
    ToolCall,
    ToolCallPiece,
    call_tokens,
)
from langchain_dbchat.local.rule_model.tokens import RunningCount, count_tokens
from langchain_dbchat.local.surfaces.chat_completions.answers import (
    GENERATED_IMAGE,
    finish_reason,
    frame,
    is_redacted,
    reasoning_parts,
    report,
    shows_reasoning,
    tool_call,
)
from langchain_dbchat.local.surfaces.chat_completions.signatures import covered_by_text

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from langchain_dbchat.local.rule_model.answer import Piece
    from langchain_dbchat.local.rule_model.prompt_cache import PromptTokens
    from langchain_dbchat.local.surfaces.chat_completions.request import ChatRequestBody


class Stream:
    """One answer as events.

    Args:
        request: The request.
        prompt: Its tokens.
        serial: What makes this answer's id unique.
    """

    def __init__(self, request: ChatRequestBody, prompt: PromptTokens, serial: str) -> None:
        self.request = request
        self.prompt = prompt
        self.frame = frame(request, serial, "chat.completion.chunk")
        self.text_tokens = 0
        self.reasoning = 0
        self.calls: list[ToolCall] = []
        self.call_tokens = 0
        self._arguments: dict[int, RunningCount] = {}  # by the identity of the call

    def _event(
        self, delta: dict[str, Any], choice: int, finish: str | None = None, *, last: bool = False
    ) -> dict[str, Any]:
        event = {**self.frame, "choices": [{"delta": delta, "index": choice, "finish_reason": finish}]}
        kind = self.request.family.stream_usage
        if kind == "running" or (kind == "nulls" and last):
            event["usage"] = self._usage()
        elif kind == "nulls":
            event["usage"] = report(self.request, self.prompt, None)
        return event

    def _add(self, answer: ModelAnswer, piece: Piece) -> None:
        """Take a piece into its answer, and its tokens into the usage."""
        before = len(answer.calls)
        answer.add(piece)
        for call in answer.calls[before:]:
            self.calls.append(call)
            self.call_tokens += call_tokens(ToolCall(call.id, call.name, ""))
        if isinstance(piece, ToolCallPiece):
            counted = self._arguments.setdefault(id(answer.calls[piece.index]), RunningCount())
            self.call_tokens += counted.add(piece.arguments)
        elif isinstance(piece, ReasoningPiece):
            self.reasoning += count_tokens(piece.text)
        elif isinstance(piece, TextPiece):
            self.text_tokens += count_tokens(piece.text)

    def _usage(self) -> dict[str, Any]:
        tokens = self.reasoning + self.text_tokens + self.call_tokens
        return report(self.request, self.prompt, tokens, self.reasoning)

    async def events(self, choices: list[AsyncIterator[Piece]]) -> AsyncIterator[dict[str, Any]]:
        """Yield the events of all choices, one choice after the other, and the usage at the end on request."""
        for index, pieces in enumerate(choices):
            answer = ModelAnswer()
            async for piece in pieces:
                deltas = self._deltas(answer, piece)
                self._add(answer, piece)
                for delta in deltas:
                    yield self._event(delta, index)
                if isinstance(piece, FinishPiece):
                    for delta in self._closing(answer):
                        yield self._event(delta, index)
                    silent = self.request.entry in self.request.family.ends_silently and piece.finish != "length"
                    finish = None if silent else finish_reason(self.request, piece.finish)
                    yield self._event(
                        {"role": "assistant", "content": ""}, index, finish, last=index == len(choices) - 1
                    )
        options = self.request.body.get("stream_options") or {}
        if self.request.family.stream_usage == "asked" and options.get("include_usage"):
            yield {**self.frame, "choices": [], "usage": self._usage()}

    def _deltas(self, answer: ModelAnswer, piece: Piece) -> list[dict[str, Any]]:
        """Return what one piece adds to the stream, before it is taken into ``answer``."""
        deltas: list[dict[str, Any]] = []
        if isinstance(piece, ReasoningPiece):
            return self._reasoning(piece.text)
        if answer.reasoning and not answer.text and not answer.calls:
            deltas += self._signature(answer.reasoning)
        if isinstance(piece, TextPiece):
            if isinstance(piece, RefusalPiece) and self.request.family.error_style == "gpt":
                return [*deltas, {"role": "assistant", "content": None, "refusal": piece.text}]
            content: Any = piece.text
            if self.request.family.content == "list":
                content = [{"type": "text", "text": piece.text}]
            deltas.append({"role": "assistant", "content": content})
        elif isinstance(piece, ToolCallPiece) and not self.request.family.thought_signatures:
            deltas += self._call_piece(piece)
        return deltas

    def _reasoning(self, text: str) -> list[dict[str, Any]]:
        kind = self.request.family.reasoning
        if kind == "sibling":
            return [{"role": "assistant", "reasoning_content": text}]
        if kind == "summary":
            return [{"role": "assistant", "content": reasoning_parts(self.request, text)}]
        if kind == "signed" and shows_reasoning(self.request) and not is_redacted(self.request):
            summary = {"type": "summary_text", "text": text, "signature": ""}
            return [{"role": "assistant", "content": [{"type": "reasoning", "summary": [summary]}]}]
        return []

    def _signature(self, reasoning: str) -> list[dict[str, Any]]:
        """Return the end of a reasoning block: the signature, alone (docs/wire.md, 4.3)."""
        if self.request.family.reasoning != "signed":
            return []
        part = reasoning_parts(self.request, reasoning)[0]
        if "signature" in part["summary"][0]:
            part["summary"][0]["text"] = ""
        return [{"content": [part]}]

    def _call_piece(self, piece: ToolCallPiece) -> list[dict[str, Any]]:
        """Return one piece of a call; the first has id, type, name and no arguments (docs/wire.md, 4.2)."""
        call: dict[str, Any] = {"index": piece.index, "function": {"arguments": piece.arguments}}
        if self.request.family.empty_arguments and piece.arguments == "{}":
            call["function"]["arguments"] = ""
        if piece.id is not None:
            call |= {"id": piece.id, "type": "function"}
            call["function"]["name"] = piece.name
        return [{"role": "assistant", "content": None, "tool_calls": [call]}]

    def _closing(self, answer: ModelAnswer) -> list[dict[str, Any]]:
        """Return what comes between the last piece and the end: Gemini's signatures and its calls, which come whole."""
        if not self.request.family.thought_signatures:
            return []
        deltas: list[dict[str, Any]] = []
        if answer.text:
            signature = self.request.signer.sign(*covered_by_text(answer.text))
            deltas.append(
                {"role": "assistant", "content": [{"type": "text", "text": "", "thoughtSignature": signature}]}
            )
        if self.request.model.generates_images:
            deltas.append({"role": "assistant", "content": [GENERATED_IMAGE]})
        if answer.calls:
            calls = [{"index": index, **tool_call(self.request, call)} for index, call in enumerate(answer.calls)]
            deltas.append({"role": "assistant", "content": None, "tool_calls": calls})
        return deltas
