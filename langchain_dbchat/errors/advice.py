"""Choose what the user can do about a refusal by the server's words, in one table, after the class is known.

Rule 1. A row has a pattern of words, the classes of errors for which it counts, and the advice in terms of this
library. The first row that fits is taken, so more specific rows are above more general ones. Where no row fits, the
advice of the status stays.
Rule 2. The caller's words that a server quotes do not choose a row: quoted sentences are cut out first
(`without_quotes`).
Rule 3. The advice about an unknown field counts only if the server names the field.
Rule 4. An error of an external model's provider is mostly for the endpoint's owner to fix (`PROVIDER_ADVICE`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from langchain_dbchat.errors import (
    DatabricksAPIError,
    DatabricksAuthenticationError,
    DatabricksError,
    DatabricksInvalidRequestError,
    DatabricksNotFoundError,
    DatabricksPermissionDeniedError,
    DatabricksProviderAuthenticationError,
    DatabricksRateLimitError,
    DatabricksTimeoutError,
    MalformedResponseError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PROVIDER_ADVICE", "QUOTA", "named_field", "special_advice", "without_quotes"]

Kinds = frozenset[type[DatabricksError]]

# Quoted sentences; not the values of a quoted dict ('message': 'prompt is too long'), which are the server's own words.
# Each alternative looks for white space before it reads on, so that no text is read twice.
_QUOTES = re.compile(
    r"(?<![\w'\"])(?<!['\"]:)(?<!['\"]:\s)(?:'(?=[^'\s]*\s)[^'\n]*(?:\n[^'\n]*)?'"
    r"|\"(?=[^\"\s]*\s)[^\"\n]*(?:\n[^\"\n]*)?\")(?!\w)"
)
_LOOKED_AT = 8_000  # characters of the server's words; their beginning says what a refusal is about
_FIELD = r"[A-Za-z_]\w*(?:(?:\.|\[)\w+\]?)*"
_NAMED_FIELDS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        (
            rf"(?:unknown|unrecognized|unexpected|unsupported|invalid) (?:field|name|parameter|argument|key|property|"
            rf"keyword argument|request argument(?: supplied)?)s?\W{{1,4}}({_FIELD})"
        ),
        rf"(?:^|[\s'\"`])({_FIELD})['\"`]?: extra inputs are not permitted",
        rf"additional propert(?:y|ies) (?:is|are) not allowed \W*({_FIELD})",
        (
            rf"['\"`]({_FIELD})['\"`] (?:was unexpected|(?:is|are) not supported|does not support|is not allowed|"
            "is deprecated)"
        ),
        rf"supports? (?:the )?['\"`]?({_FIELD})['\"`]? (?:parameter|field|argument)",
        rf"(?:^|[:;.]\s)({_FIELD}) (?:is|are) not supported (?:by|with|for) (?:this|the) (?:model|endpoint)",
    )
)
# What a model as a whole may not take: the rows of the table say more about it than that a field is refused.
_KINDS = frozenset({"tools", "tool", "functions", "image", "images", "audio", "video", "embeddings", "messages"})
_BAD: Kinds = frozenset({DatabricksInvalidRequestError})
_MISSING: Kinds = frozenset({DatabricksNotFoundError})
_DENIED: Kinds = frozenset({DatabricksPermissionDeniedError, DatabricksAuthenticationError})
_BROKEN: Kinds = frozenset({DatabricksAPIError, DatabricksTimeoutError})


@dataclass(frozen=True, slots=True)
class _Advice:
    words: re.Pattern[str]
    kinds: Kinds
    advice: str


def _row(words: str, advice: str, *kinds: Kinds) -> _Advice:
    return _Advice(re.compile(words, re.IGNORECASE), frozenset().union(*kinds or (_BAD,)), advice)


QUOTA = "The account has no quota or credit left: waiting does not help. Ask its owner to raise the quota."
_TABLE: tuple[_Advice, ...] = (
    # The wrong kind of endpoint (docs/wire.md, 6.2; unity-gateway; dbdemos #97).
    _row(
        r"responses api passthrough is not supported|(?:does not|doesn't|not) support(?:ed)? (?:by )?(?:the "
        r")?responses",
        "{endpoint} does not offer the Responses API. Leave api= out, or set api='chat'.",
        _BAD, _MISSING,
    ),
    _row(
        r"(?:use|only supported in|only available (?:in|through|via)|call|try) (?:the )?[`'\"]?(?:openai )?(?:/?v1/"
        r"|/serving-endpoints/)?responses\b|responses api(?: only| is required| instead)|only supports? (?:the "
        r")?responses|in v1/responses and not in",
        "The model of {endpoint} answers this on the Responses API only. Leave api= out, or set api='responses'; "
        "where only tools with reasoning are refused, reasoning_effort='none' lets chat completions through.",
        _BAD, _MISSING,
    ),
    _row(
        r"missing required embeddings? parameter|embeddings? (?:model|endpoint|task)|llm/v1/embeddings|is an "
        r"embeddings?\b|(?:does not|doesn't|not) support(?:ed)? (?:the )?(?:chat|chat "
        r"completions?)\b.{0,80}embedding|requires? 'input'",
        "{endpoint} makes embeddings. Use DatabricksEmbeddings for it, or name a chat endpoint as model.",
        _BAD, _MISSING,
    ),
    _row(
        r"missing required chat parameter|is a chat (?:model|endpoint)|llm/v1/chat|(?:does not|doesn't|not) "
        r"support(?:ed)? (?:the )?(?:creating |operation )?embed|embeddings? (?:is|are) not supported",
        "{endpoint} is a chat endpoint. Use ChatDatabricksCompat for it, or name an embedding endpoint as model.",
        _BAD, _MISSING,
    ),
    _row(
        r"not a chat model|llm/v1/completions|(?:use|did you mean to use) (?:the )?(?:v1/)?completions\b|only "
        r"supports? (?:the )?completions|does not support (?:the )?(?:chat|messages)\b|missing required "
        r".{0,20}parameter: 'prompt'",
        "The model of {endpoint} does not answer chat completions. Name an endpoint with the task llm/v1/chat; "
        "list_endpoints() shows each endpoint's task.",
        _BAD, _MISSING,
    ),
    _row(
        r"agent/v\d/|dataframe_(?:split|records)|signature_?enforcement|model signature|schema enforcement|failed "
        r"to enforce schema|one of .{0,40}'?(?:inputs|instances)'?|responsesagent",
        "{endpoint} serves an agent or a model of your own with another request format. Leave api= out, or set "
        "api='responses' for a ResponsesAgent and api='agent' for a ChatAgent: list_endpoints() shows the endpoint's "
        "task, and the Serving page its example request.",
    ),
    # The conversation (deepagents #1585; instructor #691, litellm #6257).
    _row(
        r"must end with a user message|assistant message prefill|(?:last|final) message must (?:be|have|come)"
        r"|prefill(?:ing)? (?:is |assistant )?.{0,30}not (?:be )?(?:supported|allowed)|cannot end with an? assistant",
        "The conversation ends with an AIMessage, and this model does not continue one. Let the last message be a "
        "HumanMessage or a ToolMessage.",
    ),
    _row(
        r"roles? must alternate|alternate between .{0,20}user|consecutive .{0,20}(?:messages|roles)|first message "
        r"must (?:be|use)",
        "The roles of the messages have to alternate, beginning with a HumanMessage after an optional "
        "SystemMessage. Join neighbours of one role (merge_message_runs of langchain-core does), or set family= if "
        "{endpoint} is not recognised.",
    ),
    _row(
        r"tool_(?:use|call)s?\b.{0,120}(?:without|must be followed|did not have|missing).{0,60}(?:tool_result"
        r"|response|tool messages?)|(?:tool_result|role 'tool'|tool_call_id).{0,120}(?:unexpected|must be a response"
        r"|not found|preceding)",
        "Every tool call of an AIMessage needs one ToolMessage with its id right behind it, and no ToolMessage may "
        "stand alone. If the history was cut, cut it in front of a HumanMessage (trim_messages with "
        "start_on='human').",
    ),
    _row(
        r"system (?:messages?|prompts?|roles?|instructions?)(?: \w+){0,2} (?:is |are )?not (?:supported|allowed"
        r"|accepted)|(?:does not|doesn't) support (?:a |the )?['`\"]?system\b",
        "This model takes no SystemMessage. Put its text at the beginning of the first HumanMessage.",
    ),
    # Tools and schemas (OpenAI function calling guide; langchain #37756).
    _row(
        r"(?:tools?|function[ _]call\w*).{0,80}(?:response_format|json_?schema|structured output|json "
        r"mode).{0,80}(?:not|cannot|both|together|unsupported)|(?:response_format|json_?schema|structured "
        r"output).{0,80}(?:not|cannot).{0,60}tools?\b",
        "This model does not take tools and a response format in one call. Use with_structured_output(..., "
        "method='function_calling'), or call once with tools and once for the structure.",
    ),
    _row(
        r"parallel[_ ]tool[_ ](?:calls?|use)",
        "This endpoint does not take parallel_tool_calls: leave it out of bind_tools.",
    ),
    _row(
        r"(?:response_format|json_schema|json_object|json mode|structured outputs?|output_format)(?: \w+){0,4} "
        r"(?:is |are )?not (?:supported|available|allowed)|(?:does not|doesn't|not) support(?:ed)? (?:the "
        r")?['`\"]?(?:response_format|json|structured)",
        "This model does not take that response format. Use with_structured_output(..., method='function_calling').",
    ),
    _row(
        r"too many tools|(?:tools?|functions?).{0,40}(?:maximum|at most|limit|exceed|too long)|maximum (?:number"
        r"|length).{0,20}(?:tools|functions)|array too long.{0,60}tools",
        "Bind fewer tools: pass bind_tools only those that this step needs, or split them among several agents.",
    ),
    _row(
        r"(?:tools?|functions?|name).{0,100}(?:match|pattern|regex).{0,40}\^?\[a-z|invalid (?:tool|function) name"
        r"|name.{0,40}string does not match pattern",
        "A tool's name may contain letters, digits, underscores and hyphens only, at most 64 of them. Rename the tool.",
    ),
    _row(
        r"(?:invalid|unsupported|bad).{0,20}(?:json )?schema|schema.{0,80}(?:invalid|not supported|not permitted"
        r"|must|required to be)|input_schema|additionalproperties.{0,60}(?:false|required|supplied)"
        r"|function_declarations|tool parameters",
        "The schema of a tool or of the structured output is not accepted as the server says. Simplify it (plain "
        "types, an object at the root), or leave strict=True out.",
    ),
    _row(
        r"enable-auto-tool-choice|tool[- ]call[- ]parser|(?:tools?|function calling|tool (?:use|choice|calling)) "
        r"(?:is |are )?not (?:supported|enabled|available)|does not support (?:tools?|function|tool)\b",
        "The model of {endpoint} does not take tools in this call. Use a model with tools, or "
        "with_structured_output(..., method='json_schema') if a structure is all that is needed.",
    ),
    # Contents.
    _row(
        r"(?:image|vision|multi-?modal|image_url|audio|video|file|document|pdf)\w{0,20}(?: \w+){0,3} (?:is |are )?"
        r"(?:not|n't) (?:supported|allowed|accepted|permitted)|(?:does not|doesn't|not|cannot) (?:support|accept"
        r"|process|take)(?:ed)? (?:any )?(?:image|vision|multi-?modal|audio|video|file|document|pdf)|at most 0 image"
        r"|is not a multimodal model",
        "The model of {endpoint} does not take this kind of content. Send text, or name a model that takes it.",
    ),
    # Values. The more special ones first.
    _row(
        r"reasoning[_. ]?effort|reasoning effort|\beffort\b.{0,60}(?:not|unsupported|invalid)|thinking\.(?:type"
        r"|budget)|budget_tokens",
        "This model does not take that value: change reasoning_effort= or thinking= to one that the server names, "
        "or leave it out for the model's default.",
    ),
    _row(
        r"max_(?:completion_|output_|new_)?tokens|maxoutputtokens|output token|completion tokens",
        "The limit of the answer is out of range for this model: set max_tokens= to a value that the server names, "
        "or leave it out.",
    ),
    _row(
        r"\bn\b['\"`]?\W{1,6}(?:> ?1|greater than|must be 1|is not supported|should be)|n>1|number of choices|only "
        r"one (?:choice|completion|candidate)|multiple (?:choices|candidates|completions)|candidate_?count",
        "This endpoint gives one answer per call: leave n out, and use batch() for several answers.",
    ),
    _row(
        r"\bstop(?:_sequences?|sequences?)?\b.{0,80}(?:not|must|invalid|too|at most|maximum|whitespace|empty"
        r"|unsupported)|(?:unsupported|unknown|invalid) (?:parameter|value|argument)\W{1,4}stop\b",
        "Change stop=: this model takes few stop sequences, each with a character that is not white space, or none "
        "at all. Without it, cut the answer's text yourself.",
    ),
    _row(
        r"temperature|top_p|top_k|presence_penalty|frequency_penalty|seed|logprobs|logit_bias",
        "Change that setting to a value that the server names, or leave it out: many reasoning models take no sampling "
        "settings.",
    ),
    # The endpoint and the workspace.
    _row(
        r"\bapp\b.{0,80}(?:does not exist|not found|is deleted)",
        "Check the name of the app; `databricks apps list` shows those that exist.",
        _MISSING,
    ),
    _row(
        r"authorization[_ ]details",
        "The token was not issued for {endpoint}. Set DATABRICKS_HOST to the workspace of this route-optimized "
        "endpoint, so that a token of the endpoint can be requested there, and check that the caller has CAN QUERY on "
        "it; credentials came from: {auth}.",
        _DENIED, _BAD,
    ),
    _row(
        r"route[- ]optimi[sz]",
        "{endpoint} is route-optimized and answers at its own URL only. Give that URL as host=...: the endpoint's page "
        "shows it, and its description in the REST API has it as endpoint_url.",
        _BAD, _MISSING, _DENIED, _BROKEN,
    ),
    _row(r"credit balance|insufficient (?:quota|credits?|funds|balance)|billing|payment required", QUOTA),
    _row(
        r"deprecat|retired|end[- ]of[- ]life|no longer (?:available|supported|served)|decommission|has been "
        r"(?:removed|shut down)|sunset",
        "The model behind {endpoint} has been retired. Name a current model; list_endpoints() shows those that exist.",
        _BAD, _MISSING, _BROKEN,
    ),
    _row(
        r"ip (?:access list|acl|address)|source ip|ip .{0,40}(?:blocked|not allowed|is not in)|network policy|private "
        r"(?:link|access)|public (?:network )?access",
        "The network refuses this machine, not the caller: call from a network that the workspace's IP access list, "
        "network policy or private link allows, or ask its administrator.",
        _DENIED, _BAD,
    ),
    _row(
        r"(?:required|missing|insufficient|does not have).{0,30}scopes?\b|scopes?\b.{0,30}(?:required|missing"
        r"|insufficient)|insufficient_scope",
        "The token lacks a scope. Sign in with one that has it (model-serving, or all-apis); credentials came from: "
        "{auth}.",
        _DENIED, _BAD,
    ),
    _row(
        r"not (?:enabled|available|supported|allowed) (?:in|for|on) (?:this|your|the) (?:workspace|region|account"
        r"|cloud)|(?:workspace|region|account).{0,60}(?:not enabled|not available|not supported|does not support"
        r"|disabled)|cross-geo|(?:is|are) (?:disabled|not enabled)\b",
        "The workspace or its region does not offer this. Ask an administrator to enable it (Foundation Model APIs, "
        "AI gateway, cross-geography processing), or name an endpoint that the workspace has.",
        _BAD, _MISSING, _DENIED, _BROKEN,
    ),
    _row(
        r"scal(?:ing|ed) (?:up|from|to zero)|starting up|warming|not ready|not (?:yet )?in (?:a )?ready|is (?:being "
        r")?(?:updat|creat|start)|loading|cold start",
        "{endpoint} is starting. Wait some minutes and call again, with a larger timeout= or retry_deadline=; its "
        "state is on the Serving page.",
        _BAD, _MISSING, _BROKEN,
    ),
    _row(
        r"(?:endpoint|cluster|served (?:entity|model)|deployment).{0,60}(?:is |was |in )?(?:stopped|terminated"
        r"|paused|disabled|suspended|failed)|state(?: is)?:? (?:stopped|terminated|failed)",
        "{endpoint} or what it serves is stopped. Start it on the Serving page, or ask its owner.",
        _BAD, _MISSING, _BROKEN, _DENIED,
    ),
)  # fmt: skip
_UNKNOWN_FIELD = (
    "This endpoint does not take {field!r}: leave it out, or drop it from each request with "
    "extra_body={{{field!r}: None}}."
)
_UNKNOWN_FIELD_WITHIN = "This endpoint does not take {field!r}: leave that part out of the messages, tools or settings."
_INSTEAD = re.compile(rf"use ['\"`]?({_FIELD})['\"`]? instead", re.IGNORECASE)
_UNKNOWN_WORDS = re.compile(
    r"unknown|unrecognized|unexpected|unsupported (?:parameter|field|argument|key)|extra inputs|additional propert"
    r"|not supported|not allowed|does not support .{0,60}(?:parameter|field|argument)|does not support(?: "
    r"parameter)? ['\"`]|is deprecated",
    re.IGNORECASE,
)
# Values of a field that is known: the field need not be left out.
_VALUE_WORDS = re.compile(
    r"\bvalues?\b|must be|between|out of range|at (?:most|least)|cannot exceed|greater than|less than|too (?:large"
    r"|small|high|low|long)|one of|\bexpected|larger than|maximum|minimum",
    re.IGNORECASE,
)

PROVIDER_ADVICE: Mapping[type[DatabricksError], str] = {
    DatabricksProviderAuthenticationError: (
        "The provider {provider} refuses the key that {endpoint} keeps for it. The endpoint's owner has to renew "
        "that key; your own credentials are not the cause."
    ),
    DatabricksPermissionDeniedError: (
        "The provider {provider} refuses what {endpoint} may do there: a right, a region or the key itself. The "
        "endpoint's owner has to fix it; if the words are about you, you need CAN QUERY on the endpoint."
    ),
    DatabricksNotFoundError: (
        "The provider {provider} does not have the model or deployment that {endpoint} is configured with. The "
        "endpoint's owner has to name another."
    ),
    DatabricksRateLimitError: (
        "This is the limit of the endpoint's account at the provider {provider}. Send fewer requests at once, wait "
        "as long as it asks, or ask the endpoint's owner for a higher limit."
    ),
    DatabricksAPIError: (
        "This is a failure of the provider {provider}, not of the workspace. Try again later, or use another endpoint."
    ),
    DatabricksTimeoutError: "The provider {provider} took too long. Stream the answer, or ask for a shorter one.",
    MalformedResponseError: "The provider {provider} did not answer as its API does. Ask the endpoint's owner.",
}
"""The advice for errors of an external model's provider, by class."""


def without_quotes(text: str) -> str:
    """Cut out the sentences that the server quotes, because they may be the caller's own words.

    Args:
        text: The server's words, of which the beginning is enough.

    Returns:
        The first 8,000 characters without what is quoted in them.
    """
    return _QUOTES.sub("''", text[:_LOOKED_AT])


def named_field(text: str) -> str | None:
    """Find the request's field that a refusal names as unknown.

    Args:
        text: The server's words.

    Returns:
        The field's name or path, such as ``seed`` or ``messages.1.name``.
    """
    return next((found[1] for pattern in _NAMED_FIELDS if (found := pattern.search(text[:_LOOKED_AT]))), None)


def special_advice(kind: type[DatabricksError], text: str, field: str | None) -> str | None:
    """Find the advice for a refusal by its words.

    Args:
        kind: The class of the error.
        text: The server's words.
        field: The field that the body names beside its words.

    Returns:
        The advice as a template; None if no row fits.
    """
    words = without_quotes(text)
    if kind is DatabricksInvalidRequestError:
        name = named_field(text) or field
        if (
            name
            and name not in _KINDS
            and _UNKNOWN_WORDS.search(words)
            and not _VALUE_WORDS.search(words)
            and not _kind_of_endpoint(words)
        ):
            row = _UNKNOWN_FIELD if name.isidentifier() else _UNKNOWN_FIELD_WITHIN
            other = _INSTEAD.search(text)
            more = f" It takes {other[1]!r} instead." if other else ""
            return (row.format(field=name) + more).replace("{", "{{").replace("}", "}}")
    return next((row.advice for row in _TABLE if kind in row.kinds and row.words.search(words)), None)


def _kind_of_endpoint(words: str) -> bool:
    """Return whether a refusal is about the API as a whole, although it names a field."""
    return any(row.words.search(words) for row in _TABLE[:2])
