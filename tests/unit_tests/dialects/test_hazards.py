"""Every trap in langchain-core's assembly of streams, by the number it has in our notes, and how we keep out of it."""

from __future__ import annotations

from typing import Any, cast

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk
from pydantic_core import to_json

from kit.targets import call_delta, chunks_of, event, keeping_partial, summed, target
from langchain_dbchat.dialects.chat_completions.decode import ChatStreamDecoder, decode_answer
from langchain_dbchat.dialects.shared.answer import translators
from langchain_dbchat.dialects.shared.answer.answer_tools import AnswerToolCalls
from langchain_dbchat.dialects.shared.answer.events import DONE
from langchain_dbchat.dialects.shared.answer.parts import ToolCallPart
from langchain_dbchat.errors import DatabricksError, MalformedResponseError, StreamInterruptedError

translators.register()
STOP = event({}, "stop")
TEXT_THEN_CALL = (
    event({"content": "Let me check. "}),
    event(call_delta("", "f", call_id="c1")),
    event(call_delta('{"a": 1}')),
    event({}, "tool_calls"),
)


def reasoning(text: str, signature: str | None = None) -> dict[str, Any]:
    entry = {"type": "summary_text", "text": text, **({"signature": signature} if signature else {})}
    return {"content": [{"type": "reasoning", "summary": [entry]}]}


def test_1_text_and_a_call_of_the_same_index_stay_apart() -> None:
    total = summed(*TEXT_THEN_CALL)
    assert [block["type"] for block in total.content_blocks] == ["text", "tool_call"]
    as_v1 = [AIMessageChunk(content=chunk.content_blocks) for chunk in chunks_of(*TEXT_THEN_CALL)]
    merged = as_v1[0]
    for chunk in as_v1[1:]:
        merged += chunk
    assert [cast("Any", block)["type"] for block in merged.content] == ["text", "tool_call_chunk"]


def test_2_and_3_content_has_string_indices_and_calls_have_whole_numbers() -> None:
    chunks = chunks_of(event(reasoning("a", "S")), event({"content": "b"}), *TEXT_THEN_CALL[1:])
    content = [block["index"] for chunk in chunks for block in chunk.content if isinstance(block, dict)]
    assert content == ["lc_rs_0", "lc_txt_1"]
    assert {part["index"] for chunk in chunks for part in chunk.tool_call_chunks} == {0}


def test_4_one_block_for_one_stretch_of_text() -> None:
    parts = [event({"content": [{"type": "text", "text": word}]}) for word in ("a", "b", "c")]
    total = summed(event(reasoning("x")), event(reasoning("y")), *parts, STOP)
    assert [block["type"] for block in total.content_blocks] == ["reasoning", "text"]
    assert total.content_blocks[0]["reasoning"] == "xy"  # type: ignore[typeddict-item]  # it is reasoning
    assert total.text == "abc"


def test_2_an_index_of_the_servers_own_does_not_reach_the_blocks() -> None:
    part = {"type": "text", "text": "a", "index": 0, "thoughtSignature": "T"}
    chunks = chunks_of(event({"content": [part]}), *TEXT_THEN_CALL[1:], family="gemini-3")
    indices = [block["index"] for chunk in chunks for block in chunk.content if isinstance(block, dict)]
    assert set(indices) == {"lc_txt_0"}


def test_4_reasoning_that_says_nothing_makes_no_block() -> None:
    message = {"content": [reasoning("")["content"][0], {"type": "text", "text": "a"}]}
    whole = decode_answer(to_json({"choices": [{"message": message}]}), target(), None).generations[0].message
    assert isinstance(whole, AIMessage)
    streamed = summed(event(message), STOP)
    assert whole.content == streamed.content == "a"


def test_4_an_empty_list_of_thinking_hides_no_reasoning() -> None:
    total = summed(event({"thinking_blocks": [], "reasoning_content": "x"}), STOP)
    assert [block["type"] for block in total.content_blocks] == ["reasoning"]


@pytest.mark.parametrize("first", ["", [], None, [{"type": "text", "text": ""}]])
def test_5_an_empty_first_delta_decides_nothing(first: Any) -> None:
    """A role-only delta, in whatever kind, neither makes an empty block nor swallows the text after it."""
    opening = event({"role": "assistant", "content": first})
    assert summed(opening, event({"content": "a"}), STOP).content == "a"
    with_list = summed(opening, event(reasoning("x", "S")), event({"content": "a"}), STOP)
    assert [block["type"] for block in with_list.content_blocks] == ["reasoning", "text"]
    assert all(isinstance(block, dict) for block in with_list.content)
    listed = summed(opening, event({"content": [{"type": "text", "text": "a"}]}), STOP, family="gemini-3")
    assert (listed.text, len(listed.content_blocks)) == ("a", 1)


def test_5_reasoning_that_comes_after_text_loses_neither() -> None:
    total = summed(event({"content": "a"}), event(reasoning("x", "S")), event({"content": "b"}), STOP)
    assert [block["type"] for block in total.content_blocks] == ["text", "reasoning", "text"]
    assert total.text == "ab"


def test_6_what_comes_with_every_event_is_said_once() -> None:
    facts: dict[str, Any] = {
        "model": "m",
        "system_fingerprint": "fp",
        "usage": {"prompt_tokens": 1, "completion_tokens": 2},
    }
    total = summed(event({"content": "a"}, **facts), event({"content": "b"}, **facts), event({}, "stop", **facts))
    assert total.response_metadata["served_model"] == "m"
    assert total.response_metadata["model_name"] == "my-endpoint"
    assert total.response_metadata["system_fingerprint"] == "fp"
    assert total.response_metadata["finish_reason"] == "stop"
    assert total.response_metadata["model_provider"] == "databricks"
    assert total.usage_metadata is not None
    assert total.usage_metadata["total_tokens"] == 3


def test_7_a_signature_is_said_once_and_whole() -> None:
    signed = {"type": "text", "text": "b", "thoughtSignature": "T"}
    chunks = chunks_of(
        event({"content": [{"type": "text", "text": "a"}]}), event({"content": [signed]}), event({"content": [signed]}),
        STOP, family="gemini-3",
    )  # fmt: skip
    said = [
        block for chunk in chunks for block in chunk.content if isinstance(block, dict) and "thoughtSignature" in block
    ]
    assert [block["thoughtSignature"] for block in said] == ["T"]


def test_7_a_signature_before_a_call_is_said_once() -> None:
    signed = {"content": [{"type": "text", "text": "a", "thoughtSignature": "T"}]}
    total = summed(event(signed), *TEXT_THEN_CALL[1:], family="gemini-3")
    assert [cast("Any", block)["thoughtSignature"] for block in total.content] == ["T"]


def test_7_two_signatures_are_two_blocks() -> None:
    signed = [{"type": "text", "text": text, "thoughtSignature": mark} for text, mark in (("a", "T"), ("b", "U"))]
    total = summed(*(event({"content": [block]}) for block in signed), STOP, family="gemini-3")
    assert [{**block, "index": 0} for block in total.content if isinstance(block, dict)] == [
        {**block, "index": 0} for block in signed
    ]


def test_7_a_signature_on_every_fragment_of_a_call_is_said_once() -> None:
    deltas = [call_delta('{"a"', "f", call_id="c1"), call_delta(": 1}")]
    for delta in deltas:
        delta["tool_calls"][0]["thoughtSignature"] = "T"
    total = summed(*map(event, deltas), event({}, "tool_calls"), family="gemini-3")
    assert total.additional_kwargs == {"databricks_tool_call_extras": {"c1": {"thoughtSignature": "T"}}}


def test_7_a_signature_that_comes_before_its_calls_id_is_kept() -> None:
    early = call_delta("", "f")
    early["tool_calls"][0]["thoughtSignature"] = "T"
    total = summed(event(early), event(call_delta("{}", call_id="c1")), event({}, "tool_calls"))
    assert total.additional_kwargs == {"databricks_tool_call_extras": {"c1": {"thoughtSignature": "T"}}}


def test_8_no_chunk_has_an_id_of_the_servers() -> None:
    """LangChain gives all chunks the id of the run; the server's own is a fact of the answer, told once."""
    late = b'{"id":null,"choices":[{"index":0,"delta":{"content":"a"}}]}'
    empty = b'{"id":"","choices":[]}'
    for events in (TEXT_THEN_CALL, (late, event({"content": "b"}), STOP), (empty, event({"content": "b"}), STOP)):
        chunks = chunks_of(*events)
        assert {chunk.id for chunk in chunks} == {None}
        assert [chunk.response_metadata.get("id") for chunk in chunks] == [None] * (len(chunks) - 1) + ["a1"]


def test_9_calls_always_have_an_index_and_their_name_once() -> None:
    for index in (0, None):
        deltas = [call_delta(text, "f", index=index, call_id="c1") for text in ('{"a"', ": ", "1}")]
        total = summed(*map(event, deltas), event({}, "tool_calls"))
        assert [(call["name"], call["args"], call["id"]) for call in total.tool_calls] == [("f", {"a": 1}, "c1")]


@pytest.mark.parametrize(
    "arguments", ['{"a": "hel', '{"a": bad', '{"a": [1, {"b', '{"a": "x\\', "[1, 2", '"text', "nul", "{]"]
)
@pytest.mark.parametrize("finish", ["length", "tool_calls", None])
def test_10_arguments_that_are_no_object_are_no_call(arguments: str, finish: str | None) -> None:
    events = [event(call_delta("", "f", call_id="c1")), event(call_delta(arguments)), event({}, finish), DONE]
    total = summed(*events)
    assert total.tool_calls == []
    assert [(call["name"], call["id"]) for call in total.invalid_tool_calls] == [("f", "c1")]
    assert (total.invalid_tool_calls[0]["args"] or "").startswith(arguments)


@pytest.mark.parametrize("finish", ["length", "max_tokens", "content_filter"])
def test_10_a_limit_before_the_arguments_is_no_call(finish: str) -> None:
    for arguments in ("", "{}"):
        assert summed(event(call_delta(arguments, "f", call_id="c1")), event({}, finish)).tool_calls == []
        (call,) = summed(event(call_delta(arguments, "f", call_id="c1")), event({}, "tool_calls")).tool_calls
        assert call["args"] == {}


@pytest.mark.parametrize("coalesce", [True, False])
@pytest.mark.parametrize(
    ("fragments", "arguments"),
    [
        (["{}", '{"a": 1}'], {"a": 1}),
        (["", "{}", '{"a"', ": 1}"], {"a": 1}),
        (["", "", "{}", '{"a": 1}'], {"a": 1}),
        (["", "{}", "", '{"a": 1}', ""], {"a": 1}),
        (['{"a": ', "{}", ', "b": ', "{}", "}"], {"a": {}, "b": {}}),
        (["{", "}"], {}),
        (["{}", ""], {}),
    ],
)
def test_an_empty_object_before_the_arguments_is_ignored_and_one_within_is_kept(
    coalesce: bool, fragments: list[str], arguments: dict[str, Any]
) -> None:
    first, *rest = fragments
    events = [event(call_delta(first, "f", call_id="c1")), *(event(call_delta(text)) for text in rest)]
    (call,) = summed(*events, event({}, "tool_calls"), coalesce=coalesce).tool_calls
    assert call["args"] == arguments


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ([(0, "c1", "f", '{"a": 1}'), (0, "c2", "f", "{}"), (0, None, None, '{"a": 2}')], '{"a": 1}{"a": 2}'),
        ([(0, "c1", "f", '{"a": '), (0, "c1", "f", "{}"), (0, None, None, "}")], '{"a": {}}'),
        ([(0, "c1", "f", '{"a": '), (None, None, None, "{}"), (None, None, None, "}")], '{"a": {}}'),
        ([(0, "c1", "f", "{}"), (1, "c2", "g", "{}"), (0, None, None, "")], "{}"),
        ([(0, "c1", "f", ""), (0, None, None, "")], "{}"),
        ([(0, "c1", "f", '{"a": 1}'), (1, "c2", "f", "")], '{"a": 1}'),
        ([(0, "c1", "g", "")], ""),
    ],
)
def test_the_tool_that_stands_for_a_schema_tells_its_calls_apart(parts: list[Any], text: str) -> None:
    calls = AnswerToolCalls("f")
    texts = [calls.text_of(ToolCallPart(*part)) for part in parts]
    assert "".join(part or "" for part in texts) + calls.rest() == text


# What stands beside the numbers: how streams and answers end.


def test_a_stream_that_does_not_say_that_it_ended_was_cut_off() -> None:
    for events in ([], [event({"content": "a"})], [b'{"id":"x","choices":[]}']):
        decoder = ChatStreamDecoder(target(), "req-7")
        list(decoder.feed(events))
        with pytest.raises(StreamInterruptedError) as caught, keeping_partial(decoder):
            decoder.close()
        assert caught.value.partial is not None
        assert caught.value.partial.text == ("a" if len(events) and b"delta" in events[0] else "")
        assert (caught.value.request_id, caught.value.endpoint) == ("req-7", "my-endpoint")


def test_a_partial_message_trusts_no_call_without_arguments() -> None:
    decoder = ChatStreamDecoder(target())
    list(decoder.feed([event(call_delta("", "f", call_id="c1"))]))
    with pytest.raises(StreamInterruptedError) as caught, keeping_partial(decoder):
        decoder.close()
    assert caught.value.partial is not None
    assert caught.value.partial.tool_calls == []
    assert len(caught.value.partial.invalid_tool_calls) == 1


@pytest.mark.parametrize("whole", [True, False])
def test_another_shape_of_answer_is_named(whole: bool) -> None:
    """An agent's answer has messages or deltas at the top; read as chat completions it would be empty."""
    body = b'{"delta": {"content": "a"}}'
    with pytest.raises(MalformedResponseError, match=r"'my-endpoint' answered with \['delta'\] instead of 'choices'"):
        decode_answer(body, target(), None) if whole else chunks_of(body, DONE)


@pytest.mark.parametrize("payload", [b'{"error": "boom"}', b'{"error_code": "INTERNAL_ERROR", "message": "boom"}'])
def test_an_error_in_the_stream_comes_after_what_had_arrived(payload: bytes) -> None:
    decoder = ChatStreamDecoder(target())
    with keeping_partial(decoder):
        chunks = decoder.feed([event({"content": "a"}), payload])
        assert next(chunks).text == "a"
    with pytest.raises(DatabricksError, match="boom") as caught, keeping_partial(decoder):
        next(chunks)
    assert caught.value.partial is not None
    assert caught.value.partial.text == "a"


def test_a_second_choice_that_nobody_asked_for_raises() -> None:
    with pytest.raises(MalformedResponseError, match="was not requested"):
        chunks_of(b'{"choices": [{"index": 1, "delta": {"content": "b"}}]}', DONE)


def test_deltas_that_arrive_together_become_one_chunk() -> None:
    events = [event({"content": word}) for word in "abc"]
    assert [chunk.content for chunk in chunks_of(*events, STOP, coalesce=True)] == ["abc", ""]
    assert [chunk.content for chunk in chunks_of(*events, STOP)] == ["a", "b", "c", ""]


@pytest.mark.parametrize("empty", ["", [{"type": "text", "text": ""}]])
def test_an_empty_text_is_no_chunk(empty: Any) -> None:
    events = [event({"content": content}) for content in ("a", empty, "b")]
    assert [chunk.content for chunk in chunks_of(*events, STOP)] == ["a", "b", ""]


def test_an_empty_text_does_not_part_what_arrived_together() -> None:
    events = (event(call_delta('{"a":', "f", call_id="c1")), event({"content": ""}), event(call_delta(" 1}")))
    assert len(chunks_of(*events, STOP, coalesce=True)) == 2


@pytest.mark.parametrize("mark", [{"object": "error"}, {"type": "error"}])
@pytest.mark.parametrize("choices", [[], None])
def test_an_error_with_empty_choices_is_that_error(mark: dict[str, str], choices: Any) -> None:
    body = to_json({**mark, "message": "slow down", "code": "REQUEST_LIMIT_EXCEEDED", "choices": choices})
    with pytest.raises(DatabricksError, match="slow down"):
        decode_answer(body, target("generic"), None)


def test_a_whole_answer_instead_of_a_stream_is_read() -> None:
    body = b'{"id":"w","choices":[{"index":0,"message":{"content":"all"},"finish_reason":"stop"}]}'
    assert summed(body).text == "all"


def test_an_answer_without_a_finish_reason_is_whole_if_the_stream_says_that_it_is_done() -> None:
    """Inkling at the AI gateway sends no finish reason (unity-gateway #215), only [DONE]."""
    decoder = ChatStreamDecoder(target())
    list(decoder.feed([event({"content": "a"}), DONE]))
    (last,) = decoder.close()
    assert last.generation_info is None
    assert "finish_reason" not in last.message.response_metadata


@pytest.mark.parametrize(
    "events",
    [
        [event({"content": "a"})],  # neither a finish reason nor [DONE]
        [DONE],  # done, but there was no answer
        [b'{"choices": []}', DONE],
        [],
    ],
)
def test_a_stream_that_says_neither_is_interrupted(events: list[bytes]) -> None:
    decoder = ChatStreamDecoder(target())
    list(decoder.feed(events))
    with pytest.raises(StreamInterruptedError, match="no finish reason"):
        decoder.close()


def test_a_finish_reason_needs_no_done() -> None:
    decoder = ChatStreamDecoder(target())
    list(decoder.feed([event({"content": "a"}), STOP]))
    assert decoder.close()[-1].generation_info == {"finish_reason": "stop"}
