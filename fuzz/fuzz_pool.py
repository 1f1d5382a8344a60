"""Fuzz target: hostile answers over sockets, through our pool and through httpx's own, each with a probe behind it.

Our sync pool, our async pool, httpx's sync and async pools and h11 alone get the same bytes and the same end of the
connection (kept open, closed, reset, half closed; and over TLS, closed without a word of TLS's own, or damaged). Ours
have to read what h11 and httpx read. The probe that follows on the same pool has to get its own answer, whatever stood
behind the hostile one.
"""

from __future__ import annotations

import asyncio
import itertools
import ssl
import sys
from contextlib import aclosing, closing
from typing import TYPE_CHECKING

import httpx
from answers import SECOND, Outcome, answer, as_h11_reads
from fuzz_http11 import _DECISIONS
from hostile_server import ENDS, ENDS_OF_TLS, HostileServer, Plan, hostile_servers
from running import pieces, run

from langchain_dbchat.transport.http.transport import AsyncPooledTransport, PooledTransport

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

_LIMITS = httpx.Limits(max_connections=4, max_keepalive_connections=4, keepalive_expiry=30)
_WAITS = {"connect": 5.0, "read": 0.08, "write": 5.0, "pool": 5.0}
_PATIENT = {**_WAITS, "read": 5.0}
_BROKEN = (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError)
_numbers = itertools.count(1)


class Pools:
    """The pools that are compared, and the server that they call."""

    def __init__(self, server: HostileServer) -> None:
        self.server = server
        self.loop = asyncio.new_event_loop()
        self.renew()

    def renew(self) -> None:
        """Begin with new pools: one that has caught its server at something uses no connection of it again."""
        self.sync: dict[str, httpx.BaseTransport] = {"sync": PooledTransport(lambda: self.server.trusting, _LIMITS)}
        self.asyncs: dict[str, httpx.AsyncBaseTransport] = {
            "async": AsyncPooledTransport(lambda: self.server.trusting, _LIMITS)
        }

    def close(self) -> None:
        """Close the pools."""
        self.sync["sync"].close()
        self.loop.run_until_complete(self.asyncs["async"].aclose())

    def send(self, way: str, path: str, waits: dict[str, float]) -> Outcome:
        """Send a request by one of the pools, and say what became of it."""
        request = httpx.Request("POST", self.server.url + path, content=b"{}", extensions={"timeout": waits})
        if way in self.sync:
            return self._send(self.sync[way], request)
        return self.loop.run_until_complete(self._asend(self.asyncs[way], request))

    def send_by_httpx(self, way: str, path: str, waits: dict[str, float]) -> Outcome:
        """Send a request by a pool of httpx that is new, because its pools give what is left to the next request."""
        request = httpx.Request("POST", self.server.url + path, content=b"{}", extensions={"timeout": waits})
        try:
            if way == "sync":
                with httpx.HTTPTransport(verify=self.server.trusting, limits=_LIMITS) as pool:
                    return self._send(pool, request)
            return self.loop.run_until_complete(self._asend_by_httpx(request))
        except ssl.SSLError:  # its async pool does not turn this into an error of its own
            return Outcome("broken")

    async def _asend_by_httpx(self, request: httpx.Request) -> Outcome:
        async with httpx.AsyncHTTPTransport(verify=self.server.trusting, limits=_LIMITS) as pool:
            return await self._asend(pool, request)

    def _send(self, pool: httpx.BaseTransport, request: httpx.Request) -> Outcome:
        status: int | None = None
        body = bytearray()
        try:
            with closing(pool.handle_request(request)) as response:
                status = response.status_code
                for piece in response.stream:  # type: ignore[union-attr]  # a sync pool's answer has a sync stream
                    body += piece
        except httpx.ReadTimeout:
            return Outcome("waits", status, bytes(body))
        except _BROKEN:
            return Outcome("broken", status, bytes(body))
        return Outcome("whole", status, bytes(body))

    async def _asend(self, pool: httpx.AsyncBaseTransport, request: httpx.Request) -> Outcome:
        status: int | None = None
        body = bytearray()
        try:
            async with aclosing(await pool.handle_async_request(request)) as response:
                status = response.status_code
                async for piece in response.stream:  # type: ignore[union-attr]  # an async pool's has an async one
                    body += piece
        except httpx.ReadTimeout:
            return Outcome("waits", status, bytes(body))
        except _BROKEN:
            return Outcome("broken", status, bytes(body))
        return Outcome("whole", status, bytes(body))

    def probe(self, way: str) -> bytes | None:
        """Send an honest request on the same pool; None if the connection that it got had just ended."""
        number = next(_numbers)
        got = self.send(way, f"/probe/{number}", _PATIENT)
        if got.kind == "broken" and got.status is None:
            return None  # the server closed in the moment in which we wrote: the client sends again
        return b"" if (got.kind, got.status, got.body) == ("whole", 200, b"probe-%d" % number) else repr(got).encode()


def planned(dice: random.Random, ends: tuple[str, ...]) -> tuple[bytes, Plan]:
    """Plan a case: what is sent, in which pieces, and how it ends."""
    said = answer(dice)
    if dice.random() < 0.3:
        said = said[: dice.randint(0, len(said))]
    cut = [piece for piece in pieces(dice, said) if piece]
    if len(cut) > 12:  # a piece for each byte takes too long over a socket
        cut = [said]
    if dice.random() < 0.2:  # in a piece of its own, so that it may stay in the socket
        said += SECOND
        cut.append(SECOND)
    return said, Plan(cut, dice.choice(ends), pause=0.0005 if dice.random() < 0.3 else 0.0)


class Probing:
    """The target: one case by each of our two pools, plainly or over TLS.

    Args:
        plain: The pools that call without TLS.
        secured: The pools that call with it.
        ways: Which of them.
    """

    def __init__(self, plain: Pools, secured: Pools, ways: tuple[str, ...] = ("sync", "async")) -> None:
        self.plain = plain
        self.secured = secured
        self.ways = ways

    def __call__(self, dice: random.Random) -> None:
        """Answer one request with hostile bytes, by each way, and probe the pool."""
        pools, ends = dice.choice(((self.plain, ENDS), (self.secured, ENDS_OF_TLS)))
        pools.close()
        pools.renew()
        said, plan = planned(dice, ends)
        what = f"{said!r}, then {plan.end}{' of TLS' if pools.server.secure else ''}"
        expected = as_h11_reads(said, ends=plan.end not in {"keep", "torn"})
        for way in self.ways:
            got = _answered(pools, plan, way, pools.send)
            if got.kind == "waits" and not _agree(said, plan.end, got, expected):  # perhaps the machine was busy
                got = _answered(pools, plan, way, pools.send, _PATIENT)
            theirs = _answered(pools, plan, way, pools.send_by_httpx)
            if not _agree(said, plan.end, got, theirs):  # the same
                theirs = _answered(pools, plan, way, pools.send_by_httpx, _PATIENT)
            for who, other in (("h11", expected), ("httpx", theirs)):
                if not _agree(said, plan.end, got, other):
                    raise AssertionError(f"{way}: {what}: {got} and not {other} as {who}")
            answers = [pools.probe(way), pools.probe(way)]
            wrong = [got for got in answers if got]
            if wrong or answers == [None, None]:
                raise AssertionError(f"{way}: {what}: the probe got {wrong or 'no answer, twice'}")


def _answered(
    pools: Pools,
    plan: Plan,
    way: str,
    send: Callable[[str, str, dict[str, float]], Outcome],
    waits: dict[str, float] = _WAITS,
) -> Outcome:
    """Send a request that the server answers as planned."""
    number = next(_numbers)
    pools.server.plans[number] = fresh = Plan(plan.pieces, plan.end, plan.pause)
    got = send(way, f"/case/{number}", waits)
    fresh.said.wait(2)
    del pools.server.plans[number]
    return got


def _agree(said: bytes, end: str, got: Outcome, expected: Outcome) -> bool:
    if any(is_meant(said, got, expected) for _, is_meant in _DECISIONS):
        return True
    if end in {"reset", "torn"} and "broken" in {got.kind, expected.kind}:
        return got.kind != "waits"  # a reset, or damage to TLS, may overtake what was sent before it
    if got.kind == expected.kind == "whole":
        return (got.status, got.body) == (expected.status, expected.body)
    # A server that keeps quiet is waited for; how long it takes to find the bytes broken is not compared.
    return got.kind == expected.kind


def main() -> int:
    """Run the target as the command line says."""
    with hostile_servers() as (plain, secured):
        return run(Probing(Pools(plain), Pools(secured)))


if __name__ == "__main__":
    sys.exit(main())
