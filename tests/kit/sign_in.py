"""Counterparts for the end-to-end tests of signing in: who they let in, and what they saw, headers and all.

The embedded workspace keeps no `Authorization` in its record, on purpose; `Mirror` is the server that does. It answers
every question with the token that signed it, so that a test reads who called from the answer itself.
"""

from __future__ import annotations

import base64
import json
import os
import ssl
import stat
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from kit.scripted import Received, Scripted, ScriptedServer, sse
from langchain_dbchat import ChatDatabricksCompat

MODEL = "my-endpoint"
EXCHANGE = "/__api__/v1/oauth/integrations/credentials"
PAT = "dapi" + "0123456789abcdef" * 2
INVALID = Scripted({"error_code": "403", "message": "Invalid Token"}, 403)
UNKNOWN = Scripted({"error_code": "401", "message": "Credential was not sent or was of an unsupported type"}, 401)
DENIED = Scripted({"error_code": "PERMISSION_DENIED", "message": "User does not have permission"}, 403)
BUSY = Scripted({"error_code": "TEMPORARILY_UNAVAILABLE", "message": "busy"}, 503, {"retry-after": "0"})


def chat(host: str | None = None, **settings: Any) -> ChatDatabricksCompat:
    """A model of an endpoint that nothing is known of."""
    return ChatDatabricksCompat(**{"model": MODEL, "host": host, "timeout": 20, "max_retries": 2, **settings})


def answer(received: Received, text: str) -> Scripted:
    """The answer to a question, in the shape that was asked for."""
    body = received.json
    if "input" in body:
        rows = [{"object": "embedding", "index": place, "embedding": [1.0]} for place in range(len(body["input"]))]
        return Scripted(
            {"object": "list", "data": rows, "model": "m", "usage": {"prompt_tokens": 1, "total_tokens": 1}}
        )
    head = {"id": "1", "created": 1, "model": "m"}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    if not body.get("stream"):
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        return Scripted({**head, "object": "chat.completion", "choices": [choice], "usage": usage})
    first = {"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": None}
    last = {"index": 0, "delta": {"content": ""}, "finish_reason": "stop"}
    head["object"] = "chat.completion.chunk"
    return Scripted(sse({**head, "choices": [first]}, {**head, "choices": [last], "usage": usage}))


def signer(received: Received) -> str:
    """The token that signed a request."""
    return received.headers.get("authorization", "nobody").removeprefix("Bearer ")


class Mirror(ScriptedServer):
    """Answers with the token that signed the question; exchanges session tokens and secrets.

    `faults` are given first, one for each question; `refused` are tokens that it does not know.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(self._reply, tls=tls)
        self.faults: list[Scripted] = []
        self.refused: dict[str, Scripted] = {}
        self.exchanged = 0

    def _reply(self, received: Received) -> Scripted:
        if received.path == EXCHANGE:
            self.exchanged += 1
            (subject,) = parse_qs(received.body.decode())["subject_token"]
            return Scripted({"access_token": f"for-{subject}-{self.exchanged}", "expires_in": 3600})
        if received.path == "/oidc/v1/token":
            self.exchanged += 1
            client = (
                base64.b64decode(received.headers["authorization"].removeprefix("Basic ")).decode().partition(":")[0]
            )
            return Scripted({"access_token": f"of-{client}", "expires_in": 3600})
        if received.method == "GET":
            return Scripted({"endpoints": [{"name": MODEL, "task": "llm/v1/chat"}], "data": [{"id": MODEL}]})
        token = signer(received)
        return self.refused.get(token) or (self.faults.pop(0) if self.faults else answer(received, token))

    @property
    def questions(self) -> list[Received]:
        """What was asked of the models."""
        return [received for received in self.requests if received.path.endswith(("/invocations", "/completions"))]

    @property
    def signers(self) -> list[str]:
        """Who asked, in order."""
        return [signer(received) for received in self.questions]


def write_cli(folder: Path, token: str | None = None, *, lifetime: str = "hours=1") -> Path:
    """Put an executable named `databricks` into a folder; gives the file in which it counts its calls.

    Args:
        folder: The folder, to be put on PATH.
        token: What it prints; None for "cli-1", "cli-2" and so on.
        lifetime: For how long the token is good, as the arguments of a timedelta.
    """
    folder.mkdir(exist_ok=True)
    log, path = folder / "calls", folder / "databricks"
    path.write_text(
        f"#!{sys.executable} -S\n"
        "import json, sys\nfrom datetime import datetime, timedelta, timezone\n"
        f"with open({str(log)!r}, 'a+') as log:\n"
        "    print(*sys.argv[1:], file=log, flush=True)\n    log.seek(0)\n    count = len(log.readlines())\n"
        f"end = datetime.now(timezone.utc) + timedelta({lifetime})\n"
        f"print(json.dumps({{'access_token': {token!r} or f'cli-{{count}}', 'expiry': end.isoformat()}}))\n"
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return log


def write_workbench(folder: Path, host: str, token: str) -> Path:
    """Write the file that Posit Workbench keeps, or write it anew as it does: in one stroke."""
    path = folder / "posit-workbench" / "databricks.cfg"
    path.parent.mkdir(exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_text(f"[workbench]\nhost = {host}\ntoken = {token}\n")
    os.replace(fresh, path)  # noqa: PTH105  # the stroke itself
    return path


def on_connect(server: ScriptedServer) -> dict[str, str]:
    """The environment of content on Posit Connect."""
    return {"POSIT_PRODUCT": "CONNECT", "CONNECT_SERVER": server.url, "CONNECT_API_KEY": "connect-key"}


def as_json(value: object) -> str:
    """A value, written so that a test can search it."""
    return json.dumps(value, default=repr)
