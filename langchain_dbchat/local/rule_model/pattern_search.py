"""Search a text for a schema's pattern if that is quick: Python's regular expressions have no time limit.

Rule 1. A repeated group that contains a repetition or a choice may take exponential time (OWASP, "Regular expression
denial of service"): such a pattern is not searched for.
Rule 2. Several repetitions without a bound take time that grows as the length to the power of their number: such a
pattern is searched for in words of 40 characters at most.
Rule 3. Every other pattern is searched for in the first 10,000 characters.
JSON schema's patterns are JavaScript's, and some of them are not Python's.
"""

from __future__ import annotations

import re
from typing import Any

MOST_REPEATS = 4
LONGEST_WORD = 40
MOST_WORDS = 50
LONGEST_TEXT = 10_000
_UNBOUNDED = 16  # a repetition up to more than this counts as one without a bound
_TOKEN = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\((?:\?[:=!]|\?<[=!]|\?P?<\w+>)?|[)|*+?]|\{\d*,?\d*\}", re.DOTALL)
_COUNT = re.compile(r"\{(\d*)(,?)(\d*)\}")


def search(pattern: Any, text: str) -> re.Match[str] | None:
    """Return the match of a schema's pattern in a text; None if there is none, or if the search could take too long."""
    if not isinstance(pattern, str):
        return None
    repeats = _repeats(pattern)
    if repeats is None or repeats > MOST_REPEATS:
        return None
    try:
        compiled = re.compile(pattern.removeprefix("^").removesuffix("$"))
    except (re.error, OverflowError, RecursionError):
        return None
    if repeats <= 1:
        return compiled.search(text[:LONGEST_TEXT])
    words = [word for word in text[:LONGEST_TEXT].split() if len(word) <= LONGEST_WORD][:MOST_WORDS]
    return next(filter(None, map(compiled.search, words)), None)


def _repeats(pattern: str) -> int | None:
    """Count the repetitions without a bound; None if a repeated group contains a repetition or a choice."""
    count = 0
    groups = [False]  # for each open group, whether it contains a repetition or a choice
    closed = False  # whether the group that has just been closed does
    for match in _TOKEN.finditer(pattern):
        part = match.group()
        if part.startswith("("):
            groups.append(False)
        elif part == ")":
            closed = groups.pop() if len(groups) > 1 else False
            groups[-1] |= closed
            if closed and _is_repeated(pattern, match.end()):
                return None
        elif part == "|":
            groups[-1] = True
        elif _is_repetition(part):
            groups[-1] = True
            count += _is_unbounded(part)
    return count


def _is_repeated(pattern: str, place: int) -> bool:
    match = _TOKEN.match(pattern, place)
    return match is not None and _is_repetition(match.group()) and match.group() != "?"


def _is_repetition(token: str) -> bool:
    return token in {"*", "+", "?"} or (token.startswith("{") and _COUNT.fullmatch(token) is not None)


def _is_unbounded(token: str) -> bool:
    if token in {"*", "+"}:
        return True
    count = _COUNT.fullmatch(token)
    if count is None:
        return False
    most = count[3] if count[2] else count[1]
    return not most or len(most) > 2 or int(most) > _UNBOUNDED
