"""Choose the settings of a call that are sent unchanged, and those that are left out.

Rule 1. What the family refuses is left out with a warning, because its meaning is only a hint (sampling, penalties,
``seed``).
Rule 2. A setting with the API's default value is left out without a warning. One answer (``n=1``) is never asked for,
because agents and other wire formats do not know the field, and databricks-langchain does not send it either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_dbchat.dialects.shared.request.thinking import is_switched_off, is_thinking

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

    from langchain_dbchat.dialects.dialect import Target

__all__ = ["DEFAULTS", "REFUSED", "plain_fields"]

REFUSED = "the endpoint refuses it"
"""Why a field is left out."""

_SAMPLING = ("temperature", "top_p", "top_k")
_SAMPLING_WITHOUT_REASONING = frozenset({"temperature", "top_p"})
"""Fields that some families accept only while they do not reason."""

DEFAULTS = {
    "n": 1, "logprobs": False, "top_logprobs": 0, "frequency_penalty": 0, "presence_penalty": 0, "temperature": 1,
    "top_p": 1, "parallel_tool_calls": True, "store": False,
}  # fmt: skip
"""Default values (OpenAI's API reference; Databricks stores nothing): leaving them out has no effect, so there is no
warning."""

_ONE_ANSWER = ("n", 1)


def plain_fields(  # noqa: PLR0913, PLR0917  # the settings, the model, and the fields of one wire format
    settings: Mapping[str, Any],
    fields: Mapping[str, Any],
    target: Target,
    refuses: AbstractSet[str],
    handled: AbstractSet[str],
    optional: AbstractSet[str],
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the settings that are sent unchanged.

    Args:
        settings: The settings of the call.
        fields: The request fields for reasoning.
        target: The called model.
        refuses: The settings that the model refuses on this wire.
        handled: The settings that the dialect writes itself.
        optional: The fields that are left out if the endpoint has refused them.

    Returns:
        The fields to send, and the reason for each field that is left out.
    """
    if not settings:
        return {}, {}
    sent: dict[str, Any] = {}
    dropped: dict[str, str] = {}
    family = target.family
    conditional = _SAMPLING_WITHOUT_REASONING if family.sampling_without_reasoning else frozenset()
    is_off = bool(conditional) and is_switched_off(settings) and fields.get("reasoning_effort") == "none"
    without_sampling = not family.sampling_with_thinking and is_thinking({**settings, **fields}, family)
    for key, value in settings.items():
        if (
            key in handled
            or value in ([], {})
            or (key, value) == _ONE_ANSWER
            or (key in target.lessons and key in optional)
        ):
            continue
        if key in refuses and not (key in conditional and is_off):
            reason = REFUSED + (" unless reasoning_effort is 'none'" if key in conditional else "")
        elif without_sampling and key in _SAMPLING:
            reason = "the endpoint refuses it while the model thinks"
        else:
            sent[key] = value
            continue
        if value != DEFAULTS.get(key):
            dropped[key] = reason
    return sent, dropped
