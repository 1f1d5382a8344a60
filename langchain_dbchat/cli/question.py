"""Read what ``dbchat ask`` is given: the question, images, a schema.

Rule 1. What cannot be read or sent is wrong usage, and is said before anything is sent.
"""

from __future__ import annotations

import base64
import json
import mimetypes
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_dbchat.cli.exit_codes import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["image_block", "read_schema_argument", "whole_question"]


def whole_question(words: Sequence[str]) -> str:
    """Return the question: the arguments, then the standard input, if it is not a terminal.

    Args:
        words: The arguments.

    Returns:
        The question.

    Raises:
        UsageError: If there is none, or if the input is not UTF-8.
    """
    piped = ""
    if sys.stdin is not None and not sys.stdin.isatty():
        try:
            piped = sys.stdin.buffer.read().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise UsageError(f"The standard input is not text in UTF-8 (byte {error.start}).") from error
    question = "\n\n".join(filter(str.strip, (" ".join(words), piped)))
    if not question:
        raise UsageError('There is no question. Give one: dbchat ask "Why is the sky blue?"')
    return question


def image_block(place: str) -> dict[str, Any]:
    """Return the content block of an image.

    Args:
        place: A URL (``https://`` or ``data:``), or the path of a file.

    Returns:
        LangChain's standard block.

    Raises:
        UsageError: If the file cannot be read, or is not an image.
    """
    if place.startswith(("http://", "https://", "data:")):
        return {"type": "image", "url": place}
    kind = mimetypes.guess_type(place)[0] or ""
    if not kind.startswith("image/"):
        raise UsageError(f"--image {place}: give a file whose name ends with .png, .jpg, .gif or .webp, or a URL.")
    data = base64.b64encode(_read(place, "--image")).decode()
    return {"type": "image", "base64": data, "mime_type": kind}


def read_schema_argument(given: str) -> dict[str, Any]:
    """Return the schema of ``--schema``.

    Args:
        given: JSON, or the path of a file with JSON.

    Returns:
        The schema.

    Raises:
        UsageError: If it is not a JSON object.
    """
    text = given if given.lstrip().startswith("{") else _read(given, "--schema").decode("utf-8", "replace")
    try:
        schema = json.loads(text)
    except ValueError as error:
        raise UsageError(f"--schema is not JSON: {error}.") from error
    if not isinstance(schema, dict):
        raise UsageError("--schema is not a JSON object. Give a JSON schema, such as one with type, title, properties.")
    return schema


def _read(path: str, option: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"{option} {path}: {error.strerror or error}.") from error
