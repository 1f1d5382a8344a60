"""Embeddings served by Databricks, as LangChain's `Embeddings`, for one question or a whole corpus.

A run sends batches side by side, as many as `max_concurrency` and the endpoint allow, and puts the rows where they
belong as they come in. The two loops at the end, one sync over threads and one async, take batches from a plan, let
them travel and give back what came of them; what to send and what to make of an outcome is decided in the plan alone.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from contextlib import closing
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

from langchain_core.embeddings import Embeddings
from langchain_core.rate_limiters import BaseRateLimiter
from pydantic import ConfigDict, Field, PrivateAttr, model_validator

from langchain_dbchat.connection.requests import is_plain_server
from langchain_dbchat.connection.session import SessionCache
from langchain_dbchat.connection.settings import DatabricksConnection
from langchain_dbchat.embeddings.rows import RowArray, RowList
from langchain_dbchat.embeddings.run import EmbeddingUsage, Facts, Meter, Run, facts_of, listed
from langchain_dbchat.embeddings.wire import MAX_INPUTS
from langchain_dbchat.errors import ConfigurationError
from langchain_dbchat.errors.notices import pointing_here

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from typing_extensions import Self

    from langchain_dbchat.connection.session import Session
    from langchain_dbchat.embeddings.plan import Batch
    from langchain_dbchat.embeddings.run import Answer, Ask


class DatabricksEmbeddings(DatabricksConnection, Embeddings):
    """Embeddings from a Databricks serving endpoint.

    Args:
        model: Name of the serving endpoint (alias ``endpoint``), for example ``"databricks-gte-large-en"``; left out,
            ``DATABRICKS_EMBEDDING_MODEL``.
        batch_size: Texts in one request, 1 to 150. Default 100.
        max_concurrency: Requests that travel at once. Default 8.
        query_instruction: What the server puts before a query; unset, what Databricks documents for the model (BGE and
            Qwen3 have one, GTE has none); ``""`` for none.
        document_instruction: The same for documents; unset, none.
        instruction: The same for both sides, under LiteLLM's name; the two above go over it.
        dimensions: Numbers in a row, where the model lets one choose (Qwen3).
        normalize: Whether rows are scaled to length 1 (GTE's are about 24 long).
        too_long: ``"raise"`` or ``"cut"`` texts that are longer than the model reads.
        show_progress: Whether to show a progress bar (extra ``progress``).
        host, token, base_url, ...: The connection, as for `ChatDatabricksCompat`.

    Example:
        >>> from langchain_dbchat import DatabricksEmbeddings
        >>> from langchain_dbchat.local import LocalWorkspace
        >>> with LocalWorkspace() as workspace:
        ...     embeddings = DatabricksEmbeddings(
        ...         model="databricks-gte-large-en", host=workspace.host, token=workspace.token
        ...     )
        ...     rows = embeddings.embed_documents(["a brown bear", "the income tax"])
        >>> len(rows), len(rows[0])
        (2, 1024)
    """

    model_config = ConfigDict(
        arbitrary_types_allowed=True,
        protected_namespaces=(),
        extra="forbid",
        hide_input_in_errors=True,
        defer_build=False,
    )

    batch_size: int = Field(default=100, ge=1, le=MAX_INPUTS)
    """Texts in one request at the most; Databricks refuses more than 150."""

    max_batch_bytes: int = Field(default=4_000_000, gt=1024)
    """Bytes of one request at the most; model serving takes 4 MB."""

    max_batch_tokens: int | None = Field(default=None, ge=1)
    """Tokens of one request at the most, as estimated on the safe side; unset, no budget."""

    max_concurrency: int = Field(default=8, ge=1)
    """Requests that travel at once at the most."""

    instruction: str | None = None
    """What the server puts before queries and documents alike (LiteLLM's name); the two fields below go over it."""

    query_instruction: str | None = None
    """What the server puts before a query; unset, what is documented for the model; ``""`` for none."""

    document_instruction: str | None = None
    """What the server puts before a document; unset, none, as documented for all models."""

    query_params: Mapping[str, Any] = Field(default_factory=dict)
    """Further request fields for queries; they go over the fields above."""

    documents_params: Mapping[str, Any] = Field(default_factory=dict)
    """Further request fields for documents; they go over the fields above."""

    dimensions: int | None = Field(default=None, ge=1)
    """Numbers in a row, where the model lets one choose."""

    normalize: bool = False
    """Whether rows are scaled to length 1 here, if the server does not."""

    too_long: Literal["raise", "cut"] = "raise"
    """What to do with a text that is longer than the model reads."""

    window: int | None = Field(default=None, ge=1)
    """Tokens of one text that the model reads; unset, what is known of the model. If neither says, nothing is
    watched."""

    show_progress: bool = False
    """Whether to show a progress bar, in a terminal or a notebook."""

    rate_limiter: BaseRateLimiter | None = Field(default=None, exclude=True, repr=False)
    """LangChain's rate limiter; asked before each request, not before each text."""

    _repeatable: ClassVar[bool] = True
    _session_cache: SessionCache = PrivateAttr(default_factory=SessionCache)

    _meter: Meter = PrivateAttr(default_factory=Meter)

    @model_validator(mode="after")
    def _check_dimensions(self) -> Self:
        self.facts()
        return self

    @property
    def usage(self) -> EmbeddingUsage:
        """What this instance has used in this process: requests, texts and tokens."""
        return self._meter.usage

    @property
    def meter(self) -> Meter:
        """Where usage is added up."""
        return self._meter

    def facts(self) -> Facts:
        """Work out what holds for this instance: its own fields, else what is known of the model.

        Returns:
            Window, dimensions, and the row of the model.

        Raises:
            ConfigurationError: If ``dimensions`` asks for what the model cannot do.
        """
        return facts_of(self, plain=is_plain_server(self))

    def embed_documents(self, texts: Iterable[str]) -> list[list[float]]:
        """Embed texts that are to be found.

        Args:
            texts: The texts, in any iterable (a list, a generator, a pandas or polars Series, a numpy or arrow array),
                by position. Those that are empty or hold whitespace alone all get the embedding of a single space.

        Returns:
            One row of floats for each text, in their order.

        Raises:
            EmbeddingsIncompleteError: If some texts have no embedding; it names them and carries the other rows.
            DatabricksError: If nothing could be embedded.
        """
        texts = listed(texts)
        rows = RowList(len(texts), self.facts().shape)
        self._embed(texts, rows)
        return cast("list[list[float]]", rows.rows)  # no row is missing, or _embed would have raised

    def embed_documents_or_none(
        self, texts: Iterable[str], failures: dict[int, Exception] | None = None
    ) -> list[list[float] | None]:
        """Embed texts that are to be found; a text that cannot be embedded gets None.

        Args:
            texts: The texts.
            failures: A dict that is filled with the errors of such texts, by index.

        Returns:
            One row of floats or None for each text, in their order.

        Raises:
            DatabricksError: If it is not the texts that are at fault: no permission, no such endpoint, an outage.
        """
        texts = listed(texts)
        rows = RowList(len(texts), self.facts().shape)
        self._embed(texts, rows, {} if failures is None else failures)
        return rows.rows

    def embed_array(self, texts: Iterable[str], failures: dict[int, Exception] | None = None) -> Any:
        """Embed texts that are to be found, into one numpy array (extra ``numpy``).

        Args:
            texts: The texts.
            failures: A dict that is filled with the errors of texts that cannot be embedded, by index; their rows are
                NaN. None to raise.

        Returns:
            An array of 32-bit floats, of shape (texts, dimensions).

        Raises:
            EmbeddingsIncompleteError: If some texts have no embedding and `failures` is None.
            DatabricksError: If nothing could be embedded.
        """
        texts = listed(texts)
        rows = RowArray(len(texts), self.facts().shape)
        self._embed(texts, rows, failures)
        return rows.rows

    def embed_query(self, text: str) -> list[float]:
        """Embed a text that searches.

        Args:
            text: The text.

        Returns:
            Its row of floats.

        Raises:
            DatabricksError: If the endpoint cannot be reached or refuses.
        """
        rows = RowList(1, self.facts().shape)
        self._embed([text], rows, kind="query")
        return cast("list[float]", rows.rows[0])  # as in embed_documents

    async def aembed_documents(self, texts: Iterable[str]) -> list[list[float]]:
        """Do the same as `embed_documents` without blocking the event loop."""
        texts = listed(texts)
        rows = RowList(len(texts), self.facts().shape)
        await self._aembed(texts, rows)
        return cast("list[list[float]]", rows.rows)  # as in embed_documents

    async def aembed_documents_or_none(
        self, texts: Iterable[str], failures: dict[int, Exception] | None = None
    ) -> list[list[float] | None]:
        """Do the same as `embed_documents_or_none` without blocking the event loop."""
        texts = listed(texts)
        rows = RowList(len(texts), self.facts().shape)
        await self._aembed(texts, rows, {} if failures is None else failures)
        return rows.rows

    async def aembed_array(self, texts: Iterable[str], failures: dict[int, Exception] | None = None) -> Any:
        """Do the same as `embed_array` without blocking the event loop."""
        texts = listed(texts)
        rows = RowArray(len(texts), self.facts().shape)
        await self._aembed(texts, rows, failures)
        return rows.rows

    async def aembed_query(self, text: str) -> list[float]:
        """Do the same as `embed_query` without blocking the event loop."""
        rows = RowList(1, self.facts().shape)
        await self._aembed([text], rows, kind="query")
        return cast("list[float]", rows.rows[0])  # as in embed_documents

    def __copy__(self) -> Self:
        """Copy without the session and the usage."""
        copy = super().__copy__()
        copy._meter = Meter()  # noqa: SLF001  # the copy is one of us
        return copy

    def _default_model(self) -> str:
        name = os.environ.get("DATABRICKS_EMBEDDING_MODEL")
        if name:
            return name
        raise ConfigurationError(
            "DatabricksEmbeddings needs model=... or DATABRICKS_EMBEDDING_MODEL, an embedding endpoint's name, such "
            "as 'databricks-gte-large-en'."
        )

    def _embed(
        self,
        texts: Sequence[str],
        rows: RowList | RowArray,
        failures: dict[int, Exception] | None = None,
        kind: str = "document",
    ) -> None:
        session = self._session()
        with pointing_here(), closing(Run(self, session, texts, rows, kind)) as run:
            self._obey(run, session)
            run.plan.finish(failures)

    async def _aembed(
        self,
        texts: Sequence[str],
        rows: RowList | RowArray,
        failures: dict[int, Exception] | None = None,
        kind: str = "document",
    ) -> None:
        session = await self._asession()
        with pointing_here(), closing(Run(self, session, texts, rows, kind)) as run:
            await self._aobey(run, session)
            run.plan.finish(failures)

    def _obey(self, run: Run, session: Session) -> None:
        travelling: dict[Future[Answer], Batch] = {}
        threads = ThreadPoolExecutor(run.ahead, "dbchat-embed") if run.width > 1 else _Here()
        try:
            while True:
                while len(travelling) < run.ahead and (batch := run.plan.next()) is not None:
                    travelling[threads.submit(copy_context().run, self._travel, run, session, run.write(batch))] = batch
                if not travelling:
                    return
                for done in wait(travelling, return_when=FIRST_COMPLETED).done:
                    run.take(travelling.pop(done), done)
        finally:
            threads.shutdown(wait=not travelling, cancel_futures=True)  # a KeyboardInterrupt does not wait

    async def _aobey(self, run: Run, session: Session) -> None:
        travelling: dict[asyncio.Task[Answer], Batch] = {}
        try:
            while True:
                while len(travelling) < run.ahead and (batch := run.plan.next()) is not None:
                    travelling[asyncio.create_task(self._atravel(run, session, run.write(batch)))] = batch
                if not travelling:
                    return
                for done in (await asyncio.wait(travelling, return_when=asyncio.FIRST_COMPLETED))[0]:
                    run.take(travelling.pop(done), done)
        finally:
            for task in travelling:
                task.cancel()
            await asyncio.gather(*travelling, return_exceptions=True)

    def _travel(self, run: Run, session: Session, ask: Ask) -> Answer:
        if self.rate_limiter is not None:
            self.rate_limiter.acquire(blocking=True)
        return run.read(ask, session.channel.post(ask.request, ask.amend, run.gate))

    async def _atravel(self, run: Run, session: Session, ask: Ask) -> Answer:
        if self.rate_limiter is not None:
            await self.rate_limiter.aacquire(blocking=True)
        reply = await session.channel.apost(ask.request, ask.amend, run.gate)
        await asyncio.sleep(0)  # whoever takes the free place sends before this answer is parsed
        return run.read(ask, reply)


class _Here(Executor):
    """Does what is submitted at once, in the caller's thread: one text needs no thread of its own."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Do it, and give back what came of it."""
        done: Future[Any] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001  # the future carries it to whoever asks
            done.set_exception(error)
        return done
