"""Embeddings served by Databricks, as LangChain's `Embeddings`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from langchain_core.embeddings import Embeddings
from pydantic import ConfigDict, Field

from langchain_dbchat.connection import DatabricksConnection
from langchain_dbchat.dialects.embeddings import MAX_INPUTS, decode_embeddings, encode_embedding_request
from langchain_dbchat.errors import ConfigurationError

if TYPE_CHECKING:
    from langchain_dbchat.connection import Link
    from langchain_dbchat.transport.exchange import Reply, Request


class DatabricksEmbeddings(DatabricksConnection, Embeddings):
    """Embeddings from a Databricks serving endpoint.

    Args:
        model: Name of the serving endpoint (alias ``endpoint``), for example ``"databricks-gte-large-en"``; left out,
            ``DATABRICKS_EMBEDDING_MODEL``.
        query_params: Further request fields for `embed_query`, for example ``{"instruction": "..."}``.
        documents_params: Further request fields for `embed_documents`.
        batch_size: Texts in one request, 1 to 150. Default 100.
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
        arbitrary_types_allowed=True, protected_namespaces=(), hide_input_in_errors=True
    )

    query_params: Mapping[str, Any] = Field(default_factory=dict)
    """Further request fields for queries."""

    documents_params: Mapping[str, Any] = Field(default_factory=dict)
    """Further request fields for documents."""

    batch_size: int = Field(default=100, ge=1, le=MAX_INPUTS)
    """Texts in one request; Databricks refuses more than 150."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed texts that are to be found.

        Args:
            texts: The texts. An empty one is sent as a single space, since a row is owed for it.

        Returns:
            One row of floats for each text, in their order.

        Raises:
            DatabricksError: If the endpoint cannot be reached or refuses.
        """
        return self._embed(texts, self.documents_params)

    def embed_query(self, text: str) -> list[float]:
        """Embed a text that searches.

        Args:
            text: The text.

        Returns:
            Its row of floats.

        Raises:
            DatabricksError: If the endpoint cannot be reached or refuses.
        """
        return self._embed([text], self.query_params)[0]

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed texts that are to be found, without blocking the event loop.

        Args:
            texts: The texts.

        Returns:
            One row of floats for each text, in their order.

        Raises:
            DatabricksError: If the endpoint cannot be reached or refuses.
        """
        return await self._aembed(texts, self.documents_params)

    async def aembed_query(self, text: str) -> list[float]:
        """Embed a text that searches, without blocking the event loop.

        Args:
            text: The text.

        Returns:
            Its row of floats.

        Raises:
            DatabricksError: If the endpoint cannot be reached or refuses.
        """
        return (await self._aembed([text], self.query_params))[0]

    def _default_model(self) -> str:
        name = os.environ.get("DATABRICKS_EMBEDDING_MODEL")
        if name:
            return name
        raise ConfigurationError(
            "DatabricksEmbeddings needs model=... or DATABRICKS_EMBEDDING_MODEL, an embedding endpoint's name, such "
            "as 'databricks-gte-large-en'."
        )

    def _embed(self, texts: list[str], params: Mapping[str, Any]) -> list[list[float]]:
        batches = self._batches(texts)
        link = self.link()
        rows: list[list[float]] = []
        for batch in batches:
            rows.extend(self._rows(link.channel.post(self._ask(link, batch, params)), batch))
        return rows

    async def _aembed(self, texts: list[str], params: Mapping[str, Any]) -> list[list[float]]:
        batches = self._batches(texts)
        link = await self.alink()
        rows: list[list[float]] = []
        for batch in batches:
            rows.extend(self._rows(await link.channel.apost(self._ask(link, batch, params)), batch))
        return rows

    def _batches(self, texts: list[str]) -> Iterator[list[str]]:
        for number, text in enumerate(texts):
            if not isinstance(text, str):
                raise TypeError(f"Text {number} is a {type(text).__name__}, not a string.")
        return (texts[start : start + self.batch_size] for start in range(0, len(texts), self.batch_size))

    def _ask(self, link: Link, batch: list[str], params: Mapping[str, Any]) -> Request:
        return self.write_request(link, "embeddings", self.model, encode_embedding_request(batch, params))

    def _rows(self, reply: Reply, batch: list[str]) -> list[list[float]]:
        return decode_embeddings(reply.body or b"", len(batch), self.model)[0]
