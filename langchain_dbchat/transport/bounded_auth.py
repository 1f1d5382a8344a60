"""Bound what the authentication of a user's client does: what it reads and how long its requests take.

Rule 1. Each answer that it gets is bounded (see `bounded_answers`): httpx reads the whole answer to each request of an
authentication but the last, and an authentication may read any.
Rule 2. A request that the authentication makes itself has the deadlines of the call, because httpx gives it none, and
its secrets are masked. After it was sent, it is as it was before, because the authentication may send it again.
"""

from __future__ import annotations

from contextlib import aclosing, closing, contextmanager
from typing import TYPE_CHECKING, Any

import httpx

from langchain_dbchat.errors import ConfigurationError
from langchain_dbchat.transport.call_traces import CallTrace

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Iterator

    from langchain_dbchat.transport.bounded_answers import AnswerBound
    from langchain_dbchat.transport.sending import Sending

__all__ = ["BoundedAuth"]


_OF_CALL = ("timeout", "trace")


class BoundedAuth(httpx.Auth):
    """The authentication of a user's client, whose answers are bounded.

    Args:
        auth: The user's own.
        sending: What the client does with the request.
        answers: The bound of its answers.
    """

    def __init__(self, auth: httpx.Auth, sending: Sending, answers: AnswerBound) -> None:
        self._auth = auth
        self._sending = sending
        self._answers = answers

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Do what the user's does, with bounded answers."""
        with closing(self._auth.sync_auth_flow(request)) as flow:
            wanted = next(flow, None)
            while True:
                with self._as_of_call(wanted, request) as asked:
                    response = yield asked
                try:
                    wanted = flow.send(self._bounded(response))
                except StopIteration:
                    return

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Do the same in an event loop."""
        async with aclosing(self._auth.async_auth_flow(request)) as flow:
            wanted = await anext(flow, None)
            while True:
                with self._as_of_call(wanted, request) as asked:
                    response = yield asked
                try:
                    wanted = await flow.asend(self._bounded(response))
                except StopAsyncIteration:
                    return

    @contextmanager
    def _as_of_call(self, wanted: httpx.Request | None, request: httpx.Request) -> Iterator[httpx.Request]:
        """Give a request what it lacks of the call's, while it is sent."""
        if not isinstance(wanted, httpx.Request):
            raise ConfigurationError(
                f"The authentication of your HTTP client gave {type(wanted).__name__} instead of a request. Its flow "
                "has to yield the request that it was given, signed."
            )
        self._sending.is_for_auth = False
        own = wanted.extensions
        if wanted is not request and isinstance(own.get("trace"), CallTrace):  # another call is just sending it
            own = {key: value for key, value in own.items() if key not in _OF_CALL}
        ours: dict[str, Any] = {key: request.extensions[key] for key in _OF_CALL if key in request.extensions}
        wanted.extensions = {**ours, **own}
        try:
            yield wanted
        finally:
            wanted.extensions = own

    def _bounded(self, response: httpx.Response) -> httpx.Response:
        self._sending.is_for_auth = True
        self._answers.bound(response)
        return response
