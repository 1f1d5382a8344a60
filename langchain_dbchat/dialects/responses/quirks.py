"""What OpenAI's Responses accepts on Databricks: facts of the wire format, and of each model family on it.

Rule 1. What is true of a model on every wire is in `langchain_dbchat.models.families`.
Rule 2. Databricks answers 400 to ``background``, ``store``, ``conversation``, ``previous_response_id`` and
``service_tier`` (docs.databricks.com/aws/en/machine-learning/model-serving/query-openai-responses). The first ones are
left out; a conversation that the server would have to remember raises, because the answer would miss it.
Rule 3. Responses has no ``n``, ``stop``, penalties, ``seed`` and ``top_k``
(platform.openai.com/docs/api-reference/responses/create).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from langchain_dbchat.models.families import Family

__all__ = ["REMEMBERED", "STORED", "ResponsesQuirks", "quirks_of"]

REMEMBERED = ("conversation", "previous_response_id")
"""Fields that refer to what the server remembers."""

_OF_CHAT = frozenset(
    {"n", "stop", "seed", "frequency_penalty", "presence_penalty", "top_k", "logit_bias", "stream_options"}
)
STORED = frozenset({"background", "store", "service_tier"})
"""Fields that Databricks refuses, and that do not change the answer."""


class ResponsesQuirks(NamedTuple):
    """What one model family accepts on Responses."""

    refuses: frozenset[str] = _OF_CHAT | STORED
    """Settings that are left out: the fields of chat completions that do not exist here, and what only a server with
    a memory takes (docs/wire.md, 9.1). GPT-5 and later refuse ``temperature`` and ``top_p`` on every wire
    (docs/wire.md, 2.2)."""

    remembers: bool = False
    """Whether a request may refer to a conversation that the server has stored. Databricks stores none
    (docs/wire.md, 9.1)."""

    encrypts_reasoning: bool = False
    """Whether reasoning is returned encrypted if it is asked for. Nothing is stored on Databricks, so it has to go
    back with each request ("Encrypted reasoning items", platform.openai.com/docs/guides/reasoning)."""


_GPT = ResponsesQuirks(refuses=_OF_CHAT | STORED | {"temperature", "top_p"}, encrypts_reasoning=True)

QUIRKS: dict[str, ResponsesQuirks] = {
    "openai-compatible": ResponsesQuirks(refuses=_OF_CHAT, remembers=True),
    "gpt-5": _GPT,
    "gpt-5-1": _GPT,
    "gpt-5-2": _GPT,
    "gpt-5-pro": _GPT,
    "gpt-codex": _GPT,
    "gpt-5-5": _GPT,
    "gpt-5-6": _GPT,
    "gpt-6": _GPT,
}
"""The rows of the families that differ from the others on this wire, by the family's name."""

_OTHER = ResponsesQuirks()


def quirks_of(family: Family) -> ResponsesQuirks:
    """Find the row of a family.

    Args:
        family: The row of the called model.

    Returns:
        Its row on this wire; the one for all others if it has none.
    """
    return QUIRKS.get(family.name, _OTHER)
