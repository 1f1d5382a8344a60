"""What the package shows, and what importing it costs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.metadata import requires
from importlib.util import find_spec
from types import ModuleType

import pytest
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from pydantic import BaseModel

import langchain_dbchat
from langchain_dbchat import _version, chat_models, embeddings, errors, local
from langchain_dbchat.local import LocalWorkspace

LOADS_NOTHING_HEAVY = """
import json, sys
import langchain_core.language_models.chat_models
before = set(sys.modules)
import langchain_dbchat
from langchain_dbchat import ChatDatabricksCompat
llm = ChatDatabricksCompat(model="m", host="https://workspace.example", token="dapi0")
print(json.dumps(sorted(name for name in sys.modules if name not in before)))
"""

FIRST_CALL = """
import json, sys
from langchain_dbchat import ChatDatabricksCompat
llm = ChatDatabricksCompat(model="databricks-claude-sonnet-4-6", host=sys.argv[1], token=sys.argv[2])
assert llm.invoke("Hi").text
from langchain_dbchat.errors import redaction
compiled = [redaction.__name__] if redaction._pattern.cache_info().currsize else []
print(json.dumps([list(sys.modules), compiled]))
"""
FOR_OTHERS = {
    *(f"langchain_dbchat.auth.{way}" for way in ("cli", "m2m", "posit", "profiles", "sdk")),
    *(
        f"langchain_dbchat.errors.{part}"
        for part in ("advice", "answers", "bodies", "guardrails", "meanings", "overflow", "html_pages")
    ),
    *(
        f"langchain_dbchat.{part}"
        for part in (
            "embeddings",
            "chat_models.structured",
            "dialects.shared.request.refusals",
            "dialects.shared.schemas",
            "dialects.shared.request.spellings",
            "transport.proxy_clients",
        )
    ),
    "databricks.sdk",
    "numpy",
}


def test_public_names() -> None:
    assert langchain_dbchat.__all__ == [
        "ChatDatabricks",
        "ChatDatabricksCompat",
        "ConfigurationError",
        "Credentials",
        "DatabricksAPIError",
        "DatabricksAuthenticationError",
        "DatabricksConnectionError",
        "DatabricksContextOverflowError",
        "DatabricksEmbeddings",
        "DatabricksError",
        "DatabricksInvalidRequestError",
        "DatabricksNotFoundError",
        "DatabricksPermissionDeniedError",
        "DatabricksProviderAuthenticationError",
        "DatabricksRateLimitError",
        "DatabricksRefusalError",
        "DatabricksTimeoutError",
        "EmbeddingsIncompleteError",
        "MalformedResponseError",
        "StreamInterruptedError",
        "Timeouts",
        "UnsupportedContentError",
        "__version__",
        "alist_endpoints",
        "approve",
        "cost_of",
        "deny",
        "from_litellm_config",
        "list_endpoints",
        "pending_approvals",
        "register",
        "track_costs",
    ]
    assert all(getattr(langchain_dbchat, name) is not None for name in langchain_dbchat.__all__)
    assert set(langchain_dbchat.__all__) <= set(dir(langchain_dbchat))
    with pytest.raises(AttributeError, match="has no attribute 'import_module_of_errors'"):
        langchain_dbchat.import_module_of_errors  # noqa: B018  # it has none
    assert langchain_dbchat.__version__ == _version.__version__


@pytest.mark.parametrize(
    ("package", "names"),
    [
        (chat_models, {"ChatDatabricks", "ChatDatabricksCompat"}),
        (embeddings, {"DatabricksEmbeddings"}),
        (
            errors,
            {name for name in langchain_dbchat.__all__ if "Error" in name} | {"ErrorResponse", "MalformedRowsError"},
        ),
        (
            local,
            {
                "AgentCall",
                "AgentRequest",
                "ApprovalRequest",
                "Fault",
                "FaultProxy",
                "LocalAgent",
                "LocalWorkspace",
                "Mishap",  # the old name of Fault
            },
        ),
    ],
)
def test_public_names_of_the_packages(package: ModuleType, names: set[str]) -> None:
    assert set(package.__all__) == names
    assert all(getattr(package, name) is not None for name in names)


@pytest.mark.parametrize(
    ("kind", "core", "own"),
    [
        (
            langchain_dbchat.ChatDatabricksCompat,
            BaseChatModel,
            {"endpoint", "model_name", "resources", "with_credentials"},
        ),
        (
            langchain_dbchat.DatabricksEmbeddings,
            Embeddings,
            {
                "aembed_array",
                "aembed_documents_or_none",
                "embed_array",
                "embed_documents_or_none",
                "endpoint",
                "resources",
                "usage",
                "with_credentials",
            },
        ),
    ],
)
def test_public_methods_beside_those_of_langchain(kind: type[BaseModel], core: type, own: set[str]) -> None:
    known = {*dir(core), *dir(BaseModel), *kind.model_fields}
    assert {name for name in dir(kind) if not name.startswith("_")} - known == own


def test_import_and_construction_load_nothing_heavy_beyond_langchain_core() -> None:
    # langchain-core itself loads httpx, through langsmith; we must not be the ones who do.
    done = subprocess.run([sys.executable, "-c", LOADS_NOTHING_HEAVY], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in json.loads(done.stdout)}
    assert loaded.isdisjoint({"httpx", "httpcore", "databricks", "numpy", "requests", "starlette", "uvicorn", "openai"})


def test_importing_the_package_loads_nothing_of_others() -> None:
    code = "import json, sys, langchain_dbchat; print(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    ours = {"langchain_dbchat", "langchain_dbchat._version"}
    loaded = set(json.loads(done.stdout))
    assert {name for name in loaded if name.startswith("langchain_dbchat")} == ours
    assert loaded.isdisjoint({"langchain_core", "pydantic", "httpx", "starlette"})


@pytest.mark.parametrize("name", ["chat_models", "embeddings", "errors"])
def test_its_packages_are_attributes_of_it(name: str) -> None:
    code = f"import langchain_dbchat; print(langchain_dbchat.{name}.__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"langchain_dbchat.{name}"


def test_transport_is_loaded_by_the_first_call_only() -> None:
    done = subprocess.run([sys.executable, "-c", LOADS_NOTHING_HEAVY], capture_output=True, text=True, check=True)
    loaded = {name for name in json.loads(done.stdout) if name.startswith("langchain_dbchat.transport")}
    # A way of signing in that has to be tried is a plan: what executes it is small, and loads nothing.
    assert loaded <= {"langchain_dbchat.transport", "langchain_dbchat.transport.effects"}


def test_a_first_call_with_a_token_loads_nothing_for_others(workspace: LocalWorkspace) -> None:
    command = [sys.executable, "-c", FIRST_CALL, workspace.host, workspace.token]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded, compiled = json.loads(done.stdout)
    assert FOR_OTHERS.isdisjoint(loaded)
    assert not compiled, "patterns for texts that a first call does not read"


@pytest.mark.parametrize("name", sorted(name for name in FOR_OTHERS if name.startswith("langchain_dbchat.")))
def test_what_is_for_others_has_that_name(name: str) -> None:
    assert find_spec(name) is not None, "it was renamed, so that nothing checks when it is loaded"


def _names(package: str) -> set[str]:
    return {re.split(r"[\s<>=!~;\[]", line)[0].lower() for line in requires(package) or [] if "extra ==" not in line}


def test_runtime_dependencies_are_four() -> None:
    assert _names("langchain-dbchat") == {"langchain-core", "httpx", "pydantic", "databricks-sdk"}


def test_the_parser_of_litellms_files_comes_with_langchain_core() -> None:
    assert "pyyaml" in _names("langchain-core")


def test_what_the_transport_imports_besides_comes_with_httpx() -> None:
    assert "httpcore" in _names("httpx")
    assert "h11" in _names("httpcore")
