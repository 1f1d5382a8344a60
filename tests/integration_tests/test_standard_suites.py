"""LangChain's standard integration tests, on the embedded workspace, for a model of each kind of family.

Flags say what the family can do on Databricks; what is off is off because the real endpoint refuses it.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from langchain_core.messages import AIMessage
from langchain_tests.integration_tests import ChatModelIntegrationTests, EmbeddingsIntegrationTests

from langchain_dbchat import ChatDatabricksCompat, DatabricksEmbeddings

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings
    from langchain_core.language_models import BaseChatModel

    from langchain_dbchat.local import LocalWorkspace

_PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
_PDF = b"%PDF-1.1\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
_WAV = base64.b64decode("UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQAAAAA=")
_MEDIA = {".png": _PNG, ".pdf": _PDF, ".wav": _WAV}


@pytest.fixture(autouse=True)
def small_media(monkeypatch: pytest.MonkeyPatch) -> None:
    """The standard tests download their media; here they get small files of the same kinds."""

    def get(url: str, **_: Any) -> httpx.Response:
        content = next((data for suffix, data in _MEDIA.items() if url.endswith(suffix)), None)
        assert content is not None, f"no medium for {url}"
        return httpx.Response(200, content=content, request=httpx.Request("GET", url))

    monkeypatch.setenv("LANGCHAIN_TESTS_USER_AGENT", "langchain-dbchat tests")
    monkeypatch.setattr("langchain_tests.integration_tests.chat_models.httpx.get", get)


class OnWorkspace(ChatModelIntegrationTests):
    """What all models have in common."""

    endpoint = ""

    @pytest.fixture(autouse=True)
    def _environment(self, workspace: LocalWorkspace, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DATABRICKS_HOST", workspace.host)
        monkeypatch.setenv("DATABRICKS_TOKEN", workspace.token)

    @property
    def standard_chat_model_params(self) -> dict[str, Any]:
        return {**super().standard_chat_model_params, "temperature": 0.5}

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatDatabricksCompat

    @pytest.fixture
    def model(self, request: Any, _environment: None) -> BaseChatModel:
        extra = getattr(request, "param", None) or {}
        return ChatDatabricksCompat(**{**self.standard_chat_model_params, **self.chat_model_params, **extra})

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": self.endpoint}

    @property
    def model_override_value(self) -> str:
        return "databricks-meta-llama-3-1-8b-instruct"

    @property
    def supports_image_tool_message(self) -> bool:
        return True

    @property
    def supports_image_inputs(self) -> bool:
        return True

    @property
    def supports_anthropic_inputs(self) -> bool:
        return True


class TestClaude(OnWorkspace):
    """Claude 4.6: no JSON mode and no image URLs on Databricks."""

    endpoint = "databricks-claude-sonnet-4-6"

    @property
    def supports_pdf_inputs(self) -> bool:
        return True

    @property
    def supports_pdf_tool_message(self) -> bool:
        return True

    @property
    def supported_usage_metadata_details(self) -> dict[Any, list[Any]]:
        return {
            "invoke": ["cache_read_input", "cache_creation_input"],
            "stream": ["cache_read_input", "cache_creation_input"],
        }

    def invoke_with_cache_creation_input(self, *, stream: bool = False) -> AIMessage:
        return self._ask_about_a_long_text("a long text, cached once. " * 400 + f"{stream} creation", stream=stream)

    def invoke_with_cache_read_input(self, *, stream: bool = False) -> AIMessage:
        text = "a long text, read twice. " * 400 + f"{stream} read"
        self._ask_about_a_long_text(text, stream=stream)
        return self._ask_about_a_long_text(text, stream=stream)

    def _ask_about_a_long_text(self, text: str, *, stream: bool) -> AIMessage:
        model = ChatDatabricksCompat(model=self.endpoint)
        content = [{"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}]
        messages = [{"role": "system", "content": content}, {"role": "user", "content": "What is this?"}]
        return _ask(model, messages, stream=stream)


@pytest.mark.filterwarnings("ignore:.*was changed to 'auto'.*:UserWarning")
class TestClaudeThatThinks(TestClaude):
    """The same while it thinks: nothing can be forced, and reasoning comes with the answer."""

    @property
    def standard_chat_model_params(self) -> dict[str, Any]:
        return {"max_tokens": 4000, "timeout": 60, "max_retries": 2}

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": self.endpoint, "thinking": {"type": "enabled", "budget_tokens": 1024}}

    @property
    def has_tool_choice(self) -> bool:
        return False

    @property
    def model_override_value(self) -> str:
        return "databricks-claude-opus-4-5"


class TestClaudeOnMessages(TestClaude):
    """The same through Anthropic's Messages, whose tool results hold images."""

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": self.endpoint, "api": "messages"}

    @property
    def supports_image_tool_message(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return "databricks-claude-opus-4-5"

    def _ask_about_a_long_text(self, text: str, *, stream: bool) -> AIMessage:
        model = ChatDatabricksCompat(model=self.endpoint, api="messages")
        content = [{"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}]
        messages = [{"role": "system", "content": content}, {"role": "user", "content": "What is this?"}]
        return _ask(model, messages, stream=stream)


@pytest.mark.filterwarnings("ignore:.*was changed to 'auto'.*:UserWarning")
@pytest.mark.filterwarnings("ignore:.*thinking was left out of the request.*:UserWarning")
class TestClaudeThatThinksOnMessages(TestClaudeThatThinks):
    """The same while it thinks."""

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {**super().chat_model_params, "api": "messages"}


@pytest.mark.filterwarnings("ignore:(stop|cache_control) was left out.*:UserWarning")
class TestGPT(OnWorkspace):
    """GPT-5.4: it refuses sampling parameters and `stop`."""

    endpoint = "databricks-gpt-5-4"

    @property
    def standard_chat_model_params(self) -> dict[str, Any]:
        return {"max_tokens": 1000, "timeout": 60, "max_retries": 2}

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def supports_image_urls(self) -> bool:
        return True

    @property
    def supports_pdf_inputs(self) -> bool:
        return True

    @property
    def supports_pdf_tool_message(self) -> bool:
        return True

    @property
    def supported_usage_metadata_details(self) -> dict[Any, list[Any]]:
        return {"invoke": ["reasoning_output"], "stream": ["reasoning_output"]}

    def invoke_with_reasoning_output(self, *, stream: bool = False) -> AIMessage:
        model = ChatDatabricksCompat(model=self.endpoint, reasoning_effort="high")
        return _ask(model, [{"role": "user", "content": "Why is the sky blue?"}], stream=stream)


@pytest.mark.filterwarnings("ignore:(stop|cache_control) was left out.*:UserWarning")
class TestGPTOnResponses(TestGPT):
    """The same through OpenAI's Responses, on a model that answers nowhere else."""

    endpoint = "databricks-gpt-5-3-codex"

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": self.endpoint, "api": "responses"}

    @property
    def supports_image_tool_message(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return "databricks-gpt-5-5-pro"


@pytest.mark.filterwarnings("ignore:cache_control was left out.*:UserWarning")
class TestGemini(OnWorkspace):
    """Gemini 3.5: reads everything, and signs its tool calls."""

    endpoint = "databricks-gemini-3-5-flash"

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def supports_image_urls(self) -> bool:
        return True

    @property
    def supports_pdf_inputs(self) -> bool:
        return True

    @property
    def supports_pdf_tool_message(self) -> bool:
        return True

    @property
    def supports_audio_inputs(self) -> bool:
        return True


@pytest.mark.filterwarnings("ignore:cache_control was left out.*:UserWarning")
class TestLlama(OnWorkspace):
    """Llama 4: no PDFs, no reasoning."""

    endpoint = "databricks-llama-4-maverick"

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def supports_image_urls(self) -> bool:
        return True


@pytest.mark.filterwarnings("ignore:cache_control was left out.*:UserWarning")
class TestGPTOSS(OnWorkspace):
    """gpt-oss: always reasons, one tool call a turn, text only."""

    endpoint = "databricks-gpt-oss-120b"

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def supports_image_inputs(self) -> bool:
        return False

    @property
    def supports_image_tool_message(self) -> bool:
        return False


class TestDatabricksEmbeddings(EmbeddingsIntegrationTests):
    """The standard embeddings tests."""

    @pytest.fixture(autouse=True)
    def _environment(self, workspace: LocalWorkspace, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DATABRICKS_HOST", workspace.host)
        monkeypatch.setenv("DATABRICKS_TOKEN", workspace.token)

    @property
    def embeddings_class(self) -> type[Embeddings]:
        return DatabricksEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"model": "databricks-gte-large-en"}


def _ask(model: ChatDatabricksCompat, messages: list[Any], *, stream: bool) -> AIMessage:
    if not stream:
        return model.invoke(messages)
    chunks = list(model.stream(messages))
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole = whole + chunk
    return whole
