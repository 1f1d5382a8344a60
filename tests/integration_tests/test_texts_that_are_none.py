"""A block of type text whose text is not a string is kept, but LangChain does not read it as text."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from kit.scripted import Received, Scripted, ScriptedServer, sse
from kit.ways import Way, invoke, six_ways
from langchain_dbchat import ChatDatabricksCompat

ODD: dict[str, Any] = {"type": "text", "text": {"said": 1}}
SAID = {"type": "message", "id": "m", "role": "assistant", "content": [{"type": "output_text", "text": "ok"}]}


def _reply(got: Received) -> Scripted:
    whole = {"id": "r", "object": "response", "status": "completed", "output": [ODD, SAID]}
    if not got.json.get("stream"):
        return Scripted(whole)
    events = [
        {"type": "response.output_item.done", "output_index": at, "item": one} for at, one in enumerate((ODD, SAID))
    ]
    return Scripted(sse(*events, {"type": "response.completed", "response": whole}, done=False))


@six_ways
def test_an_item_of_responses(call: Way) -> None:
    with ScriptedServer(_reply) as server:
        llm = ChatDatabricksCompat(model="mine", host=server.url, token="t", api="responses")
        message = call(llm, "Hi")
        assert message.text == "ok"
        assert "said" in str(message.content_blocks)
        with pytest.warns(UserWarning, match="does not take"):
            answer = invoke(llm, [HumanMessage("Hi"), message, HumanMessage("And?")])
        assert answer.text == "ok"
