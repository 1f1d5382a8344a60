"""Let a tracing package that the program has loaded observe the calls of the models.

Rule 1. Nothing is imported for it, unless the program has loaded ``opentelemetry.trace``, which each SDK of
OpenTelemetry does, and has configured a tracer provider. Until then that module answers with a ``ProxyTracerProvider``.
Rule 2. If the program lets MLflow trace LangChain, what MLflow leaves out is written into its spans.
Rule 3. The spans are made in `langchain_dbchat.integrations`, which is found by its name, because the rooms of the
models do not depend on integrations.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from langchain_core.callbacks import BaseRunManager
    from langchain_core.messages import BaseMessage

__all__ = ["ChatObservation", "EmbeddingObservation", "Observer", "observer"]

_API = "opentelemetry.trace"
_OBSERVER = "langchain_dbchat.integrations.otel"
_MLFLOW = "mlflow.langchain.langchain_tracer"
"""The module that MLflow loads when it traces LangChain; MLflow imports OpenTelemetry, too."""

_WITH_MLFLOW = "langchain_dbchat.integrations.mlflow.spans"


class _Observation(Protocol):
    """A context manager around one call."""

    def __enter__(self) -> object: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class ChatObservation(_Observation, Protocol):
    """Observes one call of a chat model."""

    def opened(self) -> None:
        """Note that the stream has been opened; after this its consumer's code may run."""

    def received(self, message: BaseMessage) -> None:
        """Note a chunk of a stream, or a choice of a whole answer."""


class EmbeddingObservation(_Observation, Protocol):
    """Observes one run of an embedding model."""

    def received(self, dimensions: int | None, tokens: int | None) -> None:
        """Note the answer of one request."""


class Observer(Protocol):
    """Observes calls."""

    def chat(  # noqa: PLR0913  # what is known of a call
        self,
        model: str,
        settings: Mapping[str, Any],
        messages: Sequence[BaseMessage],
        url: str,
        *,
        stream: bool,
        run: BaseRunManager | None,
    ) -> ChatObservation:
        """Return an observation of a call of a chat model.

        Args:
            model: Name of the endpoint.
            settings: The settings of the call, by the names of the chat model's fields.
            messages: The conversation.
            url: Where the request goes.
            stream: Whether the answer is streamed.
            run: LangChain's run of the call; None if the call is not one of LangChain's runs.

        Returns:
            A context manager around the call.
        """
        ...

    def embeddings(self, model: str, url: str) -> EmbeddingObservation:
        """Return an observation of a run of an embedding model.

        Args:
            model: Name of the endpoint.
            url: The workspace.

        Returns:
            A context manager around the run.
        """
        ...


def observer() -> Observer | None:
    """Return who observes the calls of this program now.

    Returns:
        The observer, or None if there is none.
    """
    api = sys.modules.get(_API)
    if api is None:
        return None
    provider = getattr(api, "get_tracer_provider", None)  # absent while another thread imports it
    found: Observer | None = None
    if provider is not None and not isinstance(provider(), api.ProxyTracerProvider):
        found = import_module(_OBSERVER).observer()
    if _MLFLOW in sys.modules:
        found = import_module(_WITH_MLFLOW).with_mlflow(found)
    return found
