"""The values in a text: numbers, quotations, names, places, dates; found by regular expressions."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property

from langchain_dbchat.local.rule_model.dates import DAYS, MONTHS, without_dates
from langchain_dbchat.local.rule_model.knowledge import COUNTS
from langchain_dbchat.local.rule_model.tokens import STOPWORDS, content_words

NUMBER = re.compile(r"(?<![\w.\-])-?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?!\w)")
QUOTED = re.compile(
    r"\"([^\"\n]+)\"|“([^”\n]{1,500})”|«([^»\n]{1,500})»|「([^」\n]{1,500})」|`([^`\n]+)`|(?<!\w)'([^'\n]+)'(?!\w)"
)
NAME = r"[^\W\d_a-zß-öø-ÿ][\w'\u2019.\-]*(?<![.,'])"
NAMES = re.compile(rf"{NAME}(?:\s+(?:{NAME}|de|la|van|von|der|del|of the)(?=\s+{NAME}|\b))*(?:,\s[A-Z]{{2,3}}\b)?")
BEFORE = re.compile(r"\b(in|for|at|near|of|from|to|about|around|between|nach|à|en)\s*$", re.IGNORECASE)
JOINED = re.compile(r"(?:\b(?:and|or|versus|vs\.?)|,)\s*(?:(?:in|for|at)\s+)?$", re.IGNORECASE)
EMAIL = re.compile(r"\b[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}\b")
LINK = re.compile(r"\bhttps?://\S+")
CODE = re.compile(r"\b(?:AUD|BRL|CAD|CHF|CNY|DKK|EUR|GBP|INR|JPY|KRW|MXN|NOK|NZD|PLN|SEK|USD|ZAR)\b")
SUBJECT = re.compile(r"\s*(?:'s|is|was|has|had|and|or|lives|works|likes|wants|needs|said|went|will|would)\b|\s*[,:(]")
COUNTED = re.compile(rf"{NUMBER.pattern}|\b(?:{'|'.join(word for word, count in COUNTS.items() if count > 1)})\b(?!-)")
"""A number, also as a word: ``two``."""
SUM = re.compile(r"[\d(][\d\s+*/().^%-]{0,60}[+*/^%-][\d\s+*/().^%-]{0,60}[\d)]")
LONGEST_BEFORE = 24  # characters before a name that show what it is
LONGEST_HEAD = 20_000  # characters
CALENDAR = DAYS | frozenset(MONTHS)
STARTERS = frozenset(
    """
    answer ask book calculate call check compare compute context convert create describe draw explain extract fetch
    find generate get give good hello hey hi how let list look make meet name note order plan play provide question
    remind schedule read reply return say search send set show summarize tell thank thanks translate use what's
    where's who's write yes i'm i'll it's system human user assistant ai json using used invoice
    """.split()  # noqa: SIM905  # words read best as words
)


@dataclass
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
    subject: str = ""
    """What a search is about, if that is not all of the text."""

    @classmethod
    def of(cls, text: str) -> ExtractedValues:
        """Extract the values of a text."""
        found = cls(text)
        found.numbers = [_digits(number) for number in COUNTED.findall(without_dates(text))]
        found.quoted = [next(part for part in groups if part) for groups in QUOTED.findall(text)]
        for match in NAMES.finditer(text):
            name = _without_starter(match.group())
            if (
                name
                and not CODE.fullmatch(name)
                and name.lower() not in CALENDAR
                and not _merely_first(name, match, text)
            ):
                found.names.append(name)
                start = match.start() + match.group().find(name)
                found.add_place(name, text[max(start - LONGEST_BEFORE, 0) : start])
        return found

    def add_place(self, name: str, before: str) -> None:
        """Add a name to the places if a preposition before it shows that it is one."""
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

    @cached_property
    def words(self) -> frozenset[str]:
        """Return the stems of the text's words."""
        return frozenset(content_words(self.text))

    @property
    def head(self) -> str:
        """Return the start of the text, in which every property looks for its own kind of value."""
        return self.text[:LONGEST_HEAD]

    @property
    def topic(self) -> str:
        """Return the topic of the text, in a few words."""
        match = re.search(r"\babout\s+([^.?!,\n]+)", self.text, re.IGNORECASE)
        return (match.group(1) if match else self.text).strip()[:80] or "nothing in particular"


def _digits(number: str) -> str:
    return str(COUNTS.get(number, number.replace(",", "")))


def _without_starter(name: str) -> str:
    """Return a capitalised run without the words that are only capitalised because a sentence starts with them."""
    words = name.split(" ")
    while words and (words[0].lower().strip("'\u2019,.") in STOPWORDS or words[0].lower() in STARTERS):
        words.pop(0)
    return " ".join(words).strip(" ,.")


def _merely_first(name: str, match: re.Match[str], text: str) -> bool:
    """Return whether a word is capitalised only because its sentence starts with it; "John" in "John is 30" is not."""
    before = text[max(match.start() - LONGEST_BEFORE, 0) : match.start()]
    first = not before.strip() or before.rstrip()[-1] in ".!?:\"'(" or before.endswith("\n")
    whole = name == match.group()
    return first and whole and " " not in name and name.isascii() and not SUBJECT.match(text, match.end())
