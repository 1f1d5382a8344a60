"""The rows are documented, read, and picked by name alone; and nobody else decides by a model's name."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest

import langchain_dbchat
from langchain_dbchat.dialects.chat_completions import quirks
from langchain_dbchat.dialects.chat_completions.quirks import ChatQuirks
from langchain_dbchat.dialects.messages import quirks as messages_quirks
from langchain_dbchat.dialects.messages.quirks import MessagesQuirks
from langchain_dbchat.dialects.responses import quirks as responses_quirks
from langchain_dbchat.dialects.responses.quirks import ResponsesQuirks
from langchain_dbchat.models import families, names
from langchain_dbchat.models.families import FAMILIES, GENERIC, Family, family_of

PACKAGE = Path(langchain_dbchat.__file__).parent
TABLES = {
    Family: (families, {"family", "row"}),
    ChatQuirks: (quirks, {"quirks", "quirks_of(target)", "quirks_of(request.target)", "family_quirks(family)"}),
    MessagesQuirks: (messages_quirks, {"quirks", "quirks_of(target)"}),
    ResponsesQuirks: (responses_quirks, {"quirks_of(target.family)"}),
}
"""Each table of facts: where its columns are declared, and what the code calls a row of it."""
SOURCE = re.compile(r"docs/wire\.md, \d|[a-z]+\.[a-z]+/|[a-z] #\d+")
"""A section of the page on the wire, a URL, or a reported case."""
each_table = pytest.mark.parametrize("table", TABLES)
MODEL_NAME = re.compile(r"claude|gpt|gemini|gemma|llama|glm|kimi|qwen|grok|deepseek|inkling", re.IGNORECASE)
ASKS = {"startswith", "endswith", "find", "index", "count", "search", "match", "fullmatch"}

ROWS = {
    "claude": (
        "claude-opus-4-5 claude-sonnet-4-5 claude-haiku-4-5 claude-opus-4-1 claude-opus-4 claude-sonnet-4 "
        "claude-3-7-sonnet"
    ),
    "claude-4-6": "claude-opus-4-6 claude-sonnet-4-6",
    "claude-adaptive": "claude-sonnet-5 claude-opus-4-8 claude-opus-4-7",
    "claude-opus-5": "claude-opus-5",
    "claude-opus-5-5": "claude-opus-5-5 claude-fable-5-1",
    "claude-fable-5": "claude-fable-5",
    "gpt-5": "gpt-5 gpt-5-mini gpt-5-nano",
    "gpt-5-1": "gpt-5-1",
    "gpt-5-2": "gpt-5-2 gpt-5-4-mini gpt-5-4-nano",
    "gpt-codex": "gpt-5-3-codex gpt-5-1-codex-max",
    "gpt-5-5": "gpt-5-5",
    "gpt-5-6": "gpt-5-6-sol gpt-5-6-terra gpt-5-6-luna gpt-5-4",
    "gpt-5-pro": "gpt-5-5-pro gpt-5-4-pro",
    "gpt-6": "gpt-6-astra gpt-6-sol gpt-6-luna",
    "gemini-2-5-flash": "gemini-2-5-flash",
    "gemini-2-5-pro": "gemini-2-5-pro",
    "gemini-3": "gemini-4-carbon gemini-3-5-flash gemini-3-flash gemini-3-1-flash-lite gemini-3-pro",
    "gemini-3-1-pro": "gemini-3-1-pro",
    "gemini-3-6": "gemini-3-8-flash gemini-3-7-flash gemini-3-6-flash gemini-3-5-flash-lite",
    "gemini-image": "gemini-3-1-flash-image gemini-3-pro-image gemini-2-5-flash-image",
    "gpt-oss": "gpt-oss-120b gpt-oss-20b",
    "glm-5-2": "glm-5-2",
    "glm-5-3": "glm-5-3",
    "glm-5-3-flash": "glm-5-3-flash",
    "kimi-k3": "kimi-k3",
    "deepseek-v4": "deepseek-v4-1-flash deepseek-v4-flash-0731 deepseek-v4-pro-0813",
    "inkling": "inkling",
    "grok": "grok-4-6",
    "thinking-open-weights": "qwen35-122b-a10b kimi-k2-7-code",
    "open-weights": (
        "meta-llama-3-3-70b-instruct meta-llama-3-1-8b-instruct meta-llama-3-1-405b-instruct "
        "meta-llama-3-1-70b-instruct"
    ),
    "llama-4": "llama-4-maverick",
    "open-weights-vision": "gemma-3-12b",
    "open-weights-unproven": "qwen3-next-80b-a3b-instruct dbrx-instruct mixtral-8x7b-instruct",
}
PAIRS = [(model, row) for row, models in ROWS.items() for model in models.split()]


def trees(*, without: tuple[str, ...]) -> list[tuple[str, ast.Module]]:
    """Parse every file of the package outside some rooms."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        if not name.startswith(without):
            found.append((name, ast.parse(path.read_text(encoding="utf-8"))))
    return found


def strings(node: ast.AST) -> list[str]:
    return [part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, str)]


def decided_by(tree: ast.Module) -> list[tuple[int, str]]:
    """List the texts that a file compares something with, with their lines."""
    found: list[tuple[int, str]] = []
    for node in ast.walk(tree):
        if isinstance(node, (ast.Compare, ast.MatchValue)):
            found += [(node.lineno, text) for text in strings(node)]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ASKS:
            found += [(node.lineno, text) for argument in node.args for text in strings(argument)]
    return found


def columns(table: Any) -> list[str]:
    return list(table._fields)


@each_table
def test_every_column_is_documented_with_its_source(table: type) -> None:
    tree = ast.parse(Path(str(TABLES[table][0].__file__)).read_text(encoding="utf-8"))
    body = next(node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == table.__name__)
    documented = []
    for place, field in enumerate(body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            after = body[place + 1] if place + 1 < len(body) else None
            assert isinstance(after, ast.Expr), f"{field.target.id} has no docstring"
            text = strings(after)[0].rstrip()
            assert text.endswith("."), field.target.id
            assert field.target.id == "name" or SOURCE.search(text), f"{field.target.id} has no source"
            documented.append(field.target.id)
    assert documented == columns(table)


@each_table
def test_every_column_is_read(table: type) -> None:
    """A column that nobody reads is a promise that nobody keeps."""
    module, rows = TABLES[table]
    own = Path(str(module.__file__)).relative_to(PACKAGE).as_posix()
    read = {
        node.attr
        for _, tree in trees(without=("local/", own))
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Load)
        and (ast.unparse(node.value) in rows or ast.unparse(node.value).rpartition(".")[2] in rows)
    }
    assert [column for column in columns(table) if column not in read] == []


def test_each_family_has_a_row_for_the_wire() -> None:
    assert quirks.QUIRKS.keys() == FAMILIES.keys()
    of_openai = {name for name, row in FAMILIES.items() if row.signs == "openai"}
    assert responses_quirks.QUIRKS.keys() == of_openai | {"openai-compatible"}
    assert all(responses_quirks.QUIRKS[name].encrypts_reasoning for name in of_openai)


def test_nobody_else_decides_by_a_model_name() -> None:
    found = [
        f"{name}:{line}: {text!r}"
        for name, tree in trees(without=("local/", "models/", "dialects/chat_completions/quirks.py"))
        for line, text in decided_by(tree)
        if MODEL_NAME.search(text)
    ]
    assert found == []


@pytest.mark.parametrize(
    "code",
    [
        "x == 'databricks-claude-opus-5'",
        "'gpt' in model",
        "model in {'a', 'Llama'}",
        "model.startswith(('a', 'gemini-3'))",
        "re.search(r'glm-5', model)",
        "match model:\n    case 'kimi-k3':\n        pass",
    ],
)
def test_the_search_finds_names(code: str) -> None:
    assert [text for _, text in decided_by(ast.parse(code)) if MODEL_NAME.search(text)]


def test_each_name_stands_for_a_row() -> None:
    assert {row for _, row in names._BY_NAME} <= FAMILIES.keys()


@pytest.mark.parametrize("prefix", ["databricks-", "system.ai."])
@pytest.mark.parametrize(("model", "row"), PAIRS)
def test_name_picks_the_row(model: str, row: str, prefix: str) -> None:
    assert family_of(prefix + model) is FAMILIES[row]


def test_every_row_is_reachable() -> None:
    assert set(FAMILIES) - {row for _, row in PAIRS} == {"generic", "openai-compatible"}


def test_rows_stand_under_their_own_names() -> None:
    assert all(row.name == name for name, row in FAMILIES.items())


def test_efforts_stand_weakest_first() -> None:
    order = ["none", "minimal", "low", "medium", "high", "xhigh", "max"]
    for row in FAMILIES.values():
        assert list(row.efforts) == sorted(row.efforts, key=order.index), row.name
        assert all(sent in row.efforts and asked not in row.efforts for asked, sent in row.effort_aliases), row.name


@pytest.mark.parametrize(
    "model",
    [
        "",
        "my-claude",
        "claude-opus-5",
        "gpt-4o",
        "databricks-new-model",
        "databricks",
        "main.default.claude-opus-5",
        "my-databricks-claude-opus-5",
        "system.claude-opus-5",
        "systemXai.claude-opus-5",
    ],
)
def test_other_names_say_nothing(model: str) -> None:
    assert family_of(model) is GENERIC


@pytest.mark.parametrize("row", sorted(FAMILIES))
def test_override_wins(row: str) -> None:
    assert family_of("my-endpoint", row) is FAMILIES[row]
    assert family_of("databricks-llama-4-maverick", row) is FAMILIES[row]


@pytest.mark.parametrize("override", ["Claude", "", "databricks-claude-opus-5"])
def test_unknown_override_lists_the_families(override: str) -> None:
    with pytest.raises(ValueError, match="Unknown family") as caught:
        family_of("databricks-claude-opus-5", override)
    assert repr(override) in str(caught.value)
    assert all(name in str(caught.value) for name in FAMILIES)
