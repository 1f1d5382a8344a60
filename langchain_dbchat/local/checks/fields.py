"""The body and its top-level fields: which there are, which the family takes, what they may be (docs/wire.md, 2.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic_core import from_json

from langchain_dbchat.local.refusals import invalid, plain, unknown_field

if TYPE_CHECKING:
    from langchain_dbchat.local.asked import Asked

COMMON = frozenset(
    {
        "model", "messages", "max_tokens", "max_completion_tokens", "temperature", "top_p", "top_k", "stop", "stream",
        "tools", "tool_choice", "response_format", "service_tier", "usage_context", "client_request_id",
    }
)  # fmt: skip
"""Fields that every family knows, though a model may refuse their use."""
BOUNDS: dict[str, tuple[float, float]] = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "presence_penalty": (-2, 2),
    "frequency_penalty": (-2, 2),
    "top_k": (0, 1_000_000),
    "n": (1, 5),
    "top_logprobs": (0, 20),
}
WHOLE = frozenset({"top_k", "n", "seed", "top_logprobs", "max_tokens", "max_completion_tokens"})


def parse(content: bytes) -> dict[str, Any]:
    """The JSON object in a body.

    Raises:
        Refused: 400 when it is not one.
    """
    try:
        body = from_json(content)
    except ValueError:
        raise plain(400, "BAD_REQUEST", "Bad request: the body is not valid JSON.") from None
    if not isinstance(body, dict):
        raise plain(400, "BAD_REQUEST", "Bad request: the body is not a JSON object.")
    return body


def known_fields(asked: Asked) -> frozenset[str]:
    """The top-level fields that the asked model takes."""
    model = asked.model
    known = COMMON | model.family.fields
    if model.efforts:
        known |= {"reasoning_effort"}
    if model.adaptive:
        known |= {"output_config"}
    if model.budget:
        known |= {"thinking"}
    return known


def check_fields(asked: Asked) -> None:
    """Refuse unknown fields, values of the wrong kind, and parameters that the model does not take."""
    known = known_fields(asked)
    for name in asked.body:
        if name not in known:
            if name == "stream_options" and asked.model.family.voice == "gemini":
                raise invalid(asked, "stream_options is not supported for this model.")
            raise unknown_field(asked, name)
    if asked.model.responses_only:
        raise invalid(asked, "This model is only supported in v1/responses and not in v1/chat/completions.")
    _check_kinds(asked)
    _check_sampling(asked)
    _check_limit(asked)


def _check_kinds(asked: Asked) -> None:
    body = asked.body
    for name, (low, high) in BOUNDS.items():
        value = body.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise invalid(asked, f"{name}: Input should be between {low:g} and {high:g}")
    for name in WHOLE:
        if body.get(name) is not None and (isinstance(body[name], bool) or not isinstance(body[name], int)):
            raise invalid(asked, f"{name}: Input should be a valid integer")
    for name in ("stream", "logprobs"):
        if body.get(name) is not None and not isinstance(body[name], bool):
            raise invalid(asked, f"{name}: Input should be a valid boolean")
    stop = body.get("stop")
    stops = [stop] if isinstance(stop, str) else stop
    if stops is not None and not (isinstance(stops, list) and all(isinstance(one, str) for one in stops)):
        raise invalid(asked, "stop: Input should be a valid list of strings")
    if body.get("stream_options") is not None and not asked.streaming:
        raise invalid(asked, "stream_options: only allowed when stream is enabled")


def _check_sampling(asked: Asked) -> None:
    """Parameters that some models refuse although their neighbours take them (docs/wire.md, 2.2, 2.6, 8.1)."""
    body, model = asked.body, asked.model
    for name in ("temperature", "top_p", "top_k"):
        value = body.get(name)
        if value is None or model.sampling or (model.family.name == "kimi" and value == 1):
            continue
        silent = model.family.voice == "gpt" and "none" in model.efforts and body.get("reasoning_effort") == "none"
        if silent and name != "top_k":
            continue  # OpenAI: GPT-5.1 and later take them with effort none only
        if model.family.voice == "claude":
            raise invalid(asked, f"`{name}` is deprecated for this model.")
        raise invalid(asked, f"Unsupported parameter: '{name}' is not supported with this model.")
    if body.get("stop") is not None and not model.stop:
        raise invalid(asked, "Unsupported parameter: 'stop' is not supported with this model.")


def _check_limit(asked: Asked) -> None:
    """The token limit and its cap (docs/wire.md, 6.2, row max_tokens)."""
    for name in ("max_tokens", "max_completion_tokens"):
        limit = asked.body.get(name)
        if limit is None:
            continue
        if asked.model.limit_name not in {"", name}:
            raise invalid(
                asked,
                f"Unsupported parameter: '{name}' is not supported with this model. Use '{asked.model.limit_name}' "
                "instead.",
            )
        if limit < 1:
            raise invalid(asked, f"{name}: Input should be greater than or equal to 1")
        cap = asked.model.output
        if cap is not None and limit > cap:
            raise plain(
                400,
                "BAD_REQUEST",
                f"Bad request: rpc error: code = InvalidArgument desc = max_tokens ({limit}) cannot exceed {cap}. "
                "Please reduce the length of max output tokens generated.",
            )
