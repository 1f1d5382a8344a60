"""Embeddings: shapes, limits, lengths, and that retrieval retrieves (docs/wire.md, 7)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import httpx

BGE, GTE, QWEN = "databricks-bge-large-en", "databricks-gte-large-en", "databricks-qwen3-embedding-0-6b"


def post(client: httpx.Client, model: str, given: Any, **fields: Any) -> httpx.Response:
    return client.post("/serving-endpoints/embeddings", json={"model": model, "input": given, **fields})


def vectors(client: httpx.Client, model: str, given: Any, **fields: Any) -> list[list[float]]:
    response = post(client, model, given, **fields)
    assert response.status_code == 200, response.text
    return [row["embedding"] for row in response.json()["data"]]


def nearness(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True)) / (math.hypot(*one) * math.hypot(*other))


@pytest.mark.parametrize(("model", "norm"), [(BGE, 1.0), (GTE, 24.0), (QWEN, 1.0)])
def test_shape_and_length(client: httpx.Client, model: str, norm: float) -> None:
    body = post(client, model, ["a cat", "a dog on a mat"]).json()
    assert body["object"] == "list"
    assert [row["index"] for row in body["data"]] == [0, 1]
    assert body["usage"]["prompt_tokens"] == body["usage"]["total_tokens"] > 0
    for row in body["data"]:
        assert len(row["embedding"]) == 1024
        assert math.hypot(*row["embedding"]) == pytest.approx(norm, rel=1e-5)


def test_one_string_is_one_row(client: httpx.Client) -> None:
    assert vectors(client, GTE, "a cat") == vectors(client, GTE, ["a cat"])


def test_all_surfaces_agree(client: httpx.Client) -> None:
    path = client.post(f"/serving-endpoints/{GTE}/invocations", json={"input": ["x"]}).json()
    gateway = client.post(
        "/ai-gateway/mlflow/v1/embeddings", json={"model": "system.ai.gte-large-en", "input": ["x"]}
    ).json()
    assert path["data"] == gateway["data"]


PASSAGES = [
    "Retries wait with full jitter and obey the Retry-After header of a rate limited response.",
    "The signature of a reasoning block arrives alone, at the end of the stream.",
    "Embeddings are sent in batches of at most one hundred and fifty inputs.",
    "An OAuth token is refreshed once when the workspace answers that it has expired.",
    "Oslo is the capital of Norway and lies at the head of the Oslofjord.",
]


@pytest.mark.parametrize(
    ("question", "best"),
    [
        ("How long do we wait before retrying when we are rate limited?", 0),
        ("Where does the signature stand in a streamed reasoning block?", 1),
        ("How many inputs may one embedding batch have?", 2),
        ("What happens when a token expires?", 3),
        ("Which city is Norway's capital?", 4),
    ],
)
@pytest.mark.parametrize("model", [BGE, GTE, QWEN])
def test_retrieval_retrieves(client: httpx.Client, model: str, question: str, best: int) -> None:
    asked, *passages = vectors(client, model, [question, *PASSAGES])
    scores = [nearness(asked, passage) for passage in passages]
    assert scores.index(max(scores)) == best


def test_empty_of_words_still_has_a_length(client: httpx.Client) -> None:
    for text in (" ", "!?", "the of and", "你好"):
        (vector,) = vectors(client, BGE, text)
        assert math.hypot(*vector) == pytest.approx(1.0, rel=1e-5)


def test_an_instruction_moves_the_vector_a_little(client: httpx.Client) -> None:
    (bare,) = vectors(client, BGE, "cats")
    (told,) = vectors(client, BGE, "cats", instruction="Represent this sentence for searching relevant passages:")
    assert 0.2 < nearness(bare, told) < 0.999


def test_dimensions(client: httpx.Client) -> None:
    (short,) = vectors(client, QWEN, "cats", dimensions=256)
    assert len(short) == 256
    assert math.hypot(*short) == pytest.approx(1.0, rel=1e-5)


@pytest.mark.parametrize(
    ("model", "given", "fields", "text"),
    [
        (GTE, ["x"] * 151, {}, "Input embeddings size is too large, exceeding 150 limit for databricks-gte-large-en"),
        (QWEN, ["x"] * 151, {}, "exceeding 150 limit"),
        (GTE, ["x"], {"user": "me"}, 'unknown field \\"user\\"'),
        (GTE, ["x"], {"dimensions": 256}, 'unknown field \\"dimensions\\"'),
        (QWEN, ["x"], {"dimensions": 2048}, "dimensions"),
        (GTE, [], {}, "input"),
        (GTE, [""], {}, "empty strings"),
        (GTE, [1], {}, "input"),
        (GTE, None, {}, "input"),
        (QWEN, ["a " * 33_000], {}, "maximum context length"),
    ],
)
def test_refusals(client: httpx.Client, model: str, given: Any, fields: dict[str, Any], text: str) -> None:
    response = post(client, model, given, **fields)
    assert (response.status_code, response.json()["error_code"]) == (400, "BAD_REQUEST")
    assert text in response.text


def test_a_hundred_and_fifty_inputs(client: httpx.Client) -> None:
    assert len(vectors(client, GTE, [f"text {place}" for place in range(150)])) == 150


def test_gte_cuts_without_a_word(client: httpx.Client) -> None:
    start = "cat " * 8192
    body = post(client, GTE, [start + "dog " * 500]).json()
    assert body["usage"]["prompt_tokens"] == 8192
    assert [body["data"][0]["embedding"]] == vectors(client, GTE, start)


def test_chat_and_embeddings_are_not_mixed_up(client: httpx.Client) -> None:
    chat = {"model": GTE, "messages": [{"role": "user", "content": "Hi"}]}
    assert client.post("/serving-endpoints/chat/completions", json=chat).status_code == 400
    assert post(client, "databricks-claude-sonnet-4-6", ["x"]).status_code == 400
