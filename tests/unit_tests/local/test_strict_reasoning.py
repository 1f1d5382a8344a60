"""What the workspace refuses, II: ways of asking for reasoning."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kit.refusal_rows import ADAPTIVE, BUDGET, CLAUDE, EXTRA, GEMINI, GLM, GPT, LLAMA, OSS, UNKNOWN, Row, check, tool

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

TABLE: dict[str, Row] = {
    # -- reasoning: docs/wire.md, 2.3
    "reasoning_effort on claude": Row(ADAPTIVE, {"reasoning_effort": "low"}, f"reasoning_effort: {EXTRA}"),
    "thinking on gpt": Row("gpt-5-6-sol", {"thinking": {"type": "disabled"}}, "Unknown parameter: 'thinking'"),
    "thinking on gemini 3": Row(
        GEMINI, {"thinking": {"type": "enabled", "budget_tokens": 1024}}, "Invalid JSON payload"
    ),
    "thinking on llama": Row(LLAMA, {"thinking": {"type": "disabled"}}, UNKNOWN),
    "thinking disabled on glm": Row(GLM, {"thinking": {"type": "disabled"}}),
    "thinking disabled on opus 5": Row(ADAPTIVE, {"thinking": {"type": "disabled"}}),
    "thinking disabled on always-on": Row("claude-fable-5", {"thinking": {"type": "disabled"}}, "is not supported"),
    "budget on adaptive-only": Row(
        ADAPTIVE,
        {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 4096},
        '\\"thinking.type.enabled\\\\\\" is not supported for this model. Use \\\\\\"thinking.type.adaptive\\\\\\" and',
    ),
    "adaptive on budget-only": Row(BUDGET, {"thinking": {"type": "adaptive"}}, "is not supported for this model"),
    "output_config on budget-only": Row(BUDGET, {"output_config": {"effort": "low"}}, f"output_config: {EXTRA}"),
    "adaptive on 4.6": Row(CLAUDE, {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}),
    "unknown effort": Row(ADAPTIVE, {"output_config": {"effort": "huge"}}, "output_config.effort"),
    "budget equal to max_tokens": Row(
        BUDGET,
        {"thinking": {"type": "enabled", "budget_tokens": 2048}, "max_tokens": 2048},
        "`max_tokens` must be greater than `thinking.budget_tokens`",
    ),
    "budget under 1024": Row(
        BUDGET, {"thinking": {"type": "enabled", "budget_tokens": 1000}, "max_tokens": 4096}, "equal to 1024"
    ),
    "budget below max_tokens": Row(
        BUDGET, {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 2048}
    ),
    "forced tool while thinking": Row(
        BUDGET,
        {
            "thinking": {"type": "enabled", "budget_tokens": 1024},
            "max_tokens": 2048,
            "tools": [tool()],
            "tool_choice": "required",
        },
        "Thinking may not be enabled when tool_choice forces tool use",
    ),
    "opus 5.5 answers elsewhere": Row("claude-opus-5-5", {}, "Use the Messages API"),
    "fable 5.1 answers elsewhere": Row("claude-fable-5-1", {}, "Use the Messages API"),
    "forced tool on fable 5": Row("claude-fable-5", {"tools": [tool()], "tool_choice": "required"}),
    "effort none on gpt 5": Row("gpt-5", {"reasoning_effort": "none"}, "does not support 'none'"),
    "effort minimal on gpt 5.2": Row(GPT, {"reasoning_effort": "minimal"}, "does not support 'minimal'"),
    "effort none on gpt 5.1": Row("gpt-5-1", {"reasoning_effort": "none"}),
    "effort xhigh on gpt 5.1": Row("gpt-5-1", {"reasoning_effort": "xhigh"}, "does not support 'xhigh'"),
    "effort none on glm 5.2": Row(GLM, {"reasoning_effort": "none"}),
    "effort low on glm 5.2": Row(GLM, {"reasoning_effort": "low"}, "does not support 'low'"),
    "effort none on glm 5.3": Row("glm-5-3", {"reasoning_effort": "none"}, "does not support 'none'"),
    "effort on llama": Row(LLAMA, {"reasoning_effort": "low"}, UNKNOWN),
    "effort none on gpt-oss": Row(OSS, {"reasoning_effort": "none"}, "does not support 'none'"),
    "effort minimal on gemini 3.1 pro": Row(GEMINI, {"reasoning_effort": "minimal"}),
    "effort minimal on gemini 3 flash": Row("gemini-3-flash", {"reasoning_effort": "minimal"}, "does not support"),
    "budget on gemini 2.5": Row("gemini-2-5-flash", {"thinking": {"type": "enabled", "budget_tokens": 24_576}}),
    "too much budget on gemini 2.5": Row(
        "gemini-2-5-flash", {"thinking": {"type": "enabled", "budget_tokens": 24_577}}, "between 0 and 24576"
    ),
    "tools on gpt 5.6": Row(
        "gpt-5-6-sol",
        {"tools": [tool()]},
        "Function tools with reasoning_effort are not supported for gpt-5.6-sol in /v1/chat/completions. To use "
        "function tools, use /v1/responses or set reasoning_effort to 'none'.",
    ),
    "tools on gpt 5.5": Row("gpt-5-5", {"tools": [tool()]}, "not supported for gpt-5.5 in /v1/chat/completions"),
    "tools on gpt 5.4": Row("gpt-5-4", {"tools": [tool()]}, "not supported for gpt-5.4 in /v1/chat/completions"),
    "tools on gpt 5.4 mini": Row("gpt-5-4-mini", {"tools": [tool()]}),
    "tools on gpt 5.6 with effort none": Row("gpt-5-6-sol", {"tools": [tool()], "reasoning_effort": "none"}),
}


@pytest.mark.parametrize("name", TABLE)
def test_table(ask: Callable[..., httpx.Response], name: str) -> None:
    check(ask, TABLE[name])
