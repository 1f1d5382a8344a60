"""LangSmith's own client sends a recorder on loopback endpoint, served model, tokens and request id of a call."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.tracers import LangChainTracer
from langsmith import Client

from kit.scripted import Scripted, ScriptedServer
from kit.ways import Way, four_ways
from langchain_dbchat import ChatDatabricksCompat, DatabricksRateLimitError
from langchain_dbchat.local import LocalWorkspace

GPT = "databricks-gpt-5-4"


class Recorder(ScriptedServer):
    """Keeps what LangSmith would get."""

    def __init__(self) -> None:
        super().__init__(lambda _: Scripted({}))

    def tracer(self) -> LangChainTracer:
        # Without batches each run is one request of plain JSON, sent before the call returns.
        client = Client(api_url=self.url, api_key="lsv2_test", auto_batch_tracing=False, info={})
        return LangChainTracer(project_name="test", client=client)

    def run(self) -> dict[str, Any]:
        """Return the one run: what it began with and what was added to it."""
        run: dict[str, Any] = {}
        for request in self.requests:
            run |= {key: value for key, value in request.json.items() if value is not None}
        return run


@four_ways
def test_a_run_has_all_of_a_call(call: Way, workspace: LocalWorkspace) -> None:
    with Recorder() as recorder:
        model = ChatDatabricksCompat(
            model=GPT,
            host=workspace.host,
            token=workspace.token,
            reasoning_effort="low",
            max_tokens=500,
            callbacks=[recorder.tracer()],
        )
        answer = call(model, "Hello!")
        run = recorder.run()
        sent = b"".join(request.body for request in recorder.requests)
    metadata = run["extra"]["metadata"]
    assert (metadata["ls_provider"], metadata["ls_model_name"], metadata["ls_model_type"]) == (
        "databricks",
        GPT,
        "chat",
    )
    assert metadata["ls_max_tokens"] == 500
    assert run["extra"]["invocation_params"]["reasoning_effort"] == "low"
    message = run["outputs"]["generations"][0][0]["message"]["kwargs"]
    assert message["response_metadata"]["served_model"].startswith("gpt-5-4")
    assert message["response_metadata"]["request_id"] == answer.response_metadata["request_id"]
    usage = message["usage_metadata"]
    assert usage == answer.usage_metadata
    assert usage["output_token_details"]["reasoning"] > 0
    assert "cache_read" in usage["input_token_details"]
    assert workspace.token.encode() not in sent


@four_ways
def test_a_failed_run_has_the_error(call: Way, workspace: LocalWorkspace) -> None:
    workspace.fail_next(status=429)
    with Recorder() as recorder:
        model = ChatDatabricksCompat(
            model=GPT, host=workspace.host, token=workspace.token, max_retries=0, callbacks=[recorder.tracer()]
        )
        with pytest.raises(DatabricksRateLimitError):
            call(model, "Hello!")
        run = recorder.run()
        sent = b"".join(request.body for request in recorder.requests)
    assert "DatabricksRateLimitError" in run["error"]
    assert workspace.token.encode() not in sent
