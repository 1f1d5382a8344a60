"""Embeddings and chains over a Spark DataFrame, in real worker processes on this machine."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.rate_limiters import InMemoryRateLimiter

from kit.embedding import Endpoint, refusal, row_of
from kit.scripted import Received, Scripted, ScriptedServer
from langchain_dbchat import ChatDatabricksCompat, DatabricksEmbeddings
from langchain_dbchat.errors import ConfigurationError
from langchain_dbchat.local import LocalWorkspace
from langchain_dbchat.local.rule_model import vectors

_REASON = 'needs pyspark: pip install "langchain-dbchat[spark]"'
pytest.importorskip("pyspark", reason=_REASON)
pytest.importorskip("pandas", reason=_REASON)
pytest.importorskip("pyarrow", reason=_REASON)

# Py4J and Spark's own pandas code leave sockets open and use what their successors deprecate.
pytestmark = pytest.mark.filterwarnings("ignore")

QWEN, CLAUDE = "databricks-qwen3-embedding-0-6b", "databricks-claude-sonnet-4-6"
ROWS = 20_000


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    """Start Spark with two task slots, in which a task that fails is tried again, as on a cluster."""
    from pyspark.sql import SparkSession

    patch = pytest.MonkeyPatch()
    for name in ("PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON"):
        patch.setenv(name, sys.executable)
    patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
    patch.setenv("DATABRICKS_TOKEN", "dapi-of-the-executor")  # for the workers; each test hides it from the driver
    session = (
        SparkSession.builder.master("local[2,4]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.memory", "1g")
        .config("spark.sql.shuffle.partitions", "4")
        .config("spark.sql.execution.arrow.maxRecordsPerBatch", "2500")
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("OFF")
    patch.undo()
    yield session
    session.stop()


def frame(spark: Any, texts: list[str | None], partitions: int = 4) -> Any:
    rows = spark.createDataFrame(list(enumerate(texts)), "id long, text string")
    return rows.repartition(partitions)


def collected(rows: Any) -> list[Any]:
    return sorted(rows.collect(), key=lambda row: row["id"])


def deadly_token(token: str, marker: str, after: int) -> Callable[[], str]:
    """Give a token, but kill the worker that asks for it the n-th time; once."""
    asked: list[int] = []

    def give() -> str:
        asked.append(1)
        if len(asked) >= after and not os.path.exists(marker):  # noqa: PTH110  # runs in a worker, as plain as can be
            os.close(os.open(marker, os.O_CREAT))
            os.kill(os.getpid(), signal.SIGKILL)
        return token

    return give


def test_twenty_thousand_rows_with_faults_a_bad_row_and_a_killed_worker(spark: Any, tmp_path: Path) -> None:
    from langchain_dbchat.spark import embed_udf

    texts: list[str | None] = [f"passage {number} of the corpus" for number in range(ROWS)]
    texts[13_131] = "a " * 33_000
    texts[7] = None
    marker = tmp_path / "killed"
    with LocalWorkspace(latency=0.05) as workspace:
        workspace.fail_next(429, headers={"retry-after": "0"}, times=4)
        workspace.fail_next(503, headers={"retry-after": "0"}, times=3)
        workspace.fail_next(drop=True, times=3)
        embeddings = DatabricksEmbeddings(
            model=QWEN,
            host=workspace.host,
            token=deadly_token(workspace.token, str(marker), after=20),
            dimensions=8,
            batch_size=150,
        )
        embed = embed_udf(embeddings, with_errors=True)
        rows = collected(frame(spark, texts).withColumn("got", embed("text")).select("id", "got"))
        assert not workspace._faults.waiting
    assert marker.exists()
    assert [row["id"] for row in rows] == list(range(ROWS))
    assert [row["id"] for row in rows if row["got"]["embedding"] is None] == [7, 13_131]
    assert [row["id"] for row in rows if row["got"]["error"] is not None] == [13_131]
    assert "DatabricksContextOverflowError" in rows[13_131]["got"]["error"]
    for number in range(0, ROWS, 97):
        expected = vectors.embed(str(texts[number]), dimensions=8)
        assert rows[number]["got"]["embedding"] == pytest.approx(expected, abs=1e-6), number


def test_a_column_of_vectors(spark: Any) -> None:
    from langchain_dbchat.spark import embed_udf

    with ScriptedServer(Endpoint(poison=["bad"])) as server:
        embed = embed_udf(DatabricksEmbeddings(model="e", host=server.url, token="dapi0", batch_size=3))
        rows = frame(spark, ["a", None, "bad", "", "b"], 2).withColumn("vector", embed("text"))
        assert rows.schema["vector"].dataType.simpleString() == "array<float>"
        assert [row["vector"] for row in collected(rows)] == [row_of("a"), None, None, row_of(" "), row_of("b")]


def test_fail_fast_ends_the_job_with_the_reason(spark: Any) -> None:
    from langchain_dbchat.spark import chat_udf, embed_udf

    with ScriptedServer(Endpoint(poison=["bad"])) as server:
        embed = embed_udf(DatabricksEmbeddings(model="e", host=server.url, token="dapi0"), fail_fast=True)
        with pytest.raises(Exception, match="a text holds what is not accepted"):
            frame(spark, ["a", "bad"], 1).withColumn("vector", embed("text")).collect()
    with ScriptedServer(lambda _: refusal(400, "not this one")) as server:
        chat = chat_udf(ChatDatabricksCompat(model="m", host=server.url, token="dapi0"), fail_fast=True)
        with pytest.raises(Exception, match="not this one"):
            frame(spark, ["a"], 1).withColumn("answer", chat("text")).collect()


def test_a_service_that_fails_is_an_error_in_each_row(spark: Any) -> None:
    from langchain_dbchat.spark import embed_udf

    with ScriptedServer(lambda _: refusal(404, "no such endpoint")) as server:
        embed = embed_udf(DatabricksEmbeddings(model="e", host=server.url, token="dapi0"), with_errors=True)
        rows = collected(frame(spark, ["a", None, "b"], 1).withColumn("got", embed("text")))
    assert [row["got"]["embedding"] for row in rows] == [None, None, None]
    assert rows[1]["got"]["error"] is None
    assert "DatabricksNotFoundError" in rows[0]["got"]["error"]


def test_what_came_before_a_service_fails_is_kept(spark: Any) -> None:
    from langchain_dbchat.spark import embed_udf

    def refuse(received: Received) -> Scripted | None:
        return refusal(403, "PERMISSION_DENIED: no more") if "c" in received.json["input"] else None

    with ScriptedServer(Endpoint(refuse=refuse)) as server:
        embeddings = DatabricksEmbeddings(model="e", host=server.url, token="dapi0", batch_size=1, max_concurrency=1)
        embed = embed_udf(embeddings, with_errors=True)
        rows = collected(frame(spark, ["a", "b", "c", "d"], 1).coalesce(1).withColumn("got", embed("text")))
    whole = {row["text"]: row["got"]["embedding"] for row in rows if row["got"]["error"] is None}
    assert "c" not in whole
    assert all(embedding == row_of(text) for text, embedding in whole.items())
    assert all("no more" in row["got"]["error"] for row in rows if row["text"] not in whole)


def test_the_tasks_of_a_process_share_its_sockets_and_run_their_requests_side_by_side(spark: Any) -> None:
    from langchain_dbchat.spark import embed_udf

    with ScriptedServer(Endpoint(wait=0.02)) as server:
        embeddings = DatabricksEmbeddings(model="e", host=server.url, token="dapi0", batch_size=1, max_concurrency=4)
        texts: list[str | None] = [str(number) for number in range(160)]
        collected(frame(spark, texts, 8).withColumn("vector", embed_udf(embeddings)("text")))
        assert len(server.requests) == 160
        assert 4 <= server.connections <= 2 * 4  # two processes, four requests at once in each


def test_a_total_rate_is_divided_among_the_tasks(spark: Any) -> None:
    from langchain_dbchat.spark import chat_udf, embed_udf

    with ScriptedServer(Endpoint()) as server:
        embeddings = DatabricksEmbeddings(model="e", host=server.url, token="dapi0", batch_size=1)
        embed = embed_udf(embeddings, requests_per_second=40, parallel_tasks=2)
        texts: list[str | None] = [str(number) for number in range(40)]
        began = time.monotonic()
        collected(frame(spark, texts, 2).withColumn("vector", embed("text")))
        assert time.monotonic() - began > 0.8  # 40 at 40 a second, but for the first of each task
    with LocalWorkspace() as workspace:
        model = ChatDatabricksCompat(model=CLAUDE, host=workspace.host, token=workspace.token)
        began = time.monotonic()
        chat = chat_udf(model, requests_per_second=20, parallel_tasks=2)
        collected(frame(spark, ["Hello!"] * 16, 2).withColumn("answer", chat("text")))
        assert time.monotonic() - began > 0.6


def test_a_chain_answers_each_row_or_says_why_not(spark: Any) -> None:
    from langchain_dbchat.spark import chat_udf

    with LocalWorkspace() as workspace:
        workspace.fail_next(400, body={"error_code": "BAD_REQUEST", "message": "not today"})
        prompt = ChatPromptTemplate.from_messages([("system", "Be brief."), ("human", "{question}")])
        model = ChatDatabricksCompat(model=CLAUDE, host=workspace.host, token=workspace.token)
        chat = chat_udf(prompt | model, max_concurrency=1)
        rows = collected(frame(spark, ["Hello!", None, "What is Oslo?"], 1).withColumn("answer", chat("text")))
        by_text = {row["text"]: row["answer"] for row in rows}
        failed = [answer for answer in by_text.values() if answer["error"]]
        (whole,) = [answer for answer in by_text.values() if answer["text"]]
        assert len(failed) == 1
        assert "not today" in failed[0]["error"]
        assert (failed[0]["text"], failed[0]["total_tokens"]) == (None, None)
        assert whole["finish_reason"] in {"stop", "end_turn"}
        assert whole["total_tokens"] == whole["input_tokens"] + whole["output_tokens"] > 0
        assert by_text[None].asDict() == dict.fromkeys(whole.asDict())
        systems = {request.json["messages"][0]["content"] for request in workspace.requests}
        assert systems == {"Be brief."}
        parsed = chat_udf((prompt | model) | StrOutputParser())
        (row,) = collected(frame(spark, ["Hello!"], 1).withColumn("answer", parsed("text")))
        assert row["answer"]["text"]
        assert row["answer"]["total_tokens"] is None
        listed = chat_udf(prompt | model | (lambda message: {"length": len(message.text)}))
        (row,) = collected(frame(spark, ["Hello!"], 1).withColumn("answer", listed("text")))
        assert row["answer"]["text"].startswith('{"length":')


def test_the_costs_of_a_job_are_the_sum_of_its_rows(spark: Any) -> None:
    from langchain_dbchat.integrations.costs import CostTotals, published_prices
    from langchain_dbchat.spark import chat_udf

    with LocalWorkspace() as workspace:
        claude = ChatDatabricksCompat(model=CLAUDE, host=workspace.host, token=workspace.token)
        chain = claude | StrOutputParser() | claude
        prices = published_prices().changed(dollars_per_dbu=0.14)
        answered = spark.createDataFrame([("Hi",), (None,), ("Ho",)], ["text"]).select(
            chat_udf(chain, with_costs=True, prices=prices)("text").alias("answer")
        )
        rows = [row.answer for row in answered.collect()]
    totals = CostTotals.sum(row.costs for row in rows)
    assert [row.costs and CostTotals.from_json(row.costs).total.calls for row in rows] == [2, None, 2]
    assert totals.by_model[CLAUDE].output_tokens > 0
    assert totals.dollars == pytest.approx(
        0.14 * (totals.total.input_tokens * 42.857 + totals.total.output_tokens * 214.286) / 1e6
    )


def test_credentials_are_found_on_the_executor(spark: Any) -> None:
    from langchain_dbchat.spark import embed_udf

    with ScriptedServer(Endpoint()) as server:
        embeddings = DatabricksEmbeddings(model="e", host=server.url)
        with pytest.raises(ConfigurationError, match="No credentials"):
            embeddings.embed_query("a")  # the driver cannot sign in; the executors' environment has a token
        rows = frame(spark, ["a"], 1).withColumn("vector", embed_udf(embeddings)("text"))
        assert collected(rows)[0]["vector"] == row_of("a")
        assert server.requests[0].headers["authorization"] == "Bearer dapi-of-the-executor"


def test_the_example_goes_on_where_it_was(spark: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from langchain_dbchat.spark import embed_udf

    path = Path(__file__).parents[3] / "examples" / "embed_parquet.py"
    spec = importlib.util.spec_from_file_location("embed_parquet", path)
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    job = example.Job(str(tmp_path / "corpus"), str(tmp_path / "embedded"), slices=2)
    texts: list[str | None] = [f"text {number}" for number in range(50)]
    frame(spark, texts, 2).write.parquet(job.source)
    endpoint = Endpoint(poison=["text 13"])
    with ScriptedServer(endpoint) as server:
        embed = embed_udf(DatabricksEmbeddings(model="e", host=server.url, token="dapi0"), with_errors=True)
        assert example.embed_corpus(spark, job, embed) == (49, 1)
        assert "row 13: DatabricksInvalidRequestError" in capsys.readouterr().out
        endpoint.poison = ()
        endpoint.asked.clear()
        assert example.embed_corpus(spark, job, embed) == (1, 0)
        assert [body["input"] for body in endpoint.asked] == [["text 13"]]
    rows = collected(spark.read.parquet(job.target))
    assert [(row["text"], row["embedding"]) for row in rows] == [(text, row_of(str(text))) for text in texts]


def test_what_cannot_travel_is_said_on_the_driver() -> None:
    from langchain_dbchat.spark import chat_udf, embed_udf

    limiter = InMemoryRateLimiter(requests_per_second=1)
    with pytest.raises(ConfigurationError, match="give requests_per_second"):
        embed_udf(DatabricksEmbeddings(model="e", rate_limiter=limiter))
    with pytest.raises(ConfigurationError, match="cannot be sent to the executors"):
        chat_udf(ChatDatabricksCompat(model="m", rate_limiter=limiter))
    with pytest.raises(ConfigurationError, match="parallel_tasks"):
        embed_udf(DatabricksEmbeddings(model="e"), requests_per_second=1)
    with pytest.raises(ConfigurationError, match="parallel_tasks"):
        embed_udf(DatabricksEmbeddings(model="e"), requests_per_second=0, parallel_tasks=2)


NO_GATEWAY = """
from langchain_dbchat import ChatDatabricksCompat, DatabricksEmbeddings
from langchain_dbchat.spark import chat_udf, embed_udf
embed_udf(DatabricksEmbeddings(model="e"), with_errors=True)
embed_udf(DatabricksEmbeddings(model="e"), requests_per_second=3, parallel_tasks=2)
chat_udf(ChatDatabricksCompat(model="m"))
from pyspark import SparkContext
assert SparkContext._gateway is None and SparkContext._active_spark_context is None
"""


def test_nothing_touches_the_jvm_gateway() -> None:
    environment = {**os.environ, "JAVA_HOME": "/nowhere", "PATH": "/nowhere"}
    done = subprocess.run(
        [sys.executable, "-c", NO_GATEWAY], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
