"""LangChain's standard unit tests for the chat model and the embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.load import dumpd, load
from langchain_tests.unit_tests import ChatModelUnitTests, EmbeddingsUnitTests

from langchain_dbchat import ChatDatabricksCompat, DatabricksEmbeddings

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings
    from langchain_core.language_models import BaseChatModel

_CORE_REFUSES = "langchain-core loads only the classes of its own table: ('langchain_dbchat', ...) is not allowed"


class TestChatDatabricksCompat(ChatModelUnitTests):
    """The standard tests that need no server."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatDatabricksCompat

    @property
    def chat_model_params(self) -> dict[str, Any]:
        # coalesce as by default, which `--unmerged` changes: the snapshot below shows every default
        return {"model": "databricks-claude-sonnet-4-6", "host": "https://workspace.example", "coalesce": True}

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        return {"DATABRICKS_MODEL": "my-endpoint"}, {}, {"model": "my-endpoint"}

    @property
    def model_override_value(self) -> str:
        return "databricks-gpt-5-4"

    @pytest.mark.xfail(reason=_CORE_REFUSES, raises=ValueError, strict=True)
    def test_serdes(self, model: BaseChatModel, snapshot: Any) -> None:
        super().test_serdes(model, snapshot)


class TestDatabricksEmbeddings(EmbeddingsUnitTests):
    """The standard tests that need no server."""

    @property
    def embeddings_class(self) -> type[Embeddings]:
        return DatabricksEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"model": "databricks-gte-large-en"}

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        return {"DATABRICKS_EMBEDDING_MODEL": "my-embeddings"}, {}, {"model": "my-embeddings"}


def test_dumps_without_secrets_and_loads_where_the_class_is_allowed() -> None:
    model = ChatDatabricksCompat(
        model="m", host="https://workspace.example", token="dapi-secret-of-mine", temperature=0, stop=["x"]
    )
    dumped = dumpd(model)
    assert "dapi-secret-of-mine" not in str(dumped)
    loaded = load(
        dumped,
        allowed_objects=[ChatDatabricksCompat],
        secrets_map={"DATABRICKS_TOKEN": "dapi-secret-of-mine"},
        valid_namespaces=["langchain_dbchat"],
    )
    assert loaded == model
