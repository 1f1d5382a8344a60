"""Answers of the rule-based model that are taken from what it was given: from a context, and from tool results."""

from __future__ import annotations

import math
import re
from collections import Counter

from langchain_dbchat.local.rule_model.tokens import content_words

TAGGED = re.compile(
    r"<(context|documents?|passages?|sources?|retrieved_context)>\s*(.*?)\s*</\1>", re.IGNORECASE | re.DOTALL
)
HEADED = re.compile(
    r"^[ \t#*]*(?:relevant |retrieved |supporting )?(?:context|documents?|passages?|sources?|excerpts?|information)"
    r"[ \t*]*:[ \t*]*(.*?)(?=^[ \t#*]*(?:user |my |the )?(?:question|query)[ \t*]*:|\Z)",
    re.IGNORECASE | re.DOTALL | re.MULTILINE,
)
ASKED = re.compile(
    r"^[ \t#*]*(?:user |my |the )?(?:question|query)[ \t*]*:[ \t*]*(.+?)\s*(?=\n\s*\n|\n[A-Z]\w+:|\Z)",
    re.IGNORECASE | re.DOTALL | re.MULTILINE,
)
INTRODUCED = re.compile(
    r"\b(?:context|documents?|passages?|sources?|excerpts?|information)\b[^\n:]{0,60}:\s*(.+)",
    re.IGNORECASE | re.DOTALL,
)
INSTRUCTED = re.compile(
    r"\A(?=[^\n]*\b(?:context|documents|passages|sources|excerpts)\b)[^\n]*\n+(.{40,})", re.IGNORECASE | re.DOTALL
)
SENTENCE = re.compile(r"(?<=[.!?。])\s+|\n+")
WRAPPED = re.compile(r"(?<=[^\s.!?:。])[ \t]*\n[ \t]*(?=[^\s\-*#>|\d])")
"""A line break within a sentence of wrapped prose, as in Markdown."""


def context_in(text: str) -> str:
    """Return the context within a prompt; empty if there is none."""
    tagged = [match.group(2) for match in TAGGED.finditer(text)]
    if tagged:
        return "\n".join(tagged)
    headed = HEADED.search(text)
    if headed and headed.group(1).strip():
        return headed.group(1)
    for pattern in (INTRODUCED, INSTRUCTED):
        given = pattern.search(text)
        if given:
            return ASKED.sub(" ", given.group(1)).strip()
    return ""


def question_in(text: str) -> str:
    """Return the question within a prompt: after ``Question:``, else what is left without the context."""
    asked = ASKED.search(text)
    if asked:
        return asked.group(1)
    bare = text
    for pattern in (TAGGED, HEADED, INTRODUCED):
        bare = pattern.sub(" ", bare).strip() or bare
    questions = [sentence for sentence in SENTENCE.split(bare) if sentence.rstrip().endswith("?")]
    return questions[-1] if questions else bare


def best_sentences(question: str, context: str, most: int = 3) -> list[str]:
    """Return the sentences of a context that share most with a question, in their order; none if none shares enough."""
    prose = WRAPPED.sub(" ", context).replace("**", "")
    sentences = [line.strip(" \t-*#>|") for line in SENTENCE.split(prose)]
    sentences = list(dict.fromkeys(line for line in sentences if len(content_words(line)) >= 2))
    wanted = set(content_words(question))
    if not wanted or not sentences:
        return []
    bags = [set(content_words(line)) for line in sentences]
    seen = Counter(word for bag in bags for word in bag)
    weight = {word: math.log(1 + len(bags) / (1 + seen[word])) + 0.2 for word in wanted}
    scores = [sum(weight[word] for word in bag & wanted) / (1 + math.log1p(len(bag)) / 4) for bag in bags]
    best = max(scores)
    covered = max(len(bag & wanted) for bag in bags)
    if best <= 0 or (covered < 2 and len(wanted) > 3):
        return []
    chosen = sorted(range(len(scores)), key=lambda place: -scores[place])[:most]
    return [sentences[place] for place in sorted(chosen) if scores[place] >= 0.75 * best]


def answer_from_results(question: str, results: list[tuple[str, str]]) -> str:
    """Return an answer made of tool results."""
    lines = []
    for name, result in results:
        shown = result.strip() or "nothing"
        if len(shown) > 400:
            shown = " ".join(best_sentences(question, shown)) or shown[:400]
        lines.append(f"According to {name}: {shown}" if name else shown)
    return "\n".join(lines)
