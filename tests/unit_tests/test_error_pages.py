"""HTML pages where an error's body was expected."""

from __future__ import annotations

from langchain_dbchat.error_bodies import read_error_body

LIMIT = 65_536


def test_a_page_is_searched_for_its_title_as_far_as_the_limit_only() -> None:
    head, title = "<html><!--", "--><title>Sign in</title>"
    room = LIMIT - len(head) - len(title)
    assert read_error_body(f"{head}{'x' * room}{title}".encode()).message == "Sign in"
    beyond = read_error_body(f"{head}{'x' * (room + 1)}{title}".encode())
    assert (beyond.message, beyond.page) == ("", True)
