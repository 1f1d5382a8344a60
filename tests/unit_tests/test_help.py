"""What `help()`, `inspect.signature`, IPython and jedi show of the two classes: the arguments, in groups and short."""

from __future__ import annotations

import inspect
import pydoc
import subprocess
import sys
from itertools import pairwise

import pytest
from langchain_core.language_models import BaseChatModel
from pydantic import Field

from langchain_dbchat import ChatDatabricksCompat, DatabricksEmbeddings
from langchain_dbchat.chat_models.arguments import ChatArguments
from langchain_dbchat.connection.marks import marks_of
from langchain_dbchat.connection.settings import DatabricksConnection
from langchain_dbchat.embeddings.arguments import EmbeddingArguments

Class = type[DatabricksConnection]
WIDTH = 80


def _help(cls: Class) -> list[str]:
    """The lines of `help()`, from the signature to the examples."""
    plain = pydoc.plaintext  # type: ignore[attr-defined]  # typeshed lacks it
    lines = pydoc.render_doc(cls, renderer=plain).splitlines()
    begin = lines.index(f" |  {cls.__name__}(")
    end = next(number for number, line in enumerate(lines) if line in {" |  Instantiate:", " |  Example:"})
    return lines[begin:end]


@pytest.mark.parametrize(
    ("cls", "arguments"), [(ChatDatabricksCompat, ChatArguments), (DatabricksEmbeddings, EmbeddingArguments)]
)
def test_the_signature_has_each_argument_that_the_constructor_accepts(cls: Class, arguments: type) -> None:
    names = inspect.signature(cls).parameters
    assert names.keys() == arguments.__annotations__.keys()
    aliases = marks_of(cls).aliases
    assert names.keys() >= {*cls.model_fields, *aliases}
    for name in names.keys() - {"disable_streaming", "verbose"}:  # LangChain's own, which are never None
        if aliases.get(name, name) == "model":
            assert cls(**{name: "m"}).model == "m"
        else:
            assert cls(**{"model": "m", name: None}).model == "m"


@pytest.mark.parametrize("cls", [ChatDatabricksCompat, DatabricksEmbeddings])
def test_ours_come_first_in_groups_and_langchains_and_other_names_last(cls: Class) -> None:
    names = list(inspect.signature(cls).parameters)
    groups = marks_of(cls).groups
    fields = [name for name in names if name in groups]
    shown = [groups[name] for name in fields]
    assert names[: len(fields)] == fields
    assert names[:3] == ["model", "host", "base_url"]
    assert len(set(shown)) == 1 + sum(one != two for one, two in pairwise(shown)), "each once"
    base = set(BaseChatModel.model_fields) if cls is ChatDatabricksCompat else set()
    assert {name for name in fields if groups[name] == "LangChain's own"} == base
    assert set(fields[len(fields) - len(base) :]) == base


@pytest.mark.parametrize("cls", [ChatDatabricksCompat, DatabricksEmbeddings])
def test_help_fits_into_a_terminal_and_explains_each_argument_on_one_line(cls: Class) -> None:
    lines = _help(cls)
    assert [line for line in lines if len(line) > WIDTH] == []
    text = "\n".join(lines)
    for internal in ("Mark(", "Annotated", "typing.", "collections.", "factory", "PydanticUndefined", "*args"):
        assert internal not in text
    assert " |      model: str | None = '', host: str | None = None," in lines
    assert " |  Args, model and address:" in lines
    assert " |      max_retries: How often a request is retried after a transient failure." in lines
    after = lines[lines.index(" |  )") :]
    for name in cls.model_fields:
        if marks_of(cls).groups[name] != "LangChain's own":
            assert sum(line.startswith(f" |      {name}: ") for line in after) == 1, name


def test_the_defaults_are_those_of_the_objects() -> None:
    made = ChatDatabricksCompat(model="m", host="https://workspace.example")
    for name, argument in inspect.signature(ChatDatabricksCompat).parameters.items():
        if name in marks_of(ChatDatabricksCompat).fields - {"model", "host", "metadata", "profile"}:
            assert argument.default in {..., getattr(made, name)}, name


def test_a_users_subclass_shows_its_own_fields_first() -> None:
    class Mine(ChatDatabricksCompat):
        """A subclass."""

        required: int
        also: list[str] = Field(default_factory=list)

    signature = inspect.signature(Mine)
    assert list(signature.parameters)[:3] == ["required", "also", "model"]
    assert signature.parameters["required"].default is inspect.Parameter.empty
    assert "    required: int, also: list[str] = ...," in str(signature)
    with pytest.raises(AttributeError):
        _ = Mine(model="m", required=1).__signature__


def test_only_who_asks_for_the_signature_loads_it() -> None:
    program = (
        "import sys, inspect\n"
        "from langchain_dbchat import ChatDatabricksCompat, DatabricksEmbeddings\n"
        "ChatDatabricksCompat(model='m')\n"
        "names = {'langchain_dbchat.connection.signature', 'langchain_dbchat.chat_models.arguments'}\n"
        "assert not names & sys.modules.keys()\n"
        "inspect.signature(ChatDatabricksCompat)\n"
        "assert names <= sys.modules.keys()\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


@pytest.mark.parametrize("cls", [ChatDatabricksCompat, DatabricksEmbeddings])
def test_notebooks_complete_the_arguments(cls: Class) -> None:
    jedi = pytest.importorskip("jedi")
    names = {each.name for each in jedi.Interpreter("Class(", [{"Class": cls}]).complete()}
    assert names >= {f"{name}=" for name in marks_of(cls).fields}


def test_ipython_shows_each_argument_on_a_line() -> None:
    oinspect = pytest.importorskip("IPython.core.oinspect")
    shown = oinspect._render_signature(inspect.signature(ChatDatabricksCompat), "ChatDatabricksCompat")
    assert "    temperature: float | None = None,\n" in shown
