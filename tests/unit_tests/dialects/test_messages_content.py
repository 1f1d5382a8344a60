"""What messages hold: what is left out, what becomes text, how arguments are written."""

from __future__ import annotations

import copy
import dataclasses
import datetime as dt
import decimal
import enum
import json
import math
import pathlib
import uuid
from typing import Any

import pydantic
import pytest
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolCall,
    ToolMessage,
)

from kit.targets import encode, target
from langchain_dbchat.dialects.chat_completions.messages import encode_conversation
from langchain_dbchat.dialects.shared.conversation.turns import CONTINUE, NO_OUTPUT
from langchain_dbchat.errors import UnsupportedContentError

HI = HumanMessage("hi")
DATA = "iVBORw0KGgo="
IMAGE = {"type": "image", "base64": DATA, "mime_type": "image/png"}
BLANKS = [" ", "\n", " \t\r\n", "\u00a0", "\u3000", "\u2003\u2028"]
CLAUDES = ["claude", "claude-4-6", "claude-adaptive", "claude-opus-5", "claude-fable-5"]
EPHEMERAL = {"type": "ephemeral"}
ASKED = AIMessage("", tool_calls=[ToolCall(name="f", args={}, id="c1", type="tool_call")])


def tool_result(content: Any, family: str, **more: Any) -> tuple[dict[str, Any], list[str], list[dict[str, Any]]]:
    """The tool message, the warnings, and what follows it."""
    message = ToolMessage(content, tool_call_id="c1", **more)
    before = copy.deepcopy(message)
    wire, warnings = encode_conversation([HI, ASKED, message], target(family))
    assert message == before
    return wire[2], warnings, wire[3:]


# Another speaker's reasoning.

LEFT: list[Any] = [
    {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm", "signature": "S"}]},
    {"type": "reasoning", "reasoning": "hm", "extras": {"signature": "S"}},
    {"type": "thinking", "thinking": "hm", "signature": "S"},
    {"type": "redacted_thinking", "data": "E"},
    {"type": "reasoning_content", "reasoning_content": {"text": "hm", "signature": "S"}},
    {"type": "non_standard", "value": {"type": "thinking", "thinking": "hm"}},
    {"type": "tool_call", "id": "c1", "name": "f", "args": {}},
    {"type": "tool_use", "id": "c1", "name": "f", "input": {}},
    {"type": "invalid_tool_call", "id": "c1", "name": "f", "args": "{", "error": "x"},
    {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
    {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {}},
    {"type": "web_search_tool_result", "tool_use_id": "s1", "content": []},
    {"type": "server_tool_call", "id": "s1", "name": "web_search", "args": {}},
    {"type": "server_tool_result", "tool_call_id": "s1", "status": "success"},
    {"type": "web_search_call", "id": "ws_1"},
]
TEXT: Any = {"type": "text", "text": "a", "index": "lc_txt_1"}


@pytest.mark.parametrize("block", LEFT, ids=lambda block: str(block["type"]))
@pytest.mark.parametrize("family", ["generic", "claude", "gpt-5", "open-weights"])
def test_what_an_answer_left_beside_its_words_is_left_out_elsewhere(block: dict[str, Any], family: str) -> None:
    for message in (
        HumanMessage([block, TEXT]),
        SystemMessage([block, TEXT]),
        ChatMessage(content=[block, TEXT], role="user"),
        ChatMessage(content=[TEXT, block], role="assistant"),
    ):
        before = copy.deepcopy(message)
        assert (
            "a" in [one["content"] for one in encode(message, HI, family=family)]
            or encode(message, HI, family=family)[0]["content"] == "a\n\nhi"
        )
        assert message == before
    assert tool_result([block, TEXT], family)[:2] == ({"role": "tool", "tool_call_id": "c1", "content": "a"}, [])
    assert tool_result([block], family)[0]["content"] == NO_OUTPUT


@pytest.mark.parametrize("block", LEFT, ids=lambda block: str(block["type"]))
@pytest.mark.parametrize("family", ["generic", "claude", "open-weights"])
def test_a_message_of_nothing_else_raises_and_says_what_to_send(block: dict[str, Any], family: str) -> None:
    with pytest.raises(UnsupportedContentError, match=r"message 0 \(human\): nothing is left.*answer\.text"):
        encode(HumanMessage([block]), family=family)
    assert encode(SystemMessage([block]), HI, family=family) == [{"role": "user", "content": "hi"}]


def test_a_refusal_is_text_wherever_it_stands() -> None:
    block = {"type": "refusal", "refusal": "I can't."}
    assert encode(HumanMessage([block]))[0]["content"] == "I can't."
    assert encode(HI, AIMessage([block]), HI)[1]["content"] == "I can't."


def test_an_approval_is_the_users_own_word_and_is_not_dropped() -> None:
    with pytest.raises(UnsupportedContentError, match="mcp_approval_response"):
        encode(HumanMessage([{"type": "mcp_approval_response", "id": "m1", "approve": True}, TEXT]))


def test_reasoning_at_the_end_of_an_answer_is_left_out() -> None:
    made = {"model_provider": "databricks", "model_name": "c", "model_family": "claude"}
    alone = AIMessage([LEFT[0]], response_metadata=made)
    assert len(encode(HI, alone, HI, family="claude")) == 2
    after = AIMessage([LEFT[0], TEXT, LEFT[0]], response_metadata=made)
    assert [part["type"] for part in encode(HI, after, HI, family="claude")[1]["content"]] == ["reasoning", "text"]
    calling = AIMessage([LEFT[0]], tool_calls=ASKED.tool_calls, response_metadata=made)
    assert encode(HI, calling, ToolMessage("42", tool_call_id="c1"), family="claude")[1]["content"] == [LEFT[0]]


# What a tool returned.

LINK = {"type": "resource_link", "uri": "https://x.org/a.csv", "name": "a.csv", "mimeType": "text/csv", "size": 12345}
NAMED: list[tuple[str, Any, list[str]]] = [
    ("open-weights", IMAGE, ["image", "image/png", "8 bytes"]),
    ("open-weights", {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{DATA}"}},
     ["image", "8 bytes"]),
    ("claude", {"type": "image", "url": "https://x.org/a.png"}, ["image", "https://x.org/a.png"]),
    ("claude", {"type": "image_url", "image_url": "https://x.org/a.png"}, ["image", "https://x.org/a.png"]),
    ("claude", {"type": "image", "source": {"type": "url", "url": "https://x.org/a.png"}},
     ["image", "https://x.org/a.png"]),
    ("claude", {"type": "image", "file_id": "file-7"}, ["image", "file-7"]),
    ("claude", {"type": "file", "file": {"file_id": "file-7"}}, ["file", "file-7"]),
    ("claude", {"type": "audio", "base64": DATA, "mime_type": "audio/wav"}, ["audio", "audio/wav", "8 bytes"]),
    ("gpt-5", {"type": "video", "url": "https://x.org/a.mp4"}, ["video", "https://x.org/a.mp4"]),
    ("gpt-5", {"type": "file", "url": "https://x.org/a.pdf", "filename": "a.pdf"}, ["file", "a.pdf", "https://x.org/a"]),
    ("gpt-oss", {"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{DATA}"}},
     ["file", "a.pdf", "application/pdf", "8 bytes"]),
    ("glm-5-2", {"type": "input_audio", "input_audio": {"data": DATA, "format": "mp3"}}, ["audio", "mp3", "8 bytes"]),
    ("gemini-3", LINK, ["resource_link", "a.csv", "text/csv", "https://x.org/a.csv", "12345 bytes"]),
    ("claude", LINK, ["resource_link", "a.csv", "https://x.org/a.csv", "12345 bytes"]),
    ("claude", {"type": "resource", "resource": {"uri": "file:///a.bin", "blob": DATA, "mimeType": "video/mp4"}},
     ["resource", "file:///a.bin", "video/mp4", "8 bytes"]),
    ("claude", {"type": "hologram", "name": "h", "depth": 3}, ["hologram", "'h'", '"depth": 3']),
    ("claude", {"type": "non_standard", "value": {"type": "hologram", "depth": 3}}, ["hologram", '"depth": 3']),
    ("claude", {"type": "image"}, ["image"]),
    ("claude", {"type": "text", "text": None}, ["text"]),
]  # fmt: skip


@pytest.mark.parametrize(("family", "block", "names"), NAMED)
def test_what_the_endpoint_does_not_take_is_named(family: str, block: Any, names: list[str]) -> None:
    contents: list[Any] = [
        [block],
        ["before", block],
        [{"type": "tool_result", "tool_use_id": "c1", "content": [block]}],
    ]
    for content in contents:
        message, warnings, after = tool_result(content, family)
        assert isinstance(message["content"], str)
        assert all(name in message["content"] for name in names)
        assert DATA not in message["content"].replace(json.dumps(block), "")
        assert (len(warnings), after) == (1, [])
        assert names[0] in warnings[0]
    if len(names) > 1:
        inside = HumanMessage([{"type": "tool_result", "tool_use_id": "c1", "content": [block]}])
        assert all(name in encode(HI, ASKED, inside, family=family)[2]["content"] for name in names)


@pytest.mark.parametrize(("family", "block", "names"), NAMED)
def test_in_a_human_message_the_same_raises(family: str, block: Any, names: list[str]) -> None:
    del names
    with pytest.raises(UnsupportedContentError, match=r"message 0 \(human\), block 1"):
        encode(HumanMessage(["a", block]), family=family)


def test_one_warning_for_all_that_was_replaced() -> None:
    message, warnings, _ = tool_result([LINK, IMAGE, IMAGE, "x"], "open-weights")
    assert len(warnings) == 1
    assert "image, resource_link" in warnings[0]
    assert message["content"].endswith("\nx")
    assert tool_result("x", "open-weights")[1] == []


def test_what_the_endpoint_takes_is_sent_as_what_it_is() -> None:
    mcp = {"type": "image", "data": DATA, "mimeType": "image/png"}
    embedded = {"type": "resource", "resource": {"uri": "file:///a.png", "blob": DATA, "mimeType": "image/png"}}
    for block in (IMAGE, mcp, embedded):
        message, warnings, after = tool_result([block], "claude")
        assert "1 attachment" in message["content"]
        assert warnings == []
        assert after == [
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{DATA}"}}]}
        ]
    text = {"type": "resource", "resource": {"uri": "file:///a.txt", "text": "words", "mimeType": "text/plain"}}
    assert tool_result([text], "open-weights")[:2] == (
        {"role": "tool", "tool_call_id": "c1", "content": "file:///a.txt\n\nwords"},
        [],
    )


@pytest.mark.parametrize("family", ["claude", "open-weights", "generic"])
def test_plain_data_is_written_as_json(family: str) -> None:
    message, warnings, _ = tool_result(["a", {"temperature": 3}, {"when": dt.date(2026, 1, 2)}], family)
    assert message["content"] == 'a\n{"temperature": 3}\n{"when": "2026-01-02"}'
    assert warnings == []
    assert (
        tool_result([{"type": "json", "json": {"d": decimal.Decimal("1.50")}}], family)[0]["content"] == '{"d": "1.50"}'
    )
    output = {"type": "custom_tool_call_output", "output": "done"}
    assert tool_result([output], family)[0]["content"] == "done"


def test_a_failed_call_says_so_before_what_is_named() -> None:
    assert tool_result([IMAGE], "open-weights", status="error")[0]["content"].startswith("Error:\n[Left out")


def test_half_a_surrogate_pair_in_a_result_is_replaced() -> None:
    assert tool_result("a\ud83d", "claude")[0]["content"] == "a\ufffd"
    assert encode(HI, AIMessage("a\udc00 😀"), HI)[1]["content"] == "a\ufffd 😀"


# Images in answers.


def test_an_image_of_an_answer_follows_in_a_user_message_where_an_assistant_may_send_none() -> None:
    drawn = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{DATA}"}}
    for family in ("claude", "gpt-5", "gemini-3", "llama-4"):
        wire = encode(HI, AIMessage(["Here:", drawn]), HumanMessage("Bigger."), family=family)
        assert wire[1] == {"role": "assistant", "content": "Here:"}
        assert wire[2]["content"][0] == drawn
        alone = encode(HI, AIMessage([drawn]), HumanMessage("Bigger."), family=family)
        assert "1 attachment" in alone[1]["content"]
    kept = encode(HI, AIMessage(["Here:", drawn]), HumanMessage("Bigger."), family="gemini-image")
    assert kept[1]["content"] == [{"type": "text", "text": "Here:"}, drawn]
    wire, warnings = encode_conversation([HI, AIMessage(["Here:", drawn, "!"]), HI], target("glm-5-2"))
    assert wire[1]["content"].startswith("Here:\n[Left out, because this model does not take it: image, image/png")
    assert wire[1]["content"].endswith("]\n!")
    assert len(warnings) == 1


# Arguments.


class Colour(enum.Enum):
    """An enum."""

    RED = "red"


class Two(pydantic.BaseModel):
    """A model of Pydantic v2."""

    day: dt.date = dt.date(2026, 1, 2)


class One:
    """A model of the kind of Pydantic v1's, which Python 3.14 does not run."""

    def dict(self) -> Any:
        return {"n": 1}


@dataclasses.dataclass
class Point:
    """A dataclass."""

    x: int = 1


ARGUMENTS: list[tuple[Any, Any]] = [
    (dt.date(2026, 1, 2), "2026-01-02"),
    (dt.datetime(2026, 1, 2, 3, 4, tzinfo=dt.timezone.utc), "2026-01-02T03:04:00Z"),
    (dt.timedelta(seconds=90), "PT1M30S"),
    (decimal.Decimal("1.20"), "1.20"),
    (uuid.UUID(int=3), "00000000-0000-0000-0000-000000000003"),
    (Colour.RED, "red"),
    ({7}, [7]),
    ((1, 2), [1, 2]),
    (b"abc", "abc"),
    (b"\xff", "_w=="),
    (pathlib.PurePosixPath("/a/b"), "/a/b"),
    (Two(), {"day": "2026-01-02"}),
    (One(), {"n": 1}),
    (Point(), {"x": 1}),
    (math.nan, "NaN"),
    (math.inf, "Infinity"),
    (-math.inf, "-Infinity"),
    ({"deep": [{"day": dt.date(2026, 1, 2), "n": math.nan}]}, {"deep": [{"day": "2026-01-02", "n": "NaN"}]}),
    ({dt.date(2026, 1, 2): 1}, {"2026-01-02": 1}),
    ("a\ud83d", "a\ufffd"),
    ("Åre 😀", "Åre 😀"),
]


@pytest.mark.parametrize(("value", "written"), ARGUMENTS, ids=lambda value: type(value).__name__)
def test_arguments_are_written_as_pydantic_writes_them(value: Any, written: Any) -> None:
    def refuse(text: str) -> Any:
        raise ValueError(text)

    messages: list[BaseMessage] = [
        AIMessage("", tool_calls=[ToolCall(name="f", args={"x": value}, id="c1", type="tool_call")]),
        AIMessage([{"type": "tool_use", "id": "c1", "name": "f", "input": {"x": value}}]),
        AIMessage([{"type": "tool_call", "id": "c1", "name": "f", "args": {"x": value}}]),
    ]
    for message in messages:
        arguments = encode(HI, message, ToolMessage("42", tool_call_id="c1"))[1]["tool_calls"][0]["function"][
            "arguments"
        ]
        assert json.loads(arguments, parse_constant=refuse) == {"x": written}
        arguments.encode()


class Odd:
    """Something that has no JSON form."""


@pytest.mark.parametrize("make", [lambda loop: loop, lambda _: Odd(), lambda _: Odd, lambda _: [Odd()]])
def test_arguments_that_cannot_be_written_are_our_error_that_names_the_call(make: Any) -> None:
    loop: dict[str, Any] = {}
    loop["loop"] = loop
    call = ToolCall(name="search", args={"x": make(loop)}, id="c7", type="tool_call")
    message = AIMessage("")
    message.tool_calls = [call]
    with pytest.raises(UnsupportedContentError, match=r"message 1 \(ai\): .*'c7'.*'search'.*JSON"):
        encode(HI, message, HI)


def test_an_invalid_call_may_hold_anything() -> None:
    for args, wanted in ((None, {}), ('{"a": "hel', {"invalid_arguments": '{"a": "hel'}), ("{\ud83d", None)):
        message = AIMessage("", invalid_tool_calls=[{"name": "f", "args": args, "id": "c1", "error": "x"}])
        arguments = encode(HI, message, HI)[1]["tool_calls"][0]["function"]["arguments"]
        arguments.encode()
        assert wanted is None or json.loads(arguments) == wanted


# Text of nothing but white space.


@pytest.mark.parametrize("blank", BLANKS)
@pytest.mark.parametrize("family", CLAUDES)
def test_blank_text_is_fitted_like_empty_text(family: str, blank: str) -> None:
    block = {"type": "text", "text": blank}
    contents: list[Any] = [blank, [blank], [block], [block, {"type": "text", "text": ""}]]
    assert encode(HumanMessage([block, TEXT, blank]), family=family)[0]["content"] == "a"
    for content in contents:
        with pytest.raises(UnsupportedContentError, match="white space"):
            encode(HumanMessage(content), family=family)
        assert encode(SystemMessage(content), HI, family=family) == [{"role": "user", "content": "hi"}]
        assert len(encode(HI, AIMessage(content), HI, family=family)) == 2
        calling = AIMessage(content, tool_calls=ASKED.tool_calls)
        assert encode(HI, calling, ToolMessage("42", tool_call_id="c1"), family=family)[1]["content"] is None
        assert tool_result(content, family)[0]["content"] == NO_OUTPUT
        assert tool_result(content, family, status="error")[0]["content"] == "Error:"


@pytest.mark.parametrize("family", ["generic", "gpt-5", "gemini-3", "open-weights", "glm-5-2"])
def test_other_families_get_blank_text_as_it_is(family: str) -> None:
    assert encode(HumanMessage(" "), family=family)[0]["content"] == " "
    assert tool_result(" ", family)[0]["content"] == " "


def test_what_is_blank_is_only_what_has_no_character_to_see() -> None:
    for word in (" a ", "\u200b", "."):
        assert encode(HumanMessage(word), family="claude")[0]["content"] == word


def test_blanks_between_words_of_an_answer_are_kept() -> None:
    assert encode(HI, AIMessage(["Hello,", " ", {"type": "text", "text": "world"}]), HI, family="claude")[1] == {
        "role": "assistant",
        "content": "Hello, world",
    }


def test_the_cache_mark_of_a_blank_moves_to_the_part_before_it() -> None:
    marked = {"type": "text", "text": " ", "cache_control": EPHEMERAL}
    wire = encode(HumanMessage(["a", "b", marked]), family="claude")
    assert wire[0]["content"] == [
        {"type": "text", "text": "a"},
        {"type": "text", "text": "b", "cache_control": EPHEMERAL},
    ]
    assert encode(HumanMessage([marked, "a"]), family="claude")[0]["content"] == "a"


@pytest.mark.parametrize("family", CLAUDES)
def test_what_claude_continues_does_not_end_with_white_space(family: str) -> None:
    contents: list[Any] = ["The answer: \n", ["The", {"type": "text", "text": " answer:\u3000"}]]
    for content in contents:
        wire = encode(HI, AIMessage(content), family=family)
        assert wire[1]["content"] == ("The answer:" if family == "claude" else AIMessage(content).text)
        assert [message["content"] for message in wire[2:]] == ([] if family == "claude" else [CONTINUE])
        assert encode(HI, AIMessage(content), HI, family=family)[1]["content"] != "The answer:"
    marked = {"type": "text", "text": "The: ", "cache_control": EPHEMERAL}
    end = "The:" if family == "claude" else "The: "
    assert encode(HI, AIMessage([marked]), family=family)[1]["content"] == [{**marked, "text": end}]
    for other in ("generic", "gpt-5", "open-weights"):
        assert encode(HI, AIMessage("The: "), family=other)[1]["content"] == "The: "


@pytest.mark.parametrize(
    "messages",
    [
        [HumanMessage([{"type": "audio", "base64": "aGk=", "mime_type": "audio/wav"}])],
        [HumanMessage([{"type": "image", "url": "https://example.com/a.png"}])],
        [HumanMessage("")],
        [HumanMessage("  ")],
        [HumanMessage("a"), ToolMessage("b", tool_call_id="never called")],
        [SystemMessage("a")],
    ],
    ids=lambda messages: str(messages[-1].content)[:20],
)
def test_an_error_names_the_model_as_the_user_named_it_and_no_family(messages: list[Any]) -> None:
    with pytest.raises(UnsupportedContentError, match="my-claude|othing to answer|nothing is left") as caught:
        encode(*messages, family="claude", model="my-claude")
    assert "family" not in caught.value.message
    assert "'claude'" not in caught.value.message
    assert caught.value.__context__ is None or caught.value.__suppress_context__
