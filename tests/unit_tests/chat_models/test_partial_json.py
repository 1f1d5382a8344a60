"""JSON that is still arriving: equal to langchain-core's parser on every prefix, however it is cut, in linear time."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessageChunk
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.utils.json import parse_partial_json

from kit.operations import is_linear
from langchain_dbchat.chat_models import partial_json
from langchain_dbchat.chat_models.partial_json import PartialJson
from langchain_dbchat.chat_models.structured import ask_for
from langchain_dbchat.chat_models.structured_answers import AnswerReader
from langchain_dbchat.chat_models.structured_shapes import NOTHING
from langchain_dbchat.chat_models.structured_streams import IncrementalParse

texts = st.text(alphabet='ab{}[],:"\\/\n\t é\U0001f600\x00', max_size=8)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=12
)
roots = st.lists(values, max_size=4) | st.dictionaries(texts, values, max_size=4)


def fed(pieces: list[str]) -> Any:
    parser = PartialJson()
    for piece in pieces:
        parser.feed(piece)
    return parser.value()


@settings(deadline=None)
@given(roots, st.booleans(), st.sampled_from([None, 1]))
def test_each_prefix_is_read_as_langchain_core_reads_it(value: Any, ascii_only: bool, indent: int | None) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    parser = PartialJson()
    for end, char in enumerate(text, 1):
        parser.feed(char)
        prefix = text[:end]
        # langchain-core leaves a whole value out while one of its escapes is open, and we only that escape.
        if "\\" not in prefix:
            assert parser.value() == parse_partial_json(prefix), prefix
    assert parser.value() == value


@settings(deadline=None)
@given(roots, st.data())
def test_cuts_make_no_difference(value: Any, data: Any) -> None:
    text = json.dumps(value)
    cut = data.draw(st.integers(0, len(text)))
    again = data.draw(st.integers(cut, len(text)))
    assert fed([text[:cut], text[cut:again], text[again:]]) == value
    assert fed([text[:cut]]) == fed(list(text[:cut]))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 12', {"a": 12}),
        ('{"a": 1.', {"a": 1}),
        ('{"a": -', {}),
        ('{"a": tru', {}),
        ('{"a": true', {"a": True}),
        ('{"a": 1, "b', {"a": 1}),
        ('{"a": 1, "b"', {"a": 1}),
        ('{"a": 1, "b":', {"a": 1}),
        ('{"a": "x\\', {"a": "x"}),
        ('{"a": "x\\u00', {"a": "x"}),
        ('{"a": "\\ud83d', {"a": ""}),
        ('{"a": "\\ud83d\\ude', {"a": ""}),
        ('{"a": "\\ud83d\\ude00', {"a": "\U0001f600"}),
        ('{"a": "x\\ud83d"}', {"a": "x\ufffd"}),
        ('[{"\\ude00": ["\\ud83d\\ud83d\\ude00", "\\\\ud83d"]}', [{"\ufffd": ["\ufffd\U0001f600", "\\ud83d"]}]),
        ('{"a": "line\nline', {"a": "line\nline"}),
        ('[{"a": [1, [2', [{"a": [1, [2]]}]),
        ('{"a": 1, "a": 2', {"a": 2}),
        ("{", {}),
        ("[", []),
        ("", NOTHING),
        (" \n\t", NOTHING),
        ('\n{"a": 1}\n', {"a": 1}),
        ('```json\n{"a": 1}\n```', {"a": 1}),
        ('```\n{"a": 1}\n```\nThat is all.', {"a": 1}),
        ('`{"a": 1}`', {"a": 1}),
        ('Here it is, `code` too:\n```json\n{"a": 1', {"a": 1}),
        ("Three apples", NOTHING),
        ('Sure: {"a": 1}', NOTHING),
        ("```python\n{1: 2}", NOTHING),
        ('{"a": 1, b: 2}', {"a": 1}),
        ('{"a": [1,]}', {"a": [1]}),
        ('{"a": 1} and more', {"a": 1}),
        ('{"a": 01, "b": 2}', {}),
        ('{"a": "\\x", "b": 2}', {}),
        ('{"a": ' + "1" * 9000, {}),
    ],
)
def test_what_arrives_is_read_as_far_as_it_is_json(text: str, value: Any) -> None:
    for pieces in ([text], list(text)):
        assert fed(pieces) == value


def test_deep_nesting_is_left_to_the_parser_of_the_whole_answer() -> None:
    assert isinstance(fed(["[" * 100_000, '"text"']), list)


def test_what_one_piece_has_as_a_whole_is_as_deep_as_what_comes_in_pieces() -> None:
    for depth in (10, 499, 500, 501, 600):
        text = '{"a": ' * depth + "[null, 1]" + "}" * depth
        assert fed([text]) == fed(list(text))


@pytest.mark.parametrize("text", ["[null]", '{"a": {"b": null}}', '[{"a": [1, null]}'])
def test_a_null_is_noted_in_what_one_piece_has_as_a_whole(text: str) -> None:
    parser = PartialJson()
    parser.feed(text)
    assert parser.holds_null


class _Piece(str):
    """A piece that notes how many characters of it are searched for an end."""

    __slots__ = ("searched",)
    searched: int

    def __radd__(self, rest: str) -> _Piece:
        assert not rest
        return self

    def find(self, *wanted: Any) -> int:
        found = super().find(*wanted)
        self.searched += (len(self) if found < 0 else found) - wanted[1]
        return found


@pytest.mark.parametrize(
    "text",
    [
        '[{"a": ' * 200 + '[1], "b',
        "[" * 400 + "[1]," * 5000 + "1" + "]" * 400,
        '{"a": ' * 400 + "[" + "{}," * 5000 + "1]" + "}" * 400,
        "[" * 400 + "1, " * 5000,
        "[" * 400 + '{"a": 1}, ' * 500 + '"',
    ],
    ids=["open", "many within arrays", "many within objects", "no end", "ends of others"],
)
def test_a_piece_is_not_read_from_each_of_its_arrays(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    parse = partial_json._parse
    parsed: list[int] = []

    def counted(text: str, place: int) -> Any:
        parsed.append(len(text) - place)  # the most that it reads
        value, end = parse(text, place)
        parsed[-1] = end - place
        return value, end

    monkeypatch.setattr(partial_json, "_parse", counted)
    piece = _Piece(text)
    piece.searched = 0
    found = fed([piece])
    assert sum(parsed) <= 9 * len(text)
    assert piece.searched <= 11 * len(text)
    assert found == fed(list(text))


def test_a_value_that_was_returned_does_not_change() -> None:
    parser = PartialJson()
    parser.feed('{"a": [1, {"b": "x')
    first = parser.value()
    parser.feed('y"}, 2], "c": 3')
    assert first == {"a": [1, {"b": "x"}]}
    assert parser.value() == {"a": [1, {"b": "xy"}, 2], "c": 3}


def _items(count: int) -> str:
    return json.dumps(
        {"items": [{"name": f"item {number}", "price": number, "tags": ["a", "b"]} for number in range(count)]}
    )


def _with_nulls(count: int) -> str:
    return json.dumps({"items": [{"price": None, "tags": [{"a": None}]}] * (count // 4)})


_PROSE = "Let me think about it. "


_TAG = {"type": "object", "properties": {"text": {"type": "string"}}}
_ITEM = {
    "type": "object",
    "properties": {
        "price": {"type": "number"},
        "tags": {"type": "array", "items": {"anyOf": [{"type": "string"}, _TAG]}},
    },
}


@pytest.mark.parametrize("tool", [True, False], ids=["tool", "text"])
@pytest.mark.parametrize(
    "text_of",
    [_items, _with_nulls, lambda count: json.dumps({"text": "word " * count * 10}), lambda count: _PROSE * count],
)
def test_a_chunk_an_event_is_linear(tool: bool, text_of: Any) -> None:
    schema = {
        "title": "Answer",
        "type": "object",
        "properties": {"items": {"type": "array", "items": _ITEM}, "text": {"type": "string"}},
    }
    _, parser = ask_for(schema, "function_calling" if tool else "json_schema", None, ())

    def work(count: int) -> Any:
        text = text_of(count)
        pieces = [text[start : start + 20] for start in range(0, len(text), 20)]
        chunks = [
            AIMessageChunk(
                content="",
                tool_call_chunks=[
                    tool_call_chunk(
                        name=None if number else "Answer", id=None if number else "call_1", args=piece, index=0
                    )
                ],
            )
            if tool
            else AIMessageChunk(content=piece)
            for number, piece in enumerate(pieces)
        ]

        def run() -> None:
            parse = IncrementalParse(AnswerReader(parser.tool_name, parser.shape))
            for chunk in chunks:
                list(parse.add(chunk))

        return run

    assert is_linear(work)
