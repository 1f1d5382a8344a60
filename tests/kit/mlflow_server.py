"""MLflow's own servers on loopback, as a script: ``python mlflow_server.py <what the one agent speaks>``.

It prints its port, serves until its standard input ends, and holds three endpoints:

- ``chat-model``: a `ChatModel` behind MLflow's scoring server, which ignores ``"stream": true``;
- ``chat-agent``: a `ChatAgent` behind the same;
- ``agent``: MLflow's agent server; one per process, because its functions are registered for the whole process.

What the last message says decides what happens: an answer, a tool call, a failure, or an end in the middle.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import mlflow
import uvicorn
from mlflow.genai.agent_server import AgentServer, invoke, stream
from mlflow.pyfunc import ChatAgent, ChatModel, load_model, save_model, scoring_server
from mlflow.types.agent import ChatAgentMessage, ChatAgentResponse
from mlflow.types.llm import (
    ChatChoice,
    ChatCompletionResponse,
    ChatMessage,
    FunctionToolCallArguments,
    TokenUsageStats,
    ToolCall,
)
from starlette.applications import Starlette
from starlette.routing import Mount


class Chat(ChatModel):  # type: ignore[misc]  # MLflow is not there when types are checked
    def predict(self, context: Any, messages: Any, params: Any) -> Any:
        del context, params
        said = messages[-1].content
        if said == "fail":
            raise RuntimeError("the model crashed")
        message = ChatMessage(role="assistant", content=f"You said: {said}")
        if said == "call":
            function = FunctionToolCallArguments(name="weather", arguments='{"city": "Oslo"}')
            message = ChatMessage(role="assistant", tool_calls=[ToolCall(id="c1", function=function)])
        choice = ChatChoice(message=message, finish_reason="tool_calls" if said == "call" else "stop")
        return ChatCompletionResponse(model="mine", choices=[choice], usage=TokenUsageStats(1, 2, 3))


class Agent(ChatAgent):  # type: ignore[misc]  # the same
    def predict(self, messages: Any, context: Any = None, custom_inputs: Any = None) -> Any:
        del context, custom_inputs
        answer = ChatAgentMessage(role="assistant", content=f"You said: {messages[-1].content}", id=str(uuid.uuid4()))
        return ChatAgentResponse(messages=[answer])


def _said(request: Any) -> str:
    body = request if isinstance(request, dict) else request.model_dump()
    return str((body.get("messages") or body["input"])[-1]["content"])


def _is_responses_agent() -> bool:
    return "ResponsesAgent" in sys.argv[1:]


def _items(said: str) -> list[dict[str, Any]]:
    """Return the items of a ResponsesAgent, which calls a tool of its own first."""
    content = [{"type": "output_text", "text": f"You said: {said}", "annotations": []}]
    return [
        {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "look_up", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "found"},
        {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": content},
    ]


@invoke()  # type: ignore[untyped-decorator]  # the same
def answer(request: Any) -> Any:
    said = _said(request)
    if _is_responses_agent():
        inputs = request.model_dump().get("custom_inputs")
        return {"object": "response", "output": _items(said), "custom_outputs": inputs}
    if said == "fail":
        raise RuntimeError("the agent crashed")
    message = {"role": "assistant", "content": f"You said: {said}"}
    return {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}


@stream()  # type: ignore[untyped-decorator]  # the same
def answers(request: Any) -> Iterator[Any]:
    said = _said(request)
    if _is_responses_agent():
        for item in _items(said)[:2]:
            yield {"type": "response.output_item.done", "item": item}
        for piece in ("You said: ", said):
            yield {"type": "response.output_text.delta", "item_id": "msg_1", "delta": piece}
        yield {"type": "response.output_item.done", "item": _items(said)[2]}
        return
    parts: list[Any] = ["You", " said: ", said]
    if said == "list":
        entry = {"type": "summary_text", "text": "Hm.", "signature": "S"}
        parts = [[{"type": "reasoning", "summary": [entry]}], "You", " said: list"]
    for part in parts[: 2 if said in {"fail", "drop"} else None]:
        yield {"id": "a1", "choices": [{"index": 0, "delta": {"role": "assistant", "content": part}}]}
    if said == "fail":
        raise RuntimeError("the agent crashed")
    if said == "drop":
        threading.Timer(0.2, os._exit, (0,)).start()  # when what was yielded has left
        threading.Event().wait()
    yield {"id": "a1", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}


def main() -> None:
    """Serve until standard input ends."""
    mlflow.tracing.disable()
    with tempfile.TemporaryDirectory() as folder:
        agent = AgentServer(sys.argv[1] if len(sys.argv) > 1 else None).app
        mounts = [Mount("/serving-endpoints/agent", agent)]
        for name, model in (("chat-model", Chat()), ("chat-agent", Agent())):
            save_model(f"{folder}/{name}", python_model=model, pip_requirements=[])
            mounts.append(Mount(f"/serving-endpoints/{name}", scoring_server.init(load_model(f"{folder}/{name}"))))
        mounts.append(Mount("/serving-endpoints", agent))  # as Databricks serves /serving-endpoints/responses
        config = uvicorn.Config(Starlette(routes=mounts), host="127.0.0.1", port=0, log_level="critical")
        server = uvicorn.Server(config)
        threading.Thread(target=_stop, args=(server,), daemon=True).start()
        sock = config.bind_socket()
        sock.listen(128)  # before anybody hears of the port
        print(f"port {sock.getsockname()[1]}", flush=True)  # noqa: T201  # whoever started this reads it
        server.run(sockets=[sock])


def _stop(server: Any) -> None:
    sys.stdin.read()
    server.should_exit = True


if __name__ == "__main__":
    main()
