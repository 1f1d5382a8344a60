"""Convert tools and tool choices to what the serving endpoint accepts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from langchain_core.utils.function_calling import convert_to_openai_tool

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

    from langchain_dbchat.dialects.dialect import Target

TOOL_EXTRAS = ("defer_loading", "input_examples", "allowed_callers", "eager_input_streaming")
"""Fields of a tool besides its function that only Anthropic's Messages has."""

CALLS_AS_TEXT = (
    "it writes its tool calls into the text of its answer, where no agent finds them; a schema works with "
    "with_structured_output(schema) and with ProviderStrategy"
)
"""The warning about tools for a family that calls none."""

_SCHEMA_TYPES = frozenset({"object", "array", "string", "integer", "number", "boolean", "null"})


def convert_tool(tool: Mapping[str, Any] | type | Callable[..., Any] | BaseTool, strict: bool | None) -> dict[str, Any]:
    """Turn anything that LangChain calls a tool into OpenAI's shape.

    Args:
        tool: A tool, function, Pydantic class, TypedDict, JSON schema, or a tool in OpenAI's or Anthropic's shape.
        strict: Whether to ask for arguments that follow the schema exactly; None says nothing.

    Returns:
        The tool, with `cache_control` and Anthropic's further fields kept where the caller set them. A tool of a
        provider's own is returned unchanged.
    """
    from langchain_dbchat.dialects.shared.schemas.recursive import recursive_function  # noqa: PLC0415  # only with tools

    if isinstance(tool, Mapping) and _is_providers(tool):
        return dict(tool)
    # Strict schemas are closed for the family that is called, not here: elsewhere the open schema is sent.
    own = recursive_function(tool)
    plain = dict(tool) if isinstance(tool, Mapping) else tool  # langchain-core looks for a dict
    converted = {"type": "function", "function": own} if own else nested(convert_to_openai_tool(plain))
    function = converted.get("function")
    if isinstance(function, Mapping):
        converted = {**converted, "function": _completed(function, tool, strict)}
    extras = tool if isinstance(tool, Mapping) else getattr(tool, "extras", None)
    if isinstance(extras, Mapping):
        kept = {key: extras[key] for key in ("cache_control", *TOOL_EXTRAS) if key in extras}
        converted = {**converted, **kept} if kept else converted
    return converted


def _is_providers(tool: Mapping[str, Any]) -> bool:
    """Return whether a tool is a provider's own, such as Anthropic's ``{"type": "web_search_20250305", ...}``."""
    kind = tool.get("type")
    if not isinstance(kind, str) or kind == "function" or kind in _SCHEMA_TYPES:
        return False
    return not {"input_schema", "inputSchema", "parameters", "function", "properties"} & tool.keys()


def _completed(function: Mapping[str, Any], tool: Any, strict: bool | None) -> dict[str, Any]:
    """Add what langchain-core loses: schemas that contain themselves, and a JSON schema's root without properties."""
    from langchain_dbchat.dialects.shared.schemas.parts import ANNOTATIONS  # noqa: PLC0415  # as above
    from langchain_dbchat.dialects.shared.schemas.recursive import recursive_parameters  # noqa: PLC0415  # as above

    whole = dict(function)
    if isinstance(tool, Mapping):
        rest = {key: value for key, value in tool.items() if key not in {"title", "description"}}
        if "parameters" not in whole and "title" in tool and not ANNOTATIONS.issuperset(rest):
            whole["parameters"] = rest
    else:
        parameters = recursive_parameters(tool, whole.get("parameters"))
        if parameters is not None:
            whole["parameters"] = parameters
    if isinstance(tool, Mapping) and isinstance(tool.get("strict"), bool):
        whole.setdefault("strict", tool["strict"])
    if strict is not None:  # what the caller asks of all tools goes before one's own
        whole["strict"] = strict
    return whole


def nested(tool: dict[str, Any]) -> dict[str, Any]:
    """Return a tool in the shape of chat completions, if it is a function in the flat one of Responses.

    Args:
        tool: The tool.

    Returns:
        A new tool, or the same.
    """
    if tool.get("type") != "function" or "function" in tool or "name" not in tool:
        return tool
    return {"type": "function", "function": {key: value for key, value in tool.items() if key != "type"}}


def split_tool_choice(choice: Any) -> tuple[Any, dict[str, Any]]:
    """Split the request for one call at a time from Anthropic's tool choice, which contains it.

    Args:
        choice: The choice in any spelling.

    Returns:
        The choice without ``disable_parallel_tool_use``, and ``parallel_tool_calls`` if it had that field.
    """
    if not isinstance(choice, Mapping) or "disable_parallel_tool_use" not in choice:
        return choice, {}
    rest = {key: value for key, value in choice.items() if key != "disable_parallel_tool_use"}
    return rest, {"parallel_tool_calls": not choice["disable_parallel_tool_use"]}


def convert_tool_choice(choice: Any, tools: Sequence[Mapping[str, Any]]) -> Any:
    """Turn every spelling of a tool choice that LangChain knows into the endpoint's.

    Args:
        choice: ``"auto"``, ``"none"``, ``"any"``, ``"required"``, True, the name of a tool, the type of a provider's
            own tool, or a choice as a dict.
        tools: The bound tools, in OpenAI's shape.

    Returns:
        The value of ``tool_choice``, or None if nothing is to be sent. A provider's own tool has its type and name.

    Raises:
        ValueError: If a tool is named that is not bound, or if the choice is none of these.
    """
    if isinstance(choice, Mapping) and choice.get("type") in {"auto", "none", "any", "required"}:
        choice = choice["type"]
    if choice is None or choice is False:
        return None
    if choice is True or choice in ("any", "required"):
        return "required"
    if choice in ("auto", "none"):
        return choice
    if isinstance(choice, Mapping) and choice.get("type") not in {"tool", "function"}:
        if any(choice.get("type") == tool.get("type") for tool in tools):
            return dict(choice)
        name = None
    else:
        name = _chosen_name(choice)
    if name is None:
        raise ValueError(f"tool_choice={choice!r} is not understood. Use 'auto', 'none', 'any' or a tool's name.")
    return _choice_of(name, tools)


def _chosen_name(choice: Any) -> str | None:
    """Return the name in a choice of a tool; None if it has none."""
    if isinstance(choice, Mapping):
        function = choice.get("function")
        choice = function.get("name") if isinstance(function, Mapping) else choice.get("name")
    return choice if isinstance(choice, str) else None


def _choice_of(name: str, tools: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the choice of a function, or of a provider's own tool, by its name or its type."""
    functions = [nested(dict(tool)) for tool in tools]
    names = [str(tool["function"]["name"]) for tool in functions if isinstance(tool.get("function"), Mapping)]
    if name in names:
        return {"type": "function", "function": {"name": name}}
    for tool in tools:
        if tool.get("type") not in {None, "function"} and name in {tool.get("name"), tool["type"]}:
            return {key: tool[key] for key in ("type", "name", "server_label") if key in tool}
    raise ValueError(f"tool_choice names the tool {name!r}, but the bound tools are: {', '.join(names) or 'none'}.")


def fit_tool_choice(choice: Any, target: Target, *, thinks: bool) -> tuple[Any, list[str]]:
    """Fit a tool choice to a family: ``"auto"`` if the family answers a forced choice with a 400.

    Args:
        choice: The choice, as `convert_tool_choice` returns it.
        target: The called model.
        thinks: Whether the model will think for this request.

    Returns:
        The choice to send, and warnings for the user.
    """
    family = target.family
    if choice in ("auto", "none"):
        return choice, []
    if not family.forced_tool_choice:
        reason = f"{target.model!r} cannot be forced to call a tool"
    elif thinks and not family.forced_choice_with_thinking:
        reason = f"{target.model!r} cannot be forced to call a tool while it thinks"
    else:
        return choice, []
    return "auto", [f"tool_choice={choice!r} was changed to 'auto', because {reason}"]
