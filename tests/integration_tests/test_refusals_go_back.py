"""A refusal beside a text goes back to each wire behind the text, whichever way it came and whatever its version."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from kit.calling import Api
from kit.scripted import Received, Scripted, ScriptedServer, sse
from kit.ways import invoke, six_ways
from langchain_dbchat import ChatDatabricksCompat

CONTENTS = {
    "text": "Look. ",
    "nothing": "",
    "blocks": [
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
        {"type": "text", "text": "A."},
    ],
    "call": "Look. ",
}


def _answer(got: Received, kind: str) -> Scripted:
    message: dict[str, Any] = {"role": "assistant", "content": CONTENTS[kind], "refusal": "I refuse."}
    if kind == "call":
        message["tool_calls"] = [{"index": 0, "id": "c1", "function": {"name": "f", "arguments": "{}"}}]
    if not got.json.get("stream"):
        return Scripted({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})
    first = {"index": 0, "delta": {**message, "refusal": "I re"}, "finish_reason": None}
    last = {"index": 0, "delta": {"refusal": "fuse."}, "finish_reason": "stop"}
    return Scripted(sse({"choices": [first]}, {"choices": [last]}))


TAKEN: dict[Api, Any] = {
    "chat": {"choices": [{"index": 0, "message": {"content": "ok"}, "finish_reason": "stop"}]},
    "responses": {"id": "r", "object": "response", "status": "completed", "output": []},
    "messages": {"id": "m", "type": "message", "role": "assistant", "content": [{"type": "text", "text": "ok"}]},
}


@pytest.mark.parametrize("api", TAKEN)
@pytest.mark.parametrize("kind", CONTENTS)
def test_a_refusal_goes_back(kind: str, api: Api) -> None:
    sent: dict[str, list[str]] = {}
    with (
        ScriptedServer(lambda got: _answer(got, kind)) as first,
        ScriptedServer(lambda _: Scripted(TAKEN[api])) as then,
    ):
        asked = ChatDatabricksCompat(model="databricks-claude-sonnet-4-6", host=then.url, token="t", api=api)
        for version in ("v0", "v1"):
            llm = ChatDatabricksCompat(
                model="databricks-claude-sonnet-4-6", host=first.url, token="t", api="chat", output_version=version
            )
            for way in six_ways.args[1]:
                message: AIMessage = way(llm, "Hi")
                assert message.additional_kwargs["refusal"] == "I refuse."
                invoke(asked, [HumanMessage("Hi"), message, HumanMessage("Go on")])
                body = then.requests[-1].json
                history = json.dumps(body.get("messages") or body["input"])
                assert history.count("I refuse.") == 1
                sent.setdefault(history, []).append(f"{way.__name__} {version}")
    assert len(sent) == 1, sent
