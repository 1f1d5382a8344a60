"""Apply what an endpoint has refused, and what its family refuses below the top of a request.

Rule 1. A lesson changes the row of the family for that endpoint, or leaves an optional field out.
Rule 2. ``extra_body`` is what the user wrote, so only fields that the endpoint has refused are left out of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from langchain_dbchat.dialects.dialect import PREFILL, ROLES
from langchain_dbchat.dialects.shared.blocks.block_fields import flattened
from langchain_dbchat.dialects.shared.request.merging import without_nested
from langchain_dbchat.dialects.shared.request.plain_fields import REFUSED

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

    from langchain_dbchat.dialects.dialect import RefusableFields, Target
    from langchain_dbchat.dialects.shared.request.other_formats import OtherFormat
    from langchain_dbchat.models.families import Family

__all__ = ["fit_extra", "other_format", "refused_keys", "taught"]

_LESSONS: dict[str, dict[str, Any]] = {
    "strict": {"strict_tools": False},
    "cache_control": {"cache_control": False},
    ROLES: {"alternating_roles": True},
    PREFILL: {"prefill": False},
}
"""What a lesson changes in the row of a family."""


def taught(target: Target) -> Target:
    """Return a target whose family has the facts that its endpoint has taught.

    Args:
        target: The model that is called.

    Returns:
        A target with another row, or the same.
    """
    if not target.lessons:
        return target
    columns = {name: value for lesson in target.lessons for name, value in _LESSONS.get(lesson, {}).items()}
    return target._replace(family=target.family._replace(**columns)) if columns else target


def other_format(settings: dict[str, Any], target: Target, *, unfit: str = "") -> OtherFormat | None:
    """Ask for a response format in another way, if the endpoint does not take it in this call.

    Args:
        settings: The settings of the call. They are not changed.
        target: The called model.
        unfit: Why the model does not take the response format in this call; empty if it does.

    Returns:
        What is asked for; None if the call has no response format, or one that can be sent.
    """
    if "response_format" not in settings:
        return None
    from langchain_dbchat.dialects.shared.request.other_formats import ask_otherwise  # noqa: PLC0415  # few calls have one

    return ask_otherwise(settings, target, unfit)


def fit_extra(extra: Mapping[str, Any], lessons: frozenset[str], refusable: RefusableFields) -> dict[str, Any]:
    """Return ``extra_body`` without the fields that the endpoint has refused.

    Args:
        extra: The user's further fields. They are not changed.
        lessons: What the endpoint has refused.
        refusable: The refusable fields of the wire format.

    Returns:
        New fields.
    """
    fitted = {key: value for key, value in extra.items() if key not in lessons or key not in refusable.left_out}
    for key in refusable.nested.keys() & lessons:
        fitted = without_nested(fitted, key)
    return fitted


def refused_keys(messages: Sequence[BaseMessage], tools: Sequence[Mapping[str, Any]], family: Family) -> dict[str, str]:
    """Find the optional keys of content and tools that are left out because the family refuses them.

    Args:
        messages: The conversation.
        tools: The bound tools, in OpenAI's format.
        family: The row of the called model, without the lessons of its endpoint.

    Returns:
        The reason for each key that was given.
    """
    refused: dict[str, str] = {}
    if not family.strict_tools and any(tool.get("function", {}).get("strict") for tool in tools):
        refused["strict"] = REFUSED
    if not family.cache_control and (
        any("cache_control" in tool for tool in tools)
        or any(
            isinstance(block, Mapping) and "cache_control" in flattened(block)
            for message in messages
            if isinstance(message.content, list)
            for block in message.content
        )
    ):
        refused["cache_control"] = REFUSED
    return refused
