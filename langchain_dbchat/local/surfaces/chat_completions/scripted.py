"""Answers that a test has written: a message, or the chunks of a stream, in place of the model's answer.

Rule 1. In a whole answer the message is sent as it is.
Rule 2. In a stream its reasoning comes first, in one chunk because it may be there twice (LiteLLM's ``thinking_blocks``
beside ``reasoning_content``); then its content, a text word by word, a list part by part; then each other field.
Rule 3. Chunks are sent as they are; a whole answer cannot be made of them.
Rule 4. What the script leaves out (``id``, ``model``, ``usage``, ``finish_reason``) is what the model's family sends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_dbchat.local.rule_model.request import text_of
from langchain_dbchat.local.rule_model.tokens import DELTA, count_tokens
from langchain_dbchat.local.surfaces.chat_completions.answers import frame, report
from langchain_dbchat.local.surfaces.chat_completions.refusals import invalid

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from langchain_dbchat.local.faults.fault import Fault
    from langchain_dbchat.local.rule_model.prompt_cache import PromptTokens
    from langchain_dbchat.local.surfaces.chat_completions.request import ChatRequestBody

ScriptedBody = dict[str, Any]
FIRST = ("reasoning_content", "reasoning", "reasoning_details", "thinking_blocks")
"""Fields that come before the content."""


def scripted_answer(fault: Fault, request: ChatRequestBody, prompt: PromptTokens, serial: str) -> ScriptedBody:
    """Return the body of a whole answer.

    Args:
        fault: The script.
        request: The request.
        prompt: The request's tokens.
        serial: What makes this answer's id unique.

    Raises:
        Refused: 400 if the script is a list of chunks.
    """
    if fault.message is None:
        raise invalid(request, "The scripted answer is a list of chunks: set stream to true, or script a message.")
    body: ScriptedBody = dict(fault.message)
    if "choices" not in body:
        finish = "tool_calls" if body.get("tool_calls") else "stop"
        body = {"choices": [{"index": 0, "message": {"role": "assistant", **body}, "finish_reason": finish}]}
    tokens = sum(count_tokens(text_of(choice["message"])) for choice in body["choices"])
    return {**frame(request, serial, "chat.completion"), "usage": report(request, prompt, tokens), **body}


async def scripted_events(
    fault: Fault, request: ChatRequestBody, prompt: PromptTokens, serial: str
) -> AsyncIterator[ScriptedBody]:
    """Yield the events of a streamed answer; for the arguments see `scripted_answer`."""
    head = frame(request, serial, "chat.completion.chunk")
    if fault.chunks is not None:
        for chunk in fault.chunks:
            yield {**head, **chunk} if "choices" in chunk else dict(chunk)
        return
    body = scripted_answer(fault, request, prompt, serial)
    head |= {key: body[key] for key in ("id", "model", "created")}
    last = {key: value for key, value in body.items() if key not in {"choices", "object"}}
    for choice in body["choices"]:
        rest = {key: value for key, value in choice.items() if key != "message"}
        for delta in _deltas(choice["message"]):
            yield {**head, "choices": [{"index": choice.get("index", 0), "delta": delta, "finish_reason": None}]}
        yield {**head, **last, "choices": [{**rest, "delta": {}}]}


def _deltas(message: Mapping[str, Any]) -> Iterator[ScriptedBody]:
    content = message.get("content")
    yield {"role": message.get("role", "assistant"), "content": None if content is None else ""}
    reasoning = {key: message[key] for key in FIRST if message.get(key) is not None}
    if reasoning:
        yield reasoning
    for part in DELTA.findall(content) if isinstance(content, str) else content or ():
        yield {"content": part if isinstance(content, str) else [part]}
    for key, value in message.items():
        if key == "tool_calls" and value:
            yield {key: [{"index": index, **call} for index, call in enumerate(value)]}
        elif key not in {"role", "content", "tool_calls", *FIRST}:
            yield {key: value}
