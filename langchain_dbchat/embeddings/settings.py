"""The settings of the embeddings: how texts are batched, and what is asked of the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from langchain_core.rate_limiters import BaseRateLimiter
from pydantic import Field, model_validator

from langchain_dbchat.connection.marks import Mark
from langchain_dbchat.connection.requests import is_plain_server
from langchain_dbchat.connection.settings import DatabricksConnection
from langchain_dbchat.embeddings.rows import Shape
from langchain_dbchat.errors import ConfigurationError
from langchain_dbchat.models.embedding_models import MAX_INPUTS, UNKNOWN, EmbeddingModel, embedding_model_of

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["EmbeddingSettings", "EmbeddingSpec"]


@dataclass(frozen=True, slots=True)
class EmbeddingSpec:
    """What is true for the requests and rows of one instance: its own settings, else the facts of its model.

    Attributes:
        model: The facts of the model behind the endpoint.
        window: Tokens of one text that the model reads; None if that is not known.
        dimensions: The request field of that name; None if it is not sent.
        shape: The shape that rows must have.
    """

    model: EmbeddingModel
    window: int | None
    dimensions: int | None
    shape: Shape


class EmbeddingSettings(DatabricksConnection):
    """The fields of `DatabricksEmbeddings` besides those of the connection; each may also be given for one call."""

    batch_size: Annotated[int, Mark(per_call=True, group="batches")] = Field(default=100, ge=1, le=MAX_INPUTS)
    """Most texts in one request; Databricks refuses more than 150 (OpenAI's name ``chunk_size`` may be larger)."""

    max_batch_bytes: Annotated[int, Mark(per_call=True, group="batches")] = Field(default=4_000_000, gt=1024)
    """Most bytes in one request; model serving takes 4 MB."""

    max_batch_tokens: Annotated[int | None, Mark(per_call=True, group="batches")] = Field(default=None, ge=1)
    """Most tokens in one request; by an estimate that is rather too high than too low. Unset, no limit."""

    max_concurrency: Annotated[int, Mark(per_call=True, group="batches")] = Field(default=8, ge=1)
    """Most requests at the same time."""

    instruction: Annotated[str | None, Mark(per_call=True, group="texts and rows")] = None
    """What is put before queries and documents; by the server, under LiteLLM's name. The two fields below take
    precedence."""

    query_instruction: Annotated[str | None, Mark(per_call=True, group="texts and rows")] = None
    """What the server puts before a query; unset, what is documented for the model; ``""`` for nothing."""

    document_instruction: Annotated[str | None, Mark(per_call=True, group="texts and rows")] = None
    """What the server puts before a document; unset, nothing, as documented for all models."""

    extra_body: Annotated[
        Mapping[str, Any] | None,
        Mark(("model_kwargs", "extra_params", "api_args"), per_call=True, group="further request fields"),
    ] = None
    """Further request fields for queries and documents (aliases ``model_kwargs``, ``extra_params``, ``api_args``); the
    two fields below take precedence."""

    query_params: Annotated[Mapping[str, Any], Mark(per_call=True, group="further request fields")] = Field(
        default_factory=dict
    )
    """Further request fields for queries; they take precedence over the fields above."""

    documents_params: Annotated[Mapping[str, Any], Mark(per_call=True, group="further request fields")] = Field(
        default_factory=dict
    )
    """Further request fields for documents; they take precedence over the fields above."""

    dimensions: Annotated[int | None, Mark(per_call=True, group="texts and rows")] = Field(default=None, ge=1)
    """Length of a row, where the model offers a choice."""

    normalize: Annotated[bool | None, Mark(per_call=True, group="texts and rows")] = None
    """Whether this client scales rows to length 1; unset, it does so where the model's rows are known to have
    another length (GTE), because vector stores compute relevance from rows of length 1."""

    too_long: Annotated[Literal["raise", "cut"], Mark(per_call=True, group="texts and rows")] = "raise"
    """What to do with a text that is longer than the model reads."""

    window: Annotated[int | None, Mark(("embedding_ctx_length",), per_call=True, group="texts and rows")] = Field(
        default=None, ge=1
    )
    """Tokens of one text that the model reads (alias ``embedding_ctx_length``); unset, what is known of the model. If
    that is not known either, the length of texts is not checked."""

    show_progress: Annotated[bool, Mark(("show_progress_bar",), per_call=True, group="batches")] = False
    """Whether to show a progress bar (alias ``show_progress_bar``). In a terminal or a notebook."""

    rate_limiter: Annotated[BaseRateLimiter | None, Mark(per_call=True, group="batches")] = Field(
        default=None, exclude=True, repr=False
    )
    """LangChain's rate limiter; asked before each request, not before each text."""

    @model_validator(mode="after")
    def _check_dimensions(self) -> Self:
        spec_of(self)
        return self


def spec_of(settings: EmbeddingSettings) -> EmbeddingSpec:
    """Fill what the settings leave open with the facts of the model behind the endpoint.

    Args:
        settings: The settings.

    Returns:
        The specification. For another server than a workspace, no facts are assumed.

    Raises:
        ConfigurationError: If the model does not offer ``dimensions``.
    """
    is_plain = is_plain_server(settings)
    model = UNKNOWN if is_plain else embedding_model_of(settings.model)
    wanted = settings.dimensions
    if wanted is not None and model.dimensions is not None:
        if wanted > model.dimensions or (wanted < model.dimensions and not model.chooses_dimensions):
            few = "at most" if model.chooses_dimensions else "always"
            raise ConfigurationError(
                f"dimensions={wanted}: {settings.model!r} gives {few} {model.dimensions}. Leave dimensions out, or "
                "call another endpoint."
            )
        if not model.chooses_dimensions:
            wanted = None
    scaled = model.dimensions if settings.normalize is None and model.normalized is False else None
    shape = Shape(settings.dimensions, cuttable=model.is_nested, normalize=bool(settings.normalize), scaled=scaled)
    return EmbeddingSpec(model, settings.window or model.window, wanted, shape)
