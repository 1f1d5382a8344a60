"""The agents that every local workspace has: one that looks things up, under each task, and one that asks first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_dbchat.local.agents import (
    CHAT_AGENT,
    CHAT_MODEL,
    RESPONSES_AGENT,
    AgentCall,
    ApprovalRequest,
    LocalAgent,
)
from langchain_dbchat.local.rule_model.replies import best_sentences

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_dbchat.local.agents import AgentRequest, AgentStep

HANDBOOK = """\
A serving endpoint is a model or an agent behind a name and a URL.
A model service lives in Unity Catalog and is called at the AI gateway.
A ResponsesAgent takes input items and returns output items.
A ChatAgent returns the messages of all its steps.
A personal access token is refused by Databricks Apps, which accept OAuth tokens only.
Provisioned throughput reserves capacity for an endpoint, and pay-per-token does not.
The rate limit of a foundation model is counted in tokens per minute and queries per hour."""
TICKETS = "tickets"
"""The label of the MCP server of the agent that asks first."""


def research(request: AgentRequest) -> Iterator[AgentStep]:
    """Search the handbook for the question, and answer from what was found.

    Args:
        request: The request; ``custom_inputs={"limit": 1}`` is the most passages that are found.

    Yields:
        The steps.
    """
    question, limit = request.question, request.custom_inputs.get("limit", 2)
    yield "I will look it up."
    found = best_sentences(question, HANDBOOK, limit if isinstance(limit, int) else 2)
    yield AgentCall("search_handbook", {"query": question}, "\n".join(found) or "Nothing was found.")
    request.custom_outputs["passages"] = len(found)
    if request.context:
        request.custom_outputs["context"] = request.context
    yield "The handbook says: " if found else "The handbook says nothing about it. "
    yield " ".join(found) if found else f"You asked: {question}"


def open_ticket(request: AgentRequest) -> Iterator[AgentStep]:
    """Open a ticket, after the caller has approved it.

    Args:
        request: The request.

    Yields:
        The steps.
    """
    if not request.approvals:
        yield ApprovalRequest("open_ticket", {"title": request.question}, TICKETS)
    elif all(request.approvals.values()):
        yield AgentCall("open_ticket", {"title": request.question}, "Ticket 17 is open.")
        yield "Done: ticket 17 is open."
    else:
        yield "I have not opened a ticket, because you did not approve it."


OWN_AGENTS: dict[str, LocalAgent] = {
    "agent-research": LocalAgent(research, RESPONSES_AGENT),
    "agent-support": LocalAgent(research, CHAT_AGENT),
    "agent-simple": LocalAgent(research, CHAT_MODEL),
    "agent-tickets": LocalAgent(open_ticket, RESPONSES_AGENT),
}
