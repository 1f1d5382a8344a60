"""Show the examples of docstrings as code in the API reference, as an extension of griffe.

Rule 1. A paragraph that begins with ``>>>`` is an example, wherever it stands in a docstring; griffe knows them in a
        section ``Examples`` only (https://mkdocstrings.github.io/griffe/reference/docstrings/#google-section-examples).
Rule 2. A line ``::``, which announces an indented block in reStructuredText, is left out, because Markdown needs the
        indentation only.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

PARAGRAPH = re.compile(r"^(?P<indent> *)>>> .*(?:\n(?P=indent)\S.*|\n(?P=indent) +\S.*)*", re.MULTILINE)


class FencedExamples(griffe.Extension):  # type: ignore[misc]  # griffe may be absent
    """Put fences around the examples of each docstring."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Change the docstring of an object that was read."""
        if obj.docstring:
            text = re.sub(r"^ *::\n", "", obj.docstring.value, flags=re.MULTILINE)
            obj.docstring.value = PARAGRAPH.sub(fenced, text)


def fenced(example: re.Match[str]) -> str:
    """Return an example between fences of its own indentation."""
    indent = example["indent"]
    return f"{indent}```pycon\n{example[0]}\n{indent}```"
