"""The fields of Messages that the client changes after a 400 that names them; docs/settings.md lists them.

Rule 1. Only fields for sampling, for the service's own records, and hints are left out.
Rule 2. `with_structured_output` can request an answer with a tool or with ``output_config.format``. If an endpoint
refuses one, the other is used.
"""

from __future__ import annotations

from langchain_dbchat.dialects.dialect import RefusableFields

REFUSABLE = RefusableFields(
    optional=frozenset({"temperature", "top_p", "top_k", "metadata", "service_tier", "inference_geo"}),
    nested={"strict": ("tools",), "cache_control": ("messages", "system", "tools")},
    replaced={
        "output_config.format": "response_format",
        "output_config": "response_format",
        "tool_choice": "tool_choice",
    },
)
