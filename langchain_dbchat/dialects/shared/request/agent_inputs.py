"""Write what a caller gives to an agent besides the conversation, on each wire on which agents answer.

Rule 1. ``custom_inputs`` is what the agent itself defines. ``context`` is MLflow's `ChatContext`, which has
    ``conversation_id`` and ``user_id`` and refuses any other key (mlflow/types/agent.py).
Rule 2. Agent Serving returns a trace for ``databricks_options={"return_trace": True}``; MLflow's AgentServer, which
    answers in Databricks Apps, returns its id for the header ``x-mlflow-return-trace-id: true``
    (mlflow/genai/agent_server/server.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["AGENT_FIELDS", "TRACE_FIELDS", "agent_fields", "trace_headers", "trace_id_in"]

AGENT_FIELDS = ("custom_inputs", "context", "databricks_options")
"""The settings that only agents take."""

_TRACE_PATHS = (("trace_id",), ("metadata", "trace_id"), ("databricks_output", "trace", "info", "trace_id"))

TRACE_FIELDS = frozenset(path[0] for path in _TRACE_PATHS)
"""The fields of an answer that may contain the id of a trace."""

_CONTEXT = ("conversation_id", "user_id")


def agent_fields(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a request that only agents take.

    Args:
        settings: The settings of the call.

    Returns:
        The fields that are set; `custom_inputs` also if it is empty.

    Raises:
        TypeError: If ``context`` is not a mapping.
        ValueError: If it has a key that agents refuse, or a value that is not text.
    """
    context = settings.get("context") or {}
    if not isinstance(context, Mapping):
        raise TypeError(f"context is a {type(context).__name__}, but it has to be a mapping.")
    for key, value in context.items():
        if key not in _CONTEXT or not isinstance(value, str):
            raise ValueError(
                f"context={{{key!r}: ...}}: agents take the keys 'conversation_id' and 'user_id' only, each with a "
                "string. Pass anything else as custom_inputs."
            )
    return {key: settings[key] for key in AGENT_FIELDS if settings.get(key) is not None}


def trace_headers(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return the headers that ask MLflow's AgentServer for the id of the trace.

    Args:
        settings: The settings of the call.

    Returns:
        The headers; none if the caller does not ask for a trace.
    """
    options = settings.get("databricks_options")
    asks = isinstance(options, Mapping) and options.get("return_trace")
    return {"x-mlflow-return-trace-id": "true"} if asks else {}


def trace_id_in(payload: Mapping[str, Any]) -> str | None:
    """Return the id of the trace that an answer or an event contains.

    Args:
        payload: The answer or the event.

    Returns:
        The id, from ``trace_id``, ``metadata.trace_id`` or ``databricks_output.trace.info.trace_id``; None if there is
        none.
    """
    for path in _TRACE_PATHS:
        value: Any = payload
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        if value and isinstance(value, str):
            return value
    return None
