"""The settings of the chat model: what is asked of the model, besides where it is and who calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from langchain_dbchat.connection import DatabricksConnection

WIRE_FIELDS = (
    "temperature",
    "top_p",
    "top_k",
    "max_tokens",
    "stop",
    "n",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "logprobs",
    "top_logprobs",
    "reasoning_effort",
    "thinking",
)
"""Settings of the constructor that are fields of the request."""

ALIASES = {
    "max_completion_tokens": "max_tokens",
    "stop_sequences": "stop",
    "extra_params": "extra_body",
    "api_args": "extra_body",
}
"""Other names of settings, for the constructor and for a call."""


class ChatSettings(DatabricksConnection):
    """Fields that shape an answer; each may be given for one call as well."""

    temperature: float | None = None
    """Sampling temperature, 0 to 2. Unset, the endpoint's own default."""

    top_p: float | None = None
    """Share of probability mass that is sampled from, 0 to 1."""

    top_k: int | None = None
    """Number of tokens that are sampled from."""

    max_tokens: int | None = None
    """Longest answer, in tokens (alias ``max_completion_tokens``)."""

    stop: str | list[str] | None = None
    """Texts at which the answer ends (alias ``stop_sequences``)."""

    n: int | None = Field(default=None, ge=1)
    """Number of answers; more than one cannot be streamed."""

    seed: int | None = None
    """Seed for sampling."""

    frequency_penalty: float | None = None
    """Penalty on tokens by how often they came, -2 to 2."""

    presence_penalty: float | None = None
    """Penalty on tokens that came at all, -2 to 2."""

    logprobs: bool | None = None
    """Whether log probabilities come with the answer."""

    top_logprobs: int | None = None
    """How many alternatives come with each log probability."""

    reasoning_effort: str | None = None
    """How much to reason: none, minimal, low, medium, high, xhigh or max; mapped to what the family takes."""

    thinking: Mapping[str, Any] | None = None
    """Thinking in Anthropic's words: ``{"type": "enabled", "budget_tokens": n}``, ``{"type": "adaptive"}`` or
    ``{"type": "disabled"}``."""

    stream_usage: bool = True
    """Whether a streamed answer ends with its token usage."""

    streaming: bool = False
    """Whether `invoke` streams under the hood."""

    coalesce: bool = True
    """Whether deltas that arrived together become one chunk; it never waits. False gives one chunk for each event."""

    extra_body: Mapping[str, Any] | None = None
    """Further request fields, merged last and deep (aliases ``extra_params``, ``api_args``); None deletes a field."""

    family: str | None = None
    """The model family behind a custom endpoint, such as ``"claude"``, ``"gpt-5"`` or ``"gemini-3"``; ``"discover"``
    asks the workspace once."""

    strict_params: bool = False
    """Whether a setting that the family refuses raises instead of being left out with a warning."""

    @classmethod
    def _own_aliases(cls) -> dict[str, str]:
        return ALIASES
