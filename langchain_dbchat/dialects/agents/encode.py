"""Encode settings and messages as the request of MLflow's ChatAgent.

Rule 1. The request has ``messages``, ``context``, ``custom_inputs`` and ``stream`` (mlflow/types/agent.py), and on
    Databricks ``databricks_options`` (docs.databricks.com/aws/en/generative-ai/agent-framework/query-agent).
Rule 2. The agent itself chooses its model, the sampling and its tools. Settings of a model are left out with a warning;
    tools and a response format, without which the answer would not be what the caller expects, raise.
Rule 3. Any other field that the user gave is sent: MLflow ignores fields that it does not know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_dbchat.dialects.agents.messages import encode_messages
from langchain_dbchat.dialects.agents.refusable import REFUSABLE
from langchain_dbchat.dialects.dialect import ChatRequest, EncodedRequest, StructuredMethod, Target
from langchain_dbchat.dialects.shared.request.agent_inputs import AGENT_FIELDS, agent_fields, trace_headers
from langchain_dbchat.dialects.shared.request.lessons import fit_extra
from langchain_dbchat.dialects.shared.request.merging import merge_deep
from langchain_dbchat.dialects.shared.request.plain_fields import plain_fields
from langchain_dbchat.dialects.shared.request.sent import SentTools

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["choose_method", "encode_request"]

_OF_A_MODEL = frozenset(
    {
        "temperature",
        "top_p",
        "top_k",
        "max_tokens",
        "stop",
        "n",
        "seed",
        "frequency_penalty",
        "presence_penalty",
        "logprobs",
        "top_logprobs",
        "reasoning_effort",
        "thinking",
        "reasoning",
        "verbosity",
        "tool_choice",
        "parallel_tool_calls",
        "stream_options",
    }
)
_WHY = "a ChatAgent chooses it itself; pass what this agent reads as custom_inputs"


def encode_request(request: ChatRequest) -> EncodedRequest:
    """Encode a request.

    Args:
        request: The user's request.

    Returns:
        The body, and what was left out.

    Raises:
        ValueError: If tools or a response format are bound, or the context is not one.
        UnsupportedContentError: If a message cannot be represented.
    """
    settings = {key: value for key, value in request.settings.items() if value is not None}
    _check(settings, request.target)
    messages, warnings = encode_messages(request.messages, request.target)
    encoded = EncodedRequest({"messages": messages}, {}, warnings, SentTools(), trace_headers(settings))
    handled = {*AGENT_FIELDS, "tools", "response_format"}
    plain, dropped = plain_fields(settings, {}, request.target, _OF_A_MODEL, handled, REFUSABLE.optional)
    encoded.dropped = dict.fromkeys(dropped, _WHY)
    lessons = request.target.lessons & REFUSABLE.optional
    encoded.body.update(
        {key: value for key, value in {**agent_fields(settings), **plain}.items() if key not in lessons}
    )
    if request.stream:
        encoded.body["stream"] = True
    if request.extra:
        encoded.body = merge_deep(encoded.body, fit_extra(request.extra, request.target.lessons, REFUSABLE))
    return encoded


def _check(settings: Mapping[str, Any], target: Target) -> None:
    if settings.get("tools"):
        raise ValueError(
            f"{target.model!r} is a ChatAgent, which calls tools of its own and takes none from the caller. Call it "
            "without bind_tools, or make a tool of the agent itself (model.as_tool) for an agent of yours."
        )
    if settings.get("response_format"):
        raise ValueError(
            f"{target.model!r} is a ChatAgent, which takes no response format and no schema. Parse its text, for "
            "example with with_structured_output of another model, or let the agent return custom_outputs."
        )


def choose_method(settings: Mapping[str, Any], target: Target, tools: bool) -> StructuredMethod:  # noqa: ARG001  # a field of the dialect
    """Choose how a structured answer is requested; a ChatAgent takes no schema in any way, as `encode_request` says.

    Args:
        settings: The settings of the call.
        target: The called agent.
        tools: Whether further tools will be bound.

    Returns:
        ``"json_schema"``.
    """
    return "json_schema"
