"""The arguments of the chat model for type checkers; `make arguments` writes this file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from langchain_dbchat.connection.arguments import ConnectionArguments

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from langchain_core.caches import BaseCache
    from langchain_core.callbacks import Callbacks
    from langchain_core.language_models import ModelProfile
    from langchain_core.rate_limiters import BaseRateLimiter

__all__ = ["ChatArguments"]


class ChatArguments(ConnectionArguments, total=False):
    """The names and types of the arguments; `ChatSettings` explains them."""

    api: Literal["auto", "chat", "responses", "messages", "agent"] | None
    temperature: float | None
    top_p: float | None
    top_k: int | None
    max_tokens: int | None
    max_completion_tokens: int | None
    max_output_tokens: int | None
    max_tokens_name: Literal["max_tokens", "max_completion_tokens"] | None
    stop: str | list[str] | None
    stop_sequences: str | list[str] | None
    n: int | None
    seed: int | None
    frequency_penalty: float | None
    presence_penalty: float | None
    logprobs: bool | None
    top_logprobs: int | None
    logit_bias: Mapping[str, float] | None
    reasoning_effort: str | None
    thinking: Mapping[str, Any] | None
    verbosity: str | None
    custom_inputs: Mapping[str, Any] | None
    context: Mapping[str, Any] | None
    databricks_options: Mapping[str, Any] | None
    usage_context: Mapping[str, str] | None
    stream_usage: bool | None
    include_response_headers: bool | None
    streaming: bool | None
    coalesce: bool | None
    extra_body: Mapping[str, Any] | None
    extra_params: Mapping[str, Any] | None
    api_args: Mapping[str, Any] | None
    model_kwargs: Mapping[str, Any] | None
    family: str | None
    strict_params: bool | None
    cache: BaseCache | bool | None
    callbacks: Callbacks
    custom_get_token_ids: Callable[[str], list[int]] | None
    disable_streaming: bool | Literal["tool_calling"]
    metadata: dict[str, Any] | None
    name: str | None
    output_version: str | None
    profile: ModelProfile | str | None
    rate_limiter: BaseRateLimiter | None
    tags: list[str] | None
    verbose: bool
    use_responses_api: bool | None
    drop_params: bool | None
    reasoning: Mapping[str, Any] | None
    tiktoken_model_name: str | None
    use_previous_response_id: bool | None
    audio: Any
    context_management: Any
    include: Any
    modalities: Any
    prediction: Any
    prompt_cache_key: Any
    prompt_cache_options: Any
    prompt_cache_retention: Any
    safety_identifier: Any
    service_tier: Any
    store: Any
    truncation: Any
    user: Any
    web_search_options: Any
