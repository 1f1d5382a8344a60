"""Messages in their order: calls and their results, and who has the last word (docs/wire.md, 2.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_dbchat.local.asked import parts_of
from langchain_dbchat.local.refusals import invalid

if TYPE_CHECKING:
    from langchain_dbchat.local.asked import Asked

FOLLOWS = "Invalid parameter: messages with role 'tool' must be a response to a preceding message with 'tool_calls'."
KIMI = (
    "Kimi K3 tool messages need a resolvable tool name: carry `tool`/`name`, or match a preceding assistant tool_call "
    "by order."
)
ALTERNATE = (
    "Bad request: Chat message input roles must alternate (user -> assistant -> u -> a -> ...) with an optional system "
    "at the start. Tool messages are optional and must follow a preceding assistant message containing tool calls.\n"
)


def check_order(asked: Asked) -> None:
    """Refuse a history whose tool calls and results do not fit, and a last word that the model does not continue."""
    if asked.model.family.alternates:
        _check_turns(asked)
    open_calls: list[str] = []
    seen: set[str] = set()
    after_turn = False
    for place, message in enumerate(asked.messages):
        if message["role"] == "tool":
            _check_result(asked, place, message, open_calls, after_turn=after_turn)
            open_calls.remove(message["tool_call_id"])
            continue
        _check_answered(asked, place, open_calls)
        calls = message.get("tool_calls") or []
        if len(calls) > 1 and not asked.model.family.grouped_calls:
            raise invalid(asked, "Multiple tool calls are not supported.")
        open_calls = [call["id"] for call in calls]
        taken = seen if asked.model.family.unique_call_ids else set()
        if len(set(open_calls)) < len(open_calls) or taken.intersection(open_calls):
            raise invalid(asked, f"messages.{place}: `tool_use` ids must be unique")
        seen.update(open_calls)
        after_turn = bool(calls)
    _check_answered(asked, len(asked.messages), open_calls)
    last = asked.messages[-1]
    prefill = asked.model.prefill and asked.model.family.prefill
    if last["role"] == "assistant" and not last.get("tool_calls") and not prefill:
        raise invalid(
            asked,
            "This model does not support assistant message prefill. The conversation must end with a user message.",
        )
    if last["role"] == "assistant" and not last.get("tool_calls") and asked.model.family.voice == "claude":
        _check_end(asked, parts_of(last))


def _check_end(asked: Asked, parts: list[dict[str, Any]]) -> None:
    """What Claude continues may not end with white space (langchain #35071)."""
    if parts and parts[-1].get("type") == "text" and parts[-1]["text"] != parts[-1]["text"].rstrip():
        raise invalid(asked, "messages: final assistant content cannot end with trailing whitespace")


def _check_turns(asked: Asked) -> None:
    """User and assistant take turns, the user first (aider #1920).

    After the results of tools either may speak: the assistant sums up or calls again, the user may have stopped it.
    """
    last = "assistant"
    for message in asked.messages:
        role = message["role"]
        if role in {"user", "assistant"} and role == last:
            raise invalid(asked, ALTERNATE)
        if role != "system":
            last = role


def _check_result(
    asked: Asked, place: int, message: dict[str, Any], open_calls: list[str], *, after_turn: bool
) -> None:
    """A tool message answers a call of the turn right before it."""
    answered = message.get("tool_call_id")
    if not isinstance(answered, str) or not answered:
        raise invalid(asked, f"messages.{place}.tool_call_id: Field required")
    if answered in open_calls and after_turn:
        return
    if asked.model.family.voice == "claude":
        raise invalid(
            asked,
            f"messages.{place}: unexpected `tool_use_id` found in `tool_result` blocks: {answered}. Each `tool_result` "
            "block must have a corresponding `tool_use` block in the previous message.",
        )
    raise invalid(asked, KIMI if asked.model.family.name == "kimi" else FOLLOWS)


def _check_answered(asked: Asked, place: int, open_calls: list[str]) -> None:
    """Every call has its result before anything else is said."""
    if not open_calls or not asked.model.family.answers_all_calls:
        return
    if asked.model.family.voice == "claude":
        raise invalid(
            asked,
            f"messages.{place - 1}: `tool_use` ids were found without `tool_result` blocks immediately after: "
            f"{', '.join(open_calls)}. Each `tool_use` block must have a corresponding `tool_result` block in the next "
            "message.",
        )
    raise invalid(
        asked,
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. "
        f"The following tool_call_ids did not have response messages: {', '.join(open_calls)}",
    )
