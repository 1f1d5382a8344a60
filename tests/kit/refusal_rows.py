"""Rows of the strictness tables: a request, and what becomes of it; with the messages and tools they are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

Body = dict[str, Any]

CLAUDE = "claude-sonnet-4-6"
BUDGET = "claude-sonnet-4-5"
ADAPTIVE = "claude-opus-5"
GPT = "gpt-5-2"
GEMINI = "gemini-3-1-pro"
LLAMA = "meta-llama-3-3-70b-instruct"
OSS = "gpt-oss-120b"
GLM = "glm-5-2"

HI = {"role": "user", "content": "Hi"}
SYSTEM = {"role": "system", "content": "Be brief."}
PNG = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
LINK = {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}}
PDF = {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERg=="}}
VIDEO = {"type": "video_url", "video_url": {"url": "https://example.com/cat.mp4"}}
MARK = {"cache_control": {"type": "ephemeral"}}


def tool(name: str = "look", **function: Any) -> Body:
    schema = {"type": "object", "properties": {"q": {"type": "string"}}}
    return {"type": "function", "function": {"name": name, "description": "Look.", "parameters": schema, **function}}


def called(*ids: str, **extra: Any) -> Body:
    calls = [{"id": one, "type": "function", "function": {"name": "look", "arguments": "{}"}, **extra} for one in ids]
    return {"role": "assistant", "content": None, "tool_calls": calls}


def result(of: str, content: Any = "42") -> Body:
    return {"role": "tool", "tool_call_id": of, "content": content}


def user(*parts: Body) -> Body:
    return {"role": "user", "content": list(parts)}


def schema(keys: int = 1) -> Body:
    properties = {f"k{place}": {"type": "string"} for place in range(keys)}
    held = {"name": "out", "schema": {"type": "object", "properties": properties}}
    return {"response_format": {"type": "json_schema", "json_schema": held}}


JSON = {"response_format": {"type": "json_object"}}
EXTRA = "Extra inputs are not permitted"
UNKNOWN = "json: unknown field"


class Row(NamedTuple):
    """One request and what becomes of it; an empty text means that it is accepted."""

    model: str
    body: Body
    text: str = ""
    status: int = 400


def check(ask: Callable[..., httpx.Response], row: Row) -> None:
    """Send a row's request and hold the answer against it."""
    response = ask(row.model, **{"messages": [HI], **row.body})
    if not row.text:
        assert response.status_code == 200, response.text
        return
    assert response.status_code == row.status, response.text
    assert row.text in response.text
    assert response.json()["error_code"] in {"BAD_REQUEST", "INVALID_PARAMETER_VALUE"}
    assert response.headers["x-request-id"]
