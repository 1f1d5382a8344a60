"""One Responses request, as the checks and the answers read it, and as the model gets it (docs/wire.md, 9)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_dbchat.local.rule_model.request import ModelRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_dbchat.local.models import ServedModel
    from langchain_dbchat.local.rule_model.reasoning_signer import ReasoningSigner

ItemBody = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ResponsesRequestBody:
    """A Responses request to an endpoint."""

    model: ServedModel
    """The model behind the endpoint."""
    endpoint: str
    """The name that was called."""
    body: dict[str, Any]
    """The JSON body, which nothing here changes."""
    signer: ReasoningSigner
    """The workspace's signer."""

    @property
    def items(self) -> list[ItemBody]:
        """Return the input as items; the checks make sure that they are dicts."""
        given = self.body.get("input")
        return [{"type": "message", "role": "user", "content": given}] if isinstance(given, str) else list(given or [])

    @property
    def effort(self) -> str | None:
        """Return the effort that the request asks for."""
        reasoning = self.body.get("reasoning")
        effort = reasoning.get("effort") if isinstance(reasoning, dict) else None
        return effort if isinstance(effort, str) else None

    @property
    def reasons(self) -> bool:
        """Return whether the answer comes with reasoning (docs/wire.md, 2.3)."""
        if self.model.family.reasoning == "none":
            return False
        if self.model.always_reasons:
            return True
        return self.model.reasons_by_default if self.effort is None else self.effort != "none"

    @property
    def encrypts(self) -> bool:
        """Return whether the request asks for encrypted reasoning."""
        return "reasoning.encrypted_content" in (self.body.get("include") or [])

    @property
    def tools(self) -> list[dict[str, Any]]:
        """Return the functions that the caller executes."""
        return [tool for tool in self.body.get("tools") or [] if tool.get("type") == "function"]

    def for_model(self) -> ModelRequest:
        """Return the request for the model; only after the checks."""
        text = self.body.get("text")
        wanted = (text.get("format") if isinstance(text, dict) else None) or {}
        if wanted.get("type") == "json_schema":
            wanted = {"type": "json_schema", "json_schema": {"name": wanted.get("name"), "schema": wanted["schema"]}}
        choice = self.body.get("tool_choice") or "auto"
        if isinstance(choice, dict) and choice.get("type") == "function":
            choice = {"type": "function", "function": {"name": choice.get("name")}}
        return ModelRequest(
            model=self.model,
            endpoint=self.endpoint,
            messages=list(self._chat_messages()),
            tools=[_chat_tool(tool) for tool in self.tools],
            tool_choice=choice,
            response_format={} if wanted.get("type") == "text" else wanted,
            max_tokens=self.body.get("max_output_tokens"),
            reasons=self.reasons,
            reasoning_disabled=self.effort == "none",
        )

    def _chat_messages(self) -> Iterator[dict[str, Any]]:
        for item in self.items:
            kind = item.get("type") or "message"
            if kind == "message":
                role = "system" if item["role"] == "developer" else item["role"]
                yield {"role": role, "content": _chat_content(item["content"])}
            elif kind == "function_call":
                function = {"name": item["name"], "arguments": item["arguments"]}
                call = {"id": item["call_id"], "type": "function", "function": function}
                yield {"role": "assistant", "content": None, "tool_calls": [call]}
            elif kind == "function_call_output":
                yield {"role": "tool", "tool_call_id": item["call_id"], "content": _chat_content(item["output"])}


_TEXTS = frozenset({"input_text", "output_text", "text"})


def _chat_content(content: str | list[dict[str, Any]]) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [
        {"type": "text", "text": part.get("text", "")}
        if part["type"] in _TEXTS
        else {"type": "image_url", "image_url": {"url": "data:"}}
        for part in content
        if part["type"] != "refusal"
    ]


def _chat_tool(tool: dict[str, Any]) -> dict[str, Any]:
    keys = ("name", "description", "parameters")
    return {"type": "function", "function": {key: tool[key] for key in keys if tool.get(key) is not None}}
