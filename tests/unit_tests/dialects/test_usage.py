"""Token usage in every spelling."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from langchain_dbchat.dialects.dialect import Target
from langchain_dbchat.dialects.messages.facts import MessagesFacts
from langchain_dbchat.dialects.shared.answer.usage import add_usage, decode_usage
from langchain_dbchat.models.families import FAMILIES


def counts(prompt: Any, completion: Any, total: Any = None, **more: Any) -> dict[str, Any]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total, **more}


def tokens(sent: int, said: int, total: int, **more: Any) -> dict[str, Any]:
    return {"input_tokens": sent, "output_tokens": said, "total_tokens": total, **more}


@pytest.mark.parametrize(
    ("usage", "decoded"),
    [
        (counts(7, 74, 81), tokens(7, 74, 81)),
        (counts(7, 74), tokens(7, 74, 81)),
        (counts(7, None), tokens(7, 0, 7)),
        (counts(None, 5), tokens(0, 5, 5)),
        (counts(7.0, 3), tokens(7, 3, 10)),
        (counts(None, None), None),
        ({}, None),
        (
            counts(458, 60, 518, cache_read_input_tokens=0, cache_creation_input_tokens=0),
            tokens(458, 60, 518, input_token_details={"cache_read": 0, "cache_creation": 0}),
        ),
        (
            counts(1056, 44, 1100, prompt_tokens_details={"cached_tokens": 3, "cache_write_tokens": 1053}),
            tokens(1056, 44, 1100, input_token_details={"cache_read": 3, "cache_creation": 1053}),
        ),
        (
            counts(888, 44, 932, cache_read_input_tokens=832, prompt_tokens_details={"cached_tokens": 832}),
            tokens(888, 44, 932, input_token_details={"cache_read": 832}),
        ),
        (
            counts(10, 5, 15, cache_read_input_tokens=2000, cache_creation_input_tokens=40),
            tokens(2050, 5, 2055, input_token_details={"cache_read": 2000, "cache_creation": 40}),
        ),
        (
            counts(1, 44, 45, completion_tokens_details={"reasoning_tokens": 24, "audio_tokens": 2}),
            tokens(1, 44, 45, output_token_details={"reasoning": 24, "audio": 2}),
        ),
        (counts(1, 44, 45, reasoning_tokens=24), tokens(1, 44, 45, output_token_details={"reasoning": 24})),
        (
            counts(9, 1, 10, prompt_tokens_details={"audio_tokens": 4}),
            tokens(9, 1, 10, input_token_details={"audio": 4}),
        ),
        (counts(9, 1, 10, prompt_tokens_details=None, completion_tokens_details="?"), tokens(9, 1, 10)),
        (counts("9", True, 10), None),
        (counts(float("nan"), float("inf"), 10), None),
    ],
)
def test_every_spelling(usage: dict[str, Any], decoded: dict[str, Any] | None) -> None:
    assert decode_usage(usage) == decoded


def test_usage_adds_up_level_by_level() -> None:
    left = {"prompt_tokens": 1, "prompt_tokens_details": {"cached_tokens": 2}, "tier": "a"}
    right = {"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 3}, "tier": None}
    total = add_usage(left, right)
    assert total == {
        "prompt_tokens": 11,
        "completion_tokens": 5,
        "prompt_tokens_details": {"cached_tokens": 5},
        "tier": "a",
    }
    assert left["prompt_tokens_details"] == {"cached_tokens": 2}
    assert add_usage(None, None) == {}
    assert add_usage(None, right)["prompt_tokens"] == 10


def repr_of(value: Any) -> str:
    return str(value)[:20]


@pytest.mark.parametrize(
    "large", [2**60, 2**63 - 1, -(2**62), 10**400, int("9" * 4_300), 1e300, float("inf")], ids=repr_of
)
def test_what_is_too_large_for_a_count_is_not_added_up(large: Any) -> None:
    for one, other in itertools.product((large, 1, 1.5), repeat=2):
        total = add_usage({"x": one, "y": {"z": one}}, {"x": other, "y": {"z": other}})
        assert total["x"] == total["y"]["z"] == (other if large in {one, other} else one + other)


def test_a_sum_of_the_largest_counts_can_be_stored() -> None:
    serializer = JsonPlusSerializer()
    for most in (2**60 - 1, -(2**60) + 1, 2**63 - 1):
        cached = {"cache_read_input_tokens": most, "cache_creation_input_tokens": most}
        lifetimes = {"ephemeral_5m_input_tokens": most, "ephemeral_1h_input_tokens": most}
        messages = MessagesFacts(Target("m", FAMILIES["claude"]), None)
        messages.note({"usage": {"input_tokens": most, "output_tokens": most, **cached, "cache_creation": lifetimes}})
        for decoded in (decode_usage(counts(most - 1, most, **cached)), messages.usage_metadata()):
            assert serializer.loads_typed(serializer.dumps_typed(decoded)) == decoded
