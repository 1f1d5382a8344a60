"""One Messages request, as the checks and the answers read it, and as the model gets it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

from langchain_dbchat.local.rule_model.reasoning_signer import canonical
from langchain_dbchat.local.rule_model.request import ModelRequest
from langchain_dbchat.local.surfaces.request_body import ConversationBody

if TYPE_CHECKING:
    from collections.abc import Iterator

MessageBlockBody = dict[str, Any]

_CHOICES = {"any": "required", "none": "none"}


@dataclass(frozen=True, slots=True)
class MessagesRequestBody(ConversationBody):
    """A Messages request to an endpoint."""

    @property
    def tools(self) -> list[dict[str, Any]]:
        """Return the tools that the caller executes."""
        return [tool for tool in self.body.get("tools") or [] if "input_schema" in tool]

    @property
    def thinks(self) -> bool:
        """Return whether the answer comes with reasoning (docs/wire.md, 2.3)."""
        if self.model.always_reasons:
            return True
        return self.model.reasons_by_default if self.thinking is None else self.thinking != "disabled"

    @property
    def shows_thinking(self) -> bool:
        """Return whether reasoning is readable: with a budget, or on request if adaptive (docs/wire.md, 2.3)."""
        thinking = self.body.get("thinking") or {}
        return thinking.get("type") == "enabled" or thinking.get("display") == "summarized"

    def covered_by_signature(self, before: int, text: str) -> tuple[str, str, str]:
        """Return what the signature of reasoning covers: its text and, for some models, the messages before it.

        The results are arguments of `ReasoningSigner.sign` and `ReasoningSigner.verify`; a signature of chat
        completions is valid here too.
        """
        if not self.model.signs_history:
            return "claude", text, ""
        history = [
            {"role": message["role"], "content": [_bare(block) for block in blocks_of(message)]}
            for message in self.messages[:before]
        ]
        return "claude", text, canonical(history)

    def for_model(self) -> ModelRequest:
        """Return the request for the model; only after the checks."""
        wanted = (self.body.get("output_config") or {}).get("format")
        choice = self.body.get("tool_choice") or {"type": "auto"}
        named = {"type": "function", "function": {"name": choice.get("name")}}
        return ModelRequest(
            model=self.model,
            endpoint=self.endpoint,
            messages=list(self._chat_messages()),
            tools=[_chat_tool(tool) for tool in self.tools],
            tool_choice=named if choice["type"] == "tool" else _CHOICES.get(choice["type"], "auto"),
            response_format={"type": "json_schema", "json_schema": {"schema": wanted["schema"]}} if wanted else {},
            stop=list(self.body.get("stop_sequences") or []),
            max_tokens=self.body["max_tokens"],
            reasons=self.thinks,
            reasoning_disabled=self.thinking == "disabled",
            sampling={key: self.body[key] for key in ("temperature", "top_p") if self.body.get(key) is not None},
        )

    def _chat_messages(self) -> Iterator[dict[str, Any]]:
        system = self.body.get("system")
        if system:
            yield {"role": "system", "content": system if isinstance(system, str) else [*map(_chat_part, system)]}
        for message in self.messages:
            blocks = blocks_of(message)
            for block in blocks:
                if block["type"] == "tool_result":
                    yield _chat_result(block)
            said = [_chat_part(block) for block in blocks if block["type"] in _SAID]
            calls = [_chat_call(block) for block in blocks if block["type"] == "tool_use"]
            if said or calls:
                yield {"role": message["role"], "content": said, **({"tool_calls": calls} if calls else {})}


_SAID = frozenset({"text", "image", "document", "search_result"})


def blocks_of(message: dict[str, Any]) -> list[MessageBlockBody]:
    """Return the content of a message as blocks; a string is one text."""
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _bare(block: MessageBlockBody) -> MessageBlockBody:
    return {key: value for key, value in block.items() if key != "cache_control"}


def _marked(block: MessageBlockBody, part: dict[str, Any]) -> dict[str, Any]:
    return {**part, "cache_control": block["cache_control"]} if "cache_control" in block else part


def _chat_part(block: MessageBlockBody) -> dict[str, Any]:
    if block["type"] == "image":
        return _marked(block, {"type": "image_url", "image_url": {"url": "data:"}})
    if block["type"] in {"document", "search_result"}:
        return _marked(block, {"type": "text", "text": text_of_document(block)})
    return _marked(block, {"type": "text", "text": block["text"]})


def text_of_document(block: MessageBlockBody) -> str:
    """Return the text of a document or of a search result; of a PDF only the title."""
    source = block.get("source")
    inner = block.get("content", source.get("content") if isinstance(source, dict) else None)
    if isinstance(source, dict) and source.get("type") == "text":
        return str(source.get("data"))
    if isinstance(inner, list):
        return "\n".join(str(part.get("text", "")) for part in inner)
    return str(inner or block.get("title") or "")


def _chat_result(block: MessageBlockBody) -> dict[str, Any]:
    content = block.get("content") or ""
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else [*map(_chat_part, content)]
    return _marked(block, {"role": "tool", "tool_call_id": block["tool_use_id"], "content": parts})


def _chat_call(block: MessageBlockBody) -> dict[str, Any]:
    arguments = to_json(block["input"]).decode()
    return {"id": block["id"], "type": "function", "function": {"name": block["name"], "arguments": arguments}}


def _chat_tool(tool: dict[str, Any]) -> dict[str, Any]:
    function = {"name": tool["name"], "parameters": tool["input_schema"]}
    if tool.get("description"):
        function["description"] = tool["description"]
    return _marked(tool, {"type": "function", "function": function})
