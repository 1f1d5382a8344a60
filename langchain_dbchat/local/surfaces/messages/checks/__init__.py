"""What the API refuses, before the model is asked: fields, content, order, tools, reasoning (docs/wire.md, 14).

One module for each subject. Each check takes the request and raises `Refused`, or returns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_dbchat.local.surfaces.messages.checks.content import check_content
from langchain_dbchat.local.surfaces.messages.checks.fields import check_fields
from langchain_dbchat.local.surfaces.messages.checks.marks import check_marks
from langchain_dbchat.local.surfaces.messages.checks.order import check_order
from langchain_dbchat.local.surfaces.messages.checks.thinking import check_replay, check_thinking
from langchain_dbchat.local.surfaces.messages.checks.tools import check_tools

if TYPE_CHECKING:
    from langchain_dbchat.local.surfaces.messages.request import MessagesRequestBody

__all__ = ["check"]

CHECKS = (check_fields, check_content, check_tools, check_order, check_thinking, check_replay, check_marks)


def check(request: MessagesRequestBody) -> None:
    """Refuse a request that the API or the model does not take.

    Raises:
        Refused: 400, with Anthropic's text.
    """
    for one in CHECKS:
        one(request)
