"""Encode the settings for reasoning on chat completions, where some models take tools only without reasoning.

Rule 1. GPT-5.4 to 5.6: "Function tools with reasoning_effort are not supported for gpt-5.6-sol in
/v1/chat/completions. To use function tools, use /v1/responses or set reasoning_effort to 'none'."
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_dbchat.dialects.chat_completions.quirks import family_quirks
from langchain_dbchat.dialects.shared.request.thinking import is_switched_off, write_thinking

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_dbchat.dialects.dialect import Target
    from langchain_dbchat.models.families import Family


def encode_thinking(settings: Mapping[str, Any], target: Target, *, tools: bool) -> tuple[dict[str, Any], list[str]]:
    """Return the request fields for the settings of reasoning, as `write_thinking` does.

    Args:
        settings: The settings of the call.
        target: The called model.
        tools: Whether tools are bound in this request.

    Returns:
        The fields to send, and warnings for the user.

    Raises:
        ValueError: If the model does not support the settings. The error names those that it supports.
    """
    family, effort = target.family, settings.get("reasoning_effort")
    if tools and family_quirks(family).tools_need_effort_none and not is_switched_off(settings):
        if effort is not None:
            who = repr(target.model) if target.model else f"the family {family.name!r}"
            raise ValueError(
                f"{who} takes tools on chat completions only with "
                f"reasoning_effort='none'; leave reasoning_effort={effort!r} out, or call without tools."
            )
        return {"reasoning_effort": "none"}, []
    limit = settings.get("max_tokens")
    return write_thinking(effort, settings.get("thinking"), limit, family, tools=tools, model=target.model)


def has_tools_with_effort(settings: Mapping[str, Any], family: Family) -> bool:
    """Return whether a call combines tools with an effort that the family takes without tools only.

    Args:
        settings: The settings of the call.
        family: The row of the called model.

    Returns:
        True if chat completions would refuse the call.
    """
    if not settings.get("tools") or not family_quirks(family).tools_need_effort_none:
        return False
    wanted = settings.get("reasoning_effort") is not None or settings.get("thinking") is not None
    return wanted and not is_switched_off(settings)
