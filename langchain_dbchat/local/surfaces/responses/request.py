"""One Responses request, as the checks and the answers read it, and as the model gets it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_dbchat.local.rule_model.request import ModelRequest
from langchain_dbchat.local.surfaces.request_body import EndpointRequestBody

if TYPE_CHECKING:
    from collections.abc import Iterator

ENCRYPTED = "reasoning.encrypted_content"
"""The value of ``include`` that asks for reasoning which can be sent back."""


@dataclass(frozen=True, slots=True)
class ResponsesRequestBody(EndpointRequestBody):
    """A Responses request to an endpoint."""

    @property
    def is_gpt(self) -> bool:
        """Return whether the model is OpenAI's, so that its reasoning is encrypted (docs/wire.md, 9.3)."""
        return self.model.family.error_style == "gpt"

    @property
    def items(self) -> list[dict[str, Any]]:
        """Return the input items; a string is one message of the user."""
        given = self.body.get("input")
        return [{"role": "user", "content": given}] if isinstance(given, str) else list(given or [])

    @property
    def functions(self) -> list[dict[str, Any]]:
        """Return the function tools."""
        return [tool for tool in self.body.get("tools") or [] if tool["type"] == "function"]

    @property
    def reasoning(self) -> dict[str, Any]:
        """Return the ``reasoning`` field."""
        return self.body.get("reasoning") or {}

    @property
    def reasons(self) -> bool:
        """Return whether the answer comes with reasoning (docs/wire.md, 2.3)."""
        effort = self.reasoning.get("effort")
        if self.model.family.reasoning == "none":
            return False
        if self.model.always_reasons:
            return True
        return self.model.reasons_by_default if effort is None else effort not in {"none", "disabled"}

    @property
    def is_encrypted(self) -> bool:
        """Return whether the caller asks for encrypted reasoning."""
        return ENCRYPTED in (self.body.get("include") or [])

    def for_model(self) -> ModelRequest:
        """Return the request for the model; only after the checks."""
        wanted = (self.body.get("text") or {}).get("format") or {}
        choice = self.body.get("tool_choice") or "auto"
        if isinstance(choice, dict) and choice.get("type") == "function":
            choice = {"type": "function", "function": {"name": choice.get("name")}}
        elif isinstance(choice, dict) or not self.functions:
            choice = "auto"
        schema = {"name": wanted.get("name"), "schema": wanted.get("schema")}
        formats = {"json_schema": {"type": "json_schema", "json_schema": schema}, "json_object": wanted}
        return ModelRequest(
            model=self.model,
            endpoint=self.endpoint,
            messages=list(self._chat_messages()),
            tools=[_chat_tool(tool) for tool in self.functions],
            tool_choice=choice,
            response_format=formats.get(wanted.get("type", "text"), {}),
            max_tokens=self.body.get("max_output_tokens") or self.model.default_output,
            reasons=self.reasons,
            sampling={key: self.body[key] for key in ("temperature", "top_p") if self.body.get(key) is not None},
        )

    def _chat_messages(self) -> Iterator[dict[str, Any]]:
        if self.body.get("instructions"):
            yield {"role": "system", "content": self.body["instructions"]}
        for item in self.items:
            kind = item.get("type", "message")
            if kind == "message":
                role = "system" if item["role"] == "developer" else item["role"]
                yield {"role": role, "content": _chat_content(item["content"])}
            elif kind == "function_call":
                function = {"name": item["name"], "arguments": item["arguments"]}
                call = {"id": item["call_id"], "type": "function", "function": function}
                yield {"role": "assistant", "content": None, "tool_calls": [call]}
            elif kind == "function_call_output":
                yield {"role": "tool", "tool_call_id": item["call_id"], "content": _chat_content(item["output"])}


def _chat_content(content: Any) -> Any:
    if isinstance(content, str):
        return content
    return [
        {"type": "text", "text": part.get("text") or part.get("refusal") or ""}
        if part["type"] in {"input_text", "output_text", "refusal"}
        else {"type": "image_url", "image_url": {"url": "data:"}}
        for part in content
    ]


def _chat_tool(tool: dict[str, Any]) -> dict[str, Any]:
    keys = ("name", "description", "parameters")
    return {"type": "function", "function": {key: tool[key] for key in keys if tool.get(key) is not None}}
