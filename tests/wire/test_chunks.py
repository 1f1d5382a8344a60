"""The chunks of each recorded stream, and the result of each answer, are what langchain-core's constructors make."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from typing import Any

import pytest
from golden import groups_of, load, names

from langchain_dbchat.dialects.shared.answer import copied_messages
from langchain_dbchat.errors import DatabricksError


@pytest.mark.parametrize("coalesce", [True, False])
@pytest.mark.parametrize("name", [name for name in names() if load(name).stream is not None])
def test_each_stream_has_the_chunks_that_the_constructors_make(
    name: str, coalesce: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = load(name)

    def chunks() -> Iterator[Any]:
        numbers = count(1)
        monkeypatch.setattr("uuid.uuid4", lambda: uuid.UUID(int=next(numbers)))  # ids of calls that come without one
        decoder = case.decoder(coalesce=coalesce)
        with suppress(DatabricksError):
            for group in groups_of(case, [case.stream or b""]):
                yield from decoder.feed(group)
            yield from decoder.close()

    copied = [*chunks()]
    monkeypatch.setattr(copied_messages, "_can_copy", False)
    for ours, theirs in zip(copied, chunks(), strict=True):
        assert ours.__getstate__() == theirs.__getstate__()
        assert ours.message.__getstate__() == theirs.message.__getstate__()
        assert repr(ours) == repr(theirs)


@pytest.mark.parametrize("name", [name for name in names() if load(name).response is not None])
def test_each_answer_has_the_result_that_the_constructors_make(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case = load(name)

    def states() -> list[Any]:
        numbers = count(1)
        monkeypatch.setattr("uuid.uuid4", lambda: uuid.UUID(int=next(numbers)))
        with suppress(DatabricksError):
            result = case.dialect.decode(case.response or b"", case.target, "req-1", case.sent)
            given: list[Any] = [result.__getstate__() | {"generations": len(result.generations)}]
            for each in result.generations:
                given += [each.__getstate__(), each.message.__getstate__(), repr(each), type(each.text)]
            return given
        return []

    copied = states()
    monkeypatch.setattr(copied_messages, "_can_copy", False)
    assert copied == states()
