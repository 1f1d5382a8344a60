"""Choose the tools that match a prompt."""

from __future__ import annotations

import re
from typing import Any

from langchain_dbchat.local.rule_model.tokens import content_words

CLAUSE = re.compile(r"\band\b|\bthen\b|[,;?!]\s|\.\s|\n")
GENERIC = frozenset(
    content_words(
        "tool tools function use used using get fetch run call make do return returns given value values input output "
        "data result results current information info about user api execute perform applies apply provide retrieve "
        "name string number list item text query question example helper object specific"
    )
)
"""Words that many tools have in their names and descriptions, so that they do not distinguish tools."""


def score_tool(tool: dict[str, Any], prompt: str) -> tuple[float, set[str]]:
    """Return how well a tool matches a prompt.

    Args:
        tool: The ``function`` part of a tool.
        prompt: The user's words.

    Returns:
        A score, 0 for no match, and the words that match.
    """
    name, description = str(tool.get("name", "")), str(tool.get("description", ""))
    words = set(content_words(prompt))
    named = set(content_words(name)) - GENERIC
    described = set(content_words(description.split("\n\n", maxsplit=1)[0])) - GENERIC - named
    shared_name, shared_words = named & words, described & words
    if name and name.lower() in prompt.lower():
        return 10.0, {name, *shared_name}
    if not shared_name and len(shared_words) < 2:
        return 0.0, set()
    coverage = len(shared_name) / max(len(named), 1)
    return 2 * coverage + len(shared_name) + 0.25 * len(shared_words), {*shared_name, *shared_words}


def select_tools(tools: list[dict[str, Any]], prompt: str) -> list[dict[str, Any]]:
    """Return the tools that match a prompt, in the given order; each matches a word that no better one matches."""
    judged = [(place, *score_tool(tool, prompt)) for place, tool in enumerate(tools)]
    taken: set[str] = set()
    chosen: list[int] = []
    for place, score, words in sorted(judged, key=lambda one: -one[1]):
        if score > 0 and not words <= taken:
            chosen.append(place)
            taken |= words
    return [tools[place] for place in sorted(chosen)]


def best_tool(tools: list[dict[str, Any]], prompt: str) -> dict[str, Any]:
    """Return the tool that matches best; the first if none matches."""
    return max(tools, key=lambda tool: score_tool(tool, prompt)[0])


def clause_about(tool: dict[str, Any], prompt: str) -> str:
    """Return the clause of a prompt that matches a tool best: ``add 5 to 7`` in ``multiply 3 by 4 and add 5 to 7``."""
    clauses = CLAUSE.split(prompt)
    best = max(clauses, key=lambda clause: score_tool(tool, clause)[0])
    return best if score_tool(tool, best)[0] else ""
