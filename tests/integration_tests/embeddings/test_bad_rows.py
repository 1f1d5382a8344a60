"""Rows that are not embeddings are refused by name, and the others are kept; lists and arrays, sync and async."""

from __future__ import annotations

import asyncio
import json
import math
import pickle
from base64 import b64encode
from collections.abc import Callable, Sequence
from struct import pack
from typing import Any

import pytest

from kit.embedding import row_of
from kit.scripted import Received, Scripted, ScriptedServer
from langchain_dbchat import DatabricksEmbeddings
from langchain_dbchat.errors import EmbeddingsIncompleteError, MalformedResponseError

np = pytest.importorskip("numpy", reason='needs numpy: pip install "langchain-dbchat[numpy]"')

HUGE = "1" + "0" * 400
BAD_ROWS = {
    "NaN": "[0.5, NaN, 0.5, 0.5]",
    "all NaN": "[NaN, NaN, NaN, NaN]",
    "infinity": "[0.5, Infinity, 0.5, 0.5]",
    "minus infinity": "[0.5, -Infinity, 0.5, 0.5]",
    "both infinities": "[Infinity, -Infinity, 0.5, 0.5]",
    "1e400": "[0.5, 1e400, 0.5, 0.5]",
    "400 digits": f"[0.5, {HUGE}, 0.5, 0.5]",
    "400 digits, all integers": f"[1, -{HUGE}, 1, 1]",
    "short": "[0.5, 0.5, 0.5]",
    "long": "[0.5, 0.5, 0.5, 0.5, 0.5]",
    "one number": "[0.5]",
    "a text among numbers": '[0.5, "0.5", 0.5, 0.5]',
    "booleans": "[true, false, true, false]",
    "a boolean among numbers": "[0.5, true, 0.5, 0.5]",
    "null among numbers": "[0.5, null, 0.5, 0.5]",
    "null": "null",
    "nested": "[[0.5, 0.5, 0.5, 0.5]]",
    "objects": '[{"0": 0.5}]',
    "an object": '{"0": 0.5}',
    "empty": "[]",
    "a number": "0.5",
    "a text": '"0.5, 0.5"',
    "base64 that nobody asked for": json.dumps(b64encode(pack("<4f", 1, 2, 3, 4)).decode()),
}
Embed = Callable[..., Any]


def lists(embeddings: DatabricksEmbeddings, texts: Sequence[str], failures: Any = None) -> Any:
    if failures is not None:
        return embeddings.embed_documents_or_none(list(texts), failures)
    return embeddings.embed_documents(list(texts))


def alists(embeddings: DatabricksEmbeddings, texts: Sequence[str], failures: Any = None) -> Any:
    if failures is not None:
        return asyncio.run(embeddings.aembed_documents_or_none(list(texts), failures))
    return asyncio.run(embeddings.aembed_documents(list(texts)))


def arrays(embeddings: DatabricksEmbeddings, texts: Sequence[str], failures: Any = None) -> Any:
    return embeddings.embed_array(texts, failures)


def aarrays(embeddings: DatabricksEmbeddings, texts: Sequence[str], failures: Any = None) -> Any:
    return asyncio.run(embeddings.aembed_array(texts, failures))


four_ways = pytest.mark.parametrize("embed", [lists, alists, arrays, aarrays])
each_kind = pytest.mark.parametrize("bad", BAD_ROWS.values(), ids=BAD_ROWS.keys())


def serving(bad: str, *poisoned: str) -> ScriptedServer:
    """An endpoint that answers the poisoned texts with a bad row."""

    def reply(received: Received) -> Scripted:
        texts = received.json["input"]
        rows = [bad if text in poisoned else json.dumps(row_of(text)) for text in texts]
        data = ", ".join(f'{{"index": {place}, "embedding": {row}}}' for place, row in enumerate(rows))
        usage = {"prompt_tokens": len(texts), "total_tokens": len(texts)}
        return Scripted(f'{{"data": [{data}], "usage": {json.dumps(usage)}}}'.encode())

    return ScriptedServer(reply)


def over(server: ScriptedServer, **settings: Any) -> DatabricksEmbeddings:
    return DatabricksEmbeddings(model="my-endpoint", host=server.url, token="t", **settings)


def missing(rows: Any) -> list[int]:
    return [index for index, row in enumerate(rows) if row is None or any(map(math.isnan, row))]


@each_kind
@four_ways
def test_a_bad_row_is_refused_by_its_index(embed: Embed, bad: str) -> None:
    with serving(bad, "b") as server:
        with pytest.raises(MalformedResponseError, match="row 1") as caught:
            embed(over(server), ["a", "b", "c"])
        assert len(server.requests) == 1
    assert "my-endpoint" in str(caught.value)
    assert not caught.value.is_retryable


@each_kind
@four_ways
def test_of_a_corpus_only_the_texts_with_bad_rows_are_lost(embed: Embed, bad: str) -> None:
    texts = [f"text {number}" for number in range(40)]
    with serving(bad, "text 13", "text 31") as server:
        embeddings = over(server, batch_size=5, max_concurrency=3)
        with pytest.raises(EmbeddingsIncompleteError, match="(?s)2 of 40 texts.*Text 13: .* row 3") as caught:
            embed(embeddings, texts)
        assert isinstance(caught.value, MalformedResponseError)
        assert list(caught.value.failures) == [13, 31]
        assert missing(caught.value.rows) == [13, 31]
        assert list(caught.value.rows[14]) == row_of("text 14")
        failures: dict[int, Exception] = {}
        rows = embed(embeddings, texts, failures)
        assert len(server.requests) == 16
    assert list(failures) == [13, 31]
    assert all(isinstance(error, MalformedResponseError) for error in failures.values())
    assert missing(rows) == [13, 31]
    again = pickle.loads(pickle.dumps(caught.value))
    assert list(again.failures) == [13, 31]


@four_ways
def test_an_answer_that_no_parser_reads_is_refused_as_a_whole(embed: Embed) -> None:
    with serving(f"[0.5, {HUGE * 12}, 0.5, 0.5]", "b") as server:
        with pytest.raises(MalformedResponseError, match="not JSON"):
            embed(over(server), ["a", "b", "c"])


@each_kind
def test_a_query_with_a_bad_row_is_refused(bad: str) -> None:
    if bad in {BAD_ROWS["short"], BAD_ROWS["long"], BAD_ROWS["one number"]}:
        pytest.skip("a row alone may have any length")
    with serving(bad, "q") as server:
        with pytest.raises(MalformedResponseError, match="row 0"):
            over(server).embed_query("q")
        with pytest.raises(MalformedResponseError, match="row 0"):
            asyncio.run(over(server).aembed_query("q"))


@four_ways
def test_rows_of_another_answer_with_another_length_are_refused(embed: Embed) -> None:
    with serving("[0.5, 0.5]", "c", "d") as server:
        with pytest.raises(EmbeddingsIncompleteError, match="rows of 4 and of 2 dimensions") as caught:
            embed(over(server, batch_size=2, max_concurrency=1), ["a", "b", "c", "d", "e"])
    assert list(caught.value.failures) == [2, 3]
    assert missing(caught.value.rows) == [2, 3]


@four_ways
def test_an_endpoint_that_answers_nothing_else_is_asked_three_times(embed: Embed) -> None:
    texts = [f"text {number}" for number in range(40)]
    with serving("[NaN]", *texts) as server:
        with pytest.raises(MalformedResponseError, match="not finite in row 0"):
            embed(over(server, batch_size=2, max_concurrency=1), texts)
        assert len(server.requests) == 3


@four_ways
@pytest.mark.parametrize("normalize", [False, True])
def test_large_and_small_numbers_are_numbers(embed: Embed, normalize: bool) -> None:
    with serving("[1e38, -1e38, 1e-38, 0]", "b") as server:
        row = embed(over(server, normalize=normalize), ["a", "b"])[1]
    expected = [math.sqrt(0.5), -math.sqrt(0.5), 0, 0] if normalize else [1e38, -1e38, 1e-38, 0]
    assert list(row) == pytest.approx(expected, rel=1e-6, abs=1e-30)


def test_what_a_list_takes_may_be_too_large_for_an_array() -> None:
    with serving("[1e300, 1, 1, 1]", "b") as server:
        assert over(server).embed_documents(["a", "b"])[1][0] == 1e300
        with pytest.raises(MalformedResponseError, match="(?s)Text 1: .*32-bit"):
            over(server).embed_array(["a", "b"])
        assert over(server, normalize=True).embed_array(["a", "b"])[1].tolist() == [1, 0, 0, 0]
    with serving("[1.7e308, 1.7e308, 1.7e308, 1.7e308]", "b") as server:
        for embed in (lists, arrays):
            with pytest.raises(MalformedResponseError, match="scaled to length 1"):
                embed(over(server, normalize=True), ["a", "b"])


@four_ways
@pytest.mark.parametrize("values", [(math.nan, 1, 1, 1), (math.inf, 1, 1, 1), (1, 1, 1)])
def test_base64_that_was_asked_for_is_judged_alike(embed: Embed, values: tuple[float, ...]) -> None:
    def reply(received: Received) -> Scripted:
        rows = [values if text == "b" else row_of(text) for text in received.json["input"]]
        packed = [b64encode(pack(f"<{len(row)}f", *row)).decode() for row in rows]
        return Scripted({"data": [{"index": place, "embedding": text} for place, text in enumerate(packed)]})

    with ScriptedServer(reply) as server:
        embeddings = over(server, documents_params={"encoding_format": "base64"})
        assert [list(row) for row in embed(embeddings, ["a", "c"])] == [row_of("a"), row_of("c")]
        with pytest.raises(MalformedResponseError, match="row 1"):
            embed(embeddings, ["a", "b", "c"])


@four_ways
@pytest.mark.parametrize("index", ["true", "1.0", '"1"', "-1", "3", "1e400", HUGE])
def test_a_row_whose_place_is_not_known_refuses_the_answer(embed: Embed, index: str) -> None:
    data = ", ".join(f'{{"index": {place}, "embedding": [1]}}' for place in ("0", index, "2"))
    with ScriptedServer(lambda _: Scripted(f'{{"data": [{data}]}}'.encode())) as server:
        with pytest.raises(MalformedResponseError, match="wrong row index"):
            embed(over(server), ["a", "b", "c"])


@four_ways
@pytest.mark.parametrize(
    "usage", ["null", "[]", '{"prompt_tokens": true}', f'{{"prompt_tokens": -1, "total_tokens": {HUGE}}}']
)
def test_a_usage_that_is_not_understood_hurts_nobody(embed: Embed, usage: str) -> None:
    body = f'{{"data": [{{"index": 0, "embedding": [1]}}], "usage": {usage}}}'.encode()
    with ScriptedServer(lambda _: Scripted(body)) as server:
        embeddings = over(server)
        assert len(embed(embeddings, ["a"])) == 1
        assert embeddings.usage.prompt_tokens == 0
