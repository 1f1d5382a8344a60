"""Write the tables of settings in docs/settings.md, from the fields, their marks and their docstrings.

`make arguments` writes them; a test compares. A field without a docstring is an error.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from langchain_dbchat.chat_models.settings import ChatSettings
from langchain_dbchat.connection.marks import Mark
from langchain_dbchat.connection.settings import DatabricksConnection
from langchain_dbchat.embeddings.settings import EmbeddingSettings

if TYPE_CHECKING:
    from pydantic import BaseModel

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"
TABLES: dict[str, type[BaseModel]] = {
    "Of the chat model": ChatSettings,
    "Of the embeddings": EmbeddingSettings,
    "Of the connection, for both": DatabricksConnection,
}
HEAD = "| setting | also called | per call | meaning |\n|---|---|---|---|\n"
BEGIN, END = "<!-- settings: make arguments writes these tables -->\n", "<!-- end of settings -->\n"


def docstrings(cls: type[BaseModel]) -> dict[str, str]:
    """The docstring behind each field of a class."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    assert isinstance(tree, ast.ClassDef)
    found: dict[str, str] = {}
    for node, text in zip(tree.body, tree.body[1:], strict=False):
        if not (isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)):
            continue
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found[node.target.id] = inspect.cleandoc(str(text.value.value))
    return found


def row(cls: type[BaseModel], name: str, text: str) -> str:
    """The row of one field."""
    mark = next((item for item in cls.model_fields[name].metadata if isinstance(item, Mark)), Mark())
    named = ", ".join(f"`{other}`" for other in mark.names)
    plain = re.sub(r"`+([^`]+)`+", r"`\1`", " ".join(text.split())).replace("|", "\\|")
    plain = re.sub(r" \(alias(?:es)? (?:`[^`]+`(?:, )?)+\)", "", plain)  # the second column has them
    return f"| `{name}` | {named} | {'yes' if mark.per_call else ''} | {plain} |\n"


def tables() -> str:
    """All tables, with their headings."""
    made = []
    for title, cls in TABLES.items():
        texts = docstrings(cls)
        rows = [row(cls, name, texts[name]) for name in cls.model_fields if name in cls.__annotations__]
        made.append(
            f"### {title}\n\n| setting | also called | per call | meaning |\n|---|---|---|---|\n{''.join(rows)}\n"
        )
    return f"{BEGIN}\n{''.join(made)}{END}"


def written(page: str) -> str:
    """The page with new tables."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{tables()}{after}"
