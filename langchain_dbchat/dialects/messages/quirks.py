"""What Anthropic's Messages accepts: facts of the wire format, and of each model family on it.

Rule 1. What is true of a model on every wire is in `langchain_dbchat.models.families`. A model of an unknown name is
read with the facts of the wire format, because only a server of this format answers there.
Rule 2. Each column has its source in the docstring. Anthropic's reference is docs.claude.com/en/api/messages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from langchain_dbchat.dialects.shared.request.lessons import taught

if TYPE_CHECKING:
    from langchain_dbchat.dialects.dialect import Target
    from langchain_dbchat.models.families import Family

__all__ = ["MOST_BREAKPOINTS", "VERSION", "MessagesQuirks", "messages_target", "quirks_of"]

VERSION = "2023-06-01"
"""The value of the header ``anthropic-version`` (docs.claude.com/en/api/versioning)."""

MOST_BREAKPOINTS = 4
"""The largest number of ``cache_control`` marks in a request: ``A maximum of 4 blocks with cache_control may be
provided`` (docs.claude.com/en/docs/build-with-claude/prompt-caching)."""


class MessagesQuirks(NamedTuple):
    """What one model family accepts on Messages."""

    refuses: frozenset[str] = frozenset()
    """Settings that are left out. The fields of other APIs do not exist here: ``seed: Extra inputs are not permitted``.
    Claude from Opus 4.7 on refuses ``temperature``, ``top_p`` and ``top_k`` on every wire
    (docs/wire.md, 14, row unknown fields)."""

    default_max_tokens: int = 8192
    """The value of the required field ``max_tokens`` if the user gives none, in tokens. It is not the model's maximum,
    because Databricks reserves that number of a workspace's output tokens per minute before it answers (20,000 for
    Sonnet 4, 100,000 for Sonnet 5; docs.databricks.com/aws/en/machine-learning/foundation-model-apis/limits). Models
    that decide themselves how long they think need more."""

    document_urls: bool = True
    """Whether a document may be a URL, and a file an id of Anthropic's Files API. Databricks stores no files, and
    documents no URLs: ``Http data URLs are not supported by Claude`` (docs/wire.md, 14, row images)."""


_ELSEWHERE = frozenset(
    {
        "n", "seed", "frequency_penalty", "presence_penalty", "logprobs", "top_logprobs", "logit_bias", "store",
        "prompt_cache_key", "verbosity", "usage_context", "stream_options", "custom_inputs", "context",
        "databricks_options", "reasoning",
    }
)  # fmt: skip
"""Settings that are fields of other APIs."""

_SAMPLING = frozenset({"temperature", "top_p", "top_k"})

_OTHER = MessagesQuirks(refuses=_ELSEWHERE)
_CLAUDE = MessagesQuirks(refuses=_ELSEWHERE, default_max_tokens=16_384, document_urls=False)
_CLAUDE_ADAPTIVE = _CLAUDE._replace(refuses=_ELSEWHERE | _SAMPLING, default_max_tokens=32_768)

_QUIRKS: dict[str, MessagesQuirks] = {
    "claude": _CLAUDE,
    "claude-4-6": _CLAUDE,
    "claude-adaptive": _CLAUDE_ADAPTIVE,
    "claude-opus-5": _CLAUDE_ADAPTIVE,
    "claude-fable-5": _CLAUDE_ADAPTIVE,
    "claude-opus-5-5": _CLAUDE_ADAPTIVE,
}
"""The rows of the families that Databricks serves on this wire, by the family's name."""


def quirks_of(target: Target) -> MessagesQuirks:
    """Find the row of a target.

    Args:
        target: The called model.

    Returns:
        The row of its family; the one for other servers if the family has none.
    """
    return _QUIRKS.get(target.family.name, _OTHER)


def messages_target(target: Target) -> Target:
    """Return a target with the facts of this wire format and what its endpoint has refused.

    Args:
        target: The called model.

    Returns:
        A target with another row, or the same.
    """
    target = taught(target)
    return target if target.family.name in _QUIRKS else target._replace(family=_of_wire(target.family))


def _of_wire(family: Family) -> Family:
    return family._replace(
        empty_text=False,
        blank_text=False,
        final_space=False,
        call_ids=family.call_ids or "[a-zA-Z0-9_-]{1,64}",
        media=frozenset({"image_url", "file"}),
        signs=family.signs or "own",
        sampling_with_thinking=False,
        forced_choice_with_thinking=False,
    )
