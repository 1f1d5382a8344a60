"""Which field of a request a 400 names, and which words keep it."""

from __future__ import annotations

import pytest

from langchain_dbchat.models.learned import refused_field


@pytest.mark.parametrize(
    "words",
    [
        "must be below 1", "its maximum is 1", "its minimum is 0", "between 0 and 1", "expected a number",
        "expected an integer", "expected one of 0, 1", "it is out of range", "it is too long", "it is too large",
        "MUST BE 1",
    ],
)  # fmt: skip
def test_words_that_name_the_range_of_a_value_keep_the_field(words: str) -> None:
    assert refused_field("`top_p` is not supported", {"top_p": 2}) == "top_p"
    assert refused_field(f"`top_p` is not supported: {words}", {"top_p": 2}) is None


@pytest.mark.parametrize("words", ["expected", "too many", "must", "in range"])
def test_words_that_are_only_similar_do_not(words: str) -> None:
    assert refused_field(f"`top_p` is not supported: {words}", {"top_p": 2}) == "top_p"


@pytest.mark.parametrize("field", ["x_(", "x(", "x_[", "a.b_c", "*_", "x_\\"])
def test_a_field_is_not_a_pattern(field: str) -> None:
    assert refused_field(f"Unknown field: '{field}'", {field: 1}) == field
    assert refused_field("Unknown field: 'aXb_c'", {field: 1}) is None
