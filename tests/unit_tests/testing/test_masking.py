"""What is left out of a recording: secrets by form, by name and by value, also where events cut them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from langchain_dbchat.testing.masking import Masker

PAT = "dapi" + "0123456789abcdef" * 2
OPAQUE = "correct-horse-battery-staple"


def chat(text: str, place: int = 0) -> dict[str, Any]:
    return {"id": "1", "choices": [{"index": place, "delta": {"content": text}}]}


def chat_call(arguments: str) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "function": {"arguments": arguments}}]}}]}


def anthropic(text: str) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}


def anthropic_call(text: str) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": text}}


def responses(text: str) -> dict[str, Any]:
    return {"type": "response.output_text.delta", "item_id": "m", "output_index": 0, "content_index": 0, "delta": text}


def stream(events: list[dict[str, Any]], end: str = "\n\n") -> str:
    return "".join(f"data: {json.dumps(event)}{end}" for event in events)


def values_of(pieces: list[str]) -> list[dict[str, Any]]:
    lines = "".join(pieces).splitlines()
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]


@pytest.mark.parametrize(
    ("given", "masked"),
    [
        ({"content": f"My token is {PAT}."}, {"content": "My token is ***."}),
        ({"password": "hunter2"}, {"password": "***"}),
        ({"custom_inputs": {"access_token": "abc"}}, {"custom_inputs": {"access_token": "***"}}),
        ({"db_password": "x", "Api-Key": "y"}, {"db_password": "***", "Api-Key": "***"}),
        ({"max_tokens": 5, "password": "", "token": None}, {"max_tokens": 5, "password": "", "token": None}),
        ({"token": "Hello", "logprob": -0.1}, {"token": "Hello", "logprob": -0.1}),
        ({"properties": {"token": {"type": "string"}}}, {"properties": {"token": {"type": "string"}}}),
        ({"arguments": '{"token": "opaque"}'}, {"arguments": '{"token":"***"}'}),
        ({"arguments": '{"city":  "Oslo"}'}, {"arguments": '{"city":  "Oslo"}'}),
        ({"a": [f"x {OPAQUE} y", {OPAQUE: 1}]}, {"a": ["x *** y", {"***": 1}]}),
    ],
)
def test_json_is_masked_by_form_by_name_and_by_value(given: Any, masked: Any) -> None:
    masker = Masker([OPAQUE])
    before = json.dumps(given)
    assert masker.json(given) == masked
    assert masker.json(masked) == masked, "masking twice changes nothing"
    assert json.dumps(given) == before, "the caller's value is not changed"


def test_short_values_are_not_looked_for() -> None:
    assert Masker(["cat"]).text("concatenate") == "concatenate"


@pytest.mark.parametrize(
    ("body", "masked"),
    [
        (b'{"a": 1, "b": [0.1, 1e30]}', {"a": 1, "b": [0.1, 1e30]}),
        (b'{"a": NaN}', '{"a": NaN}'),
        (b'{"a": 1e400}', '{"a": 1e400}'),
        (b"5", "5"),
        (b'"text"', '"text"'),
        (b"Invalid Token", "Invalid Token"),
        (f"no JSON {PAT}".encode(), "no JSON ***"),
        (b"\xff\xfe", "\ufffd\ufffd"),
    ],
)
def test_a_body_is_json_only_where_that_says_the_same(body: bytes, masked: Any) -> None:
    assert Masker().body(body) == masked


@pytest.mark.parametrize("event", [chat, chat_call, anthropic, anthropic_call, responses])
@pytest.mark.parametrize("secret", [PAT, OPAQUE])
@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize("end", ["\n\n", "\r\n\r\n"])
def test_a_secret_that_is_cut_into_events_is_masked(
    event: Callable[[str], dict[str, Any]], secret: str, size: int, end: str
) -> None:
    text = f'{{"say": "It is {secret}, I say."}}'
    parts = [text[start : start + size] for start in range(0, len(text), size)]
    sent = stream([event(part) for part in parts], end)
    pieces = Masker([OPAQUE]).pieces([sent.encode()])
    assert "".join(_texts(values_of(pieces))) in {
        '{"say": "It is ***, I say."}',
        '{"say":"It is ***, I say."}',
    }
    assert len(values_of(pieces)) == len(parts), "no event is lost"
    assert secret[:5] not in "".join(pieces)


def test_texts_of_two_choices_are_not_mixed() -> None:
    first, second = PAT[:20], PAT[20:]
    events = [chat(first, 0), chat("a", 1), chat(second, 0), chat("b", 1)]
    values = values_of(Masker().pieces([stream(events).encode()]))
    assert [_texts([value])[0] for value in values] == ["***", "a", "", "b"]


def test_a_stream_without_secrets_is_not_changed() -> None:
    sent = stream([chat("Hällo"), chat(" 🌍")]) + ": ping\n\ndata: [DONE]\n\n"
    for cut in range(1, len(sent.encode()), 5):
        raw = sent.encode()
        assert "".join(Masker([OPAQUE]).pieces([raw[:cut], raw[cut:]])) == sent


def test_pieces_end_where_events_end() -> None:
    one, two, three = (stream([chat(text)]) for text in "abc")
    raw = (one + two + three).encode()
    assert Masker().pieces([one.encode(), (two + three).encode()]) == [one, two + three]
    assert Masker().pieces([raw[: len(one) + 4], raw[len(one) + 4 :]]) == [one, two + three]
    assert Masker().pieces([b"data: {", b"}\n\n", b"data: cut"]) == ["data: {}\n\n", "data: cut"]


def _texts(value: Any) -> list[str]:
    if isinstance(value, list):
        return [text for one in value for text in _texts(one)]
    if isinstance(value, dict):
        found = []
        for key, one in value.items():
            if isinstance(one, str) and key in {"content", "text", "partial_json", "arguments", "delta"}:
                found.append(one)
            else:
                found += _texts(one)
        return found
    return []
