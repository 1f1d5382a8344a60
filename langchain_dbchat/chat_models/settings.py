"""The settings of the chat model that are not settings of the connection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from langchain_dbchat.connection.marks import Mark
from langchain_dbchat.connection.settings import DatabricksConnection


class ChatSettings(DatabricksConnection):
    """Fields that shape an answer; each may also be given for one call."""

    api: Annotated[
        Literal["auto", "chat", "responses", "messages", "agent"],
        Mark(per_call=True, shapes=True, group="model and address"),
    ] = "auto"
    """The API of the endpoint, or ``"auto"``: ``"chat"`` (OpenAI's chat completions), ``"responses"`` (OpenAI's
    Responses and MLflow's ResponsesAgent), ``"messages"`` (Anthropic's Messages), ``"agent"`` (MLflow's ChatAgent).
    ``"auto"`` chooses by the model, its name and address, and what the endpoint has answered."""

    temperature: Annotated[float | None, Mark((), "wire", per_call=True)] = None
    """Sampling temperature, 0 to 2. If it is not set, the endpoint uses its default."""

    top_p: Annotated[float | None, Mark((), "wire", per_call=True)] = None
    """Nucleus sampling, 0 to 1: the share of the probability mass from which tokens are sampled."""

    top_k: Annotated[int | None, Mark((), "wire", per_call=True)] = None
    """Number of most likely tokens that are sampled from."""

    max_tokens: Annotated[int | None, Mark(("max_completion_tokens", "max_output_tokens"), "wire", per_call=True)] = (
        None
    )
    """Maximum length of the answer, in tokens (aliases ``max_completion_tokens``, ``max_output_tokens``)."""

    max_tokens_name: Annotated[
        Literal["max_tokens", "max_completion_tokens"] | None,
        Mark(per_call=True, shown=False, group="sampling and length"),
    ] = None
    """The name under which `max_tokens` is sent. It is used where the family and the endpoint accept either name; by
    default it is the name under which the limit was given."""

    stop: Annotated[str | list[str] | None, Mark(("stop_sequences",), "wire", per_call=True)] = None
    """Texts at which the answer ends (alias ``stop_sequences``)."""

    n: Annotated[int | None, Mark((), "wire", per_call=True)] = Field(default=None, ge=1)
    """Number of answers. More than one answer cannot be streamed."""

    seed: Annotated[int | None, Mark((), "wire", per_call=True)] = None
    """Seed for sampling."""

    frequency_penalty: Annotated[float | None, Mark((), "wire", per_call=True)] = None
    """Penalty on frequent tokens, -2 to 2. It grows with the number of times that they occurred."""

    presence_penalty: Annotated[float | None, Mark((), "wire", per_call=True)] = None
    """Penalty on tokens that occurred, -2 to 2."""

    logprobs: Annotated[bool | None, Mark((), "wire", per_call=True)] = None
    """Whether the answer contains log probabilities."""

    top_logprobs: Annotated[int | None, Mark((), "wire", per_call=True)] = None
    """Number of alternatives for each log probability."""

    logit_bias: Annotated[Mapping[str, float] | None, Mark((), "wire", per_call=True)] = None
    """Changes of the likelihood of tokens. The keys are their numbers in the model's vocabulary; each change is -100 to
    100."""

    reasoning_effort: Annotated[str | None, Mark((), "wire", per_call=True, group="reasoning")] = None
    """Amount of reasoning, from none to max: none, minimal, low, medium, high, xhigh or max; mapped to the spelling of
    the family."""

    thinking: Annotated[Mapping[str, Any] | None, Mark((), "wire", per_call=True, group="reasoning")] = None
    """Thinking in Anthropic's format: ``{"type": "enabled", "budget_tokens": n}``, ``{"type": "adaptive"}`` or
    ``{"type": "disabled"}``."""

    verbosity: Annotated[str | None, Mark((), "wire", per_call=True, group="reasoning")] = None
    """Length of the answer, low, medium or high."""

    custom_inputs: Annotated[Mapping[str, Any] | None, Mark((), "wire", per_call=True, group="agents")] = None
    """Inputs that an agent defines itself; its ``custom_outputs`` are in the answer's ``response_metadata``."""

    context: Annotated[Mapping[str, Any] | None, Mark((), "wire", per_call=True, group="agents")] = None
    """The conversation that an agent continues; ``{"conversation_id": ..., "user_id": ...}``."""

    databricks_options: Annotated[Mapping[str, Any] | None, Mark((), "wire", per_call=True, group="agents")] = None
    """Options of agent endpoints; such as ``{"return_trace": True}``."""

    usage_context: Annotated[
        Mapping[str, str] | None, Mark((), "wire", per_call=True, group="further request fields")
    ] = None
    """Labels of the request in the endpoint's usage tables."""

    stream_usage: Annotated[bool, Mark(per_call=True, group="form of the answer")] = True
    """Whether a streamed answer ends with the usage; its last chunk then contains the number of tokens."""

    include_response_headers: Annotated[bool, Mark(per_call=True, group="form of the answer")] = False
    """Whether to keep the response's headers; in ``response_metadata["headers"]``, without cookies and secrets."""

    streaming: Annotated[bool, Mark(group="form of the answer")] = False
    """Whether `invoke` requests a stream and joins its chunks."""

    coalesce: Annotated[bool, Mark(per_call=True, group="form of the answer")] = True
    """Whether deltas that arrived together become one chunk; nothing waits for more unless an event loop is busy.
    False: one chunk per event."""

    extra_body: Annotated[
        Mapping[str, Any] | None,
        Mark(("extra_params", "api_args", "model_kwargs"), per_call=True, shapes=True, group="further request fields"),
    ] = None
    """Further request fields, deep-merged last (aliases ``extra_params``, ``api_args``, ``model_kwargs``); None deletes
    a field."""

    family: Annotated[str | None, Mark(per_call=True, shapes=True, group="model and address")] = None
    """The model family behind a custom endpoint; such as ``"claude"``, ``"gpt-5"`` or ``"gemini-3"``. ``"discover"``
    reads it from the workspace, once."""

    strict_params: Annotated[bool, Mark(per_call=True, group="further request fields")] = False
    """Whether a setting that does not fit is an error. By default a setting that the family refuses is left out, with a
    warning."""
