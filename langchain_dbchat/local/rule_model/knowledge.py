"""What the rule-based model knows: a few facts, jokes, lists and translations.

Rule 1. A fact answers a question only if every word of the question belongs to its subject or asks about it, so that
"What is the weather in Oslo?" is not answered with what Oslo is.
Rule 2. The same question gets the same answer.
"""

from __future__ import annotations

import re
from pathlib import Path

from pydantic_core import from_json

from langchain_dbchat.local.rule_model.tokens import content_words

KNOWN = from_json(Path(__file__).with_name("knowledge.json").read_bytes())
"""Facts with their subjects, capitals, jokes, lists of things, translations of phrases, words of kinds and of tools."""
COUNTS = {"a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8,
          "nine": 9, "ten": 10, "eleven": 11, "twelve": 12}  # fmt: skip
"""Numbers as words."""
ASKING = frozenset(
    content_words(
        "explain describe define definition mean meaning work works working good use used useful tell say give write "
        "know short brief shortly briefly simple simply terms term sentence sentences words word answer question "
        "please one two three few detail details thing exactly actually called capital"
    )
)
"""Words that ask about a subject and do not belong to it."""
ASKED = re.compile(
    r"\?\s*$|^\W*(?:please\s+|can you\s+|could you\s+)?"
    r"(?:explain|describe|define|tell me|find out|look up|what|why|who|where|how)\b",
    re.IGNORECASE,
)
CAPITAL = re.compile(r"\bcapital (?:city )?of (?:the )?([\w ]+)", re.IGNORECASE)
ABOUT = re.compile(r"\babout\s+(?:an?\s+|the\s+)?([^.?!,\n]+)", re.IGNORECASE)
LISTED = re.compile(
    r"^\W*(?:please\s+)?(?:list|name|give me|tell me|show me|suggest)\s+(?:the names? of\s+)?(\d{1,2}|[a-z]+)\s+"
    r"(?:different\s+|popular\s+|common\s+)?([a-z]+(?: cream)?(?: flavou?rs?)?)\W*(?:$|[.\n])",
    re.IGNORECASE,
)
COUNTED = re.compile(r"\bcount\s+(?:up\s+)?(?:from\s+(\w+)\s+)?to\s+(\w+)", re.IGNORECASE)
LANGUAGE = re.compile(r"\b(?:in)?to (french|german|spanish|italian|norwegian)\b", re.IGNORECASE)
MOST_COUNTED = 1_000

_SUBJECTS = [(frozenset(content_words(subject)), row["fact"]) for row in KNOWN["facts"] for subject in row["subjects"]]


def fact_about(question: str) -> str | None:
    """Return the fact that answers a question; None if there is none."""
    if len(question) > 500 or not ASKED.search(question):
        return None
    capital = CAPITAL.search(question)
    if capital:
        country = " ".join(word.capitalize() for word in capital.group(1).split())
        found = KNOWN["capitals"].get(country)
        return f"The capital of {country} is {found}." if found else None
    words = set(content_words(question))
    fitting = [(len(subject), fact) for subject, fact in _SUBJECTS if subject <= words <= subject | ASKING]
    return max(fitting)[1] if fitting else None


def joke_about(topic: str) -> tuple[str, str]:
    """Return a joke about a topic: what it asks, and its point."""
    for subject, joke in KNOWN["jokes"].items():
        if subject in content_words(topic):
            return joke["setup"], joke["punchline"]
    asked = f"What do you call a joke about {topic} that is the same every time?"
    return asked, f"A deterministic joke about {topic}."


def topic_of(request: str, otherwise: str) -> str:
    """Return what a request is about: the words after ``about``."""
    match = ABOUT.search(request)
    return match.group(1).strip()[:80] if match else otherwise


def text_about(request: str) -> str | None:
    """Return the joke, poem or story that a request asks for; None if it asks for none."""
    words = set(content_words(request[:500]))
    if "joke" in words:
        return " ".join(joke_about(topic_of(request, "rules")))
    if words & {"poem", "haiku"}:
        topic = topic_of(request, "rules")
        return f"A poem about {topic}:\nThe rules are few and know no rhyme,\nthey write the same words every time."
    if "story" in words or "storie" in words:
        topic = topic_of(request, "a rule")
        return (
            f"This is a story about {topic}. One morning a request came in, and nobody knew the answer. "
            "So the rules were read, one after the other, from the first to the last. "
            "The last one said: tell a story. And so the story was told, word by word, the same as every time."
        )
    return None


def list_in(request: str) -> list[str]:
    """Return the things that a request asks to list or to count; none if it asks for none."""
    counted = COUNTED.search(request[:500])
    if counted:
        first, last = (_count(word) for word in (counted.group(1) or "1", counted.group(2)))
        if first is None or last is None or not 0 <= last - first < MOST_COUNTED:
            return []
        return [str(number) for number in range(first, last + 1)]
    listed = LISTED.match(request[:500])
    count = _count(listed.group(1)) if listed else None
    if listed is None or count is None:
        return []
    wanted = content_words(listed.group(2))
    return next((row["things"][:count] for row in KNOWN["lists"] if wanted in map(content_words, row["kinds"])), [])


def translation_of(request: str, system: str) -> str | None:
    """Return the translation that a request, or a system message, asks for; None if it is not known."""
    language = LANGUAGE.search(request[:500]) or LANGUAGE.search(system[:2_000])
    if language is None or "translat" not in f"{system[:2_000]}\n{request[:500]}".lower():
        return None
    said = " ".join(re.findall(r"[a-z]+", request[:500].lower()))
    for phrase, translations in KNOWN["translations"].items():
        if re.search(rf"\b{phrase}\b", said):
            return str(translations[language.group(1).lower()])
    return None


def _count(word: str) -> int | None:
    """Return the number that a word is."""
    return int(word) if word.isdecimal() and len(word) < 9 else COUNTS.get(word.lower())
