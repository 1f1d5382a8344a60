"""Answers in the shape of their family, whole (docs/wire.md, 3) and streamed (docs/wire.md, 4)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from langchain_dbchat.local.answer import Answer, Call, End, Fragment, Thought, Words, call_tokens
from langchain_dbchat.local.signatures import sign_call, sign_reasoning, sign_text
from langchain_dbchat.local.usage import Prompt, report
from langchain_dbchat.local.words import TOKEN, count_tokens

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from langchain_dbchat.local.answer import Piece
    from langchain_dbchat.local.asked import Asked

REDACTED = "ANTHROPIC_MAGIC_STRING_TRIGGER_REDACTED_THINKING"
"""Anthropic's own test string: a prompt that holds it gets redacted reasoning."""

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
DRAWING = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
"""What an image model draws here: one pixel."""


def whole(asked: Asked, answers: list[Answer], prompt: Prompt, serial: str) -> dict[str, Any]:
    """The body of a whole answer.

    Args:
        asked: The request.
        answers: One for each choice.
        prompt: The request's tokens.
        serial: What makes this answer's id unique.
    """
    tokens, thought = sum(one.tokens for one in answers), sum(one.thought_tokens for one in answers)
    choices = []
    for index, answer in enumerate(answers):
        choice: dict[str, Any] = {
            "message": _message(asked, answer),
            "index": index,
            "finish_reason": answer.finish,
        }
        if asked.body.get("logprobs"):
            choice["logprobs"] = _logprobs(answer.text, asked.body.get("top_logprobs") or 0)
        choices.append(choice)
    return {
        **_frame(asked, serial, "chat.completion"),
        "choices": choices,
        "usage": report(asked, prompt, tokens, thought),
    }


def _frame(asked: Asked, serial: str, kind: str) -> dict[str, Any]:
    prefix = asked.model.family.answer_id
    return {
        "model": asked.model.upstream,
        "object": kind,
        "id": None if prefix is None else prefix + serial,
        "created": int(time.time()),
    }


def _message(asked: Asked, answer: Answer) -> dict[str, Any]:
    family = asked.model.family
    message: dict[str, Any] = {"role": "assistant", "content": _content(asked, answer)}
    if family.reasoning == "sibling" and answer.thought:
        message["reasoning_content"] = answer.thought
    if family.voice == "gpt":
        message |= {"refusal": None, "annotations": []}
    if answer.calls or (answer.finish == "tool_calls"):
        message["tool_calls"] = [_call(asked, call) for call in answer.calls]
    return message


def _content(asked: Asked, answer: Answer) -> Any:
    family = asked.model.family
    parts = _reasoning_parts(asked, answer.thought)
    listed = family.content == "list" or asked.model.list_content or (family.content == "list_if_reasoning" and parts)
    if not listed:
        return answer.text if answer.text or not answer.calls else None
    if answer.text:
        part: dict[str, Any] = {"type": "text", "text": answer.text}
        if family.name == "gemini":
            part["thoughtSignature"] = sign_text(asked, answer.text)
        parts.append(part)
    if asked.model.draws:
        parts.append(DRAWING)
    return parts if parts or not answer.calls else None


def _reasoning_parts(asked: Asked, thought: str) -> list[dict[str, Any]]:
    """The reasoning parts of a whole answer (docs/wire.md, 3.2, 3.3); none where reasoning stands elsewhere."""
    kind = asked.model.family.reasoning
    if not thought or kind not in {"signed", "summary"}:
        return []
    if kind == "summary":
        if asked.model.harmony:
            return [{"type": "reasoning", "content": [{"type": "reasoning_text", "text": thought}]}]
        return [{"type": "reasoning", "summary": [{"type": "summary_text", "text": thought}]}]
    if is_redacted(asked):
        return [
            {"type": "reasoning", "summary": [{"type": "summary_encrypted_text", "data": asked.seal.hide(thought)}]}
        ]
    shown = thought if shows_reasoning(asked) else ""
    summary = {"type": "summary_text", "text": shown, "signature": sign_reasoning(asked, shown)}
    return [{"type": "reasoning", "summary": [summary]}]


def is_redacted(asked: Asked) -> bool:
    """Whether the reasoning of this answer is redacted."""
    return any(REDACTED in str(message.get("content")) for message in asked.messages if message.get("role") == "user")


def shows_reasoning(asked: Asked) -> bool:
    """Whether Claude's reasoning is readable: always with a budget, on request when adaptive (docs/wire.md, 2.3)."""
    thinking = asked.body.get("thinking") or {}
    return thinking.get("type") == "enabled" or thinking.get("display") == "summarized"


def _call(asked: Asked, call: Call) -> dict[str, Any]:
    arguments = "" if asked.model.family.empty_arguments and call.arguments == "{}" else call.arguments
    shaped: dict[str, Any] = {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": arguments},
    }
    if asked.model.family.name == "gemini":
        shaped["thoughtSignature"] = sign_call(asked, call.name, call.arguments)
    return shaped


def _logprobs(text: str, top: int) -> dict[str, Any]:
    """Log probabilities in OpenAI's shape; this model is always sure."""
    tokens = []
    for token in TOKEN.findall(text):
        one = {"token": token, "logprob": 0.0, "bytes": list(token.encode())}
        tokens.append({**one, "top_logprobs": [one] if top else []})
    return {"content": tokens}


class Stream:
    """One answer as events.

    Args:
        asked: The request.
        prompt: Its tokens.
        serial: What makes this answer's id unique.
    """

    def __init__(self, asked: Asked, prompt: Prompt, serial: str) -> None:
        self.asked = asked
        self.prompt = prompt
        self.frame = _frame(asked, serial, "chat.completion.chunk")
        self.said = 0
        self.thought = 0
        self.calls: list[Call] = []

    def _event(
        self, delta: dict[str, Any], choice: int, finish: str | None = None, *, last: bool = False
    ) -> dict[str, Any]:
        event = {**self.frame, "choices": [{"delta": delta, "index": choice, "finish_reason": finish}]}
        kind = self.asked.model.family.stream_usage
        if kind == "running" or (kind == "nulls" and last):
            event["usage"] = self._usage()
        elif kind == "nulls":
            event["usage"] = report(self.asked, self.prompt, None)
        return event

    def _add(self, answer: Answer, piece: Piece) -> None:
        """Take a piece into its answer, and its tokens into the usage."""
        before = len(answer.calls)
        answer.add(piece)
        self.calls += answer.calls[before:]
        if isinstance(piece, Thought):
            self.thought += count_tokens(piece.text)
        elif isinstance(piece, Words):
            self.said += count_tokens(piece.text)

    def _usage(self) -> dict[str, Any]:
        tokens = self.thought + self.said + sum(call_tokens(call) for call in self.calls)
        return report(self.asked, self.prompt, tokens, self.thought)

    async def events(self, choices: list[AsyncIterator[Piece]]) -> AsyncIterator[dict[str, Any]]:
        """The events of all choices, one choice after the other, and the usage at the end if it was asked for."""
        for index, pieces in enumerate(choices):
            answer = Answer()
            async for piece in pieces:
                deltas = self._deltas(answer, piece)
                self._add(answer, piece)
                for delta in deltas:
                    yield self._event(delta, index)
                if isinstance(piece, End):
                    for delta in self._closing(answer):
                        yield self._event(delta, index)
                    silent = self.asked.surface in self.asked.model.family.ends_silently and piece.finish != "length"
                    finish = None if silent else piece.finish
                    yield self._event(
                        {"role": "assistant", "content": ""}, index, finish, last=index == len(choices) - 1
                    )
        options = self.asked.body.get("stream_options") or {}
        if self.asked.model.family.stream_usage == "asked" and options.get("include_usage"):
            yield {**self.frame, "choices": [], "usage": self._usage()}

    def _deltas(self, answer: Answer, piece: Piece) -> list[dict[str, Any]]:
        """What one piece adds to the stream, before it is taken into ``answer``."""
        deltas: list[dict[str, Any]] = []
        if isinstance(piece, Thought):
            return self._reasoning(piece.text)
        if answer.thought and not answer.text and not answer.calls:
            deltas += self._signature(answer.thought)
        if isinstance(piece, Words):
            content: Any = piece.text
            if self.asked.model.family.content == "list":
                content = [{"type": "text", "text": piece.text}]
            deltas.append({"role": "assistant", "content": content})
        elif isinstance(piece, Fragment) and self.asked.model.family.name != "gemini":
            deltas += self._fragment(piece)
        return deltas

    def _reasoning(self, text: str) -> list[dict[str, Any]]:
        kind = self.asked.model.family.reasoning
        if kind == "sibling":
            return [{"role": "assistant", "reasoning_content": text}]
        if kind == "summary":
            part = {"type": "reasoning", "summary": [{"type": "summary_text", "text": text}]}
            if self.asked.model.harmony:
                part = {"type": "reasoning", "content": [{"type": "reasoning_text", "text": text}]}
            return [{"role": "assistant", "content": [part]}]
        if kind == "signed" and shows_reasoning(self.asked) and not is_redacted(self.asked):
            summary = {"type": "summary_text", "text": text, "signature": ""}
            return [{"role": "assistant", "content": [{"type": "reasoning", "summary": [summary]}]}]
        return []

    def _signature(self, thought: str) -> list[dict[str, Any]]:
        """The end of a reasoning block: the signature, alone (docs/wire.md, 4.3)."""
        if self.asked.model.family.reasoning != "signed":
            return []
        part = _reasoning_parts(self.asked, thought)[0]
        if "signature" in part["summary"][0]:
            part["summary"][0]["text"] = ""
        return [{"content": [part]}]

    def _fragment(self, piece: Fragment) -> list[dict[str, Any]]:
        """A bit of a call; the first has id, type, name and no arguments (docs/wire.md, 4.2)."""
        call: dict[str, Any] = {"index": piece.index, "function": {"arguments": piece.arguments}}
        if self.asked.model.family.empty_arguments and piece.arguments == "{}":
            call["function"]["arguments"] = ""
        if piece.id is not None:
            call |= {"id": piece.id, "type": "function"}
            call["function"]["name"] = piece.name
        return [{"role": "assistant", "content": None, "tool_calls": [call]}]

    def _closing(self, answer: Answer) -> list[dict[str, Any]]:
        """What comes between the last piece and the end: Gemini's signatures and its calls, which come whole."""
        if self.asked.model.family.name != "gemini":
            return []
        deltas: list[dict[str, Any]] = []
        if answer.text:
            signature = sign_text(self.asked, answer.text)
            deltas.append(
                {"role": "assistant", "content": [{"type": "text", "text": "", "thoughtSignature": signature}]}
            )
        if self.asked.model.draws:
            deltas.append({"role": "assistant", "content": [DRAWING]})
        if answer.calls:
            calls = [{"index": index, **_call(self.asked, call)} for index, call in enumerate(answer.calls)]
            deltas.append({"role": "assistant", "content": None, "tool_calls": calls})
        return deltas
