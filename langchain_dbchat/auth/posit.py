"""Sign in on Posit Connect and Posit Workbench, without posit-sdk and databricks-sdk.

Rule 1. On Connect, `POST {CONNECT_SERVER}/__api__/v1/oauth/integrations/credentials` with the API key of the content
exchanges a session token for an access token.
Rule 2. A *viewer's* session token (the header `Posit-Connect-User-Session-Token`) stands for the person who looks at
the content. Access tokens are kept per session token, so no viewer gets the token of another. A *content* session token
stands for the service account of the content.
Rule 3. Workbench writes a configuration file with `posit-workbench` in its path, and rewrites its `[workbench]` section
before the token expires. So the file is checked at each attempt. (posit-sdk and the Databricks SDK read it once, so
their token expires.)
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic import SecretStr

from langchain_dbchat.auth.credentials import TokenCallable, acall_token, bearer, call_token
from langchain_dbchat.auth.expiring import ExpiringToken
from langchain_dbchat.auth.grants import TokenRequest, fetch_grant
from langchain_dbchat.auth.profiles import read_profiles
from langchain_dbchat.auth.tokens import TokenCell, TokenCells
from langchain_dbchat.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from langchain_dbchat.auth.secret import Secret
    from langchain_dbchat.transport.effects import Effect
    from langchain_dbchat.transport.user_clients import UserClients

# One cell per session: many viewers, short sessions.
CELLS = TokenCells(limit=1024)

VIEWER_TYPE = "urn:posit:connect:user-session-token"
CONTENT_TYPE = "urn:posit:connect:content-session-token"
_GRANT_TYPE = "urn:ietf:params:oauth:grant-type:token-exchange"
_PATH = "/__api__/v1/oauth/integrations/credentials"
_ADVICE = {
    400: "Connect's error 212 means that this content has no OAuth integration: add one in its access settings "
    "(https://docs.posit.co/connect/user/oauth-integrations/).",
    0: "Check that the content has an OAuth integration for Databricks and that the session has not ended.",
}

_last_good: dict[tuple[Path, str], SecretStr] = {}


@dataclass(frozen=True)
class ConnectServer:
    """The Connect server that this content runs on.

    Args:
        url: Its address (`CONNECT_SERVER`).
        api_key: The content's API key (`CONNECT_API_KEY`).
        audience: The OAuth integration to use, if the content has several.
        clients: The clients that ask for the token.
    """

    url: str
    api_key: Secret = field(repr=False)
    audience: str | None = None
    clients: UserClients | None = field(default=None, repr=False, compare=False)

    def exchange(self, subject: str, kind: str, step: str) -> TokenRequest:
        """Return the request that exchanges a session token for an access token.

        Args:
            subject: The session token.
            kind: `VIEWER_TYPE` or `CONTENT_TYPE`.
            step: The way of signing in, for errors.

        Raises:
            ConfigurationError: The API key or the session token cannot be sent.
        """
        key = self.api_key.reveal()
        for name, text in (("CONNECT_API_KEY", key), ("The session token", subject)):
            if not text.isascii() or not text.isprintable():
                raise ConfigurationError(
                    f"{name} contains a character that no token has (a line break or a letter outside ASCII). Check "
                    "where it comes from."
                )
        form = {"grant_type": _GRANT_TYPE, "subject_token_type": kind, "subject_token": subject}
        if self.audience:
            form["audience"] = self.audience
        return TokenRequest(
            url=self.url.rstrip("/").removesuffix("/__api__") + _PATH,
            authorization=SecretStr(f"Key {key}"),
            form=form,
            purpose="Posit Connect's exchange of the session token",
            step=step,
            advice=_ADVICE,
            clients=self.clients,
        )

    def key(self, subject: str, kind: str) -> tuple[str, ...]:
        """Return a key that identifies one session, without its token in clear.

        Args:
            subject: The session token.
            kind: `VIEWER_TYPE` or `CONTENT_TYPE`.
        """
        digest = hashlib.sha256(subject.encode(errors="surrogatepass")).hexdigest()
        return self.url, kind, self.audience or "", digest


@dataclass(frozen=True)
class ConnectSession(ExpiringToken):
    """One session of Connect: this very session token and no other.

    Args:
        server: The Connect server.
        subject: The session token.
        kind: `VIEWER_TYPE` or `CONTENT_TYPE`.
        name: How errors name it.
    """

    server: ConnectServer
    subject: SecretStr = field(repr=False)
    kind: str = VIEWER_TYPE
    name: str = "Posit Connect viewer (user_session_token argument)"

    def _key(self) -> tuple[str, ...]:
        return self.server.key(self.subject.get_secret_value(), self.kind)

    def _cell(self) -> TokenCell:
        return CELLS.cell(self._key())

    def cache_identity(self) -> str | None:
        """Name the caller for a cache of answers: this session."""
        return f"session {self._key()}"

    def _request(self) -> TokenRequest:
        return self.server.exchange(self.subject.get_secret_value(), self.kind, self.name)

    def _fetch(self, *, refresh: bool) -> Effect:
        del refresh  # Connect keeps no token for us: every exchange gives a valid one
        return fetch_grant(self._request)


@dataclass(frozen=True)
class ConnectCaller:
    """The user of this request's session token, which is read for every attempt.

    Args:
        server: The Connect server.
        function: A sync or async callable that returns the session token.
        kind: `VIEWER_TYPE` or `CONTENT_TYPE`.
        name: How errors name it.
    """

    server: ConnectServer
    function: TokenCallable = field(repr=False)
    kind: str = VIEWER_TYPE
    name: str = "Posit Connect viewer (user_session_token callable)"

    def headers(self, *, refresh: bool = False) -> Mapping[str, str]:
        """Return the header for the session of this request.

        Args:
            refresh: The last token was refused.
        """
        return self._session(call_token(self.function, self.name)).headers(refresh=refresh)

    async def aheaders(self, *, refresh: bool = False) -> Mapping[str, str]:
        """Do the same as `headers` without blocking the event loop."""
        return await self._session(await acall_token(self.function)).aheaders(refresh=refresh)

    def _session(self, subject: object) -> ConnectSession:
        """Return the session that a token stands for."""
        text = subject.get_secret_value() if isinstance(subject, SecretStr) else subject
        if not isinstance(text, str) or not text.strip():
            raise ConfigurationError(
                f"The {self.name} gave no session token. It is the header Posit-Connect-User-Session-Token of the "
                "viewer's request."
            )
        return ConnectSession(self.server, SecretStr(text.strip()), self.kind, self.name)


@dataclass(frozen=True)
class ContentToken:
    """The content's session token as it is now, from a file that Connect rewrites or from the environment.

    Args:
        secret: The token from the environment, if it is there.
        path: The file, which goes before it.
    """

    secret: Secret | None = field(default=None, repr=False)
    path: Path | None = None

    def __call__(self) -> str:
        """Return the token as it is now.

        Raises:
            ConfigurationError: The file cannot be read.
        """
        if self.path is None:
            return self.secret.reveal() if self.secret else ""
        try:
            return self.path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(
                f"CONNECT_CONTENT_SESSION_TOKEN_FILE {self.path} cannot be read: {error}."
            ) from error


@dataclass(frozen=True)
class FileToken:
    """The token of a section of a configuration file, read again whenever the file changes.

    While the file is being rewritten it may be gone or half there; then the last token that was read is used once more.

    Args:
        path: The file.
        section: The section.
        name: How errors name it.
    """

    path: Path
    section: str
    name: str

    def headers(self, *, refresh: bool = False) -> Mapping[str, str]:
        """Return the header with the token that the file contains now.

        Args:
            refresh: The last token was refused: parse the file even if it looks unchanged, and do not fall back.

        Raises:
            ConfigurationError: The file contains no token.
        """
        key = (self.path, self.section)
        known = _last_good.get(key)  # without a lock, which a thread of the parent may hold after a fork
        try:
            token = self._read(again=refresh)
        except ConfigurationError:
            if known is None or refresh:
                raise
            return bearer(known, self.name)
        _last_good[key] = token
        return bearer(token, self.name)

    async def aheaders(self, *, refresh: bool = False) -> Mapping[str, str]:
        """Do the same, in a thread.

        Args:
            refresh: The last token was refused.
        """
        return await asyncio.to_thread(self.headers, refresh=refresh)

    def cache_identity(self) -> str | None:
        """Name the caller for a cache of answers: a digest of the token that the file contains now."""
        return f"token {hashlib.sha256(self.headers()['Authorization'].encode()).hexdigest()}"

    def _read(self, *, again: bool) -> SecretStr:
        """Return the token in the file."""
        config = read_profiles(self.path, again=again)
        token = config.option(self.section, "token")
        if token is None:
            state = f"has no token in [{self.section}]" if config.exists else "does not exist any more"
            raise ConfigurationError(f"{self.path} {state}.")
        return SecretStr(token)
