"""The rooms of the local workspace: who imports whom, and what it takes to add an API."""

from __future__ import annotations

import ast
import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.responses import Response

from langchain_dbchat import local
from langchain_dbchat.local.endpoints import EndpointRegistry
from langchain_dbchat.local.models import ServedModel
from langchain_dbchat.local.rule_model.model import answer_request
from langchain_dbchat.local.rule_model.request import ModelRequest
from langchain_dbchat.local.server.identity import Identity
from langchain_dbchat.local.server.routes import create_app
from langchain_dbchat.local.surfaces import SURFACES
from langchain_dbchat.local.surfaces.surface import InferenceRequest, Services, Surface, json_response

ROOT = Path(local.__file__).parent
PREFIX = "langchain_dbchat.local."
FACTS = {"agents", "endpoints", "families", "models", "refusals"}
MAY_IMPORT = {
    "server": {"surfaces", "small_model", "rule_model", "faults", *FACTS},
    "surfaces": {"rule_model", "faults", *FACTS},
    "small_model": {"rule_model", *FACTS},
    "rule_model": {"faults", *FACTS},
    "faults": set(),
    **dict.fromkeys(FACTS, FACTS),
}


def _imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.removeprefix(PREFIX) for name in names if name.startswith(PREFIX)}


@pytest.mark.parametrize("room", sorted(MAY_IMPORT))
def test_a_room_imports_only_rooms_below_it(room: str) -> None:
    files = [*(ROOT / room).rglob("*.py")] if (ROOT / room).is_dir() else [ROOT / f"{room}.py"]
    assert files
    for path in files:
        rooms = {name.partition(".")[0] for name in _imported(path)} - {room}
        assert rooms <= MAY_IMPORT[room] | ({"LocalWorkspace"} if path.stem == "terminal" else set()), path


def test_no_surface_imports_another() -> None:
    for path in (ROOT / "surfaces").glob("*/**/*.py"):
        own = path.relative_to(ROOT / "surfaces").parts[0]
        others = {name.split(".")[1] for name in _imported(path) if name.startswith("surfaces.")}
        assert others <= {own, "surface", "request_body"}, path


async def _poem(request: InferenceRequest) -> Response:
    name, served, body = request.resolved
    assert isinstance(served, ServedModel)
    asked = ModelRequest(model=served, endpoint=name, messages=[{"role": "user", "content": body["line"]}])
    return json_response({"poem": answer_request(asked).text})


def test_an_api_is_added_by_one_row() -> None:
    poems = Surface(paths={"/serving-endpoints/poems": "openai"}, answer=_poem)
    app = create_app(Services(EndpointRegistry(), None, 0.0), Identity(None, 60), (*SURFACES, poems))

    async def send(path: str, body: dict[str, Any]) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://local") as client:
            return await client.post(path, json=body)

    body = {"model": "databricks-gemini-3-5-flash", "line": "Say: roses are red"}
    assert asyncio.run(send("/serving-endpoints/poems", body)).json() == {"poem": "roses are red"}
    assert asyncio.run(send("/serving-endpoints/poems", {"model": "nobody"})).status_code == 404
    chat = {"messages": [{"role": "user", "content": "Hi"}]}
    assert asyncio.run(send("/serving-endpoints/databricks-glm-5-2/invocations", chat)).status_code == 200
