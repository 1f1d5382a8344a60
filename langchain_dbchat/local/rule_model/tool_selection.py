"""Choose the tools that match a prompt."""

from __future__ import annotations

import re
from typing import Any

from langchain_dbchat.local.rule_model.arithmetic import with_operators
from langchain_dbchat.local.rule_model.knowledge import KNOWN
from langchain_dbchat.local.rule_model.tokens import content_words

SEARCHING = frozenset(
    content_words(
        "search searches retrieve retriever lookup wikipedia google tavily browse web knowledge documentation"
    )
)
"""Words of a tool that finds things out."""
WEATHER = frozenset(
    content_words("rain rainy snow sunny sun forecast umbrella temperature hot cold warm windy degrees")
)
OPERATION = re.compile(r"\d\s*([*+/-])\s*[\d(]|\)\s*([*+/-])\s*[\d(]")
OPERATIONS = {
    "*": "multiply multiplication product times",
    "+": "add addition sum plus",
    "-": "subtract subtraction minus difference",
    "/": "divide division quotient",
}
CALCULATORS = "calculator calculate math mathematical arithmetic evaluate compute"
CLAUSE = re.compile(r"\band\b|\bthen\b|[,;?!]\s|\.\s|\n")
LONGEST_PROMPT = 10_000  # characters that imply words
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
    """Return the tools that match a prompt, in the given order; each matches a word that no better one matches.

    Args:
        tools: The ``function`` part of each tool.
        prompt: The user's words; if no tool matches them, words that they imply are added, such as ``multiply`` for
            ``3 * 4``.
    """
    return _matching(tools, prompt) or _matching(tools, f"{prompt} {implied_words(prompt)}")


def search_tools(tools: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the first tool that finds things out, in a list; an empty list if there is none."""
    for tool in tools:
        description = str(tool.get("description", "")).split("\n\n", maxsplit=1)[0]
        if SEARCHING.intersection(content_words(f"{tool.get('name', '')} {description}")):
            return [tool]
    return []


def implied_words(text: str) -> str:
    """Return the words for what a text says in other ways: its sums, its weather, and words of other languages."""
    operators = {sign for groups in OPERATION.findall(with_operators(text[:LONGEST_PROMPT])) for sign in groups if sign}
    words = [OPERATIONS[operator] for operator in sorted(operators)]
    if operators:
        words.append(CALCULATORS)
    if WEATHER.intersection(content_words(text[:LONGEST_PROMPT])):
        words.append("weather")
    lower = text[:LONGEST_PROMPT].lower()
    words += [english for foreign, english in KNOWN["words"].items() if foreign in lower]
    return " ".join(words)


def _matching(tools: list[dict[str, Any]], prompt: str) -> list[dict[str, Any]]:
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
    for widened in (False, True):
        scores = [
            (score_tool(tool, f"{clause} {implied_words(clause)}" if widened else clause)[0], -place, clause)
            for place, clause in enumerate(CLAUSE.split(prompt))
        ]
        score, _, best = max(scores)
        if score:
            return best
    return ""
