"""Choose the value of an enum that names what a text is like: its mood, its language, what it is about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_dbchat.local.rule_model.knowledge import KNOWN
from langchain_dbchat.local.rule_model.tokens import WORD, content_words

if TYPE_CHECKING:
    from collections.abc import Sequence

MOODS = frozenset(content_words("sentiment mood tone emotion feeling polarity attitude label"))
LANGUAGES = frozenset(content_words("language languages locale"))
NEGATIONS = frozenset({"not", "never", "no", "isn", "wasn", "don", "didn", "doesn", "couldn", "cannot", "hardly"})
LONGEST_TEXT = 10_000  # characters


def class_of(text: str, key: str, values: Sequence[Any]) -> Any:
    """Return the value that fits the text; None if no list of words decides it.

    Args:
        text: The text.
        key: The property's name.
        values: The values of the enum.
    """
    names = set(content_words(key))
    words = [word.lower() for word in WORD.findall(text[:LONGEST_TEXT])]
    if names & MOODS:
        scores = _mood_scores(words)
    elif names & LANGUAGES:
        scores = {name: sum(word in of_it for word in words) for name, of_it in KNOWN["languages"].items()}
    else:
        scores = {
            name: sum(word in of_it for word in words) for name, of_it in KNOWN["kinds"].items() if name in values
        }
        if not any(scores.values()):
            return None
    best = max(scores, key=lambda name: scores[name])
    wanted = best if scores[best] > 0 else "neutral"
    return next((value for value in values if str(value).lower() == wanted), None)


def _mood_scores(words: list[str]) -> dict[str, int]:
    """Return how often words of each mood are said; "not good" is a word of the other mood."""
    moods = KNOWN["moods"]
    scores = dict.fromkeys(moods, 0)
    for place, word in enumerate(words):
        said = next((name for name, of_it in moods.items() if word in of_it), None)
        if said is None:
            continue
        opposite = bool(NEGATIONS.intersection(words[max(place - 2, 0) : place]))
        scores[next(name for name in moods if (name == said) != opposite)] += 1
    return scores
