"""The values in a text: numbers, quotations, names, places, dates; found by regular expressions."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from langchain_dbchat.local.rule_model.tokens import STOPWORDS

NUMBER = re.compile(r"(?<![\w.\-])-?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?!\w)")
QUOTED = re.compile(r"\"([^\"\n]+)\"|“([^”\n]+)”|«([^»\n]+)»|「([^」\n]+)」|`([^`\n]+)`|(?<!\w)'([^'\n]+)'(?!\w)")
NAME = r"[^\W\d_a-z][\w'\u2019.\-]*(?<![.,'])"
NAMES = re.compile(rf"{NAME}(?:\s+(?:{NAME}|de|la|van|von|der|del|of the)(?=\s+{NAME}|\b))*(?:,\s[A-Z]{{2,3}}\b)?")
BEFORE = re.compile(r"\b(in|for|at|near|of|from|to|about|around|between)\s*$", re.IGNORECASE)
JOINED = re.compile(r"(?:\b(?:and|or|versus|vs\.?)|,)\s*(?:(?:in|for|at)\s+)?$", re.IGNORECASE)
DATE = re.compile(r"\b\d{4}-\d{2}-\d{2}\b")
TIME = re.compile(r"\b\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2})?(?:Z|[+-]\d{2}:\d{2})?\b")
EMAIL = re.compile(r"\b[\w.+-]+@[\w-]+\.[\w.]+\b")
LINK = re.compile(r"\bhttps?://\S+")
CODE = re.compile(r"\b(?:AUD|BRL|CAD|CHF|CNY|DKK|EUR|GBP|INR|JPY|KRW|MXN|NOK|NZD|PLN|SEK|USD|ZAR)\b")
SUBJECT = re.compile(r"\s*(?:'s|is|was|has|had|and|or|lives|works|likes|wants|needs|said|went|will|would)\b|\s*[,:]")
SUM = re.compile(r"[\d(][\d\s+*/().^%-]*[+*/^%-][\d\s+*/().^%-]*[\d)]")
STARTERS = frozenset(
    """
    answer ask calculate call check compare compute context convert create describe draw explain extract fetch find
    generate get give good hello hey hi how let list look make name note plan play question read reply return say
    search send set show summarize tell thank thanks translate use what's where's who's write yes i'm i'll it's
    system human user assistant ai json using used
    """.split()  # noqa: SIM905  # words read best as words
)


@dataclass(slots=True)
class ExtractedValues:
    """The values of one text, in order."""

    text: str
    numbers: list[str] = field(default_factory=list)
    quoted: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    places: list[tuple[str, str]] = field(default_factory=list)
    """Names after a preposition, with that preposition."""
    listed: list[str] = field(default_factory=list)
    """The places of the first list of places: ``in Oslo, Bergen and Paris``."""
    used: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, text: str) -> ExtractedValues:
        """Extract the values of a text."""
        found = cls(text)
        found.numbers = [number.replace(",", "") for number in NUMBER.findall(text)]
        found.quoted = [next(part for part in groups if part) for groups in QUOTED.findall(text)]
        for match in NAMES.finditer(text):
            name = _without_starter(match.group())
            if name and not CODE.fullmatch(name) and not _merely_first(name, match, text):
                found.names.append(name)
                found.add_place(name, text[: match.end()].removesuffix(match.group()[match.group().find(name) :]))
        return found

    def add_place(self, name: str, before: str) -> None:
        """Add a name to the places if a preposition before it shows that it is one."""
        before = before[-24:]
        if self.places and JOINED.search(before):
            self.places.append((self.places[-1][0], name))
            if self.places[-2][1] == self.listed[-1]:
                self.listed.append(name)
            return
        word = BEFORE.search(before)
        if word:
            self.places.append((word.group(1).lower(), name))
            if len(self.listed) < 2:
                self.listed = [name]

    def take(self, candidates: list[str]) -> str | None:
        """Return the first candidate that is not used yet, now used; the first of all when all are."""
        for candidate in candidates:
            if candidate not in self.used:
                self.used.add(candidate)
                return candidate
        return None

    def after(self, key: str) -> str | None:
        """Return the value that the text gives for ``key``: ``key is value``, ``key: value``, ``key = value``."""
        name = re.escape(key).replace("_", "[ _-]?")
        match = re.search(
            rf"\b{name}\b\W{{0,3}}(?:is|are|was|=|:|named|called)\s+[\"'“]?([^\n.,;\"'”]+)", self.text, re.IGNORECASE
        )
        return match.group(1).strip() if match else None

    @property
    def topic(self) -> str:
        """Return the topic of the text, in a few words."""
        match = re.search(r"\babout\s+([^.?!,\n]+)", self.text, re.IGNORECASE)
        return (match.group(1) if match else self.text).strip()[:80] or "nothing in particular"


def _without_starter(name: str) -> str:
    """Return a capitalised run without the words that are only capitalised because a sentence starts with them."""
    words = name.split(" ")
    while words and (words[0].lower().strip("'\u2019,.") in STOPWORDS or words[0].lower() in STARTERS):
        words.pop(0)
    return " ".join(words).strip(" ,.")


def _merely_first(name: str, match: re.Match[str], text: str) -> bool:
    """Return whether a word is capitalised only because its sentence starts with it; "John" in "John is 30" is not."""
    first = not re.search(r"[^\s.!?:\"'(]\s*$", text[: match.start()].rstrip("\n")) or text[: match.start()].endswith(
        "\n"
    )
    whole = name == match.group()
    return first and whole and " " not in name and name.isascii() and not SUBJECT.match(text[match.end() :])
