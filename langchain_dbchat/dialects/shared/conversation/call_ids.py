"""Give every tool call of a conversation an id that the endpoint accepts.

Rule 1. An id that the family accepts, and that no earlier call has, stays as it is.
Rule 2. Any other id (another model's, an empty one, one that an earlier call has) is replaced by a digest of itself, so
that the same conversation is written alike in each turn and prompt caches stay valid. A repeated id is digested
together with the number of times that it was seen.
Sources: Claude's ``tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'`` (langchain #37756), OpenAI's ``string
too long. Expected a string with maximum length 40`` (dify #28987), Mistral's ``must be a-z, A-Z, 0-9, with a length of
9`` (magentic #276), Claude's ``tool_use ids must be unique``.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter


class CallIds:
    """The ids of one conversation, given out in its order.

    Args:
        pattern: The regular expression that the family's ids match as a whole; empty if any id will do.
    """

    def __init__(self, pattern: str) -> None:
        self._pattern = re.compile(pattern) if pattern else None
        self._seen: Counter[str] = Counter()
        self._taken: set[str] = set()
        self._last: dict[str, str] = {}

    def assign(self, given: str) -> str:
        """Find the id for the next call.

        Args:
            given: The id that the message has; empty if it has none.

        Returns:
            The id to send.
        """
        number = self._seen[given]
        self._seen[given] += 1
        fitted = given
        while not fitted or fitted in self._taken or not self._fits(fitted):
            fitted = self._digest(given, number)
            number += 1
        self._taken.add(fitted)
        self._last[given] = fitted
        return fitted

    def of_result(self, given: str) -> str:
        """Find the id for a result that answers no open call.

        Args:
            given: The id that the message has.

        Returns:
            The id of the last call that had it, else one that fits.
        """
        return self._last.get(given) or (given if self._fits(given) else self._digest(given, 0))

    def _fits(self, call_id: str) -> bool:
        return self._pattern is None or self._pattern.fullmatch(call_id) is not None

    def _digest(self, given: str, number: int) -> str:
        digest = hashlib.sha256(f"{number}:{given}".encode("utf-8", "surrogatepass")).hexdigest()
        return next(form for form in (f"call_{digest[:24]}", digest[:9]) if self._fits(form))
