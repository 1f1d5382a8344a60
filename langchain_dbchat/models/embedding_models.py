"""Facts of the embedding models that Databricks serves, one row per model.

Rule 1. An endpoint's name is free text, so a row is found by Databricks' own name of the model: ``databricks-<name>``,
``system.ai.<name>``, or a name of the user's that contains it.
Rule 2. Of any other endpoint nothing is assumed: no instruction is sent, and the length of texts is not checked.
Rule 3. Each fact can be set on `DatabricksEmbeddings`, too.

The facts, with their sources, are those of docs/wire.md, 7.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["MAX_INPUTS", "UNKNOWN", "EmbeddingModel", "embedding_model_of"]


@dataclass(frozen=True, slots=True)
class EmbeddingModel:
    """The facts of one embedding model.

    Attributes:
        name: Its name without ``databricks-`` or ``system.ai.``.
        pattern: Matches the names of endpoints that serve it.
        window: Tokens of one text that the model reads; None if that is not known.
        cuts_silently: Whether a longer text is answered with 200 and an embedding of its beginning. GTE does that, and
            reports 8192 tokens; Qwen3 answers 400. BGE is a BERT like GTE and served alike, so the same is assumed.
        dimensions: Length of a row.
        chooses_dimensions: Whether the request may ask for fewer dimensions. Documented for Qwen3 alone ("configurable
            up to 1024"); GTE answers 400 to the field. True where it is not known, because the server will answer.
        is_nested: Whether the first n dimensions of a row, scaled to length 1, are an embedding too (by training). Then
            the client can cut the rows of a server that does not know the field ``dimensions``.
        normalized: Whether rows have length 1; GTE's have about 24.
        query_instruction: The ``instruction`` that Databricks documents for queries. It documents none for documents.
    """

    name: str
    pattern: re.Pattern[str] | None = None
    window: int | None = None
    cuts_silently: bool = False
    dimensions: int | None = None
    chooses_dimensions: bool = True
    is_nested: bool = False
    normalized: bool | None = None
    query_instruction: str = ""


MAX_INPUTS = 150
"""Most inputs of one request: Databricks answers 400, "exceeding 150 limit", to more."""

UNKNOWN = EmbeddingModel("unknown")
"""The model behind an endpoint whose name contains none of the names."""

_ROWS: tuple[EmbeddingModel, ...] = (
    EmbeddingModel(
        "bge-large-en",
        re.compile(r"bge[-_]large[-_]en", re.IGNORECASE),
        window=512,
        cuts_silently=True,
        dimensions=1024,
        chooses_dimensions=False,
        normalized=True,
        query_instruction="Represent this sentence for searching relevant passages:",
    ),
    EmbeddingModel(
        "gte-large-en",
        re.compile(r"gte[-_]large[-_]en", re.IGNORECASE),
        window=8192,
        cuts_silently=True,
        dimensions=1024,
        chooses_dimensions=False,
        normalized=False,
    ),
    EmbeddingModel(
        "qwen3-embedding-0-6b",
        re.compile(r"qwen3[-_]embedding[-_]0[-_.]6b", re.IGNORECASE),
        window=32_768,
        dimensions=1024,
        is_nested=True,
        normalized=True,
        query_instruction="Given a web search query, retrieve relevant passages that answer the query",
    ),
)


def embedding_model_of(endpoint: str) -> EmbeddingModel:
    """Find the model behind an endpoint's name.

    Args:
        endpoint: The endpoint's name.

    Returns:
        The row of the model that the name contains, or `UNKNOWN`.
    """
    return next((row for row in _ROWS if row.pattern is not None and row.pattern.search(endpoint)), UNKNOWN)
