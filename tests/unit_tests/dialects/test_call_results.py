"""Results stand behind their calls, worked out without any wire."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_dbchat.dialects.shared.conversation.call_results import (
    MALFORMED,
    NOT_EXECUTED,
    HistoryStep,
    Placed,
    place_results,
)
from langchain_dbchat.errors import UnsupportedContentError
from langchain_dbchat.models.families import FAMILIES

CLAUDE = FAMILIES["claude"]
LENIENT = FAMILIES["generic"]
ASKS = HistoryStep("user", "message 0 (human)")


def calls(*ids: str, malformed: frozenset[int] = frozenset()) -> HistoryStep:
    return HistoryStep("assistant", "message 1 (ai)", ids, malformed)


def answers(call_id: str) -> HistoryStep:
    return HistoryStep("tool", "message 2 (tool)", answers=call_id)


def test_a_late_result_comes_right_behind_its_call() -> None:
    assert list(place_results([ASKS, calls("a"), ASKS, answers("a")], CLAUDE)) == [
        Placed(0),
        Placed(1, ["a"]),
        Placed(3, answers="a"),
        Placed(2),
    ]


def test_what_nobody_answered_is_answered_when_the_conversation_goes_on() -> None:
    step = calls("a", "b", malformed=frozenset({1}))
    malformed = Placed(1, answers="b", made_up=MALFORMED)
    assert list(place_results([ASKS, step], CLAUDE)) == [Placed(0), Placed(1, ["a", "b"]), malformed]
    assert list(place_results([ASKS, step, ASKS], CLAUDE)) == [
        Placed(0),
        Placed(1, ["a", "b"]),
        Placed(1, answers="a", made_up=NOT_EXECUTED),
        malformed,
        Placed(2),
    ]


def test_a_result_without_its_call_raises_or_goes_as_it_is() -> None:
    with pytest.raises(UnsupportedContentError, match=r"message 2 \(tool\): no open tool call has the id 'z'"):
        list(place_results([ASKS, answers("z")], CLAUDE))
    assert list(place_results([ASKS, answers("z")], LENIENT)) == [Placed(0), Placed(1, answers="z")]
    with pytest.raises(UnsupportedContentError, match="needs the id of the call"):
        list(place_results([ASKS, answers("")], LENIENT))


ids = st.sampled_from(["a", "b", "", "functions.f:0", "x" * 80])
steps = st.lists(
    st.just(ASKS)
    | st.just(HistoryStep("system", "s"))
    | st.builds(lambda given: calls(*given), st.lists(ids, min_size=1, max_size=3))
    | st.builds(answers, ids.filter(bool)),
    max_size=8,
)


@settings(max_examples=200, deadline=None)
@given(steps, st.sampled_from(["generic", "claude", "gpt-5", "openai-compatible"]))
def test_whatever_was_said_each_call_has_one_result_behind_it(said: list[HistoryStep], name: str) -> None:
    family = FAMILIES[name]._replace(orphan_results=True)
    conversation = [*said, ASKS]
    placed = list(place_results(conversation, family))
    assert sorted(one.place for one in placed if not one.made_up) == list(range(len(conversation)))
    made = [call_id for one in placed for call_id in one.calls]
    assert len(set(made)) == len(made)
    assert all(re.fullmatch(family.call_ids, call_id) for call_id in made if family.call_ids)
    open_calls: Counter[str] = Counter()
    for one in placed:
        if one.calls:
            assert not +open_calls
            open_calls.update(one.calls)
        elif one.answers in open_calls:
            open_calls[one.answers] -= 1
        elif not one.answers:
            assert not +open_calls
    assert not +open_calls
