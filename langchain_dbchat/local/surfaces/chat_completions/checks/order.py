"""Messages in their order: calls and their results, and the last message (docs/wire.md, 2.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_dbchat.local.rule_model.request import parts_of
from langchain_dbchat.local.surfaces.chat_completions.refusals import invalid

if TYPE_CHECKING:
    from langchain_dbchat.local.surfaces.chat_completions.request import ChatRequestBody

FOLLOWS = "Invalid parameter: messages with role 'tool' must be a response to a preceding message with 'tool_calls'."
KIMI = (
    "Kimi K3 tool messages need a resolvable tool name: carry `tool`/`name`, or match a preceding assistant tool_call "
    "by order."
)
ALTERNATE = (
    "Bad request: Chat message input roles must alternate (user -> assistant -> u -> a -> ...) with an optional system "
    "at the start. Tool messages are optional and must follow a preceding assistant message containing tool calls.\n"
)


def check_order(request: ChatRequestBody) -> None:
    """Refuse tool calls and results that do not match, and a last message that the model does not continue."""
    if request.family.alternates:
        _check_turns(request)
    open_calls: list[str] = []
    seen: set[str] = set()
    after_turn = False
    for place, message in enumerate(request.messages):
        if message["role"] == "tool":
            _check_result(request, place, message, open_calls, after_turn=after_turn)
            open_calls.remove(message["tool_call_id"])
            continue
        _check_answered(request, place, open_calls)
        calls = message.get("tool_calls") or []
        if len(calls) > 1 and not request.family.grouped_calls:
            raise invalid(request, "Multiple tool calls are not supported.")
        open_calls = [call["id"] for call in calls]
        taken = seen if request.family.unique_call_ids else set()
        if len(set(open_calls)) < len(open_calls) or taken.intersection(open_calls):
            raise invalid(request, f"messages.{place}: `tool_use` ids must be unique")
        seen.update(open_calls)
        after_turn = bool(calls)
    _check_answered(request, len(request.messages), open_calls)
    last = request.messages[-1]
    prefill = request.model.prefill and request.family.prefill
    if last["role"] == "assistant" and not last.get("tool_calls") and not prefill:
        raise invalid(
            request,
            "This model does not support assistant message prefill. The conversation must end with a user message.",
        )
    if last["role"] == "assistant" and not last.get("tool_calls") and request.family.error_style == "claude":
        _check_end(request, parts_of(last))


def _check_end(request: ChatRequestBody, parts: list[dict[str, Any]]) -> None:
    """Refuse text that Claude would continue if it ends with white space (langchain #35071)."""
    if parts and parts[-1].get("type") == "text" and parts[-1]["text"] != parts[-1]["text"].rstrip():
        raise invalid(request, "messages: final assistant content cannot end with trailing whitespace")


def _check_turns(request: ChatRequestBody) -> None:
    """Refuse turns of user and assistant that do not alternate, the user first (aider #1920).

    After the results of tools either may come: the assistant answers, or the user has stopped it.
    """
    last = "assistant"
    for message in request.messages:
        role = message["role"]
        if role in {"user", "assistant"} and role == last:
            raise invalid(request, ALTERNATE)
        if role != "system":
            last = role


def _check_result(
    request: ChatRequestBody, place: int, message: dict[str, Any], open_calls: list[str], *, after_turn: bool
) -> None:
    """Refuse a tool message that answers no call of the turn right before it."""
    answered = message.get("tool_call_id")
    if not isinstance(answered, str) or not answered:
        raise invalid(request, f"messages.{place}.tool_call_id: Field required")
    if answered in open_calls and after_turn:
        return
    if request.family.error_style == "claude":
        raise invalid(
            request,
            f"messages.{place}: unexpected `tool_use_id` found in `tool_result` blocks: {answered}. Each `tool_result` "
            "block must have a corresponding `tool_use` block in the previous message.",
        )
    raise invalid(request, KIMI if request.family.message_name == "tool" else FOLLOWS)


def _check_answered(request: ChatRequestBody, place: int, open_calls: list[str]) -> None:
    """Refuse a call that has no result before the next other message."""
    if not open_calls or not request.family.answers_all_calls:
        return
    if request.family.error_style == "claude":
        raise invalid(
            request,
            f"messages.{place - 1}: `tool_use` ids were found without `tool_result` blocks immediately after: "
            f"{', '.join(open_calls)}. Each `tool_use` block must have a corresponding `tool_result` block in the next "
            "message.",
        )
    raise invalid(
        request,
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. "
        f"The following tool_call_ids did not have response messages: {', '.join(open_calls)}",
    )
