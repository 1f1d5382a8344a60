"""The plan of a run: batches, outcomes in any order, and what becomes of each text. No socket, no thread, no clock."""

from __future__ import annotations

import itertools
import logging
import math
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.embedding import row_of
from langchain_dbchat.connection.endpoints import RequestLimit, endpoint_of, forget
from langchain_dbchat.embeddings.plan import Batch, Plan, Rules
from langchain_dbchat.embeddings.rows import RowList, Shape
from langchain_dbchat.errors import (
    DatabricksAPIError,
    DatabricksContextOverflowError,
    DatabricksError,
    DatabricksInvalidRequestError,
    DatabricksNotFoundError,
    DatabricksRateLimitError,
    EmbeddingsIncompleteError,
    UnsupportedContentError,
)

Server = Callable[[list[str]], Any]


def rules(**given: Any) -> Rules:
    return Rules(**{"host": "h", "endpoint": "e", "batch_size": 10, "max_bytes": 10_000, **given})


def refused(words: str, status: int = 400) -> DatabricksError:
    kinds: dict[int, type[DatabricksError]] = {429: DatabricksRateLimitError, 500: DatabricksAPIError}
    kind = kinds.get(status, DatabricksInvalidRequestError)
    return kind(f"HTTP {status}: {words}", status_code=status, detail=words)


def answer(texts: list[str], tokens: Callable[[str], int] = len) -> tuple[list[list[float]], dict[str, int]]:
    return [row_of(text) for text in texts], {"prompt_tokens": sum(map(tokens, texts))}


def poisoned(*bad: str, words: str = "a text is not accepted", status: int = 400) -> Server:
    return lambda texts: refused(words, status) if set(texts) & set(bad) else answer(texts)


class Rehearsal:
    """Obeys a plan with a server that is a function, letting batches travel side by side and return in any order."""

    def __init__(self, texts: list[str], rule: Rules, server: Server, *, side_by_side: int = 1, seed: int = 0) -> None:
        self.texts = texts
        self.kept = RowList(len(texts), Shape())
        self.plan = Plan(texts, rule, self.kept)
        self.sent: list[list[str]] = []
        dice = random.Random(seed)  # noqa: S311  # not for secrets
        travelling: list[Batch] = []
        while True:
            while len(travelling) < side_by_side and (batch := self.plan.next()) is not None:
                travelling.append(batch)
                self.sent.append(batch.texts)
            if not travelling:
                break
            batch = travelling.pop(dice.randrange(len(travelling)))
            self.plan.take(batch, server(batch.texts))
            assert len(self.sent) < 50 * (len(texts) + 1), "the plan does not end"

    @property
    def sizes(self) -> list[int]:
        return [len(batch) for batch in self.sent]

    def incomplete(self) -> EmbeddingsIncompleteError:
        with pytest.raises(EmbeddingsIncompleteError) as caught:
            self.plan.finish()
        return caught.value

    def assert_complete_but_for(self, *missing: int) -> None:
        for index, (text, row) in enumerate(zip(self.texts, self.kept.rows, strict=True)):
            assert row == (None if index in missing else row_of(text)), index
        assert sorted(self.plan.failures) == sorted(missing)
        assert self.plan.settled == len(self.texts)


def numbered(count: int) -> list[str]:
    return [f"text {number}" for number in range(count)]


@settings(max_examples=200)
@given(
    count=st.integers(0, 60),
    side_by_side=st.integers(1, 8),
    seed=st.integers(),
    most=st.integers(1, 20),
    bad=st.sets(st.integers(0, 59), max_size=4),
    status=st.sampled_from([400, 422]),
)
def test_every_good_text_gets_its_row_whatever_happens(
    count: int, side_by_side: int, seed: int, most: int, bad: set[int], status: int
) -> None:
    forget()
    texts = numbered(count)
    poison = {texts[index] for index in bad if index < count}
    dice = random.Random(seed)  # noqa: S311  # not for secrets

    def server(texts: list[str]) -> Any:
        if len(texts) > most:
            return refused(f"too many inputs: at most {most} texts")
        if dice.random() < 0.2:
            return refused("slow down", 429)
        return refused("not accepted", status) if poison & set(texts) else answer(texts)

    run = Rehearsal(texts, rules(), server, side_by_side=side_by_side, seed=seed)
    stopped = run.plan._stopped
    if stopped is None:
        run.assert_complete_but_for(*(index for index in bad if index < count))
    else:  # a lone batch that was overloaded, or nothing but bad texts
        assert all(row in (None, row_of(text)) for row, text in zip(run.kept.rows, texts, strict=True))
    assert endpoint_of("h", "e").limit.inputs is None or endpoint_of("h", "e").limit.inputs >= most  # type: ignore[operator]  # not None


def test_texts_travel_in_order_in_batches_of_the_wanted_size() -> None:
    run = Rehearsal(numbered(25), rules(), answer)
    assert list(itertools.chain(*run.sent)) == run.texts
    assert run.sizes == [10, 10, 5]
    run.plan.finish()
    run.assert_complete_but_for()


def test_batches_are_made_only_when_they_are_asked_for() -> None:
    plan = Plan(numbered(1000), rules(), RowList(1000, Shape()))
    plan.next()
    assert plan._cursor == 10


def test_the_byte_budget_counts_json() -> None:
    texts = ["x" * 30, "\n" * 15, "é" * 15, "y" * 90, "z"]
    run = Rehearsal(texts, rules(max_bytes=70), answer)
    assert run.sent == [texts[:2], [texts[2], texts[4]]]
    assert "Text 3 has 93 bytes" in str(run.plan.failures[3])
    assert isinstance(run.plan.failures[3], DatabricksInvalidRequestError)


def test_the_token_budget() -> None:
    texts = ["four letters here", "one", "two", "a much longer text than all of the others"]
    assert Rehearsal(texts, rules(max_tokens=14), answer).sent == [texts[:3], texts[3:]]
    assert Rehearsal(texts, rules(max_tokens=1), answer).sizes == [1, 1, 1, 1]


def test_too_many_inputs_splits_and_is_remembered_for_the_endpoint() -> None:
    def server(texts: list[str]) -> Any:
        return answer(texts) if len(texts) <= 4 else refused("batch size 10 > maximum allowed batch size 4", 413)

    run = Rehearsal(numbered(25), rules(), server)
    run.assert_complete_but_for()
    assert run.sizes == [10, 4, 4, 2, 4, 4, 4, 3]
    assert endpoint_of("h", "e").limit == RequestLimit(inputs=4)
    assert Rehearsal(numbered(8), rules(), server).sizes == [4, 4]
    assert Rehearsal(numbered(8), rules(endpoint="f"), answer).sizes == [8]


def test_a_request_that_is_too_large_splits_and_is_remembered() -> None:
    def server(texts: list[str]) -> Any:
        return answer(texts) if sum(map(len, texts)) <= 500 else refused("Request size cannot exceed 520 bytes.")

    run = Rehearsal(["x" * 97] * 24, rules(), server)
    run.assert_complete_but_for()
    assert run.sizes == [10, 5, 5, 5, 5, 4]
    assert endpoint_of("h", "e").limit == RequestLimit(size=520)


def test_a_limit_below_what_was_accepted_is_not_believed() -> None:
    run = Rehearsal(numbered(40), rules(), poisoned("text 25", words="request body too large, says one text"))
    run.assert_complete_but_for(25)
    assert endpoint_of("h", "e").limit == RequestLimit()
    assert max(run.sizes[-2:]) == 10


def test_one_bad_text_is_narrowed_down_and_the_rest_is_not_lost() -> None:
    run = Rehearsal(numbered(40), rules(), poisoned("text 17"), side_by_side=3)
    run.assert_complete_but_for(17)
    assert len(run.sent) <= 4 + 2 * 4
    error = run.incomplete()
    assert "1 of 40 texts have no embedding" in str(error)
    assert "Text 17: HTTP 400: a text is not accepted" in str(error)
    assert (error.status_code, error.endpoint, error.is_retryable) == (400, "e", False)
    assert list(error.failures) == [17]
    assert error.__cause__ is error.failures[17]
    assert error.rows[16:19] == [row_of("text 16"), None, row_of("text 18")]


def test_many_bad_texts_are_told_in_short() -> None:
    run = Rehearsal(numbered(40), rules(), poisoned("text 12", "text 33", "text 9", "text 20", "text 21"))
    run.assert_complete_but_for(9, 12, 20, 21, 33)
    assert list(run.incomplete().failures) == [9, 12, 20, 21, 33]
    assert "... and 2 more" in str(run.incomplete())


def test_failures_can_be_collected_instead_of_raised() -> None:
    run = Rehearsal(numbered(40), rules(), poisoned("text 31", "text 7"))
    failures: dict[int, Exception] = {}
    run.plan.finish(failures)
    assert list(failures) == [7, 31]


def test_one_text_alone_raises_its_own_error() -> None:
    run = Rehearsal(["text 0"], rules(), poisoned("text 0"))
    with pytest.raises(DatabricksInvalidRequestError, match="not accepted"):
        run.plan.finish()


def test_when_every_text_is_refused_the_fault_is_in_the_call() -> None:
    wide = rules(batch_size=100, max_bytes=100_000)
    run = Rehearsal(numbered(1000), wide, lambda _: refused("some other field"), side_by_side=8)
    assert len(run.sent) < 100  # the way down to single texts goes through one batch at a time
    with pytest.raises(DatabricksInvalidRequestError, match="some other field"):
        run.plan.finish({})


def test_a_refused_field_stops_the_run_at_once() -> None:
    run = Rehearsal(numbered(100), rules(fields=frozenset({"user"})), lambda _: refused('json: unknown field "user"'))
    assert len(run.sent) == 1
    with pytest.raises(DatabricksInvalidRequestError, match="user"):
        run.plan.finish()


def test_an_error_of_the_call_stops_the_run_with_what_has_succeeded() -> None:
    gone = DatabricksNotFoundError("HTTP 404: no such endpoint\n  Where: here", status_code=404)
    outcomes = iter([True, True, False])
    run = Rehearsal(numbered(100), rules(), lambda texts: answer(texts) if next(outcomes) else gone)
    assert len(run.sent) == 3
    with pytest.raises(EmbeddingsIncompleteError) as caught:
        run.plan.finish({})
    assert "Stopped when 20 of 100 texts had an embedding: HTTP 404: no such endpoint" in str(caught.value)
    assert caught.value.__cause__ is gone
    assert caught.value.rows == [*map(row_of, run.texts[:20]), *[None] * 80]
    assert caught.value.status_code == 404


def test_an_error_of_the_call_is_raised_as_it_is_when_nothing_has_succeeded() -> None:
    run = Rehearsal(numbered(100), rules(), lambda _: DatabricksNotFoundError("gone", status_code=404))
    with pytest.raises(DatabricksNotFoundError):
        run.plan.finish({})
    boom = RuntimeError("the token callable failed")
    run = Rehearsal(numbered(100), rules(), lambda _: boom)
    with pytest.raises(RuntimeError) as caught:
        run.plan.finish()
    assert caught.value is boom


def test_overload_is_tried_again_while_others_come_through() -> None:
    storm = iter([False, True] * 6)
    run = Rehearsal(
        numbered(100), rules(), lambda t: refused("slow", 429) if next(storm, False) else answer(t), side_by_side=8
    )
    assert len(run.sent) == 10 + 6
    run.assert_complete_but_for()


def test_overload_that_lets_nothing_through_stops_the_run() -> None:
    left = iter(range(3))
    run = Rehearsal(numbered(100), rules(), lambda t: refused("slow", 429) if next(left, None) is None else answer(t))
    error = run.incomplete()
    assert "Stopped when 30 of 100" in str(error)
    assert error.is_retryable
    assert not run.plan.failures


def test_a_text_that_breaks_the_server_is_narrowed_down_too() -> None:
    run = Rehearsal(numbered(40), rules(), poisoned("text 17", status=500), side_by_side=2)
    run.assert_complete_but_for(17)


def test_a_server_that_only_fails_stops_the_run() -> None:
    run = Rehearsal(numbered(100), rules(), lambda _: refused("upstream", 500), side_by_side=8)
    with pytest.raises(DatabricksAPIError):
        run.plan.finish()
    assert len(run.sent) < 16


def test_rows_of_the_wrong_shape_stop_the_run() -> None:
    kept = RowList(2, Shape(dimensions=3))
    plan = Plan(["a", "b"], rules(), kept)
    batch = plan.next()
    assert batch is not None
    plan.take(batch, answer(batch.texts))
    with pytest.raises(EmbeddingsIncompleteError, match="4 dimensions, and dimensions=3 was asked for"):
        plan.finish()


def test_what_is_no_unicode_fails_alone_and_is_not_sent() -> None:
    run = Rehearsal(["a", "b\ud800", "c"], rules(), answer)
    assert run.sent == [["a", "c"]]
    run.assert_complete_but_for(1)
    assert isinstance(run.plan.failures[1], UnsupportedContentError)


WINDOW = 50
SURE = "word " * 60
UNSURE = "Donaudampfschifffahrt " * 9
FITS = "short"


def silently(texts: list[str]) -> Any:
    """A server that cuts without a word, as GTE does."""
    return answer(texts, lambda text: min(WINDOW, 6 * len(text.split())))


def test_a_text_that_is_surely_too_long_is_not_sent() -> None:
    run = Rehearsal([FITS, SURE, FITS], rules(window=WINDOW, cuts_silently=True), silently)
    assert run.sent == [[FITS, FITS]]
    run.assert_complete_but_for(1)
    failure = run.plan.failures[1]
    assert isinstance(failure, DatabricksContextOverflowError)
    assert "Text 1 is longer than what 'e' reads, 50 tokens: it has 60 words" in str(failure)


def test_a_text_that_may_be_too_long_is_sent_alone_and_the_servers_count_decides() -> None:
    run = Rehearsal([FITS, UNSURE, FITS], rules(window=WINDOW, cuts_silently=True), silently)
    assert run.sent == [[FITS, FITS], [UNSURE]]
    run.assert_complete_but_for(1)
    assert "counted 50 tokens" in str(run.plan.failures[1])
    fits = Rehearsal([FITS, UNSURE], rules(window=WINDOW, cuts_silently=True), lambda t: answer(t, lambda _: 49))
    fits.assert_complete_but_for()


def test_where_the_server_counts_nothing_the_estimate_decides() -> None:
    run = Rehearsal([FITS, UNSURE], rules(window=WINDOW, cuts_silently=True), lambda texts: (answer(texts)[0], {}))
    run.assert_complete_but_for(1)


def test_an_estimate_that_proves_too_low_is_checked_text_by_text() -> None:
    texts = [FITS, "xqzk " * 20, "qqzx vvkj", FITS]  # no words: three tokens each, where one was estimated

    def server(texts: list[str]) -> Any:
        return answer(texts, lambda text: min(WINDOW, 3 * len(text.split())))

    run = Rehearsal(texts, rules(window=WINDOW, cuts_silently=True), server)
    assert run.sent == [texts, [texts[1]]]
    run.assert_complete_but_for(1)


def test_where_the_server_cuts_and_the_caller_wants_that_nothing_goes_alone(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    run = Rehearsal([FITS, UNSURE, SURE], rules(window=WINDOW, cuts_silently=True, too_long="cut"), silently)
    assert run.sent == [[FITS, UNSURE, SURE[:249]]]
    run.plan.finish()
    assert caplog.messages == ["e: cut 1 texts that are too long"]


def test_where_the_server_refuses_a_long_text_it_is_cut_until_it_fits() -> None:
    def refuses(texts: list[str]) -> Any:
        longest = max(6 * len(text.split()) for text in texts)
        if longest <= WINDOW:
            return answer(texts)
        words = f"maximum context length is {WINDOW} tokens. However, your input resulted in {longest} tokens."
        return DatabricksContextOverflowError(words, status_code=400, detail=words)

    long = "Donaudampfschifffahrt " * 30
    run = Rehearsal([FITS, long, FITS], rules(window=WINDOW, too_long="cut"), refuses)
    run.plan.finish()
    kept = run.sent[-1][0]
    assert long.startswith(kept)
    assert 4 <= len(kept.split()) <= 8
    assert run.kept.rows == [row_of(FITS), row_of(kept), row_of(FITS)]
    assert len(run.sent) <= 5

    unwatched = Rehearsal([FITS, long, FITS], rules(), refuses)
    unwatched.assert_complete_but_for(1)
    assert isinstance(unwatched.plan.failures[1], DatabricksContextOverflowError)


def test_the_instruction_counts() -> None:
    rule = rules(window=WINDOW, cuts_silently=True, instruction="instruct " * 10)
    texts = [FITS, "word " * 27]
    assert Rehearsal(texts, rule, lambda t: answer(t, lambda _: 3)).sizes == [1, 1]
    assert Rehearsal(texts, rules(window=WINDOW, cuts_silently=True), lambda t: answer(t, lambda _: 3)).sizes == [2]


@pytest.mark.parametrize(
    "tokens", [10**400, -5, True, math.nan, math.inf, "70", None, [70]], ids=lambda value: str(value)[:9]
)
def test_a_count_that_is_not_one_is_not_believed(tokens: Any) -> None:
    texts = [FITS, "xqzk " * 20, FITS]
    run = Rehearsal(
        texts, rules(window=WINDOW, cuts_silently=True), lambda texts: (answer(texts)[0], {"prompt_tokens": tokens})
    )
    run.assert_complete_but_for()
    assert run.sent == [texts]
