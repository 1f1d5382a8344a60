"""The settings of the chat model that are not settings of the connection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from langchain_dbchat.connection.marks import Mark
from langchain_dbchat.connection.settings import DatabricksConnection


class ChatSettings(DatabricksConnection):
    """Fields that shape an answer; each may also be given for one call."""

    api: Annotated[Literal["auto", "chat", "responses", "messages", "agent"], Mark(per_call=True, shapes=True)] = "auto"
    """The API of the endpoint: ``"chat"`` (OpenAI's chat completions), ``"responses"`` (OpenAI's Responses and MLflow's
    ResponsesAgent), ``"messages"`` (Anthropic's Messages), ``"agent"`` (MLflow's ChatAgent); ``"auto"`` chooses by the
    model, its name and address, and what the endpoint has answered."""

    temperature: Annotated[float | None, Mark((), "wire", per_call=True)] = None
    """Sampling temperature, 0 to 2. If it is not set, the endpoint uses its default."""

    top_p: Annotated[float | None, Mark((), "wire", per_call=True)] = None
    """Nucleus sampling: the share of the probability mass from which tokens are sampled, 0 to 1."""

    top_k: Annotated[int | None, Mark((), "wire", per_call=True)] = None
    """Number of the most likely tokens from which the next one is sampled."""

    max_tokens: Annotated[int | None, Mark(("max_completion_tokens",), "wire", per_call=True)] = None
    """Maximum length of the answer, in tokens (alias ``max_completion_tokens``)."""

    max_tokens_name: Annotated[
        Literal["max_tokens", "max_completion_tokens"] | None, Mark(per_call=True, shown=False)
    ] = None
    """The request field for `max_tokens`, if the family and the endpoint accept either; by default the name under which
    the limit was given."""

    stop: Annotated[str | list[str] | None, Mark(("stop_sequences",), "wire", per_call=True)] = None
    """Texts at which the answer ends (alias ``stop_sequences``)."""

    n: Annotated[int | None, Mark((), "wire", per_call=True)] = Field(default=None, ge=1)
    """Number of answers. More than one answer cannot be streamed."""

    seed: Annotated[int | None, Mark((), "wire", per_call=True)] = None
    """Seed for sampling."""

    frequency_penalty: Annotated[float | None, Mark((), "wire", per_call=True)] = None
    """Penalty on tokens in proportion to how often they occurred, -2 to 2."""

    presence_penalty: Annotated[float | None, Mark((), "wire", per_call=True)] = None
    """Penalty on tokens that occurred at least once, -2 to 2."""

    logprobs: Annotated[bool | None, Mark((), "wire", per_call=True)] = None
    """Whether the answer contains log probabilities."""

    top_logprobs: Annotated[int | None, Mark((), "wire", per_call=True)] = None
    """Number of alternatives for each log probability."""

    logit_bias: Annotated[Mapping[str, float] | None, Mark((), "wire", per_call=True)] = None
    """Changes of the likelihood of tokens, by their numbers in the model's vocabulary, -100 to 100 each."""

    reasoning_effort: Annotated[str | None, Mark((), "wire", per_call=True)] = None
    """Amount of reasoning: none, minimal, low, medium, high, xhigh or max; mapped to the spelling of the family."""

    thinking: Annotated[Mapping[str, Any] | None, Mark((), "wire", per_call=True)] = None
    """Thinking in Anthropic's format: ``{"type": "enabled", "budget_tokens": n}``, ``{"type": "adaptive"}`` or
    ``{"type": "disabled"}``."""

    verbosity: Annotated[str | None, Mark((), "wire", per_call=True)] = None
    """Length of the answer in words: low, medium or high."""

    custom_inputs: Annotated[Mapping[str, Any] | None, Mark((), "wire", per_call=True)] = None
    """Inputs that an agent defines itself; its ``custom_outputs`` are in the answer's ``response_metadata``."""

    context: Annotated[Mapping[str, Any] | None, Mark((), "wire", per_call=True)] = None
    """The conversation for an agent: ``{"conversation_id": ..., "user_id": ...}``."""

    databricks_options: Annotated[Mapping[str, Any] | None, Mark((), "wire", per_call=True)] = None
    """Options of agent endpoints, such as ``{"return_trace": True}``."""

    usage_context: Annotated[Mapping[str, str] | None, Mark((), "wire", per_call=True)] = None
    """Labels of the request in the endpoint's usage tables."""

    stream_usage: Annotated[bool, Mark(per_call=True)] = True
    """Whether the last chunk of a streamed answer contains the token usage."""

    include_response_headers: Annotated[bool, Mark(per_call=True)] = False
    """Whether the headers of the HTTP response are in ``response_metadata["headers"]``, without cookies and secrets."""

    streaming: bool = False
    """Whether `invoke` requests a stream and joins its chunks."""

    coalesce: Annotated[bool, Mark(per_call=True)] = True
    """Whether deltas that arrived together become one chunk; it never waits for more. False: one chunk per event."""

    extra_body: Annotated[
        Mapping[str, Any] | None, Mark(("extra_params", "api_args", "model_kwargs"), per_call=True, shapes=True)
    ] = None
    """Further request fields, deep-merged last (aliases ``extra_params``, ``api_args``, ``model_kwargs``); None deletes
    a field."""

    family: Annotated[str | None, Mark(per_call=True, shapes=True)] = None
    """The model family behind a custom endpoint, such as ``"claude"``, ``"gpt-5"`` or ``"gemini-3"``; ``"discover"``
    reads it from the workspace, once."""

    strict_params: Annotated[bool, Mark(per_call=True)] = False
    """Whether a setting that the family refuses raises an error instead of being left out with a warning."""
