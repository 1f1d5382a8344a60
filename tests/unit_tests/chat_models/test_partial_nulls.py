"""Nulls of an answer that is still arriving: the same as those of each part of it, whatever the schema and the cuts."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_dbchat.chat_models.partial_json import PartialJson
from langchain_dbchat.dialects.shared.schemas import PartialNulls, drop_nulls

TEXT = {"type": "string"}
TAG = {"properties": {"kind": {"const": "tag"}, "text": TEXT}}
NOTE = {"properties": {"kind": {"const": "note"}, "text": {"type": ["string", "null"]}}}
GROWING = {
    "properties": {
        "items": {"items": {"properties": {"name": TEXT, "below": {"$ref": "#/properties/items"}}}},
        "rows": {"items": {"items": {"anyOf": [TAG, NOTE]}}},
        "pair": {"prefixItems": [TAG, NOTE], "items": TAG},
        "": {"items": TAG},
    }
}
NULLED = st.recursive(
    st.none() | st.integers(0, 2) | st.sampled_from(["tag", "note", "other"]),
    lambda below: (
        st.lists(below, max_size=4)
        | st.dictionaries(st.sampled_from(["items", "rows", "pair", "", "name", "below", "kind", "text"]), below)
    ),
    max_leaves=12,
)


@settings(deadline=None, max_examples=30)
@given(NULLED, st.sampled_from([4, 40]))
def test_nulls_of_an_answer_that_arrives_are_those_of_each_part_of_it(value: Any, size: int) -> None:
    text = json.dumps({"rows": [value, value], "items": [value, {"below": [value]}], "pair": value, "": [value]})
    parser, nulls = PartialJson(), PartialNulls(GROWING)
    for start in range(0, len(text), size):
        parser.feed(text[start : start + size])
        raw = parser.value()
        before = json.dumps(raw)
        assert json.dumps(nulls.drop(raw)) == json.dumps(drop_nulls(raw, GROWING))
        assert json.dumps(raw) == before


def test_what_was_complete_is_the_same_object_in_the_next_answer() -> None:
    parser, nulls = PartialJson(), PartialNulls(GROWING)
    parser.feed('{"items": [{"name": null}, {"name": "a"}, {"name": "b')
    before = nulls.drop(parser.value())
    parser.feed('"}, {"name": null}')
    after = nulls.drop(parser.value())
    assert before == {"items": [{}, {"name": "a"}, {"name": "b"}]}
    assert after == {"items": [{}, {"name": "a"}, {"name": "b"}, {}]}
    assert [one is other for one, other in zip(before["items"], after["items"], strict=False)] == [True, True, False]
