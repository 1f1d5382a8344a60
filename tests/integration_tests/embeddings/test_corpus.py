"""A corpus on the embedded workspace: 20,000 texts through rate limits, outages, lost connections and one bad text."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_dbchat import DatabricksEmbeddings
from langchain_dbchat.errors import DatabricksContextOverflowError, EmbeddingsIncompleteError
from langchain_dbchat.local import LocalWorkspace
from langchain_dbchat.local.rule_model import vectors
from langchain_dbchat.transport import limiter as limits

GTE, BGE, QWEN = "databricks-gte-large-en", "databricks-bge-large-en", "databricks-qwen3-embedding-0-6b"
COUNT, DIMENSIONS, POISONED = 20_000, 8, 13_131
TOO_MUCH_FOR_QWEN = "a " * 32_766 + "é" * 1_200  # not so many words that the client could know


def corpus() -> list[str]:
    texts = [f"passage {number} of the corpus" for number in range(COUNT)]
    texts[POISONED] = TOO_MUCH_FOR_QWEN
    return texts


def beset(workspace: LocalWorkspace) -> int:
    """Queue faults of all kinds in a random order that is always the same, and say how many."""
    dice = random.Random(5)  # noqa: S311  # not for secrets
    faults: list[dict[str, Any]] = [
        *[{"status": 429, "headers": {"retry-after": "0"}}] * 6,
        {"status": 429, "body": {"error": {"message": "ITPM", "code": 429, "retry_after": 0.05}}},
        *[{"status": 503, "headers": {"retry-after": "0"}}] * 4,
        *[{"drop": True}] * 4,
        *[{"drop_after": 0}] * 2,
    ]
    dice.shuffle(faults)
    for fault in faults:
        workspace.fail_next(**fault)
    return len(faults)


def documents(embeddings: DatabricksEmbeddings, texts: list[str]) -> Any:
    return embeddings.embed_documents(texts)


def adocuments(embeddings: DatabricksEmbeddings, texts: list[str]) -> Any:
    return asyncio.run(embeddings.aembed_documents(texts))


@pytest.mark.parametrize("embed", [documents, adocuments])
def test_twenty_thousand_texts_come_back_complete_and_in_order(embed: Callable[..., Any]) -> None:
    texts = corpus()
    with LocalWorkspace(latency=0.05) as workspace:
        faults = beset(workspace)
        embeddings = DatabricksEmbeddings(
            model=QWEN, host=workspace.host, token=workspace.token, dimensions=DIMENSIONS, batch_size=150
        )
        with pytest.raises(
            EmbeddingsIncompleteError, match=f"1 of 20000 texts .*\n.*Text {POISONED}: HTTP 400"
        ) as caught:
            embed(embeddings, texts)
        assert not workspace._faults.waiting
        address = f"{workspace.host}/serving-endpoints"
    assert list(caught.value.failures) == [POISONED]
    assert isinstance(caught.value.failures[POISONED], DatabricksContextOverflowError)
    assert caught.value.rows[POISONED] is None
    for index in [*range(0, COUNT, 37), POISONED - 1, POISONED + 1, COUNT - 1]:
        assert caught.value.rows[index] == vectors.embed(texts[index], dimensions=DIMENSIONS), index
    assert all(row is not None and len(row) == DIMENSIONS for row in caught.value.rows[POISONED + 1 :])
    assert embeddings.usage.texts == COUNT - 1
    gate = limits.limiter_for(address, QWEN)
    assert gate.limit.round > 0  # it was limited,
    assert gate.limit.in_flight == 0  # and everybody has left
    assert faults == 17


@pytest.mark.parametrize("model", [GTE, BGE, QWEN])
def test_a_vector_store_finds_what_it_should(model: str, workspace: LocalWorkspace) -> None:
    embeddings = DatabricksEmbeddings(model=model, host=workspace.host, token=workspace.token)
    store = InMemoryVectorStore(embeddings)
    store.add_documents([Document("Bears eat berries."), Document("Taxes are due in April."), Document("Oslo rains.")])
    (found,) = store.similarity_search("When do I pay taxes?", k=1)
    assert found.page_content == "Taxes are due in April."


@pytest.mark.parametrize(("normalize", "length"), [(False, 24), (True, 1)])
def test_gte_is_not_unit_length_unless_one_wants(normalize: bool, length: float, workspace: LocalWorkspace) -> None:
    embeddings = DatabricksEmbeddings(model=GTE, host=workspace.host, token=workspace.token, normalize=normalize)
    row = embeddings.embed_query("a brown bear")
    assert sum(value * value for value in row) ** 0.5 == pytest.approx(length, rel=1e-5)


@pytest.mark.parametrize(("model", "window"), [(GTE, 8192), (BGE, 512)])
def test_what_the_server_would_cut_silently_is_refused(model: str, window: int, workspace: LocalWorkspace) -> None:
    sure, unsure = "word " * (window + 1), "indivisibilities " * (window // 2)
    embeddings = DatabricksEmbeddings(model=model, host=workspace.host, token=workspace.token)
    failures: dict[int, Exception] = {}
    rows = embeddings.embed_documents_or_none(["bear", sure, unsure, "tax"], failures)
    assert [row is None for row in rows] == [False, True, True, False]
    assert "words" in str(failures[1])
    assert f"counted {window:,} tokens" in str(failures[2])
    with pytest.raises(DatabricksContextOverflowError):
        embeddings.embed_query(unsure)


@pytest.mark.parametrize("model", [GTE, BGE, QWEN])
def test_a_text_that_is_too_long_is_cut_if_that_was_chosen(model: str, workspace: LocalWorkspace) -> None:
    embeddings = DatabricksEmbeddings(model=model, host=workspace.host, token=workspace.token, too_long="cut")
    rows = embeddings.embed_documents(["bear", "word " * 40_000, TOO_MUCH_FOR_QWEN, "tax"])
    assert [len(row) for row in rows] == [1024] * 4


def test_big_texts_keep_requests_below_four_megabytes() -> None:
    texts = [f"{number} " + "字" * 100_000 for number in range(40)]
    with LocalWorkspace() as workspace:
        embeddings = DatabricksEmbeddings(model=GTE, host=workspace.host, token=workspace.token, too_long="cut")
        assert len(embeddings.embed_documents(texts)) == 40
        assert max(len(request.body) for request in workspace.requests) < 4_000_000
        assert len(workspace.requests) == 4


def test_151_inputs_are_never_sent(workspace: LocalWorkspace) -> None:
    embeddings = DatabricksEmbeddings(model=GTE, host=workspace.host, token=workspace.token, batch_size=150)
    assert len(embeddings.embed_documents(["a"] * 301)) == 301
    assert sorted(len(request.json["input"]) for request in workspace.requests) == [1, 150, 150]
