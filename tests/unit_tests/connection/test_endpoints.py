"""What is known of an endpoint, for how long, and for whom."""

from __future__ import annotations

import pytest

from langchain_dbchat.connection import endpoints
from langchain_dbchat.connection.endpoints import LIFETIME, RequestLimit, endpoint_of, forget, tenant_of


def test_a_lesson_ends() -> None:
    now = [100.0]
    known = endpoint_of("https://h/a", "e")
    known.clock = lambda: now[0]
    known.learn(frozenset({"seed"}))
    assert known.lessons() == {"seed"}
    now[0] += LIFETIME / 2
    known.learn(frozenset({"seed", "top_p"}))
    now[0] += LIFETIME / 2
    assert known.lessons() == {"top_p"}
    known.learn(frozenset({"top_p", "seed"}))
    assert known.lessons() == {"seed", "top_p"}


def test_a_wire_format_and_a_url_are_known_for_as_long() -> None:
    now = [100.0]
    known = endpoint_of("https://h/a", "e")
    known.clock = lambda: now[0]
    assert (known.wire(), known.route()) == (None, 0)
    known.learn_wire("responses")
    now[0] += LIFETIME / 2
    known.learn_route(1)
    assert (known.wire(), known.route()) == ("responses", 1)
    now[0] += LIFETIME / 2
    assert (known.wire(), known.route()) == (None, 1)
    now[0] += LIFETIME / 2
    assert (known.wire(), known.route()) == (None, 0)


def test_what_is_known_of_one_endpoint_is_not_known_of_another() -> None:
    endpoint_of("https://h/a", "e").learn(frozenset({"seed"}))
    endpoint_of("https://h/a", "e").family = "claude"
    assert endpoint_of("https://h/a", "e").lessons() == {"seed"}
    for address, name in (("https://h/b", "e"), ("https://h/a", "f"), ("https://h/a?o=1", "e")):
        assert endpoint_of(address, name).lessons() == frozenset()
        assert endpoint_of(address, name).family is None


def test_a_warning_is_new_once_for_each_endpoint() -> None:
    known = endpoint_of("https://h", "e")
    assert [known.is_new_warning("seed"), known.is_new_warning("seed"), known.is_new_warning("top_p")] == [
        True,
        False,
        True,
    ]
    assert endpoint_of("https://h", "f").is_new_warning("seed")


def test_a_limit_is_only_lowered() -> None:
    known = endpoint_of("https://h", "e")
    assert known.limit == RequestLimit()
    for seen in (RequestLimit(inputs=96), RequestLimit(size=1000), RequestLimit(inputs=200)):
        known.limit = known.limit.lowered(seen)
    assert endpoint_of("https://h", "e").limit == RequestLimit(96, 1000)
    assert endpoint_of("https://h", "f").limit == RequestLimit()


def test_all_of_it_is_forgotten_at_once() -> None:
    known = endpoint_of("https://h", "e")
    known.learn(frozenset({"seed"}))
    known.is_new_warning("seed")
    forget()
    again = endpoint_of("https://h", "e")
    assert (again.lessons(), again.family, again.warnings) == (frozenset(), None, set())


def test_the_number_of_records_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    forget()
    monkeypatch.setattr(endpoints, "_MOST", 3)
    first = endpoint_of("https://h", "e")
    for number in range(2):
        assert endpoint_of("https://h", "e", tenant_of({"x-tenant": str(number)}, {})) is not first
    assert endpoint_of("https://h", "e") is first
    endpoint_of("https://h", "e", tenant_of({}, {"tenant": "a"}))
    assert len(endpoints._endpoints) == 3
    assert endpoint_of("https://h", "e") is not first
