"""The facts of each model family that are true on every wire format: one row for each family.

Rule 1. The model behind an endpoint decides what a request may contain; an unknown or refused field is answered with a
400. Each difference is one field of `Family`, with its source in the docstring; each family is one row. A test checks
that no other module compares model names. What is true on one wire format only is in that dialect's `quirks`.
Rule 2. An endpoint's name is free text, so the row for its name is only the default. ``family=`` on the model overrides
it, and the client learns from a 400 that names an optional field of that endpoint.
Rule 3. An unknown name gets the row `GENERIC`, which does not change the user's request.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from langchain_dbchat.models.names import row_name

WireName = Literal["chat", "responses", "messages", "agent"]
"""The names of the wire formats, as users give them to ``api=``."""

ReasoningStyle = Literal["none", "budget", "adaptive", "budget_or_adaptive", "effort"]


class Family(NamedTuple):
    """What is true of one model family on every wire."""

    name: str
    """The value of ``family=`` for this row."""

    wires: tuple[WireName, ...] = ("chat",)
    """The wire formats that serve the family, best first. Databricks documents Opus 5.5 and Fable 5.1 for Anthropic's
    Messages only, and GPT-5.5, GPT-6 and the models for code for Responses
    (docs.databricks.com/aws/en/machine-learning/foundation-model-apis/supported-models); LiteLLM's table says the same
    of the pro models (`mode: responses`). Every Claude also serves Messages and every GPT Responses."""

    strict_tools: bool = False
    """Whether a tool may have `strict`. If not: `tools.0.custom.strict: Extra inputs are not permitted`
    (docs/wire.md, 2.2, row strict)."""

    empty_text: bool = True
    """Whether empty text is accepted. Claude: `messages: text content blocks must be non-empty`, also in an assistant's
    message with tool calls only, which Databricks itself returns with `content: ""` (docs/wire.md, 2.5)."""

    blank_text: bool = True
    """Whether text that consists of white space is accepted. Claude: `messages: text content blocks must contain
    non-whitespace text` (opencode #31259)."""

    final_space: bool = True
    """Whether the last message may end with white space if it is the assistant's, which the model continues. Claude:
    `final assistant content cannot end with trailing whitespace` (langchain #35071)."""

    prefill: bool = True
    """Whether a conversation may end with the assistant's message, which the model then continues. Claude from 4.6 on:
    `This model does not support assistant message prefill. The conversation must end with a user message.`
    (deepagents #1585), and Llama."""

    image_urls: bool = True
    """Whether an image may be an http(s) URL. Claude: `Http data URLs are not supported by Claude`; it accepts data
    URLs (docs/wire.md, 2.2, row image)."""

    alternating_roles: bool = False
    """Whether user and assistant messages must alternate, the user's first. Llama, DBRX and Mixtral: `Chat message
    input roles must alternate (user -> assistant -> u -> a -> ...) with an optional system at the start` (aider #1920,
    crewAI #1454)."""

    call_ids: str = ""
    """The pattern of the ids of tool calls, as a regular expression for the whole id; empty if any id is accepted.
    Claude: `tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'` (langchain #37756), 64 characters at most on
    Bedrock; OpenAI: `string too long. Expected a string with maximum length 40` (dify #28987); Mixtral: `must be a-z,
    A-Z, 0-9, with a length of 9` (magentic #276; the other models of its row accept any id). An endpoint of an unknown
    model gets ids that all of these except Mixtral accept; a server behind `base_url=` gets each id unchanged, because
    LiteLLM stores Gemini's signatures in them."""

    orphan_results: bool = False
    """Whether a tool result without its call in the conversation is accepted. Databricks' models answer 400; some
    servers behind `base_url=` do not check (docs/wire.md, 2.5)."""

    media: frozenset[str] | None = None
    """The kinds of content parts besides text that are accepted; None for all kinds. Databricks documents audio and
    video for Gemini only, as `audio_url` and `video_url` (docs/wire.md, 2.2, row media)."""

    schemas_checked: bool = True
    """Whether the server validates a schema before the model gets it (Claude: `JSON schema is invalid. It must match
    JSON Schema draft 2020-12`). If so, an invalid schema raises before it is sent, with the name of the property.
    Unknown servers get the schema unchanged (docs/wire.md, 6.4, row drafts)."""

    schema_keywords: frozenset[str] | None = None
    """The JSON-schema keywords that the server supports; None for all of draft 2020-12. Gemini copies a schema into a
    message with fixed fields (ai.google.dev/api/caching#Schema) and answers `Unknown name "const"`. Other keywords are
    translated or moved into the description, and the answer is validated with the caller's own schema."""

    schema_array_items: bool = False
    """Whether each array must have `items`. GPT: `In context=('properties', 'x'), array schema missing items`
    (docs/wire.md, 6.4, row OpenAI's schemas)."""

    plain_format_root: bool = False
    """Whether the root of a response format must be one plain object, as the parameters of a tool are everywhere. GPT:
    `schema must be a JSON Schema of 'type: "object"', got 'type: "None"'` (docs/wire.md, 6.4, row OpenAI's schemas)."""

    property_names: str = ""
    """The pattern of the names of a tool's top-level properties. Claude: `Property keys should match pattern`; names of
    nested properties are not checked (aws-solutions-library-samples #709)."""

    strict_formats: Literal["default", "closed", "any", "none"] = "closed"
    """How `strict: true` of a `response_format` is handled. `default`: the server enforces a schema only with it, so a
    structured answer sets it unless the caller sets False (GPT, platform.openai.com/docs/guides/structured-outputs).
    `closed`: it is sent if the caller sets it, with a closed schema. `any`: the server also accepts it with an open
    schema (recorded on Claude 3.7), and a response format that the caller wrote is not changed. `none`: it is left out,
    because the server enforces each schema and does not support closed ones (Gemini)."""

    tool_names: str = "[a-zA-Z0-9_-]{1,64}"
    """The pattern of the names of tools and schemas; other names are a 400 and are rewritten (OpenAI: `string does not
    match pattern '^[a-zA-Z0-9_-]+$'`, at most 64 characters; Anthropic: `String should match pattern`). Gemini's
    `FunctionDeclaration.name` also has to start with a letter or an underscore (docs/wire.md, 6.4, row names)."""

    json_schema: bool = True
    """Whether `response_format` of type `json_schema` is documented: for Claude, GPT, GLM, Gemini, gpt-oss and Llama.
    Other models get it only if the user gives it (docs/wire.md, 8.2)."""

    calls_as_text: bool = False
    """Whether tool calls are written into the text of the answer (Gemma; databricks-ai-bridge), where no agent finds
    them. A schema is then described in the prompt (docs/wire.md, 3.4)."""

    forced_tool_choice: bool = True
    """Whether a tool can be forced. Claude Opus 5.5 and Fable 5.1: 400 (docs/wire.md, 2.2)."""

    forced_choice_with_thinking: bool = True
    """Whether a tool can be forced while the model thinks. Claude: 400 with thinking on
    (docs/wire.md, 14, row forced tools)."""

    cache_control: bool = False
    """Whether `cache_control` markers are accepted: documented for Databricks-hosted Claude; a 400 elsewhere
    (docs/wire.md, 2.4)."""

    reasoning: ReasoningStyle = "none"
    """How reasoning is requested: Claude up to 4.5 and Gemini 2.5 by `thinking` with a budget, Claude from 4.7 on by
    adaptive `thinking` and `output_config.effort`, Claude 4.6 by either, the rest by `reasoning_effort`
    (docs/wire.md, 2.3)."""

    efforts: tuple[str, ...] = ()
    """The accepted values of `reasoning_effort` (or `output_config.effort`), weakest first (docs/wire.md, 2.3)."""

    effort_aliases: tuple[tuple[str, str], ...] = ()
    """Efforts that are documented as other names of an effort, as pairs: the given one, and the one that is sent
    (docs/wire.md, 2.3)."""

    budget_range: tuple[int, int] = (1024, 131_072)
    """Minimum and maximum of `thinking.budget_tokens`, in tokens. Claude: at least 1024; Gemini 2.5 Flash 0 to 24576,
    Pro 128 to 32768 (docs/wire.md, 2.3)."""

    budget_below_max_tokens: bool = True
    """Whether `max_tokens` must be greater than the budget. Claude: 400 otherwise (docs/wire.md, 2.3)."""

    thinks_always: bool = False
    """Whether thinking cannot be switched off; a setting that switches it off then raises (docs/wire.md, 2.3)."""

    disabled_thinking_with_tools: bool = True
    """Whether thinking may be disabled while tools are bound. Claude Opus 5 then writes its tool calls as text (8 of 12
    measured calls; docs/wire.md, 2.3, row opus-5)."""

    sampling_with_thinking: bool = True
    """Whether `temperature`, `top_p` and `top_k` may be sent while the model thinks. Claude refuses them then
    (docs/wire.md, 2.2)."""

    sampling_without_reasoning: bool = False
    """Whether `temperature` and `top_p`, which the family refuses, are sent if the user has switched reasoning off.
    OpenAI: supported by GPT-5.1 and later with effort none only (developers.openai.com/api/docs/guides/latest-model).
    It is not documented for Kimi; the client learns from a 400."""

    signs: Literal["anthropic", "google", "openai", "own", ""] = ""
    """The kind of signature of its reasoning: a vendor's, which all models of that vendor accept; the endpoint's own,
    which only that endpoint accepts; or none. Reasoning is sent back only to a family with the same kind; unsigned
    reasoning is never sent back (docs/wire.md, 5)."""

    unsigned_call: str = ""
    """The value that replaces the signature of a tool call without one, for example a call of another model. Gemini 3
    answers `Function call is missing a thought_signature`; Google documents this value for the history of another model
    (ai.google.dev/gemini-api/docs/thought-signatures)."""

    signed_text: bool = False
    """Whether plain text may have its own signature (Gemini's `thoughtSignature`), so that text answers are lists of
    blocks (docs/wire.md, 5.2)."""


_GOOGLE_SCHEMA = frozenset(
    {
        "type", "format", "title", "description", "nullable", "enum", "maxItems", "minItems", "properties", "required",
        "minProperties", "maxProperties", "minLength", "maxLength", "pattern", "example", "anyOf", "propertyOrdering",
        "default", "items", "minimum", "maximum",
    }
)  # fmt: skip
"""The fields of Google's `Schema` (ai.google.dev/api/caching#Schema)."""

GENERIC = Family(
    name="generic",
    orphan_results=True,
    strict_tools=True,
    call_ids="[a-zA-Z0-9_-]{1,40}",
    schemas_checked=False,
    json_schema=False,
    cache_control=True,
    reasoning="effort",
    signs="own",
)
"""The row of an endpoint with an unknown name: the user's request is sent unchanged."""

OPENAI_COMPATIBLE = GENERIC._replace(name="openai-compatible", call_ids="")
"""The row of a server behind ``base_url=`` that is not a Databricks workspace (a proxy, vLLM, llama.cpp)."""

_CLAUDE = Family(
    name="claude",
    wires=("chat", "messages"),
    empty_text=False,
    blank_text=False,
    final_space=False,
    image_urls=False,
    call_ids="[a-zA-Z0-9_-]{1,64}",
    media=frozenset({"image_url", "file"}),
    strict_formats="any",
    property_names=r"^[a-zA-Z0-9_.-]{1,64}$",
    forced_choice_with_thinking=False,
    cache_control=True,
    reasoning="budget",
    sampling_with_thinking=False,
    signs="anthropic",
)
_CLAUDE_ADAPTIVE = _CLAUDE._replace(
    name="claude-adaptive",
    prefill=False,
    reasoning="adaptive",
    efforts=("low", "medium", "high", "xhigh", "max"),
)
_GPT = Family(
    name="gpt-5",
    wires=("chat", "responses"),
    schema_array_items=True,
    plain_format_root=True,
    strict_formats="default",
    strict_tools=True,
    call_ids="[!-~]{1,40}",
    media=frozenset({"image_url", "file"}),
    reasoning="effort",
    efforts=("minimal", "low", "medium", "high"),
    signs="openai",
)
_RESPONSES: tuple[WireName, ...] = ("responses",)
_RESPONSES_FIRST: tuple[WireName, ...] = ("responses", "chat")
_GPT_1 = _GPT._replace(name="gpt-5-1", efforts=("none", "low", "medium", "high"), sampling_without_reasoning=True)
_GEMINI = Family(
    name="gemini-3",
    media=frozenset({"image_url", "file", "audio_url", "video_url", "input_audio"}),
    schema_keywords=_GOOGLE_SCHEMA,
    strict_formats="none",
    tool_names="[a-zA-Z_][a-zA-Z0-9_-]{0,63}",
    reasoning="effort",
    efforts=("low", "medium", "high"),
    signs="google",
    unsigned_call="skip_thought_signature_validator",
    signed_text=True,
)
_OPEN_WEIGHTS = Family(
    name="open-weights",
    media=frozenset({"image_url"}),
)
_ALTERNATING = _OPEN_WEIGHTS._replace(alternating_roles=True)
_GLM = _OPEN_WEIGHTS._replace(
    name="glm-5-2",
    reasoning="effort",
    efforts=("none", "high", "max"),
)

_GLM_3 = _GLM._replace(
    name="glm-5-3",
    efforts=("low", "high", "max"),
    effort_aliases=(("minimal", "max"), ("medium", "max"), ("xhigh", "max")),
    thinks_always=True,
)
_TEXT_ONLY: frozenset[str] = frozenset()
_GEMINI_2 = _GEMINI._replace(
    name="gemini-2-5-flash",
    reasoning="budget",
    efforts=(),
    budget_range=(0, 24_576),
    budget_below_max_tokens=False,
    unsigned_call="",
)
_THINKING_WEIGHTS = _GLM._replace(json_schema=False)

FAMILIES: dict[str, Family] = {
    row.name: row
    for row in (
        GENERIC,
        OPENAI_COMPATIBLE,
        _CLAUDE,
        _CLAUDE._replace(
            name="claude-4-6",
            prefill=False,
            reasoning="budget_or_adaptive",
            efforts=("low", "medium", "high", "max"),
        ),
        _CLAUDE_ADAPTIVE,
        _CLAUDE_ADAPTIVE._replace(name="claude-opus-5", disabled_thinking_with_tools=False),
        _CLAUDE_ADAPTIVE._replace(
            name="claude-fable-5",
            media=_TEXT_ONLY,
            thinks_always=True,
            forced_choice_with_thinking=True,
        ),
        _CLAUDE_ADAPTIVE._replace(
            name="claude-opus-5-5",
            wires=("messages",),
            thinks_always=True,
            forced_tool_choice=False,
            signs="own",  # its signatures are valid only after the same messages
        ),
        _GPT,
        _GPT_1,
        _GPT_1._replace(name="gpt-5-2", efforts=("none", "low", "medium", "high", "xhigh")),
        _GPT._replace(name="gpt-5-pro", wires=_RESPONSES, efforts=("medium", "high", "xhigh")),
        _GPT._replace(name="gpt-codex", wires=_RESPONSES, efforts=("low", "medium", "high", "xhigh")),
        _GPT_1._replace(name="gpt-5-5", wires=_RESPONSES_FIRST, efforts=("none", "low", "medium", "high", "xhigh")),
        _GPT_1._replace(name="gpt-5-6", efforts=("none", "low", "medium", "high", "xhigh")),
        _GPT._replace(name="gpt-6", wires=_RESPONSES_FIRST, efforts=("low", "medium", "high", "xhigh", "max")),
        _GEMINI_2,
        _GEMINI_2._replace(name="gemini-2-5-pro", budget_range=(128, 32_768), thinks_always=True),
        _GEMINI,
        _GEMINI._replace(name="gemini-3-1-pro", efforts=("minimal", "low", "medium", "high")),
        _GEMINI._replace(name="gemini-3-6"),
        _GEMINI._replace(
            name="gemini-image",
            reasoning="none",
            efforts=(),
        ),
        _OPEN_WEIGHTS._replace(
            name="gpt-oss",
            media=_TEXT_ONLY,
            reasoning="effort",
            efforts=("low", "medium", "high"),
        ),
        _GLM._replace(media=_TEXT_ONLY),
        _GLM_3._replace(media=_TEXT_ONLY),
        _GLM_3._replace(name="glm-5-3-flash"),
        _THINKING_WEIGHTS._replace(
            name="kimi-k3",
            efforts=("none", "low", "high", "max"),
            sampling_without_reasoning=True,
        ),
        _THINKING_WEIGHTS._replace(
            name="deepseek-v4",
            media=_TEXT_ONLY,
            efforts=("none", "low", "high", "xhigh", "max"),
            effort_aliases=(("minimal", "low"), ("medium", "high")),
        ),
        _THINKING_WEIGHTS._replace(
            name="inkling",
            efforts=("minimal", "low", "medium", "high", "xhigh", "max"),
            thinks_always=True,
        ),
        _THINKING_WEIGHTS._replace(name="grok", media=_TEXT_ONLY, efforts=("low", "medium", "high", "xhigh")),
        _OPEN_WEIGHTS._replace(name="thinking-open-weights", media=_TEXT_ONLY, json_schema=False, thinks_always=True),
        _ALTERNATING._replace(prefill=False, media=_TEXT_ONLY),
        _ALTERNATING._replace(name="open-weights-vision", json_schema=False, calls_as_text=True),
        _ALTERNATING._replace(name="llama-4", prefill=False),
        _ALTERNATING._replace(
            name="open-weights-unproven",
            media=_TEXT_ONLY,
            json_schema=False,
            call_ids="[a-zA-Z0-9]{9}",
        ),
    )
}
"""All rows by their names."""


def family_of(model: str, override: str | None = None) -> Family:
    """Return the row for an endpoint: the row that its name identifies, or `GENERIC`.

    Args:
        model: Name of the serving endpoint or model service.
        override: The row's name, from ``family=``.

    Returns:
        The row.

    Raises:
        ValueError: If ``override`` is not the name of a row.
    """
    if override is not None:
        row = FAMILIES.get(override)
        if row is None:
            raise ValueError(f"Unknown family {override!r}. Known families: {', '.join(sorted(FAMILIES))}.")
        return row
    name = row_name(model)
    return GENERIC if name is None else FAMILIES[name]
