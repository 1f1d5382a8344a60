"""What the models of one family have in common, as the server sees it: a row for each family, a column for each fact.

Each column names the source of its fact. The table is written from docs/wire.md and not imported from the client, so
that a test fails where the two tables differ. A row repeats nothing: it is the row that it resembles most, changed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

SAMPLING = frozenset({"n", "seed", "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs"})
EVERYWHERE = frozenset({"path", "openai", "gateway"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedFamily:
    """One family's shapes and refusals."""

    name: str
    """What the family is called here; the names of the models are those of docs/wire.md, 8.1."""
    error_style: Literal["claude", "gpt", "gemini", "open"]
    """Whose error texts its refusals have (docs/wire.md, 1.2)."""
    upstream: str = "{name}"
    """Pattern of the ``model`` in its answers, which is never the endpoint's name (docs/wire.md, 3.1)."""
    answer_id: str | None = None
    """Prefix of an answer's ``id``; None where the id is null (docs/wire.md, 2.1)."""
    call_id: str = "call_"
    """Prefix of a tool call's id (docs/wire.md, 3.4)."""
    content: Literal["string", "list", "list_if_reasoning"] = "string"
    """Type of ``message.content`` in a whole answer (docs/wire.md, 3.3)."""
    reasoning: Literal["none", "counted", "signed", "summary", "sibling"] = "none"
    """Where reasoning is: nowhere, only as a count of tokens (GPT), as parts with a signature (Claude) or without one
    (Gemini, gpt-oss), as ``reasoning_content`` beside the content (GLM, Kimi, inkling, DeepSeek); docs/wire.md, 3.3."""
    usage: Literal["claude", "gpt", "glm", "plain"] = "plain"
    """Which fields ``usage`` has (docs/wire.md, 3.5)."""
    stream_usage: Literal["nulls", "running", "asked"] = "running"
    """Usage in a stream: in every chunk with nulls until the last (Claude), in every chunk and growing (Llama), or
    only on request, in a last chunk without choices (external models) (docs/wire.md, 4.1)."""
    ends_silently: frozenset[str] = frozenset()
    """Paths (`EntryPoint`) on which a stream's natural end has no ``finish_reason`` (docs/wire.md, 4.4)."""
    fields: frozenset[str] = SAMPLING
    """Optional top-level request fields it accepts beyond those that all accept (docs/wire.md, 2.2)."""
    strict_tools: bool = False
    """Whether ``tools[].function.strict`` is accepted (docs/wire.md, 2.2)."""
    message_name: Literal["no", "tool", "yes"] = "no"
    """Whether messages may have ``name`` (docs/wire.md, 1.2). ``tool``: only the results of tools may, and one that
    follows no call needs it (Kimi, docs/wire.md, 2.5)."""
    http_images: bool = True
    """Whether images may be http links. Claude refuses them (docs/wire.md, 2.2)."""
    empty_text: bool = True
    """Whether empty text is accepted. Claude refuses it (docs/wire.md, 2.5)."""
    blank_text: bool = True
    """Whether text of nothing but white space is accepted. Claude refuses it (opencode #31259)."""
    alternates: bool = False
    """Whether user and assistant must alternate (docs/wire.md, 6.4)."""
    call_ids: str = ""
    """Pattern of the ids of tool calls; empty for any. Claude checks the letters (docs/wire.md, 6.4)."""
    call_id_length: int | None = None
    """The greatest length of such an id. OpenAI accepts 40 (dify #28987)."""
    unique_call_ids: bool = False
    """Whether no two calls of a conversation may have the same id. Claude refuses that (litellm #23510)."""
    grouped_calls: bool = True
    """Whether several calls of one turn may be followed by their results. gpt-oss refuses it (docs/wire.md, 2.5)."""
    answers_all_calls: bool = False
    """Whether each call of a turn must be answered at once (docs/wire.md, 2.5)."""
    parameters_required: bool = False
    """Whether a function must have ``parameters``. Llama refuses one without (ellmer #1084)."""
    schemas: Literal["claude", "openai", "google", "any"] = "any"
    """Whose rules a schema has to follow: draft 2020-12 with a plain root (Claude), a plain root and closed schemas
    beside ``strict`` (OpenAI), Google's message of fixed fields, or any JSON schema (docs/wire.md, 6.4)."""
    json_object: bool = True
    """Whether ``response_format`` may be ``json_object`` (docs/wire.md, 2.2)."""
    json_schema: bool = True
    """Whether ``response_format`` may be ``json_schema`` (docs/wire.md, 8.2)."""
    cache: Literal["none", "marked", "auto"] = "none"
    """Prompt caching: none, at each ``cache_control``, or automatic (docs/wire.md, 2.4)."""
    prefill: bool = True
    """Whether the last message may be the assistant's (docs/wire.md, 2.5)."""
    thought_signatures: bool = False
    """Whether texts and calls have ``thoughtSignature``, and streamed calls come whole (Gemini, docs/wire.md, 3.4)."""
    thinking_budgets: bool = False
    """Whether ``thinking`` has Google's budgets (docs/wire.md, 2.3)."""
    tools_as_text: bool = False
    """Whether a tool call is written into the text (gemma, docs/wire.md, 3.4)."""
    announces_calls: bool = False
    """Whether text comes before a tool call that nobody has forced. Claude writes a sentence (docs/wire.md, 4.2)."""
    empty_arguments: bool = False
    """Whether a call without arguments has ``""`` for them (docs/wire.md, 3.4, 4.2)."""
    tool_tokens: int = 60
    """Prompt tokens that the server itself adds when tools are offered (docs/wire.md, 2.6)."""


# The open-weight models: the defaults of the columns are theirs.
GEMMA = ServedFamily(name="gemma", error_style="open", json_schema=False, tools_as_text=True)
LLAMA = ServedFamily(
    name="llama",
    error_style="open",
    upstream="{name}-121024",
    answer_id="chatcmpl_",
    alternates=True,
    grouped_calls=False,
    parameters_required=True,
    prefill=False,
)
GPT_OSS = ServedFamily(
    name="gpt-oss",
    error_style="open",
    upstream="{name}-080525",
    content="list_if_reasoning",
    reasoning="summary",
    grouped_calls=False,
)
QWEN = replace(
    GPT_OSS,
    name="qwen",
    upstream="{name}",
    ends_silently=frozenset({"openai"}),
    grouped_calls=True,
    json_schema=False,
)
# Those with reasoning beside the content.
DEEPSEEK = ServedFamily(
    name="deepseek", error_style="open", answer_id="chatcmpl-", reasoning="sibling", json_schema=False, cache="auto"
)
INKLING = replace(DEEPSEEK, name="inkling", ends_silently=EVERYWHERE)
KIMI = replace(INKLING, name="kimi", message_name="tool")
GLM = replace(
    DEEPSEEK,
    name="glm",
    upstream="{name}-fp8",
    usage="glm",
    ends_silently=frozenset({"openai"}),
    fields=SAMPLING | {"thinking"},
    json_schema=True,
    tool_tokens=174,
)
GROK = replace(DEEPSEEK, name="grok", reasoning="counted", usage="gpt")

# The proprietary models.
GEMINI = ServedFamily(
    name="gemini",
    error_style="gemini",
    upstream="{name}-001",
    content="list",
    reasoning="summary",
    usage="gpt",
    fields=SAMPLING - {"logprobs", "top_logprobs"},
    schemas="google",
    cache="auto",
    thought_signatures=True,
    thinking_budgets=True,
)
GPT = ServedFamily(
    name="gpt",
    error_style="gpt",
    upstream="{name}-2026-06-01",
    answer_id="chatcmpl-",
    reasoning="counted",
    usage="gpt",
    fields=frozenset({"n", "seed", "logprobs", "top_logprobs", "stream_options"}),
    strict_tools=True,
    call_id_length=40,
    answers_all_calls=True,
    schemas="openai",
    cache="auto",
    tool_tokens=127,
)
EXTERNAL = replace(
    GPT,
    name="external",
    upstream="{name}-2024-08-06",
    reasoning="none",
    stream_usage="asked",
    fields=SAMPLING | {"stream_options", "extra_params"},
    message_name="yes",
    tool_tokens=60,
)
CLAUDE = ServedFamily(
    name="claude",
    error_style="claude",
    upstream="us.anthropic.{name}-v1:0",
    answer_id="msg_bdrk_01",
    call_id="toolu_bdrk_01",
    content="list_if_reasoning",
    reasoning="signed",
    usage="claude",
    stream_usage="nulls",
    fields=frozenset({"thinking", "anthropic_beta", "stream_options"}),
    http_images=False,
    empty_text=False,
    blank_text=False,
    call_ids="^[a-zA-Z0-9_-]+$",
    unique_call_ids=True,
    answers_all_calls=True,
    schemas="claude",
    json_object=False,
    cache="marked",
    empty_arguments=True,
    announces_calls=True,
    tool_tokens=402,
)
