"""The workspace in a terminal: its options, output and end.

Rule 1. Every line fits into 80 columns. What to paste comes last, so that it stays on the screen.
Rule 2. Each answer to a request is one line.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING

from langchain_dbchat.local.small_model import SMOLLM2

if TYPE_CHECKING:
    import argparse

    from langchain_dbchat.local.server.answer_log import SentAnswer
    from langchain_dbchat.local.server.request_log import RecordedRequest

LINE_COLUMNS = 79
NAME_COLUMNS = 30
STARTS_SMALL_MODEL = "Starting SmolLM2 on this machine; the first time takes up to a minute ...\n"
MAKES = {None: "rule-based answers", SMOLLM2: "rules plus SmolLM2"}
"""What makes the answers, in a few words."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``dbchat local`` to a parser."""
    parser.add_argument("--port", type=int, default=8787, help="port on 127.0.0.1; 0 for a free one (default: 8787)")
    parser.add_argument("--token", help="personal access token to accept (default: a new one)")
    parser.add_argument("--latency", type=float, default=0.0, metavar="SECONDS", help="wait before each answer")
    parser.add_argument("--pace", type=float, default=0.0, metavar="SECONDS", help="wait between events of a stream")
    parser.add_argument("--backend", metavar="URL", help="OpenAI-compatible server that makes the answers, or smollm2")
    parser.add_argument("--no-gateway", action="store_true", help="serve a workspace that has no AI gateway")
    parser.add_argument("--quiet", action="store_true", help="print no line for each request")


def serve(options: argparse.Namespace) -> int:
    """Serve a Databricks-shaped workspace on this machine until interrupted."""
    from langchain_dbchat.local import LocalWorkspace  # noqa: PLC0415  # without starlette, --help still works

    if options.backend == SMOLLM2:
        sys.stdout.write(STARTS_SMALL_MODEL)
        sys.stdout.flush()
    try:
        workspace = LocalWorkspace(
            port=options.port,
            token=options.token,
            latency=options.latency,
            pace=options.pace,
            backend=options.backend,
            gateway=not options.no_gateway,
            on_answer=None if options.quiet else show_answer,
        ).start()
    except OSError as error:
        sys.stderr.write(f"Cannot listen on 127.0.0.1:{options.port}: {error.strerror}. Try --port 0.\n")
        return 1
    except (RuntimeError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    done = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: done.set())
    try:
        makes = MAKES.get(options.backend, f"answers of {options.backend}")
        sys.stdout.write(greeting(workspace.host, workspace.token, len(workspace.endpoints), makes))
        sys.stdout.flush()
        done.wait()
    finally:
        workspace.stop()
    return 0


def greeting(host: str, token: str, endpoints: int, makes: str) -> str:
    """Return what the terminal shows first.

    Args:
        host: The value for ``DATABRICKS_HOST``.
        token: The value for ``DATABRICKS_TOKEN``.
        endpoints: How many endpoints there are.
        makes: What makes the answers, in a few words.
    """
    return (
        f"A local workspace with {endpoints} endpoints and {makes}. Ctrl+C stops it.\n"
        "Set these two in another terminal; `dbchat doctor` then calls it.\n\n"
        "PowerShell:\n"
        f'$env:DATABRICKS_HOST = "{host}"\n'
        f'$env:DATABRICKS_TOKEN = "{token}"\n\n'
        ".env:\n"
        f"DATABRICKS_HOST={host}\n"
        f"DATABRICKS_TOKEN={token}\n\n"
        "bash, zsh:\n"
        f"export DATABRICKS_HOST={host}\n"
        f"export DATABRICKS_TOKEN={token}\n\n"
    )


def show_answer(request: RecordedRequest, answer: SentAnswer) -> None:
    """Print the line of an answer."""
    with contextlib.suppress(OSError):  # a terminal that has gone is no reason to fail a request
        sys.stdout.write(answer_line(request, answer, time.strftime("%H:%M:%S")) + "\n")
        sys.stdout.flush()


def answer_line(request: RecordedRequest, answer: SentAnswer, clock: str) -> str:
    """Return the line of an answer: time, endpoint, API, status, tokens in and out, duration.

    Args:
        request: The request.
        answer: What was sent.
        clock: The time of day.
    """
    tokens = [f"{count}" for count in (answer.input_tokens, answer.output_tokens) if count is not None]
    used = f"{'+'.join(tokens)} tokens" if tokens else ""
    rest = f"{request.api or '':<10} {answer.status or 'cut':<3} {used:<15} {answer.seconds:>5.2f} s"
    columns = min(NAME_COLUMNS, LINE_COLUMNS - len(clock) - len(rest) - 2)
    name = _printable(request.endpoint or f"{request.method} {request.path}")
    if len(name) > columns:
        name = f"{name[: columns - 3]}..."
    return f"{clock} {name:<{columns}} {rest}"


def _printable(text: str) -> str:
    """Return the text without what would move the cursor or hide a part of the line."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)
