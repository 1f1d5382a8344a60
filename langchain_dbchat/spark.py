"""Use the models over a Spark DataFrame: two functions that make pandas UDFs (extra ``spark``).

Spark gives a task its rows in Arrow batches; the rows of a batch are embedded or answered with several requests at the
same time.

Rule 1. A model reaches the executors as plain data. The UDF contains its pickle and opens it once for each executor
process, not once for each batch. So all tasks of a process share the sockets, the token that was fetched, the rate, and
what is known of an endpoint.
Rule 2. Credentials are found on the executor, from what the model was given or from the executor's own environment. A
``workspace_client``, ``credentials`` or ``http_client`` cannot be sent there.
Rule 3. A process does not know the others, so the rate of the whole job is divided by the number of tasks that run at
the same time. The total is then never exceeded; with fewer tasks it is not reached.
Rule 4. Errors are data. A row that fails is null, with the reason beside it, and the job continues. With ``fail_fast``
the first error ends the job.
Rule 5. The JVM gateway is not used, so everything works over Spark Connect, which has none.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator  # noqa: TC003  # pandas_udf reads the annotations at run time
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from langchain_core.messages import BaseMessage
from langchain_core.rate_limiters import InMemoryRateLimiter
from langchain_core.runnables import RunnableLambda
from pydantic_core import to_json

from langchain_dbchat.errors import ConfigurationError, EmbeddingsIncompleteError
from langchain_dbchat.integrations.costs import CostTracker

try:
    import pandas as pd
    from pyspark import cloudpickle
    from pyspark.sql.functions import pandas_udf
    from pyspark.sql.types import ArrayType, FloatType, LongType, StringType, StructField, StructType
except ImportError as missing:
    raise ConfigurationError(
        'langchain_dbchat.spark needs pyspark, pandas and pyarrow: pip install "langchain-dbchat[spark]".'
    ) from missing

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_core.runnables import Runnable, RunnableConfig

    from langchain_dbchat.embeddings import DatabricksEmbeddings
    from langchain_dbchat.integrations.costs import PriceList

__all__ = ["chat_udf", "embed_udf"]

logger = logging.getLogger(__name__)

_VECTOR = ArrayType(FloatType())
_VECTOR_OR_ERROR = StructType([StructField("embedding", _VECTOR), StructField("error", StringType())])
_ANSWER = StructType(
    [
        StructField("text", StringType()),
        StructField("error", StringType()),
        StructField("finish_reason", StringType()),
        StructField("input_tokens", LongType()),
        StructField("output_tokens", LongType()),
        StructField("total_tokens", LongType()),
    ]
)
_ANSWER_AND_COSTS = StructType([*_ANSWER, StructField("costs", StringType())])
_CONCURRENCY = 8


def embed_udf(
    embeddings: DatabricksEmbeddings,
    *,
    with_errors: bool = False,
    fail_fast: bool = False,
    requests_per_second: float | None = None,
    parallel_tasks: int | None = None,
) -> Any:
    """Make a pandas UDF that embeds a column of texts.

    Args:
        embeddings: The model; its ``max_concurrency`` applies to each task.
        with_errors: Whether the result is a struct of ``embedding`` and ``error``. Otherwise it is the embedding alone,
            null where there is none, and the reasons are in the executors' logs.
        fail_fast: Whether the first text that fails ends the job.
        requests_per_second: Most requests per second of the whole job. Needs ``parallel_tasks``.
        parallel_tasks: Number of tasks that run at the same time: the executors' cores divided by ``spark.task.cpus``.

    Returns:
        A UDF from string to array<float>, or to struct<embedding: array<float>, error: string>. Null gives null.

    Raises:
        ConfigurationError: If the model cannot be sent to executors, or the rate cannot be divided.
    """
    if embeddings.rate_limiter is not None:
        raise ConfigurationError("A rate_limiter cannot be sent to executors: give requests_per_second instead.")
    payload = _pack(embeddings)
    share = _share(requests_per_second, parallel_tasks)

    def embed(batches: Iterator[pd.Series]) -> Iterator[pd.Series]:
        for texts in batches:
            yield _embed(payload, share, texts, fail_fast=fail_fast)["embedding"]

    def embed_with_errors(batches: Iterator[pd.Series]) -> Iterator[pd.DataFrame]:
        for texts in batches:
            yield _embed(payload, share, texts, fail_fast=fail_fast)

    if with_errors:
        return pandas_udf(embed_with_errors, _VECTOR_OR_ERROR)
    return pandas_udf(embed, _VECTOR)


def chat_udf(  # noqa: PLR0913  # independent options
    runnable: Runnable[Any, Any],
    *,
    max_concurrency: int = _CONCURRENCY,
    with_costs: bool = False,
    prices: PriceList | None = None,
    fail_fast: bool = False,
    requests_per_second: float | None = None,
    parallel_tasks: int | None = None,
) -> Any:
    """Make a pandas UDF that answers a column of texts.

    Args:
        runnable: The chat model, or any chain that takes a string (a prompt with one variable does) and ends in a chat
            model or a parser. A result that is not a message or a string becomes JSON text.
        max_concurrency: Most calls of one task at the same time.
        with_costs: Whether the result has a field ``costs``: the tokens and the cost of all calls for the row, as the
            JSON of `CostTotals`. ``CostTotals.sum(row.costs for row in ...)`` adds them.
        prices: The prices for it. Default: the published ones.
        fail_fast: Whether the first row that fails ends the job.
        requests_per_second: Most calls per second of the whole job; a call of a chain counts once. Needs
            ``parallel_tasks``.
        parallel_tasks: Number of tasks that run at the same time: the executors' cores divided by ``spark.task.cpus``.

    Returns:
        A UDF from string to struct<text, error, finish_reason, input_tokens, output_tokens, total_tokens>, and
        ``costs`` if asked for. The counts are null where the chain does not end in a message; null gives a struct of
        nulls.

    Raises:
        ConfigurationError: If the chain cannot be sent to executors, or the rate cannot be divided.
    """
    payload = _pack(runnable)
    share = _share(requests_per_second, parallel_tasks)

    def chat(batches: Iterator[pd.Series]) -> Iterator[pd.DataFrame]:
        for texts in batches:
            trackers = [CostTracker(prices) for _ in texts] if with_costs else None
            yield _chat(payload, share, texts, max_concurrency, trackers, fail_fast=fail_fast)

    return pandas_udf(chat, _ANSWER_AND_COSTS if with_costs else _ANSWER)


def _pack(model: Any) -> bytes:
    try:
        packed: bytes = cloudpickle.dumps(model)
    except Exception as error:
        raise ConfigurationError(
            f"{type(model).__name__} cannot be sent to the executors: {error}. Leave out what has locks or sockets, "
            "such as a rate_limiter (give requests_per_second instead), http_client or workspace_client."
        ) from error
    return packed


def _share(total: float | None, tasks: int | None) -> float | None:
    """Divide the rate of a job among the tasks that run at once."""
    if total is None:
        return None
    if tasks is None or tasks < 1 or total <= 0:
        raise ConfigurationError(
            "requests_per_second is divided among the tasks that run at the same time: give their number as "
            "parallel_tasks (the executors' cores divided by spark.task.cpus)."
        )
    return total / tasks


@lru_cache(maxsize=32)
def _embedder(payload: bytes, share: float | None) -> DatabricksEmbeddings:
    """Open a model, once for this process."""
    model: DatabricksEmbeddings = cloudpickle.loads(payload)
    return model if share is None else model.model_copy(update={"rate_limiter": _limiter(share)})


@lru_cache(maxsize=32)
def _chain(payload: bytes, share: float | None) -> Runnable[Any, Any]:
    """Open a chain, once for this process."""
    chain: Runnable[Any, Any] = cloudpickle.loads(payload)
    return chain if share is None else RunnableLambda(_waiting(_limiter(share))) | chain


def _limiter(share: float) -> InMemoryRateLimiter:
    return InMemoryRateLimiter(requests_per_second=share, check_every_n_seconds=min(0.1, 0.1 / share))


def _waiting(limiter: InMemoryRateLimiter) -> Callable[[Any], Any]:
    def wait(given: Any) -> Any:
        limiter.acquire(blocking=True)
        return given

    return wait


def _embed(payload: bytes, share: float | None, texts: pd.Series, *, fail_fast: bool) -> pd.DataFrame:
    """Embed one Arrow batch."""
    model = _embedder(payload, share)
    wanted = [(place, text) for place, text in enumerate(texts) if isinstance(text, str)]
    failures: dict[int, Exception] = {}
    rows: Any = []
    try:
        rows = model.embed_array([text for _, text in wanted], None if fail_fast else failures)
    except EmbeddingsIncompleteError as error:  # the service failed after some rows, which are kept
        if fail_fast:
            raise
        rows, failures = error.rows, {**dict.fromkeys(_missing(error.rows), error), **error.failures}
    except Exception as error:
        if fail_fast:
            raise
        failures = dict.fromkeys(range(len(wanted)), error)
    vectors: list[Any] = [None] * len(texts)
    errors: list[str | None] = [None] * len(texts)
    for number, (place, _) in enumerate(wanted):
        if number in failures:
            errors[place] = _describe(failures[number])
        else:
            vectors[place] = rows[number]
    if failures:
        logger.warning(
            "%d of %d texts have no embedding, the first for: %s",
            len(failures),
            len(wanted),
            next(filter(None, errors)),
        )
    return pd.DataFrame({"embedding": pd.Series(vectors, dtype=object), "error": pd.Series(errors, dtype=object)})


def _missing(rows: Any) -> list[int]:
    return [number for number, row in enumerate(rows) if not len(row) or row[0] != row[0]]  # NaN


def _chat(  # noqa: PLR0913  # what one task knows
    payload: bytes,
    share: float | None,
    texts: pd.Series,
    max_concurrency: int,
    trackers: list[CostTracker] | None,
    *,
    fail_fast: bool,
) -> pd.DataFrame:
    """Answer one Arrow batch."""
    chain = _chain(payload, share)
    wanted = [(place, text) for place, text in enumerate(texts) if isinstance(text, str)]
    answers = chain.batch(
        [text for _, text in wanted],
        [_config(max_concurrency, trackers[place] if trackers else None) for place, _ in wanted],
        return_exceptions=not fail_fast,
    )
    table: list[dict[str, Any]] = [{} for _ in range(len(texts))]
    for (place, _), answer in zip(wanted, answers, strict=True):
        table[place] = _line(answer)
        if trackers is not None:
            table[place]["costs"] = trackers[place].totals.to_json()
    columns = (_ANSWER if trackers is None else _ANSWER_AND_COSTS).fieldNames()
    return pd.DataFrame(
        {
            name: pd.Series([line.get(name) for line in table], dtype="Int64" if name.endswith("_tokens") else object)
            for name in columns
        }
    )


def _config(max_concurrency: int, tracker: CostTracker | None) -> RunnableConfig:
    config: RunnableConfig = {"max_concurrency": max_concurrency}
    if tracker is not None:
        config["callbacks"] = [tracker]
    return config


def _line(answer: Any) -> dict[str, Any]:
    if isinstance(answer, Exception):
        return {"error": _describe(answer)}
    if isinstance(answer, str):
        return {"text": answer}
    if not isinstance(answer, BaseMessage):
        return {"text": to_json(answer, fallback=str).decode()}
    usage = getattr(answer, "usage_metadata", None) or {}
    return {
        "text": str(answer.text),
        "finish_reason": answer.response_metadata.get("finish_reason"),
        **{name: usage.get(name) for name in ("input_tokens", "output_tokens", "total_tokens")},
    }


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
