"""Fit the tools of a request to the family that is called, once for each list of tools.

Rule 1. An agent sends the same tools at each step, so what was fitted is kept. The key is what the tools say and the
row of the family: a tool that was changed is fitted again.
Rule 2. Fitted tools are shared between requests, so no code changes them; a request that needs another tool makes it.
"""

from __future__ import annotations

import marshal
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from langchain_dbchat.dialects.shared.request.converted_tools import MARSHAL_FORMAT
from langchain_dbchat.dialects.shared.request.names import callers_names, fit_tool_names
from langchain_dbchat.dialects.shared.request.sent import SentTools
from langchain_dbchat.dialects.shared.request.tools import nested
from langchain_dbchat.dialects.shared.schemas import fit_parameters

if TYPE_CHECKING:
    from langchain_dbchat.dialects.dialect import Target
    from langchain_dbchat.models.families import Family

__all__ = ["FittedTools", "encode_tools", "fit_tools"]

_LARGEST = 1 << 19
"""The size of a list that is kept, in bytes; 32 lists are kept at most."""


@dataclass(frozen=True, slots=True)
class FittedTools:
    """The tools of a request as they are sent, in OpenAI's shape.

    Attributes:
        tools: The tools; a tool that was bound twice is there once.
        names: The sent name of each bound tool.
        sent: The changes of the tools, which the decoder of the answer reverts.
    """

    tools: list[dict[str, Any]]
    names: dict[str, str]
    sent: SentTools


def fit_tools(tools: Sequence[Mapping[str, Any]], target: Target) -> FittedTools:
    """Fit bound tools to the model that is called.

    Args:
        tools: Tools in OpenAI's shape.
        target: The called model.

    Returns:
        The tools; they are shared with other requests, and must not be changed.

    Raises:
        TypeError: If a tool was not converted.
        ValueError: If the parameters of a tool cannot be fitted, a tool has no name, or two tools have one name.
    """
    written: Any = tools
    with suppress(ValueError):  # it has other values than JSON's, or cannot be sent; below, the error names the model
        packed = marshal.dumps(written, MARSHAL_FORMAT)
        if len(packed) <= _LARGEST:
            return _fit_once(packed, target.family)
    return _fit(tools, target.family, target.model)


@lru_cache(maxsize=32)
def _fit_once(packed: bytes, family: Family) -> FittedTools:
    return _fit(marshal.loads(packed), family, "")  # noqa: S302  # the bytes are our own


def _fit(tools: Sequence[Mapping[str, Any]], family: Family, model: str) -> FittedTools:
    sent = SentTools()
    fitted, names = fit_tool_names(encode_tools(tools, family, sent, model=model), family)
    sent.names = callers_names(names)
    return FittedTools(fitted, names, sent)


def encode_tools(
    tools: Sequence[Mapping[str, Any]], family: Family, sent: SentTools | None = None, *, model: str = ""
) -> list[dict[str, Any]]:
    """Fit bound tools to a family.

    Args:
        tools: Tools in OpenAI's shape.
        family: The row of the model that is called.
        sent: Where the parameters of closed tools are added whose calls may now contain nulls.
        model: The endpoint's name, for errors.

    Returns:
        New tools with explicit parameters, without what the family refuses.

    Raises:
        TypeError: If a tool was not converted.
        ValueError: If a tool has no name, or if its parameters cannot be fitted.
    """
    encoded = []
    if not isinstance(tools, Iterable):
        raise TypeError(
            f"tools is a {type(tools).__name__}, but it has to be a list of tools: bind them with bind_tools."
        )
    for tool in tools:
        if not isinstance(tool, Mapping):
            raise TypeError(f"A tool has to be a dict in OpenAI's shape, not {tool!r}: bind it with bind_tools.")
        tool = nested(dict(tool))  # noqa: PLW2901  # the same tool in the shape that is sent
        function = tool.get("function")
        if not isinstance(function, Mapping):
            encoded.append(dict(tool))
            continue
        if not isinstance(function.get("name"), str):
            raise ValueError(f"A tool has no name: {tool!r}. Give it one.")  # noqa: TRY004  # a tool is a value
        fitted = {key: value for key, value in function.items() if value is not None}
        if not family.strict_tools:
            fitted.pop("strict", None)
        name, parameters = str(function.get("name")), function.get("parameters")
        strict = fitted.get("strict") is True
        fitted["parameters"], nulls = fit_parameters(parameters, family, name, strict=strict, model=model)
        if nulls and sent is not None:
            sent.closed[name] = parameters or {}
        entry = {"type": "function", "function": fitted}
        if family.cache_control and tool.get("cache_control"):
            entry["cache_control"] = tool["cache_control"]
        encoded.append(entry)
    return encoded
