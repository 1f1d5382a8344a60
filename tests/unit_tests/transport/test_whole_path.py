"""Properties of the whole path: bytes of a stream, cut anywhere and framed anyhow, to the message; and what is left."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessageChunk
from pydantic_core import to_json

from kit.targets import keeping_partial
from langchain_dbchat.dialects.chat_completions.decode import ChatStreamDecoder
from langchain_dbchat.dialects.dialect import Target
from langchain_dbchat.dialects.shared.answer.events import is_last
from langchain_dbchat.errors import DatabricksError, MalformedResponseError, StreamInterruptedError
from langchain_dbchat.models.families import FAMILIES
from langchain_dbchat.transport.sse import EventStreamDecoder

TARGET = Target("m", FAMILIES["claude"])
path = settings(max_examples=150, deadline=None)

texts = st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=8), min_size=1, max_size=6)
noises = st.lists(st.sampled_from([b": keep-alive", b"event: message", b"id: 7", b"retry: 10", b":"]), max_size=3)
ends = st.sampled_from([b"\n", b"\r\n", b"\r"])
cuts = st.lists(st.integers(0, 4000), max_size=12)


def _event(text: str | None = None, reason: str | None = None) -> bytes:
    delta = {} if text is None else {"role": "assistant", "content": text}
    return to_json({"id": "a1", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})


def _stream(words: list[str], noise: list[bytes], end: bytes) -> bytes:
    payloads = [*map(_event, words), _event(None, "stop"), b"[DONE]"]
    return b"".join(b"".join(line + end for line in noise) + b"data: " + payload + end + end for payload in payloads)


def _pieces(stream: bytes, places: list[int]) -> list[bytes]:
    marks = sorted({0, len(stream), *(place % (len(stream) + 1) for place in places)})
    return [stream[left:right] for left, right in pairwise(marks)]


def _read(pieces: list[bytes], *, coalesce: bool) -> AIMessageChunk:
    raw, reader = EventStreamDecoder(is_last=is_last), ChatStreamDecoder(TARGET, coalesce=coalesce)
    chunks: list[Any] = []
    with keeping_partial(reader):
        for piece in pieces:
            chunks.extend(reader.feed(raw.feed(piece)))
        chunks.extend(reader.feed(raw.close()))
        chunks.extend(reader.close())
    whole: Any = chunks[0].message
    for chunk in chunks[1:]:
        whole = whole + chunk.message
    assert isinstance(whole, AIMessageChunk)
    return whole


def _tried(pieces: list[bytes]) -> tuple[AIMessageChunk | None, DatabricksError | None]:
    try:
        return _read(pieces, coalesce=True), None
    except DatabricksError as error:
        return None, error


@path
@given(texts, noises, ends, cuts, st.booleans())
def test_any_framing_and_any_cuts_give_the_same_message(
    words: list[str], noise: list[bytes], end: bytes, places: list[int], coalesce: bool
) -> None:
    plain = _read([_stream(words, [], b"\n")], coalesce=coalesce)
    assert plain.text == "".join(words)
    assert _read(_pieces(_stream(words, noise, end), places), coalesce=coalesce) == plain


@path
@given(texts, ends, cuts, st.integers(0, 4000))
def test_a_stream_that_ends_anywhere_is_whole_or_interrupted_with_what_came(
    words: list[str], end: bytes, places: list[int], at: int
) -> None:
    stream = _stream(words, [], end)
    kept = stream[: at % len(stream)]
    told = stream.find(b'"stop"')
    said = "".join(words)
    message, error = _tried(_pieces(kept, places))
    if message is not None:
        assert len(kept) > told
        assert message.text == said
    else:
        assert isinstance(error, StreamInterruptedError)
        assert error.partial is not None
        assert said.startswith(error.partial.text)
        assert kept.count(b"data: {") - 1 <= _count(words, error.partial.text)


def _count(words: list[str], text: str) -> int:
    """How many of the words make up that text."""
    for number in range(len(words) + 1):
        if "".join(words[:number]) == text:
            return number
    raise AssertionError(f"{text!r} is no beginning of {words!r}")


@path
@given(texts, st.integers(0, 4000), st.binary(min_size=1, max_size=6), cuts)
def test_bytes_that_do_not_belong_there_are_an_error_or_change_words_only(
    words: list[str], at: int, strange: bytes, places: list[int]
) -> None:
    stream = _stream(words, [], b"\n")
    place = at % len(stream)
    message, error = _tried(_pieces(stream[:place] + strange + stream[place:], places))
    if message is None:
        assert isinstance(error, MalformedResponseError | StreamInterruptedError)
        assert error.partial is not None
    else:
        assert message.response_metadata["model_name"] == "m"
        assert message.tool_calls == []


@path
@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=9),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
        max_leaves=8,
    ),
    st.booleans(),
)
def test_any_json_as_an_event_is_our_error_or_nothing(value: Any, first: bool) -> None:
    events = [to_json(value), _event("a")] if first else [_event("a"), to_json(value)]
    body = b"".join(b"data: " + event + b"\n\n" for event in [*events, b"[DONE]"])
    message, error = _tried([body])
    if message is None:
        assert error is not None
        assert error.partial is not None
        assert error.partial.text in {"", "a"}
    else:
        # Some servers write the end of a stream as a JSON text.
        assert isinstance(value, dict) or is_last(to_json(value))
        assert message.text == "a"
