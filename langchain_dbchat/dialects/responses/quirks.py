"""What OpenAI's Responses accepts on Databricks: facts of the wire format, and of each model family on it.

Rule 1. What is true of a model on every wire is in `langchain_dbchat.models.families`.
Rule 2. Databricks answers 400 to ``background``, ``store``, ``conversation``, ``previous_response_id`` and
``service_tier`` (docs.databricks.com/aws/en/machine-learning/model-serving/query-openai-responses). The first ones are
left out; a conversation that the server would have to remember raises, because the answer would miss it.
Rule 3. Responses has no ``n``, ``stop``, penalties, ``seed`` and ``top_k``
(platform.openai.com/docs/api-reference/responses/create).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from langchain_dbchat.models.families import Family

__all__ = ["REMEMBERED", "STORED", "encrypts_reasoning", "refused_by"]

REMEMBERED = ("conversation", "previous_response_id")
"""Fields that refer to what the server remembers."""

_OF_CHAT = frozenset(
    {"n", "stop", "seed", "frequency_penalty", "presence_penalty", "top_k", "logit_bias", "stream_options"}
)
STORED = frozenset({"background", "store", "service_tier"})
"""Fields that Databricks refuses, and that do not change the answer."""

_SAMPLING = frozenset({"temperature", "top_p"})


def refused_by(family: Family) -> frozenset[str]:
    """Return the settings that a family refuses on this wire.

    Args:
        family: The row of the called model.

    Returns:
        The settings that are left out.
    """
    if family.name == "openai-compatible":
        return _OF_CHAT
    if family.signs == "openai":
        return _OF_CHAT | STORED | _SAMPLING
    return _OF_CHAT | STORED


def encrypts_reasoning(family: Family) -> bool:
    """Return whether a family returns its reasoning encrypted if it is asked to.

    Nothing is stored on Databricks, so the reasoning has to go back with each request ("Encrypted reasoning items",
    platform.openai.com/docs/guides/reasoning).

    Args:
        family: The row of the called model.
    """
    return family.signs == "openai"
