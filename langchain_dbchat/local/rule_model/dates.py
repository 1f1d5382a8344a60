"""Dates and times in a text, as JSON schema's formats write them.

Rule 1. Formats ``date``, ``time`` and ``date-time`` are those of RFC 3339
(https://json-schema.org/draft/2020-12/json-schema-validation#section-7.3.1).
Rule 2. A date whose month and day cannot be distinguished, such as 3/4/2026, is not read; with dots the day is first.
"""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MONTHS = (
    "january february march april may june july august september october november december".split()  # noqa: SIM905  # words read best as words
)
FOREIGN_MONTHS = {
    "januar": 1, "janvier": 1, "februar": 2, "février": 2, "märz": 3, "mars": 3, "avril": 4, "mai": 5, "juni": 6,
    "juin": 6, "juli": 7, "juillet": 7, "août": 8, "septembre": 9, "oktober": 10, "octobre": 10, "novembre": 11,
    "dezember": 12, "décembre": 12,
}  # fmt: skip
"""German and French months that are not written as in English."""
DAYS = frozenset({"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"})
SHORT_MONTHS = [name[:3] for name in MONTHS]
YEAR = 2026
"""The year of a date that has none, so that the same text gives the same date."""
_MONTH = "|".join([*FOREIGN_MONTHS, *(f"{name[:3]}(?:{name[3:]})?" for name in MONTHS)])
_DAY = r"(\d{1,2})(?:st|nd|rd|th)?"
DATE = re.compile(
    r"\b(\d{4})-(\d{2})-(\d{2})(?!\d)|\b(\d{1,2})\.(\d{1,2})\.(\d{4})\b"
    rf"|\b{_DAY}\.?\s+(?:of\s+)?({_MONTH})\b\.?,?(?:\s+(\d{{4}})\b)?"
    rf"|\b({_MONTH})\b\.?\s+{_DAY}\b(?:,?\s+(\d{{4}})\b)?",
    re.IGNORECASE,
)
CLOCK = re.compile(
    r"(?<![\d:])(\d{1,2}):(\d{2})(?::(\d{2}))?(?:\s*([ap])\.?m\b\.?)?(?![\d:])|\b(\d{1,2})\s*([ap])\.?m\b\.?",
    re.IGNORECASE,
)
MOMENT = re.compile(r"\b\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2})?(?:Z|[+-]\d{2}:\d{2})?\b")
RELATIVE = re.compile(
    r"\b(?:today|tonight|tomorrow|yesterday|(?:next|this|last)\s+(?:week|month|year|weekend)"
    r"|(?:(?:next|this|last)\s+)?(?:mon|tues|wednes|thurs|fri|satur|sun)day)\b",
    re.IGNORECASE,
)
"""A day that is said without a date."""


def dates_in(text: str) -> list[str]:
    """Return the dates of a text, in order, as ``2026-03-05``."""
    return list(_dates(text))


def times_in(text: str) -> list[str]:
    """Return the times of day of a text, in order, as ``14:30:00``."""
    return list(_times(text))


def moments_in(text: str) -> list[str]:
    """Return the moments of a text: those written as such, else the first date with the first time of day."""
    written = MOMENT.findall(text)
    if written:
        return written
    clock = next(_times(text), "00:00:00")
    return [f"{day}T{clock}Z" for day in _dates(text)]


def without_dates(text: str) -> str:
    """Return the text without its dates and times, whose digits are not numbers."""
    return CLOCK.sub(" ", DATE.sub(" ", MOMENT.sub(" ", text)))


def _dates(text: str) -> Iterator[str]:
    for match in DATE.finditer(text):
        iso_year, iso_month, iso_day, dot_day, dot_month, dot_year, *named = match.groups()
        day, month, year, month_first, its_day, its_year = named
        word = (month or month_first or "").lower()
        number = int(iso_month or dot_month or 0) or FOREIGN_MONTHS.get(word) or SHORT_MONTHS.index(word[:3]) + 1
        when = (iso_year or dot_year or year or its_year or YEAR, number, iso_day or dot_day or day or its_day)
        try:
            yield date(*map(int, when)).isoformat()
        except ValueError:  # the 31st of February is not a date
            continue


def _times(text: str) -> Iterator[str]:
    for match in CLOCK.finditer(text):
        hour, minute, second, half, whole_hour, its_half = match.groups()
        hours = int(hour or whole_hour)
        half = half or its_half
        if half:
            hours = hours % 12 + (12 if half.lower() == "p" else 0)
        if hours < 24 and int(minute or 0) < 60 and int(second or 0) < 60:
            yield f"{hours:02}:{minute or '00'}:{second or '00'}"
