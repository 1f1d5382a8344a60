"""Messages of every type, on the way in."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    InvalidToolCall,
    RemoveMessage,
    SystemMessage,
    ToolCall,
    ToolMessage,
)

from kit.targets import encode
from langchain_dbchat.dialects.shared.blocks.message_keys import CALL_EXTRAS
from langchain_dbchat.dialects.shared.conversation.turns import NO_OUTPUT
from langchain_dbchat.errors import UnsupportedContentError

EPHEMERAL = {"type": "ephemeral"}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}}
HI = HumanMessage("hi")


def call(call_id: str = "c1", name: str = "f", **args: Any) -> ToolCall:
    return ToolCall(name=name, args=args, id=call_id, type="tool_call")


def wire_call(call_id: str = "c1", name: str = "f", arguments: str = "{}") -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def signed(text: str, signature: str | None) -> dict[str, Any]:
    entry = {"type": "summary_text", "text": text}
    return {"type": "reasoning", "summary": [{**entry, "signature": signature} if signature else entry]}


def made_by(model: str, family: str) -> dict[str, str]:
    return {"model_provider": "databricks", "model_name": model, "model_family": family}


@pytest.mark.parametrize(
    ("message", "wire"),
    [
        (HumanMessage("a"), {"role": "user", "content": "a"}),
        (HumanMessage(["a", {"type": "text", "text": "b"}]), {"role": "user", "content": "a\nb"}),
        (HumanMessage("a", name="Ann", id="m1"), {"role": "user", "content": "a"}),
        (HumanMessage("a", additional_kwargs={"lc_source": "x"}), {"role": "user", "content": "a"}),
        (AIMessage("a"), {"role": "assistant", "content": "a"}),
        (AIMessageChunk(content="a"), {"role": "assistant", "content": "a"}),
        (AIMessage("a", name="agent"), {"role": "assistant", "content": "a"}),
        (AIMessage(["a", {"type": "text", "text": "b"}]), {"role": "assistant", "content": "ab"}),
        (ChatMessage(content="a", role="user"), {"role": "user", "content": "a"}),
        (ChatMessage(content="a", role="human"), {"role": "user", "content": "a"}),
        (ChatMessage(content="a", role="assistant"), {"role": "assistant", "content": "a"}),
        (
            ToolMessage("a", tool_call_id="c1", name="f", artifact=[1]),
            {"role": "tool", "tool_call_id": "c1", "content": "a"},
        ),
    ],
)
def test_a_message_is_written_key_by_key(message: BaseMessage, wire: dict[str, Any]) -> None:
    before = copy.deepcopy(message)
    assert encode(HI, message)[1] == wire
    assert message == before


def test_system_messages_and_their_other_spellings() -> None:
    for message in (
        SystemMessage("s"),
        ChatMessage(content="s", role="system"),
        ChatMessage(content="s", role="developer"),
    ):
        assert encode(message, HI)[0] == {"role": "system", "content": "s"}


@pytest.mark.parametrize(
    "message",
    [ChatMessage(content="a", role="narrator"), FunctionMessage(content="a", name="f"), RemoveMessage(id="m1")],
)
def test_messages_that_have_no_place_on_the_wire_raise(message: BaseMessage) -> None:
    with pytest.raises(UnsupportedContentError, match="message 1"):
        encode(HI, message)


def test_names_go_only_where_they_are_accepted() -> None:
    named = HumanMessage("a", name="Ann")
    assert encode(named, family="openai-compatible") == [{"role": "user", "content": "a", "name": "Ann"}]
    for family in ("generic", "claude", "gpt-5", "gemini-3", "open-weights"):
        assert "name" not in encode(named, family=family)[0]


def test_nothing_to_answer_raises() -> None:
    with pytest.raises(UnsupportedContentError, match="nothing to answer"):
        encode(SystemMessage("s"))
    with pytest.raises(UnsupportedContentError, match="nothing to answer"):
        encode()


def test_an_empty_prompt_is_sent_or_named() -> None:
    assert encode(HumanMessage("")) == [{"role": "user", "content": ""}]
    with pytest.raises(UnsupportedContentError, match=r"message 0 \(human\): the message is empty"):
        encode(HumanMessage(""), family="claude")


# Where system messages may stand.


def test_system_messages_stand_first_and_once_where_the_family_wants_that() -> None:
    messages = [SystemMessage("a"), HI, SystemMessage("b"), HumanMessage("c")]
    assert encode(*messages, family="claude") == [
        {"role": "system", "content": "a\n\nb"},
        {"role": "user", "content": "hi"},
        {"role": "user", "content": "c"},
    ]
    assert [message["role"] for message in encode(*messages)] == ["system", "user", "system", "user"]


def test_merged_system_messages_keep_their_cache_marks() -> None:
    marked = {"type": "text", "text": "a", "cache_control": EPHEMERAL}
    wire = encode(SystemMessage([marked]), HI, SystemMessage("b"), family="claude")
    assert wire[0] == {"role": "system", "content": [marked, {"type": "text", "text": "b"}]}


def test_an_empty_system_message_is_left_out_where_empty_text_is_refused() -> None:
    assert encode(SystemMessage(""), HI, family="claude") == [{"role": "user", "content": "hi"}]


# Answers and their calls.


def test_calls_with_and_without_text() -> None:
    both = AIMessage("Let me see.", tool_calls=[call(city="Åre")])
    assert encode(HI, both)[1] == {
        "role": "assistant",
        "content": "Let me see.",
        "tool_calls": [wire_call(arguments='{"city": "Åre"}')],
    }
    contents: list[Any] = ["", [], [{"type": "text", "text": ""}]]
    for content in contents:
        for family in ("generic", "claude", "open-weights"):
            wire = encode(HI, AIMessage(content=content, tool_calls=[call()]), family=family)[1]
            assert wire == {"role": "assistant", "content": None, "tool_calls": [wire_call()]}


def test_an_answer_that_said_nothing_is_left_out() -> None:
    assert len(encode(HI, AIMessage(""), HI, family="claude")) == 2
    assert len(encode(HI, AIMessage([]), HI)) == 2


def test_blocks_that_repeat_calls_are_not_content() -> None:
    blocks: list[Any] = [
        {"type": "text", "text": "a"},
        {"type": "tool_call", "id": "c1", "name": "f", "args": {}},
        {"type": "tool_call_chunk", "id": "c1", "name": "f", "args": "{}", "index": 0},
        {"type": "tool_use", "id": "c1", "name": "f", "input": {}},
        {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "invalid_tool_call", "id": "c1", "name": "f", "args": "{", "error": "x"},
        {"type": "input_json_delta", "partial_json": "{}", "index": 0},
    ]
    wire = encode(HI, AIMessage(content=blocks, tool_calls=[call()]))[1]
    assert wire == {"role": "assistant", "content": "a", "tool_calls": [wire_call()]}


def test_a_tool_use_block_alone_is_a_call() -> None:
    answer = AIMessage(content=[{"type": "tool_use", "id": "c9", "name": "f", "input": {"a": 1}}])
    assert encode(HI, answer)[1]["tool_calls"] == [wire_call("c9", arguments='{"a": 1}')]


@pytest.mark.parametrize(
    ("args", "arguments"),
    [
        ('{"a": "hel', '{"invalid_arguments": "{\\"a\\": \\"hel"}'),
        ("[1]", '{"invalid_arguments": "[1]"}'),
        ("", "{}"),
        (None, "{}"),
        ('{"a": 1}', '{"a": 1}'),
    ],
)
def test_invalid_calls_go_back_as_json(args: str | None, arguments: str) -> None:
    broken = InvalidToolCall(name="f", args=args, id="c2", error="x", type="invalid_tool_call")
    wire = encode(HI, AIMessage("", tool_calls=[call()], invalid_tool_calls=[broken]))[1]
    assert wire["tool_calls"] == [wire_call(), wire_call("c2", arguments=arguments)]


def test_a_refusal_goes_back_behind_what_was_said() -> None:
    refused = AIMessage("", additional_kwargs={"refusal": "I can't."})
    assert encode(HI, refused, HI)[1] == {"role": "assistant", "content": "I can't."}
    assert encode(HI, AIMessage("But look: ", additional_kwargs={"refusal": "no"}), HI)[1]["content"] == "But look: no"


# Reasoning.


def test_reasoning_goes_back_to_its_maker_only() -> None:
    blocks: list[Any] = [signed("think", "S1"), {"type": "text", "text": "a"}]
    metadata = made_by("databricks-claude-sonnet-4-5", "claude")
    answer = AIMessage(content=blocks, response_metadata=metadata)
    assert encode(HI, answer, HI, family="claude-opus-5")[1]["content"] == blocks
    for family in ("generic", "gpt-5", "gemini-3", "gpt-oss", "glm-5-2", "open-weights", "openai-compatible"):
        assert encode(HI, answer, HI, family=family)[1]["content"] == "a", family


def test_reasoning_of_a_custom_endpoint_goes_back_to_that_endpoint() -> None:
    blocks: list[Any] = [signed("think", "S1"), {"type": "text", "text": "a"}]
    answer = AIMessage(content=blocks, response_metadata=made_by("mine", "generic"))
    assert encode(HI, answer, HI, model="mine")[1]["content"] == blocks
    assert encode(HI, answer, HI, model="other")[1]["content"] == "a"


def test_unsigned_reasoning_never_goes_back() -> None:
    metadata = made_by("databricks-claude-sonnet-4-5", "claude")
    blocks: list[Any] = [signed("one", None), signed("two", "S2"), {"type": "text", "text": "a"}]
    answer = AIMessage(content=blocks, response_metadata=metadata)
    assert encode(HI, answer, HI, family="claude")[1]["content"] == blocks[1:]


def test_every_spelling_of_reasoning_becomes_the_part_it_came_as() -> None:
    redacted = {"type": "reasoning", "summary": [{"type": "summary_encrypted_text", "data": "E"}]}
    spellings: list[tuple[list[Any], list[dict[str, Any]], str]] = [
        ([{"type": "reasoning", "reasoning": "t", "extras": {"signature": "S"}}], [signed("t", "S")], "databricks"),
        ([{"type": "reasoning", "reasoning": "", "extras": {"data": "E"}}], [redacted], "databricks"),
        ([{"type": "thinking", "thinking": "t", "signature": "S"}], [signed("t", "S")], "anthropic"),
        ([{"type": "redacted_thinking", "data": "E"}], [redacted], "anthropic"),
        (
            [
                {"type": "reasoning", "reasoning": "t", "extras": {"signature": "S"}},
                {"type": "reasoning", "reasoning": "u", "extras": {"signature": "V", "continues": True}},
            ],
            [{"type": "reasoning", "summary": [*signed("t", "S")["summary"], *signed("u", "V")["summary"]]}],
            "databricks",
        ),
    ]
    for blocks, wanted, provider in spellings:
        metadata = made_by("databricks-claude-opus-4-1", "claude") if provider == "databricks" else {}
        answer = AIMessage(
            content=[*blocks, {"type": "text", "text": "a"}],
            response_metadata=metadata or {"model_provider": provider},
        )
        before = copy.deepcopy(answer)
        assert encode(HI, answer, HI, family="claude")[1]["content"] == [*wanted, {"type": "text", "text": "a"}]
        assert answer == before


def test_a_call_keeps_what_it_carried_for_its_maker_only() -> None:
    answer = AIMessage(
        "",
        tool_calls=[call()],
        additional_kwargs={CALL_EXTRAS: {"c1": {"thoughtSignature": "T"}}},
        response_metadata=made_by("databricks-gemini-3-flash", "gemini-3"),
    )
    assert encode(HI, answer, family="gemini-3")[1]["tool_calls"] == [{**wire_call(), "thoughtSignature": "T"}]
    assert encode(HI, answer, family="claude")[1]["tool_calls"] == [wire_call()]


# Tool results.


def test_tool_errors_say_so_in_their_text() -> None:
    def content(message: ToolMessage) -> Any:
        return encode(HI, AIMessage("", tool_calls=[call()]), message)[2]["content"]

    assert content(ToolMessage("timed out", tool_call_id="c1", status="error")) == "Error:\ntimed out"
    assert content(ToolMessage("Error: timed out", tool_call_id="c1", status="error")) == "Error: timed out"
    assert content(ToolMessage("timed out", tool_call_id="c1")) == "timed out"


def test_an_empty_tool_result_still_answers_its_call() -> None:
    contents: list[Any] = ["", [], [{"type": "text", "text": ""}]]
    for content in contents:
        message = ToolMessage(content=content, tool_call_id="c1")
        wire = encode(HI, AIMessage("", tool_calls=[call()]), message, family="claude")
        assert wire[2] == {"role": "tool", "tool_call_id": "c1", "content": NO_OUTPUT}


def test_a_marked_tool_result_keeps_its_mark_for_claude() -> None:
    block = {"type": "text", "text": "a", "cache_control": EPHEMERAL}
    message = ToolMessage(content=[block], tool_call_id="c1")
    history = [HI, AIMessage("", tool_calls=[call()]), message]
    assert encode(*history, family="claude")[2]["content"] == [block]
    assert encode(*history, family="gpt-5")[2]["content"] == "a"


def test_images_of_tools_follow_in_one_user_message_after_all_results() -> None:
    wire = encode(
        HI,
        AIMessage("", tool_calls=[call("c1"), call("c2")]),
        ToolMessage(content=["see", IMAGE], tool_call_id="c1"),
        ToolMessage(content=[IMAGE], tool_call_id="c2"),
        HumanMessage("So?"),
        family="claude",
    )
    assert [message["role"] for message in wire] == ["user", "assistant", "tool", "tool", "user", "user"]
    assert wire[2]["content"] == "see"
    assert "1 attachment" in wire[3]["content"]
    assert wire[4] == {"role": "user", "content": [IMAGE, IMAGE]}


def test_images_of_the_last_tool_are_not_lost() -> None:
    wire = encode(HI, AIMessage("", tool_calls=[call()]), ToolMessage([IMAGE], tool_call_id="c1"), family="gpt-5")
    assert wire[-1] == {"role": "user", "content": [IMAGE]}
    kept = encode(HI, AIMessage("", tool_calls=[call()]), ToolMessage([IMAGE], tool_call_id="c1"))
    assert kept[-1] == {"role": "tool", "tool_call_id": "c1", "content": [IMAGE]}


def test_anthropics_tool_results_become_tool_messages() -> None:
    block = {"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "bad"}], "is_error": True}
    message = HumanMessage(content=[block, {"type": "text", "text": "So?"}])
    before = copy.deepcopy(message)
    assert encode(HI, AIMessage("", tool_calls=[call()]), message)[2:] == [
        {"role": "tool", "tool_call_id": "c1", "content": "Error:\nbad"},
        {"role": "user", "content": "So?"},
    ]
    assert message == before


def test_a_tool_result_without_its_calls_id_raises() -> None:
    with pytest.raises(UnsupportedContentError, match="id of the call"):
        encode(HI, ToolMessage("a", tool_call_id=""))


def test_several_calls_are_split_only_where_that_is_needed() -> None:
    answer = AIMessage("Look:", tool_calls=[call("c1"), call("c2"), call("c3")])
    results = [ToolMessage(f"r{n}", tool_call_id=f"c{n}") for n in (3, 1)]
    wire = encode(HI, answer, *results, HumanMessage("So?"), family="gpt-oss")
    shape = [(m["role"], m.get("tool_call_id") or [c["id"] for c in m.get("tool_calls", [])]) for m in wire]
    assert shape == [
        ("user", []),
        ("assistant", ["c1"]),
        ("tool", "c1"),
        ("assistant", ["c2"]),
        ("tool", "c2"),
        ("assistant", ["c3"]),
        ("tool", "c3"),
        ("user", []),
    ]
    assert [message.get("content") for message in wire if message["role"] == "assistant"] == ["Look:", None, None]
    grouped = encode(HI, answer, *results, family="claude")
    assert [message["role"] for message in grouped] == ["user", "assistant", "tool", "tool"]


def test_the_callers_conversation_is_never_changed() -> None:
    conversation: list[BaseMessage] = [
        SystemMessage([{"type": "text", "text": "s", "cache_control": EPHEMERAL}]),
        HumanMessage([{"type": "text", "text": "a"}, dict(IMAGE)]),
        AIMessage(
            [signed("t", "S"), {"type": "text", "text": "b", "thoughtSignature": "T"}],
            tool_calls=[call("c1", x={"y": [1]}), call("c2")],
            additional_kwargs={CALL_EXTRAS: {"c1": {"thoughtSignature": "T"}}},
        ),
        ToolMessage([dict(IMAGE)], tool_call_id="c1"),
        ToolMessage("r", tool_call_id="c2", status="error"),
    ]
    before = copy.deepcopy(conversation)
    for family in ("generic", "claude", "gpt-5", "gemini-3"):
        wire = encode(*conversation, family=family)
        for message in wire:
            message["content"] = None
            for entry in message.get("tool_calls", []):
                entry["function"]["arguments"] = ""
    assert conversation == before
