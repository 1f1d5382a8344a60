"""Large answers: the work grows with their size, and not with its square. Operations are counted, not seconds."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from kit.operations import counted_loads, is_linear, operations
from langchain_dbchat.dialects.chat_completions.decode import ChatStreamDecoder, decode_answer
from langchain_dbchat.dialects.dialect import Target
from langchain_dbchat.dialects.shared.answer.answer import GrowingAnswer
from langchain_dbchat.dialects.shared.answer.beside import Cited
from langchain_dbchat.dialects.shared.answer.parts import Text, ToolCallPart
from langchain_dbchat.dialects.shared.blocks.argument_fragments import ArgumentFragments
from langchain_dbchat.dialects.shared.blocks.block_fields import flat
from langchain_dbchat.dialects.shared.blocks.call_arguments import as_written
from langchain_dbchat.dialects.shared.blocks.storable import with_large_integers
from langchain_dbchat.errors import MalformedResponseError
from langchain_dbchat.models.families import family_of

TARGET = Target("my-own", family_of("my-own"))


def _calls(count: int, ids: str) -> list[dict[str, Any]]:
    return [
        {
            "index": number,
            "id": {"distinct": f"call_{number}", "the same": "call_0", "none": None}[ids],
            "type": "function",
            "function": {"name": "f", "arguments": "{}"},
        }
        for number in range(count)
    ]


@pytest.mark.parametrize("ids", ["distinct", "the same", "none"])
def test_many_calls_of_a_whole_answer(ids: str) -> None:
    def work(count: int) -> Callable[[], Any]:
        choice = {"message": {"content": None, "tool_calls": _calls(count, ids)}, "finish_reason": "tool_calls"}
        body = json.dumps({"choices": [choice]}).encode()
        return lambda: decode_answer(body, TARGET, None)

    assert is_linear(work)


def _read(events: list[bytes]) -> None:
    decoder = ChatStreamDecoder(TARGET)
    for event in events:
        list(decoder.feed([event]))
    decoder.close()


@pytest.mark.parametrize("index", [True, False])
@pytest.mark.parametrize("ids", ["distinct", "the same", "none"])
def test_many_calls_of_a_stream(ids: str, index: bool) -> None:
    def work(count: int) -> Callable[[], Any]:
        events = []
        for call in _calls(count, ids):
            if not index:
                del call["index"]
            events.append(json.dumps({"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]}).encode())
        events.append(b'{"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}')

        return lambda: _read(events)

    assert is_linear(work)


UNFINISHED = [
    '{"ids": [' + "1, " * 500,
    '{"a": [1, {"b": "y' + " \\n" * 500,
    '{"a": "x' + "\\" * 501,
    '{"a": 1, "' + "k" * 1_500,
    '{"a":' + " " * 1_500,
    '{"a": 1} and' + " more" * 300,
    '{"a": 1' + ", " * 700,
    "[" + "1," * 700,
    "'" + "{'a': " * 200,
    "[{" * 600,
    "]" * 1_500,
]


@pytest.mark.parametrize("pieces", [1, 100])
@pytest.mark.parametrize("text", UNFINISHED)
def test_arguments_that_are_not_whole_are_not_tried_again_and_again(text: str, pieces: int) -> None:
    """langchain-core parses each beginning of a text that it could complete."""
    size = -(-len(text) // pieces)
    decoder = ChatStreamDecoder(TARGET)
    with counted_loads() as loads:
        chunks: list[Any] = []
        for number, start in enumerate(range(0, len(text), size)):
            call: dict[str, Any] = {"index": 0, "function": {"arguments": text[start : start + size]}}
            if not number:
                call |= {"id": "call_1", "function": {"name": "f", **call["function"]}}
            chunks += decoder.feed([json.dumps({"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]}).encode()])
        chunks += decoder.feed([b'{"choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]}'])
        messages = [chunk.message for chunk in [*chunks, *decoder.close()]]
        whole = messages[0] + messages[1:]
    assert not whole.tool_calls
    (call,) = whole.invalid_tool_calls
    assert as_written(call["args"]) == text
    assert len(loads) <= 20


def test_what_is_kept_is_looked_through_once() -> None:
    body = json.dumps({"choices": [{"message": {"content": "a"}}], "zz": [[]] * 10_000}).encode()

    def work() -> None:
        (answer,) = decode_answer(body, TARGET, None).generations
        assert len(answer.message.response_metadata["zz"]) == 10_000

    work()
    assert operations(work) <= 25 * 10_000


def test_what_several_choices_keep_is_looked_through_once() -> None:
    def work(count: int) -> Callable[[], Any]:
        choices = [{"message": {"content": "a"}, "finish_reason": "stop"}] * count
        body = json.dumps({"choices": choices, "zz": [[]] * count}).encode()
        return lambda: decode_answer(body, TARGET, None)

    assert is_linear(work)


def test_the_usage_of_several_choices_is_looked_through_once() -> None:
    def work(count: int) -> Callable[[], Any]:
        choices = [{"message": {"content": "a"}, "finish_reason": "stop"}] * count
        body = json.dumps({"choices": choices, "usage": {"prompt_tokens": 1, "zz": [[1]] * count}}).encode()
        return lambda: decode_answer(body, TARGET, None)

    assert is_linear(work)


def test_a_finish_reason_that_may_be_a_guardrails_in_each_event() -> None:
    def work(count: int) -> Callable[[], Any]:
        choice = {"index": 0, "delta": {"content": "a"}, "finish_reason": "guardrail_passed"}
        events = [json.dumps({"choices": [choice], "x": {f"k{number}": 1}}).encode() for number in range(count)]

        return lambda: _read(events)

    assert is_linear(work)


def test_many_large_integers_of_an_invalid_call() -> None:
    """Replacing them one by one takes half a minute. CPU time is measured, because C code does the work."""
    digits = [str(2**64 + number) for number in range(50_000)]
    text, began = "[" + ",".join(f'"{number}"' for number in digits) + ',"5"', time.thread_time()
    found = with_large_integers({"invalid_arguments": text}, {"large_integers": digits})
    assert time.thread_time() - began < 3
    assert found == {"invalid_arguments": "[" + ",".join(digits) + ',"5"'}


class _Counted(dict[str, Any]):
    """A citation that counts with how many it is compared."""

    compared = 0

    def __eq__(self, other: object) -> bool:
        type(self).compared += 1
        return super().__eq__(other)

    __hash__ = None


def test_many_citations() -> None:
    answer = GrowingAnswer()
    for number in range(300):
        answer.add(Cited("annotations", [_Counted(url=f"https://example.com/{number}")]))
    answer.add(Cited("annotations", [_Counted(url="https://example.com/7")]))
    answer.conclude({"citations": ["https://example.com/8"]})
    (block,) = [block for block in answer.content() if isinstance(block, dict)]
    assert len(block["annotations"]) == 300
    assert _Counted.compared <= 1_000


def _grounded(text: str, sources: list[Any], supports: list[Any]) -> bytes:
    found = {"groundingChunks": [{"web": source} for source in sources], "groundingSupports": supports}
    message = {"content": text, "groundingMetadata": found}
    return json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]}).encode()


def test_many_segments_of_a_long_text_are_cited() -> None:
    """Encoding the text for each segment takes half a minute. CPU time is measured, because C code does the work."""
    text, ends = "\u00e9a" * 1_000_000, range(0, 3_000_000, 600)
    supports = [{"segment": {"endIndex": end}, "groundingChunkIndices": [0]} for end in ends]
    began = time.thread_time()
    (answer,) = decode_answer(_grounded(text, [{"uri": "https://x"}], supports), TARGET, None).generations
    assert time.thread_time() - began < 5
    content: Any = answer.message.content
    assert [cited["end_index"] for cited in content[0]["citations"]] == [end * 2 // 3 for end in ends]


def test_segments_that_cite_large_sources_again_and_again_are_refused() -> None:
    source, support = {"title": "x" * 100_000}, {"segment": {"endIndex": 1}, "groundingChunkIndices": [0] * 200}
    with pytest.raises(MalformedResponseError, match="more than 16,777,216 bytes, which"):
        decode_answer(_grounded("a", [source], [support]), TARGET, None)


def test_citations_within_many_lists() -> None:
    def work(depth: int) -> Callable[[], Any]:
        cited: Any = list(range(1_000))
        for _ in range(depth):
            cited = [cited]
        return lambda: [*flat(cited)]

    work(1)()
    assert operations(work(140)) <= 2 * operations(work(1))
    assert work(140)() == list(range(1_000))
    assert [*flat([1, [2, [], [None, 3]], 4])] == [1, 2, 3, 4]


def test_a_name_in_every_fragment() -> None:
    """A server that repeats the name has the arguments parsed only where an object may end."""

    def work(count: int) -> Callable[[], Any]:
        pieces = ['{"a": [', *["1, "] * count, "1]}"]

        def read() -> None:
            answer = GrowingAnswer()
            for piece in pieces:
                answer.add(ToolCallPart(None, None, "f", piece))
            ((call,), invalid) = answer.calls()
            assert not invalid
            assert len(call["args"]["a"]) == count + 1

        return read

    assert is_linear(work)


@pytest.mark.parametrize(
    ("first", "piece"),
    [
        ("[", "1,"),
        ('{"a": [', "{}, {}"),
        ('{"a": 1} {', "}"),
        ('{"a": "', "}"),
        ("```{", "```"),
        ('"', '\\"'),
        ("1", " "),
    ],
)
def test_a_name_in_every_fragment_of_what_is_no_object(first: str, piece: str) -> None:
    def work(count: int) -> Callable[[], Any]:
        def read() -> None:
            answer = GrowingAnswer()
            for text in (first, *[piece] * count):
                answer.add(ToolCallPart(None, None, "f", text))

        return read

    assert is_linear(work)
    with counted_loads() as loads:
        work(1_000)()
    assert len(loads) <= 20


@pytest.mark.parametrize("size", [1, 3, 100])
@pytest.mark.parametrize(
    "arguments", ['{"a": "}\\"{", "b": [{}]}', '"{\\"a\\": 1}"', '```json\n{"a": {}}\n```', ' {"a": "\\\\"}', "null"]
)
def test_complete_arguments_end_a_call_however_they_are_cut(arguments: str, size: int) -> None:
    answer = GrowingAnswer()
    for _ in range(2):
        for start in range(0, len(arguments), size):
            answer.add(ToolCallPart(None, None, "f", arguments[start : start + size]))
    calls, invalid = answer.calls()
    assert len(calls) == 2
    assert calls[0]["args"] == calls[1]["args"]
    assert not invalid


def test_citations_of_one_text_add_up_and_the_parts_stay_as_they_are() -> None:
    answer, extras = GrowingAnswer(), {"citations": [1]}
    for _ in range(3):
        answer.add(Text("a", extras))
    assert answer.content() == [{"type": "text", "text": "aaa", "citations": [1, 1, 1]}]
    assert extras == {"citations": [1]}


def test_white_space_after_an_object_does_not_hide_its_end() -> None:
    answer = GrowingAnswer()
    for piece in ('{"a": 1}', "\n", '{"a": 2}'):
        answer.add(ToolCallPart(None, None, "f", piece))
    calls, _ = answer.calls()
    assert [call["args"] for call in calls] == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize("piece", ["9", "1.", "-"])
def test_a_number_that_arrives_in_small_pieces(piece: str) -> None:
    """Copies of what is held are no operations of ours, so it is the clock that shows them: minutes, if each is one."""
    fragments, began = ArgumentFragments(), time.thread_time()
    fragments.add('{"a": ')
    for _ in range(300_000):
        fragments.add(piece)
    assert fragments.held == piece * 300_000
    assert time.thread_time() - began < 3
