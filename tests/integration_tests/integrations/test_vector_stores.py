"""Chroma and FAISS, the real packages, give scores that make sense for each embedding model."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.vectorstores import InMemoryVectorStore, VectorStore

from langchain_dbchat import DatabricksEmbeddings
from langchain_dbchat.local import LocalWorkspace

GTE, BGE, QWEN = "databricks-gte-large-en", "databricks-bge-large-en", "databricks-qwen3-embedding-0-6b"
TEXTS = ["Bears eat berries and honey.", "Taxes are due in April.", "Oslo rains in November.", "A car needs fuel."]
QUESTION = "When are taxes due?"
ANSWER = TEXTS[1]

Search = Callable[[VectorStore], list[tuple[Document, float]]]
_names = itertools.count()


def search(store: VectorStore) -> list[tuple[Document, float]]:
    return store.similarity_search_with_relevance_scores(QUESTION)


def asearch(store: VectorStore) -> list[tuple[Document, float]]:
    return asyncio.run(store.asimilarity_search_with_relevance_scores(QUESTION))


def chroma(embeddings: DatabricksEmbeddings, **settings: Any) -> VectorStore:
    package = pytest.importorskip("langchain_chroma")
    store: VectorStore = package.Chroma.from_texts(
        TEXTS, embeddings, collection_name=f"test-{next(_names)}", **settings
    )
    return store


def faiss(embeddings: DatabricksEmbeddings, **settings: Any) -> VectorStore:
    pytest.importorskip("faiss")
    package = pytest.importorskip("langchain_community.vectorstores")
    store: VectorStore = package.FAISS.from_texts(TEXTS, embeddings, **settings)
    return store


COSINES = [
    pytest.param(chroma, {"collection_configuration": {"hnsw": {"space": "cosine"}}}, id="chroma"),
    pytest.param(faiss, {"relevance_score_fn": lambda distance: 1 - distance / 2}, id="faiss"),
]
"""What `docs/vector-stores.md` recommends for each store."""

pytestmark = [
    # langchain-core says so for all scores below 0, which the stores' own formula gives for texts that have nothing in
    # common.
    pytest.mark.filterwarnings("ignore:Relevance scores must be between 0 and 1"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of these packages
]


def embedder(model: str, workspace: LocalWorkspace, **settings: Any) -> DatabricksEmbeddings:
    return DatabricksEmbeddings(model=model, host=workspace.host, token=workspace.token, **settings)


def cosines(embeddings: DatabricksEmbeddings) -> dict[str, float]:
    """Return how similar each text is to the question."""
    asked = embeddings.embed_query(QUESTION)
    found = {}
    for text, row in zip(TEXTS, embeddings.embed_documents(TEXTS), strict=True):
        product = sum(a * b for a, b in zip(asked, row, strict=True))
        found[text] = product / math.hypot(*asked) / math.hypot(*row)
    return found


@pytest.mark.parametrize("ask", [search, asearch])
@pytest.mark.parametrize("make", [chroma, faiss])
@pytest.mark.parametrize("model", [GTE, BGE, QWEN])
def test_a_store_as_it_comes_gives_sensible_scores(
    model: str, make: Callable[..., VectorStore], ask: Search, workspace: LocalWorkspace
) -> None:
    """Both stores compute ``1 - squared distance / sqrt(2)``, which is 1 to -1.83 for rows of length 1."""
    embeddings = embedder(model, workspace)
    found = ask(make(embeddings))
    wanted = {text: 1 - (2 - 2 * cosine) / math.sqrt(2) for text, cosine in cosines(embeddings).items()}
    assert {document.page_content: pytest.approx(score, abs=1e-4) for document, score in found} == wanted
    assert found[0][0].page_content == ANSWER
    assert -1.83 < found[-1][1] < found[0][1] <= 1


@pytest.mark.parametrize("ask", [search, asearch])
@pytest.mark.parametrize(("make", "settings"), COSINES)
@pytest.mark.parametrize("model", [GTE, BGE, QWEN])
def test_a_store_as_the_page_recommends_gives_the_cosine(
    model: str, make: Callable[..., VectorStore], settings: dict[str, Any], ask: Search, workspace: LocalWorkspace
) -> None:
    embeddings = embedder(model, workspace)
    found = ask(make(embeddings, **settings))
    assert {document.page_content: pytest.approx(score, abs=1e-4) for document, score in found} == cosines(embeddings)
    assert found[0][0].page_content == ANSWER


@pytest.mark.parametrize("make", [chroma, faiss])
def test_rows_as_gte_gives_them_have_absurd_scores(make: Callable[..., VectorStore], workspace: LocalWorkspace) -> None:
    """This is why rows are scaled."""
    found = search(make(embedder(GTE, workspace, normalize=False)))
    assert all(score < -100 for _, score in found)


@pytest.mark.parametrize(("make", "settings"), COSINES)
def test_a_threshold_keeps_what_is_relevant(
    make: Callable[..., VectorStore], settings: dict[str, Any], workspace: LocalWorkspace
) -> None:
    store = make(embedder(GTE, workspace), **settings)
    retriever = store.as_retriever(
        search_type="similarity_score_threshold", search_kwargs={"score_threshold": 0.5, "k": 4}
    )
    assert [document.page_content for document in retriever.invoke(QUESTION)] == [ANSWER]


@pytest.mark.parametrize("make", [chroma, faiss, InMemoryVectorStore])
def test_stores_search_for_diverse_texts(make: Any, workspace: LocalWorkspace) -> None:
    embeddings = embedder(GTE, workspace)
    if make is InMemoryVectorStore:
        store: VectorStore = InMemoryVectorStore.from_texts(TEXTS, embeddings)
    else:
        store = make(embeddings)
    found = store.max_marginal_relevance_search(QUESTION, k=2, fetch_k=4)
    assert len(found) == 2
    assert found[0].page_content == ANSWER
