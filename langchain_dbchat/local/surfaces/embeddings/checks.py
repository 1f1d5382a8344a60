"""What an embedding model refuses (docs/wire.md, 6.2, 7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_dbchat.local.refusals import plain
from langchain_dbchat.local.rule_model.tokens import count_tokens

if TYPE_CHECKING:
    from langchain_dbchat.local.models import ServedEmbedder

MOST_INPUTS = 150
# `encoding_format` is what OpenAI's own client always sends, and Databricks documents the use of that client.
FIELDS = frozenset({"model", "input", "instruction", "encoding_format"})


def check_inputs(served: ServedEmbedder, name: str, body: dict[str, Any]) -> list[str]:
    """Return the inputs of a request.

    Raises:
        Refused: 400 for unknown fields, too many inputs, none, or what is not text.
    """
    known = FIELDS | ({"dimensions"} if served.dimensions else set())
    for key in body:
        if key not in known:
            raise plain(400, "BAD_REQUEST", f'Bad request: json: unknown field "{key}"')
    given = body.get("input")
    inputs = [given] if isinstance(given, str) else given
    if not isinstance(inputs, list) or not inputs or not all(isinstance(one, str) for one in inputs):
        raise plain(400, "BAD_REQUEST", "Bad request: input must be a string or a non-empty list of strings")
    if len(inputs) > MOST_INPUTS:
        raise plain(
            400,
            "BAD_REQUEST",
            f"Bad request: Input embeddings size is too large, exceeding {MOST_INPUTS} limit for {name}",
        )
    if not all(inputs):
        raise plain(400, "BAD_REQUEST", "Bad request: input must not contain empty strings")
    if not isinstance(body.get("instruction") or "", str):
        raise plain(400, "BAD_REQUEST", "Bad request: instruction must be a string")
    size = body.get("dimensions")
    if size is not None and (not isinstance(size, int) or not 1 <= size <= 1024):
        raise plain(400, "BAD_REQUEST", "Bad request: dimensions must be between 1 and 1024")
    return inputs


def count_inputs(served: ServedEmbedder, texts: list[str]) -> list[int]:
    """Return the tokens of each input; a truncating model counts no more than its window.

    Raises:
        Refused: 400 when an input is longer than a model reads that does not truncate.
    """
    counts = [count_tokens(text) for text in texts]
    longest = max(counts)
    if longest > served.window and not served.truncates:
        raise plain(
            400,
            "BAD_REQUEST",
            f"Bad request: This model's maximum context length is {served.window} tokens. However, your input resulted "
            f"in {longest} tokens.",
        )
    return [min(count, served.window) for count in counts]
