"""Facts of the embedding models that Databricks serves, one row per model.

An endpoint's name is free text, so a row is found by what Databricks itself calls the model: ``databricks-<name>``,
``system.ai.<name>``, or a name of one's own that holds it. Of any other endpoint nothing is assumed: no instruction is
sent, no length is watched. Every fact of a row can be set on `DatabricksEmbeddings`, too.

Sources, as of November 2026: Databricks' pages on embedding models and their query format; windows, lengths of vectors
and refusals as measured on the service in 2026.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["UNKNOWN", "EmbeddingModel", "embedding_model_of"]


@dataclass(frozen=True, slots=True)
class EmbeddingModel:
    """One embedding model."""

    name: str
    """Its name without ``databricks-`` or ``system.ai.``."""

    pattern: re.Pattern[str] | None = None
    """What an endpoint's name holds that serves it."""

    window: int | None = None
    """Most tokens of one text that the model reads; None where nobody says."""

    cuts_silently: bool = False
    """Whether a longer text is answered with 200 and an embedding of its beginning. GTE does, with a usage that says
    8192; Qwen3 answers 400. BGE is a BERT like GTE, served alike, and taken to do what GTE does."""

    dimensions: int | None = None
    """Length of a row."""

    chooses_dimensions: bool = True
    """Whether the request may ask for fewer dimensions. Documented for Qwen3 alone ("configurable up to 1024"); GTE
    answers 400 to the field. True where nobody says: the server will."""

    is_nested: bool = False
    """Whether the first n dimensions of a row, scaled to length 1, are themselves an embedding (trained that way).
    Then a server that does not know the field ``dimensions`` does no harm: the client cuts the rows."""

    normalized: bool | None = None
    """Whether rows have length 1; GTE's have about 24."""

    query_instruction: str = ""
    """What Databricks documents to send as ``instruction`` with queries. None is documented for documents."""


UNKNOWN = EmbeddingModel("unknown")
"""An endpoint whose name says nothing."""

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
        The row of the model that the name holds, or `UNKNOWN`.
    """
    return next((row for row in _ROWS if row.pattern is not None and row.pattern.search(endpoint)), UNKNOWN)
