"""An agent as a user would deploy it with MLflow: ``python deployed_agent.py`` logs, loads, asks it, and prints JSON.

MLflow also runs this file as the code of the model. The workspace comes from the environment.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any

import mlflow
import uvicorn
from langchain.agents import create_agent
from langchain_core.runnables import RunnablePassthrough
from langchain_core.tools import create_retriever_tool
from langchain_core.vectorstores import InMemoryVectorStore
from mlflow.pyfunc import ResponsesAgent, scoring_server
from mlflow.types.responses import ResponsesAgentRequest, ResponsesAgentResponse, ResponsesAgentStreamEvent
from starlette.applications import Starlette
from starlette.routing import Mount

from langchain_dbchat import ChatDatabricksCompat, DatabricksEmbeddings
from langchain_dbchat.integrations.mlflow import from_response_items, resources, response_events, to_response_items


def get_weather(city: str) -> str:
    """Get the current weather in a city."""
    return f"It rains in {city}."


passages = InMemoryVectorStore(DatabricksEmbeddings(model="databricks-gte-large-en"))
llm = ChatDatabricksCompat(model="databricks-claude-sonnet-4-6", reasoning_effort="low")
agent: Any = create_agent(llm, [get_weather, create_retriever_tool(passages.as_retriever(), "search", "Search.")])


class WeatherAgent(ResponsesAgent):  # type: ignore[misc]  # MLflow is not there when types are checked
    def predict(self, request: ResponsesAgentRequest) -> ResponsesAgentResponse:
        messages = from_response_items(request.input)
        state = agent.invoke({"messages": messages})
        return ResponsesAgentResponse(output=to_response_items(state["messages"][len(messages) :]))

    def predict_stream(self, request: ResponsesAgentRequest) -> Generator[ResponsesAgentStreamEvent, None, None]:
        messages = from_response_items(request.input)
        yield from response_events(agent.stream({"messages": messages}, stream_mode="messages"))


mlflow.models.set_model(WeatherAgent())


def serve(loaded: Any) -> dict[str, str]:
    """Serve the loaded agent as Databricks does, and ask it over HTTP, whole and streamed."""
    served = scoring_server.init(loaded)

    async def responses(scope: Any, receive: Any, send: Any) -> None:
        await served({**scope, "path": "/invocations", "root_path": ""}, receive, send)

    app = Starlette(routes=[Mount("/serving-endpoints", responses)])
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="critical")
    server = uvicorn.Server(config)
    sock = config.bind_socket()
    sock.listen(128)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, daemon=True)
    thread.start()
    try:
        url = f"http://127.0.0.1:{sock.getsockname()[1]}"
        client = ChatDatabricksCompat(model="weather", host=url, token="dapi0", api="responses")
        asked = "What is the weather in Oslo?"
        streamed = "".join(chunk.text for chunk in client.stream(asked))
        return {"whole": client.invoke(asked).text, "streamed": streamed}
    finally:
        server.should_exit = True
        thread.join(20)


async def ask_in_each_way(model: ChatDatabricksCompat) -> None:
    """Call a model whole, streamed, async, and twice in the batch of a chain."""
    model.invoke("Hello!")
    await model.ainvoke("Hello!")
    for _ in model.stream("Hello!"):
        pass
    chain: Any = RunnablePassthrough() | model
    chain.batch(["Hello!", "Good morning!"])


def deploy() -> dict[str, Any]:
    """Log the agent, load it, ask it whole and streamed, and read its traces."""
    os.environ |= {"MLFLOW_ALLOW_FILE_STORE": "true", "MLFLOW_ENABLE_ASYNC_TRACE_LOGGING": "false"}
    with tempfile.TemporaryDirectory() as folder:
        mlflow.set_tracking_uri(Path(folder).as_uri())
        mlflow.set_experiment("agent")
        mlflow.langchain.autolog()
        logged = mlflow.pyfunc.log_model(name="agent", python_model=__file__, resources=resources(WeatherAgent()))
        loaded = mlflow.pyfunc.load_model(logged.model_uri)
        asked = {"input": [{"role": "user", "content": "What is the weather in Oslo?"}]}
        answer = loaded.predict(asked)
        again = loaded.predict(
            {"input": [*asked["input"], *answer["output"], {"role": "user", "content": "And in Bergen?"}]}
        )
        events = list(loaded.predict_stream(asked))
        served = serve(loaded)
        asyncio.run(ask_in_each_way(ChatDatabricksCompat(model="databricks-gpt-5-4", reasoning_effort="low")))
        spans = [span for trace in mlflow.search_traces(return_type="list") for span in trace.data.spans]
        return {
            "resources": mlflow.models.Model.load(logged.model_uri).resources,
            "answer": answer,
            "again": again,
            "events": events,
            "served": served,
            "spans": [
                {"name": span.name, "type": span.span_type, "attributes": span.attributes, "outputs": span.outputs}
                for span in spans
            ],
        }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(deploy(), default=str) + "\n")
