"""The metadata of a chat-completions answer; `shared.facts` has the rules.

Rule 1. The fields ``object`` and ``created`` have no meaning, and are left out.
Rule 2. A choice's unknown fields are kept beside those of the answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_dbchat.dialects.shared.answer.facts import KEEP_ALIVE, AnswerFacts

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ANSWER_KEYS", "CHOICE_KEYS", "ChatFacts"]

ANSWER_KEYS = frozenset({"id", "object", "created", "model", "choices", "usage"})
"""The fields of an answer or an event that are read, or that have no meaning."""

CHOICE_KEYS = frozenset({"index", "delta", "message", "finish_reason", "logprobs"})
"""The same for a choice."""

_READ = ANSWER_KEYS | {"error", "error_code"}


class ChatFacts(AnswerFacts):
    """The metadata of one chat completion."""

    __slots__ = ()

    def note(self, payload: Mapping[str, Any]) -> None:
        """Read the metadata of an event or a whole answer; of several usages the last one with counts is kept.

        Args:
            payload: The event or the answer.
        """
        usage = payload.get("usage")
        if usage and isinstance(usage, dict):
            known = self.usage
            if known is None or usage.get("completion_tokens") is not None or known.get("completion_tokens") is None:
                self.usage = usage
        model = payload.get("model")
        if model and model is not self.served_model:
            self.served_model = str(model)
        if self.id is None:  # Databricks and MLflow may send null, Azure an empty id in an event of its own
            answer_id = payload.get("id")
            self.id = str(answer_id) if answer_id and isinstance(answer_id, (str, int)) else None

    def keep(self, payload: Mapping[str, Any]) -> None:
        """Keep the unknown fields of an event or a whole answer.

        Args:
            payload: The event or the answer.
        """
        if payload.get("type") not in KEEP_ALIVE:
            self.kept.add(payload, _READ)

    def keep_choice(self, choice: Mapping[str, Any]) -> None:
        """Keep the unknown fields of a choice.

        Args:
            choice: The choice.
        """
        self.kept.add(choice, CHOICE_KEYS)
