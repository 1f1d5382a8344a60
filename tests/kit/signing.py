"""Credentials and requests for the tests of the transport."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

from langchain_dbchat.dialects.shared.answer.events import is_last
from langchain_dbchat.transport.messages import Request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kit.scripted import ScriptedServer


@dataclass
class Rotating:
    """Credentials that give a new token for each refresh, and remember how they were asked."""

    name: str = "TEST_TOKEN"
    more: Mapping[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    generation: int = 1

    def headers(self, *, refresh: bool = False) -> Mapping[str, str]:
        self.asked.append("sync refresh" if refresh else "sync")
        return self._sign(refresh)

    async def aheaders(self, *, refresh: bool = False) -> Mapping[str, str]:
        self.asked.append("async refresh" if refresh else "async")
        return self._sign(refresh)

    def _sign(self, refresh: bool) -> Mapping[str, str]:
        self.generation += refresh
        return {"Authorization": f"Bearer token-{self.generation}", **self.more}


def request_to(server: ScriptedServer | str, body: Any = None, *, streaming: bool = False, **headers: str) -> Request:
    """A request to an endpoint of a server."""
    host = server if isinstance(server, str) else server.url
    return Request(
        url=f"{host}/serving-endpoints/my-endpoint/invocations?o=1",
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        body=to_json({"messages": []} if body is None else body),
        endpoint="my-endpoint",
        host=host,
        streaming=streaming,
        is_last=is_last,
    )
