"""Answer an agent that asks whether it may call a tool of an MCP server.

Rule 1. An answer of Responses may have items of the type ``mcp_approval_request``; nothing happens until the next
request has an ``mcp_approval_response`` for each of them
(platform.openai.com/docs/guides/tools-connectors-mcp#approvals; mlflow/types/responses.py).
Rule 2. LangChain has no standard block for either. They are content blocks as the server has them, or the ``value`` of
a ``non_standard`` block (``output_version="v1"``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_core.messages import HumanMessage

from langchain_dbchat.dialects.shared.blocks.block_fields import unwrapped
from langchain_dbchat.dialects.shared.blocks.call_arguments import parse_arguments

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_core.messages import AIMessage

__all__ = ["PendingApproval", "approve", "deny", "pending_approvals"]


class PendingApproval(NamedTuple):
    """A call of a tool that waits for the user's approval.

    Attributes:
        id: The id of the request.
        name: The name of the tool.
        args: The arguments of the call.
        server_label: The name of the MCP server.
    """

    id: str
    name: str
    args: dict[str, Any]
    server_label: str


def pending_approvals(message: AIMessage) -> list[PendingApproval]:
    """Return the calls that an answer asks the user to approve.

    Args:
        message: The answer, whole or the sum of its chunks. It is not changed.

    Returns:
        The calls, in their order; an empty list if there are none.
    """
    content: Any = message.content
    found = []
    for block in content if isinstance(content, list) else []:
        fields = unwrapped(block) if isinstance(block, Mapping) else {}
        if fields.get("type") == "mcp_approval_request":
            args, _ = parse_arguments(str(fields.get("arguments") or ""))
            name, label = str(fields.get("name") or ""), str(fields.get("server_label") or "")
            found.append(PendingApproval(str(fields.get("id") or ""), name, args, label))
    return found


def approve(
    message: AIMessage, decide: Callable[[PendingApproval], bool] | None = None, *, reason: str | None = None
) -> HumanMessage:
    """Return the message that approves the calls that an answer asks for.

    Args:
        message: The answer. It is not changed.
        decide: Gets each call, and returns whether it is approved; None approves all.
        reason: What the agent reads about the calls that are not approved; None for nothing.

    Returns:
        The message to append to the conversation, after the answer.

    Raises:
        ValueError: If the answer asks for no approval.
    """
    pending = pending_approvals(message)
    if not pending:
        raise ValueError(
            "The answer asks for no approval: it has no content block of the type 'mcp_approval_request'. Give the "
            "answer of the agent itself; pending_approvals(message) shows the calls that wait."
        )
    blocks: list[str | dict[str, Any]] = []
    for call in pending:
        approved = decide is None or bool(decide(call))
        block: dict[str, Any] = {
            "type": "mcp_approval_response",
            "approval_request_id": call.id,
            "approve": approved,
        }
        blocks.append(block if approved or reason is None else {**block, "reason": reason})
    return HumanMessage(blocks)


def deny(message: AIMessage, reason: str | None = None) -> HumanMessage:
    """Return the message that approves none of the calls that an answer asks for.

    Args:
        message: The answer. It is not changed.
        reason: What the agent reads; None for nothing.

    Returns:
        The message to append to the conversation, after the answer.

    Raises:
        ValueError: If the answer asks for no approval.
    """
    return approve(message, lambda _: False, reason=reason)
