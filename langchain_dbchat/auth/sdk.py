"""Sign in with `databricks.sdk`, for all ways that have no code of their own here.

Rule 1. This is the only module that imports the SDK, and only inside functions, because the import takes about two
seconds of CPU. It is imported when it is tried.
Rule 2. A `Config` may ask the host for its metadata, and by default retries that for 300 s. So one Config is made for
each set of arguments, with short timeouts, and for async code in a thread.
Rule 3. All headers that `Config.authenticate()` returns are sent (Azure and Google need more than one). They are
copied, because the SDK returns its own dict.
Rule 4. The user agent that the SDK keeps for the process is not changed.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import os
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from langchain_dbchat._version import __version__
from langchain_dbchat.auth.settings import ON_BEHALF
from langchain_dbchat.errors import ConfigurationError, DatabricksAuthenticationError
from langchain_dbchat.errors.redaction import scrub

# How long the SDK may retry, and wait for one answer, in seconds; its own defaults are 300 and 60.
RETRY_TIMEOUT = 5
HTTP_TIMEOUT = 30
# A sign-in younger than this, in seconds, is not repeated because a token was refused: somebody else has just repeated
# it.
REPEAT_AFTER = 5.0

# Ways whose headers are known without I/O. On-behalf-of-user must also stay on the thread of the request.
_INLINE = ON_BEHALF | {"pat"}
# What the SDK's sign-in depends on, besides its arguments.
_PREFIXES = ("DATABRICKS_", "ARM_", "AZURE_", "GOOGLE_", "ACTIONS_ID_TOKEN_", "SYSTEM_", "IS_IN_D", "SERVING_", "HOME")
_LONGEST_TEXT = 800


@dataclass(frozen=True)
class _Made:
    """A Config, and when it was made."""

    config: Any
    at: float


_made: dict[tuple[object, ...], _Made] = {}
# Making Configs in parallel has broken the SDK ("dictionary changed size during iteration"), so it is done one at a
# time.
_making = threading.Lock()
# The Config that stands in for one of the user's after a token of that one was refused.
_successors: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()


def is_installed() -> bool:
    """Return whether databricks-sdk can be found; does not import it."""
    try:
        return importlib.util.find_spec("databricks.sdk") is not None
    except (ImportError, ValueError):
        return False


def runtime_host() -> str | None:
    """Return the workspace of the notebook or job that this runs in, as only the Databricks runtime knows it."""
    try:
        return getattr(_make({"auth_type": "runtime"}), "host", None)
    except ConfigurationError:
        return None


@dataclass(frozen=True)
class SdkConfig:
    """Credentials of a Config or WorkspaceClient that the user made.

    Args:
        config: The `databricks.sdk.core.Config`.
        name: How errors name it.
    """

    config: Any = field(repr=False)
    name: str = "workspace_client or config argument"

    def headers(self, *, refresh: bool = False) -> Mapping[str, str]:
        """Return every header that the Config signs with.

        Args:
            refresh: Sign in again, on a copy of the Config.

        Raises:
            DatabricksAuthenticationError: The SDK could not sign in.
        """
        if refresh:
            self._renew()
        return _authenticate(_successor(self.config), self.name)

    async def aheaders(self, *, refresh: bool = False) -> Mapping[str, str]:
        """Do the same as `headers`; in a thread, unless they are known without I/O."""
        if not refresh and getattr(self.config, "auth_type", None) in _INLINE:
            return self.headers()
        return await asyncio.to_thread(self.headers, refresh=refresh)

    def _renew(self) -> None:
        """Sign in again without touching the user's own object."""
        if getattr(self.config, "auth_type", None) in _INLINE or not hasattr(self.config, "init_auth"):
            return
        with _making:
            twin = self.config.copy()
            _attempt(twin.init_auth, self.name)
            _successors[self.config] = twin


@dataclass(frozen=True)
class SdkSignIn:
    """A way of signing in that the SDK knows, with a Config of our own.

    Args:
        name: How errors name it.
        host: The workspace's origin; None if only the SDK knows it.
        auth_type: The SDK's name for the way; None for its whole chain.
        profile: A profile of the configuration file.
        config_file: The configuration file, if it is not the usual one.
        client_id: A service principal's id, for ways that need nothing else.
    """

    name: str
    host: str | None = None
    auth_type: str | None = None
    profile: str | None = None
    config_file: str | None = None
    client_id: str | None = None

    def headers(self, *, refresh: bool = False) -> Mapping[str, str]:
        """Return every header that the SDK signs with.

        Args:
            refresh: Sign in again.

        Raises:
            ConfigurationError: The SDK is not installed, or finds nothing to sign in with.
            DatabricksAuthenticationError: The SDK could not sign in.
        """
        return _authenticate(self._config(refresh=refresh), self.name)

    async def aheaders(self, *, refresh: bool = False) -> Mapping[str, str]:
        """Do the same as `headers`; in a thread, unless they are known without I/O."""
        if self.auth_type not in _INLINE:
            return await asyncio.to_thread(self.headers, refresh=refresh)
        config = await asyncio.to_thread(self._config, refresh=refresh)
        return _authenticate(config, self.name)

    def _config(self, *, refresh: bool) -> Any:
        """Return the one Config for these arguments and this environment."""
        arguments = {
            "host": self.host,
            "auth_type": self.auth_type,
            "profile": self.profile,
            "config_file": self.config_file,
            "client_id": self.client_id,
        }
        key = (*arguments.values(), _fingerprint())
        with _making:
            made = _made.get(key)
            if made is None or (refresh and time.monotonic() - made.at >= REPEAT_AFTER):
                made = _made[key] = _Made(_make(arguments, self.name), time.monotonic())
            return made.config


def forget() -> None:
    """Drop every Config that was made here."""
    with _making:
        _made.clear()


def _after_fork() -> None:
    """Drop the lock, which another thread of the parent may hold."""
    global _making  # noqa: PLW0603  # a forked child has no other way to replace a module's lock
    _making = threading.Lock()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_after_fork)


def _make(arguments: Mapping[str, str | None], name: str = "Databricks SDK") -> Any:
    """Make a Config."""
    try:
        from databricks.sdk.core import Config  # noqa: PLC0415  # costs two seconds of CPU
    except ImportError as error:
        raise ConfigurationError(
            f"{name} needs the package databricks-sdk, which cannot be imported ({error}). Run: pip install "
            "databricks-sdk. Tokens, service principals, Posit and the Databricks CLI work without it.",
            auth=name,
        ) from error
    given: dict[str, Any] = {key: value for key, value in arguments.items() if value is not None}
    if given.get("auth_type") in ON_BEHALF:
        from databricks.sdk.credentials_provider import (  # noqa: PLC0415  # as above
            ModelServingUserCredentials,
        )

        del given["auth_type"]
        given["credentials_strategy"] = ModelServingUserCredentials()  # type: ignore[no-untyped-call]  # the SDK's own annotations
    return _attempt(
        lambda: Config(
            product="langchain-dbchat",
            product_version=__version__,
            retry_timeout_seconds=RETRY_TIMEOUT,
            http_timeout_seconds=HTTP_TIMEOUT,
            **given,
        ),
        name,
    )


def _authenticate(config: Any, name: str) -> dict[str, str]:
    """Return the Config's headers, copied."""
    headers = _attempt(config.authenticate, name)
    if not isinstance(headers, Mapping) or not headers:
        raise DatabricksAuthenticationError(f"The Databricks SDK gave no headers for {name}.", auth=name)
    return {str(key): str(value) for key, value in headers.items()}


def _attempt(call: Callable[[], Any], name: str) -> Any:
    """Call into the SDK; what it raises becomes one of our errors, scrubbed and without its traceback."""
    try:
        return call()
    except ValueError as error:
        raise ConfigurationError(f"The Databricks SDK cannot sign in with {name}: {_said(error)}", auth=name) from None
    except Exception as error:  # noqa: BLE001  # its strategies raise whatever their libraries raise
        raise DatabricksAuthenticationError(
            f"The Databricks SDK could not sign in with {name}: {type(error).__name__}: {_said(error)}", auth=name
        ) from None


def _said(error: Exception) -> str:
    """Return the SDK's own words."""
    return scrub(str(error))[:_LONGEST_TEXT]


def _successor(config: Any) -> Any:
    """Return the Config to ask: the user's, or the one that took its place."""
    try:
        return _successors.get(config, config)
    except TypeError:  # an object that cannot be referred to weakly has no successor
        return config


def _fingerprint() -> str:
    """Return a key that identifies this environment, without its secrets in clear."""
    relevant = {name: os.environ.get(name) for name in sorted(os.environ) if name.startswith(_PREFIXES)}
    return hashlib.sha256(repr(relevant).encode()).hexdigest()
