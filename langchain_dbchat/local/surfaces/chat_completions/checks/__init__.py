"""What the workspace refuses: everything that the model's family refuses, before the model is asked.

One module for each subject. Each check takes the request and raises `Refused` with the family's own text, or returns.
The order is the order of a strict parser: unknown fields first, then values, then fields that depend on each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_dbchat.local.surfaces.chat_completions.checks.fields import check_fields, check_window
from langchain_dbchat.local.surfaces.chat_completions.checks.formats import check_format
from langchain_dbchat.local.surfaces.chat_completions.checks.messages import check_messages
from langchain_dbchat.local.surfaces.chat_completions.checks.order import check_order
from langchain_dbchat.local.surfaces.chat_completions.checks.replay import check_replay
from langchain_dbchat.local.surfaces.chat_completions.checks.schemas import check_sizes
from langchain_dbchat.local.surfaces.chat_completions.checks.thinking import check_thinking
from langchain_dbchat.local.surfaces.chat_completions.checks.tools import check_tools

if TYPE_CHECKING:
    from langchain_dbchat.local.surfaces.chat_completions.request import ChatRequestBody

__all__ = ["check", "check_window"]

CHECKS = (
    check_fields,
    check_sizes,
    check_messages,
    check_tools,
    check_order,
    check_thinking,
    check_format,
    check_replay,
)


def check(request: ChatRequestBody) -> None:
    """Refuse a chat request that its model's family refuses.

    Raises:
        Refused: With the status, body and text of that family.
    """
    for one in CHECKS:
        one(request)
