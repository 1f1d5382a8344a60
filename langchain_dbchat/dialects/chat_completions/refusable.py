"""The fields of chat completions about which a 400 may teach something; docs/settings.md lists them.

Rule 1. What may be left out says how to sample, what to report besides the answer, or is a hint. Any other field says
what is asked, and stays.
Rule 2. The limit of an answer's length has two names (``max_tokens``, and ``max_completion_tokens`` for OpenAI's
reasoning models); an endpoint that refuses one gets the value under the other (pydantic-ai #1205, dify #24307).
Rule 3. A structured answer that `with_structured_output` asked for can be had by a tool or by a response format; an
endpoint that refuses one is asked by the other.
"""

from __future__ import annotations

from langchain_dbchat.dialects.dialect import RefusableFields

REFUSABLE = RefusableFields(
    optional=frozenset(
        {
            "temperature",
            "top_p",
            "top_k",
            "min_p",
            "seed",
            "frequency_penalty",
            "presence_penalty",
            "repetition_penalty",
            "logprobs",
            "top_logprobs",
            "parallel_tool_calls",
            "stream_options",
            "service_tier",
            "verbosity",
            "user",
            "metadata",
        }
    ),
    nested={"strict": ("tools",), "cache_control": ("messages", "tools"), "name": ("messages",)},
    renamed={"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"},
    replaced=frozenset({"response_format", "tool_choice"}),
)
