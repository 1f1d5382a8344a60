"""The LangChain profiles of the models that Databricks itself serves: one row for each model.

Rule 1. LangChain reads a profile (`create_agent` for the provider's structured output, `SummarizationMiddleware` for
the size of the context window); this package itself reads only `families`. So an outdated profile does not break a
call.
Rule 2. What is not known is left out and never guessed: a missing key means "not documented", False means "no".
Rule 3. ``structured_output`` means more than support of JSON schemas, because an agent then sends a ``response_format``
together with its tools, and may stream. Claude refuses that, GLM 5.2 never calls a tool then, and Gemini before 3 does
not accept a schema together with tools. Their value is False, so that an agent sends the schema as a tool.
Rule 4. If sources contradict each other, the value is left out. Sources, as of November 2026: Databricks' pages on
supported models, reasoning and structured outputs; LiteLLM 1.106.2 (October 2026) for exact limits; calls measured on
the service in August 2026. They do not document PDFs for a particular model, and audio and video for Gemini only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from langchain_dbchat.models.families import family_of

if TYPE_CHECKING:
    from langchain_core.language_models import ModelProfile


class _ProfileRow(NamedTuple):
    """What is known about one model; None and ``?`` mean not known."""

    model: str
    """The name without ``databricks-`` or ``system.ai.``."""

    context: int | None
    """Maximum number of input tokens."""

    output: int | None
    """Maximum number of output tokens."""

    inputs: str
    """Accepted inputs besides text: ``image``, ``audio``, ``video``, or ``text`` for text only. What is not listed is
    not accepted or, with a ``?``, not known."""

    tools: Literal["forced", "unforced", "yes", "no", "?"]
    """Whether it calls tools, and whether it can be forced to; ``yes`` if it is not known whether it can be forced."""

    schema: bool | None
    """Whether it follows a JSON schema while tools are bound and the answer is streamed."""

    reasoning: str
    """``no``, ``yes`` (it reasons, without levels), ``?``, or its effort levels, the default with a star."""

    temperature: bool | None
    """Whether it accepts a temperature."""

    status: Literal["active", "preview", "retired"] = "active"
    """The phase of its life cycle; endpoints of a retired model do not answer any more."""

    image_output: bool = False
    """Whether it answers with images."""


_ADAPTIVE = "low medium high xhigh max"
_GPT_5_2 = "none low medium high xhigh"
_GEMINI = "image audio video"

_ROWS: tuple[_ProfileRow, ...] = (
    # model, context, output, inputs, tools, schema, reasoning, temperature
    _ProfileRow("claude-opus-5-5", 1_000_000, 128_000, "image", "unforced", False, _ADAPTIVE, False),
    _ProfileRow("claude-opus-5", 1_000_000, 128_000, "image", "forced", False, _ADAPTIVE, False),
    _ProfileRow("claude-sonnet-5", 1_000_000, 128_000, "image", "forced", False, _ADAPTIVE, False),
    _ProfileRow("claude-fable-5-1", 1_000_000, 128_000, "image", "unforced", False, _ADAPTIVE, False),
    _ProfileRow("claude-fable-5", 1_000_000, 128_000, "text", "forced", False, _ADAPTIVE, False),
    _ProfileRow("claude-opus-4-8", 1_000_000, 128_000, "image", "forced", False, _ADAPTIVE, False),
    _ProfileRow("claude-opus-4-7", 1_000_000, 128_000, "image", "forced", False, _ADAPTIVE, False),
    # The levels of 4.6 are documented nowhere for Databricks; up to 4.5 there are budgets and no levels.
    _ProfileRow("claude-opus-4-6", 1_000_000, 128_000, "image", "forced", False, "yes", True),
    _ProfileRow("claude-sonnet-4-6", 1_000_000, 64_000, "image", "forced", False, "yes", True),
    _ProfileRow("claude-opus-4-5", 200_000, 64_000, "image", "forced", False, "yes", True),
    _ProfileRow("claude-sonnet-4-5", 200_000, 64_000, "image", "forced", False, "yes", True),
    _ProfileRow("claude-haiku-4-5", 200_000, 64_000, "image", "forced", False, "yes", True),
    _ProfileRow("claude-opus-4-1", 200_000, 32_000, "image", "forced", False, "yes", True),
    _ProfileRow("claude-opus-4", 200_000, 32_000, "image", "forced", False, "yes", True),
    _ProfileRow("claude-sonnet-4", 200_000, 64_000, "image", "forced", False, "yes", True, "retired"),
    _ProfileRow("claude-3-7-sonnet", 200_000, None, "image", "forced", False, "yes", True, "retired"),
    # GPT 6 Sol, 5.5 Pro and 5.3 Codex answer on the Responses API only; whether GPT 6 and 5.4 take tools on chat
    # completions is contradictory. The levels of 6 Sol, 6 Luna and 5.3 Codex are not documented.
    _ProfileRow("gpt-6-astra", 1_050_000, 128_000, "image", "?", True, _ADAPTIVE, False),
    _ProfileRow("gpt-6-sol", None, None, "image", "?", None, "yes", False),
    _ProfileRow("gpt-6-luna", None, None, "image", "?", True, "yes", False),
    _ProfileRow("gpt-5-6-sol", 922_000, 128_000, "image", "forced", True, _GPT_5_2, False),
    _ProfileRow("gpt-5-6-terra", 922_000, 128_000, "image", "forced", True, _GPT_5_2, False),
    _ProfileRow("gpt-5-6-luna", 922_000, 128_000, "image", "forced", True, _GPT_5_2, False),
    _ProfileRow("gpt-5-5", 922_000, 128_000, "image", "forced", True, _GPT_5_2, False),
    _ProfileRow("gpt-5-5-pro", 922_000, 128_000, "image", "?", None, "medium high xhigh", False),
    _ProfileRow("gpt-5-4", 922_000, 128_000, "image", "?", True, _GPT_5_2, False),
    _ProfileRow("gpt-5-4-mini", 272_000, 128_000, "image", "forced", True, _GPT_5_2, False),
    _ProfileRow("gpt-5-4-nano", 272_000, 128_000, "image", "forced", True, _GPT_5_2, False),
    _ProfileRow("gpt-5-3-codex", 272_000, 128_000, "image", "?", None, "yes", False),
    _ProfileRow("gpt-5-2", 272_000, 128_000, "image", "forced", True, _GPT_5_2, False),
    _ProfileRow("gpt-5-1", 272_000, 128_000, "image", "forced", True, "none* low medium high", False),
    _ProfileRow("gpt-5", 272_000, 128_000, "image", "forced", True, "minimal* low medium high", False),
    _ProfileRow("gpt-5-mini", 272_000, 128_000, "image", "forced", True, "minimal* low medium high", False),
    _ProfileRow("gpt-5-nano", 272_000, 128_000, "image", "forced", True, "minimal* low medium high", False),
    # Of Gemini 4 Carbon little more than the name is documented.
    _ProfileRow("gemini-4-carbon", None, None, _GEMINI, "?", None, "yes", None),
    _ProfileRow("gemini-3-8-flash", 1_048_576, 65_536, _GEMINI, "forced", True, "low medium high", False),
    _ProfileRow("gemini-3-7-flash", 1_048_576, 65_536, _GEMINI, "forced", True, "low medium high", False),
    _ProfileRow("gemini-3-6-flash", 1_048_576, 65_536, _GEMINI, "forced", True, "low medium high", False),
    _ProfileRow("gemini-3-5-flash", 1_048_576, 65_536, _GEMINI, "forced", True, "low medium high", True),
    _ProfileRow("gemini-3-5-flash-lite", 1_048_576, 65_536, _GEMINI, "forced", True, "low medium high", False),
    _ProfileRow("gemini-3-1-pro", 1_048_576, 65_536, _GEMINI, "forced", True, "minimal low medium high", True),
    _ProfileRow("gemini-3-flash", 1_048_576, 65_536, _GEMINI, "forced", True, "low medium high", True),
    _ProfileRow("gemini-3-1-flash-lite", 1_048_576, 65_536, _GEMINI, "forced", True, "low medium high", True),
    _ProfileRow("gemini-3-1-flash-image", 131_072, 32_768, "image ?", "no", None, "?", None, image_output=True),
    _ProfileRow("gemini-3-pro-image", 65_536, 32_768, "image ?", "no", None, "?", None, image_output=True),
    _ProfileRow("gemini-3-pro", 1_048_576, 65_536, "image ?", "forced", True, "low medium high", True, "retired"),
    _ProfileRow("gemini-2-5-pro", 1_048_576, 65_536, _GEMINI, "forced", False, "yes", True, "retired"),
    _ProfileRow("gemini-2-5-flash", 1_048_576, 65_535, _GEMINI, "forced", False, "yes", True, "retired"),
    _ProfileRow("grok-4-6", 500_000, None, "text", "forced", None, "low medium high xhigh", None),
    # GLM 5.3 supports JSON schemas. It is not measured whether it calls tools with one; GLM 5.2 does not.
    _ProfileRow("glm-5-3", 1_048_576, 65_536, "text", "forced", None, "low high max*", None),
    _ProfileRow("glm-5-3-flash", 1_048_576, 131_072, "image", "forced", None, "low high max*", None),
    _ProfileRow("glm-5-2", 1_000_000, 131_072, "text", "forced", False, "none high max*", True),
    _ProfileRow("kimi-k3", 1_000_000, 1_048_576, "image", "forced", None, "none low high max*", False),
    _ProfileRow("kimi-k2-7-code", None, None, "?", "forced", None, "yes", None),
    _ProfileRow("deepseek-v4-1-flash", 1_000_000, 393_216, "text", "forced", None, "none low high xhigh max*", None),
    _ProfileRow("deepseek-v4-flash-0731", 1_000_000, 393_216, "text", "forced", None, "none low high xhigh max", None),
    _ProfileRow("deepseek-v4-pro-0813", 1_000_000, 393_216, "text", "forced", None, "none low high xhigh max", None),
    _ProfileRow("inkling", 1_000_000, None, "image", "forced", None, "minimal low medium high xhigh max", None),
    # Sources differ on the output of Qwen 3.5 and gpt-oss; LiteLLM documents Llama's as the whole context, which is not
    # a limit.
    _ProfileRow("qwen35-122b-a10b", 262_144, None, "text", "forced", None, "yes", None, "preview"),
    _ProfileRow("qwen3-next-80b-a3b-instruct", None, None, "text", "forced", None, "no", True, "preview"),
    _ProfileRow("gpt-oss-120b", 131_072, None, "text", "yes", True, "low medium* high", True),
    _ProfileRow("gpt-oss-20b", 131_072, None, "text", "yes", True, "low medium* high", True),
    _ProfileRow("llama-4-maverick", 128_000, None, "image", "yes", True, "no", True),
    _ProfileRow("meta-llama-3-3-70b-instruct", 128_000, None, "text", "forced", True, "no", True),
    _ProfileRow("meta-llama-3-1-8b-instruct", 128_000, None, "text", "yes", True, "no", True),
    _ProfileRow("meta-llama-3-1-405b-instruct", 128_000, None, "text", "forced", True, "no", True, "retired"),
    # Gemma writes its tool calls as text.
    _ProfileRow("gemma-3-12b", 128_000, 32_000, "image", "no", None, "no", True),
)
"""Every chat model whose capabilities are documented, retired ones as far as their limits are known."""

_BY_MODEL = {row.model: row for row in _ROWS}
_PREFIXES = ("databricks-", "system.ai.")


def profile_of(model: str) -> ModelProfile | None:
    """Return the profile of a model.

    Args:
        model: Name of the serving endpoint (``databricks-*``) or model service (``system.ai.*``).

    Returns:
        A new profile, which the caller may change; None if the name is unknown or not one of Databricks.
    """
    for prefix in _PREFIXES:
        row = _BY_MODEL.get(model.removeprefix(prefix)) if model.startswith(prefix) else None
        if row is not None:
            profile: ModelProfile = {"status": row.status, "text_inputs": True}
            _add_inputs(profile, row, image_urls=family_of(model).image_urls)
            _add_outputs(profile, row)
            _add_tools(profile, row)
            return profile
    return None


def _add_inputs(profile: ModelProfile, row: _ProfileRow, *, image_urls: bool) -> None:
    kinds = row.inputs.split()
    if row.context is not None:
        profile["max_input_tokens"] = row.context
    if "image" in kinds or "?" not in kinds:
        profile["image_inputs"] = "image" in kinds
    if not image_urls or profile.get("image_inputs") is False:
        profile["image_url_inputs"] = False
    if "audio" in kinds or "?" not in kinds:
        profile["audio_inputs"] = "audio" in kinds
    if "video" in kinds or "?" not in kinds:
        profile["video_inputs"] = "video" in kinds


def _add_outputs(profile: ModelProfile, row: _ProfileRow) -> None:
    if row.output is not None:
        profile["max_output_tokens"] = row.output
    if not row.image_output:
        profile["text_outputs"] = True  # for the image models, only the images in their answers are documented
    profile["image_outputs"] = row.image_output
    if row.temperature is not None:
        profile["temperature"] = row.temperature
    if row.reasoning == "?":
        return
    profile["reasoning_output"] = row.reasoning != "no"
    if row.reasoning in {"yes", "no"}:
        return
    profile["reasoning_effort_levels"] = row.reasoning.replace("*", "").split()
    for level in row.reasoning.split():
        if level.endswith("*"):
            profile["reasoning_effort_default"] = level[:-1]


def _add_tools(profile: ModelProfile, row: _ProfileRow) -> None:
    if row.tools != "?":
        profile["tool_calling"] = row.tools != "no"
    if row.tools in {"forced", "unforced"}:
        profile["tool_choice"] = row.tools == "forced"
    if row.schema is not None:
        profile["structured_output"] = row.schema
