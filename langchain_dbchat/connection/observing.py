"""Let a tracing package that the program has loaded observe the calls of the models.

Rule 1. Nothing is imported for it, unless the program has loaded ``opentelemetry.trace``, which each SDK of
OpenTelemetry does, and has configured a tracer provider. Until then that module answers with a ``ProxyTracerProvider``.
Rule 2. The spans are made in `langchain_dbchat.integrations.otel`, which is found by its name, because the rooms of the
models do not depend on integrations.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from langchain_core.messages import BaseMessage

__all__ = ["ChatObservation", "EmbeddingObservation", "Observer", "observer"]

_API = "opentelemetry.trace"
_OBSERVER = "langchain_dbchat.integrations.otel"


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

    def chat(
        self, model: str, settings: Mapping[str, Any], messages: Sequence[BaseMessage], url: str, *, stream: bool
    ) -> ChatObservation:
        """Return an observation of a call of a chat model.

        Args:
            model: Name of the endpoint.
            settings: The settings of the call, by the names of the chat model's fields.
            messages: The conversation.
            url: Where the request goes.
            stream: Whether the answer is streamed.

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
    provider = getattr(api, "get_tracer_provider", None)  # absent while another thread imports it
    if api is None or provider is None or isinstance(provider(), api.ProxyTracerProvider):
        return None
    return cast("Observer | None", import_module(_OBSERVER).observer())
