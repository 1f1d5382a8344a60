"""What the model families of a Databricks workspace have in common, as the server sees it.

A table of its own, written from docs/wire.md and not imported from the client: where the two tables differ, a test
fails, and that is the point.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One family's shapes and refusals."""

    name: str
    """What the family is called here and in the list of endpoints."""
    voice: Literal["claude", "gpt", "gemini", "open"]
    """Whose error texts it speaks (docs/wire.md, 1.2)."""
    upstream: str
    """Pattern of the ``model`` in its answers, which is never the endpoint's name (docs/wire.md, 3.1)."""
    answer_id: str | None
    """Prefix of an answer's ``id``; None where the id is null (docs/wire.md, 2.1)."""
    call_id: str
    """Prefix of a tool call's id."""
    content: Literal["string", "list", "list_if_reasoning"]
    """Type of ``message.content`` in a whole answer (docs/wire.md, 3.3)."""
    reasoning: Literal["none", "counted", "signed", "summary", "harmony", "sibling"]
    """Where reasoning stands: nowhere, as a count of tokens only (GPT), as parts with a signature (Claude), as parts
    without one (Gemini, gpt-oss, the latter also in Harmony's shape), as ``reasoning_content`` beside the content (GLM,
    Kimi, inkling, DeepSeek) (docs/wire.md, 3.3)."""
    usage: Literal["claude", "gpt", "glm", "plain"]
    """Which fields ``usage`` has (docs/wire.md, 3.5)."""
    stream_usage: Literal["nulls", "running", "asked"]
    """Usage in a stream: in every chunk with nulls until the last (Claude), in every chunk and growing (Llama), or
    only when asked for, in a last chunk without choices (external models) (docs/wire.md, 4.1)."""
    ends_silently: frozenset[str] = frozenset()
    """Surfaces on which a stream's natural end has no ``finish_reason`` (docs/wire.md, 4.4)."""
    fields: frozenset[str] = frozenset()
    """Optional top-level request fields it accepts beyond those that all accept (docs/wire.md, 2.2)."""
    stream_options: bool = False
    """Whether ``stream_options`` is accepted. Gemini refuses it; for open weights nothing says that it is accepted, and
    the gateway was seen refusing it (docs/wire.md, 2.2, 13)."""
    strict_tools: bool = False
    """Whether ``tools[].function.strict`` is accepted (docs/wire.md, 2.2)."""
    message_name: Literal["no", "tool", "yes"] = "no"
    """Whether messages may carry ``name`` (docs/wire.md, 1.2, 2.5)."""
    http_images: bool = True
    """Whether images may be http links. Claude refuses them (docs/wire.md, 2.2)."""
    empty_text: bool = True
    """Whether empty text is accepted. Claude refuses it (docs/wire.md, 2.5)."""
    blank_text: bool = True
    """Whether text of nothing but white space is accepted. Claude refuses it (opencode #31259)."""
    alternates: bool = False
    """Whether user and assistant must take turns (docs/wire.md, 6.4, row alternation)."""
    call_ids: str = ""
    """Pattern of the ids of tool calls; any will do where it is empty (docs/wire.md, 6.4, row call ids)."""
    call_id_length: int | None = None
    """Most characters of such an id. OpenAI takes 40 (dify #28987)."""
    unique_call_ids: bool = False
    """Whether no two calls of a conversation may have the same id. Claude: "`tool_use` ids must be unique"."""
    grouped_calls: bool = True
    """Whether several calls of one turn may be followed by their results. gpt-oss refuses it (docs/wire.md, 2.5)."""
    answers_all_calls: bool = False
    """Whether each call of a turn must be answered at once (docs/wire.md, 2.5)."""
    parameters_required: bool = False
    """Whether a function must have ``parameters`` (Llama)."""
    schemas: Literal["claude", "openai", "google", "any"] = "any"
    """Whose rules a schema has to follow: draft 2020-12 with a plain root (Claude), a plain root and closed schemas
    beside ``strict`` (OpenAI), Google's message of fixed fields, or any JSON schema (docs/wire.md, 6.4)."""
    json_object: bool = True
    """Whether ``response_format`` may be ``json_object`` (docs/wire.md, 2.2)."""
    json_schema: bool = True
    """Whether ``response_format`` may be ``json_schema`` (docs/wire.md, 8.2)."""
    cache: Literal["none", "marked", "auto"] = "none"
    """Prompt caching: not at all, where ``cache_control`` stands, or by itself (docs/wire.md, 2.4)."""
    prefill: bool = True
    """Whether the last message may be the assistant's (docs/wire.md, 2.5)."""
    tools_as_text: bool = False
    """Whether a tool call is written into the text (gemma, docs/wire.md, 3.4)."""
    empty_arguments: bool = False
    """Whether a call without arguments has ``""`` for them (docs/wire.md, 3.4, 4.2)."""
    tool_tokens: int = 60
    """Prompt tokens that the server itself adds when tools are offered (docs/wire.md, 2.6)."""


SAMPLING = frozenset({"n", "seed", "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs"})
NOT_ON_CHAT_PATH = frozenset({"openai"})

CLAUDE = Family(
    name="claude",
    voice="claude",
    schemas="claude",
    upstream="us.anthropic.{name}-v1:0",
    answer_id="msg_bdrk_01",
    call_id="toolu_bdrk_01",
    content="list_if_reasoning",
    reasoning="signed",
    usage="claude",
    stream_usage="nulls",
    fields=frozenset({"thinking", "anthropic_beta", "stream_options"}),
    stream_options=True,
    http_images=False,
    empty_text=False,
    blank_text=False,
    call_ids="^[a-zA-Z0-9_-]+$",
    unique_call_ids=True,
    answers_all_calls=True,
    json_object=False,
    cache="marked",
    empty_arguments=True,
    tool_tokens=402,
)
GPT = Family(
    name="gpt",
    voice="gpt",
    schemas="openai",
    upstream="{name}-2026-06-01",
    answer_id="chatcmpl-",
    call_id="call_",
    content="string",
    reasoning="counted",
    usage="gpt",
    stream_usage="running",
    fields=frozenset({"n", "seed", "logprobs", "top_logprobs", "stream_options"}),
    stream_options=True,
    strict_tools=True,
    call_id_length=40,
    answers_all_calls=True,
    cache="auto",
    tool_tokens=127,
)
EXTERNAL = Family(
    name="external",
    voice="gpt",
    schemas="openai",
    upstream="{name}-2024-08-06",
    answer_id="chatcmpl-",
    call_id="call_",
    content="string",
    reasoning="none",
    usage="gpt",
    stream_usage="asked",
    fields=SAMPLING | {"stream_options", "extra_params"},
    stream_options=True,
    strict_tools=True,
    message_name="yes",
    call_id_length=40,
    answers_all_calls=True,
    cache="auto",
    tool_tokens=60,
)
GEMINI = Family(
    name="gemini",
    voice="gemini",
    upstream="{name}-001",
    answer_id=None,
    call_id="call_",
    content="list",
    reasoning="summary",
    usage="gpt",
    stream_usage="running",
    fields=SAMPLING - {"logprobs", "top_logprobs"},
    schemas="google",
    cache="auto",
)
GPT_OSS = Family(
    name="gpt-oss",
    voice="open",
    upstream="{name}-080525",
    answer_id=None,
    call_id="call_",
    content="list_if_reasoning",
    reasoning="summary",
    usage="plain",
    stream_usage="running",
    fields=SAMPLING,
    grouped_calls=False,
)
LLAMA = Family(
    name="llama",
    voice="open",
    upstream="{name}-121024",
    answer_id="chatcmpl_",
    call_id="call_",
    content="string",
    reasoning="none",
    usage="plain",
    stream_usage="running",
    fields=SAMPLING,
    alternates=True,
    grouped_calls=False,
    parameters_required=True,
    prefill=False,
)
GEMMA = Family(
    name="gemma",
    voice="open",
    upstream="{name}",
    answer_id=None,
    call_id="call_",
    content="string",
    reasoning="none",
    usage="plain",
    stream_usage="running",
    fields=SAMPLING,
    json_schema=False,
    tools_as_text=True,
)
GLM = Family(
    name="glm",
    voice="open",
    upstream="{name}-fp8",
    answer_id="chatcmpl-",
    call_id="call_",
    content="string",
    reasoning="sibling",
    usage="glm",
    stream_usage="running",
    ends_silently=NOT_ON_CHAT_PATH,
    fields=SAMPLING | {"thinking"},
    cache="auto",
    tool_tokens=174,
)
KIMI = Family(
    name="kimi",
    voice="open",
    upstream="{name}",
    answer_id="chatcmpl-",
    call_id="call_",
    content="string",
    reasoning="sibling",
    usage="plain",
    stream_usage="running",
    ends_silently=frozenset({"path", "openai", "gateway"}),
    fields=SAMPLING,
    message_name="tool",
    json_schema=False,
    cache="auto",
)
INKLING = Family(
    name="inkling",
    voice="open",
    upstream="{name}",
    answer_id="chatcmpl-",
    call_id="call_",
    content="string",
    reasoning="sibling",
    usage="plain",
    stream_usage="running",
    ends_silently=frozenset({"path", "openai", "gateway"}),
    fields=SAMPLING,
    json_schema=False,
    cache="auto",
)
DEEPSEEK = Family(
    name="deepseek",
    voice="open",
    upstream="{name}",
    answer_id="chatcmpl-",
    call_id="call_",
    content="string",
    reasoning="sibling",
    usage="plain",
    stream_usage="running",
    fields=SAMPLING,
    json_schema=False,
    cache="auto",
)
QWEN = Family(
    name="qwen",
    voice="open",
    upstream="{name}",
    answer_id=None,
    call_id="call_",
    content="list_if_reasoning",
    reasoning="summary",
    usage="plain",
    stream_usage="running",
    ends_silently=NOT_ON_CHAT_PATH,
    fields=SAMPLING,
    json_schema=False,
)
GROK = Family(
    name="grok",
    voice="open",
    upstream="{name}",
    answer_id="chatcmpl-",
    call_id="call_",
    content="string",
    reasoning="counted",
    usage="gpt",
    stream_usage="running",
    fields=SAMPLING,
    json_schema=False,
    cache="auto",
)
