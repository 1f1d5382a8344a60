"""Answers from any OpenAI-compatible server, in place of the rule-based model.

The workspace still checks the request and shapes the answer; only text and vectors come from the other
server. It is sent what every such server accepts: plain messages, tools, the format and the limits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic_core import from_json, to_json

from langchain_dbchat.local.refusals import Refused, plain
from langchain_dbchat.local.rule_model.answer import FinishPiece, Piece, ReasoningPiece, TextPiece, ToolCallPiece
from langchain_dbchat.local.rule_model.request import parts_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from langchain_dbchat.local.rule_model.request import ModelRequest

TIMEOUT = 300.0


class Backend:
    """An OpenAI-compatible server.

    Args:
        url: Its base URL; ``/v1`` is added when it has no path.

    Raises:
        ValueError: It is not a URL.
    """

    def __init__(self, url: str) -> None:
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"backend is the base URL of a server (http://...) or 'smollm2', and not {url!r}.")
        url = url.rstrip("/")
        self.url = url if "/" in url.partition("://")[2] else f"{url}/v1"
        self._model: str | None = None

    async def pieces(self, request: ModelRequest) -> AsyncIterator[Piece]:
        """Yield the pieces of the answer.

        Raises:
            Refused: 502 when the server cannot be reached or refuses.
        """
        import httpx  # noqa: PLC0415  # only this option needs a client

        body = await self._body(request)
        finish = "stop"
        try:
            async with (
                httpx.AsyncClient(timeout=TIMEOUT, trust_env=False) as client,
                client.stream("POST", f"{self.url}/chat/completions", json=body) as response,
            ):
                if response.status_code != 200:
                    raise _upstream(response.status_code, (await response.aread()).decode("utf-8", "replace"))
                async for line in response.aiter_lines():
                    if not line.startswith("data:") or line[5:].strip() == "[DONE]":
                        continue
                    for choice in from_json(line[5:].strip()).get("choices") or []:
                        finish = choice.get("finish_reason") or finish
                        for piece in _pieces_in(choice.get("delta") or {}):
                            yield piece
        except (httpx.HTTPError, ValueError) as error:
            raise _upstream(0, str(error)) from error
        yield FinishPiece(finish)

    async def embed(self, inputs: list[str]) -> list[list[float]]:
        """Return the vectors of these texts, in order.

        Raises:
            Refused: 502 when the server cannot be reached or refuses.
        """
        import httpx  # noqa: PLC0415  # only this option needs a client

        try:
            async with httpx.AsyncClient(timeout=TIMEOUT, trust_env=False) as client:
                body = {"model": await self._model_name(), "input": inputs}
                response = await client.post(f"{self.url}/embeddings", json=body)
                if response.status_code != 200:
                    raise _upstream(response.status_code, response.text)
                rows = from_json(response.content)["data"]
        except (httpx.HTTPError, ValueError, KeyError) as error:
            raise _upstream(0, str(error)) from error
        return [row["embedding"] for row in sorted(rows, key=lambda row: row["index"])]

    async def _model_name(self) -> str:
        """Return the first model that the server lists."""
        if self._model is None:
            import httpx  # noqa: PLC0415  # only this option needs a client

            async with httpx.AsyncClient(timeout=TIMEOUT, trust_env=False) as client:
                response = await client.get(f"{self.url}/models")
            listed = from_json(response.content).get("data") if response.status_code == 200 else None
            self._model = listed[0]["id"] if listed else "default"
        return self._model

    async def _body(self, request: ModelRequest) -> dict[str, Any]:
        try:
            name = await self._model_name()
        except Exception as error:
            raise _upstream(0, str(error)) from error
        body: dict[str, Any] = {
            "model": name,
            "messages": [_plain_message(one) for one in request.messages],
            "stream": True,
        }
        body |= request.sampling
        if request.stop:
            body["stop"] = request.stop
        if request.response_format:
            body["response_format"] = request.response_format
        if request.max_tokens is not None:
            body["max_tokens"] = request.max_tokens
        if request.tools:
            body["tools"] = [{"type": "function", "function": tool["function"]} for tool in request.tools]
        if request.tools and request.tool_choice != "auto":
            body["tool_choice"] = request.tool_choice
        return body


def _plain_message(message: dict[str, Any]) -> dict[str, Any]:
    """Return a message without what only its family accepts."""
    parts = [
        {key: value for key, value in part.items() if key not in {"cache_control", "thoughtSignature"}}
        for part in parts_of(message)
        if part.get("type") != "reasoning"
    ]
    text_only = all(part.get("type") == "text" for part in parts)
    sent: dict[str, Any] = {"role": message["role"]}
    sent["content"] = "\n".join(part["text"] for part in parts) if text_only else parts
    if message.get("tool_calls"):
        sent["tool_calls"] = [
            {key: call[key] for key in ("id", "type", "function") if key in call} for call in message["tool_calls"]
        ]
    if "tool_call_id" in message:
        sent["tool_call_id"] = message["tool_call_id"]
    return sent


def _pieces_in(delta: dict[str, Any]) -> list[Piece]:
    found: list[Piece] = []
    if delta.get("reasoning_content"):
        found.append(ReasoningPiece(delta["reasoning_content"]))
    if delta.get("content"):
        found.append(TextPiece(delta["content"]))
    for place, call in enumerate(delta.get("tool_calls") or []):
        function = call.get("function") or {}
        index, arguments = call.get("index", place), function.get("arguments") or ""
        found.append(ToolCallPiece(index, arguments, call.get("id") or None, function.get("name") or None))
    return found


def _upstream(status: int, text: str) -> Refused:
    shown = to_json(text[:500]).decode()
    return plain(
        502,
        "INTERNAL_ERROR",
        f"The server received an invalid response from an upstream server (status {status or 'none'}): {shown}",
    )
