"""Embed a Parquet corpus with Spark and write it back; run again after a stop, it goes on where it was.

    python examples/embed_parquet.py corpus/ embedded/ --key id --text text
    spark-submit examples/embed_parquet.py s3://bucket/corpus s3://bucket/embedded --rate 50 --parallel-tasks 64

The corpus needs a column that identifies a row and one with its text. Work is done in slices, each of which is written
when it is finished; rows that are in the target already are not embedded again. Rows that fail are reported, are not
written, and are tried again by the next run. `--demo` makes a small corpus and serves a workspace on this machine, so
that it runs without an account.

Needs: pip install "langchain-dbchat[spark]" and Java 17 (for --demo also the extra "local").
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession
from pyspark.sql import functions as f

from langchain_dbchat import DatabricksEmbeddings
from langchain_dbchat.spark import embed_udf

if TYPE_CHECKING:
    from collections.abc import Sequence

SHOWN = 5


class Job(NamedTuple):
    """What to embed."""

    source: str
    target: str
    key: str = "id"
    text: str = "text"
    slices: int = 4


def embed_corpus(spark: SparkSession, job: Job, embed: Any) -> tuple[int, int]:
    """Embed the rows of a corpus that are not embedded yet.

    Args:
        spark: The session, classic or Connect.
        job: What to embed.
        embed: A UDF made by ``embed_udf(..., with_errors=True)``.

    Returns:
        How many rows were embedded now, and how many failed.
    """
    corpus = spark.read.parquet(job.source)
    embedded = failed = 0
    for number in range(job.slices):
        todo = corpus.where(f.expr(f"pmod(hash(`{job.key}`), {job.slices}) = {number}"))
        done = _done(spark, job)
        if done is not None:
            todo = todo.join(done, job.key, "left_anti")
        # Kept, and counted before it is written: what was read of the target is read anew after that.
        rows = todo.withColumn("_got", embed(f.col(job.text))).persist()
        bad = rows.where("_got.error is not null")
        for row in bad.select(job.key, "_got.error").limit(SHOWN).collect():
            print(f"  row {row[job.key]}: {row['error'].splitlines()[0]}")
        failures = bad.count()
        embedded, failed = embedded + rows.count() - failures, failed + failures
        good = rows.where("_got.error is null").withColumn("embedding", f.col("_got.embedding")).drop("_got")
        good.write.mode("append").parquet(job.target)
        rows.unpersist()
        print(f"slice {number + 1} of {job.slices}: {embedded} embedded, {failed} failed so far")
    return embedded, failed


def _done(spark: SparkSession, job: Job) -> Any:
    try:
        return spark.read.parquet(job.target).select(job.key)
    except AnalysisException:  # nothing is there yet
        return None


def demo() -> None:
    """Embed a small corpus twice on a local workspace; the second run has nothing left to do."""
    from langchain_dbchat.local import LocalWorkspace  # noqa: PLC0415  # only the demo needs it

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    spark = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
    with LocalWorkspace() as workspace, tempfile.TemporaryDirectory() as folder:
        job = Job(str(Path(folder, "corpus")), str(Path(folder, "embedded")), slices=2)
        rows = [(number, f"Passage {number} is about topic {number % 7}.") for number in range(1000)]
        spark.createDataFrame(rows, "id long, text string").write.parquet(job.source)
        model = DatabricksEmbeddings(model="databricks-gte-large-en", host=workspace.host, token=workspace.token)
        for run in ("first run", "second run"):
            print(run)
            embed_corpus(spark, job, embed_udf(model, with_errors=True))
        spark.read.parquet(job.target).orderBy("id").show(3)
    spark.stop()


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", nargs="?", help="the corpus, Parquet")
    parser.add_argument("target", nargs="?", help="where it goes, Parquet")
    parser.add_argument("--model", default="databricks-gte-large-en", help="the serving endpoint")
    parser.add_argument("--key", default="id", help="the column that identifies a row")
    parser.add_argument("--text", default="text", help="the column with the text")
    parser.add_argument("--slices", type=int, default=16, help="in how many pieces the work is written")
    parser.add_argument("--rate", type=float, help="requests of the whole job in a second, at the most")
    parser.add_argument("--parallel-tasks", type=int, help="tasks that run at once; needed with --rate")
    parser.add_argument("--demo", action="store_true", help="show it on a small corpus on this machine")
    given = parser.parse_args(arguments)
    if given.demo:
        demo()
        return
    if given.source is None or given.target is None:
        parser.error("say what to embed and where to, or --demo")
    model = DatabricksEmbeddings(model=given.model, too_long="cut")
    embed = embed_udf(model, with_errors=True, requests_per_second=given.rate, parallel_tasks=given.parallel_tasks)
    job = Job(given.source, given.target, given.key, given.text, given.slices)
    embed_corpus(SparkSession.builder.getOrCreate(), job, embed)


if __name__ == "__main__":
    main()
