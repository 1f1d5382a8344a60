"""Embeddings served by Databricks, as LangChain's `Embeddings`, for one question or a whole corpus.

Rule 1. A run sends several requests at the same time, as many as `max_concurrency` and the endpoint allow, and puts
each row in the place of its text when it arrives.
Rule 2. Sync and async methods run the same code, with `ThreadWorkers` or `TaskWorkers` to send the requests.
"""

from __future__ import annotations

import os
from collections.abc import Iterable  # noqa: TC003  # LangChain's tools resolve annotations
from typing import TYPE_CHECKING, Any, ClassVar, cast

from langchain_core.embeddings import Embeddings
from pydantic import ConfigDict, PrivateAttr

from langchain_dbchat.connection.session import FieldCache, Session
from langchain_dbchat.embeddings.rows import RowArray, RowList
from langchain_dbchat.embeddings.run import EmbeddingRun, EmbeddingUsage, Meter, list_texts
from langchain_dbchat.embeddings.settings import EmbeddingSettings, spec_of
from langchain_dbchat.embeddings.workers import TaskWorkers, ThreadWorkers, send_batches
from langchain_dbchat.errors import ConfigurationError
from langchain_dbchat.transport.blocking import finish

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from typing_extensions import Self, Unpack

    from langchain_dbchat.embeddings.arguments import EmbeddingArguments
    from langchain_dbchat.embeddings.workers import Workers

    Rows = RowList | RowArray

__all__ = ["DatabricksEmbeddings"]


class DatabricksEmbeddings(EmbeddingSettings, Embeddings):
    """Embeddings from a Databricks serving endpoint.

    docs/settings.md has each argument in full, and its other names.

    Args, model and address:
        model: Name of the serving endpoint.
        host: URL of the workspace.
        base_url: URL of an OpenAI-compatible server, not a workspace.
        use_ai_gateway: Whether to call the workspace's AI gateway.
        use_ai_gateway_native_api: The same with its API for OpenAI's models.
        workspace_id: The workspace's id on a host of several.
        allow_http: Whether a token may be sent unencrypted.

    Args, signing in:
        token: A token, or a function that returns one.
        client_id: A service principal's id.
        client_secret: The service principal's secret.
        config_profile: A profile of ``~/.databrickscfg``.
        config_file: The file with the profiles.
        auth_type: The only way of signing in that is tried.
        workspace_client: A client of the Databricks SDK, to sign in as it.
        credentials: Your own object that signs requests.
        user_session_token: The viewer's session token on Posit Connect.
        audience: The Posit Connect OAuth integration.

    Args, batches:
        batch_size: Most texts in one request.
        max_batch_bytes: Most bytes in one request.
        max_batch_tokens: Most tokens in one request.
        max_concurrency: Most requests at the same time.
        show_progress: Whether to show a progress bar.
        rate_limiter: LangChain's rate limiter.

    Args, texts and rows:
        instruction: What is put before queries and documents.
        query_instruction: What the server puts before a query.
        document_instruction: What the server puts before a document.
        dimensions: Length of a row, where the model offers a choice.
        normalize: Whether this client scales rows to length 1.
        too_long: What to do with a text that is longer than the model reads.
        window: Tokens of one text that the model reads.

    Args, further request fields:
        extra_body: Further request fields for queries and documents.
        query_params: Further request fields for queries.
        documents_params: Further request fields for documents.

    Args, timeouts and retries:
        timeout: Seconds, or a `Timeouts`.
        max_retries: How often a request is retried after a transient failure.
        retry_deadline: Seconds after which a request is not retried any more.
        resend_after_loss: Whether to retry if an answer was lost.
        adaptive_limit: Which calls are limited after an overload.

    Args, HTTP:
        request_tags: Labels of requests in the gateway's usage table.
        max_request_bytes: Maximum size of a request, in bytes.
        max_response_bytes: Maximum size of an answer, in bytes.
        default_headers: Headers for every request.
        default_query: Query parameters for every request.
        user_agent: The prefix of the header ``User-Agent``.
        proxy: URL of the proxy for all requests.
        http_client: An ``httpx.Client`` to use for sync calls.
        http_async_client: An ``httpx.AsyncClient`` to use for async calls.

    Example:
        >>> from langchain_dbchat import DatabricksEmbeddings
        >>> from langchain_dbchat.local import LocalWorkspace
        >>> with LocalWorkspace() as workspace:
        ...     embeddings = DatabricksEmbeddings(
        ...         model="databricks-gte-large-en",
        ...         host=workspace.host,
        ...         token=workspace.token,
        ...     )
        ...     texts = ["a brown bear", "the income tax"]
        ...     rows = embeddings.embed_documents(texts)
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

    if TYPE_CHECKING:  # as in `ChatDatabricksCompat`

        def __init__(self, **settings: Unpack[EmbeddingArguments]) -> None: ...

    _repeatable: ClassVar[bool] = True
    _session_cache: FieldCache[Session] = PrivateAttr(default_factory=FieldCache)
    _meter: Meter = PrivateAttr(default_factory=Meter)

    @classmethod
    def _arguments(cls) -> type:
        from langchain_dbchat.embeddings.arguments import EmbeddingArguments  # noqa: PLC0415  # for `help()` alone

        return EmbeddingArguments

    @property
    def usage(self) -> EmbeddingUsage:
        """Return what this instance has used in this process: requests, texts and tokens."""
        return self._meter.usage

    def embed_documents(
        self, texts: Iterable[str], chunk_size: int | None = None, **settings: Any
    ) -> list[list[float]]:
        """Embed texts that will be searched.

        Args:
            texts: The texts, in any iterable (a list, a generator, a pandas or polars Series, a numpy or arrow array),
                by position. Texts that are empty or have only whitespace all get the embedding of a single space.
            chunk_size: The `batch_size` of this call, under OpenAI's name.
            **settings: Settings of this call, under any of their names, such as ``dimensions`` or ``timeout``; any
                other name is a field of the request.

        Returns:
            One row of floats for each text, in their order.

        Raises:
            EmbeddingsIncompleteError: If some texts have no embedding; it names them and contains the other rows.
            DatabricksError: If nothing could be embedded.
        """
        return cast(
            "list[list[float]]",
            finish(self._embed(ThreadWorkers, texts, RowList, {**settings, "chunk_size": chunk_size})),
        )

    def embed_documents_or_none(
        self, texts: Iterable[str], failures: dict[int, Exception] | None = None, **settings: Any
    ) -> list[list[float] | None]:
        """Embed texts that will be searched; a text that cannot be embedded gets None.

        Args:
            texts: The texts.
            failures: A dict that is filled with the errors of such texts, by index.
            **settings: Settings of this call, as for `embed_documents`.

        Returns:
            One row of floats or None for each text, in their order.

        Raises:
            DatabricksError: If the cause is not in the texts: no permission, no such endpoint, an outage.
        """
        failures = {} if failures is None else failures
        return cast("list[list[float] | None]", finish(self._embed(ThreadWorkers, texts, RowList, settings, failures)))

    def embed_array(
        self, texts: Iterable[str], failures: dict[int, Exception] | None = None, **settings: Any
    ) -> NDArray[np.float32]:
        """Embed texts that will be searched, into one numpy array (extra ``numpy``).

        Args:
            texts: The texts.
            failures: A dict that is filled with the errors of texts that cannot be embedded, by index; their rows are
                NaN. None to raise.
            **settings: Settings of this call, as for `embed_documents`.

        Returns:
            An array of 32-bit floats, of shape (texts, dimensions).

        Raises:
            EmbeddingsIncompleteError: If some texts have no embedding and `failures` is None.
            DatabricksError: If nothing could be embedded.
        """
        return cast("NDArray[np.float32]", finish(self._embed(ThreadWorkers, texts, RowArray, settings, failures)))

    def embed_query(self, text: str, **settings: Any) -> list[float]:
        """Embed a text that searches.

        Args:
            text: The text.
            **settings: Settings of this call, as for `embed_documents`.

        Returns:
            Its row of floats.

        Raises:
            DatabricksError: If the endpoint cannot be reached or refuses.
        """
        rows = finish(self._embed(ThreadWorkers, [text], RowList, settings, is_query=True))
        return cast("list[float]", rows[0])

    async def aembed_documents(
        self, texts: Iterable[str], chunk_size: int | None = None, **settings: Any
    ) -> list[list[float]]:
        """Do the same as `embed_documents` without blocking the event loop."""
        return cast(
            "list[list[float]]", await self._embed(TaskWorkers, texts, RowList, {**settings, "chunk_size": chunk_size})
        )

    async def aembed_documents_or_none(
        self, texts: Iterable[str], failures: dict[int, Exception] | None = None, **settings: Any
    ) -> list[list[float] | None]:
        """Do the same as `embed_documents_or_none` without blocking the event loop."""
        failures = {} if failures is None else failures
        return cast("list[list[float] | None]", await self._embed(TaskWorkers, texts, RowList, settings, failures))

    async def aembed_array(
        self, texts: Iterable[str], failures: dict[int, Exception] | None = None, **settings: Any
    ) -> NDArray[np.float32]:
        """Do the same as `embed_array` without blocking the event loop."""
        return cast("NDArray[np.float32]", await self._embed(TaskWorkers, texts, RowArray, settings, failures))

    async def aembed_query(self, text: str, **settings: Any) -> list[float]:
        """Do the same as `embed_query` without blocking the event loop."""
        rows = await self._embed(TaskWorkers, [text], RowList, settings, is_query=True)
        return cast("list[float]", rows[0])

    def __copy__(self) -> Self:
        """Copy without the connection and the usage."""
        copy = super().__copy__()
        copy._meter = Meter()  # noqa: SLF001  # an instance of this class
        return copy

    def _for_call(self, settings: dict[str, Any]) -> Self:
        """Return an instance with the settings of one call; it counts its usage here."""
        if settings.get("chunk_size") is None:
            settings.pop("chunk_size", None)
        if not settings:
            return self
        from langchain_dbchat.embeddings.for_call import settings_for_call  # noqa: PLC0415  # few calls have settings

        model, has_same_connection = settings_for_call(self, settings)
        model._meter = self._meter  # noqa: SLF001  # an instance of this class
        if has_same_connection:
            model._session_cache = self._session_cache  # noqa: SLF001  # the same
        return model

    def _default_model(self) -> str:
        name = os.environ.get("DATABRICKS_EMBEDDING_MODEL")
        if name:
            return name
        raise ConfigurationError(
            "DatabricksEmbeddings needs model=... or DATABRICKS_EMBEDDING_MODEL, an embedding endpoint's name, such "
            "as 'databricks-gte-large-en'."
        )

    async def _embed(  # noqa: PLR0913  # what differs between the public methods
        self,
        workers: type[Workers[Any]],
        texts: Iterable[str],
        kind: type[Rows],
        settings: dict[str, Any],
        failures: dict[int, Exception] | None = None,
        *,
        is_query: bool = False,
    ) -> Any:
        model, found = self._for_call(settings), list_texts(texts)
        rows = kind(len(found), spec_of(model).shape)
        session = await workers.session(model)
        run = EmbeddingRun(model, session, found, rows, self._meter, is_query=is_query)
        with run.observed(failures):
            await send_batches(run, workers(run, model.rate_limiter))
        return rows.rows
