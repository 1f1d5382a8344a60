"""Pieces of an agent's text: the short way of reading most pieces gives what the general way gives."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from langchain_dbchat.dialects.agents.answers import AgentMessages
from langchain_dbchat.dialects.shared.answer.parts import Part, Text

CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
PIECE = {"role": "assistant", "content": "a", "id": "m1"}
CHANGES: list[dict[str, Any]] = [
    *({"content": content} for content in ("b", "", None, ["c"])),
    *({"id": message_id} for message_id in ("m2", "", None)),
    *({"role": role} for role in ("tool", "user", None)),
    *({"name": name} for name in ("planner", "writer", "", None)),
    *({"attachments": attachments} for attachments in ({"k": 1}, {"k": True}, {})),
    *({"tool_calls": calls} for calls in ([CALL], [], None)),
    {"role": "tool", "tool_call_id": "c1", "id": "m3"},
]
# Half of the pieces are the same, so that texts of several pieces are common.
PIECES = st.one_of(st.just(PIECE), st.sampled_from([{**PIECE, **change} for change in CHANGES]))


def _joined(parts: Iterable[Part]) -> list[Part]:
    """Join texts that follow each other, because how they are cut may differ."""
    joined: list[Part] = []
    for part in parts:
        last = joined[-1] if joined else None
        if type(part) is Text and type(last) is Text and part.extras is None:
            joined[-1] = last._replace(text=last.text + part.text)
        else:
            joined.append(part)
    return joined


def _read(pieces: list[dict[str, Any]], *, shortly: bool) -> tuple[list[Part], str | None]:
    reader, parts = AgentMessages(), list[Part]()
    for piece in pieces:
        text = reader.continued_text(piece) if shortly else None
        parts += reader.read_delta(piece) if text is None else [Text(text)]
    return _joined([*parts, *reader.rest()]), reader.id


@given(st.lists(PIECES, max_size=7))
def test_both_ways_give_the_same(pieces: list[dict[str, Any]]) -> None:
    assert _read(pieces, shortly=True) == _read(pieces, shortly=False)


def test_most_pieces_take_the_short_way() -> None:
    reader, piece = AgentMessages(), {**PIECE, "content": "word", "name": "planner"}
    assert reader.continued_text({"content": "word"}) is None  # the first piece may be a step
    list(reader.read_delta(piece))
    assert reader.continued_text(piece) is None  # it is kept, and this one shows that it is text
    list(reader.read_delta(piece))
    assert reader.continued_text(piece) == "word"
    assert reader.continued_text({**piece, "attachments": None}) == "word"
    for other in ({"id": "m2"}, {"role": "tool"}, {"tool_calls": [CALL]}, {"attachments": {"k": 1}}, {"name": "other"}):
        assert reader.continued_text({**piece, **other}) is None, other
