"""What model families accept, refuse or spell differently on chat completions: one row for each family.

Rule 1. What is true of a model on every wire is in `langchain_dbchat.models.families`; here is what is true of it on
this wire. Each column has its source in the docstring.
Rule 2. A lesson that an endpoint has taught changes the row for that endpoint.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from langchain_dbchat.dialects.dialect import Target
    from langchain_dbchat.models.families import Family

__all__ = ["ChatQuirks", "quirks_of"]


class ChatQuirks(NamedTuple):
    """What one model family accepts on chat completions."""

    refuses: frozenset[str] = frozenset()
    """Optional request fields that the family answers with a 400, as measured on claude-opus-5, gpt-5-6-sol and glm-5-2
    in August 2026 and reported for the rest (temperature on Claude from Opus 4.7 on and on every GPT-5, `seed` on
    Claude, `stop` on GPT-5, ...) (docs/wire.md, 2.2, 2.6)."""

    stream_options: bool = True
    """Whether the usage of a stream is requested with `stream_options`. Gemini answers it with 400 INVALID_ARGUMENT,
    the gateway's open-weight models with `unknown field`; Claude and Llama always send the usage in each event.
    External and GPT endpoints send it only on request (docs/wire.md, 2.2)."""

    message_names: bool = False
    """Whether a message may have `name`; Databricks' own models refuse it (docs/wire.md, 1.2)."""

    thinking_blocks: bool = False
    """Whether signed reasoning goes back beside the content, in Anthropic's shape: a LiteLLM proxy sends and accepts it
    as the message's ``thinking_blocks`` (docs.litellm.ai/docs/reasoning_content)."""

    system: Literal["first", "anywhere"] = "anywhere"
    """Which positions system messages may have. Databricks documents one `system` message, as the first; Gemini refuses
    a second one (docs/wire.md, 2.2, row roles)."""

    tool_history: Literal["grouped", "split"] = "grouped"
    """How several tool calls of one past message are sent. Claude requires all results directly after the message with
    the calls; gpt-oss answers `Multiple tool calls are not supported.`, so each call is sent with its result
    (docs/wire.md, 2.5, rows 3 and 4)."""

    tool_result_media: bool = True
    """Whether a tool message may contain images and files. If not, they are moved to a following user message
    (docs/wire.md, 2.5, row 3)."""

    answer_media: bool = True
    """Whether an assistant's message may contain images, as Gemini's image models send them. If not, they are moved to
    a following user message, because other models document them for the user role only
    (docs/wire.md, 3.3, row gemini-image)."""

    json_object: bool = True
    """Whether `response_format` of type `json_object` works. Claude: 400 (docs/wire.md, 8.2)."""

    format_with_tools: bool = True
    """Whether `response_format` and `tools` may be sent together. Claude: `Cannot specify both response_format and
    tools in the same request.`; GLM 5.2 answers 200 and never calls a tool (30 of 30 calls) (docs/wire.md, 2.2)."""

    format_with_stream: bool = True
    """Whether `response_format` may be sent with `stream`. On Claude `stream` must be false with it
    (docs/wire.md, 8.2)."""

    max_tokens_name: Literal["max_tokens", "max_completion_tokens", ""] = "max_tokens"
    """The request field that limits an answer's length; empty if both are accepted or that is not known, so that the
    user's own spelling is sent. Databricks documents `max_tokens`, and its own models refuse or ignore the other
    (OpenHands software-agent-sdk #2128); OpenAI's reasoning models, external or as GPT-5, answer `Unsupported
    parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.` (pydantic-ai
    #1205)."""

    tools_need_effort_none: bool = False
    """Whether tools on chat completions require an explicit `reasoning_effort: "none"`. GPT-5.4 to 5.6 answer 400 when
    it is left out (docs/wire.md, 2.3, row gpt-5-6)."""


_PENALTIES = frozenset({"frequency_penalty", "presence_penalty"})
_SAMPLING = frozenset({"temperature", "top_p", "top_k"})
_LOGPROBS = frozenset({"logprobs", "top_logprobs"})
_OPENAI_ONLY = frozenset({"parallel_tool_calls", "store", "prompt_cache_key", "user", "logit_bias", "reasoning"})

_GENERIC = ChatQuirks(max_tokens_name="")
_CLAUDE = ChatQuirks(
    refuses=_PENALTIES | _LOGPROBS | _OPENAI_ONLY | {"seed", "n", "reasoning_effort"},
    stream_options=False,
    system="first",
    tool_result_media=False,
    answer_media=False,
    json_object=False,
    format_with_tools=False,
    format_with_stream=False,
)
_CLAUDE_ADAPTIVE = _CLAUDE._replace(refuses=_CLAUDE.refuses | _SAMPLING)
_GPT = ChatQuirks(
    refuses=_SAMPLING | _PENALTIES | _OPENAI_ONLY | {"stop", "thinking"},
    system="first",
    tool_result_media=False,
    answer_media=False,
    max_tokens_name="",
)
_GEMINI = ChatQuirks(
    refuses=_PENALTIES | _LOGPROBS | _OPENAI_ONLY | {"thinking"},
    stream_options=False,
    system="first",
    tool_result_media=False,
    answer_media=False,
)
_GEMINI_2 = _GEMINI._replace(refuses=(_GEMINI.refuses - {"thinking"}) | {"reasoning_effort"}, format_with_tools=False)
_OPEN_WEIGHTS = ChatQuirks(
    refuses=_OPENAI_ONLY | {"thinking", "reasoning_effort"},
    stream_options=False,
    system="first",
    tool_history="split",
    tool_result_media=False,
    answer_media=False,
)
_THINKING_WEIGHTS = _OPEN_WEIGHTS._replace(refuses=_OPENAI_ONLY | {"thinking"}, tool_history="grouped")

QUIRKS: dict[str, ChatQuirks] = {
    "generic": _GENERIC,
    "openai-compatible": _GENERIC._replace(message_names=True, thinking_blocks=True),
    "claude": _CLAUDE,
    "claude-4-6": _CLAUDE,
    "claude-adaptive": _CLAUDE_ADAPTIVE,
    "claude-opus-5": _CLAUDE_ADAPTIVE,
    "claude-fable-5": _CLAUDE_ADAPTIVE,
    "claude-opus-5-5": _CLAUDE_ADAPTIVE,
    "gpt-5": _GPT,
    "gpt-5-1": _GPT,
    "gpt-5-2": _GPT,
    "gpt-5-pro": _GPT,
    "gpt-codex": _GPT,
    "gpt-5-5": _GPT._replace(tools_need_effort_none=True),
    "gpt-5-6": _GPT._replace(tools_need_effort_none=True),
    "gpt-6": _GPT,
    "gemini-2-5-flash": _GEMINI_2,
    "gemini-2-5-pro": _GEMINI_2,
    "gemini-3": _GEMINI,
    "gemini-3-1-pro": _GEMINI,
    "gemini-3-6": _GEMINI._replace(refuses=_GEMINI.refuses | _SAMPLING),
    "gemini-image": _GEMINI._replace(refuses=_GEMINI.refuses | {"reasoning_effort"}, answer_media=True),
    "gpt-oss": _OPEN_WEIGHTS._replace(refuses=_OPENAI_ONLY | {"thinking"}),
    "glm-5-2": _THINKING_WEIGHTS._replace(format_with_tools=False),
    "glm-5-3": _THINKING_WEIGHTS,
    "glm-5-3-flash": _THINKING_WEIGHTS,
    "kimi-k3": _THINKING_WEIGHTS._replace(refuses=_THINKING_WEIGHTS.refuses | _SAMPLING),
    "deepseek-v4": _THINKING_WEIGHTS,
    "inkling": _THINKING_WEIGHTS,
    "grok": _THINKING_WEIGHTS,
    "thinking-open-weights": _OPEN_WEIGHTS,
    "open-weights": _OPEN_WEIGHTS,
    "open-weights-vision": _OPEN_WEIGHTS,
    "llama-4": _OPEN_WEIGHTS,
    "open-weights-unproven": _OPEN_WEIGHTS,
}
"""The row of each family, by the family's name."""


def quirks_of(target: Target) -> ChatQuirks:
    """Find the row of a target.

    Args:
        target: The model that is called.

    Returns:
        The row of its family, with what its endpoint has refused.
    """
    row = QUIRKS[target.family.name]
    return row._replace(message_names=False) if "name" in target.lessons else row


def family_quirks(family: Family) -> ChatQuirks:
    """Find the row of a family.

    Args:
        family: The family.

    Returns:
        Its row.
    """
    return QUIRKS[family.name]
