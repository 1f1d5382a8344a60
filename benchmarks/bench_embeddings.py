"""Embed a corpus with every client on the same server: how close to the ideal, and what survives faults.

    python benchmarks/bench_embeddings.py [--texts N] [--dimensions N] [NAME=PYTHON ...]

NAME is `dbchat`, `langchain-openai` or `databricks-langchain`, PYTHON the interpreter of an environment that has it;
left out, this interpreter for dbchat and the environments that `make bench` made for the others. The ideal is what 8
requests of 100 texts at once take at 50 ms each, and no computing at all. "Faults" are, of every 100 requests, one 429
and one 503 with `Retry-After: 0` and one dropped connection. Memory is the growth of the process, over the size of the
rows as Python floats (40 bytes each: a pointer, and 24 bytes that CPython's allocator rounds up to 32) or as the array
(4 bytes each). Without numpy the array is left out.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import resource
import subprocess
import sys
import threading
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parent
LATENCY = 0.05
BATCH, AT_ONCE = 100, 8
DIMENSIONS = 64
FAULTY = {15: 429, 45: 503, 75: 0}  # of every 100 requests; 0 is a dropped connection
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


# The server: one process for each measurement, so that every client meets the same faults.


class Connection(asyncio.Protocol):
    """One connection of a client."""

    dimensions = DIMENSIONS
    faults = False
    served = 0
    rendered: dict[int, bytes]

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._loop = asyncio.get_running_loop()
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Take bytes, and answer when a request is complete."""
        self._pieces.append(data)
        head, found, body = b"".join(self._pieces).partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if found and len(body) >= (int(length[1]) if length else 0):
            self._pieces.clear()
            self._loop.call_later(LATENCY, self._answer, body)

    def _answer(self, body: bytes) -> None:
        kind = type(self)
        kind.served += 1
        fault = FAULTY.get(kind.served % 100) if kind.faults else None
        if fault == 0:
            self._transport.abort()
        elif fault is not None:
            self._write(fault, b'{"error_code":"REQUEST_LIMIT_EXCEEDED","message":"slow down"}')
        else:
            texts = json.loads(body or b"{}").get("input", [])
            self._write(200, self._rows(len(texts) if isinstance(texts, list) else 1))

    def _rows(self, count: int) -> bytes:
        if count not in self.rendered:
            row = json.dumps([round(((number * 7919) % 9973) / 9973 - 0.5, 8) for number in range(self.dimensions)])
            rows = ",".join(f'{{"object":"embedding","index":{index},"embedding":{row}}}' for index in range(count))
            usage = f'{{"prompt_tokens":{count},"total_tokens":{count}}}'
            self.rendered[count] = f'{{"object":"list","data":[{rows}],"model":"m","usage":{usage}}}'.encode()
        return self.rendered[count]

    def _write(self, status: int, body: bytes) -> None:
        if not self._transport.is_closing():
            head = f"HTTP/1.1 {status} OK\r\ncontent-type: application/json\r\nretry-after: 0\r\n"
            self._transport.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)


async def serve(dimensions: int, *, faults: bool) -> None:
    """Serve until the process is ended.

    Args:
        dimensions: Numbers in a row.
        faults: Whether some requests fail.
    """
    Connection.dimensions, Connection.faults, Connection.rendered = dimensions, faults, {}
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


# The client: one process for each measurement, in the client's own environment.


def _loop_in_a_thread(embeddings: Any, texts: list[str]) -> Any:
    rows: list[Any] = []
    thread = threading.Thread(target=lambda: rows.append(asyncio.run(embeddings.aembed_documents(texts))))
    thread.start()
    thread.join()
    return rows[0]


WAYS: dict[str, Callable[[Any, list[str]], Any]] = {
    "embed_documents": lambda embeddings, texts: embeddings.embed_documents(texts),
    "aembed_documents": lambda embeddings, texts: asyncio.run(embeddings.aembed_documents(texts)),
    "embed_array": lambda embeddings, texts: embeddings.embed_array(texts),
    "one internal loop": _loop_in_a_thread,
}


def measure(client: str, base: str, way: str, count: int) -> None:
    """Embed, and print what it took.

    Args:
        client: The client's name.
        base: The server's URL.
        way: How to embed.
        count: How many texts.
    """
    from clients import CLIENTS  # noqa: PLC0415  # beside this file, with imports that only this process can do

    os.environ |= {"DATABRICKS_HOST": base, "DATABRICKS_TOKEN": "t"}
    embeddings = CLIENTS[client](base, "embed", merge=True)
    texts = [f"text {number} of a corpus that is about bears, taxes and the weather" for number in range(count)]
    WAYS[way](embeddings, texts[:1])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        rows = WAYS[way](embeddings, texts)
    except Exception as error:  # noqa: BLE001  # what a client dies of is a figure here
        print(json.dumps({"failed": type(error).__name__, "wall": time.perf_counter() - wall}))
        return
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    size = len(rows) * len(rows[0]) * (4 if way == "embed_array" else 40)
    print(json.dumps({"wall": wall, "cpu": cpu, "rows": len(rows), "memory": grown / size}))


# The table.


def run(  # noqa: PLR0913  # what a measurement depends on
    python: str, client: str, way: str, count: int, dimensions: int, *, faults: bool
) -> dict[str, Any]:
    """Measure one client once.

    Args:
        python: The interpreter of its environment.
        client: Its name.
        way: How to embed.
        count: How many texts.
        dimensions: Numbers in a row.
        faults: Whether some requests fail.

    Returns:
        The figures.
    """
    script = str(HERE / "bench_embeddings.py")
    serving = [sys.executable, script, "--serve", str(dimensions), *(["--faults"] if faults else [])]
    with subprocess.Popen(serving, stdout=subprocess.PIPE, text=True) as server:  # noqa: S603  # this very script
        try:
            assert server.stdout is not None  # noqa: S101  # a pipe was asked for
            base = f"http://127.0.0.1:{int(server.stdout.readline())}"
            command = [python, script, "--client", client, base, way, str(count)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # as above
        finally:
            server.terminate()
    lines = done.stdout.strip().splitlines()
    figures: dict[str, Any] = (
        json.loads(lines[-1]) if done.returncode == 0 and lines else {"failed": done.stderr[-300:]}
    )
    return figures


def table(clients: dict[str, str], count: int, dimensions: int) -> None:
    """Measure everything and print it.

    Args:
        clients: The interpreter of each client.
        count: How many texts.
        dimensions: Numbers in a row.
    """
    ideal = count / BATCH * LATENCY / AT_ONCE
    print(f"{count:,} texts, {dimensions} dimensions, {LATENCY * 1000:.0f} ms; ideal {ideal:.2f} s\n", flush=True)
    print("| client | way | faults | wall s | x ideal | CPU s | memory / rows |")
    print("|---|---|---|---|---|---|---|")
    for client, python in clients.items():
        ways = list(WAYS) if client == "dbchat" else ["embed_documents"]
        if find_spec("numpy") is None:
            ways = [way for way in ways if way != "embed_array"]
        for way in ways:
            for faults in (False, True):
                got = run(python, client, way, count, dimensions, faults=faults)
                told = f"| {client} | {way} | {'yes' if faults else 'no'} "
                if "failed" in got:
                    print(f"{told}| failed: {got['failed']} | | | |", flush=True)
                    continue
                wall, cpu, memory = got["wall"], got["cpu"], got["memory"]
                print(f"{told}| {wall:.2f} | {wall / ideal:.2f} | {cpu:.2f} | {memory:.2f} |", flush=True)


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clients", nargs="*", metavar="NAME=PYTHON")
    parser.add_argument("--texts", type=int, default=20_000)
    parser.add_argument("--dimensions", type=int, default=DIMENSIONS)
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--faults", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--client", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve is not None:
        asyncio.run(serve(given.serve, faults=given.faults))
    elif given.client is not None:
        client, base, way, count = given.client
        measure(client, base, way, int(count))
    else:
        clients = dict(pair.split("=", 1) for pair in given.clients) or {"dbchat": sys.executable, **_made()}
        table(clients, given.texts, given.dimensions)


def _made() -> dict[str, str]:
    """Find the environments that `make bench` made."""
    names = {"langchain-openai": ".venv-bench-openai", "databricks-langchain": ".venv-bench-databricks"}
    pythons = {name: HERE.parent / folder / "bin" / "python" for name, folder in names.items()}
    return {name: str(python) for name, python in pythons.items() if python.exists()}


if __name__ == "__main__":
    main()
