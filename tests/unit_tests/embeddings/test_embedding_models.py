"""The facts of embedding models."""

from __future__ import annotations

import pytest

from langchain_dbchat.models.embedding_models import UNKNOWN, embedding_model_of


@pytest.mark.parametrize(
    ("endpoint", "name"),
    [
        ("databricks-bge-large-en", "bge-large-en"),
        ("system.ai.gte-large-en", "gte-large-en"),
        ("system.ai.gte_large_en_v1_5", "gte-large-en"),
        ("my-team-GTE-Large-En", "gte-large-en"),
        ("databricks-qwen3-embedding-0-6b", "qwen3-embedding-0-6b"),
        ("qwen3_embedding_0_6b", "qwen3-embedding-0-6b"),
        ("my-embeddings", "unknown"),
        ("text-embedding-3-large", "unknown"),
    ],
)
def test_names(endpoint: str, name: str) -> None:
    assert embedding_model_of(endpoint).name == name


def test_facts() -> None:
    bge, gte, qwen = map(embedding_model_of, ["bge-large-en", "gte-large-en", "qwen3-embedding-0-6b"])
    assert (bge.window, gte.window, qwen.window) == (512, 8192, 32768)
    assert (bge.cuts_silently, gte.cuts_silently, qwen.cuts_silently) == (True, True, False)
    assert (bge.chooses_dimensions, gte.chooses_dimensions, qwen.chooses_dimensions) == (False, False, True)
    assert (bge.normalized, gte.normalized, qwen.normalized) == (True, False, True)
    assert bge.query_instruction == "Represent this sentence for searching relevant passages:"
    assert gte.query_instruction == ""
    assert qwen.query_instruction.startswith("Given a web search query")
    assert (UNKNOWN.window, UNKNOWN.query_instruction) == (None, "")
