"""How the workspace refuses a request, whichever API it came in by (docs/wire.md, 6.1, 6.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class Refused(Exception):  # noqa: N818  # it is an answer of the protocol, not an error of the server
    """A request that gets an error answer.

    Args:
        status: HTTP status.
        body: The JSON body, or plain text.
        headers: Extra response headers.
    """

    def __init__(self, status: int, body: dict[str, Any] | str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, body)
        self.status = status
        self.body = body
        self.headers = headers or {}


def plain(status: int, code: str | int, message: str) -> Refused:
    """Return the usual body, with a code and a message (docs/wire.md, 6.1, rows 1 and 2)."""
    return Refused(status, {"error_code": code, "message": message})


def credential_refused() -> Refused:
    """Return the refusal of a wrong or absent token: the error code is a number (docs/wire.md, 6.1, row 2)."""
    return plain(401, 401, "Credential was not sent or was of an unsupported type for this API.")


def token_expired() -> Refused:
    """Return the refusal of an OAuth token that has expired: 403 and plain text (docs/wire.md, 6.2)."""
    return Refused(403, "Invalid Token")


def endpoint_not_found() -> Refused:
    """Return the refusal of an endpoint that does not exist (docs/wire.md, 6.2)."""
    return plain(
        404,
        "ENDPOINT_NOT_FOUND",
        "The given endpoint does not exist, please retry after checking the specified model and version deployment "
        "exists.",
    )
