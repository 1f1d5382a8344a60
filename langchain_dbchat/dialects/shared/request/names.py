"""Rewrite the names of tools and schemas that servers refuse, and restore them in the answer.

Rule 1. A name matches ``^[a-zA-Z0-9_-]{1,64}$`` (OpenAI API reference, "function.name" and "json_schema.name";
Anthropic and Databricks refuse other names too); Gemini's also starts with a letter or an underscore. A valid name is
never changed.
Rule 2. In any other name accents are removed, and each character that is still not allowed becomes ``_``.
Rule 3. A short hash of the name is added if the name was too long, if it has no letter or digit, or if two tools would
get the same name. So the names depend on the set of tools only, not on their order, and a prompt cache stays valid.
Rule 4. The names of bound tools are chosen first; the name of a past call, whose tool is no longer bound, differs from
them.
Rule 5. An answer's names are restored only for its own request. A name that was not sent, such as an original name that
the model has read elsewhere, is not changed.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Container

    from langchain_dbchat.models.families import Family

_LONGEST = 64
_HASH = 8
_ALLOWED = re.compile(r"[^a-zA-Z0-9_-]")
_WORD = re.compile(r"[a-zA-Z0-9]")


def fit_name(name: str, family: Family) -> str:
    """Return the name that is sent for one name.

    Args:
        name: The caller's name.
        family: The row of the called model.

    Returns:
        The sent name.
    """
    return name if re.fullmatch(family.tool_names, name) else _rewritten(name, family)


def fit_names(names: Iterable[str], family: Family) -> dict[str, str]:
    """Return the names that are sent for tools that are bound together.

    Args:
        names: The caller's names.
        family: The row of the called model.

    Returns:
        The sent name of each name.
    """
    sent = {name: fit_name(name, family) for name in names}
    uses = Counter(sent.values())
    return {
        name: _hashed(name, fitted, sent) if fitted != name and uses[fitted] > 1 else fitted
        for name, fitted in sent.items()
    }


def fit_tool_names(tools: list[dict[str, Any]], family: Family) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Rewrite the names of bound tools, in OpenAI's format.

    Args:
        tools: The tools. They are not changed.
        family: The row of the called model.

    Returns:
        The tools, one that is bound twice only once, and the sent name of each.

    Raises:
        ValueError: If a tool has no name, or two different tools have one name.
    """
    functions = [function for tool in tools if (function := _function_of(tool)) is not None]
    if _are_repeated(functions):
        tools = [tool for place, tool in enumerate(tools) if tool not in tools[:place]]
    sent = fit_names([function["name"] for function in functions], family) if functions else {}
    return [renamed(tool, sent) for tool in tools], sent


def fit_past_names(names: Iterable[str], bound: Mapping[str, str], family: Family) -> dict[str, str]:
    """Return the sent names of past calls and results that differ from the caller's.

    Args:
        names: The names in the conversation.
        bound: The sent name of each bound tool.
        family: The row of the called model.

    Returns:
        The sent name of each name that changes.
    """
    sent = dict(bound)
    taken = set(sent.values())
    for name in names:
        if name not in sent:
            fitted = fit_name(name, family)
            sent[name] = _hashed(name, fitted, taken) if fitted != name and fitted in taken else fitted
            taken.add(sent[name])
    return {name: fitted for name, fitted in sent.items() if name != fitted}


def callers_names(sent: Mapping[str, str]) -> dict[str, str]:
    """Return the caller's name of each sent name.

    Args:
        sent: The sent name of each bound tool.

    Returns:
        The names; empty if no name differs.
    """
    if all(name == fitted for name, fitted in sent.items()):
        return {}
    return {fitted: name for name, fitted in sent.items()}


def fit_body(body: dict[str, Any], bound: Mapping[str, str], family: Family) -> None:
    """Rewrite the names in a request's body beside those of its tools: in calls, results, choice and response format.

    Args:
        body: The body. Its top-level values are replaced if a name changes; nested values are not changed in place.
        bound: The sent name of each bound tool.
        family: The row of the called model.
    """
    messages = body.get("messages") or []
    past = fit_past_names((name for message in messages for name in _names_in(message)), bound, family)
    if past:
        body["messages"] = [_renamed_message(message, past) for message in messages]
    if body.get("tool_choice") is not None:
        body["tool_choice"] = renamed(body["tool_choice"], bound)
    wanted = body.get("response_format")
    schema = wanted.get("json_schema") if isinstance(wanted, Mapping) else None
    if isinstance(wanted, Mapping) and isinstance(schema, Mapping) and isinstance(schema.get("name"), str):
        fitted = fit_name(schema["name"], family)
        if fitted != schema["name"]:
            body["response_format"] = {**wanted, "json_schema": {**schema, "name": fitted}}


def is_whole(name: str, names: Mapping[str, str]) -> bool:
    """Return whether a streamed name is complete.

    Args:
        name: The part of the name that has arrived.
        names: The caller's name of each sent name.

    Returns:
        True if it is a sent name, and not the beginning of another sent name.
    """
    return name in names and not any(other != name and other.startswith(name) for other in names)


def _function_of(tool: Any) -> Mapping[str, Any] | None:
    """Return the function of a tool, a choice or a call."""
    function = tool.get("function") if isinstance(tool, Mapping) else None
    return function if isinstance(function, Mapping) and isinstance(function.get("name"), str) else None


def _are_repeated(functions: list[Mapping[str, Any]]) -> bool:
    """Return whether a tool is bound twice; raise for two tools of one name (``Tool names must be unique.``)."""
    known: dict[str, Mapping[str, Any]] = {}
    for function in functions:
        name = function["name"]
        if not name.strip():
            raise ValueError(f"A tool has an empty name (description: {function.get('description')!r}). Give it one.")
        first = known.setdefault(name, function)
        if first is not function and first != function:
            raise ValueError(
                f"Two different tools are named {name!r}, and a call could not say which one it means. Rename one."
            )
    return len(known) < len(functions)


def renamed(tool: Any, names: Mapping[str, str]) -> Any:
    """Return a tool, a choice or a call under its sent name.

    Args:
        tool: The tool, the choice or the call, in OpenAI's format; anything else is returned.
        names: The sent name of each name.

    Returns:
        A new one, or the same if its name does not change.
    """
    function = _function_of(tool)
    if function is None or names.get(function["name"], function["name"]) == function["name"]:
        return tool
    return {**tool, "function": {**function, "name": names[function["name"]]}}


def _names_in(message: Any) -> list[str]:
    if not isinstance(message, Mapping):
        return []
    names = [
        function["name"] for function in map(_function_of, message.get("tool_calls") or ()) if function is not None
    ]
    if message.get("role") == "tool" and isinstance(message.get("name"), str):
        names.append(message["name"])
    return names


def _renamed_message(message: Any, names: Mapping[str, str]) -> Any:
    if not any(name in names for name in _names_in(message)):
        return message
    sent = dict(message)
    if message.get("tool_calls"):
        sent["tool_calls"] = [renamed(call, names) for call in message["tool_calls"]]
    if message.get("role") == "tool" and "name" in message:
        sent["name"] = names.get(message["name"], message["name"])
    return sent


def _rewritten(name: str, family: Family) -> str:
    plain = "".join(char for char in unicodedata.normalize("NFKD", name) if not unicodedata.combining(char))
    fitted = _ALLOWED.sub("_", plain)
    if not _WORD.search(fitted):
        return _hashed(name, "tool")
    if not re.fullmatch(family.tool_names, fitted[:_LONGEST]):
        fitted = f"_{fitted}"
    return fitted if len(fitted) <= _LONGEST else _hashed(name, fitted)


def _hashed(name: str, fitted: str, taken: Container[str] = ()) -> str:
    """Add a short hash of the name, or a longer one if another tool has that name."""
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    length = _HASH
    while (hashed := f"{fitted[: _LONGEST - length - 1]}_{digest[:length]}") in taken and length < _LONGEST // 2:
        length += 1
    return hashed
