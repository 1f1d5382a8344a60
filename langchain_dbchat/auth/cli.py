"""Get tokens from the Databricks CLI, for users who ran `databricks auth login`.

Rule 1. `databricks auth token --profile P` (or `--host H`) prints `{"access_token", "token_type", "expiry"}`. It runs
without a shell and, for async code, in a thread. The token is kept until it expires.
Rule 2. After a refused token `--force-refresh` is tried first, which the CLI has since 0.296. An older CLI does not
know the flag, so it is then called without it.
"""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import shutil
import subprocess
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import pydantic_core
from pydantic import SecretStr

from langchain_dbchat.auth.expiring import ExpiringToken
from langchain_dbchat.auth.grants import UNKNOWN_LIFETIME
from langchain_dbchat.auth.tokens import Grant, TokenCell, TokenCells
from langchain_dbchat.errors import DatabricksAuthenticationError, DatabricksTimeoutError
from langchain_dbchat.errors.redaction import scrub
from langchain_dbchat.transport.effects import Effect

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CELLS = TokenCells(limit=64)

# How long the CLI may take, in seconds; it may ask the workspace for a new token.
TIMEOUT = 30.0
_LONGEST_TEXT = 500
# What says to the CLI who has signed in, besides its arguments: its files, and a profile in them.
_VARIABLES = ("DATABRICKS_CONFIG_FILE", "DATABRICKS_CONFIG_PROFILE", "DATABRICKS_ACCOUNT_ID", "HOME", "USERPROFILE")
_EXPIRY = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.\d+)?\s*(Z|[+-]\d\d:?\d\d)?", re.IGNORECASE)


def find_cli(environ: Mapping[str, str]) -> str | None:
    """Return where the Databricks CLI is, or None.

    Args:
        environ: The environment; `DATABRICKS_CLI_PATH` goes before `PATH`.
    """
    return shutil.which(environ.get("DATABRICKS_CLI_PATH", "").strip() or "databricks", path=environ.get("PATH"))


@dataclass(frozen=True)
class CommandLine(ExpiringToken):
    """The user who is signed in to the Databricks CLI.

    Args:
        executable: The CLI.
        profile: The profile to ask for; goes before `host`.
        host: The workspace's origin to ask for.
        config_file: The configuration file, if it is not the one the CLI finds itself.
        name: How errors name it.
    """

    executable: str
    profile: str | None = None
    host: str | None = None
    config_file: str | None = None
    name: str = "Databricks CLI"

    @property
    def _who(self) -> list[str]:
        return ["--profile", self.profile] if self.profile else ["--host", self.host or ""]

    def _cell(self) -> TokenCell:
        environ = tuple(map(os.environ.get, _VARIABLES))
        return CELLS.cell((self.executable, self.profile, self.host, self.config_file, environ))

    def _fetch(self, *, refresh: bool) -> Effect:
        return Effect(lambda: self._ask(refresh=refresh), lambda: asyncio.to_thread(self._ask, refresh=refresh))

    def _ask(self, *, refresh: bool) -> Grant:
        command = [self.executable, "auth", "token", *self._who]
        started = time.time()
        done = self._run([*command, "--force-refresh"]) if refresh else self._run(command)
        if refresh and done.returncode != 0 and b"unknown flag" in done.stderr:
            done = self._run(command)
        if done.returncode != 0:
            raise self._refused(command, done.stderr or done.stdout)
        return self._read(command, done.stdout, started)

    def _run(self, command: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
        """Run the CLI to its end."""
        environ = {**os.environ, "DATABRICKS_CONFIG_FILE": self.config_file} if self.config_file else None
        try:
            return subprocess.run(  # noqa: S603  # an argument list, no shell; the executable is the user's own
                command, capture_output=True, check=False, timeout=TIMEOUT, stdin=subprocess.DEVNULL, env=environ
            )
        except subprocess.TimeoutExpired:
            raise DatabricksTimeoutError(
                f"`{shlex.join(command)}` did not end within {TIMEOUT:.0f} s. Run it in a terminal to see what it "
                "waits for.",
                auth=self.name,
            ) from None  # the cause contains the output, and with it perhaps a token
        except OSError as error:
            raise DatabricksAuthenticationError(
                f"The Databricks CLI at {self.executable} cannot be run: {error.strerror}. Set DATABRICKS_CLI_PATH to "
                "where it is.",
                auth=self.name,
            ) from error

    def _refused(self, command: Sequence[str], output: bytes) -> DatabricksAuthenticationError:
        """Return the error for a CLI that gave no token."""
        said = scrub(output.decode(errors="replace").strip())[-_LONGEST_TEXT:] or "no output"
        return DatabricksAuthenticationError(
            f"The Databricks CLI gave no token: `{shlex.join(command)}` said: {said}\nRun: "
            f"{shlex.join([self.executable, 'auth', 'login', *self._who])}",
            auth=self.name,
        )

    def _read(self, command: Sequence[str], output: bytes, started: float) -> Grant:
        """Return the token that the CLI printed."""
        try:
            answer = pydantic_core.from_json(output)
        except ValueError:
            answer = None
        token = answer.get("access_token") if isinstance(answer, dict) else None
        if not isinstance(token, str) or not token.strip():
            raise self._refused(command, b"something that is not JSON with an access_token")
        expiry = parse_expiry(str(answer.get("expiry", "")))
        lifetime = UNKNOWN_LIFETIME if expiry is None else expiry - started
        return Grant(SecretStr(token.strip()), lifetime)


def parse_expiry(text: str) -> float | None:
    """Read the CLI's time of expiry.

    Args:
        text: RFC 3339 as Go prints it: up to nine digits of a second, "Z" or an offset; UTC if it names none.

    Returns:
        Seconds since the epoch, or None if it is not a time.
    """
    match = _EXPIRY.match(text.strip())
    if match is None:
        return None
    zone = (match[3] or "Z").upper().replace("Z", "+00:00")
    if ":" not in zone:
        zone = f"{zone[:3]}:{zone[3:]}"
    try:
        moment = datetime.fromisoformat(f"{match[1]}T{match[2]}{zone}")
        return moment.astimezone(timezone.utc).timestamp()
    except (ValueError, OverflowError):  # OverflowError: the first or the last day of the calendar, in another zone
        return None
