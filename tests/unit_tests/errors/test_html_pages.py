"""HTML pages where an error's body was expected."""

from __future__ import annotations

import sys

import pytest

from langchain_dbchat.errors.bodies import read_error_body
from langchain_dbchat.errors.html_pages import page_words

LIMIT = 65_536


def test_a_page_is_searched_for_its_title_as_far_as_the_limit_only() -> None:
    head, title = "<html><!--", "--><title>Sign in</title>"
    room = LIMIT - len(head) - len(title)
    assert read_error_body(f"{head}{'x' * room}{title}".encode()).message == "Sign in"
    beyond = read_error_body(f"{head}{'x' * LIMIT}{title}".encode())
    assert (beyond.message, beyond.page) == ("", True)


@pytest.mark.parametrize(
    ("page", "words"),
    [
        (
            "<html><title>A &amp; B</title><h1 class='x'>C\n D</h1><p>not this</p><pre>E</pre><h1>F</h1>",
            "A & B - C D - E",
        ),
        ("<html><h1>never closed<title>502</title>", "502"),
        ("<html><h1>never closed", "never closed"),
        ("<html><TITLE>a</TITLE ><h1>a</h1>", "a"),
        ("<html><style>b {color: red}</style><script>if (a < b) {}</script><p>Words</p>", "Words"),
        ("<html><!-- <title>old</title> --><p>Words</p><!-- never closed <h1>x</h1>", "Words"),
        ("<html><body>5 < 6 <b>and</b> 7 > 6", "5 < 6 and 7 > 6"),
        ("<html></h1></title>", ""),
        ("<html><title>Sign in</title", "Sign in"),
    ],
)
def test_the_words_of_a_page(page: str, words: str) -> None:
    assert page_words(page) == words


@pytest.mark.parametrize(
    "piece", ["<h1>", "<title><h1>", "<script>", "<", "<!--", "<h1 ", "</h1>", "<h1>x</h1>", "<h1>&"]
)
def test_a_page_is_read_once_whatever_is_not_closed(piece: str) -> None:
    """Counted in calls of Python and C functions, not in seconds."""

    def calls(times: int) -> int:
        seen = 0

        def count(*_: object) -> None:
            nonlocal seen
            seen += 1

        sys.setprofile(count)
        try:
            page_words("<html>" + piece * times)
        finally:
            sys.setprofile(None)
        return seen

    assert calls(2_000) <= 2.2 * calls(1_000)
