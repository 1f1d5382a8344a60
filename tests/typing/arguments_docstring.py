"""Write the arguments into the docstrings of the public classes: in groups, one line each (`make arguments`).

The line of an argument is the beginning of the docstring behind its field, up to the first ``.``, ``;`` or ``:``. It
has to fit into a terminal of 80 columns as `help()` shows it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, get_args

from settings_table import TABLES, docstrings

from langchain_dbchat.chat_models.model import ChatDatabricksCompat
from langchain_dbchat.connection.marks import SettingGroup, marks_of
from langchain_dbchat.embeddings.model import DatabricksEmbeddings

if TYPE_CHECKING:
    from pydantic import BaseModel

DOCSTRINGS: dict[str, type[BaseModel]] = {
    "chat_models/model.py": ChatDatabricksCompat,
    "embeddings/model.py": DatabricksEmbeddings,
}
WIDTH = 72  # `help()` indents the line of an argument by eight columns
SECTION = re.compile(r"    Args, model and address:\n.*?(?=^    (?:Instantiate|Example):$)", re.MULTILINE | re.DOTALL)


def line(name: str, text: str) -> str:
    """The line of an argument.

    Raises:
        ValueError: If it is longer than a line of `help()`.
    """
    plain = re.sub(r" \(alias(?:es)? (?:``[^`]+``(?:, )?)+\)", "", " ".join(text.split()))
    written = f"{name}: {re.split(r'(?<=[.;:])(?: |$)', plain)[0].rstrip('.;:')}."
    if len(written) > WIDTH:
        raise ValueError(
            f"{written!r} is longer than {WIDTH} columns: end its first part earlier, with '.', ';' or ':'"
        )
    return f"        {written}\n"


def arguments(cls: type[BaseModel]) -> str:
    """The sections of a docstring that explain the arguments of a class."""
    texts: dict[str, str] = {}
    for table in reversed(TABLES.values()):
        texts |= docstrings(table) if issubclass(cls, table) else {}
    groups = marks_of(cls).groups
    found: dict[str, list[str]] = {group: [] for group in get_args(SettingGroup)}
    for name, group in groups.items():
        found[group].append(line(name, texts[name]) if name in texts else name)
    inherited = found.pop("LangChain's own")
    sections = [f"    Args, {group}:\n{''.join(lines)}\n" for group, lines in found.items() if lines]
    if inherited:
        sections.append(_inherited(sorted(inherited)))
    return "".join(sections)


def _inherited(names: list[str]) -> str:
    half = len(names) // 2
    rows = (", ".join(names[:half]), ", ".join(names[half:]))
    return f"    Args, LangChain's own, as in each of its chat models:\n        {rows[0]},\n        {rows[1]}.\n\n"


def with_arguments(source: str, cls: type[BaseModel]) -> str:
    """The source of a class with new sections in its docstring."""
    text, count = SECTION.subn(lambda _: arguments(cls), source)
    assert count == 1, "the docstring has no section of arguments"
    return text
