"""How long a text may be for a model: a bound that is certain, an estimate on the safe side, and cutting."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_dbchat.embeddings.lengths import cut_to_words, least_tokens, most_tokens, shorten

PROSE = (
    "Serving endpoints answer requests for chat completions and embeddings. A request that is too long is refused, or, "
    "by some models, cut without a word; whoever stores the vectors of a corpus never hears of it. "
)


@given(st.text())
def test_the_bounds_are_in_order(text: str) -> None:
    assert least_tokens(text) <= most_tokens(text)


@given(st.text(), st.text())
def test_more_text_has_no_fewer_tokens(one: str, other: str) -> None:
    assert most_tokens(one + " " + other) >= max(most_tokens(one), most_tokens(other))
    assert least_tokens(one + " " + other) == least_tokens(one) + least_tokens(other)


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("", 0, 2),
        ("cat", 1, 3),
        ("Kubernetes", 1, 5),
        ("don't", 2, 5),
        ("2026", 1, 6),
        ("a_b-c", 2, 7),
        ("你好", 1, 8),
        ("한국어", 1, 11),
        ("a\n\n\tb", 2, 7),
        ("🙂", 0, 6),
        ("\ud800", 0, 5),
    ],
)
def test_what_counts(text: str, least: int, most: int) -> None:
    assert (least_tokens(text), most_tokens(text)) == (least, most)


def test_prose_is_not_estimated_far_too_long() -> None:
    words = least_tokens(PROSE)
    assert 1.5 * words < most_tokens(PROSE) < 2 * words


def test_cutting_keeps_what_fills_the_window() -> None:
    text = PROSE * 10
    cut = cut_to_words(text, 50)
    assert text.startswith(cut)
    assert least_tokens(cut) == 50
    assert cut_to_words("short", 50) == "short"
    assert len(cut_to_words("x" * 10_000, 50)) == 5_000


@pytest.mark.parametrize(
    ("refusal", "kept"),
    [
        ("This model's maximum context length is 500 tokens. However, your input resulted in 1,000 tokens.", 490),
        ("prompt is too long: 2000 tokens > 1600 maximum", 784),
        ("input is too long", 735),
        ("at most 512 tokens, error 3", 735),
        pytest.param(f"{'9' * 5000} tokens > {'1,' * 5000}", 735, id="numbers that are none"),
    ],
)
def test_shortening_follows_the_servers_words(refusal: str, kept: int) -> None:
    text = "abcdefghij" * 100
    assert shorten(text, refusal) == text[:kept]


def test_shortening_ends() -> None:
    text = "a"
    assert shorten(text, "too long") == ""
