"""The workspace in a terminal: its options, output and end."""

from __future__ import annotations

import signal
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

COLUMNS = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``dbchat local`` to a parser."""
    parser.add_argument("--port", type=int, default=8787, help="port on 127.0.0.1; 0 for a free one (default: 8787)")
    parser.add_argument("--token", help="personal access token to accept (default: a new one)")
    parser.add_argument("--latency", type=float, default=0.0, metavar="SECONDS", help="wait before each answer")
    parser.add_argument("--pace", type=float, default=0.0, metavar="SECONDS", help="wait between events of a stream")
    parser.add_argument("--backend", metavar="URL", help="OpenAI-compatible server that makes the answers")
    parser.add_argument("--no-gateway", action="store_true", help="serve a workspace that has no AI gateway")


def serve(options: argparse.Namespace) -> int:
    """Serve a Databricks-shaped workspace on this machine until interrupted."""
    from langchain_dbchat.local import LocalWorkspace  # noqa: PLC0415  # without starlette, --help still works

    workspace = LocalWorkspace(
        port=options.port,
        token=options.token,
        latency=options.latency,
        pace=options.pace,
        backend=options.backend,
        gateway=not options.no_gateway,
    )
    try:
        workspace.start()
    except OSError as error:
        sys.stderr.write(f"Cannot listen on 127.0.0.1:{options.port}: {error.strerror}. Try --port 0.\n")
        return 1
    done = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: done.set())
    try:
        sys.stdout.write(greeting(workspace.host, workspace.token, workspace.endpoints))
        sys.stdout.flush()
        done.wait()
    finally:
        workspace.stop()
    return 0


def greeting(host: str, token: str, endpoints: list[str]) -> str:
    """Return what the terminal shows: two lines to paste, and the endpoints."""
    width = max(map(len, endpoints)) + 2
    rows = [endpoints[start : start + COLUMNS] for start in range(0, len(endpoints), COLUMNS)]
    table = "\n".join("  " + "".join(name.ljust(width) for name in row).rstrip() for row in rows)
    return (
        f"export DATABRICKS_HOST={host}\n"
        f"export DATABRICKS_TOKEN={token}\n\n"
        f"# {len(endpoints)} endpoints; stop with Ctrl+C\n{table}\n"
    )
