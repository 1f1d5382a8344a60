"""Count the steps of a backtracking search, so that a test can compare their growth without a clock.

Rule 1. A pattern is matched as Python's `re` does it, by a matcher of our own that counts each step.
Rule 2. Bounds of repetitions above 4 count as 4: a bound is a constant, and a short text shows the growth beyond it.
Rule 3. The texts that are searched are made from the pattern: the beginning of a match, then many repetitions of a
character (or of a group) that one of its unbounded repetitions accepts, and an end that no pattern accepts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

try:
    from re import _constants as names  # type: ignore[attr-defined]  # since Python 3.11
    from re import _parser as parser  # type: ignore[attr-defined]  # the same
except ImportError:
    import sre_constants as names
    import sre_parse as parser

_BOUND = 4
_ALPHABET = "a 0_-'\"=\\\n.:,(&%</A;`)[]{}*$@#~+!?|^\té"
_PUMPS = 9  # characters that are tried with each repetition
_END = "\x00"
_REPEATS = (names.MAX_REPEAT, names.MIN_REPEAT)
_CATEGORIES: dict[Any, str] = {
    names.CATEGORY_DIGIT: r"\d",
    names.CATEGORY_NOT_DIGIT: r"\D",
    names.CATEGORY_SPACE: r"\s",
    names.CATEGORY_NOT_SPACE: r"\S",
    names.CATEGORY_WORD: r"\w",
    names.CATEGORY_NOT_WORD: r"\W",
}
Continue = Callable[[int], bool]


class Searcher:
    """A pattern, and the steps that its searches have taken."""

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self._tree = parser.parse(pattern.pattern, pattern.flags)
        self._ignores_case = bool(self._tree.state.flags & re.IGNORECASE)
        self._text = ""
        self._groups: dict[int, tuple[int, int]] = {}
        self.steps = 0

    def search_all(self, text: str, *, start_only: bool = False) -> int:
        """Find all matches (with `start_only`, one at the start), and return the number of steps."""
        self._text, self.steps = text, 0
        start = 0
        while start <= len(text):
            ends: list[int] = []

            def take(end: int, ends: list[int] = ends) -> bool:
                ends.append(end)
                return True

            found = self._match(self._tree, 0, start, take)
            if start_only:
                break
            start = max(ends[0], start + 1) if found else start + 1
        return self.steps

    def attacks(self, times: int) -> Iterator[str]:
        """Make texts that a slow pattern would be slow with."""
        for before, pump in self._pumps(self._tree, ""):
            yield before + pump * times + _END
            yield (before + pump) * times + _END
            yield pump * times + _END

    def _pumps(self, sequence: Any, before: str) -> Iterator[tuple[str, str]]:
        for op, value in sequence:
            if op in _REPEATS:
                low, high, inner = value
                if high is names.MAXREPEAT:
                    single = len(inner) == 1 and self._is_single(inner[0][0])
                    pumps = [c for c in _ALPHABET if self._accepts(inner[0], c)] if single else [self._sample(inner)]
                    yield from ((before, pump) for pump in pumps[:_PUMPS] if pump)
                yield from self._pumps(inner, before)
                before += self._sample(inner) * max(1, min(low, _BOUND))
            elif op is names.BRANCH:
                for branch in value[1]:
                    yield from self._pumps(branch, before)
                before += self._sample(value[1][0])
            elif op is names.SUBPATTERN:
                yield from self._pumps(value[3], before)
                before += self._sample(value[3])
            elif op in (names.ASSERT, names.ASSERT_NOT):
                yield from self._pumps(value[1], before)
            else:
                before += self._sample([(op, value)])

    def _sample(self, sequence: Any) -> str:
        """Write a text that a sequence accepts, as far as its parts do not depend on each other."""
        text = ""
        for op, value in sequence:
            if op in _REPEATS:
                text += self._sample(value[2]) * min(value[0], _BOUND)
            elif op is names.BRANCH:
                text += self._sample(value[1][0])
            elif op is names.SUBPATTERN:
                text += self._sample(value[3])
            elif self._is_single(op):
                text += chr(value) if op is names.LITERAL else self._first((op, value))
        return text

    def _first(self, node: Any) -> str:
        letters = [chr(value) for kind, value in node[1] if kind is names.LITERAL] if node[0] is names.IN else []
        return next((c for c in [*_ALPHABET, *letters, *map(chr, range(33, 127))] if self._accepts(node, c)), "")

    @staticmethod
    def _is_single(op: Any) -> bool:
        return op in (names.LITERAL, names.NOT_LITERAL, names.ANY, names.IN)

    def _accepts(self, node: Any, character: str) -> bool:
        self.steps += 1
        cases = {character, character.lower(), character.upper()} if self._ignores_case else {character}
        op, value = node
        if op is names.ANY:
            return character != "\n"
        if op is names.LITERAL:
            return any(ord(case) == value for case in cases if len(case) == 1)
        if op is names.NOT_LITERAL:
            return all(ord(case) != value for case in cases if len(case) == 1)
        negated = value[0][0] is names.NEGATE
        inside = any(self._is_member(kind, what, case) for kind, what in value for case in cases if len(case) == 1)
        return inside is not negated

    @staticmethod
    def _is_member(kind: Any, what: Any, character: str) -> bool:
        if kind is names.LITERAL:
            return bool(ord(character) == what)
        if kind is names.RANGE:
            return bool(what[0] <= ord(character) <= what[1])
        return bool(kind is names.CATEGORY and re.match(_CATEGORIES[what], character))

    def _match(self, sequence: Any, place: int, at: int, go_on: Continue) -> bool:  # noqa: PLR0911  # one return for each kind of node
        self.steps += 1
        if place == len(sequence):
            return go_on(at)
        op, value = sequence[place]

        def rest(end: int) -> bool:
            return self._match(sequence, place + 1, end, go_on)

        if self._is_single(op):
            return at < len(self._text) and self._accepts((op, value), self._text[at]) and rest(at + 1)
        if op in _REPEATS:
            return self._repeat(op is names.MIN_REPEAT, value, at, rest)
        if op is names.BRANCH:
            return any(self._match(branch, 0, at, rest) for branch in value[1])
        if op is names.SUBPATTERN:
            return self._group(value, at, rest)
        if op in (names.ASSERT, names.ASSERT_NOT):
            return self._looks(value, at) is (op is names.ASSERT) and rest(at)
        if op is names.GROUPREF:
            start, end = self._groups.get(value, (0, 0))
            return self._text.startswith(self._text[start:end], at) and rest(at + end - start)
        return self._stands_at(value, at) and rest(at)

    def _group(self, value: Any, at: int, rest: Continue) -> bool:
        number, before = value[0], self._groups.get(value[0])

        def end_group(end: int) -> bool:
            self._groups[number] = (at, end)
            return rest(end)

        if self._match(value[3], 0, at, end_group):
            return True
        if before is not None:
            self._groups[number] = before
        return False

    def _looks(self, value: Any, at: int) -> bool:
        direction, inner = value
        if direction > 0:
            return self._match(inner, 0, at, lambda _: True)
        start = at - inner.getwidth()[0]
        return start >= 0 and self._match(inner, 0, start, lambda end: end == at)

    def _repeat(self, lazy: bool, value: Any, at: int, rest: Continue) -> bool:
        low, high, inner = value
        low = min(low, _BOUND)
        high = len(self._text) + 1 if high is names.MAXREPEAT else min(high, _BOUND)
        if len(inner) == 1 and self._is_single(inner[0][0]):
            if lazy:
                return self._lazily(inner[0], low, high, at, rest)
            end = at
            while end < len(self._text) and end - at < high and self._accepts(inner[0], self._text[end]):
                end += 1
            return any(rest(place) for place in range(end, at + low - 1, -1))
        return self._repeat_group(lazy, inner, low, high, at, rest)

    def _lazily(self, node: Any, low: int, high: int, at: int, rest: Continue) -> bool:
        for count in range(high + 1):
            if count >= low and rest(at + count):
                return True
            if at + count >= len(self._text) or not self._accepts(node, self._text[at + count]):
                return False
        return False

    def _repeat_group(self, lazy: bool, inner: Any, low: int, high: int, at: int, rest: Continue) -> bool:
        def again(count: int, place: int) -> bool:
            def more() -> bool:
                return count < high and self._match(
                    inner, 0, place, lambda end: (end > place or count < low) and again(count + 1, end)
                )

            if lazy:
                return (count >= low and rest(place)) or more()
            return more() or (count >= low and rest(place))

        return again(0, at)

    def _stands_at(self, where: Any, at: int) -> bool:
        text = self._text
        if where in (names.AT_BEGINNING, names.AT_BEGINNING_STRING):
            return at == 0
        if where in (names.AT_END, names.AT_END_STRING):
            return at == len(text)
        sides = [re.match(r"\w", text[place : place + 1]) is not None for place in (at - 1, at) if place >= 0]
        return (sides[0] != sides[-1] if len(sides) == 2 else sides[0]) is (where is names.AT_BOUNDARY)
