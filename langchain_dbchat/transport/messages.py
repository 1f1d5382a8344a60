"""A request without its signature, and the server's answer to it, whatever its status."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from langchain_dbchat.errors import DatabricksError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from langchain_dbchat.transport.content import Content

__all__ = ["Purpose", "Reply", "Request", "too_large"]

_Read = TypeVar("_Read")


@dataclass(frozen=True, slots=True)
class Purpose:
    """What a request is for that is not a call of an endpoint, such as a request for a token.

    Attributes:
        name: Its name in errors, such as "OAuth M2M token request".
        advice: What to do if there was no answer.
        error_of: Reads an answer; returns its error, or None if the request succeeded.
        form: The fields of the form in the body. Those with a secret's name are masked in errors.
    """

    name: str
    advice: str
    error_of: Callable[[Reply], DatabricksError | None]
    form: Mapping[str, str] = field(default_factory=dict, repr=False)


class Request(NamedTuple):
    """A request without its signature.

    Attributes:
        url: The whole URL with its parameters.
        headers: Headers of the user; ``Authorization`` among them replaces the credentials' own.
        body: JSON, encoded.
        endpoint: The serving endpoint, for errors.
        host: The host, for errors.
        streaming: Whether an event stream is requested.
        method: The HTTP method; a GET has an empty body.
        purpose: What it is for; None for a call of an endpoint.
        is_last: Returns whether an event is the last one of the stream.
    """

    url: str
    headers: Mapping[str, str]
    body: bytes
    endpoint: str
    host: str
    streaming: bool = False
    method: str = "POST"
    purpose: Purpose | None = None
    is_last: Callable[[bytes], bool] | None = None

    @property
    def authorization(self) -> str | None:
        """Return the ``Authorization`` in the user's own headers, if there is one; a call's come after the model's."""
        found = [value for name, value in self.headers.items() if str(name).lower() == "authorization"]
        return found[-1] if found else None


@dataclass(slots=True)
class Reply:
    """An answer of the server, whatever its status.

    Attributes:
        status: The HTTP status.
        headers: The headers with lower-case names.
        content: The body, decompressed; None while it is still open.
        source: The reader of the open body; only the loop that opened it uses it.
        signature: The credentials' headers with which the request was sent.
        hide: Masks the secrets that were sent, in a text of the server.
        request: The request, and `auth` the way of signing in; errors name them.
    """

    status: int
    headers: Mapping[str, str]
    content: Content | None = None
    source: Any = None
    signature: Mapping[str, str] | None = field(default=None, repr=False)
    hide: Callable[[str], str] | None = field(default=None, repr=False)
    request: Request | None = field(default=None, repr=False)
    auth: str = ""

    @property
    def body(self) -> bytes:
        """Return the bytes of the content; none while the body is open."""
        return b"" if self.content is None else self.content.read()

    def understood(self, read: Callable[[bytes], _Read]) -> _Read:
        """Read the body; an error about it names where it came from, and contains no secret that was sent.

        Args:
            read: Reads a body, or raises.

        Returns:
            What `read` returns.

        Raises:
            DatabricksError: What `read` raises.
        """
        body = self.body
        try:
            return read(body)
        except DatabricksError as error:
            from langchain_dbchat.errors.sent_secrets import SEARCHED, hide_in_bytes  # noqa: PLC0415  # where something went wrong

            is_cut = len(body) > SEARCHED  # what is searched of it is no longer what it was, so it is not read again
            masked = body if self.hide is None or is_cut else hide_in_bytes(self.hide, body)
            if self.hide is None or (masked is body and not is_cut):
                self._locate(error)
                raise
            found, cause = type(error)(self.hide(error.message)), None
        if not is_cut:
            try:
                return read(masked)
            except DatabricksError as error:
                found, cause = error if type(error) is type(found) else found, error.__cause__
        self._locate(found)
        raise found from cause

    def _locate(self, error: DatabricksError) -> None:
        from langchain_dbchat.errors.composing import locate  # noqa: PLC0415  # where something went wrong

        if self.request is not None:
            locate(error, endpoint=self.request.endpoint, host=self.request.host, auth=self.auth)


def too_large(limit: float, purpose: Purpose | None = None) -> str:
    """Describe an answer that is too large.

    Args:
        limit: The bound in bytes.
        purpose: What the request was for; None for a call of an endpoint, whose bound the user can change.
    """
    if purpose is not None:
        return f"{purpose.name}: the answer is larger than {limit:.0f} bytes, decompressed"
    return (
        f"The answer is larger than {limit:.0f} bytes, decompressed (max_response_bytes). If such an answer is right, "
        "raise max_response_bytes"
    )
