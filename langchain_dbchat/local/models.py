"""The models of the workspace: the table of docs/wire.md, 8.1, 7; one row per model.

A row says what is different from its family (`families`). The endpoint ``databricks-<name>`` serves it on
``/serving-endpoints``, the same and ``system.ai.<name>`` on the gateway.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from langchain_dbchat.local import families

K = 1000
M = 1_000_000


@dataclass(frozen=True, slots=True)
class ServedModel:
    """One chat model."""

    name: str
    """Its name without ``databricks-`` or ``system.ai.``."""
    family: families.ServedFamily
    """Its family."""
    context: int
    """The greatest number of input tokens."""
    output: int | None
    """The greatest number of output tokens; None if not known."""
    vision: bool = True
    """Whether it accepts images."""
    budget: bool = False
    """Whether it accepts ``thinking: enabled`` with a budget (docs/wire.md, 2.3)."""
    adaptive: bool = False
    """Whether it accepts ``thinking: adaptive`` and ``output_config`` (docs/wire.md, 2.3)."""
    efforts: tuple[str, ...] = ()
    """The values of ``reasoning_effort`` it accepts; empty if it does not know the field (docs/wire.md, 2.3)."""
    always_reasons: bool = False
    """Whether it always reasons (docs/wire.md, 2.3)."""
    reasons_by_default: bool = False
    """Whether it reasons if the request does not mention reasoning (docs/wire.md, 2.3)."""
    sampling: bool = True
    """Whether it accepts ``temperature``, ``top_p`` and ``top_k`` (docs/wire.md, 2.2)."""
    limit_name: str = ""
    """The only field for the token limit: OpenAI's reasoning models refuse ``max_tokens`` (pydantic-ai #1205)."""
    stop: bool = True
    """Whether it accepts ``stop`` (docs/wire.md, 2.2)."""
    temperature_one: bool = False
    """Whether ``temperature``, ``top_p`` and ``top_k`` may be 1 where they are refused (Kimi K3, docs/wire.md, 2.2)."""
    tools: bool = True
    """Whether it accepts tools (docs/wire.md, 8.1)."""
    forced_tool: bool = True
    """Whether a tool may be forced (docs/wire.md, 2.2)."""
    tools_need_no_effort: bool = False
    """Whether tools on chat completions need ``reasoning_effort: none`` (docs/wire.md, 2.3)."""
    responses_only: bool = False
    """Whether it is served on the Responses API alone (docs/wire.md, 8.1)."""
    messages_only: bool = False
    """Whether it is served on Anthropic's Messages alone (docs/wire.md, 8.1)."""
    signs_history: bool = False
    """Whether its signature of reasoning is valid only after the same messages (docs/wire.md, 5.1)."""
    prefill: bool = True
    """Whether a conversation may end with the assistant (docs/wire.md, 2.5)."""
    cache_min: int = 1024
    """Fewest tokens that are cached (docs/wire.md, 8.1)."""
    audio_video: bool = False
    """Whether it accepts audio and video (docs/wire.md, 2.2)."""
    list_content: bool = False
    """Whether its content is a list even without reasoning (docs/wire.md, 3.3, row opus-5)."""
    leaks_tool_calls: bool = False
    """Whether calls end up in the text when thinking is disabled (docs/wire.md, 2.3, row opus-5)."""
    format_hides_tools: bool = False
    """Whether a ``response_format`` keeps it from ever calling tools (docs/wire.md, 2.2, row response_format)."""
    harmony: bool = False
    """Whether reasoning comes in Harmony's shape (docs/wire.md, 3.3, row gpt-oss)."""
    generates_images: bool = False
    """Whether its answers contain an image (docs/wire.md, 3.3)."""
    default_output: int | None = None
    """Output tokens when ``max_tokens`` is absent, where that is known (docs/wire.md, 2.2)."""
    retired: str = ""
    """The day it was retired; the workspace then serves it only with ``retired=True``."""

    @property
    def upstream(self) -> str:
        """Return the model name in its answers."""
        return self.family.upstream.format(name=self.name)


def claude(name: str, context: int, output: int, *, cache_min: int, style: str) -> ServedModel:
    """Return a Claude: ``style`` is ``budget``, ``both`` or ``adaptive``; the adaptive ones refuse sampling."""
    return ServedModel(
        name,
        families.CLAUDE,
        context,
        output,
        budget=style in {"budget", "both"},
        adaptive=style in {"adaptive", "both"},
        sampling=style != "adaptive",
        prefill=style == "budget",
        cache_min=cache_min,
    )


def unforced(model: ServedModel) -> ServedModel:
    """Return one of the newest Claudes: it always reasons, no tool can be forced, and it serves Messages only."""
    return replace(model, always_reasons=True, forced_tool=False, messages_only=True, signs_history=True)


def gpt(name: str, context: int, efforts: str) -> ServedModel:
    """Return a GPT. None accepts sampling or ``stop``; one without the effort ``none`` reasons by default."""
    words = tuple(efforts.split())
    return ServedModel(
        name,
        families.GPT,
        context,
        128 * K,
        efforts=words,
        sampling=False,
        stop=False,
        reasons_by_default="none" not in words,
    )


def gemini(name: str, efforts: str = "low medium high") -> ServedModel:
    """Return a Gemini that answers in text; without efforts it has budgets."""
    words = tuple(efforts.split())
    return ServedModel(name, families.GEMINI, M, 64 * K, efforts=words, budget=not words, audio_video=True)


LOW_TO_HIGH = ("low", "medium", "high")
GPT_6 = "low medium high xhigh max"
GPT_5 = "minimal low medium high"
GPT_5_4 = "none low medium high xhigh"
FULL = ("minimal", "low", "medium", "high", "xhigh", "max")

GROK = ServedModel(
    "grok-4-6", families.GROK, 500 * K, None, vision=False, efforts=(*LOW_TO_HIGH, "xhigh"), reasons_by_default=True
)
GLM = ServedModel("glm-5-3-flash", families.GLM, M, 128 * K, efforts=FULL, always_reasons=True)
DEEPSEEK = ServedModel(
    "deepseek-v4-flash-0731", families.DEEPSEEK, M, 384 * K, vision=False, efforts=("none", "disabled", *FULL),
    reasons_by_default=True,
)  # fmt: skip
GPT_OSS = ServedModel(
    "gpt-oss-120b", families.GPT_OSS, 131 * K, 131 * K, vision=False, efforts=LOW_TO_HIGH, reasons_by_default=True
)
LLAMA_8B = ServedModel("meta-llama-3-1-8b-instruct", families.LLAMA, 128 * K, 8192, vision=False)
"""A limit of 8192 was seen in an error that names no model (docs/wire.md, 6.2); it is attributed to this one."""

CHAT: tuple[ServedModel, ...] = (
    unforced(claude("claude-opus-5-5", M, 128 * K, cache_min=512, style="adaptive")),
    replace(claude("claude-opus-5", M, 128 * K, cache_min=512, style="adaptive"), list_content=True,
            leaks_tool_calls=True),
    claude("claude-sonnet-5", M, 128 * K, cache_min=1024, style="adaptive"),
    unforced(claude("claude-fable-5-1", M, 128 * K, cache_min=512, style="adaptive")),
    replace(claude("claude-fable-5", M, 128 * K, cache_min=512, style="adaptive"), always_reasons=True, vision=False),
    claude("claude-opus-4-8", M, 128 * K, cache_min=1024, style="adaptive"),
    claude("claude-opus-4-7", M, 128 * K, cache_min=2048, style="adaptive"),
    claude("claude-opus-4-6", M, 128 * K, cache_min=4096, style="both"),
    claude("claude-sonnet-4-6", M, 64 * K, cache_min=1024, style="both"),
    claude("claude-opus-4-5", 200 * K, 64 * K, cache_min=4096, style="budget"),
    claude("claude-sonnet-4-5", 200 * K, 64 * K, cache_min=1024, style="budget"),
    claude("claude-haiku-4-5", 200 * K, 64 * K, cache_min=4096, style="budget"),
    claude("claude-opus-4-1", 200 * K, 32 * K, cache_min=1024, style="budget"),
    claude("claude-opus-4", 200 * K, 32 * K, cache_min=1024, style="budget"),
    replace(claude("claude-sonnet-4", 200 * K, 64 * K, cache_min=1024, style="budget"), default_output=1000,
            retired="2026-10-09"),
    replace(claude("claude-3-7-sonnet", 200 * K, 64 * K, cache_min=1024, style="budget"), retired="2026-04-12"),
    gpt("gpt-6-astra", 1_050_000, GPT_6),
    replace(gpt("gpt-6-sol", 922 * K, GPT_6), responses_only=True),
    gpt("gpt-6-luna", 922 * K, GPT_6),
    replace(gpt("gpt-5-6-sol", 922 * K, GPT_5_4), tools_need_no_effort=True),
    replace(gpt("gpt-5-6-terra", 922 * K, GPT_5_4), tools_need_no_effort=True),
    replace(gpt("gpt-5-6-luna", 922 * K, GPT_5_4), tools_need_no_effort=True),
    replace(gpt("gpt-5-5", 922 * K, GPT_5_4), tools_need_no_effort=True),
    replace(gpt("gpt-5-5-pro", 922 * K, "medium high xhigh"), responses_only=True),
    replace(gpt("gpt-5-4", 922 * K, GPT_5_4), tools_need_no_effort=True),
    gpt("gpt-5-4-mini", 272 * K, GPT_5_4),
    gpt("gpt-5-4-nano", 272 * K, GPT_5_4),
    replace(gpt("gpt-5-3-codex", 272 * K, "low medium high xhigh"), responses_only=True),
    gpt("gpt-5-2", 272 * K, GPT_5_4),
    gpt("gpt-5-1", 272 * K, "none low medium high"),
    gpt("gpt-5", 272 * K, GPT_5),
    gpt("gpt-5-mini", 272 * K, GPT_5),
    gpt("gpt-5-nano", 272 * K, GPT_5),
    gemini("gemini-4-carbon"),
    replace(gemini("gemini-3-8-flash"), sampling=False),
    replace(gemini("gemini-3-7-flash"), sampling=False),
    replace(gemini("gemini-3-6-flash"), sampling=False),
    gemini("gemini-3-5-flash"),
    replace(gemini("gemini-3-5-flash-lite"), sampling=False),
    gemini("gemini-3-1-pro", "minimal low medium high"),
    gemini("gemini-3-flash"),
    gemini("gemini-3-1-flash-lite"),
    ServedModel("gemini-3-1-flash-image", families.GEMINI, 131 * K, 32 * K, tools=False, generates_images=True),
    ServedModel("gemini-3-pro-image", families.GEMINI, 66 * K, 32 * K, tools=False, generates_images=True),
    replace(gemini("gemini-3-pro"), retired="2026-03-26"),
    replace(gemini("gemini-2-5-pro", ""), retired="2026-10-02"),
    replace(gemini("gemini-2-5-flash", ""), retired="2026-10-02"),
    GROK,
    replace(GLM, name="glm-5-3", output=64 * K, vision=False),
    GLM,
    replace(GLM, name="glm-5-2", vision=False, efforts=("none", "high", "max"), always_reasons=False,
            reasons_by_default=True, format_hides_tools=True),
    ServedModel("kimi-k3", families.KIMI, M, M, efforts=("none", "low", "high", "max"), sampling=False,
                temperature_one=True, reasons_by_default=True),
    ServedModel("kimi-k2-7-code", families.KIMI, 262 * K, None, vision=False, always_reasons=True),
    replace(DEEPSEEK, name="deepseek-v4-1-flash"),
    DEEPSEEK,
    replace(DEEPSEEK, name="deepseek-v4-pro-0813"),
    ServedModel("inkling", families.INKLING, M, None, efforts=FULL, always_reasons=True),
    ServedModel("qwen35-122b-a10b", families.QWEN, 262 * K, 25 * K, vision=False, always_reasons=True),
    ServedModel("qwen3-next-80b-a3b-instruct", families.QWEN, 262 * K, None, vision=False),
    GPT_OSS,
    replace(GPT_OSS, name="gpt-oss-20b", harmony=True),
    ServedModel("llama-4-maverick", families.LLAMA, 128 * K, 128 * K),
    ServedModel("meta-llama-3-3-70b-instruct", families.LLAMA, 128 * K, 128 * K, vision=False),
    LLAMA_8B,
    replace(LLAMA_8B, name="meta-llama-3-1-405b-instruct", retired="2026-02-15"),
    ServedModel("gemma-3-12b", families.GEMMA, 128 * K, 32 * K),
    ServedModel("gpt-4o", families.EXTERNAL, 128 * K, 16_384),
    ServedModel("o4-mini", families.EXTERNAL, 200 * K, 100_000, sampling=False, stop=False, efforts=LOW_TO_HIGH,
                limit_name="max_completion_tokens"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ServedEmbedder:
    """One embedding model (docs/wire.md, 7)."""

    name: str
    """Its name without ``databricks-`` or ``system.ai.``."""
    window: int
    """The greatest number of tokens of one input."""
    norm: float
    """Length of its vectors; gte does not normalise."""
    truncates: bool
    """Whether a longer input is cut silently, or refused."""
    dimensions: bool = False
    """Whether the number of dimensions may be chosen, up to 1024."""


EMBEDDING: tuple[ServedEmbedder, ...] = (
    ServedEmbedder("bge-large-en", 512, 1.0, truncates=True),
    ServedEmbedder("gte-large-en", 8192, 24.0, truncates=True),
    ServedEmbedder("qwen3-embedding-0-6b", 32_768, 1.0, truncates=False, dimensions=True),
)
