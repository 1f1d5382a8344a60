"""The texts of refusals of the Responses API (docs/wire.md, 1.2, 9.1)."""

from __future__ import annotations

from langchain_dbchat.local.refusals import Refused, plain


def invalid(text: str) -> Refused:
    """Return a 400 for a request that the API or the model does not take."""
    return plain(400, "BAD_REQUEST", f"Bad Request: {text}")


def unknown_parameter(path: str) -> Refused:
    """Return a 400 for an unknown field; the path is OpenAI's, e.g. ``input[1].status``."""
    return invalid(f"Unknown parameter: '{path}'.")


def wrong_type(path: str, wanted: str) -> Refused:
    """Return a 400 for a value of another type or a field that is not there; ``wanted`` has its article."""
    return invalid(f"Invalid type for '{path}': expected {wanted}.")
