"""The arguments of the embeddings for type checkers; `make arguments` writes this file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from langchain_dbchat.connection.arguments import ConnectionArguments

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.rate_limiters import BaseRateLimiter

__all__ = ["EmbeddingArguments"]


class EmbeddingArguments(ConnectionArguments, total=False):
    """The names and types of the arguments; `EmbeddingSettings` explains them."""

    batch_size: int | None
    max_batch_bytes: int | None
    max_batch_tokens: int | None
    max_concurrency: int | None
    instruction: str | None
    query_instruction: str | None
    document_instruction: str | None
    extra_body: Mapping[str, Any] | None
    model_kwargs: Mapping[str, Any] | None
    extra_params: Mapping[str, Any] | None
    api_args: Mapping[str, Any] | None
    query_params: Mapping[str, Any] | None
    documents_params: Mapping[str, Any] | None
    dimensions: int | None
    normalize: bool | None
    too_long: Literal["raise", "cut"] | None
    window: int | None
    embedding_ctx_length: int | None
    show_progress: bool | None
    show_progress_bar: bool | None
    rate_limiter: BaseRateLimiter | None
    chunk_size: int | None
    skip_empty: bool | None
    check_embedding_ctx_length: bool | None
    tiktoken_enabled: bool | None
    tiktoken_model_name: str | None
    allowed_special: Any
    disallowed_special: Any
    encoding_format: str | None
    user: str | None
