"""An answer without usage has no ``token_usage``, whichever way it came."""

from __future__ import annotations

from typing import Any

import pytest

from kit.calling import calling
from kit.scripted import Received, Scripted, ScriptedServer, sse
from kit.ways import Way, six_ways
from langchain_dbchat import ChatDatabricksCompat


@six_ways
@pytest.mark.parametrize("api", ["chat", "responses", "messages", "agent"])
@pytest.mark.parametrize("version", ["v0", "v1"])
@pytest.mark.parametrize("usage", [None, {}])
def test_no_usage_is_no_token_usage(api: Any, version: Any, usage: Any, call: Way) -> None:
    def answer(got: Received) -> Scripted:
        stream = bool(got.json.get("stream"))
        if api != "agent":
            return calling(api, "{}", 9, stream=stream)
        said = {"role": "assistant", "content": "Hi.", "id": "m"}
        more = {"finish_reason": "stop", "usage": usage}
        return Scripted(sse({"delta": said, **more})) if stream else Scripted({"messages": [said], **more})

    with ScriptedServer(answer) as server:
        llm = ChatDatabricksCompat(model="mine", host=server.url, token="t", api=api, output_version=version)
        message = call(llm, "Hi")
    assert "token_usage" not in message.response_metadata
    assert message.usage_metadata is None
