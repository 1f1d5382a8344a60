"""The floor: langchain-core's own work for the answers of the benchmark's server, without any I/O.

It streams a chunk for each event, binds nothing, and reads structured answers with langchain-core's own parsers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import server
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.output_parsers import JsonOutputParser
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

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        """Return the model: what it binds, nobody would read."""
        del tools, kwargs
        return self

    def with_structured_output(self, schema: Any, *, method: str = "", **kwargs: Any) -> Any:
        """Return the model with the parser of a method."""
        return (
            self | JsonOutputParser() if method == "json_schema" else super().with_structured_output(schema, **kwargs)
        )

    def _fields(self, number: int) -> dict[str, Any]:
        if self.kind.startswith("object"):
            piece = server.object_pieces(self.kind)[number]
            return self._argument(number, piece, "answer") if "calls" in self.kind else {"content": piece}
        if self.kind == "reasoning":
            said = {"type": "summary_text", "text": " word", "index": 0}
            return {"content": [{"type": "reasoning", "summary": [said], "index": "lc_rs_0"}]}
        if self.kind == "tools":
            return self._argument(number, " word" if number else '{"text": "', "note")
        return {"content": " word"}

    @staticmethod
    def _argument(number: int, args: str, tool: str) -> dict[str, Any]:
        name, call_id = (None, None) if number else (tool, "toolu_bdrk_01")
        chunk = {"type": "tool_call_chunk", "name": name, "args": args, "id": call_id, "index": 0}
        return {"content": "", "tool_call_chunks": [chunk]}

    def _chunks(self) -> Iterator[ChatGenerationChunk]:
        is_objects = self.kind.startswith("object")
        count = len(server.object_pieces(self.kind)) if is_objects else server.EVENTS
        for number in range(server.LONG if self.kind == "long" else count):
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
