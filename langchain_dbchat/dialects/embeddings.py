"""The embeddings dialect: texts in, rows of floats out.

Rows come with an ``index`` and need not come in order; a server that loses one must not shift the others. Neither
``encoding_format`` nor ``user`` is documented by Databricks, so neither is sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import from_json

from langchain_dbchat.errors import MalformedResponseError, error_from_event

MAX_INPUTS = 150
"""Inputs of one request at the most: Databricks answers 400, "exceeding 150 limit", to more."""

_NUMBERS = frozenset({float, int})

BLANK = " "
"""What an empty text is sent as: an empty input is refused, and a row is owed for every text."""


def encode_embedding_request(texts: Sequence[str], params: Mapping[str, Any]) -> dict[str, Any]:
    """Write the body of a request.

    Args:
        texts: What to embed.
        params: Further request fields, such as ``instruction``.

    Returns:
        The body.
    """
    return {"input": [text or BLANK for text in texts], **params}


def decode_embeddings(body: bytes, count: int, endpoint: str) -> tuple[list[list[float]], Mapping[str, Any]]:
    """Read an answer.

    Args:
        body: The response body.
        count: How many rows are owed.
        endpoint: The endpoint's name, for errors.

    Returns:
        The rows in the order of the texts, each with as many floats as the model has dimensions; and the usage.

    Raises:
        DatabricksError: If the body is an error in spite of its status.
        MalformedResponseError: If a row is missing, comes twice or is no list of numbers.
    """
    try:
        payload = from_json(body)
    except ValueError as error:
        raise MalformedResponseError(
            f"The endpoint {endpoint!r} answered with something that is not JSON: {error}"
        ) from error
    if not isinstance(payload, Mapping):
        raise MalformedResponseError(f"The endpoint {endpoint!r} answered with a JSON {type(payload).__name__}.")
    failure = error_from_event(dict(payload), endpoint=endpoint)
    if failure is not None:
        raise failure
    data = payload.get("data")
    if not isinstance(data, list):
        raise MalformedResponseError(
            f"The endpoint {endpoint!r} answered with {sorted(payload)} instead of 'data': is it an embedding endpoint?"
        )
    if len(data) != count:
        raise MalformedResponseError(f"The endpoint {endpoint!r} answered {len(data)} rows for {count} texts.")
    rows: list[list[float] | None] = [None] * count
    for position, item in enumerate(data):
        if not isinstance(item, Mapping):
            raise MalformedResponseError(f"The endpoint {endpoint!r} answered with a row that is no object: {item!r:.80}")
        index = position if item.get("index") is None else item["index"]
        row = item.get("embedding")
        if not isinstance(index, int) or not 0 <= index < count or rows[index] is not None:
            raise MalformedResponseError(f"The endpoint {endpoint!r} answered with a wrong row index: {index!r}.")
        kinds = set(map(type, row)) if isinstance(row, list) else set()
        if not kinds or not kinds <= _NUMBERS:
            raise MalformedResponseError(f"The endpoint {endpoint!r} answered with no list of numbers in row {index}.")
        rows[index] = row if kinds == {float} else [float(value) for value in row]
    usage = payload.get("usage")
    return [row for row in rows if row is not None], usage if isinstance(usage, Mapping) else {}
