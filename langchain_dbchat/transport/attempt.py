"""One attempt to send a request: the request for a client, and the result, for threads and for event loops."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import httpx

from langchain_dbchat.errors import ConfigurationError, DatabricksError
from langchain_dbchat.transport.client_request import parse_url, request_of_ours, request_of_user, setting_of
from langchain_dbchat.transport.content import ERROR_BODY_LIMIT, Content
from langchain_dbchat.transport.deadlines import ReadGuard, ReadsInTime, StreamDeadline, asks_deadline
from langchain_dbchat.transport.decompression import decompressor_for
from langchain_dbchat.transport.exchange import Failure
from langchain_dbchat.transport.headers import merge_headers, plain_headers, refuse_framing_by_client
from langchain_dbchat.transport.messages import Reply, too_large
from langchain_dbchat.transport.sent import may_quote, secrets_sent
from langchain_dbchat.transport.stream_reader import StreamReader

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

    from langchain_dbchat.transport.bounded_answers import AnswerBound
    from langchain_dbchat.transport.clients import AnyClient
    from langchain_dbchat.transport.decompression import Decompressor
    from langchain_dbchat.transport.messages import Request
    from langchain_dbchat.transport.sending import Sending
    from langchain_dbchat.transport.timeouts import Timeouts

__all__ = ["Attempt"]


class Attempt:
    """One attempt to send a request.

    Args:
        request: The request.
        signature: The credentials' headers for this attempt.
        auth: The way of signing in, as errors name it.
        timeouts: The timeouts of the call.
        clock: Seconds of a clock that never goes back.
        limit: The maximum size of the answer in bytes, decompressed; None for no limit.
        earlier: The secrets that the attempts before this one have sent; the server may quote those too.
    """

    __slots__ = (
        "__weakref__",
        "_answer",
        "_answers",
        "_auth",
        "_built",
        "_client",
        "_clock",
        "_content",
        "_deadline",
        "_earlier",
        "_error",
        "_guard",
        "_head",
        "_headers",
        "_hide",
        "_is_ours",
        "_is_unwatched",
        "_limit",
        "_open",
        "_request",
        "_room",
        "_signature",
        "_timeouts",
        "_unpacker",
        "_waits",
        "is_handed_on",
        "is_over",
        "sending",
    )

    def __init__(  # noqa: PLR0913, PLR0917  # the parts of one attempt
        self,
        request: Request,
        signature: Mapping[str, str],
        auth: str,
        timeouts: Timeouts,
        clock: Callable[[], float],
        limit: int | None = None,
        earlier: Sequence[str] = (),
    ) -> None:
        self._clock = clock
        self._earlier = earlier
        self._deadline = StreamDeadline(timeouts, clock)
        self._request = request
        self._headers = merge_headers(request, signature, auth)
        self._auth = auth
        self._signature = signature
        self._client: httpx.Client | httpx.AsyncClient | None = None
        self._is_ours = False  # the client
        self._built: httpx.Request | None = None
        self._timeouts = timeouts
        self._waits = {
            "connect": timeouts.connect,
            "read": timeouts.first_event,
            "write": timeouts.write,
            "pool": timeouts.pool,
        }
        self._hide: Callable[[str], str] | None = None
        self._head: httpx.Response | None = None
        self._answer: dict[str, str] = {}  # the headers of the answer, in lower case
        self._answers: AnswerBound | None = None
        self._open = False
        self.is_handed_on = False  # the body is open, and the stream closes it
        self.is_over = False  # it has left nothing open
        self._content = Content()
        self._limit = self._room = math.inf if limit is None else limit
        self._unpacker: Decompressor | None = None
        self._error: DatabricksError | None = None
        self._guard: ReadGuard | None = None
        self._is_unwatched = False  # the code that reads the open body does not ask our deadline before each read
        self.sending: Sending | None = None  # bounds a client that does not ask our deadline

    def sender(self, client: AnyClient) -> tuple[AnyClient, dict[str, Any]]:
        """Return the client that sends the request, and the options of httpx for it.

        Args:
            client: The client that the request was written for. A user's may have an ``auth`` of its own, but not for a
                request that signs in.
        """
        auth: Any = httpx.USE_CLIENT_DEFAULT
        if self.sending is not None:
            from langchain_dbchat.transport.bounded_answers import AnswerBound  # noqa: PLC0415  # not for our own clients
            from langchain_dbchat.transport.bounded_auth import BoundedAuth  # noqa: PLC0415  # the same

            self._answers = AnswerBound(self._limit, self._too_large)
            if client.auth is not None:
                auth = BoundedAuth(client.auth, self.sending, self._answers)
            client = self._answers.sender(client)
        if self._request.purpose is not None:
            auth = None
        return client, {"stream": True, "auth": auth, "follow_redirects": False}

    def build(self, client: httpx.Client | httpx.AsyncClient, *, ours: bool) -> httpx.Request:
        """Write the request for a client.

        Args:
            client: The client that will send it.
            ours: Whether it is one of our own (see `client_request`).

        Returns:
            The request, to be sent with ``follow_redirects=False``.

        Raises:
            ConfigurationError: A header or the URL cannot be sent.
        """
        self._client, self._is_ours = client, ours
        if not ours:
            refuse_framing_by_client(client.headers.multi_items(), f"the headers of {setting_of(client)}")
        try:
            url = parse_url(self._request.url)
            trace = None if getattr(client, "asks_deadline", False) else self._watch_sending(client, url)
            extensions: dict[str, Any] = {
                "timeout": self._waits,
                "deadline": self._deadline,
                "streaming": self._request.streaming,
            }
            if trace is not None:
                extensions["trace"] = trace
            if ours:
                built = request_of_ours(self._request, url, self._headers, extensions)
            else:
                built = request_of_user(client, self._request, self._headers, extensions)
        except httpx.InvalidURL as error:
            from langchain_dbchat.transport.failures import failure_of  # noqa: PLC0415  # where something went wrong

            raise failure_of(error, self._request, self._auth, self._timeouts).error from None
        except UnicodeEncodeError:
            raise ConfigurationError("A header contains a letter outside ASCII. Look at default_headers.") from None
        self._built = built
        return built

    def _watch_sending(self, client: httpx.Client | httpx.AsyncClient, url: httpx.URL) -> Callable[..., Any]:
        """Bound a client that does not say when it has sent the request; returns what httpcore reports its steps to.

        Until it reports one, the time for sending is added to that for the answer.
        """
        from langchain_dbchat.transport import sending  # noqa: PLC0415  # our own clients do not need it
        from langchain_dbchat.transport.user_pools import UserPool  # noqa: PLC0415  # the same

        waits = (self._timeouts.connect, self._timeouts.pool, self._timeouts.write)
        slack = sum(math.inf if wait is None else wait for wait in waits)
        self._deadline = StreamDeadline(self._timeouts, self._clock, slack)
        kind = sending.AsyncSending if isinstance(client, httpx.AsyncClient) else sending.ThreadSending
        self.sending = kind(
            self._timeouts,
            self._clock,
            self._deadline,
            setting_of(client),
            UserPool(client, url),
            streaming=self._request.streaming,
        )
        return self.sending.trace()

    def begin(self, response: httpx.Response) -> bool:
        """Begin to read an answer.

        Args:
            response: The open response.

        Returns:
            Whether its body stays open, because it is the stream that was requested.
        """
        self._head, self._answer = response, plain_headers(response.headers)
        self._mask_request_id()
        if self._answers is not None:
            self._answers.lift(response, setting_of(self._client))
        if self.sending is not None and self.sending.head_at is not None:
            self._deadline.put_off(self._clock() - self.sending.head_at)  # a hook took this time
        page = self._answer.get("content-type", "").lower().startswith("text/html")
        self._open = response.is_success and self._request.streaming and not page
        if self._open:
            # httpcore reads the timeout from this dict again when it begins to read the body. If nobody asks the
            # deadline, this value has to serve as both timeouts: an error may come late, but never early.
            first, idle = self._timeouts.first_event, self._timeouts.idle
            self._waits["read"] = None if first is None or idle is None else max(first, idle)
            return True
        if not response.is_success:
            self._room = ERROR_BODY_LIMIT
        self._is_unwatched = not asks_deadline(response)
        if self._is_unwatched and isinstance(self._client, httpx.Client):
            self._guard = ReadGuard(response, self._deadline, is_alone=self._is_alone)
        return False

    def _mask_request_id(self) -> None:
        found, sent = self._answer.get("x-request-id"), (self._request, self._signature, self._built, self.sending)
        if found is not None and (self._earlier or may_quote(found, *sent)):
            self._answer["x-request-id"] = self.hide(found)

    def bounded(self, pieces: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None] | ReadsInTime:
        """Bound each read of a body, if the code that reads it does not ask the deadline.

        Args:
            pieces: The body.
        """
        return ReadsInTime(pieces, self._deadline) if self._is_unwatched else pieces

    def is_raw(self) -> bool:
        """Return whether the body is still unread, so that it is decompressed here; a hook may have read it."""
        head = self._head
        if head is None or head.is_closed or head.is_stream_consumed:
            return False
        self._unpacker = decompressor_for(self._answer.get("content-encoding", ""), self._room)
        return True

    def feed(self, piece: bytes) -> bool:
        """Add a piece of the body; of a compressed one, `unpack` adds what else is in it.

        Args:
            piece: The bytes, as they came.

        Returns:
            Whether more of the body is to be read.

        Raises:
            httpx.ReadTimeout: The time for the answer is up, and the client did not notice that.
            httpx.DecodingError: The bytes cannot be decompressed.
        """
        if self._is_unwatched and self._deadline.overdue():
            raise httpx.ReadTimeout("")
        if self._unpacker is not None:
            self._unpacker.push(piece)
            piece = self._unpacker.pull() or b""
        return self._keeps(piece)

    def unpack(self) -> bool | None:
        """Do one step of decompressing the last piece; it raises what `feed` does, and when the time is up.

        Returns:
            Whether more of the body is to be read; None if the next piece is needed for it.
        """
        unpacked = None if self._unpacker is None else self._unpacker.pull()
        if unpacked is None:
            return None
        if self._deadline.overdue():
            raise httpx.ReadTimeout("")
        return self._keeps(unpacked)

    def _keeps(self, piece: bytes) -> bool:
        self._room -= len(piece)
        self._content.write(piece)
        if self._room >= 0 or self._head is None:
            return True
        if self._head.is_success:
            self._error = self._too_large(self._head)
        return False

    def _too_large(self, response: httpx.Response) -> DatabricksError:
        from langchain_dbchat.errors.answers import malformed_response  # noqa: PLC0415  # where something went wrong

        return malformed_response(
            too_large(self._limit, self._request.purpose),
            status=response.status_code,
            headers=plain_headers(response.headers),
            endpoint=self._request.endpoint,
            host=self._request.host,
            auth=self._auth,
            hide=self.hide,
        )

    @property
    def _is_alone(self) -> bool:
        """Return whether no other call uses the connection of a user's client meanwhile."""
        return self.sending is not None and self.sending.is_alone

    def release(self) -> None:
        """Stop watching the response, before it is closed."""
        if self._guard is not None:
            self._guard.release()

    def end(self) -> None:
        """Note that an exception has ended the call: what it has left in its client is lost; the next call finds it."""
        if self.sending is not None:
            self.sending.end()
        end = getattr(self._client, "end", None) if self._is_ours else None  # no handler runs within a step of a task
        if end is not None and self._built is not None and not self.is_over:
            end(self._built)

    def reply(self) -> Reply | Failure:
        """Return the result of this attempt.

        Returns:
            The reply, without content if `begin` returned that it stays open. A failure if the answer was too large.
        """
        if self._head is None:
            raise TypeError("no answer has begun")
        if self._head.is_success and self._guard is not None and self._guard.has_fired:
            raise httpx.ReadTimeout("")  # the guard has closed the socket, so the body ended
        if self._error is not None:
            return Failure(self._error, sent=True)
        if self._open:
            self.is_handed_on = True
            reading = StreamReader(
                self._request,
                self._head,
                self._answer,
                self._auth,
                self._deadline,
                self._limit,
                hide=self.hide,
                is_alone=self._is_alone,
            )
            return Reply(self._head.status_code, self._answer, None, reading, hide=self.hide)
        return Reply(
            self._head.status_code,
            self._answer,
            self._content,
            None,
            self._signature,
            self.hide,
            self._request,
            self._auth,
        )

    def hide(self, text: str) -> str:
        """Mask the secrets of this attempt in a text of the server.

        Args:
            text: Any text.

        Returns:
            The same with ``***`` where a secret stood.
        """
        from langchain_dbchat.errors.sent_secrets import hider  # noqa: PLC0415  # where something went wrong

        if self._hide is None:
            self._hide = hider((), known=self.secrets())
        return self._hide(text)

    def secrets(self) -> list[str]:
        """Return the secrets that this attempt and those before it have sent."""
        own = secrets_sent(self._request, self._signature, self._headers, self._built, self.sending)
        return list(dict.fromkeys([*self._earlier, *own]))

    def failed(self, error: Exception) -> Reply | Failure:
        """Return the result of an attempt that an exception of httpx has ended.

        Args:
            error: The exception.

        Returns:
            The failure; or the reply, if it is an error whose body was cut off.
        """
        from langchain_dbchat.transport.bounded_answers import UnreadableAnswer  # noqa: PLC0415  # where something failed
        from langchain_dbchat.transport.failures import failure_of  # noqa: PLC0415  # the same

        if self._head is not None and not self._head.is_success:
            return self.reply()
        if isinstance(error, UnreadableAnswer):
            return Failure(error.reason, sent=True)
        if self._guard is not None and self._guard.has_fired:
            error = httpx.ReadTimeout("")

        return failure_of(error, self._request, self._auth, self._timeouts, self._client, hide=self.hide)
