"""DatabricksEmbeddings over a socket: what is sent, what comes back, sync and async alike."""

from __future__ import annotations

import asyncio
import copy
import gc
import pickle
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any

import pytest
from langchain_core.rate_limiters import BaseRateLimiter, InMemoryRateLimiter
from pydantic import ValidationError

from kit.embedding import Endpoint, refusal, row_of
from kit.scripted import Received, Scripted, ScriptedServer
from langchain_dbchat import DatabricksEmbeddings
from langchain_dbchat.embeddings.run import EmbeddingUsage
from langchain_dbchat.errors import (
    ConfigurationError,
    DatabricksError,
    DatabricksInvalidRequestError,
    DatabricksNotFoundError,
    DatabricksRateLimitError,
    EmbeddingsIncompleteError,
    MalformedResponseError,
)
from langchain_dbchat.transport import limiter as limits
from langchain_dbchat.transport.blocking import finish

GTE, BGE, QWEN = "databricks-gte-large-en", "databricks-bge-large-en", "databricks-qwen3-embedding-0-6b"
Embed = Callable[[DatabricksEmbeddings, Sequence[str]], Any]


def sync(embeddings: DatabricksEmbeddings, texts: Sequence[str]) -> Any:
    return embeddings.embed_documents(list(texts))


def native(embeddings: DatabricksEmbeddings, texts: Sequence[str]) -> Any:
    return asyncio.run(embeddings.aembed_documents(list(texts)))


def sync_array(embeddings: DatabricksEmbeddings, texts: Sequence[str]) -> Any:
    return embeddings.embed_array(texts)


def native_array(embeddings: DatabricksEmbeddings, texts: Sequence[str]) -> Any:
    return asyncio.run(embeddings.aembed_array(texts))


two_ways = pytest.mark.parametrize("embed", [sync, native])
four_ways = pytest.mark.parametrize("embed", [sync, native, sync_array, native_array])


def over(server: ScriptedServer, model: str = "my-endpoint", **settings: Any) -> DatabricksEmbeddings:
    return DatabricksEmbeddings(model=model, host=server.url, token="dapi0", **settings)


def numbered(count: int) -> list[str]:
    return [f"text {number}" for number in range(count)]


@four_ways
@pytest.mark.parametrize("concurrency", [1, 3, 8])
def test_many_batches_come_back_complete_and_in_order(embed: Embed, concurrency: int) -> None:
    endpoint = Endpoint()
    with ScriptedServer(endpoint) as server:
        rows = embed(over(server, batch_size=7, max_concurrency=concurrency), numbered(100))
    assert [list(row) for row in rows] == [row_of(text) for text in numbered(100)]
    assert sorted(endpoint.sizes) == [2, *[7] * 14]


@two_ways
def test_batches_travel_side_by_side_and_not_more_than_wanted(embed: Embed) -> None:
    endpoint = Endpoint(wait=0.1)
    with ScriptedServer(endpoint) as server:
        embed(over(server, batch_size=1, max_concurrency=5), numbered(10))
        assert server.connections == 5


@four_ways
def test_no_texts_ask_nothing(embed: Embed) -> None:
    with ScriptedServer(Endpoint()) as server:
        assert len(embed(over(server), [])) == 0
        assert not server.requests


@two_ways
def test_one_bad_text_does_not_lose_the_rest(embed: Embed) -> None:
    with ScriptedServer(Endpoint(poison=["text 33"])) as server:
        with pytest.raises(EmbeddingsIncompleteError, match="Text 33: HTTP 400 BAD_REQUEST") as caught:
            embed(over(server, batch_size=10), numbered(100))
    assert list(caught.value.failures) == [33]
    assert isinstance(caught.value.failures[33], DatabricksInvalidRequestError)
    assert caught.value.rows == [None if text == "text 33" else row_of(text) for text in numbered(100)]


@pytest.mark.parametrize("is_async", [False, True])
def test_rows_that_are_none_are_a_separate_method(is_async: bool) -> None:
    with ScriptedServer(Endpoint(poison=["text 3"])) as server:
        embeddings, failures = over(server, batch_size=4), dict[int, Exception]()
        if is_async:
            rows = asyncio.run(embeddings.aembed_documents_or_none(numbered(8), failures))
        else:
            rows = embeddings.embed_documents_or_none(numbered(8), failures)
        assert rows == [None if text == "text 3" else row_of(text) for text in numbered(8)]
        assert list(failures) == [3]
        assert embeddings.embed_documents_or_none(["text 3"]) == [None]


@pytest.mark.parametrize("is_async", [False, True])
def test_arrays_have_nan_where_there_is_no_row(is_async: bool) -> None:
    np = pytest.importorskip("numpy", reason='needs numpy: pip install "langchain-dbchat[numpy]"')
    with ScriptedServer(Endpoint(poison=["text 3"])) as server:
        embeddings, failures = over(server, batch_size=4), dict[int, Exception]()
        if is_async:
            rows = asyncio.run(embeddings.aembed_array(numbered(8), failures))
        else:
            rows = embeddings.embed_array(numbered(8), failures)
        assert rows.shape == (8, 4)
        assert rows.dtype == np.float32
        assert np.flatnonzero(np.isnan(rows).any(axis=1)).tolist() == [3] == list(failures)
        with pytest.raises(EmbeddingsIncompleteError) as caught:
            embeddings.embed_array(numbered(8))
        assert np.array_equal(caught.value.rows, rows, equal_nan=True)


def test_the_errors_of_a_run_pickle() -> None:
    with ScriptedServer(Endpoint(poison=["text 3"])) as server, pytest.raises(EmbeddingsIncompleteError) as caught:
        over(server).embed_documents(numbered(8))
    twin = pickle.loads(pickle.dumps(caught.value))
    assert (twin.rows, list(twin.failures), str(twin)) == (caught.value.rows, [3], str(caught.value))


@two_ways
def test_lost_answers_and_overload_are_tried_again(embed: Embed) -> None:
    faults: Iterator[Any] = iter(
        [
            Scripted({}, drop_after=-1),
            refusal(429, "slow down", retry_after="0"),
            refusal(503, "no capacity", retry_after="0"),
            Scripted('{"data": [', drop_after=1, chunked=True),
        ]
        * 3
    )
    with ScriptedServer(Endpoint(refuse=lambda _: next(faults, None))) as server:
        rows = embed(over(server, batch_size=5), numbered(100))
    assert rows == [row_of(text) for text in numbered(100)]


@two_ways
def test_an_error_of_the_call_is_raised_as_it_is(embed: Embed) -> None:
    with ScriptedServer(lambda _: refusal(404, "no such endpoint")) as server:
        with pytest.raises(DatabricksNotFoundError):
            embed(over(server, batch_size=1), numbered(100))
        assert len(server.requests) <= 12
    with ScriptedServer(lambda _: Scripted({"choices": []})) as server, pytest.raises(MalformedResponseError):
        embed(over(server), ["a"])


@two_ways
def test_overload_that_stays_is_raised_with_what_came_before(embed: Embed) -> None:
    answered = iter(range(4))

    def refuse(_: Received) -> Scripted | None:
        return None if next(answered, None) is not None else refusal(429, "slow down", retry_after="0")

    with ScriptedServer(Endpoint(refuse=refuse)) as server:
        with pytest.raises(EmbeddingsIncompleteError) as caught:
            embed(over(server, batch_size=10, max_concurrency=2, max_retries=1), numbered(100))
    assert isinstance(caught.value.__cause__, DatabricksRateLimitError)
    assert (caught.value.status_code, caught.value.is_retryable) == (429, True)
    assert sum(row is not None for row in caught.value.rows) == 40


@two_ways
def test_an_overloaded_endpoint_is_found_out_together(embed: Embed) -> None:
    inside, complaints, lock = list[int](), list[int](), threading.Lock()

    def refuse(received: Received) -> Scripted | None:
        with lock:
            full = len(inside) >= 2
            (complaints if full else inside).append(received.connection)
        if full:
            return refusal(429, "Exceeded max number of parallel requests", retry_after="0.01")
        threading.Timer(0.02, inside.pop).start()
        return None

    with ScriptedServer(Endpoint(refuse=refuse, wait=0.02)) as server:
        rows = embed(over(server, batch_size=1, max_concurrency=16, max_retries=50), numbered(150))
        limited = len(complaints)
        complaints.clear()
        embed(
            over(server, "other", batch_size=1, max_concurrency=16, max_retries=50, adaptive_limit=False), ["a"] * 150
        )
    assert rows == [row_of(text) for text in numbered(150)]
    assert limited < len(complaints) / 2


def test_instances_share_what_is_known_of_an_endpoint() -> None:
    with ScriptedServer(Endpoint(refuse=lambda _: None)) as server:
        one, other = over(server), over(server)
        gate = limits.limiter_for(f"{server.url}/serving-endpoints", "my-endpoint")
        gate.limit.bound = 1
        event = limits.ThreadEvent()
        entered = limits.Permit(event.set)
        finish(gate.acquire(entered, event))
        done = list[int]()
        threads = [threading.Thread(target=lambda e=e: done.append(len(e.embed_query("x")))) for e in (one, other)]
        for thread in threads:
            thread.start()
        time.sleep(0.05)
        assert not server.requests
        assert len(over(server, adaptive_limit=False).embed_query("x")) == 4
        gate.release(entered, None)
        for thread in threads:
            thread.join(30)
        assert done == [4, 4]


@two_ways
def test_too_many_inputs_are_split_and_the_limit_is_remembered_for_all(embed: Embed) -> None:
    endpoint = Endpoint(most=32)
    with ScriptedServer(endpoint) as server:
        rows = embed(over(server, max_concurrency=1), numbered(150))
        assert rows == [row_of(text) for text in numbered(150)]
        assert endpoint.sizes[0] == 100
        assert max(endpoint.sizes[1:]) == 32
        endpoint.asked.clear()
        embed(over(server), numbered(64))
        assert endpoint.sizes == [32, 32]


def sent(model: str, **settings: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is sent besides the texts: for a query, for documents."""
    endpoint = Endpoint()
    with ScriptedServer(endpoint) as server:
        embeddings = over(server, model, **settings)
        embeddings.embed_query("q")
        embeddings.embed_documents(["d"])
    query, documents = ({key: value for key, value in body.items() if key != "input"} for body in endpoint.asked)
    return query, documents


@pytest.mark.parametrize(
    ("model", "settings", "query", "documents"),
    [
        (BGE, {}, {"instruction": "Represent this sentence for searching relevant passages:"}, {}),
        (GTE, {}, {}, {}),
        (
            "system.ai_qwen3-embedding-0-6b",
            {},
            {"instruction": "Given a web search query, retrieve relevant passages that answer the query"},
            {},
        ),
        ("my-endpoint", {}, {}, {}),
        (BGE, {"query_instruction": ""}, {}, {}),
        (BGE, {"query_instruction": "Find:"}, {"instruction": "Find:"}, {}),
        (GTE, {"query_instruction": "Q", "document_instruction": "D"}, {"instruction": "Q"}, {"instruction": "D"}),
        (BGE, {"query_params": {"instruction": "P"}, "documents_params": {"x": 1}}, {"instruction": "P"}, {"x": 1}),
        (QWEN, {"dimensions": 256, "query_instruction": ""}, {"dimensions": 256}, {"dimensions": 256}),
        ("my-endpoint", {"dimensions": 2}, {"dimensions": 2}, {"dimensions": 2}),
    ],
)
def test_fields(model: str, settings: dict[str, Any], query: dict[str, Any], documents: dict[str, Any]) -> None:
    assert sent(model, **settings) == (query, documents)


def test_nothing_is_assumed_of_another_server() -> None:
    endpoint = Endpoint()
    with ScriptedServer(endpoint) as server:
        embeddings = DatabricksEmbeddings(model="bge-large-en", base_url=f"{server.url}/v1", token="x")
        embeddings.embed_query("long " * 600)
    assert endpoint.asked[0].keys() == {"input", "model"}


@pytest.mark.parametrize(("model", "dimensions"), [(GTE, 512), (BGE, 2048), (QWEN, 2048)])
def test_dimensions_that_a_model_does_not_have_are_refused_before_anything_is_sent(model: str, dimensions: int) -> None:
    with pytest.raises(ValidationError, match=f"dimensions={dimensions}"):
        DatabricksEmbeddings(model=model, dimensions=dimensions)
    assert "dimensions" not in sent(GTE)[0]


def test_the_dimensions_that_a_model_has_anyhow_are_not_sent() -> None:
    endpoint = Endpoint(dimensions=1024)
    with ScriptedServer(endpoint) as server:
        assert len(over(server, GTE, dimensions=1024).embed_query("x")) == 1024
    assert "dimensions" not in endpoint.asked[0]


def test_a_server_that_does_not_know_dimensions_is_helped() -> None:
    def refuse(received: Received) -> Scripted | None:
        return refusal(400, 'Bad request: json: unknown field "dimensions"') if "dimensions" in received.json else None

    endpoint = Endpoint(refuse=refuse)
    with ScriptedServer(endpoint) as server:
        embeddings = over(server, QWEN, dimensions=3, query_instruction="")
        with pytest.warns(UserWarning, match="refused 'dimensions', so it is left out from now on"):
            row = embeddings.embed_query("x")
        assert len(row) == 3
        assert sum(value * value for value in row) == pytest.approx(1)
        assert len(embeddings.embed_documents(["a", "b"])[1]) == 3
        assert len(endpoint.asked) == 3
        with pytest.raises(DatabricksInvalidRequestError, match="dimensions"):
            over(server, "my-endpoint", dimensions=3).embed_query("x")


def test_an_instruction_that_nobody_asked_for_is_left_out_where_it_is_refused() -> None:
    def refuse(received: Received) -> Scripted | None:
        unknown = "instruction" in received.json
        return refusal(400, 'Bad request: json: unknown field "instruction"') if unknown else None

    with ScriptedServer(Endpoint(refuse=refuse)) as server:
        with pytest.warns(UserWarning, match="instruction"):
            assert over(server, BGE).embed_query("x") == row_of("x")
        with pytest.raises(DatabricksInvalidRequestError, match="instruction"):
            over(server, BGE, query_instruction="Find:").embed_query("x")


@two_ways
def test_normalize(embed: Embed) -> None:
    with ScriptedServer(Endpoint()) as server:
        (row,) = embed(over(server, normalize=True), ["x"])
    length = sum(value * value for value in row_of("x")) ** 0.5
    assert row == pytest.approx([value / length for value in row_of("x")])


def test_texts_that_say_nothing_get_the_row_of_a_space() -> None:
    with ScriptedServer(Endpoint()) as server:
        assert over(server).embed_documents(["", "  \n", " ", "a"]) == [row_of(" ")] * 3 + [row_of("a")]
        assert over(server).embed_query("") == row_of(" ")


@four_ways
def test_base64_where_the_caller_asks_for_it(embed: Embed) -> None:
    endpoint = Endpoint()
    with ScriptedServer(endpoint) as server:
        rows = embed(over(server, documents_params={"encoding_format": "base64"}), ["a", "b"])
    assert endpoint.asked[0]["encoding_format"] == "base64"
    assert [list(row) for row in rows] == [row_of("a"), row_of("b")]


@two_ways
@pytest.mark.parametrize("too_long", ["raise", "cut"])
def test_a_text_that_gte_would_cut_silently(embed: Embed, too_long: str) -> None:
    endpoint = Endpoint(tokens=lambda text: min(8192, len(text.split()) + 2))
    texts = ["a", "word " * 9000, "b"]
    with ScriptedServer(endpoint) as server:
        embeddings = over(server, GTE, too_long=too_long)
        if too_long == "cut":
            assert len(embed(embeddings, texts)) == 3
            assert len(endpoint.asked[0]["input"][1].split()) == 8192
        else:
            with pytest.raises(EmbeddingsIncompleteError, match=r"Text 1 is longer than what .* reads, 8,192 tokens"):
                embed(embeddings, texts)
            assert endpoint.asked[0]["input"] == ["a", "b"]
        assert embed(over(server, "my-endpoint", window=None), texts)[0] == row_of("a")
        with pytest.raises(EmbeddingsIncompleteError, match="7 tokens"):
            embed(over(server, "my-endpoint", window=7), texts)


class Counting(BaseRateLimiter):
    """Counts who asks, and how."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def acquire(self, *, blocking: bool = True) -> bool:
        self.asked.append(f"sync {blocking}")
        return True

    async def aacquire(self, *, blocking: bool = True) -> bool:
        self.asked.append(f"async {blocking}")
        return True


@pytest.mark.parametrize(("embed", "how"), [(sync, "sync True"), (native, "async True")])
def test_the_rate_limiter_is_asked_before_each_request(embed: Embed, how: str) -> None:
    limiter = Counting()
    with ScriptedServer(Endpoint()) as server:
        embed(over(server, batch_size=10, rate_limiter=limiter), numbered(35))
    assert limiter.asked == [how] * 4


@two_ways
def test_the_rate_limiter_is_respected(embed: Embed) -> None:
    limiter = InMemoryRateLimiter(requests_per_second=20, check_every_n_seconds=0.005, max_bucket_size=1)
    with ScriptedServer(Endpoint()) as server:
        began = time.monotonic()
        embed(over(server, batch_size=1, rate_limiter=limiter), numbered(8))
    assert time.monotonic() - began > 0.3


def test_usage_adds_up_and_stays_with_the_instance() -> None:
    with ScriptedServer(Endpoint(tokens=lambda _: 3)) as server:
        embeddings = over(server, batch_size=10)
        embeddings.embed_documents(numbered(25))
        embeddings.embed_query("x")
        assert embeddings.usage == EmbeddingUsage(requests=4, texts=26, prompt_tokens=78, total_tokens=78)
        for twin in (copy.copy(embeddings), copy.deepcopy(embeddings), pickle.loads(pickle.dumps(embeddings))):
            assert twin == embeddings
            assert twin.usage == EmbeddingUsage()
            assert twin.embed_query("x") == row_of("x")
        assert embeddings.usage.requests == 4


def test_progress(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tqdm", reason='needs tqdm: pip install "langchain-dbchat[progress]"')
    with ScriptedServer(Endpoint(poison=["text 7"])) as server:
        embeddings = over(server, batch_size=10, show_progress=True)
        embeddings.embed_documents_or_none(numbered(25))
        assert "Embedding: 100%" in capsys.readouterr().err
        embeddings.embed_query("x")
        assert capsys.readouterr().err == ""
        monkeypatch.setitem(__import__("sys").modules, "tqdm.auto", None)
        with pytest.raises(ConfigurationError, match=r"langchain-dbchat\[progress\]"):
            embeddings.embed_documents(["a", "b"])


def test_arrays_without_numpy_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "numpy", None)
    with pytest.raises(ConfigurationError, match=r"langchain-dbchat\[numpy\]"):
        DatabricksEmbeddings(model=GTE).embed_array(["a"])


WHO: ContextVar[str] = ContextVar("WHO")


def test_a_token_callable_sees_the_callers_context() -> None:
    with ScriptedServer(Endpoint()) as server:
        embeddings = DatabricksEmbeddings(model="e", host=server.url, token=WHO.get, batch_size=5)
        WHO.set("dapi-of-alice")
        embeddings.embed_documents(numbered(50))
        assert {request.headers["authorization"] for request in server.requests} == {"Bearer dapi-of-alice"}


def test_a_failing_token_callable_raises_its_own_error() -> None:
    def token() -> str:
        raise LookupError("no token today")

    with ScriptedServer(Endpoint()) as server:
        embeddings = DatabricksEmbeddings(model="e", host=server.url, token=token, batch_size=5)
        with pytest.raises((LookupError, DatabricksError), match="no token today"):
            embeddings.embed_documents(numbered(50))


def test_no_thread_is_left_behind_and_one_text_needs_none() -> None:
    before = set(threading.enumerate())
    seen = set[threading.Thread]()

    def token() -> str:
        seen.add(threading.current_thread())
        return "dapi0"

    with ScriptedServer(Endpoint()) as server:
        before |= set(threading.enumerate())
        embeddings = DatabricksEmbeddings(model="e", host=server.url, token=token, batch_size=5)
        embeddings.embed_query("x")
        assert seen == {threading.current_thread()}
        embeddings.embed_documents(numbered(50))
        assert threading.current_thread() not in seen - {threading.current_thread()}
        assert set(threading.enumerate()) <= before


@pytest.mark.parametrize("tokens", [10**400, -5, True, 1.5, "70", None], ids=lambda value: str(value)[:9])
@two_ways
def test_usage_that_is_not_a_count_is_not_added(embed: Embed, tokens: Any) -> None:
    answer = Scripted(
        {"data": [{"index": 0, "embedding": [1.0]}], "usage": {"prompt_tokens": tokens, "total_tokens": tokens}}
    )
    with ScriptedServer(lambda _: answer) as server:
        embeddings = over(server, GTE, dimensions=None)
        embed(embeddings, ["word " * 5000])
    assert embeddings.usage == EmbeddingUsage(requests=1, texts=1)


async def test_a_cancelled_run_closes_its_connections() -> None:
    with ScriptedServer(Endpoint(wait=30)) as server:
        run = asyncio.create_task(over(server, batch_size=1).aembed_documents(numbered(20)))
        assert await server.await_open(8) == 8
        while len(server.requests) < 8:  # noqa: ASYNC110  # it changes in another thread
            await asyncio.sleep(0.005)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        assert await server.await_open(0) == 0
        assert limits.limiter_for(f"{server.url}/serving-endpoints", "my-endpoint").limit.in_flight == 0


@two_ways
def test_a_pause_that_is_longer_than_the_deadline_is_not_waited_for(embed: Embed) -> None:
    began = time.monotonic()
    endpoint = Endpoint(refuse=lambda _: refusal(429, "later", retry_after="3600"))
    with ScriptedServer(endpoint) as server:
        with pytest.raises((DatabricksRateLimitError, EmbeddingsIncompleteError), match="later"):
            embed(over(server, batch_size=1, max_concurrency=2, retry_deadline=0.2), numbered(6))
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("kind", ["lists", "array"])
def test_memory_stays_near_the_size_of_the_result(kind: str) -> None:
    dimensions, count = 512, 3000
    body = Scripted(
        {"data": [{"index": i, "embedding": [i / 7 + j / 3 for j in range(dimensions)]} for i in range(50)]}
    )
    if kind == "array":
        pytest.importorskip("numpy", reason='needs numpy: pip install "langchain-dbchat[numpy]"')
    size, peak, most = 0, 1, 0.0
    in_flight = 3 * 50 * dimensions * 32 + 3 * len(body.pieces[0]) * 2
    with ScriptedServer(lambda _: body) as server:
        embeddings = over(server, batch_size=50, max_concurrency=2)
        embed = embeddings.embed_array if kind == "array" else embeddings.embed_documents
        texts = numbered(count)
        embed(texts[:100])
        for _ in range(3):  # on a busy machine the server, which is measured too, keeps more answers than are read
            if peak < most:
                break
            gc.collect()
            tracemalloc.start()
            try:
                rows = embed(texts)
                size, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            most = 1.3 * size + in_flight
            assert len(rows) == count
            del rows
    assert peak < most
    assert size < count * dimensions * (36 if kind == "lists" else 4.4) + 500_000
