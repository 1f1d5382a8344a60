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

    from langchain_dbchat.models.families import Family


def encode_thinking(  # noqa: PLR0913  # the user's settings and the model, the last two by keyword
    effort: str | None,
    thinking: Mapping[str, Any] | None,
    max_tokens: int | None,
    family: Family,
    *,
    tools: bool,
    model: str = "",
) -> tuple[dict[str, Any], list[str]]:
    """Return the request fields for the settings of reasoning; see `write_thinking`.

    Args:
        effort: The user's ``reasoning_effort``.
        thinking: The user's ``thinking``.
        max_tokens: The user's limit of the answer, in tokens.
        family: The row of the called model.
        tools: Whether tools are bound in this request.
        model: The user's name of the model, for errors; if it is empty they name the family.

    Returns:
        The fields to send, and warnings for the user.

    Raises:
        ValueError: If the family does not support the settings; the text says what it supports.
    """
    is_off = is_switched_off({"reasoning_effort": effort, "thinking": thinking})
    if tools and not is_off and family_quirks(family).tools_need_effort_none:
        if effort is not None:
            who = repr(model) if model else f"the family {family.name!r}"
            raise ValueError(
                f"{who} takes tools on chat completions only with "
                f"reasoning_effort='none'; leave reasoning_effort={effort!r} out, or call without tools."
            )
        return {"reasoning_effort": "none"}, []
    return write_thinking(effort, thinking, max_tokens, family, tools=tools, model=model)


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
