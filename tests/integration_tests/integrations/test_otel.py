"""Spans and metrics of OpenTelemetry's SDK, for all four ways of calling and for embeddings."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from kit.scripted import Scripted, ScriptedServer, sse
from kit.ways import Way, four_ways
from langchain_dbchat import ChatDatabricksCompat, DatabricksEmbeddings, DatabricksRateLimitError
from langchain_dbchat.local import LocalWorkspace

_REASON = 'needs OpenTelemetry\'s SDK: pip install "langchain-dbchat[otel]" opentelemetry-sdk'
pytest.importorskip("opentelemetry.sdk", reason=_REASON)

from opentelemetry import context, metrics, trace  # noqa: E402  # after the check that it is installed
from opentelemetry.sdk._logs import LoggerProvider  # noqa: E402  # after the check that it is installed
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor  # noqa: E402  # after the check that it is installed
from opentelemetry.sdk.metrics import MeterProvider  # noqa: E402  # after the check that it is installed
from opentelemetry.sdk.metrics.export import InMemoryMetricReader  # noqa: E402  # after the check that it is installed
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider  # noqa: E402  # after the check that it is installed
from opentelemetry.sdk.trace.export import SimpleSpanProcessor  # noqa: E402  # after the check that it is installed
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter  # noqa: E402  # after the check that it is installed
from opentelemetry.trace import SpanKind, StatusCode  # noqa: E402  # after the check that it is installed

from langchain_dbchat.integrations.otel import spans  # noqa: E402  # after the check that it is installed

SONNET = "databricks-claude-sonnet-4-6"
CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """Configure an SDK for one test."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    monkeypatch.setattr(spans, "_recorder", None)
    yield exporter
    provider.shutdown()


def usage_server() -> ScriptedServer:
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 50,
        "total_tokens": 150,
        "cache_read_input_tokens": 60,
        "cache_creation_input_tokens": 10,
        "completion_tokens_details": {"reasoning_tokens": 20},
    }
    head = {"id": "c1", "model": "us.anthropic.claude-sonnet-4-6", "created": 1}

    def answer(received: Any) -> Scripted:
        headers = {"x-request-id": "r1"}
        if received.json.get("stream"):
            first = {**head, "choices": [{"index": 0, "delta": {"role": "assistant", "content": "Hel"}}]}
            last = {
                **head,
                "choices": [{"index": 0, "delta": {"content": "lo."}, "finish_reason": "stop"}],
                "usage": usage,
            }
            return Scripted([sse(first, done=False), sse(last)], headers=headers)
        message = {"role": "assistant", "content": "Hello."}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return Scripted({**head, "choices": [choice], "usage": usage}, headers=headers)

    return ScriptedServer(answer)


def only(exporter: InMemorySpanExporter) -> ReadableSpan:
    (span,) = exporter.get_finished_spans()
    return span


@four_ways
def test_a_call_is_a_span_of_the_conventions(exporter: InMemorySpanExporter, call: Way) -> None:
    with usage_server() as server:
        model = ChatDatabricksCompat(
            model=SONNET, host=server.url, token="secret", temperature=0.5, max_tokens=100, stop=["x"]
        )
        assert call(model, "Hi").text == "Hello."
        port = int(server.url.rpartition(":")[2])
    span = only(exporter)
    assert (span.name, span.kind, span.status.status_code) == (f"chat {SONNET}", SpanKind.CLIENT, StatusCode.UNSET)
    found = dict(span.attributes or {})
    seconds = found.pop("gen_ai.response.time_to_first_chunk", None)
    streamed = "stream" in call.__name__
    assert (seconds is not None) is streamed
    assert found.pop("gen_ai.request.stream", False) is streamed
    assert found == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "databricks",
        "gen_ai.request.model": SONNET,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.max_tokens": 100,
        "gen_ai.request.stop_sequences": ("x",),
        "gen_ai.response.id": "c1",
        "gen_ai.response.model": "us.anthropic.claude-sonnet-4-6",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 50,
        "gen_ai.usage.cache_read.input_tokens": 60,
        "gen_ai.usage.cache_creation.input_tokens": 10,
        "gen_ai.usage.reasoning.output_tokens": 20,
        "databricks.request_id": "r1",
        "server.address": "127.0.0.1",
        "server.port": port,
    }


@four_ways
def test_a_failed_call_is_a_span_with_its_error(exporter: InMemorySpanExporter, call: Way) -> None:
    refusal = Scripted({"error_code": "REQUEST_LIMIT_EXCEEDED", "message": "Too many."}, 429, {"x-request-id": "r2"})
    with ScriptedServer(refusal) as server:
        model = ChatDatabricksCompat(model=SONNET, host=server.url, token="secret", max_retries=0)
        with pytest.raises(DatabricksRateLimitError):
            call(model, "Hi")
    span = only(exporter)
    attributes = span.attributes or {}
    assert span.status.status_code is StatusCode.ERROR
    assert "REQUEST_LIMIT_EXCEEDED" in str(span.status.description)
    assert attributes["error.type"] == "DatabricksRateLimitError"
    assert attributes["http.response.status_code"] == 429
    assert attributes["databricks.error_code"] == "REQUEST_LIMIT_EXCEEDED"
    assert attributes["databricks.request_id"] == "r2"
    assert "secret" not in span.to_json()


@four_ways
def test_the_span_is_a_child_and_leaves_the_callers_context_alone(exporter: InMemorySpanExporter, call: Way) -> None:
    tracer = trace.get_tracer("test")
    with usage_server() as server:
        model = ChatDatabricksCompat(model=SONNET, host=server.url, token="t")
        with tracer.start_as_current_span("mine") as mine:
            call(model, "Hi")
            assert trace.get_current_span() is mine
    child, parent = exporter.get_finished_spans()
    assert child.parent is not None
    assert parent.context is not None
    assert child.parent.span_id == parent.context.span_id


def test_a_stream_is_not_the_current_span_of_its_consumer(exporter: InMemorySpanExporter) -> None:
    with usage_server() as server:
        model = ChatDatabricksCompat(model=SONNET, host=server.url, token="t", coalesce=False)
        tracer = trace.get_tracer("test")
        for _ in model.stream("Hi"):
            assert not trace.get_current_span().get_span_context().is_valid
            tracer.start_span("the consumer's").end()
    assert all(span.parent is None for span in exporter.get_finished_spans())


async def test_async_streams_in_parallel_keep_their_parents_apart(exporter: InMemorySpanExporter) -> None:
    tracer = trace.get_tracer("test")

    async def one(model: ChatDatabricksCompat, number: int) -> None:
        with tracer.start_as_current_span(f"mine {number}"):
            async for _ in model.astream("Hi"):
                await asyncio.sleep(0)

    with usage_server() as server:
        model = ChatDatabricksCompat(model=SONNET, host=server.url, token="t")
        await asyncio.gather(*(one(model, number) for number in range(8)))
    finished = exporter.get_finished_spans()
    parents = [span.parent.span_id for span in finished if span.parent is not None]
    owners = [span.context.span_id for span in finished if span.parent is None and span.context is not None]
    assert len(parents) == 8
    assert sorted(parents) == sorted(owners)


def test_a_stream_that_the_caller_leaves_is_not_an_error(exporter: InMemorySpanExporter) -> None:
    with usage_server() as server:
        stream = ChatDatabricksCompat(model=SONNET, host=server.url, token="t", coalesce=False).stream("Hi")
        next(stream)
        stream.close()  # type: ignore[attr-defined]  # it is a generator
    assert only(exporter).status.status_code is StatusCode.UNSET


def test_retries_are_within_one_span(exporter: InMemorySpanExporter) -> None:
    busy = Scripted({"error_code": "TEMPORARILY_UNAVAILABLE", "message": "Wait."}, 503, {"retry-after": "0"})
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}
    with ScriptedServer(busy, Scripted({"id": "c", "model": "m", "choices": [choice]})) as server:
        ChatDatabricksCompat(model=SONNET, host=server.url, token="t").invoke("Hi")
        assert len(server.requests) == 2
    assert only(exporter).status.status_code is StatusCode.UNSET


def test_embeddings_are_one_span_with_all_their_requests(
    exporter: InMemorySpanExporter, workspace: LocalWorkspace
) -> None:
    embeddings = DatabricksEmbeddings(
        model="databricks-gte-large-en", host=workspace.host, token=workspace.token, batch_size=2
    )
    embeddings.embed_documents(["one", "two", "three", "four", "five"])
    asyncio.run(embeddings.aembed_query("six"))
    documents, query = exporter.get_finished_spans()
    found = dict(documents.attributes or {})
    assert documents.name == query.name == "embeddings databricks-gte-large-en"
    assert found["gen_ai.operation.name"] == "embeddings"
    assert found["gen_ai.embeddings.dimension.count"] == 1024
    tokens = found["gen_ai.usage.input_tokens"], (query.attributes or {})["gen_ai.usage.input_tokens"]
    assert sum(tokens) == embeddings.usage.prompt_tokens  # type: ignore[arg-type]  # they are numbers


@pytest.mark.parametrize("wanted", ["", "false", "SPAN_ONLY", "EVENT_ONLY", "SPAN_AND_EVENT"])
@four_ways
def test_content_is_recorded_only_where_it_is_wanted(
    exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch, call: Way, wanted: str
) -> None:
    from opentelemetry._logs import _internal as logs

    events: Any = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]  # the SDK has no type there
    provider = LoggerProvider()
    provider.add_log_record_processor(SimpleLogRecordProcessor(events))
    monkeypatch.setattr(logs, "_LOGGER_PROVIDER", provider)
    monkeypatch.setenv(CAPTURE, wanted)
    with usage_server() as server:
        model = ChatDatabricksCompat(model=SONNET, host=server.url, token="t")
        call(model, [("system", "You are terse."), ("human", "Hi there")])
    provider.shutdown()
    span = only(exporter)
    attributes = dict(span.attributes or {})
    said = {
        "gen_ai.input.messages": [{"role": "user", "parts": [{"type": "text", "content": "Hi there"}]}],
        "gen_ai.output.messages": [
            {"role": "assistant", "parts": [{"type": "text", "content": "Hello."}], "finish_reason": "stop"}
        ],
        "gen_ai.system_instructions": [{"type": "text", "content": "You are terse."}],
    }
    if wanted.startswith("SPAN"):
        assert {name: json.loads(str(attributes[name])) for name in said} == said
    else:
        assert "Hi there" not in span.to_json()
    logged = events.get_finished_logs()
    assert len(logged) == (1 if "EVENT" in wanted else 0)
    for entry in logged:
        record = entry.log_record
        assert record.event_name == "gen_ai.client.inference.operation.details"
        assert span.context is not None
        assert (record.span_id, record.trace_id) == (span.context.span_id, span.context.trace_id)
        assert json.loads(json.dumps(record.attributes, default=_plain)) == said


def test_tool_calls_and_results_are_recorded(
    exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch, workspace: LocalWorkspace
) -> None:
    monkeypatch.setenv(CAPTURE, "true")

    def get_weather(city: str) -> str:
        """Get the current weather in a city."""
        return f"It rains in {city}."

    model = ChatDatabricksCompat(model=SONNET, host=workspace.host, token=workspace.token).bind_tools([get_weather])
    asked = ("human", "What is the weather in Oslo?")
    message = model.invoke([asked])
    call = message.tool_calls[0]
    model.invoke([asked, message, {"role": "tool", "tool_call_id": call["id"], "content": "It rains."}])
    first, second = exporter.get_finished_spans()
    output = json.loads(str((first.attributes or {})["gen_ai.output.messages"]))
    wanted = {"type": "tool_call", "id": call["id"], "name": "get_weather", "arguments": {"city": "Oslo"}}
    assert wanted in output[0]["parts"]
    conversation = json.loads(str((second.attributes or {})["gen_ai.input.messages"]))
    assert wanted in conversation[1]["parts"]
    assert conversation[2] == {
        "role": "tool",
        "parts": [{"type": "tool_call_response", "id": call["id"], "response": "It rains."}],
    }


def test_durations_and_tokens_are_metrics(exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch) -> None:
    from opentelemetry.metrics import _internal as meters

    del exporter
    reader = InMemoryMetricReader()
    monkeypatch.setattr(meters, "_METER_PROVIDER", MeterProvider([reader]))
    assert metrics.get_meter_provider() is not None
    with usage_server() as server:
        ChatDatabricksCompat(model=SONNET, host=server.url, token="t").invoke("Hi")
    data: Any = reader.get_metrics_data()
    found = {metric.name: metric for metric in data.resource_metrics[0].scope_metrics[0].metrics}
    (duration,) = found["gen_ai.client.operation.duration"].data.data_points
    assert (duration.count, duration.attributes["gen_ai.request.model"]) == (1, SONNET)
    tokens = {
        point.attributes["gen_ai.token.type"]: point.sum
        for point in found["gen_ai.client.token.usage"].data.data_points
    }
    assert tokens == {"input": 100, "output": 50}


def test_suppressed_calls_have_no_span(exporter: InMemorySpanExporter) -> None:
    with usage_server() as server:
        token = context.attach(context.set_value("suppress_instrumentation", True))
        try:
            ChatDatabricksCompat(model=SONNET, host=server.url, token="t").invoke("Hi")
        finally:
            context.detach(token)
    assert exporter.get_finished_spans() == ()


@pytest.mark.parametrize("first", ["import opentelemetry.trace", "sys.modules['opentelemetry'] = None"])
def test_nothing_is_loaded_in_a_program_without_a_provider(workspace: LocalWorkspace, first: str) -> None:
    code = f"""
import sys
{first}
from langchain_dbchat import ChatDatabricksCompat, DatabricksEmbeddings
host, token = sys.argv[1:]
ChatDatabricksCompat(model="databricks-claude-sonnet-4-6", host=host, token=token).invoke("Hi")
DatabricksEmbeddings(model="databricks-gte-large-en", host=host, token=token).embed_query("Hi")
print([name for name in sys.modules if name.startswith("langchain_dbchat.integrations")])
"""
    done = subprocess.run(
        [sys.executable, "-c", code, workspace.host, workspace.token], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def _plain(value: Any) -> Any:
    return dict(value) if hasattr(value, "keys") else list(value)
