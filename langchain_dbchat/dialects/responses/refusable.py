"""The fields of Responses that the client changes after a 400 that names them; docs/settings.md lists them.

Rule 1. Only fields for sampling, for reports besides the answer, and hints are left out.
Rule 2. `with_structured_output` can request an answer with a tool or with ``text.format``. If an endpoint refuses one,
the other is used.
"""

from __future__ import annotations

from langchain_dbchat.dialects.dialect import RefusableFields

REFUSABLE = RefusableFields(
    optional=frozenset(
        {
            "temperature",
            "top_p",
            "top_logprobs",
            "include",
            "parallel_tool_calls",
            "truncation",
            "metadata",
            "user",
            "usage_context",
            "databricks_options",
        }
    ),
    nested={"strict": ("tools",)},
    replaced={"text.format": "response_format", "text": "response_format", "tool_choice": "tool_choice"},
)
