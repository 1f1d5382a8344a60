"""Which number of a text a property means, by the property's name and by the words around the number."""

from __future__ import annotations

import re

from langchain_dbchat.local.rule_model.tokens import content_words

NUMBER = r"-?(?:\d{1,3}(?:,\d{3})+|\d{1,18})(?:\.\d{1,18})?"
AGES = frozenset(content_words("age ages years old"))
YEARS = frozenset(content_words("year years"))
PRICES = frozenset(content_words("price cost amount total fee salary budget fare rent sum payment paid value"))
RESULTS = frozenset(content_words("result answer solution"))
AGE = re.compile(rf"\b({NUMBER})[ -]?(?:years?[ -]old|yrs?\b|y/?o\b)|\baged?\s+({NUMBER})", re.IGNORECASE)
YEAR = re.compile(r"(?<![\d.,-])((?:1[5-9]|20|21)\d\d)(?![\d.,]\d)")
MONEY = re.compile(
    rf"[$€£]\s?({NUMBER})|({NUMBER})\s?(?:[$€£]|[A-Z]{{3}}\b|dollars?|euros?|pounds?|each|apiece)|\b(?:at|for)\s+({NUMBER}(?<=\.\d\d))"
)
MOST_NAME = 60  # characters of a property's name


def numbers_for(key: str, text: str) -> list[str]:
    """Return the numbers of a text that a property of this name means, the likeliest first.

    Args:
        key: The property's name.
        text: The text.
    """
    words = content_words(key[:MOST_NAME])
    found = _beside(words, text)
    for names, pattern in ((AGES, AGE), (YEARS, YEAR), (PRICES, MONEY)):
        if names & set(words):
            found += [next(filter(None, groups)) for groups in _groups(pattern, text)]
    return [number.replace(",", "") for number in found]


def _beside(words: list[str], text: str) -> list[str]:
    """Return the numbers beside the words of a name: ``total: 3``, ``4 people``."""
    found: list[str] = []
    for word in words:
        name = rf"\b{re.escape(word)}\w{{0,5}}\b"
        found += re.findall(rf"{name}[^\w\n]{{0,3}}(?:(?:is|was|of)\s+)?[$€£]?({NUMBER})(?![\w-])", text, re.IGNORECASE)
        found += re.findall(rf"(?<![\w.,-])({NUMBER})[ -](?:\w{{1,20}} )?{name}", text, re.IGNORECASE)
    return found


def _groups(pattern: re.Pattern[str], text: str) -> list[tuple[str, ...]]:
    return [groups if isinstance(groups, tuple) else (groups,) for groups in pattern.findall(text)]
