"""The floor: langchain-core's own work for the chunks that the benchmark's streams hold, without any I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import server
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

_ID = "msg_bdrk_01ThinkAboutSky"
_TAG = {"model_provider": "databricks"}
_USAGE = {"input_tokens": 430, "output_tokens": 77, "total_tokens": 507}


class Floor(BaseChatModel):
    """A model that answers from nothing."""

    kind: str

    @property
    def _llm_type(self) -> str:
        return "floor"

    def _fields(self, number: int) -> dict[str, Any]:
        if self.kind == "reasoning":
            said = {"type": "summary_text", "text": " word", "index": 0}
            return {"content": [{"type": "reasoning", "summary": [said], "index": "lc_rs_0"}]}
        if self.kind == "tools":
            first = number == 0
            name, call_id = ("note", "toolu_bdrk_01") if first else (None, None)
            args = '{"text": "' if first else " word"
            chunk = {"type": "tool_call_chunk", "name": name, "args": args, "id": call_id, "index": 0}
            return {"content": "", "tool_call_chunks": [chunk]}
        return {"content": " word"}

    def _chunks(self) -> Iterator[ChatGenerationChunk]:
        for number in range(server.LONG if self.kind == "long" else server.EVENTS):
            message = AIMessageChunk(id=_ID, response_metadata=_TAG, **self._fields(number))
            yield ChatGenerationChunk(message=message)
        last = AIMessageChunk(content="", id=_ID, usage_metadata=_USAGE, chunk_position="last")
        yield ChatGenerationChunk(message=last)

    def _stream(self, *_: Any, **__: Any) -> Iterator[ChatGenerationChunk]:
        return self._chunks()

    async def _astream(self, *_: Any, **__: Any) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in self._chunks():
            yield chunk

    def _generate(self, *_: Any, **__: Any) -> ChatResult:
        message = AIMessage(content="The sky over Oslo is blue.", id=_ID, usage_metadata=_USAGE)
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _agenerate(self, *_: Any, **__: Any) -> ChatResult:
        return self._generate()
