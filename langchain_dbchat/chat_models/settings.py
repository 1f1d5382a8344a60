"""The settings of the chat model: what is asked of the model, besides where it is and who calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from langchain_dbchat.connection.marks import Mark
from langchain_dbchat.connection.settings import DatabricksConnection


class ChatSettings(DatabricksConnection):
    """Fields that shape an answer; each may be given for one call as well."""

    temperature: Annotated[float | None, Mark((), "wire", per_call=True)] = None
    """Sampling temperature, 0 to 2. Unset, the endpoint's own default."""

    top_p: Annotated[float | None, Mark((), "wire", per_call=True)] = None
    """Share of probability mass that is sampled from, 0 to 1."""

    top_k: Annotated[int | None, Mark((), "wire", per_call=True)] = None
    """Number of tokens that are sampled from."""

    max_tokens: Annotated[int | None, Mark(("max_completion_tokens",), "wire", per_call=True)] = None
    """Longest answer, in tokens (alias ``max_completion_tokens``)."""

    max_tokens_name: Annotated[
        Literal["max_tokens", "max_completion_tokens"] | None, Mark(per_call=True, shown=False)
    ] = None
    """The request field that `max_tokens` goes into, where the family and the endpoint take either; unset, the name
    under which the limit was given."""

    stop: Annotated[str | list[str] | None, Mark(("stop_sequences",), "wire", per_call=True)] = None
    """Texts at which the answer ends (alias ``stop_sequences``)."""

    n: Annotated[int | None, Mark((), "wire", per_call=True)] = Field(default=None, ge=1)
    """Number of answers; more than one cannot be streamed."""

    seed: Annotated[int | None, Mark((), "wire", per_call=True)] = None
    """Seed for sampling."""

    frequency_penalty: Annotated[float | None, Mark((), "wire", per_call=True)] = None
    """Penalty on tokens by how often they came, -2 to 2."""

    presence_penalty: Annotated[float | None, Mark((), "wire", per_call=True)] = None
    """Penalty on tokens that came at all, -2 to 2."""

    logprobs: Annotated[bool | None, Mark((), "wire", per_call=True)] = None
    """Whether log probabilities come with the answer."""

    top_logprobs: Annotated[int | None, Mark((), "wire", per_call=True)] = None
    """How many alternatives come with each log probability."""

    reasoning_effort: Annotated[str | None, Mark((), "wire", per_call=True)] = None
    """How much to reason: none, minimal, low, medium, high, xhigh or max; mapped to what the family takes."""

    thinking: Annotated[Mapping[str, Any] | None, Mark((), "wire", per_call=True)] = None
    """Thinking in Anthropic's words: ``{"type": "enabled", "budget_tokens": n}``, ``{"type": "adaptive"}`` or
    ``{"type": "disabled"}``."""

    stream_usage: Annotated[bool, Mark(per_call=True)] = True
    """Whether a streamed answer ends with its token usage."""

    streaming: bool = False
    """Whether `invoke` streams under the hood."""

    coalesce: Annotated[bool, Mark(per_call=True)] = True
    """Whether deltas that arrived together become one chunk; it never waits. False gives one chunk for each event."""

    extra_body: Annotated[Mapping[str, Any] | None, Mark(("extra_params", "api_args"), per_call=True, shapes=True)] = (
        None
    )
    """Further request fields, merged last and deep (aliases ``extra_params``, ``api_args``); None deletes a field."""

    family: Annotated[str | None, Mark(per_call=True, shapes=True)] = None
    """The model family behind a custom endpoint, such as ``"claude"``, ``"gpt-5"`` or ``"gemini-3"``; ``"discover"``
    asks the workspace once."""

    strict_params: Annotated[bool, Mark(per_call=True)] = False
    """Whether a setting that the family refuses raises instead of being left out with a warning."""
