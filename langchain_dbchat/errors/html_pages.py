"""Read a web page that came where the body of an error was expected.

Rule 1. Its words are those of the first three ``title``, ``h1`` and ``pre`` elements, or else the page's text.
Rule 2. Scripts, style sheets and comments are not words.
Rule 3. A page is read once from start to end: tags that are opened and never closed cost no more than others.
"""

from __future__ import annotations

import html
import re

__all__ = ["page_words"]

_LIMIT = 65_536  # characters of a page that are read
_WORDS_LIMIT = 300  # characters of an element that are kept
_TAG = re.compile(r"<(/?)([a-z][a-z0-9]*)?[^<>]*(?:>|\Z)", re.IGNORECASE)
_HEADINGS = frozenset({"title", "h1", "pre"})
_HIDDEN = frozenset({"script", "style"})


def page_words(page: str) -> str:
    """Return the words of a page.

    Args:
        page: HTML, which may be malformed or cut off.
    """
    headings: list[str] = []
    everything: list[str] = []
    inside = hidden = ""
    start = since = 0
    text = _without_comments(page[:_LIMIT])
    for tag in _TAG.finditer(text):
        end, name = tag[1], (tag[2] or "").lower()
        if not hidden:
            everything.append(text[start : tag.start()])
        start = tag.end()
        if name in _HIDDEN:
            hidden = "" if end else name
        elif name in _HEADINGS and not end:
            inside, since = name, len(everything)
        elif name and name == inside:
            headings.append(_plain(everything[since:]))
            inside = ""
    if not hidden:
        everything.append(text[start:])
    words = list(dict.fromkeys(filter(None, headings)))
    return " - ".join(words[:3]) or _plain(everything)


def _without_comments(page: str) -> str:
    first, *rest = page.split("<!--")
    return " ".join((first, *(part.partition("-->")[2] for part in rest)))


def _plain(pieces: list[str]) -> str:
    return " ".join(html.unescape(" ".join(pieces)).split())[:_WORDS_LIMIT]
