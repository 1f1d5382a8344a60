"""The clients that are compared, behind one face: what LangChain's chat models have.

Each function imports its client itself, because each is run in an environment of its own.
"""

# ruff: noqa: PLC0415, S106  # see above; the tokens are invented

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import wires

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    import httpx

Model = Any
"""Something with ``stream``, ``astream``, ``invoke``, ``ainvoke`` and, if it embeds, ``embed_documents``."""


def dbchat(base: str, kind: str, *, merge: bool) -> Model:
    """Make ours."""
    if kind == "embed":
        from langchain_dbchat import DatabricksEmbeddings

        return DatabricksEmbeddings(model="bench-embed", host=base, token="t")
    from langchain_dbchat import ChatDatabricksCompat

    family = "gpt-5" if kind.startswith("object") else "claude"  # a family that streams a response format
    other: Any = {"api": kind} if kind in wires.WIRES else {}  # older commits have no api=
    return ChatDatabricksCompat(model=f"bench-{kind}", family=family, host=base, token="t", coalesce=merge, **other)


OPEN: list[httpx.AsyncClient] = []
"""Clients that the process has to close when it ends."""


def dbchat_aiohttp(base: str, kind: str, *, merge: bool) -> Model:
    """Make ours with httpx over aiohttp as the user's own client."""
    import httpx
    from httpx_aiohttp import AiohttpTransport

    if not OPEN:
        OPEN.append(httpx.AsyncClient(transport=AiohttpTransport()))
    return dbchat(base, kind, merge=merge).model_copy(update={"http_async_client": OPEN[0]})


def langchain_openai(base: str, kind: str, *, merge: bool) -> Model:
    """Make langchain-openai's; it never merges."""
    del merge
    if kind == "embed":
        from langchain_openai import OpenAIEmbeddings  # type: ignore[import-not-found,unused-ignore]  # its own place

        return OpenAIEmbeddings(
            model="bench-embed", base_url=f"{base}/v1", api_key="t", check_embedding_ctx_length=False, chunk_size=100
        )
    from langchain_openai import ChatOpenAI  # type: ignore[import-not-found,unused-ignore]  # its own place

    return ChatOpenAI(model=f"bench-{kind}", base_url=f"{base}/v1", api_key="t", stream_usage=True)


def databricks_langchain(base: str, kind: str, *, merge: bool) -> Model:
    """Make databricks-langchain's; it never merges."""
    del merge
    from databricks.sdk import WorkspaceClient
    from databricks_langchain import (  # type: ignore[import-not-found,unused-ignore]  # its own place
        ChatDatabricks,
        DatabricksEmbeddings,
    )

    client = WorkspaceClient(host=base, token="t")
    if kind == "embed":
        # It takes its client from the environment, which the worker sets.
        return DatabricksEmbeddings(endpoint="bench-embed")
    return ChatDatabricks(model=f"bench-{kind}", workspace_client=client, stream_usage=True)


class Raw:
    """httpx by itself: bytes are moved, and nothing is made of them."""

    def __init__(self, base: str, kind: str) -> None:
        import httpx

        self._kind = kind
        self._sync = httpx.Client(base_url=base, timeout=60)
        self._base = base
        self._async: dict[int, httpx.AsyncClient] = {}

    def _ask(self, *, stream: bool) -> dict[str, Any]:
        said = [{"role": "user", "content": "Hi"}]
        return {
            "url": "/v1/chat/completions",
            "json": {"model": f"bench-{self._kind}", "messages": said, "stream": stream},
        }

    def _aclient(self) -> httpx.AsyncClient:
        import asyncio

        import httpx

        loop = id(asyncio.get_running_loop())
        if loop not in self._async:
            self._async[loop] = httpx.AsyncClient(base_url=self._base, timeout=60)
        return self._async[loop]

    def stream(self, text: str) -> Iterator[bytes]:
        """Yield the pieces of a body."""
        del text
        with self._sync.stream("POST", **self._ask(stream=True)) as response:
            yield from response.iter_raw()

    async def astream(self, text: str) -> AsyncIterator[bytes]:
        """Yield the pieces of a body."""
        del text
        async with self._aclient().stream("POST", **self._ask(stream=True)) as response:
            async for piece in response.aiter_raw():
                yield piece

    def invoke(self, text: str) -> Any:
        """Return a body."""
        del text
        return json.loads(self._sync.post(**self._ask(stream=False)).content)

    async def ainvoke(self, text: str) -> Any:
        """Return a body."""
        del text
        return json.loads((await self._aclient().post(**self._ask(stream=False))).content)

    def batch(self, texts: list[str], config: dict[str, int]) -> list[Any]:
        """Call `invoke` in threads."""
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(config["max_concurrency"]) as threads:
            return list(threads.map(self.invoke, texts))

    def embed_documents(self, texts: list[str]) -> Any:
        """Return rows, eight batches at once."""
        from concurrent.futures import ThreadPoolExecutor

        def embed(batch: list[str]) -> list[list[float]]:
            reply = self._sync.post("/v1/embeddings", json={"model": "bench-embed", "input": batch})
            return [item["embedding"] for item in json.loads(reply.content)["data"]]

        with ThreadPoolExecutor(8) as threads:
            batches = [texts[start : start + 100] for start in range(0, len(texts), 100)]
            return [row for rows in threads.map(embed, batches) for row in rows]


def raw_httpx(base: str, kind: str, *, merge: bool) -> Model:
    """Make a bare httpx client."""
    del merge
    return Raw(base, kind)


def floor(base: str, kind: str, *, merge: bool) -> Model:
    """Make langchain-core around a fake model that builds the chunks of a stream from nothing."""
    del base, merge
    from floor import Floor

    return Floor(kind=kind)


CLIENTS: dict[str, Callable[..., Model]] = {
    "databricks-langchain": databricks_langchain,
    "langchain-openai": langchain_openai,
    "raw httpx": raw_httpx,
    "floor": floor,
    "dbchat": dbchat,
    "dbchat before": dbchat,  # in the environment of an older commit
    "dbchat fast": dbchat,  # in an event loop of uvloop
    "dbchat aiohttp": dbchat_aiohttp,
}

IMPORTS = {
    "databricks-langchain": "databricks_langchain",
    "langchain-openai": "langchain_openai",
    "raw httpx": "httpx",
    "floor": "langchain_core.language_models.chat_models",
    "dbchat": "langchain_dbchat",
    "dbchat before": "langchain_dbchat",
    "dbchat fast": "langchain_dbchat",
    "dbchat aiohttp": "langchain_dbchat",
}
