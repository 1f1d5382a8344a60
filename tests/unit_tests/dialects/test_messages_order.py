"""The order of a conversation: whose turn it is, the ids of calls, and calls that nobody answered."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    AnyMessage,
    BaseMessage,
    HumanMessage,
    InvalidToolCall,
    SystemMessage,
    ToolCall,
    ToolMessage,
    trim_messages,
)
from langchain_core.messages.tool import invalid_tool_call

from kit.targets import encode
from langchain_dbchat.dialects.chat_completions.history import take_turns
from langchain_dbchat.dialects.chat_completions.quirks import QUIRKS
from langchain_dbchat.dialects.shared.blocks.message_keys import CALL_EXTRAS
from langchain_dbchat.dialects.shared.conversation.call_results import MALFORMED, NOT_EXECUTED
from langchain_dbchat.dialects.shared.conversation.turns import CONTINUE, OPENING
from langchain_dbchat.errors import UnsupportedContentError
from langchain_dbchat.models.families import FAMILIES, family_of

HI = HumanMessage("hi")
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}}
TURNS = ["open-weights", "llama-4", "open-weights-unproven", "open-weights-vision"]
FREE = ["generic", "openai-compatible", "claude", "gpt-5", "gemini-3", "gpt-oss", "glm-5-2", "kimi-k3"]


def call(call_id: str | None = "c1", name: str = "f", **args: Any) -> ToolCall:
    return ToolCall(name=name, args=args, id=call_id, type="tool_call")


def broken(call_id: str | None = "c9", args: str | None = '{"a": "hel', name: str | None = "f") -> InvalidToolCall:
    return invalid_tool_call(name=name, args=args, id=call_id, error="x")


def asks(*calls: ToolCall, text: str = "", invalid: tuple[InvalidToolCall, ...] = ()) -> AIMessage:
    return AIMessage(text, tool_calls=list(calls), invalid_tool_calls=list(invalid))


def result(call_id: str = "c1", content: Any = "42") -> ToolMessage:
    return ToolMessage(content, tool_call_id=call_id)


def shape(wire: list[dict[str, Any]]) -> list[tuple[str, Any]]:
    return [
        (one["role"], one.get("tool_call_id") or [made["id"] for made in one.get("tool_calls", [])]) for one in wire
    ]


def roles(wire: list[dict[str, Any]]) -> str:
    return " ".join(one["role"][0] for one in wire)


# Taking turns.


@pytest.mark.parametrize(
    ("messages", "wanted"),
    [
        ([HumanMessage("a"), HumanMessage("b")], [("user", "a\n\nb")]),
        ([HumanMessage("a", name="Ann"), HumanMessage("b", name="Bob")], [("user", "a\n\nb")]),
        (
            [
                HumanMessage("a"),
                AIMessage("b"),
                AIMessage("c"),
                HumanMessage("d"),
                HumanMessage("e"),
                HumanMessage("f"),
            ],
            [("user", "a"), ("assistant", "b\n\nc"), ("user", "d\n\ne\n\nf")],
        ),
        ([HumanMessage(["a", "b"]), HumanMessage("c")], [("user", "a\nb\n\nc")]),
        ([HumanMessage(""), HumanMessage("c")], [("user", "c")]),
        ([HumanMessage("a"), AIMessage(""), HumanMessage("c")], [("user", "a\n\nc")]),
        (
            [SystemMessage("s"), HumanMessage("a"), SystemMessage("t"), HumanMessage("b")],
            [("system", "s\n\nt"), ("user", "a\n\nb")],
        ),
    ],
)
@pytest.mark.parametrize("family", TURNS)
def test_neighbours_of_one_role_become_one_message(
    messages: list[BaseMessage], wanted: list[tuple[str, str]], family: str
) -> None:
    before = copy.deepcopy(messages)
    wire = encode(*messages, family=family)
    assert [(one["role"], one["content"]) for one in wire] == wanted
    assert messages == before


def test_parts_and_text_become_one_list() -> None:
    wire = encode(HumanMessage("a"), HumanMessage([IMAGE, "b"]), HumanMessage("c"), family="llama-4")
    text = [{"type": "text", "text": one} for one in "abc"]
    assert wire == [{"role": "user", "content": [text[0], IMAGE, text[1], text[2]]}]


def test_a_text_before_calls_joins_their_turn_and_results_stay_behind_them() -> None:
    wire = encode(HI, AIMessage("a"), asks(call("c1"), call("c2"), text="b"), result("c1"), result("c2"),
                  AIMessage("d"), AIMessage("e"), family="open-weights")  # fmt: skip
    assert shape(wire) == [
        ("user", []), ("assistant", ["c1"]), ("tool", "c1"), ("assistant", ["c2"]), ("tool", "c2"), ("assistant", []),
        ("user", []),
    ]  # fmt: skip
    assert [one["content"] for one in wire] == ["hi", "a\n\nb", "42", None, "42", "d\n\ne", CONTINUE]


def test_images_of_a_tool_and_the_users_next_words_are_one_message() -> None:
    wire = encode(HI, asks(call()), result(content=["see", IMAGE]), HumanMessage("So?"), family="llama-4")
    assert roles(wire) == "u a t u"
    assert wire[-1]["content"] == [IMAGE, {"type": "text", "text": "So?"}]


@pytest.mark.parametrize("system", [(), (SystemMessage("s"),)])
@pytest.mark.parametrize("family", TURNS)
def test_a_conversation_that_the_assistant_opens_gets_a_first_message(
    family: str, system: tuple[BaseMessage, ...]
) -> None:
    wire = encode(*system, AIMessage("Hello!"), HumanMessage("a"), family=family)[len(system) :]
    assert [(one["role"], one["content"]) for one in wire] == [
        ("user", OPENING),
        ("assistant", "Hello!"),
        ("user", "a"),
    ]


def test_no_call_is_lost_between_two_messages_of_one_role() -> None:
    calling = {"role": "assistant", "content": None, "tool_calls": [{"id": "c1"}]}
    said = {"role": "assistant", "content": "a"}
    user = {"role": "user", "content": "hi"}
    assert take_turns([user, calling, said]) == [user, calling, said]
    assert take_turns([user, said, calling]) == [user, {**calling, "content": "a"}]


@pytest.mark.parametrize("family", FREE)
def test_other_families_get_the_messages_as_they_are(family: str) -> None:
    wire = encode(AIMessage("Hello!"), HumanMessage("a"), HumanMessage("b"), AIMessage("c"), AIMessage("d"), HI,
                  family=family)  # fmt: skip
    assert [one["content"] for one in wire] == ["Hello!", "a", "b", "c", "d", "hi"]


def test_what_trimming_leaves_takes_turns() -> None:
    thread: list[AnyMessage] = [SystemMessage("s")]
    for number in range(6):
        thread += [HumanMessage(f"q{number}"), asks(call(f"c{number}")), result(f"c{number}"), AIMessage(f"a{number}")]
    for kept in range(1, len(thread)):
        trimmed = trim_messages(
            [*thread, HumanMessage("So?")], max_tokens=kept + 1, token_counter=len, include_system=True,
            start_on=("human", "ai"),
        )  # fmt: skip
        spoken = [one["role"] for one in encode(*trimmed, family="open-weights") if one["role"] != "tool"]
        assert spoken[:2] == ["system", "user"]
        assert spoken[-1] == "user"


@pytest.mark.parametrize(
    "model", ["meta-llama-3-3-70b-instruct", "llama-4-maverick", "mixtral-8x7b-instruct", "dbrx-instruct"]
)
def test_the_models_that_were_reported_take_turns(model: str) -> None:
    assert family_of(f"databricks-{model}").alternating_roles


# The ids of calls.

ODD = ["functions.search:0", "call|fc_123", "a b", "é", "chatcmpl-tool/1", "x" * 200, "a.b"]


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_ids_fit_alike_in_call_and_result_and_differ(family: str) -> None:
    row = FAMILIES[family]
    thread: list[BaseMessage] = [HI]
    for given in ODD:
        thread += [asks(call(given)), result(given)]
    before = copy.deepcopy(thread)
    wire = encode(*thread, family=family)
    made = [one["tool_calls"][0]["id"] for one in wire if one["role"] == "assistant"]
    assert made == [one["tool_call_id"] for one in wire if one["role"] == "tool"]
    assert len(set(made)) == len(ODD)
    for given, new in zip(ODD, made, strict=True):
        right = not row.call_ids or re.fullmatch(row.call_ids, given)
        assert re.fullmatch(row.call_ids or "(?s).*", new)
        assert (new == given) is bool(right)
    assert thread == before


@pytest.mark.parametrize("given", ["toolu_bdrk_01TPK8abc", "call_abc-1", "c1", "0b0dd3cc-6b3a-4bd5-9d5c-6ffb8f1a3f30"])
@pytest.mark.parametrize("family", ["claude", "gpt-5", "generic", "gemini-3", "open-weights"])
def test_an_id_that_is_right_stays(family: str, given: str) -> None:
    assert shape(encode(HI, asks(call(given)), result(given), family=family))[1:] == [
        ("assistant", [given]),
        ("tool", given),
    ]


def test_ids_are_the_same_in_each_turn_and_after_trimming() -> None:
    turns: list[list[BaseMessage]] = [[HI, asks(call(given)), result(given)] for given in ODD]
    whole = [message for turn in turns for message in turn]
    wire = encode(*whole, family="claude")
    for end in range(3, len(whole), 3):
        assert encode(*whole[:end], family="claude") == wire[:end]
        assert encode(*whole[end:], family="claude") == wire[end:]


@pytest.mark.parametrize("given", ["call_0", "functions.f:0", ""])
@pytest.mark.parametrize("family", ["claude", "gpt-5", "generic", "open-weights", "openai-compatible"])
def test_an_id_that_comes_again_is_another_call(family: str, given: str) -> None:
    turn = [asks(call(given, x=1), call(given, x=2)), result(given, "one"), result(given, "two")]
    thread = [HI, *turn, *turn]
    wire = encode(*thread, family=family)
    pairs = {}
    for one in wire:
        for made in one.get("tool_calls", []):
            pairs[made["id"]] = [made["function"]["arguments"]]
        if one["role"] == "tool":
            pairs[one["tool_call_id"]].append(one["content"])
    assert list(pairs.values()) == [['{"x": 1}', "one"], ['{"x": 2}', "two"]] * 2
    assert all(pairs)
    assert encode(*thread[:4], family=family) == wire[: len(encode(*thread[:4], family=family))]


def test_a_call_without_an_id_is_answered_by_the_result_without_one() -> None:
    for given in (None, ""):
        wire = encode(HI, asks(call(given), call("c2")), result("c2"), result(""), family="claude")
        (first, second), answers = shape(wire)[1][1], [who for _, who in shape(wire)[2:]]
        assert (second, answers) == ("c2", ["c2", first])
        assert re.fullmatch(r"[a-zA-Z0-9_-]+", first)
    wire = encode(HI, asks(call(None)), result("made-up"), family="claude")
    assert shape(wire)[2] == ("tool", shape(wire)[1][1][0])


def test_an_id_that_looks_like_a_replacement_is_not_taken_twice() -> None:
    taken = shape(encode(HI, asks(call("a b")), result("a b"), family="claude"))[1][1][0]
    for first, second in (("a b", taken), (taken, "a b")):
        wire = encode(HI, asks(call(first)), result(first), asks(call(second)), result(second), family="claude")
        ids = [who for role, who in shape(wire) if role == "tool"]
        assert len(set(ids)) == 2
        assert [[one] for one in ids] == [who for role, who in shape(wire) if role == "assistant"]


def test_anthropics_blocks_are_fitted_too() -> None:
    use = {"type": "tool_use", "id": "functions.f:0", "name": "f", "input": {"a": 1}}
    answer = {"type": "tool_result", "tool_use_id": "functions.f:0", "content": "42"}
    plain = encode(HI, asks(call("functions.f:0", a=1)), result("functions.f:0"), family="claude")
    assert encode(HI, AIMessage([use]), HumanMessage([answer]), family="claude") == plain
    for block in (
        {"type": "tool_call", "id": "functions.f:0", "name": "f", "args": {"a": 1}},
        {"type": "function_call", "call_id": "functions.f:0", "id": "fc_1", "name": "f", "arguments": '{"a": 1}'},
    ):
        assert encode(HI, AIMessage([block]), result("functions.f:0"), family="claude") == plain


def test_what_a_call_carried_stays_with_it_under_its_new_id() -> None:
    answer = AIMessage(
        "",
        tool_calls=[call("call_0")],
        additional_kwargs={CALL_EXTRAS: {"call_0": {"thoughtSignature": "T"}}},
        response_metadata={"model_provider": "databricks", "model_name": "g", "model_family": "gemini-3"},
    )
    wire = encode(HI, answer, result("call_0"), answer, result("call_0"), family="gemini-3")
    assert [one["tool_calls"][0]["thoughtSignature"] for one in wire if "tool_calls" in one] == ["T", "T"]


# Results and their calls.


def test_a_late_result_stands_behind_its_call() -> None:
    wire = encode(HI, asks(call("c1"), call("c2")), result("c2"), HumanMessage("Hurry."), result("c1"), AIMessage("a"),
                  family="claude")  # fmt: skip
    assert shape(wire) == [
        ("user", []), ("assistant", ["c1", "c2"]), ("tool", "c2"), ("tool", "c1"), ("user", []), ("assistant", []),
    ]  # fmt: skip
    assert NOT_EXECUTED not in str(wire)


@pytest.mark.parametrize("family", ["claude", "gpt-5", "gemini-3", "open-weights", "kimi-k3"])
def test_a_result_without_its_call_raises_and_says_what_to_do(family: str) -> None:
    for thread in ([result("c7"), HI], [HI, asks(call()), result(), result("c7")], [HI, asks(call()), *[result()] * 2]):
        with pytest.raises(UnsupportedContentError, match=r"(?s)\(tool\).*'c[17]'.*start_on='human'"):
            encode(*thread, family=family)
    block = {"type": "tool_result", "tool_use_id": "c7", "content": "42"}
    with pytest.raises(UnsupportedContentError, match=r"\(human\).*'c7'"):
        encode(HumanMessage([block]), family=family)


def test_a_server_that_nobody_knows_may_take_a_result_without_its_call() -> None:
    for family in ("generic", "openai-compatible"):
        assert encode(result("c7"), HI, family=family)[0] == {"role": "tool", "tool_call_id": "c7", "content": "42"}


# Calls that nobody answered.

EVERY = ["generic", "claude", "gpt-5", "gemini-3", "gpt-oss", "open-weights", "glm-5-2", "kimi-k3"]


@pytest.mark.parametrize("after", [(), (HumanMessage("So?"),), (AIMessage("Well."), HumanMessage("So?"))])
@pytest.mark.parametrize("family", EVERY)
def test_a_malformed_call_gets_a_result_that_says_so(family: str, after: tuple[BaseMessage, ...]) -> None:
    wire = encode(HI, asks(invalid=(broken(),)), *after, family=family)
    given = wire[1]["tool_calls"][0]["id"]
    assert wire[2] == {"role": "tool", "tool_call_id": given, "content": MALFORMED}
    assert len(wire) == 3 + len(after)
    assert "malformed" in MALFORMED


@pytest.mark.parametrize("family", EVERY)
def test_valid_and_malformed_calls_of_one_turn_are_each_answered(family: str) -> None:
    thread = [HI, asks(call("c1"), call("c2"), invalid=(broken("c8"), broken(None, name=None))), result("c1"),
              HumanMessage("So?")]  # fmt: skip
    before = copy.deepcopy(thread)
    wire = encode(*thread, family=family)
    calls = [made["id"] for one in wire for made in one.get("tool_calls", [])]
    said = {one["tool_call_id"]: one["content"] for one in wire if one["role"] == "tool"}
    assert [said[one] for one in calls] == ["42", NOT_EXECUTED, MALFORMED, MALFORMED]
    assert thread == before
    if QUIRKS[family].tool_history == "split":
        assert roles(wire) == "u a t a t a t a t u"
    else:
        assert roles(wire) == "u a t t t t u"


def test_a_call_that_the_user_stopped_is_answered_when_the_conversation_goes_on() -> None:
    for after in ([HumanMessage("Stop.")], [AIMessage("Well."), HI]):
        wire = encode(HI, asks(call()), *after, family="claude")
        assert wire[2] == {"role": "tool", "tool_call_id": "c1", "content": NOT_EXECUTED}
    assert "not executed" in NOT_EXECUTED
    assert roles(encode(HI, asks(call()), family="claude")) == "u a"  # the server says what is missing


def test_a_malformed_call_that_was_answered_keeps_its_answer() -> None:
    wire = encode(HI, asks(invalid=(broken(),)), result("c9", "Try again."), family="claude")
    assert [one["content"] for one in wire[2:]] == ["Try again."]


def test_calls_in_content_are_not_taken_for_malformed_ones() -> None:
    use = {"type": "tool_use", "id": "c1", "name": "f", "input": {}}
    answer = AIMessage([use], invalid_tool_calls=[broken()])
    said = {one["tool_call_id"]: one["content"] for one in encode(HI, answer, HI) if one["role"] == "tool"}
    assert said == {"c9": MALFORMED, "c1": NOT_EXECUTED}
