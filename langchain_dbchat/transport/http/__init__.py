"""Our HTTP/1.1 stack, behind httpx's transport interface: `handle_request` and `handle_async_request`.

Nothing else of the package imports its modules. What it supports is in `docs/http.md`.
"""

from langchain_dbchat.transport.http.transport import AsyncPooledTransport, PooledTransport

__all__ = ["AsyncPooledTransport", "PooledTransport"]
