"""Compose the message of an error: what happened, where and as whom, and what to do next.

Rule 1. An error keeps these parts, because the server's words may look like any of our lines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from langchain_dbchat.errors.redaction import scrub

if TYPE_CHECKING:
    from langchain_dbchat.errors import DatabricksError

__all__ = ["locate", "make_error"]

_Error = TypeVar("_Error", bound="DatabricksError")


def make_error(  # noqa: PLR0913  # the parts of one message
    kind: type[_Error],
    what: str,
    *,
    advice: str = "",
    endpoint: str | None = None,
    host: str | None = None,
    auth: str | None = None,
    request_id: str | None = None,
    names_host: bool = False,
    **facts: Any,
) -> _Error:
    """Make an error whose message says what happened, where, and what to do next.

    Args:
        kind: The class.
        what: What happened, without a full stop.
        advice: What to do next, in whole sentences.
        endpoint: The serving endpoint.
        host: The host.
        auth: The way of signing in, never the secret.
        request_id: The server's id of the request.
        names_host: Whether ``what`` names the host.
        **facts: Further arguments of the class.

    Returns:
        The error, to be raised by the caller.
    """
    place = _place(endpoint, None if names_host else host, auth, request_id)
    message = _compose(what, place, advice)
    error = kind(message, endpoint=endpoint, host=host, auth=auth, request_id=request_id, **facts)
    error.what, error.advice = scrub(what), scrub(advice)
    return error


def locate(error: DatabricksError, *, endpoint: str | None, host: str, auth: str) -> None:
    """Add to an error about an answer where the answer came from; only who sent the request knows that.

    Args:
        error: The error, which is changed unless it names a host.
        endpoint: The serving endpoint that was called.
        host: The host that was called.
        auth: The way of signing in that was used, never the secret.
    """
    if error.host is not None:
        return
    error.endpoint, error.host, error.auth = error.endpoint or endpoint, host, auth
    place = _place(error.endpoint, host, auth, error.request_id)
    error.message = _compose(error.message if error.what is None else error.what, place, error.advice)
    error.args = (error.message,)


def _compose(what: str, place: str, advice: str) -> str:
    lines = [what, f"  Where: {place}" if place else "", f"  What to do: {advice}" if advice else ""]
    return "\n".join(filter(None, lines))


def _place(endpoint: str | None, host: str | None, auth: str | None, request_id: str | None) -> str:
    parts = [f"endpoint {endpoint!r}"] if endpoint else []
    parts += [f"host {host}"] if host else []
    parts += [f"credentials from: {auth}"] if auth else []
    parts += [f"request id {request_id}"] if request_id else []
    return ", ".join(parts)
