"""Tokens, words and stems of a text."""

from __future__ import annotations

import re

TOKEN = re.compile(r"\s*(?:[^\W_]{1,6}|[^\w\s]|_)|\s+")
"""One token, approximately: at most six letters or one sign, with the space before it; together they are the text."""
DELTA = re.compile(r"\s*\S+|\s+")
"""One word of a stream, with the space before it."""
WORD = re.compile(r"[^\W_]+")
CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")

STOPWORDS = frozenset(
    """
    a about above after again all also am an and any are as at be because been before being below between both but
    by can could did do does doing down during each few for from further had has have having he her here hers him
    his how i if in into is it its itself just many me more most much my no nor not now of off on once only or
    other our out over own please same she should so some such than that the their them then there these they
    this those through to too under until up us very was we were what when where which while who whom why will with
    would you your yours
    """.split()  # noqa: SIM905  # words read best as words
)
ENDINGS = {"ations": 5, "ation": 5, "ings": 4, "ing": 4, "ies": 3, "edly": 4, "ed": 4, "es": 4, "ly": 4, "s": 3}
"""The commonest English endings, and how many letters have to remain without them."""


def count_tokens(text: str) -> int:
    """Return about how many tokens a text has."""
    return len(TOKEN.findall(text))


class RunningCount:
    """The number of tokens of a text that grows; only its last token may change."""

    def __init__(self) -> None:
        self._whole = 0
        self._last = ""

    def add(self, text: str) -> int:
        """Add a piece of the text, and return by how many tokens it has grown."""
        before = self.total
        found = TOKEN.findall(self._last + text)
        if found:
            self._whole += len(found) - 1
            self._last = found[-1]
        return self.total - before

    @property
    def total(self) -> int:
        """Return the number of tokens so far."""
        return self._whole + bool(self._last)


def stem(word: str) -> str:
    """Return the word without the commonest English endings."""
    word = word.lower()
    for ending, least in ENDINGS.items():
        if word.endswith(ending) and len(word) - len(ending) >= least and not word.endswith("ss"):
            word = word[: -len(ending)]
            break
    return word.removesuffix("e") if len(word) > 4 else word


def content_words(text: str) -> list[str]:
    """Return the stems of a text's words in order, without stop words; ``snake_case`` and ``camelCase`` are split."""
    return [
        stem(word)
        for word in WORD.findall(CAMEL.sub(" ", text.replace("_", " ")))
        if word.lower() not in STOPWORDS and (len(word) > 1 or word.isdigit() or not word.isascii())
    ]
