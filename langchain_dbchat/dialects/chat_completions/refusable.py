"""The fields of chat completions that the client changes after a 400 that names them; docs/settings.md lists them.

Rule 1. Only fields for sampling, for reports besides the answer, and hints are left out. Any other field is a part of
what the user wants, and is never left out.
Rule 2. The limit of an answer's length has two names (``max_tokens``, and ``max_completion_tokens`` for OpenAI's
reasoning models). If an endpoint refuses one, the value is sent under the other (pydantic-ai #1205, dify #24307).
Rule 3. ``thinking_blocks``, in which a LiteLLM proxy gets its reasoning back, is unknown to other servers, which refuse
it (OpenAI, Groq, vLLM). The reasoning of earlier answers is then not sent.
Rule 4. An answer with a schema can be requested with a tool or with a response format. If an endpoint refuses the
response format, the tool is used; if it refuses the tool choice of `with_structured_output`, the response format is.
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
    nested={
        "strict": ("tools",),
        "cache_control": ("messages", "tools"),
        "name": ("messages",),
        "thinking_blocks": ("messages",),
    },
    renamed={"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"},
    replaced={"response_format": "response_format", "tool_choice": "tool_choice"},
)
