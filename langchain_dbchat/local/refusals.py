"""How the workspace says no: the bodies of docs/wire.md, 1.2, 6.1; one function per way of speaking.

Every check raises `Refused`; the server turns it into a response. The texts differ by who speaks: Claude's refusals are
JSON within JSON, Gemini's come from an upstream, the open-weight models' are Go errors, GPT's are OpenAI's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

if TYPE_CHECKING:
    from langchain_dbchat.local.asked import Asked


class Refused(Exception):  # noqa: N818  # a refusal is an answer of the protocol, not a fault of the server
    """A request that gets an error answer.

    Args:
        status: HTTP status.
        body: The JSON body, or plain text.
        headers: Extra response headers.
    """

    def __init__(self, status: int, body: dict[str, Any] | str, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, body)
        self.status = status
        self.body = body
        self.headers = headers or {}


def plain(status: int, code: str | int, message: str) -> Refused:
    """The usual body, with a code and a message (docs/wire.md, 6.1, rows 1 and 2)."""
    return Refused(status, {"error_code": code, "message": message})


def credential_refused() -> Refused:
    """A wrong or absent token: the error code is a number (docs/wire.md, 6.1, row 2)."""
    return plain(401, 401, "Credential was not sent or was of an unsupported type for this API.")


def token_expired() -> Refused:
    """An OAuth token that has run out: 403 and plain text (docs/wire.md, 6.2, row expired token)."""
    return Refused(403, "Invalid Token")


def endpoint_not_found() -> Refused:
    """No such endpoint (docs/wire.md, 6.2, row no such endpoint)."""
    return plain(
        404,
        "ENDPOINT_NOT_FOUND",
        "The given endpoint does not exist, please retry after checking the specified model and version deployment "
        "exists.",
    )


def invalid(asked: Asked, text: str, *, code: str = "BAD_REQUEST") -> Refused:
    """A 400 in the voice of the asked model's family (docs/wire.md, 1.2, 6.1)."""
    voice = asked.model.family.voice
    if voice == "claude":
        return plain(400, code, to_json({"message": text}).decode() + "\n")
    if voice == "gemini":
        return plain(400, code, to_json({"error": f"Upstream error: INVALID_ARGUMENT: {text}"}).decode())
    if voice == "gpt":
        return plain(400, code, f"Bad Request: {text}")
    return plain(400, code, f"Bad request: {text}")


def unknown_field(asked: Asked, path: str) -> Refused:
    """A 400 for a field that is not on the family's list (docs/wire.md, 1.2).

    Args:
        asked: The request.
        path: Where the field stands, parts joined by dots, e.g. ``messages.1.reasoning_content``.
    """
    leaf = path.rpartition(".")[2]
    voice = asked.model.family.voice
    if asked.surface == "gateway":
        return plain(400, "BAD_REQUEST", f'Bad request: json: unknown field "{leaf}"')
    if voice == "claude" or leaf in {"parallel_tool_calls", "thinking_blocks", "reasoning_content"}:
        return plain(
            400, "BAD_REQUEST", to_json({"message": f"{path}: Extra inputs are not permitted"}).decode() + "\n"
        )
    if voice == "gpt":
        return plain(400, "BAD_REQUEST", f"Bad Request: Unknown parameter: '{path}'")
    if voice == "gemini":
        return invalid(asked, f'Invalid JSON payload received. Unknown name "{leaf}": Cannot find field.')
    return plain(400, "BAD_REQUEST", f'Bad request: json: unknown field "{leaf}"')
