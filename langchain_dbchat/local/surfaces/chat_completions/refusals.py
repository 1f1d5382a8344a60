"""The texts of refusals of the chat completions API (docs/wire.md, 1.2, 6.1): each provider has its own texts.

Claude's are JSON within JSON, Gemini's come from an upstream, those of the open-weight models are Go errors, GPT's are
OpenAI's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic_core import to_json

from langchain_dbchat.local.refusals import Refused, plain

if TYPE_CHECKING:
    from langchain_dbchat.local.surfaces.chat_completions.request import ChatRequestBody


def invalid(request: ChatRequestBody, text: str, *, code: str = "BAD_REQUEST") -> Refused:
    """Return a 400 in the style of the model's provider (docs/wire.md, 1.2, 6.1)."""
    style = request.family.error_style
    if style == "claude":
        return plain(400, code, to_json({"message": text}).decode() + "\n")
    if style == "gemini":
        return plain(400, code, to_json({"error": f"Upstream error: INVALID_ARGUMENT: {text}"}).decode())
    if style == "gpt":
        return plain(400, code, f"Bad Request: {text}")
    return plain(400, code, f"Bad request: {text}")


def unknown_field(request: ChatRequestBody, path: str) -> Refused:
    """Return a 400 for a field that is not known to the family (docs/wire.md, 1.2).

    Args:
        request: The request.
        path: The path of the field, joined by dots, e.g. ``messages.1.reasoning_content``.
    """
    leaf = path.rpartition(".")[2]
    style = request.family.error_style
    if request.entry == "gateway":
        return plain(400, "BAD_REQUEST", f'Bad request: json: unknown field "{leaf}"')
    if style == "claude" or leaf in {"parallel_tool_calls", "thinking_blocks", "reasoning_content"}:
        return plain(
            400, "BAD_REQUEST", to_json({"message": f"{path}: Extra inputs are not permitted"}).decode() + "\n"
        )
    if style == "gpt":
        return plain(400, "BAD_REQUEST", f"Bad Request: Unknown parameter: '{path}'")
    if style == "gemini":
        return invalid(request, f'Invalid JSON payload received. Unknown name "{leaf}": Cannot find field.')
    return plain(400, "BAD_REQUEST", f'Bad request: json: unknown field "{leaf}"')
