"""Tell a refusal that holds for every call of an endpoint from one that may hold for a single call.

Rule 1. A refusal holds for every call if each of its sentences is one that servers are known to write (docs/wire.md),
to its last word. Any other text may name a condition ("when stream is true", "above 0.2", "for user a"), or retell a
prompt ("Off-topic: the user asks why temperature is not supported").
Rule 2. A word before "model" or "endpoint" must be one that every call of an endpoint shares: "the streaming API" and
"this thinking model" tell calls apart.
Rule 3. "Invalid parameter: 'temperature'" may be about the value, so it does not hold for every call.
"""

from __future__ import annotations

import re

from langchain_dbchat.dialects.shared.request.refusal_words import EXTRA, GIVEN, NAMES, NOT, NOUN, REFUSES
from langchain_dbchat.models.names import FIRST_WORDS

__all__ = ["holds_for_every_call"]

_FAMILY = (
    rf"(?:databricks-|\w+[./]){{0,5}}(?:{FIRST_WORDS})"
    r"(?:[\w.:@-]*\d[\w.:@-]*)?"
)
_SHARED = (
    r"(?:chat|chosen|current|deployed|embedding|external|foundation|given|(?:model )?serving|requested|selected|served"
    rf"|specified|target|underlying|upstream|databricks|{_FAMILY})"
)
_MODEL = (
    rf"(?:(?:this|the) (?:{_SHARED} )?(?:model|endpoint|api|server|provider|deployment)"
    rf"|databricks(?: foundation model apis?| model serving)?|['\"`]?{_FAMILY}['\"`]?)"
)
# A name without quotes has a capital letter, a digit or a mark (Llama, gpt-5, my_model); "streaming" is not a name.
_NAMED = (
    r"(?:(?:this|the) )?(?:model|endpoint)(?:(?:: ?|=)['\"`]?[\w./:@-]+['\"`]?| ['\"`][\w./:@-]+['\"`]"
    r"| (?:(?-i:[A-Z])|\w+[\d./:@_-])[\w./:@-]*)"
)
_WHERE = rf"(?:,? (?:for|with|by|on|in|at) (?:{_MODEL}|{_NAMED}))?"
_LEAD = (
    r"(?:(?:bad request|(?:malformed |invalid )?(?:input )?request|invalid_argument|json|#"
    r"|the model returned the following errors|failed to deserialize the json body into the target type"
    r"|an error occurred \(\w+\) when calling the \w+ operation|(?:invalid|unsupported) (?:parameter|argument|value)"
    r"|[\w.]{0,60}(?:error|exception)(?: code: \d+)?)(?::| -) ?){0,4}"
)
_UNKNOWN = (
    r"(?:unknown|unrecognized|unexpected|unsupported|extra|extraneous)"
    r"(?: (?:body|generation|inference|input|json|model|query|sampling))?"
)
_NO = (
    r"(?:(?:is|are|was|were) (?:currently )?"
    rf"(?:{NOT}|not (?:available|accepted|recognized)|unsupported|unknown|unexpected|deprecated|no longer supported)"
    rf"|is not an? (?:supported|valid|recognized|known|allowed) {NOUN}"
    r"|(?:cannot|can't|can not|may not|must not) be (?:set|used|specified|given)"
    rf"|{NOT})"
)
_FOLLOWS = rf"(?: at ['\"][\w.\[\]]*['\"]| at line \d+ column \d+)?(?:: cannot find field| {_NO})?"
_TYPE = (
    r"['\"`]?(?:response_format|tool_choice|text|output_config)[\w.]*['\"`]?"
    r"(?:: ['\"`][\w-]+['\"`]| of type ['\"`]?[\w-]+['\"`]?)"
)
_WHOSE = r"(?:(?:after the optional system message, )?conversation |chat message input )?"
_GROQ = r"'messages\.\d+' ?: for 'role:\w+' the following must be satisfied"
_REFUSALS = (
    # tools.0.custom.strict: Extra inputs are not permitted -- and pydantic's [type=extra_forbidden, ...]
    rf"{NAMES}(?::| -)? {EXTRA}(?: \[type=[^\]]*\])?",
    rf"{EXTRA}: {NAMES}",
    # Unknown parameter: 'x' -- json: unknown field "x" -- got an unexpected keyword argument 'x'
    # Unknown name "x" at 'generation_config': Cannot find field -- extraneous key [x] is not permitted
    rf"(?:(?:[\w.]+\(\) )?got an )?{_UNKNOWN} {NOUN}{GIVEN}:? {NAMES}{_FOLLOWS}",
    # MLflow: Error 'predict() got an unexpected keyword argument 'x''
    rf"error '[\w.]+\(\) got an unexpected keyword argument {NAMES}'",
    # Parameter 'x' is not supported with this model -- response_format.type: 'x' is not supported for this model
    rf"(?:the )?(?:following )?(?:{NOUN}:? )?(?:{NAMES}|{_TYPE}) (?:{NOUN} )?{_NO}",
    rf"{NAMES}: {_UNKNOWN} {NOUN}",
    # The model does not support the parameter `x` -- Model gpt-5 does not support x
    rf"(?:{_MODEL}|{_NAMED}) {REFUSES}(?: the)?(?: following)? {NOUN}:? {NAMES}",
    rf"(?:{_MODEL}|{_NAMED}) {REFUSES}(?: the(?: use of)?)? {NAMES}(?: {NOUN})?",
    # LiteLLM, with the name of its provider: vertex_ai does not support parameters: ['x'], for model=gpt-5
    rf"[\w.-]+ does not support parameters: {NAMES}, for (?:{_MODEL}|{_NAMED})",
    # Argument not supported on this model: x -- The following parameters are not supported: x, y
    rf"(?:the )?(?:following )?{NOUN} (?:is |are )?{NOT}{_WHERE}: {NAMES}",
    rf"additional properties are not allowed \({NAMES} (?:was|were) unexpected\)(?: - ['\"][\w.\[\]]+['\"])?",
    # Groq's words for the key of a message
    rf"{_GROQ}\[\('messages\.\d+' ?: property {NAMES} is unsupported(?:, did you mean '\w+'\?)?\)\]",
    # The lessons ROLES and PREFILL: Llama's and Mixtral's, Anthropic's, and those of chat templates
    rf"(?:messages: )?{_WHOSE}roles must alternate.*",
    rf"{_MODEL} does not support assistant message prefill",
    r"(?:the|this) conversation must end with a user message",
)
_ADDITIONS = (
    r"encountered an unexpected error while evaluating the model",
    r"\d+ validation errors? for [\w ]+",
    r"invalid json payload received",
    r"use ['\"`]?[\w.]+['\"`]? instead",
    r"please (?:remove|omit|leave out) (?:it|them|this|['\"`]?[\w.]+['\"`]?)(?: and try again)?",
    r"(?:please )?reformat your input and try again",
    r"(?:for further information |please )?(?:visit|see) https?://\S+(?: for more (?:information|details))?",
    r"only the default \([^)]*\) value is supported",
    # LiteLLM, on several lines
    r"to drop these, set ['\"`]?(?:litellm\.)?drop_params(?:=true)?['\"`]?(?: or for proxy:)?",
    r"['\"`]?litellm_settings:(?: drop_params: true['\"`]?)?",
    r"drop_params: true['\"`]?",
    r"if you want to use these params dynamically send allowed_openai_params=\[[^\]]*\] in your request",
)
_REFUSAL = re.compile(
    "|".join(
        rf"(?:{_LEAD}{pattern.replace('(?P<names>', '(?:')}{_WHERE}(?:, please reformat your input and try again)?)"
        for pattern in _REFUSALS
    ),
    re.IGNORECASE,
)
_ADDITION = re.compile("|".join(rf"(?:{_LEAD}{pattern})" for pattern in _ADDITIONS), re.IGNORECASE)
_SENTENCE_END = re.compile(r"(?<=[.!])\s+|[\n;]\s*")
_PYDANTIC = re.compile(r"\n\s+(?=extra |field )", re.IGNORECASE)
_ONLY_DEFAULT = re.compile(
    r"does not support \S+(?= with this model\. Only the default \([^)]*\) value is supported)", re.IGNORECASE
)
_LONGEST = 2_000  # the number of characters of a server's text that are searched


def holds_for_every_call(text: str, model: str) -> bool:
    """Return whether a refusal of a field holds for every call of the endpoint, and not for one call or caller alone.

    Args:
        text: The server's text, in which `refusals.refused_field` has found the field.
        model: The endpoint's name.

    Returns:
        True if every sentence of the text is known.
    """
    if len(text) > _LONGEST:
        return False
    text = _without_name(text, model) if model else text
    text = _ONLY_DEFAULT.sub("is not supported", _PYDANTIC.sub(": ", text))
    sentences = [sentence.strip(" .!") for sentence in _SENTENCE_END.split(text)]
    others = [sentence for sentence in sentences if not _REFUSAL.fullmatch(sentence)]
    return len(others) < len(sentences) and all(not other or _ADDITION.fullmatch(other) for other in others)


def _without_name(text: str, model: str) -> str:
    """Replace an endpoint's name by "this model", with its noun: "the model `x`", "endpoint 'x'", "model=x"."""
    before = r"(?:(?:the|this) )?(?:(?:model|endpoint)(?: |: ?|=))?['\"`(]?"
    after = r"['\"`)]?(?: (?:model|endpoint)\b)?"
    return re.sub(rf"(?<![\w.-]){before}{re.escape(model)}(?![\w-]){after}", "this model", text, flags=re.IGNORECASE)
