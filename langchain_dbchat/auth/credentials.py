"""Sign requests with a token, with a callable that returns one, or not at all."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import inspect
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from pydantic import SecretStr

from langchain_dbchat.errors import ConfigurationError, DatabricksTimeoutError

if TYPE_CHECKING:
    from langchain_dbchat.auth.secret import Secret

# What a token callable may give: a token, or all the headers that sign the request.
Signature = str | SecretStr | Mapping[str, str]
TokenCallable = Callable[[], Signature | Awaitable[Signature]]

# How long sync code waits for an async callable that had to run in a thread of its own, in seconds.
_ASYNC_CALLABLE_PATIENCE = 60.0


def bearer(token: str | SecretStr, source: str) -> dict[str, str]:
    """Return the header that has a bearer token.

    Args:
        token: The token; white space around it and a leading "Bearer " are removed.
        source: Where it came from, for the error.

    Returns:
        A new dict with the one header `Authorization`.

    Raises:
        ConfigurationError: The token is empty or is not allowed in a header.
    """
    text = (token.get_secret_value() if isinstance(token, SecretStr) else token).strip()
    if text.lower().startswith(("bearer ", "bearer\t")) or text.lower() == "bearer":
        text = text[6:].strip()
    if not text:
        raise ConfigurationError(f"The token from {source} is empty. Check where it comes from.")
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ConfigurationError(
            f"The token from {source} contains a character that is not allowed in a header (a space, a line break or a "
            "letter outside ASCII). It was probably cut or pasted with something else; check it."
        )
    return {"Authorization": f"Bearer {text}"}


@dataclass(frozen=True)
class StaticToken:
    """A token that stays as it is, such as a personal access token.

    Args:
        secret: The token.
        name: Where it came from.
    """

    secret: Secret = field(repr=False)
    name: str = "token argument"

    def headers(self, *, refresh: bool = False) -> Mapping[str, str]:
        """Return the one header.

        Args:
            refresh: The token was refused: if it came from the environment, look there again. A token that was given
                stays as it is.
        """
        return bearer(self.secret.reveal(again=refresh), self.name)

    async def aheaders(self, *, refresh: bool = False) -> Mapping[str, str]:
        """Do the same as `headers`; a secret left behind by a pickle is looked up off the event loop.

        Args:
            refresh: The token was refused; see `headers`.
        """
        if self.secret.value is None:
            return await asyncio.to_thread(self.headers, refresh=refresh)
        return self.headers(refresh=refresh)

    def cache_identity(self) -> str | None:
        """Name the caller for a cache of answers: a digest of the token."""
        return f"token {self.secret.digest()}"


@dataclass(frozen=True)
class CallableToken:
    """A token that the user's own code gives, asked for every attempt.

    It is called in the context of the request, so that it can read the request's own user from a context variable: sync
    functions in a thread of the default executor on the async path (with the context copied), async functions on the
    loop.

    Args:
        function: A sync or async callable without arguments that returns a token or a mapping of headers.
        name: How errors name it.
    """

    function: TokenCallable = field(repr=False)
    name: str = "token argument (callable)"

    def headers(self, *, refresh: bool = False) -> Mapping[str, str]:
        """Return the headers for what the callable says now.

        Args:
            refresh: Makes no difference: the callable is asked each time.

        Raises:
            ConfigurationError: The callable returned no token.
            DatabricksTimeoutError: An async callable did not end within 60 s.
        """
        del refresh
        return signed(call_token(self.function, self.name), self.name)

    async def aheaders(self, *, refresh: bool = False) -> Mapping[str, str]:
        """Do the same as `headers` without blocking the event loop."""
        del refresh
        return signed(await acall_token(self.function), self.name)


@dataclass(frozen=True)
class Anonymous:
    """No signature at all, for servers that do not ask who calls."""

    name: str = "nobody (no token was given)"

    def headers(self, *, refresh: bool = False) -> Mapping[str, str]:
        """Return no headers.

        Args:
            refresh: Makes no difference here.
        """
        del refresh
        return {}

    async def aheaders(self, *, refresh: bool = False) -> Mapping[str, str]:
        """Do the same as `headers` without blocking the event loop."""
        return self.headers(refresh=refresh)

    def cache_identity(self) -> str | None:
        """Name the caller for a cache of answers: nobody in particular."""
        return "nobody"


def signed(answer: object, source: str) -> dict[str, str]:
    """Turn what a token callable said into headers.

    Args:
        answer: A token or a mapping of headers.
        source: How errors name the callable.

    Returns:
        A new dict.

    Raises:
        ConfigurationError: It is neither.
    """
    if isinstance(answer, (str, SecretStr)):
        return bearer(answer, source)
    if isinstance(answer, Mapping) and answer:
        wrong = [key for key, value in answer.items() if not (isinstance(key, str) and isinstance(value, str))]
        if wrong:
            raise ConfigurationError(
                f"The {source} returned headers of which {wrong[0]!r} is not a string; a header's name and value are."
            )
        return dict(answer)
    raise ConfigurationError(
        f"The {source} returned {type(answer).__name__}; it must return a token (str or SecretStr) or the headers "
        "that sign the request. In a web application, check that the request really has the user's token."
    )


def call_token(function: Callable[[], Any], source: str) -> object:
    """Ask a token callable from sync code, be it sync or async.

    An async callable runs in an event loop of its own; if the calling thread already runs a loop (a notebook), in a
    thread.

    Args:
        function: The callable.
        source: How errors name it.

    Raises:
        DatabricksTimeoutError: It did not end within 60 s.
    """
    answer = function()
    if not inspect.isawaitable(answer):
        return answer
    waiting = answer

    async def wait() -> object:
        return await waiting

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(wait())
    return _run_beside(wait, source)


def _run_beside(wait: Callable[[], Awaitable[object]], source: str) -> object:
    """Run a coroutine to its end in a new thread, with this context."""
    future: concurrent.futures.Future[object] = concurrent.futures.Future()

    async def bounded() -> object:
        return await asyncio.wait_for(wait(), _ASYNC_CALLABLE_PATIENCE)

    def run() -> None:
        try:
            future.set_result(asyncio.run(bounded()))
        except BaseException as error:  # noqa: BLE001  # handed over to the waiting thread, which raises it
            future.set_exception(error)

    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(run,), name="langchain-dbchat-token", daemon=True).start()
    try:
        return future.result()
    except (TimeoutError, asyncio.TimeoutError) as error:
        raise DatabricksTimeoutError(
            f"The {source} is async and did not end within {_ASYNC_CALLABLE_PATIENCE:.0f} s when called from sync "
            "code inside a running event loop, probably because it waits for that loop. Call ainvoke or astream "
            "there, or pass a sync callable."
        ) from error


async def acall_token(function: Callable[[], Any]) -> object:
    """Ask a token callable in async code: an async one on the loop, a sync one in a thread with the context copied."""
    call = getattr(function, "__call__", None)  # noqa: B004  # asks what kind of call it is, not whether it can be called
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call):
        return await cast("Awaitable[object]", function())
    answer = await asyncio.to_thread(function)
    if inspect.isawaitable(answer):
        return await answer
    return answer
