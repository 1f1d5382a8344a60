"""Running `dbchat` in this process, as a script does: its output is not a terminal."""

from __future__ import annotations

import io
import json
import sys
from typing import Any

import pytest

from langchain_dbchat.cli.main import main


class Script:
    """Runs a command and keeps what it wrote."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._capsys = capsys
        self._monkeypatch = monkeypatch
        self.out = ""
        self.err = ""

    def __call__(self, *words: str, stdin: str | bytes = b"") -> int:
        data = stdin if isinstance(stdin, bytes) else stdin.encode()
        self._monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        try:
            code = main(words)
        except SystemExit as end:  # argparse ends the process itself
            code = int(end.code or 0)
        self.out, self.err = self._capsys.readouterr()
        assert "Traceback" not in self.err
        return code

    @property
    def json(self) -> Any:
        """What it wrote, decoded."""
        return json.loads(self.out)
