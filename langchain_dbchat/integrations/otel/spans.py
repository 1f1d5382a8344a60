"""Make one client span, and its metrics, for each call of a model, by OpenTelemetry's conventions for generative AI.

Rule 1. Names of spans, attributes and metrics are those of the conventions
(github.com/open-telemetry/semantic-conventions-genai, docs/gen-ai). What they have no name for starts with
``databricks.``.
Rule 2. There are no spans if the program has not configured a tracer provider, or has suppressed instrumentation.
Rule 3. A span covers the whole operation with all retries. It ends with the last byte of a stream, or when the caller
leaves the stream, which is not an error.
Rule 4. The span is the current one while a request is made, so that spans of HTTP clients become its children. Of a
stream it is current until the stream is open only, because then the consumer's code runs between the chunks.
Rule 5. Content is recorded only if the user asks for it; see `content`.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from langchain_core.messages import AIMessageChunk
from langchain_core.messages.ai import add_ai_message_chunks
from opentelemetry import context as otel_context
from opentelemetry import metrics, trace
from opentelemetry.trace import SpanKind, Status, StatusCode

from langchain_dbchat._version import __version__
from langchain_dbchat.errors import DatabricksError
from langchain_dbchat.integrations.otel import content
from langchain_dbchat.integrations.otel.answers import INPUT_TOKENS, answer_attributes, served_model
from langchain_dbchat.integrations.token_counts import count_tokens, usage_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from langchain_core.callbacks import BaseRunManager
    from langchain_core.messages import BaseMessage
    from opentelemetry.trace import Span
    from typing_extensions import Self

__all__ = ["observer"]

_NAME = "langchain_dbchat"
_SUPPRESSED = ("suppress_instrumentation", "suppress_language_model_instrumentation")
_LEFT = (GeneratorExit, KeyboardInterrupt, asyncio.CancelledError)
"""What ends a call because its caller does not want it any more."""

_SETTINGS = {
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "top_k": "gen_ai.request.top_k",
    "max_tokens": "gen_ai.request.max_tokens",
    "stop": "gen_ai.request.stop_sequences",
    "frequency_penalty": "gen_ai.request.frequency_penalty",
    "presence_penalty": "gen_ai.request.presence_penalty",
    "seed": "gen_ai.request.seed",
    "n": "gen_ai.request.choice.count",
    "reasoning_effort": "databricks.request.reasoning_effort",
}

# The boundaries that the conventions recommend.
_SECONDS = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92]
_COUNTS = [4**power for power in range(14)]


class _Recorder:
    """Makes observations for the providers that the program has configured."""

    def __init__(self) -> None:
        self.tracer = trace.get_tracer(_NAME, __version__)
        meter = metrics.get_meter(_NAME, __version__)
        self.seconds = meter.create_histogram(
            "gen_ai.client.operation.duration",
            "s",
            "GenAI operation duration.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self.tokens = meter.create_histogram(
            "gen_ai.client.token.usage",
            "{token}",
            "Number of input and output tokens used.",
            explicit_bucket_boundaries_advisory=_COUNTS,
        )

    def chat(  # noqa: PLR0913  # what is known of a call
        self,
        model: str,
        settings: Mapping[str, Any],
        messages: Sequence[BaseMessage],
        url: str,
        *,
        stream: bool,
        run: BaseRunManager | None,
    ) -> _ChatSpan:
        del run
        return _ChatSpan(self, model, settings, messages, url, stream=stream)

    def embeddings(self, model: str, url: str) -> _EmbeddingSpan:
        return _EmbeddingSpan(self, "embeddings", model, url)


_recorder: _Recorder | None = None


def observer() -> _Recorder | None:
    """Return what observes the calls of this program.

    Returns:
        The observer; None if instrumentation is suppressed.
    """
    global _recorder  # noqa: PLW0603  # one for the process, made when it is first needed
    current = otel_context.get_current()
    if current and any(current.get(key) for key in _SUPPRESSED):
        return None
    if _recorder is None:
        _recorder = _Recorder()
    return _recorder


class _ModelSpan:
    """One span of an operation; a context manager around it."""

    def __init__(self, recorder: _Recorder, operation: str, model: str, url: str) -> None:
        self._recorder = recorder
        self._shared: dict[str, Any] = {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": "databricks",
            "gen_ai.request.model": model,
        }
        server = urlsplit(url)
        if server.hostname:
            self._shared["server.address"] = server.hostname
            self._shared["server.port"] = server.port or (80 if server.scheme == "http" else 443)
        self._token: Any = None
        self._name = f"{operation} {model}"
        self._span: Span = trace.INVALID_SPAN
        self._begun = 0.0
        self._usage: dict[str, int] = {}

    def __enter__(self) -> Self:
        self._begun = time.perf_counter()
        self._span = self._recorder.tracer.start_span(
            self._name, kind=SpanKind.CLIENT, attributes={**self._shared, **self._asked()}
        )
        self._token = otel_context.attach(trace.set_span_in_context(self._span))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del kind, trace
        self._detach()
        if self._span.is_recording():
            self._span.set_attributes(self._answered())
        failed: dict[str, Any] = {}
        if error is not None and not isinstance(error, _LEFT):
            failed["error.type"] = type(error).__name__
            self._span.set_status(Status(StatusCode.ERROR, str(error)))
            self._span.set_attributes({**failed, **_error_attributes(error)})
        self._span.end()
        self._measure(failed)

    def _asked(self) -> dict[str, Any]:
        """Return the attributes that are known before the call."""
        return {}

    def _answered(self) -> dict[str, Any]:
        """Return the attributes that the answer gives."""
        return {}

    def _detach(self) -> None:
        if self._token is not None:
            otel_context.detach(self._token)
            self._token = None

    def _measure(self, failed: Mapping[str, Any]) -> None:
        inside = trace.set_span_in_context(self._span)
        self._recorder.seconds.record(time.perf_counter() - self._begun, {**self._shared, **failed}, inside)
        for kind, count in self._usage.items():
            self._recorder.tokens.record(count, {**self._shared, "gen_ai.token.type": kind}, inside)


class _ChatSpan(_ModelSpan):
    """The span of a chat completion."""

    def __init__(  # noqa: PLR0913  # what is known of a call
        self,
        recorder: _Recorder,
        model: str,
        settings: Mapping[str, Any],
        messages: Sequence[BaseMessage],
        url: str,
        *,
        stream: bool,
    ) -> None:
        super().__init__(recorder, "chat", model, url)
        self._settings = settings
        self._messages = messages
        self._stream = stream
        self._answers: list[BaseMessage] = []
        self._first_chunk: float | None = None

    def opened(self) -> None:
        """Stop being the current span."""
        self._detach()

    def received(self, message: BaseMessage) -> None:
        """Keep a chunk, or a choice of a whole answer."""
        if self._first_chunk is None:
            self._first_chunk = time.perf_counter()
        self._answers.append(message)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        chunks = [message for message in self._answers if isinstance(message, AIMessageChunk)]
        if len(chunks) > 1:
            self._answers = [add_ai_message_chunks(*chunks)]
        usage = usage_of(self._answers[0]) if self._answers else None
        if usage is not None:
            counts = count_tokens(usage)
            self._usage = {"input": counts.input, "output": counts.output}
            self._shared["gen_ai.response.model"] = served_model(self._answers[0])
        super().__exit__(kind, error, trace)

    def _asked(self) -> dict[str, Any]:
        asked: dict[str, Any] = {
            attribute: self._settings[name]
            for name, attribute in _SETTINGS.items()
            if self._settings.get(name) is not None
        }
        if self._stream:
            asked["gen_ai.request.stream"] = True
        conversation = (self._settings.get("context") or {}).get("conversation_id")
        if conversation is not None:
            asked["gen_ai.conversation.id"] = str(conversation)
        if self._settings.get("response_format") is not None:
            asked["gen_ai.output.type"] = "json"
        return asked

    def _answered(self) -> dict[str, Any]:
        found = answer_attributes(self._answers)
        if self._stream and self._first_chunk is not None:
            found["gen_ai.response.time_to_first_chunk"] = self._first_chunk - self._begun
        return {**found, **content.record(self._span, self._messages, self._answers)}


class _EmbeddingSpan(_ModelSpan):
    """The span of a run of an embedding model."""

    _dimensions: int | None = None

    def received(self, dimensions: int | None, tokens: int | None) -> None:
        """Add the answer of one request."""
        self._dimensions = dimensions or self._dimensions
        if tokens is not None:
            self._usage["input"] = self._usage.get("input", 0) + tokens

    def _answered(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if self._dimensions:
            found["gen_ai.embeddings.dimension.count"] = self._dimensions
        if self._usage:
            found[INPUT_TOKENS] = self._usage["input"]
        return found


def _error_attributes(error: BaseException) -> dict[str, Any]:
    if not isinstance(error, DatabricksError):
        return {}
    found = {
        "http.response.status_code": error.status_code,
        "databricks.error_code": error.error_code,
        "databricks.request_id": error.request_id,
    }
    return {name: value for name, value in found.items() if value is not None}
