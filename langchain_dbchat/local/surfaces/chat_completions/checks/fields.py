"""The top-level fields of the body: names, types and bounds (docs/wire.md, 2.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_dbchat.local.refusals import plain
from langchain_dbchat.local.surfaces.chat_completions.refusals import invalid, unknown_field

if TYPE_CHECKING:
    from langchain_dbchat.local.surfaces.chat_completions.request import ChatRequestBody

COMMON = frozenset(
    {
        "model", "messages", "max_tokens", "max_completion_tokens", "temperature", "top_p", "top_k", "stop", "stream",
        "tools", "tool_choice", "response_format", "service_tier", "usage_context", "client_request_id",
    }
)  # fmt: skip
"""Fields that every family knows, although a model may refuse them."""
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


def known_fields(request: ChatRequestBody) -> frozenset[str]:
    """Return the top-level fields that the model accepts."""
    model = request.model
    known = COMMON | model.family.fields
    if model.efforts:
        known |= {"reasoning_effort"}
    if model.adaptive:
        known |= {"output_config"}
    if model.budget:
        known |= {"thinking"}
    return known


def check_fields(request: ChatRequestBody) -> None:
    """Refuse unknown fields, values of the wrong type, and parameters that the model does not accept."""
    known = known_fields(request)
    for name in request.body:
        if name not in known:
            if name == "stream_options" and request.family.error_style == "gemini":
                raise invalid(request, "stream_options is not supported for this model.")
            raise unknown_field(request, name)
    if request.model.responses_only:
        raise invalid(request, "This model is only supported in v1/responses and not in v1/chat/completions.")
    _check_kinds(request)
    _check_sampling(request)
    _check_limit(request)


def _check_kinds(request: ChatRequestBody) -> None:
    body = request.body
    for name, (low, high) in BOUNDS.items():
        value = body.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise invalid(request, f"{name}: Input should be between {low:g} and {high:g}")
    for name in WHOLE:
        if body.get(name) is not None and (isinstance(body[name], bool) or not isinstance(body[name], int)):
            raise invalid(request, f"{name}: Input should be a valid integer")
    for name in ("stream", "logprobs"):
        if body.get(name) is not None and not isinstance(body[name], bool):
            raise invalid(request, f"{name}: Input should be a valid boolean")
    stop = body.get("stop")
    stops = [stop] if isinstance(stop, str) else stop
    if stops is not None and not (isinstance(stops, list) and all(isinstance(one, str) for one in stops)):
        raise invalid(request, "stop: Input should be a valid list of strings")
    if body.get("stream_options") is not None and not request.streaming:
        raise invalid(request, "stream_options: only allowed when stream is enabled")


def _check_sampling(request: ChatRequestBody) -> None:
    """Refuse parameters that some models of a family refuse (docs/wire.md, 2.2, 2.6, 8.1)."""
    body, model = request.body, request.model
    for name in ("temperature", "top_p", "top_k"):
        value = body.get(name)
        if value is None or model.sampling or (model.temperature_one and value == 1):
            continue
        without_reasoning = (
            model.family.error_style == "gpt" and "none" in model.efforts and body.get("reasoning_effort") == "none"
        )
        if without_reasoning and name != "top_k":
            continue  # OpenAI: GPT-5.1 and later accept them only with effort none
        if model.family.error_style == "claude":
            raise invalid(request, f"`{name}` is deprecated for this model.")
        raise invalid(request, f"Unsupported parameter: '{name}' is not supported with this model.")
    if body.get("stop") is not None and not model.stop:
        raise invalid(request, "Unsupported parameter: 'stop' is not supported with this model.")


def _check_limit(request: ChatRequestBody) -> None:
    """Refuse a token limit that is not a number, or is above the cap (docs/wire.md, 6.2)."""
    for name in ("max_tokens", "max_completion_tokens"):
        limit = request.body.get(name)
        if limit is None:
            continue
        if request.model.limit_name not in {"", name}:
            raise invalid(
                request,
                f"Unsupported parameter: '{name}' is not supported with this model. Use '{request.model.limit_name}' "
                "instead.",
            )
        if limit < 1:
            raise invalid(request, f"{name}: Input should be greater than or equal to 1")
        cap = request.model.output
        if cap is not None and limit > cap:
            raise plain(
                400,
                "BAD_REQUEST",
                f"Bad request: rpc error: code = InvalidArgument desc = max_tokens ({limit}) cannot exceed {cap}. "
                "Please reduce the length of max output tokens generated.",
            )


def check_window(request: ChatRequestBody, tokens: int) -> None:
    """Refuse a prompt that does not fit, in the family's text (docs/wire.md, 6.2)."""
    most, style = request.model.context, request.family.error_style
    if tokens <= most:
        return
    if style == "claude":
        raise invalid(request, f"prompt is too long: {tokens} tokens > {most} maximum")
    if style == "gemini":
        raise invalid(
            request, f"The prompt token count of {tokens} exceeds the maximum number of tokens allowed {most}."
        )
    raise invalid(
        request,
        f"This model's maximum context length is {most} tokens. However, your messages resulted in {tokens} tokens.",
    )
