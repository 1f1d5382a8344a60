"""The fields of a ChatAgent's request that the client leaves out after a 400 that names them.

Rule 1. Only what asks for a report besides the answer is left out. What the user says to the agent is never left out.
"""

from __future__ import annotations

from langchain_dbchat.dialects.dialect import RefusableFields

REFUSABLE = RefusableFields(optional=frozenset({"databricks_options", "usage_context"}))
