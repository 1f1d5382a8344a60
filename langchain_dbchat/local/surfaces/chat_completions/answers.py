"""Whole answers, in the shape of the model's family (docs/wire.md, 3)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from langchain_dbchat.local.rule_model.answer import REFUSAL
from langchain_dbchat.local.rule_model.tokens import TOKEN
from langchain_dbchat.local.surfaces.chat_completions.signatures import (
    covered_by_call,
    covered_by_reasoning,
    covered_by_text,
)

if TYPE_CHECKING:
    from langchain_dbchat.local.rule_model.answer import ModelAnswer, ToolCall
    from langchain_dbchat.local.rule_model.prompt_cache import PromptTokens
    from langchain_dbchat.local.surfaces.chat_completions.request import ChatRequestBody

REDACTED = "ANTHROPIC_MAGIC_STRING_TRIGGER_REDACTED_THINKING"
"""Anthropic's own test string: a prompt that contains it gets redacted reasoning."""

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
GENERATED_IMAGE = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
"""What an image model generates here: one pixel."""


def whole_answer(
    request: ChatRequestBody, answers: list[ModelAnswer], prompt: PromptTokens, serial: str
) -> dict[str, Any]:
    """Return the body of a whole answer."""
    tokens, reasoning = sum(one.tokens for one in answers), sum(one.reasoning_tokens for one in answers)
    choices = []
    for index, answer in enumerate(answers):
        choice: dict[str, Any] = {
            "message": _message(request, answer),
            "index": index,
            "finish_reason": finish_reason(request, answer.finish),
        }
        if request.body.get("logprobs"):
            choice["logprobs"] = _logprobs(answer.text, request.body.get("top_logprobs") or 0)
        choices.append(choice)
    return {
        **frame(request, serial, "chat.completion"),
        "choices": choices,
        "usage": report(request, prompt, tokens, reasoning),
    }


def finish_reason(request: ChatRequestBody, finish: str) -> str:
    """Return the finish reason as the family sends it: OpenAI's models have a field of their own for a refusal."""
    if finish != REFUSAL:
        return finish
    return "stop" if request.family.error_style == "gpt" else "content_filter"


def frame(request: ChatRequestBody, serial: str, kind: str) -> dict[str, Any]:
    """Return what every answer and every chunk has besides its choices."""
    prefix = request.family.answer_id
    return {
        "model": request.model.upstream,
        "object": kind,
        "id": None if prefix is None else prefix + serial,
        "created": int(time.time()),
    }


def _message(request: ChatRequestBody, answer: ModelAnswer) -> dict[str, Any]:
    family = request.family
    message: dict[str, Any] = {"role": "assistant", "content": _content(request, answer)}
    if family.reasoning == "sibling" and answer.reasoning:
        message["reasoning_content"] = answer.reasoning
    if family.error_style == "gpt":
        refused = answer.finish == REFUSAL
        message |= {"refusal": answer.text if refused else None, "annotations": []}
        message |= {"content": None} if refused else {}
    if answer.calls or (answer.finish == "tool_calls"):
        message["tool_calls"] = [tool_call(request, call) for call in answer.calls]
    return message


def _content(request: ChatRequestBody, answer: ModelAnswer) -> Any:
    family = request.family
    parts = reasoning_parts(request, answer.reasoning)
    listed = family.content == "list" or request.model.list_content or (family.content == "list_if_reasoning" and parts)
    if not listed:
        return answer.text if answer.text or not answer.calls else None
    if answer.text:
        part: dict[str, Any] = {"type": "text", "text": answer.text}
        if family.thought_signatures:
            part["thoughtSignature"] = request.signer.sign(*covered_by_text(answer.text))
        parts.append(part)
    if request.model.generates_images:
        parts.append(GENERATED_IMAGE)
    return parts if parts or not answer.calls else None


def reasoning_parts(request: ChatRequestBody, reasoning: str) -> list[dict[str, Any]]:
    """Return the reasoning parts of a whole answer (docs/wire.md, 3.2, 3.3); none if it has reasoning elsewhere."""
    kind = request.family.reasoning
    if not reasoning or kind not in {"signed", "summary"}:
        return []
    if kind == "summary":
        if request.model.harmony:
            return [{"type": "reasoning", "content": [{"type": "reasoning_text", "text": reasoning}]}]
        return [{"type": "reasoning", "summary": [{"type": "summary_text", "text": reasoning}]}]
    if is_redacted(request):
        return [
            {
                "type": "reasoning",
                "summary": [{"type": "summary_encrypted_text", "data": request.signer.redact(reasoning)}],
            }
        ]
    shown = reasoning if shows_reasoning(request) else ""
    signature = request.signer.sign(*covered_by_reasoning(request, len(request.messages), shown))
    summary = {"type": "summary_text", "text": shown, "signature": signature}
    return [{"type": "reasoning", "summary": [summary]}]


def is_redacted(request: ChatRequestBody) -> bool:
    """Return whether the reasoning of this answer is redacted."""
    return any(REDACTED in str(message.get("content")) for message in request.messages if message.get("role") == "user")


def shows_reasoning(request: ChatRequestBody) -> bool:
    """Return whether Claude's reasoning is readable: with a budget, or on request if adaptive (docs/wire.md, 2.3)."""
    thinking = request.body.get("thinking") or {}
    return thinking.get("type") == "enabled" or thinking.get("display") == "summarized"


def tool_call(request: ChatRequestBody, call: ToolCall) -> dict[str, Any]:
    """Return one tool call (docs/wire.md, 3.4)."""
    arguments = "" if request.family.empty_arguments and call.arguments == "{}" else call.arguments
    shaped: dict[str, Any] = {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": arguments},
    }
    if request.family.thought_signatures:
        shaped["thoughtSignature"] = request.signer.sign(*covered_by_call(call.name, call.arguments))
    return shaped


def _logprobs(text: str, top: int) -> dict[str, Any]:
    """Log probabilities in OpenAI's shape; each token has probability 1."""
    tokens = []
    for token in TOKEN.findall(text):
        one = {"token": token, "logprob": 0.0, "bytes": list(token.encode())}
        tokens.append({**one, "top_logprobs": [one] if top else []})
    return {"content": tokens}


def report(request: ChatRequestBody, prompt: PromptTokens, tokens: int | None, reasoning: int = 0) -> dict[str, Any]:
    """Return the ``usage`` object of an answer.

    Args:
        request: The request.
        prompt: Its tokens.
        tokens: Tokens of the answer; None while a stream has not ended.
        reasoning: How many of them were reasoning.
    """
    total = None if tokens is None else prompt.tokens + tokens
    counts: dict[str, Any] = {"prompt_tokens": prompt.tokens, "completion_tokens": tokens, "total_tokens": total}
    kind = request.family.usage
    cached = {"cache_read_input_tokens": prompt.read, "cache_creation_input_tokens": prompt.written}
    details = {
        "prompt_tokens_details": {"cached_tokens": prompt.read, "cache_write_tokens": prompt.written},
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }
    if kind == "claude":
        return {**counts, **cached}
    if kind == "gpt":
        return {**counts, **details}
    if kind == "glm":
        return {**counts, **cached, **details}
    return {**counts, "reasoning_tokens": reasoning} if reasoning else counts
