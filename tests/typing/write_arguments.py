"""Write what is derived from the fields and their marks: arguments for type checkers, tables (`make arguments`).

pydantic makes the constructors at run time, so a type checker does not know the other names of a field, and rejects
text where the field holds a `SecretStr`.
"""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from arguments_docstring import DOCSTRINGS, with_arguments
from settings_table import PAGE, written

import langchain_dbchat
from langchain_dbchat.chat_models.model import ChatDatabricksCompat
from langchain_dbchat.chat_models.settings import ChatSettings
from langchain_dbchat.connection.marks import marks_of
from langchain_dbchat.connection.other_clients import REQUEST_FIELDS
from langchain_dbchat.connection.settings import DatabricksConnection
from langchain_dbchat.embeddings.model import DatabricksEmbeddings
from langchain_dbchat.embeddings.settings import EmbeddingSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import BaseModel

ROOT = Path(langchain_dbchat.__file__).parent

TOKEN = "str | SecretStr | Callable[[], str | Awaitable[str]]"
HEAD = '''"""The arguments of {what} for type checkers; `make arguments` writes this file."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal

{imports}

__all__ = {names}


class {name}({base}, total=False):
    """The names and types of the arguments; `{source}` explains them."""

'''

LANGCHAIN = {
    "cache": "BaseCache | bool | None",
    "callbacks": "Callbacks",
    "custom_get_token_ids": "Callable[[str], list[int]] | None",
    "disable_streaming": 'bool | Literal["tool_calling"]',
    "metadata": "dict[str, Any] | None",
    "name": "str | None",
    "output_version": "str | None",
    "profile": "ModelProfile | str | None",
    "rate_limiter": "BaseRateLimiter | None",
    "tags": "list[str] | None",
    "verbose": "bool",
}
"""The fields of langchain-core's chat model. ``profile`` may also be the name of a profile in the configuration."""


FOREIGN = {
    "ConnectionArguments": {"target_uri": "str | None", "custom_llm_provider": "str | None"},
    "ChatArguments": {
        "use_responses_api": "bool | None",
        "drop_params": "bool | None",
        "reasoning": "Mapping[str, Any] | None",
        "tiktoken_model_name": "str | None",
        "use_previous_response_id": "bool | None",
        **dict.fromkeys(sorted(REQUEST_FIELDS - {"encoding_format"}), "Any"),
    },
    "EmbeddingArguments": {
        "chunk_size": "int | None",
        "skip_empty": "bool | None",
        "check_embedding_ctx_length": "bool | None",
        "tiktoken_enabled": "bool | None",
        "tiktoken_model_name": "str | None",
        "allowed_special": "Any",
        "disallowed_special": "Any",
        "encoding_format": "str | None",
        "user": "str | None",
    },
}
"""The settings of other clients that are accepted (`langchain_dbchat.connection.other_clients`)."""


@dataclass(frozen=True)
class Written:
    """One file.

    Attributes:
        path: Its path in the package.
        what: What has the arguments.
        name: The name of the class in it.
        base: The class that it extends.
        cls: The class whose fields it lists.
        owner: The public class that has these fields.
        imports: What the types need.
    """

    path: str
    what: str
    name: str
    base: str
    cls: type[BaseModel]
    owner: type[BaseModel]
    imports: str

    def text(self) -> str:
        """Return the file as it should be."""
        given = dict(arguments(self.cls, self.owner))
        if self.cls is ChatSettings:
            given |= {name: written for name, written in LANGCHAIN.items() if name not in given}
        given |= FOREIGN[self.name]
        lines = "".join(f"    {name}: {written}\n" for name, written in given.items())
        head = HEAD.format(
            what=self.what,
            imports=self.imports,
            names=f'["{self.name}"]',
            name=self.name,
            base=self.base,
            source=self.cls.__name__,
        )
        return formatted(head + lines)


def arguments(cls: type[BaseModel], owner: type[BaseModel]) -> Iterator[tuple[str, str]]:
    """Yield the names and types of the arguments that a class declares.

    Args:
        cls: The class that declares the fields.
        owner: The public class that has them.
    """
    marks = marks_of(owner)
    tree = ast.parse(inspect.getsource(cls))
    body = next(node.body for node in tree.body if isinstance(node, ast.ClassDef))
    for node in body:
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        name = node.target.id
        if name not in cls.model_fields:
            continue
        annotation = node.annotation
        if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) == "Annotated":
            assert isinstance(annotation.slice, ast.Tuple)
            annotation = annotation.slice.elts[0]
        written = ast.unparse(annotation).replace("'", '"')
        written = written.replace("SecretStr", "str | SecretStr").replace("Token", TOKEN)
        if name in marks.no_none:
            written += " | None"
        for each in (name, *(other for other, field in marks.aliases.items() if field == name)):
            yield each, written


def formatted(text: str) -> str:
    """Sort the imports, remove the unused ones, and format."""
    for command in (
        ["check", "--fix-only", "--unsafe-fixes", "--quiet", "--select", "F401,I,TC,UP"],
        ["format", "--quiet"],
    ):
        run = [sys.executable, "-m", "ruff", *command, "--stdin-filename", str(ROOT / "arguments.py"), "-"]
        text = subprocess.run(run, input=text, capture_output=True, text=True, check=True, cwd=ROOT.parent).stdout
    return text


_CONNECTION = "from langchain_dbchat.connection.arguments import ConnectionArguments"
FILES = (
    Written(
        "connection/arguments.py",
        "the connection",
        "ConnectionArguments",
        "TypedDict",
        DatabricksConnection,
        DatabricksEmbeddings,
        "from pydantic import SecretStr\nfrom typing_extensions import TypedDict",
    ),
    Written(
        "chat_models/arguments.py",
        "the chat model",
        "ChatArguments",
        "ConnectionArguments",
        ChatSettings,
        ChatDatabricksCompat,
        "from langchain_core.caches import BaseCache\n"
        "from langchain_core.callbacks import Callbacks\n"
        "from langchain_core.language_models import ModelProfile\n"
        "from langchain_core.rate_limiters import BaseRateLimiter\n"
        f"{_CONNECTION}",
    ),
    Written(
        "embeddings/arguments.py",
        "the embeddings",
        "EmbeddingArguments",
        "ConnectionArguments",
        EmbeddingSettings,
        DatabricksEmbeddings,
        f"from langchain_core.rate_limiters import BaseRateLimiter\n{_CONNECTION}",
    ),
)


if __name__ == "__main__":
    for file in FILES:
        (ROOT / file.path).write_text(file.text(), "utf-8")
    for path, cls in DOCSTRINGS.items():
        (ROOT / path).write_text(with_arguments((ROOT / path).read_text("utf-8"), cls), "utf-8")
    PAGE.write_text(written(PAGE.read_text("utf-8")), "utf-8")
