"""Write into MLflow's span of a call what MLflow leaves out: served model, request id, and each count of tokens.

Rule 1. With `mlflow.langchain.autolog()`, MLflow makes a span for each call of a chat model. It keeps the text of the
answer and five counts of its tokens (github.com/mlflow/mlflow, mlflow/langchain/langchain_tracer.py, `on_llm_end`).
Rule 2. The attributes have the names of OpenTelemetry's conventions, as those of our own spans; see `otel.answers`.
Rule 3. MLflow has no public function that finds the span of a run of LangChain. The span is found by the run where
LangChain passes it on, which it does not for streams. There it is the current span. In an async stream it is neither,
unless MLflow runs inline, so nothing is written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import mlflow
from langchain_core.messages import AIMessageChunk
from langchain_core.messages.ai import add_ai_message_chunks
from mlflow.langchain.langchain_tracer import MlflowLangchainTracer

from langchain_dbchat.integrations.otel.answers import answer_attributes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from langchain_core.callbacks import BaseRunManager
    from langchain_core.messages import BaseMessage
    from typing_extensions import Self

    from langchain_dbchat.connection.observing import ChatObservation, EmbeddingObservation, Observer

__all__ = ["with_mlflow"]


def with_mlflow(other: Observer | None) -> Observer:
    """Return an observer that writes into MLflow's spans.

    Args:
        other: Who else observes the calls.

    Returns:
        An observer for both.
    """
    return _MlflowObserver(other)


class _MlflowObserver:
    """Observes calls for MLflow and for another observer."""

    def __init__(self, other: Observer | None) -> None:
        self._other = other

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
        other = self._other.chat(model, settings, messages, url, stream=stream, run=run) if self._other else None
        return _AnsweredSpan(run, other)

    def embeddings(self, model: str, url: str) -> EmbeddingObservation:
        return self._other.embeddings(model, url) if self._other else _Unobserved()


class _AnsweredSpan:
    """MLflow's span of a call, into which the answer is written when the call ends."""

    def __init__(self, run: BaseRunManager | None, other: ChatObservation | None) -> None:
        self._run = run
        self._span: Any = None
        self._other = other
        self._answers: list[BaseMessage] = []

    def __enter__(self) -> Self:
        self._span = _span_of(self._run)
        if self._other is not None:
            self._other.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._span is not None:
                chunks = [message for message in self._answers if isinstance(message, AIMessageChunk)]
                answers = [add_ai_message_chunks(*chunks)] if len(chunks) > 1 else self._answers
                self._span.set_attributes(answer_attributes(answers))
        finally:
            if self._other is not None:
                self._other.__exit__(kind, error, trace)

    def opened(self) -> None:
        """Note that the stream has been opened."""
        if self._other is not None:
            self._other.opened()

    def received(self, message: BaseMessage) -> None:
        """Keep a chunk, or a choice of a whole answer."""
        self._answers.append(message)
        if self._other is not None:
            self._other.received(message)


def _span_of(run: BaseRunManager | None) -> Any:
    """Return MLflow's span of a run, or None."""
    if run is None:
        current = mlflow.get_current_active_span()
        return current if current is not None and current.span_type == "CHAT_MODEL" else None
    for handler in run.handlers:
        if isinstance(handler, MlflowLangchainTracer):
            # Rule 3. A version of MLflow without this field gets no attributes, and its call goes on.
            entry = getattr(handler, "_run_span_mapping", {}).get(str(run.run_id))
            return getattr(entry, "span", None)
    return None


class _Unobserved:
    """Observes nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    def received(self, dimensions: int | None, tokens: int | None) -> None:
        """Note the answer of one request."""
