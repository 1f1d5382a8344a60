"""Names that this package uses in LangChain's messages for what LangChain has no name for."""

from __future__ import annotations

__all__ = ["CALL_EXTRAS", "FUNCTION_EXTRAS", "PROVIDER"]

PROVIDER = "databricks"
"""Our ``model_provider`` in ``response_metadata``, the same as ``ls_provider``."""

CALL_EXTRAS = "databricks_tool_call_extras"
"""Where ``additional_kwargs`` keeps, by call id, what a tool call contained besides its function (Gemini's
``thoughtSignature``)."""

FUNCTION_EXTRAS = "function_extras"
"""Where what a call's ``function`` contained besides its name and arguments is kept, among the call's extras."""
