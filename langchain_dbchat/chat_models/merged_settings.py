"""Merge the settings of one call over those of the model's constructor."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from langchain_dbchat.connection.given import call_settings
from langchain_dbchat.connection.marks import COMPLETION_LIMIT, marks_of
from langchain_dbchat.dialects.shared.request.merging import merge_deep
from langchain_dbchat.dialects.shared.request.tools import split_tool_choice

if TYPE_CHECKING:
    from langchain_dbchat.chat_models.settings import ChatSettings

__all__ = ["merge_extra_body", "merge_settings"]

_REASONING = ("reasoning_effort", "thinking")
"""Two spellings of one setting: if a call gives either of them, it replaces both."""


def merge_settings(model: ChatSettings, stop: list[str] | None, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Merge the settings of a call over those of the constructor.

    Args:
        model: The model.
        stop: The call's ``stop``.
        kwargs: The call's other settings, under any of their names. None unsets a setting of the constructor, except
            for ``stop``, which LangChain always gives.

    Returns:
        The settings by their wire names.

    Raises:
        ValueError: If a setting can only be given to the constructor.
        TypeError: If a setting is of a wrong type.
    """
    marks = marks_of(type(model))
    settings: dict[str, Any] = dict(zip(marks.wire, marks.wire_values(model), strict=True))
    called = call_settings(type(model), kwargs)
    if called.keys() & _REASONING:
        settings.update(dict.fromkeys(_REASONING))
    settings.update(called)
    if "tool_choice" in settings:
        settings["tool_choice"], parallel = split_tool_choice(settings["tool_choice"])
        settings = {**parallel, **settings}
    if stop is not None:
        settings["stop"] = stop
    if settings["stop"] is not None:
        settings["stop"] = _texts(settings["stop"])
    return settings


def _texts(stop: Any) -> list[str]:
    if isinstance(stop, str):
        return [stop]
    texts = stop if isinstance(stop, Collection) and not isinstance(stop, Mapping) else [stop]
    wrong = [type(text).__name__ for text in texts if not isinstance(text, str)]
    if wrong:
        raise TypeError(f"stop is or contains a {wrong[0]}, but it has to be a string or a list of strings.")
    return list(texts)


def merge_extra_body(model: ChatSettings, settings: dict[str, Any]) -> dict[str, Any]:
    """Merge the extra fields of a call over the constructor's.

    Args:
        model: The model.
        settings: The merged settings; ``extra_body`` is removed. Fields for reasoning and for the answer's length are
            added, because they also have to fit the family.

    Returns:
        The other extra fields.
    """
    if "extra_body" not in settings and not model.extra_body:
        return {}
    given = settings.pop("extra_body", {})
    extra = {} if given is None else merge_deep(model.extra_body or {}, given, keep_none=True)
    for key in _REASONING:
        if extra.get(key) is not None:
            settings[key] = extra.pop(key)
    if isinstance(extra.get("reasoning"), Mapping) and "effort" not in extra["reasoning"]:
        settings["reasoning"] = extra.pop("reasoning")  # OpenAI's request for summaries, which only Responses knows
    for key in ("max_tokens", COMPLETION_LIMIT):
        if extra.get(key) is not None:
            settings["max_tokens"], settings["max_tokens_name"] = extra.pop(key), key
    return extra
