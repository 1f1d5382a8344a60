"""Recognise that an input is longer than the model's context, by the codes and the words of each server.

Rule 1. A code alone decides. Words count only if they are the server's own: quoted sentences may be the caller's.
Rule 2. Words about the limit of the answer ("max_tokens (10000) cannot exceed 8192") are not about the input, even
where they give the context length as the reason. "You requested 5000 tokens (1000 in the messages, 4000 in the
completion)" is an overflow, because a shorter input helps.
Rule 3. Each line of a table names the server whose code or words it has.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from langchain_dbchat.errors.advice import without_quotes

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

__all__ = ["is_overflow"]

_OVERFLOW_CODES = frozenset(
    {
        "CONTEXT_LENGTH_EXCEEDED",  # OpenAI, and servers that answer as it does
        "CONTEXT_WINDOW_EXCEEDED",
        "MODEL_CONTEXT_WINDOW_EXCEEDED",
        "CONTEXTWINDOWEXCEEDEDERROR",  # LiteLLM
        "EXCEED_CONTEXT_SIZE_ERROR",  # llama.cpp
        "MODEL_MAX_PROMPT_TOKENS_EXCEEDED",  # GitHub Models
        "INPUT_TOO_LONG",
    }
)
_OVERFLOW_WORDS = re.compile(
    r"prompt is too long|exceeds? (?:the )?context limit|(?<![\w])tokens > \d"  # Anthropic
    r"|(?:prompt|input) token count"  # Gemini, GitHub Models
    r"|maximum context length|context length is only"  # OpenAI, vLLM, Mistral
    r"|input exceeds the context"  # OpenAI Responses
    r"|exceeds? (?:the )?(?:model's |available |maximum )*context (?:window|length|size)"  # OpenAI, Ollama, llama.cpp
    r"|contextwindowexceeded|context_length_exceeded"  # LiteLLM, in its words
    r"|longer than the (?:maximum model length|model's context length|maximum (?:input|context) length)"  # vLLM, SGLang
    r"|too long to fit into the model"  # vLLM
    r"|larger than the max(?:imum)? context size|exceed_context_size"  # llama.cpp
    r"|(?:overflows?|greater than) the context|context the overflows"  # LM Studio
    r"|`?inputs`? must have less than|`?inputs`? tokens \+ `?max_new_tokens`? must be"  # TGI, TEI
    r"|input is too long|too many input tokens|number of input tokens exceeds"  # Bedrock
    r"|too many tokens: |total number of tokens.{0,40}cannot exceed"  # Cohere
    r"|(?:prompt|input)(?: sequence)? length\b.{0,40}exceeds? (?:the )?max(?:imum)?"  # TensorRT-LLM
    r"|maximum prompt length"  # xAI
    r"|exceeds? (?:the )?token limit"  # Databricks
    r"|exceeds? (?:the )?(?:max(?:imum)? )?(?:number of |allowed )*input tokens"  # Databricks
    r"|reduce the length of the (?:messages|prompt|input)",
    re.IGNORECASE,
)
# The limit of the answer, in whose refusals some servers name the context too (vLLM).
_OUTPUT_WORDS = re.compile(
    r"(?<!\+ )(?<!\+ [`'])max_(?:completion_|output_|new_)?tokens\W+(?:or \W?max_\w+\W+)?(?:is |are |\(\d+\) |: "
    r"?\d+ |= ?\d+ )*(?:too (?:large|high|big)|cannot exceed|cannot be greater|must be|exceeds? the (?:maximum"
    r"|model's)|> \d)",
    re.IGNORECASE,
)


def is_overflow(message: str, codes: AbstractSet[str]) -> bool:
    """Return whether a refusal is about an input that is too long.

    Args:
        message: The server's words.
        codes: The codes of the refusal, in upper case.
    """
    if not codes.isdisjoint(_OVERFLOW_CODES):
        return True
    words = without_quotes(message)
    return _OVERFLOW_WORDS.search(words) is not None and _OUTPUT_WORDS.search(words) is None
