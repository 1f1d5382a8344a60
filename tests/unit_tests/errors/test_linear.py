"""Large answers of a server that refuses: the work grows with their size, and not with its square. No clock is used."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import pytest

from kit.operations import is_linear
from kit.regex_steps import Searcher
from langchain_dbchat import errors
from langchain_dbchat.embeddings import lengths, refusals
from langchain_dbchat.errors.answers import error_from_event, error_from_response
from langchain_dbchat.errors.redaction import scrub
from langchain_dbchat.errors.sent_secrets import hider

MODULES = [
    *(importlib.import_module(f"{errors.__name__}.{found.name}") for found in pkgutil.iter_modules(errors.__path__)),
    lengths,
    refusals,
]
EVERYWHERE = re.compile(r"(\w+)\.(?:search|sub|finditer|findall|split)\(")


def _patterns(value: Any) -> Iterator[re.Pattern[str]]:
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from _patterns(item)
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            yield from _patterns(getattr(value, field.name))


FOUND = [
    pytest.param(pattern, start_only, id=f"{module.__name__.rpartition('.')[2]}.{name} {number}")
    for module in MODULES
    for searched in [set(EVERYWHERE.findall(inspect.getsource(module)))]
    for name, value in vars(module).items()
    for number, pattern in enumerate(_patterns(value))
    for start_only in [isinstance(value, re.Pattern) and name not in searched]
]


@pytest.mark.parametrize(("pattern", "start_only"), FOUND)
def test_every_pattern_takes_linear_time(pattern: re.Pattern[str], start_only: bool) -> None:
    searcher = Searcher(pattern)
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)
    try:
        for short, long in zip(searcher.attacks(24), searcher.attacks(48), strict=True):
            few = searcher.search_all(short, start_only=start_only)
            many = searcher.search_all(long, start_only=start_only)
            assert many <= 2.3 * few + 100, (short[:40], few, many)
    finally:
        sys.setrecursionlimit(limit)


@pytest.mark.parametrize("pattern", [r"'[^'\n]*\s[^'\n]*'", r"\s+x", r"exceed\w*\D{0,40}?\d", r"a\s*:?\s*b"])
def test_a_pattern_that_does_not_is_found(pattern: str) -> None:
    with pytest.raises(AssertionError):
        test_every_pattern_takes_linear_time(re.compile(pattern), start_only=False)


TOKEN = "zq7-PLAIN-secret/with+odd=chars"
SECRETS = [
    "dapi0123456789abcdef ",
    "Authorization: Bearer abc.def-123 ",
    '"password": "hunter2", ',
    "'api_key': '",
    "client_secret: invalid ",
    "http://me:pa55@proxy:1 ",
    f"{TOKEN} ",
    TOKEN.replace("/", "\\u002f"),
    "a plain word ",
]
hide = hider({"Authorization": f"Bearer {TOKEN}"}.items())


@pytest.mark.parametrize("piece", SECRETS)
def test_masking_in_a_large_text(piece: str) -> None:
    assert is_linear(lambda count: lambda: scrub(hide(piece * count)))


def _fastapi(count: int) -> bytes:
    return json.dumps(
        {"detail": [{"loc": ["body", number], "msg": "Field required"} for number in range(count)]}
    ).encode()


def _google(count: int) -> bytes:
    return json.dumps([{"error": {"code": 400, "message": f"m {number}"}} for number in range(count)]).encode()


def _events(count: int) -> bytes:
    return b"".join(b'data: {"error": {"message": "m %d"}}\n\n' % number for number in range(count))


def _guardrail(count: int) -> bytes:
    found = [{"categories": {f"category {number}": True for number in range(count)}}]
    return json.dumps({"input_guardrail": found, "finishReason": "input_guardrail_triggered"}).encode()


def _unknown(count: int) -> bytes:
    return json.dumps({f"key {number}": {"id": number} for number in range(count)}).encode()


def _page(piece: str) -> Callable[[int], bytes]:
    return lambda count: f"<html><body>{piece * count}".encode()


def _text(piece: str) -> Callable[[int], bytes]:
    return lambda count: json.dumps({"message": piece * count}).encode()


BODIES: dict[str, Callable[[int], bytes]] = {
    "a list of errors": _fastapi,
    "a list of objects": _google,
    "an event stream": _events,
    "findings of a guardrail": _guardrail,
    "an object of unknown shape": _unknown,
    "headings": _page("<h1>x</h1>"),
    "headings that are not closed": _page("<title><h1>"),
    "comments that are not closed": _page("<!--"),
    "words": _text("input exceeds the limit of 'a b c' "),
    "braces": _text("{'a': "),
    "JSON in words": _text('got {"error": "x"} '),
    "a page in words": _text("got <html><h1>x"),
    "secrets": _text("".join(SECRETS)),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_large_error_body(name: str) -> None:
    def work(count: int) -> Callable[[], Any]:
        body, headers = BODIES[name](count), {f"x-{number}": TOKEN for number in range(count)}
        return lambda: error_from_response(status=400, headers=headers, body=body, endpoint="e", host="h", hide=hide)

    assert is_linear(work)


@pytest.mark.parametrize("name", ["a list of errors", "a list of objects", "an object of unknown shape", "words"])
def test_a_large_error_in_a_stream(name: str) -> None:
    def work(count: int) -> Callable[[], Any]:
        payload = {"error": json.loads(BODIES[name](count))}
        return lambda: error_from_event(payload, endpoint="e")

    assert is_linear(work)
