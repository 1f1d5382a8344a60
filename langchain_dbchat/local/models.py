"""The models of the workspace: the table of docs/wire.md, 8.1, 7; one row per model.

A row says what one model does differently from its family (`families`). The endpoint ``databricks-<name>`` serves it on
``/serving-endpoints``, the same and ``system.ai.<name>`` on the gateway.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from langchain_dbchat.local import families

K = 1000
M = 1_000_000


@dataclass(frozen=True, slots=True)
class Model:
    """One chat model."""

    name: str
    """Its name without ``databricks-`` or ``system.ai.``."""
    family: families.Family
    """What it has in common with its relatives."""
    context: int
    """Most input tokens it takes."""
    output: int | None
    """Most output tokens it gives; None where no cap is known."""
    vision: bool = True
    """Whether it reads images."""
    budget: bool = False
    """Whether it takes ``thinking: enabled`` with a budget (docs/wire.md, 2.3)."""
    adaptive: bool = False
    """Whether it takes ``thinking: adaptive`` and ``output_config`` (docs/wire.md, 2.3)."""
    efforts: tuple[str, ...] = ()
    """The values of ``reasoning_effort`` it takes; none means that the field is unknown to it (docs/wire.md, 2.3)."""
    always_thinks: bool = False
    """Whether it thinks whatever it is asked (docs/wire.md, 2.3)."""
    thinks_unasked: bool = False
    """Whether it thinks when nothing is said about it (docs/wire.md, 2.3)."""
    sampling: bool = True
    """Whether it takes ``temperature``, ``top_p`` and ``top_k`` (docs/wire.md, 2.2)."""
    limit_name: str = ""
    """The one field that takes the token limit: OpenAI's reasoning models refuse ``max_tokens`` (pydantic-ai #1205)."""
    stop: bool = True
    """Whether it takes ``stop`` (docs/wire.md, 2.2)."""
    tools: bool = True
    """Whether it takes tools (docs/wire.md, 8.1)."""
    forced_tool: bool = True
    """Whether a tool may be forced (docs/wire.md, 2.2)."""
    tools_need_no_effort: bool = False
    """Whether tools on chat completions want ``reasoning_effort: none`` (docs/wire.md, 2.3)."""
    responses_only: bool = False
    """Whether it is served on the Responses API alone (docs/wire.md, 8.1)."""
    prefill: bool = True
    """Whether a conversation may end with the assistant (docs/wire.md, 2.5)."""
    cache_min: int = 1024
    """Fewest tokens that are cached (docs/wire.md, 8.1)."""
    audio_video: bool = False
    """Whether it takes audio and video (docs/wire.md, 2.2)."""
    list_content: bool = False
    """Whether its content is a list even without reasoning (docs/wire.md, 3.3, row opus-5)."""
    leaks_calls: bool = False
    """Whether calls end up in the text when thinking is disabled (docs/wire.md, 2.3, row opus-5)."""
    format_hides_tools: bool = False
    """Whether a ``response_format`` keeps it from ever calling tools (docs/wire.md, 2.2, row response_format)."""
    harmony: bool = False
    """Whether reasoning comes in Harmony's shape (docs/wire.md, 3.3, row gpt-oss)."""
    draws: bool = False
    """Whether its answers hold an image (docs/wire.md, 3.3)."""
    default_output: int | None = None
    """Output tokens when ``max_tokens`` is absent, where that is known (docs/wire.md, 2.2)."""
    retired: str = ""
    """The day it was retired; then the workspace serves it only when asked to."""

    @property
    def upstream(self) -> str:
        """The model name in its answers."""
        return self.family.upstream.format(name=self.name)


def claude(name: str, context: int, output: int, *, cache_min: int, style: str) -> Model:
    """A Claude: ``style`` is ``budget``, ``both`` or ``adaptive``; the adaptive ones refuse sampling."""
    return Model(
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


def unforced(model: Model) -> Model:
    """One of the newest Claudes: it always thinks, and no tool can be forced on it."""
    return replace(model, always_thinks=True, forced_tool=False)


def gpt(name: str, context: int, efforts: str) -> Model:
    """A GPT: none of them takes sampling parameters or ``stop``; it thinks unasked where it cannot be told not to."""
    words = tuple(efforts.split())
    return Model(
        name,
        families.GPT,
        context,
        128 * K,
        efforts=words,
        sampling=False,
        stop=False,
        thinks_unasked="none" not in words,
    )


def gemini(name: str, efforts: str = "low medium high") -> Model:
    """A Gemini that answers in text; without efforts it has budgets."""
    words = tuple(efforts.split())
    return Model(name, families.GEMINI, M, 64 * K, efforts=words, budget=not words, audio_video=True)


EFFORTS = "minimal low medium high xhigh max"
GLM3 = tuple(EFFORTS.split())
DEEPSEEK = ("none", "disabled", *GLM3)

CHAT: tuple[Model, ...] = (
    unforced(claude("claude-opus-5-5", M, 128 * K, cache_min=512, style="adaptive")),
    replace(claude("claude-opus-5", M, 128 * K, cache_min=512, style="adaptive"), list_content=True, leaks_calls=True),
    claude("claude-sonnet-5", M, 128 * K, cache_min=1024, style="adaptive"),
    unforced(claude("claude-fable-5-1", M, 128 * K, cache_min=512, style="adaptive")),
    replace(claude("claude-fable-5", M, 128 * K, cache_min=512, style="adaptive"), always_thinks=True, vision=False),
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
    gpt("gpt-6-astra", 1_050_000, "low medium high xhigh max"),
    replace(gpt("gpt-6-sol", 922 * K, "low medium high xhigh max"), responses_only=True),
    gpt("gpt-6-luna", 922 * K, "low medium high xhigh max"),
    replace(gpt("gpt-5-6-sol", 922 * K, "none low medium high xhigh"), tools_need_no_effort=True),
    replace(gpt("gpt-5-6-terra", 922 * K, "none low medium high xhigh"), tools_need_no_effort=True),
    replace(gpt("gpt-5-6-luna", 922 * K, "none low medium high xhigh"), tools_need_no_effort=True),
    replace(gpt("gpt-5-5", 922 * K, "none low medium high xhigh"), tools_need_no_effort=True),
    replace(gpt("gpt-5-5-pro", 922 * K, "medium high xhigh"), responses_only=True),
    replace(gpt("gpt-5-4", 922 * K, "none low medium high xhigh"), tools_need_no_effort=True),
    gpt("gpt-5-4-mini", 272 * K, "none low medium high xhigh"),
    gpt("gpt-5-4-nano", 272 * K, "none low medium high xhigh"),
    replace(gpt("gpt-5-3-codex", 272 * K, "low medium high xhigh"), responses_only=True),
    gpt("gpt-5-2", 272 * K, "none low medium high xhigh"),
    gpt("gpt-5-1", 272 * K, "none low medium high"),
    gpt("gpt-5", 272 * K, "minimal low medium high"),
    gpt("gpt-5-mini", 272 * K, "minimal low medium high"),
    gpt("gpt-5-nano", 272 * K, "minimal low medium high"),
    gemini("gemini-4-carbon"),
    replace(gemini("gemini-3-8-flash"), sampling=False),
    replace(gemini("gemini-3-7-flash"), sampling=False),
    replace(gemini("gemini-3-6-flash"), sampling=False),
    gemini("gemini-3-5-flash"),
    replace(gemini("gemini-3-5-flash-lite"), sampling=False),
    gemini("gemini-3-1-pro", "minimal low medium high"),
    gemini("gemini-3-flash"),
    gemini("gemini-3-1-flash-lite"),
    Model("gemini-3-1-flash-image", families.GEMINI, 131 * K, 32 * K, tools=False, draws=True),
    Model("gemini-3-pro-image", families.GEMINI, 66 * K, 32 * K, tools=False, draws=True),
    replace(gemini("gemini-3-pro"), retired="2026-03-26"),
    replace(gemini("gemini-2-5-pro", ""), retired="2026-10-02"),
    replace(gemini("gemini-2-5-flash", ""), retired="2026-10-02"),
    Model("grok-4-6", families.GROK, 500 * K, None, vision=False, efforts=("low", "medium", "high", "xhigh"),
          thinks_unasked=True),
    Model("glm-5-3", families.GLM, M, 64 * K, vision=False, efforts=GLM3, always_thinks=True),
    Model("glm-5-3-flash", families.GLM, M, 128 * K, efforts=GLM3, always_thinks=True),
    Model("glm-5-2", families.GLM, M, 128 * K, vision=False, efforts=("none", "high", "max"), thinks_unasked=True,
          format_hides_tools=True),
    Model("kimi-k3", families.KIMI, M, M, efforts=("none", "low", "high", "max"), sampling=False, thinks_unasked=True),
    Model("kimi-k2-7-code", families.KIMI, 262 * K, None, vision=False, always_thinks=True),
    Model("deepseek-v4-1-flash", families.DEEPSEEK, M, 384 * K, vision=False, efforts=DEEPSEEK, thinks_unasked=True),
    Model("deepseek-v4-flash-0731", families.DEEPSEEK, M, 384 * K, vision=False, efforts=DEEPSEEK, thinks_unasked=True),
    Model("deepseek-v4-pro-0813", families.DEEPSEEK, M, 384 * K, vision=False, efforts=DEEPSEEK, thinks_unasked=True),
    Model("inkling", families.INKLING, M, None, efforts=GLM3, always_thinks=True),
    Model("qwen35-122b-a10b", families.QWEN, 262 * K, 25 * K, vision=False, always_thinks=True),
    Model("qwen3-next-80b-a3b-instruct", families.QWEN, 262 * K, None, vision=False),
    Model("gpt-oss-120b", families.GPT_OSS, 131 * K, 131 * K, vision=False, efforts=("low", "medium", "high"),
          thinks_unasked=True),
    Model("gpt-oss-20b", families.GPT_OSS, 131 * K, 131 * K, vision=False, efforts=("low", "medium", "high"),
          thinks_unasked=True, harmony=True),
    Model("llama-4-maverick", families.LLAMA, 128 * K, 128 * K),
    Model("meta-llama-3-3-70b-instruct", families.LLAMA, 128 * K, 128 * K, vision=False),
    # A cap of 8192 was seen in an error that does not name its model (docs/wire.md, 6.2, row max_tokens).
    Model("meta-llama-3-1-8b-instruct", families.LLAMA, 128 * K, 8192, vision=False),
    Model("meta-llama-3-1-405b-instruct", families.LLAMA, 128 * K, 8192, vision=False,
          retired="2026-02-15"),
    Model("gemma-3-12b", families.GEMMA, 128 * K, 32 * K),
    Model("gpt-4o", families.EXTERNAL, 128 * K, 16_384),
    Model("o4-mini", families.EXTERNAL, 200 * K, 100_000, sampling=False, stop=False, efforts=("low", "medium", "high"),
          limit_name="max_completion_tokens"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Embedder:
    """One embedding model (docs/wire.md, 7)."""

    name: str
    """Its name without ``databricks-`` or ``system.ai.``."""
    window: int
    """Most tokens of one input."""
    norm: float
    """Length of its vectors: gte does not normalise."""
    truncates: bool
    """Whether a longer input is cut without a word, or refused."""
    dimensions: bool = False
    """Whether the number of dimensions may be chosen, up to 1024."""


EMBEDDING: tuple[Embedder, ...] = (
    Embedder("bge-large-en", 512, 1.0, truncates=True),
    Embedder("gte-large-en", 8192, 24.0, truncates=True),
    Embedder("qwen3-embedding-0-6b", 32_768, 1.0, truncates=False, dimensions=True),
)
