"""The texts of refusals of Anthropic's Messages (docs/wire.md, 14; docs.claude.com/en/api/errors)."""

from __future__ import annotations

from langchain_dbchat.local.refusals import Refused


def invalid(text: str) -> Refused:
    """Return a 400 for a request that the API or the model does not take."""
    return Refused(400, {"type": "error", "error": {"type": "invalid_request_error", "message": text}})


def unknown_field(path: str) -> Refused:
    """Return a 400 for an unknown field.

    Args:
        path: The path of the field, joined by dots, e.g. ``messages.1.content.0.text.foo``.
    """
    return invalid(f"{path}: Extra inputs are not permitted")


def missing(path: str) -> Refused:
    """Return a 400 for a field that is not there."""
    return invalid(f"{path}: Field required")
