"""Messages in their order: turns, calls and their results, and the last message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_dbchat.local.surfaces.messages.refusals import invalid
from langchain_dbchat.local.surfaces.messages.request import blocks_of

if TYPE_CHECKING:
    from langchain_dbchat.local.surfaces.messages.request import MessagesRequestBody


def check_order(request: MessagesRequestBody) -> None:
    """Refuse turns that do not alternate, calls and results that do not match, and a prefill that nobody continues."""
    messages = request.messages
    if messages[0]["role"] != "user":
        raise invalid('messages: first message must use the "user" role')
    open_calls: list[str] = []
    seen: set[str] = set()
    for place, message in enumerate(messages):
        role, blocks = message["role"], blocks_of(message)
        if place and role == messages[place - 1]["role"]:
            raise invalid(
                f'messages: roles must alternate between "user" and "assistant", but found multiple "{role}" roles in '
                "a row"
            )
        if role == "user":
            _check_results(place, blocks, open_calls)
        open_calls = [block["id"] for block in blocks if block["type"] == "tool_use"]
        if len(set(open_calls)) < len(open_calls) or seen.intersection(open_calls):
            raise invalid(f"messages.{place}: `tool_use` ids must be unique")
        seen.update(open_calls)
    last = messages[-1]
    if last["role"] == "assistant":
        _check_end(request, blocks_of(last))


def _check_results(place: int, blocks: list[dict[str, Any]], open_calls: list[str]) -> None:
    results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
    for answered in results:
        if answered not in open_calls:
            raise invalid(
                f"messages.{place}.content: unexpected `tool_use_id` found in `tool_result` blocks: {answered}. Each "
                "`tool_result` block must have a corresponding `tool_use` block in the previous message."
            )
    if len(set(results)) < len(results):
        raise invalid(f"messages.{place}: each tool_use must have a single result.")
    unanswered = [call for call in open_calls if call not in results]
    if unanswered:
        raise invalid(
            f"messages.{place - 1}: `tool_use` ids were found without `tool_result` blocks immediately after: "
            f"{', '.join(unanswered)}. Each `tool_use` block must have a corresponding `tool_result` block in the next "
            "message."
        )
    kinds = [block["type"] for block in blocks]
    if results and kinds[: len(results)] != ["tool_result"] * len(results):
        raise invalid(f"messages.{place}: `tool_result` blocks must come first in the content of a message.")


def _check_end(request: MessagesRequestBody, blocks: list[dict[str, Any]]) -> None:
    last = blocks[-1]
    is_paused = any(block["type"] == "server_tool_use" for block in blocks)
    if not request.model.prefill and not is_paused:
        raise invalid(
            "This model does not support assistant message prefill. The conversation must end with a user message."
        )
    if last["type"] == "text" and last["text"] != last["text"].rstrip():
        raise invalid("messages: final assistant content cannot end with trailing whitespace")
