"""What the workspace refuses, III: messages, alone and in their order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kit.refusal_rows import (
    BUDGET,
    CLAUDE,
    EXTRA,
    GEMINI,
    GLM,
    GPT,
    HI,
    LINK,
    LLAMA,
    OSS,
    PDF,
    PNG,
    SYSTEM,
    UNKNOWN,
    VIDEO,
    Row,
    called,
    check,
    result,
    user,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

ALTERNATE = "Chat message input roles must alternate (user -> assistant -> u -> a -> ...) with an optional system"
BLANK = "messages: text content blocks must contain non-whitespace text"
SAID = {"role": "assistant", "content": "Hello."}

TABLE: dict[str, Row] = {
    # -- messages: docs/wire.md, 2.2, 2.5
    "no messages": Row(CLAUDE, {"messages": []}, "messages"),
    "unknown role": Row(CLAUDE, {"messages": [{"role": "human", "content": "Hi"}]}, "Unsupported message role"),
    "developer on llama": Row(
        LLAMA, {"messages": [{"role": "developer", "content": "x"}, HI]}, "Unsupported message role"
    ),
    "developer on gpt": Row(GPT, {"messages": [{"role": "developer", "content": "x"}, HI]}),
    "system later": Row(CLAUDE, {"messages": [HI, SYSTEM]}, "can only be used once, as the first message"),
    "system twice": Row(LLAMA, {"messages": [SYSTEM, SYSTEM, HI]}, "can only be used once, as the first message"),
    "two user messages": Row(CLAUDE, {"messages": [HI, HI]}),
    "message name on claude": Row(CLAUDE, {"messages": [{**HI, "name": "Ann"}]}, f"messages.0.name: {EXTRA}"),
    "message name on llama": Row(LLAMA, {"messages": [{**HI, "name": "Ann"}]}, f'{UNKNOWN} \\"name\\"'),
    "empty text on claude": Row(CLAUDE, {"messages": [user({"type": "text", "text": ""})]}, "must be non-empty"),
    "empty string on claude": Row(CLAUDE, {"messages": [{"role": "user", "content": ""}]}, "non-empty content"),
    "empty text on llama": Row(LLAMA, {"messages": [user({"type": "text", "text": ""})]}),
    "empty assistant on claude": Row(CLAUDE, {"messages": [HI, {"role": "assistant", "content": ""}, HI]}, "non-empty"),
    "empty assistant with calls on claude": Row(
        CLAUDE, {"messages": [HI, {**called("a"), "content": ""}, result("a")]}, "non-empty content"
    ),
    "null assistant with calls on claude": Row(CLAUDE, {"messages": [HI, called("a"), result("a")]}),
    "assistant without anything": Row(
        LLAMA, {"messages": [HI, {"role": "assistant", "content": None}, HI]}, "content or"
    ),
    "unknown part": Row(CLAUDE, {"messages": [user({"type": "input_text", "text": "x"})]}, "Unsupported content type"),
    "unknown key in a part": Row(CLAUDE, {"messages": [user({"type": "text", "text": "x", "id": "1"})]}, EXTRA),
    "index in a part on llama": Row(LLAMA, {"messages": [user({"type": "text", "text": "x", "index": 1})]}, UNKNOWN),
    "http image on claude": Row(CLAUDE, {"messages": [user(LINK)]}, "Http data URLs are not supported by Claude"),
    "http image on gpt": Row(GPT, {"messages": [user(LINK)]}),
    "data image on claude": Row(CLAUDE, {"messages": [user({"type": "text", "text": "See"}, PNG, PNG)]}),
    "image on glm": Row(GLM, {"messages": [user(PNG)]}, "Image input is not supported"),
    "image on llama 3": Row(LLAMA, {"messages": [user(PNG)]}, "Image input is not supported"),
    "image on fable 5": Row("claude-fable-5", {"messages": [user(PNG)]}, "Image input is not supported"),
    "file on claude": Row(CLAUDE, {"messages": [user(PDF)]}),
    "file from the assistant": Row(
        CLAUDE, {"messages": [HI, {"role": "assistant", "content": [PDF]}, HI]}, "only supported in user"
    ),
    "image from a tool": Row(CLAUDE, {"messages": [HI, called("a"), result("a", [PNG])]}, "only supported in user"),
    "video on gemini": Row(GEMINI, {"messages": [user(VIDEO)]}),
    "video on claude": Row(CLAUDE, {"messages": [user(VIDEO)]}, "Unsupported content type: video_url"),
    "list from a tool on llama": Row(
        LLAMA, {"messages": [HI, called("a"), result("a", [{"type": "text", "text": "x"}])]}, "string content"
    ),
    "empty arguments": Row(
        CLAUDE,
        {
            "messages": [
                HI,
                {
                    "role": "assistant",
                    "tool_calls": [{"id": "a", "type": "function", "function": {"name": "look", "arguments": ""}}],
                },
                result("a"),
            ]
        },
        "arguments",
    ),
    "index in a call": Row(CLAUDE, {"messages": [HI, called("a", index=0), result("a")]}, f"index: {EXTRA}"),
    "prefill on claude 4.6": Row(CLAUDE, {"messages": [HI, {"role": "assistant", "content": "The"}]}, "prefill"),
    "prefill on claude 4.5": Row(BUDGET, {"messages": [HI, {"role": "assistant", "content": "The"}]}),
    "prefill on llama": Row(
        LLAMA, {"messages": [HI, {"role": "assistant", "content": "The"}]}, "end with a user message"
    ),
    # docs/wire.md, 5.1: reasoning has one place, the content list
    "thinking_blocks": Row(
        CLAUDE,
        {"messages": [HI, {"role": "assistant", "content": "x", "thinking_blocks": []}, HI]},
        f"messages.1.thinking_blocks: {EXTRA}",
    ),
    "reasoning_content": Row(
        CLAUDE,
        {"messages": [HI, {"role": "assistant", "content": "x", "reasoning_content": "y"}, HI]},
        f"messages.1.reasoning_content: {EXTRA}",
    ),
    "reasoning_content on glm": Row(
        GLM, {"messages": [HI, {"role": "assistant", "content": "x", "reasoning_content": "y"}, HI]}, EXTRA
    ),
    "reasoning on gpt": Row(
        GPT,
        {"messages": [HI, {"role": "assistant", "content": [{"type": "reasoning", "summary": []}]}, HI]},
        "reasoning",
    ),
    # -- order: docs/wire.md, 2.5
    "unanswered call on claude": Row(
        CLAUDE, {"messages": [HI, called("a", "b"), result("a")]}, "without `tool_result` blocks immediately after: b"
    ),
    "user between results on claude": Row(
        CLAUDE, {"messages": [HI, called("a", "b"), result("a"), HI, result("b")]}, "`tool_use` ids were found without"
    ),
    "result of nothing on claude": Row(CLAUDE, {"messages": [HI, result("a")]}, "unexpected `tool_use_id`"),
    "result of another call on claude": Row(
        CLAUDE, {"messages": [HI, called("a"), result("z")]}, "unexpected `tool_use_id`"
    ),
    "grouped results on claude": Row(CLAUDE, {"messages": [HI, called("a", "b"), result("b"), result("a")]}),
    "result of nothing on llama": Row(
        LLAMA, {"messages": [HI, result("a")]}, "must be a response to a preceding message"
    ),
    "parallel history on gpt-oss": Row(
        OSS, {"messages": [HI, called("a", "b"), result("a"), result("b")]}, "Multiple tool calls are not supported."
    ),
    "split history on gpt-oss": Row(OSS, {"messages": [HI, called("a"), result("a"), called("b"), result("b")]}),
    "parallel history on glm": Row(GLM, {"messages": [HI, called("a", "b"), result("a"), result("b")]}),
    "unanswered call on gpt": Row(GPT, {"messages": [HI, called("a"), HI]}, "must be followed by tool messages"),
    "result of nothing on kimi": Row(
        "kimi-k3", {"messages": [HI, result("a")]}, "Kimi K3 tool messages need a resolvable tool name"
    ),
    # -- whose turn it is: docs/wire.md, 6.4, row alternation
    "two user messages on llama": Row(LLAMA, {"messages": [HI, HI]}, ALTERNATE),
    "two user messages on llama 4": Row("llama-4-maverick", {"messages": [SYSTEM, HI, HI]}, ALTERNATE),
    "two answers on llama": Row(LLAMA, {"messages": [HI, SAID, SAID, HI]}, ALTERNATE),
    "a greeting on llama": Row(LLAMA, {"messages": [SAID, HI]}, ALTERNATE),
    "a greeting after the system message on llama": Row(LLAMA, {"messages": [SYSTEM, SAID, HI]}, ALTERNATE),
    "turns on llama": Row(LLAMA, {"messages": [SYSTEM, HI, SAID, HI]}),
    "turns with a tool on llama": Row(LLAMA, {"messages": [HI, called("a"), result("a"), SAID, HI]}),
    "tools one after the other on llama": Row(
        LLAMA, {"messages": [HI, called("a"), result("a"), called("b"), result("b")]}
    ),
    "user after a tool on llama": Row(LLAMA, {"messages": [HI, called("a"), result("a"), HI]}),
    "an unanswered call and an answer on llama": Row(LLAMA, {"messages": [HI, called("a"), SAID, HI]}, ALTERNATE),
    "two user messages on gpt": Row(GPT, {"messages": [HI, HI]}),
    # -- ids of calls: docs/wire.md, 6.4, row call ids
    "a colon in an id on claude": Row(
        CLAUDE,
        {"messages": [HI, called("functions.search:0"), result("functions.search:0")]},
        "messages.1.content.0.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'",
    ),
    "a colon in an id after text on claude": Row(
        CLAUDE,
        {"messages": [HI, {**called("a:0"), "content": "Look:"}, result("a:0")]},
        "messages.1.content.1.tool_use.id: String should match pattern",
    ),
    "a colon in a result's id on claude": Row(
        CLAUDE, {"messages": [HI, called("a"), result("a:0")]}, "messages.2.content.0.tool_result.tool_use_id: String"
    ),
    "a colon in an id on kimi": Row("kimi-k3", {"messages": [HI, called("functions.f:0"), result("functions.f:0")]}),
    "an id that comes again on claude": Row(
        CLAUDE, {"messages": [HI, *[called("a"), result("a")] * 2]}, "`tool_use` ids must be unique"
    ),
    "an id that comes again on glm": Row(GLM, {"messages": [HI, *[called("a"), result("a")] * 2]}),
    "a long id on gpt": Row(
        GPT,
        {"messages": [HI, called("x" * 41), result("x" * 41)]},
        "Invalid 'messages[1].tool_calls[0].id': string too long. Expected a string with maximum length 40, but got a "
        "string with length 41 instead.",
    ),
    "a long id of a result on gpt": Row(
        GPT, {"messages": [HI, called("a"), result("x" * 41)]}, "Invalid 'messages[2].tool_call_id': string too"
    ),
    "a long id on gpt that is not too long": Row(GPT, {"messages": [HI, called("x" * 40), result("x" * 40)]}),
    # -- white space: opencode #31259, langchain #35071, forgecode #2107
    "blank text on claude": Row(CLAUDE, {"messages": [user({"type": "text", "text": " \n"})]}, BLANK),
    "a blank string on claude": Row(CLAUDE, {"messages": [{"role": "user", "content": "\u3000"}]}, BLANK),
    "a blank answer on claude": Row(CLAUDE, {"messages": [HI, {"role": "assistant", "content": " "}, HI]}, BLANK),
    "a blank result on claude": Row(CLAUDE, {"messages": [HI, called("a"), result("a", " ")]}, BLANK),
    "a blank system message on claude": Row(
        CLAUDE, {"messages": [{"role": "system", "content": " "}, HI]}, "system: text content blocks must contain"
    ),
    "blank text on gpt": Row(GPT, {"messages": [user({"type": "text", "text": " "})]}),
    "prefill that ends with a blank": Row(
        BUDGET,
        {"messages": [HI, {"role": "assistant", "content": "The "}]},
        "messages: final assistant content cannot end with trailing whitespace",
    ),
    "an image of the assistant's on an image model": Row(
        "gemini-3-pro-image", {"messages": [HI, {"role": "assistant", "content": [PNG]}, HI]}
    ),
    "no tool_call_id": Row(CLAUDE, {"messages": [HI, called("a"), {"role": "tool", "content": "x"}]}, "tool_call_id"),
}


@pytest.mark.parametrize("name", TABLE)
def test_table(ask: Callable[..., httpx.Response], name: str) -> None:
    check(ask, TABLE[name])


def test_an_http_image_has_its_own_code(ask: Callable[..., httpx.Response]) -> None:
    # docs/wire.md, 2.2
    assert ask(CLAUDE, [user(LINK)]).json()["error_code"] == "INVALID_PARAMETER_VALUE"
