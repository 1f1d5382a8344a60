"""The app of docs/serving-many-users.md serves many users over sockets: who asks is who signs, and who leaves is gone.

That the page runs as a reader pastes it, and prints what it says, is in test_pages.py.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from kit.pages import ROOT, blocks
from kit.scripted import Scripted, sse
from kit.sign_in import BUSY, DENIED, UNKNOWN, Mirror
from langchain_dbchat.errors import ConfigurationError
from langchain_dbchat.local.server.server_thread import ServerThread

pytest.importorskip("fastapi", reason='needs pip install "langchain-dbchat[test-all]"')

USERS = 60
CODE = [block.code for block in blocks(ROOT / "docs" / "serving-many-users.md")]


@pytest.fixture
def workspace() -> Iterator[Mirror]:
    with Mirror() as server:
        yield server


@pytest.fixture
def names(workspace: Mirror) -> dict[str, Any]:
    """What the page defines, on a workspace that answers with the token of who asks; nothing is called."""
    found: dict[str, Any] = {"asyncio": asyncio}
    for code in CODE:
        if "FastAPI()" in code or "ContextVar(" in code or "turns = " in code:
            here = code.replace(
                "workspace = LocalWorkspace().start()", f"workspace = SimpleNamespace(host={workspace.url!r})"
            )
            definitions = "\n".join(line for line in here.splitlines() if not line.startswith("print("))
            exec(compile(f"from types import SimpleNamespace\n{definitions}", "the page", "exec"), found)  # noqa: S102  # our own document, and that is the point
    return found


@pytest.fixture
def app(names: dict[str, Any]) -> Iterator[str]:
    """The address of the page's app."""
    server = ServerThread(names["app"], "app of the page")
    server.start()
    yield server.host
    server.stop()


async def _ask(browser: httpx.AsyncClient, who: str) -> httpx.Response:
    return await browser.post("/chat", json={"question": "Who am I?"}, headers={"x-forwarded-access-token": who})


async def test_each_of_many_users_is_answered_as_themselves(app: str, workspace: Mirror) -> None:
    workspace.faults = [BUSY, UNKNOWN] * 3
    users = [f"user-{number}" for number in range(USERS)]
    async with httpx.AsyncClient(base_url=app, timeout=30) as browser:
        responses = await asyncio.gather(*(_ask(browser, who) for who in users))
    assert Counter(response.status_code for response in responses) == {200: USERS - 3, 401: 3}
    answered = [(who, response.text) for who, response in zip(users, responses, strict=True) if response.is_success]
    assert [pair for pair in answered if pair[0] != pair[1]] == []
    assert set(workspace.signers) == set(users)
    assert len(workspace.signers) == USERS + 3  # three calls were sent again, by the same user


@pytest.mark.parametrize(
    ("reply", "status", "after"),
    [
        (UNKNOWN, 401, None),
        (DENIED, 403, None),
        (
            Scripted({"error_code": "REQUEST_LIMIT_EXCEEDED", "message": "Slower"}, 429, {"retry-after": "60"}),
            429,
            "60",
        ),
        (Scripted({"error_code": "BAD_REQUEST", "message": "No such thing"}, 400), 502, None),
    ],
)
async def test_what_went_wrong_has_a_status_and_no_details(
    reply: Scripted, status: int, after: str | None, app: str, workspace: Mirror
) -> None:
    workspace.faults = [replace(reply, headers={**reply.headers, "x-request-id": "7"})]
    async with httpx.AsyncClient(base_url=app, timeout=30) as browser:
        response = await _ask(browser, "ada")
    assert response.status_code == status
    assert response.headers.get("retry-after") == after
    assert response.json() == {"request_id": "7"}


async def test_a_request_without_a_user_asks_nothing(app: str, workspace: Mirror) -> None:
    async with httpx.AsyncClient(base_url=app, timeout=30) as browser:
        responses = [await browser.post("/chat", json={"question": "x"}), await _ask(browser, "")]
    assert [response.status_code for response in responses] == [422, 502]
    assert workspace.requests == []


async def test_a_browser_that_leaves_ends_the_request_to_the_model(
    app: str, workspace: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    delta = {"index": 0, "delta": {"role": "assistant", "content": "It"}, "finish_reason": None}
    endless = Scripted([sse({**head, "choices": [delta]}, done=False)], stall=True)
    monkeypatch.setattr(workspace, "_choose", lambda _: endless)
    async with httpx.AsyncClient(base_url=app, timeout=30) as browser:
        headers = {"x-forwarded-access-token": "ada"}
        async with browser.stream("POST", "/chat", json={"question": "x"}, headers=headers) as response:
            async for text in response.aiter_text():
                assert text == "It"
                break
            assert workspace.open_connections == 1
    assert await workspace.await_open(0, seconds=20) == 0


async def test_one_agent_calls_as_the_user_of_each_context(names: dict[str, Any], workspace: Mirror) -> None:
    users = [f"user-{number}" for number in range(USERS)]
    answers = await asyncio.gather(*(names["answer"](who, "Who am I?") for who in users))
    assert answers == users
    workspace.requests.clear()
    with pytest.raises(ConfigurationError, match="returned NoneType"):
        await names["shared"].ainvoke("Who am I?")
    with pytest.raises(ConfigurationError, match="is empty"):
        await names["answer"]("", "Who am I?")
    assert workspace.requests == []


async def test_no_user_has_more_turns_than_the_page_says(names: dict[str, Any]) -> None:
    llm, under_way = names["llm"], Counter[str]()
    most: Counter[str] = Counter()

    class Counted:
        """The model of the page, which counts the calls of each user that are under way."""

        async def ainvoke(self, question: str, *, token: str) -> Any:
            under_way[token] += 1
            most[token] = max(most[token], under_way[token])
            answer = await llm.ainvoke(question, token=token)
            under_way[token] -= 1
            return answer

    names["llm"] = Counted()
    calls = [names["answer_in_turn"](who, who, "Who am I?") for who in ("ada", "bob") for _ in range(6)]
    assert await asyncio.gather(*calls) == ["ada"] * 6 + ["bob"] * 6
    assert most == {"ada": 2, "bob": 2}
    assert len(names["turns"]) == 0
