"""Checks that requests to all kinds of agents share; each raises `ValueError` with what is wrong.

Rule 1. An unknown field is ignored, because model serving drops what the schema of the agent does not have
(mlflow/models/utils.py, ``_enforce_schema``).
Rule 2. ``context`` has ``conversation_id`` and ``user_id`` only, each a string (mlflow/types/agent.py).
"""

from __future__ import annotations

from typing import Any

from langchain_dbchat.local.agents import AgentRequest

CONTEXT = ("conversation_id", "user_id")

Checked = tuple[list[dict[str, Any]], dict[str, bool]]
"""The conversation in the format of chat completions, and the answers to approval requests."""


def invalid(text: str) -> ValueError:
    """Return the error of a request that the agent does not take.

    Args:
        text: What is wrong.
    """
    return ValueError(text)


def read_request(body: dict[str, Any], form: Any) -> AgentRequest:
    """Check a request, and return what the agent's function gets.

    Args:
        body: Its body.
        form: The module of the agent's task.

    Raises:
        ValueError: If the agent does not take it.
    """
    messages, approvals = form.check(_items(body, form.INPUT, form.KNOWN))
    inputs, context = body.get("custom_inputs"), body.get("context")
    objects = (("custom_inputs", inputs), ("context", context), ("databricks_options", body.get("databricks_options")))
    for name, value in objects:
        if value is not None and not isinstance(value, dict):
            raise invalid(f"{name}: Input should be a valid dictionary")
    for key, value in (context or {}).items():
        if key not in CONTEXT:
            raise invalid(f"context.{key}: Extra inputs are not permitted")
        if not isinstance(value, str):
            raise invalid(f"context.{key}: Input should be a valid string")
    return AgentRequest(messages, dict(inputs or {}), dict(context or {}), approvals)


def _items(body: dict[str, Any], name: str, known: frozenset[str]) -> list[dict[str, Any]]:
    """Return the messages or items of a request."""
    if body.get(name) is None:
        extra = sorted(body.keys() - known)
        more = f" Note that there were extra inputs: {extra}." if extra else ""
        raise invalid(f"Model is missing inputs ['{name}'].{more}")
    given = body[name]
    if not isinstance(given, list) or not given:
        raise invalid(f"{name}: Input should be a valid list that is not empty")
    for place, one in enumerate(given):
        if not isinstance(one, dict):
            raise invalid(f"{name}.{place}: Input should be a valid dictionary")
    return given


def check_text(where: str, value: Any) -> str:
    """Return a value that has to be text.

    Raises:
        ValueError: If it is not.
    """
    if not isinstance(value, str):
        raise invalid(f"{where}: Input should be a valid string")
    return value


def check_pairs(calls: list[str], results: list[str]) -> None:
    """Check that each call has one result, because the agent passes the conversation on to a model.

    Args:
        calls: The ids of the calls.
        results: The ids that the results name.

    Raises:
        ValueError: If a call has no result or several, or a result has no call.
    """
    for call_id in results:
        if call_id not in calls:
            raise invalid(f"No tool call found for the result with the id {call_id!r}")
        if results.count(call_id) > 1:
            raise invalid(f"each tool_use must have a single result. Found multiple results with id: {call_id}")
    for call_id in calls:
        if call_id not in results:
            raise invalid(f"No tool output found for function call {call_id}")
