"""The event stream decoder, cut at every position and with every line end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_dbchat.dialects.shared.answer.events import is_last
from langchain_dbchat.errors import MalformedResponseError
from langchain_dbchat.transport.sse import EventStreamDecoder

STREAM = (
    b"\xef\xbb\xbf: a comment\n"
    b'data: {"text":"\xc3\xa5\xe2\x82\xac"}\n\n'
    b": keep-alive\n\n"
    b"event: message\nid: 7\nretry: 10\ndata:no space\n\n"
    b"data: first\ndata:  second\ndata\ndata: fourth\n\n"
    b"data:\n\n"
    b"database: not data\n\n"
    b"\n\n\n"
    b"data: [DONE]\n\n"
)
PAYLOADS = [
    '{"text":"å€"}'.encode(),
    b"no space",
    b"first\n second\n\nfourth",
    b"[DONE]",
]


def decode(*pieces: bytes) -> list[bytes]:
    decoder = EventStreamDecoder(is_last=is_last)
    payloads = [payload for piece in pieces for payload in decoder.feed(piece)]
    return payloads + decoder.close()


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["lf", "crlf", "cr"])
def test_cut_at_every_position(end: bytes) -> None:
    stream = STREAM.replace(b"\n", end)
    assert decode(stream) == PAYLOADS
    for cut in range(len(stream) + 1):
        assert decode(stream[:cut], stream[cut:]) == PAYLOADS, cut
    assert decode(*(stream[i : i + 1] for i in range(len(stream)))) == PAYLOADS


@given(cuts=st.lists(st.integers(0, len(STREAM)), max_size=12), ends=st.lists(st.sampled_from([b"\n", b"\r\n", b"\r"])))
def test_any_cuts_and_any_mixture_of_line_ends(cuts: list[int], ends: list[bytes]) -> None:
    lines = STREAM.split(b"\n")
    stream = b"".join(line + (ends[i % len(ends)] if ends else b"\n") for i, line in enumerate(lines[:-1]))
    places = sorted(min(cut, len(stream)) for cut in cuts)
    pieces = [stream[a:b] for a, b in zip([0, *places], [*places, len(stream)], strict=True)]
    # "\r" at the end of one line and "\n" as the whole of the next read as one line end, so blank lines may vanish:
    # the reference is the decoder itself on the whole stream.
    assert decode(*pieces) == decode(stream)


LINES = (
    b'data: {"a":1}\n\n', b'data: {"a":1}\n', b'data:{"a":1}\n\n', b"data: text\n\n", b"data: [DONE]\n\n", b"data\n",
    b"\n", b": comment\n", b"event: error\n", b"event: ping\n", b"event: done\n", b'{"stray":1}\n', b"stray\n",
    b'data: {"b":',
)  # fmt: skip


@given(st.lists(st.sampled_from(LINES), max_size=8))
def test_lines_that_come_together_mean_what_they_mean_byte_by_byte(lines: list[bytes]) -> None:
    stream = b"".join(lines)
    assert decode(stream) == decode(*lines) == decode(*(stream[i : i + 1] for i in range(len(stream))))


def test_events_come_as_soon_as_they_are_complete() -> None:
    decoder = EventStreamDecoder(is_last=is_last)
    assert decoder.feed(b"data: a\n\nda") == [b"a"]
    assert decoder.feed(b"ta: b\n") == []
    assert decoder.feed(b"\ndata: c\n\ndata: d\n\n") == [b"b", b"c", b"d"]
    assert decoder.feed(b"data: e\r\n\r") == [b"e"]
    assert decoder.feed(b"\ndata: f\n\n") == [b"f"]


def test_a_byte_order_mark_stands_only_at_the_beginning() -> None:
    assert decode(b"data: a\n\n\xef\xbb\xbfdata: b\n\n") == [b"a"]
    assert decode(b"\xef", b"\xbb") == []
    assert decode(b"\xef", b"data: a\n\ndata: b\n\n") == [b"b"]


@pytest.mark.parametrize(
    ("tail", "payloads"),
    [
        (b'data: {"a":1}', [b'{"a":1}']),
        (b'data: {"a":1}\n', [b'{"a":1}']),
        (b"data: [DONE]", [b"[DONE]"]),
        (b'data: {"a":', []),
        (b"data: [DON", []),
        (b"data: not json\n", [b"not json"]),
        (b": comment", []),
        (b"", []),
        (b'data: {"a":\ndata: 1}', [b'{"a":\n1}']),
    ],
)
def test_what_no_empty_line_ended(tail: bytes, payloads: list[bytes]) -> None:
    assert decode(b"data: x\n\n" + tail) == [b"x", *payloads]


def test_an_event_over_the_limit_is_refused_however_it_comes() -> None:
    assert EventStreamDecoder(limit=20).feed(b"data: 0123456789\n\n" * 100) == [b"0123456789"] * 100
    large = b"data: " + b"x" * 30, b"data: " + b"x" * 30 + b"\n\n", b'data: {"a":"%b"}\n\n' % (b"x" * 30)
    for stream in (*large, b'data: {"a":1}\n\n' * 3 + large[-1], b"data: xxxxxxxx\n" * 4, b":" + b"x" * 30):
        with pytest.raises(MalformedResponseError, match="larger than 20 bytes"):
            EventStreamDecoder(limit=20).feed(stream)
        decoder = EventStreamDecoder(limit=20)
        with pytest.raises(MalformedResponseError):
            _ = [decoder.feed(stream[i : i + 1]) for i in range(len(stream))]


def test_lines_of_an_event_and_a_line_that_has_not_ended_are_counted_together() -> None:
    decoder = EventStreamDecoder(limit=20)
    assert decoder.feed(b"data: 0123456789\n") == decoder.feed(b"data:") == []
    with pytest.raises(MalformedResponseError, match="larger than 20 bytes"):
        decoder.feed(b" 012345")


@pytest.mark.parametrize("length", [1, 16, 32, 33, 63, 100])
def test_each_line_of_an_event_counts_with_its_place_in_a_list(length: int) -> None:
    decoder = EventStreamDecoder(limit=10_000)
    line = b"data: " + b"x" * length + b"\n"
    counted = length + 32  # a pointer and the head of a bytes object, as CPython has them
    assert decoder.feed(line * (10_000 // counted)) == []
    with pytest.raises(MalformedResponseError, match="larger than 10000 bytes"):
        decoder.feed(line * 2)


def test_the_limit_is_16_mib() -> None:
    assert len(decode(b"data: " + b"x" * (16 * 2**20 - 20) + b"\n\n")[0]) == 16 * 2**20 - 20
    with pytest.raises(MalformedResponseError):
        decode(b"data: " + b"x" * (16 * 2**20 + 1) + b"\n\n")


@pytest.mark.parametrize(
    ("stream", "payloads"),
    [
        (b"data: [DONE] \n\n", [b"[DONE] "]),
        (b'data:"[DONE]"\n\n', [b'"[DONE]"']),
        (b"data: [done]\r\n\r\n", [b"[done]"]),
        (b"data:   \n\n", []),
        (b'event: ping\ndata: {"a": 1}\n\ndata: x\n\n', [b"x"]),
        (b"event: ping\n\ndata: x\n\n", [b"x"]),
        (b'event: ping\ndata: {"choices": []}\n\n', [b'{"choices": []}']),
        (b"event: message\ndata: x\n\n", [b"x"]),
        (b"event: error\ndata: x\n\ndata: y\n\n", [b'{"error":"x"}', b"y"]),
        (b'event: ERROR\ndata: {"error_code": "X"}\n\n', [b'{"error_code": "X"}']),
        (b'event: error\ndata: {"a": 1}\n\n', [b'{"error":{"a":1}}']),
        (b"event: error\ndata: x\ndata: y\n\n", [b'{"error":"x\\ny"}']),
        (b"event: error\n\n", [b'{"error":"The server sent an error without words."}']),
        (b"event: done\n\n", [b"done"]),
        (b"event: done\ndata: x\n\n", [b"x"]),
        (b'data: {"a":1}\n{"error":"x"}\n', [b'{"a":1}', b'{"error":"x"}']),
        (b'data: [1\n{"b":1}\n{"c":1}\ndata: ]\n\n', [b'{"b":1}', b'{"c":1}', b"[1\n]"]),
        (b'data: [1\n{"b":1}\n\ndata: {"a":1}\n{"c":1}\n', [b'{"b":1}', b"[1", b'{"a":1}', b'{"c":1}']),
        (b'data: [\ndata: 1\n{"b":1}\n\ndata: {"a":1}\n{"c":1}\n', [b'{"b":1}', b"[\n1", b'{"a":1}', b'{"c":1}']),
        (b'data: [1\n{"b":1}\n\ndata: [2]\n{"c":1}\n', [b'{"b":1}', b"[1", b"[2]", b'{"c":1}']),
        (b'{"error":"x"}', [b'{"error":"x"}']),
        (b'data: x\n\n{\n"error": "y"\n}\n', [b"x", b'{\n"error": "y"\n}']),
        (b"data: x\n\n<html>\n y\n</html>\n", [b"x", b'{"stray_text":"<html>\\n y\\n</html>"}']),
        (b"data: x\n\nid: 1\nretry: 2\n: y\ndatum: z\n", [b"x", b'{"stray_text":"datum: z"}']),
        (b"data: [DONE]\n\n<html>\n", [b"[DONE]"]),
        (b"data: x\n\nda", [b"x"]),
        (b"data: x\n\neve", [b"x"]),
    ],
)
def test_names_and_stray_text_cut_anywhere(stream: bytes, payloads: list[bytes]) -> None:
    assert decode(stream) == payloads
    for cut in range(len(stream) + 1):
        assert decode(stream[:cut], stream[cut:]) == payloads, cut
    assert decode(*(stream[i : i + 1] for i in range(len(stream)))) == payloads


def test_of_stray_text_a_limited_part_is_kept() -> None:
    (payload,) = decode(*[b"<p>" + b"x" * 1000 + b"</p>\n"] * 100)
    assert 16_000 < len(payload) < 17_000


@pytest.mark.parametrize(
    ("named", "payload"),
    [
        (b'event: error\ndata: {"said": 1}\n\n', b'{"error":'),
        (b'event: ping\ndata: {"said": 1}\n\n', None),
        (b'event: delta\ndata: {"said": 1}\n\n', b'{"said": 1}'),
    ],
)
@pytest.mark.parametrize("place", [0, 1, 5, 9])
def test_a_name_that_counts_among_many_that_do_not(named: bytes, payload: bytes | None, place: int) -> None:
    """Many events of one read are read at once, but only if no name among them counts."""
    events = [b'event: delta\ndata: {"a": 1}\n\n'] * 10
    events[place] = named
    read = EventStreamDecoder().feed(b"".join(events))
    begins = [payload if number == place else b'{"a": 1}' for number in range(10)]
    expected = [begin for begin in begins if begin is not None]
    assert len(read) == len(expected)
    assert all(whole.startswith(begin) for whole, begin in zip(read, expected, strict=True))
