"""Reasoning that an endpoint does not accept any more: it is not sent, or the call is sent again without it."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.tools import tool

from kit.scripted import Received, Scripted, ScriptedServer, sse
from kit.ways import Way, four_ways, invoke
from langchain_dbchat import ChatDatabricksCompat
from langchain_dbchat.errors import DatabricksInvalidRequestError

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

    from langchain_dbchat.local import LocalWorkspace

BOUND = "databricks-claude-opus-5-5"
"""A model whose signatures are valid only after the same messages."""

CLAUDES = [BOUND, "databricks-claude-sonnet-4-6", "databricks-claude-haiku-4-5"]
WITHOUT = "without it"


@tool
def get_weather(city: str) -> str:
    """Get the current weather in a city."""
    return f"It rains in {city}."


def _llm(workspace: LocalWorkspace, model: str, **settings: Any) -> Any:
    llm = ChatDatabricksCompat(model=model, host=workspace.host, token=workspace.token, **settings)
    return llm.bind_tools([get_weather], reasoning_effort="high")


def _ask(llm: Any, call: Way, city: str, messages: list[BaseMessage]) -> None:
    """Ask a question, run the tool, and append all that was said."""
    messages.append(HumanMessage(f"What is the weather in {city}?"))
    while not (isinstance(messages[-1], AIMessage) and not messages[-1].tool_calls):
        answer = call(llm, messages)
        messages += [answer, *(get_weather.invoke(made) for made in answer.tool_calls)]


def _reasons(message: BaseMessage) -> bool:
    return any(block["type"] == "reasoning" for block in message.content_blocks)


@four_ways
@pytest.mark.parametrize(("first", "second"), list(permutations(CLAUDES, 2)))
def test_one_claude_continues_what_another_began(workspace: LocalWorkspace, call: Way, first: str, second: str) -> None:
    messages: list[BaseMessage] = []
    _ask(_llm(workspace, first), call, "Oslo", messages)
    assert any(map(_reasons, messages))
    workspace.requests.clear()
    _ask(_llm(workspace, second), call, "Bergen", messages)
    assert len(workspace.requests) == 2  # nothing was sent twice: no refusal was needed to know this


@four_ways
def test_a_thread_whose_beginning_was_removed_goes_on(workspace: LocalWorkspace, call: Way) -> None:
    llm = _llm(workspace, BOUND)
    messages: list[BaseMessage] = [SystemMessage("You are brief.")]
    _ask(llm, call, "Oslo", messages)
    _ask(llm, call, "Bergen", messages)
    assert _reasons(messages[6])
    trimmed = messages[5:]  # as trim_messages and summaries do
    with pytest.warns(UserWarning, match=WITHOUT):
        _ask(llm, call, "Paris", trimmed)
    assert "Paris" in trimmed[-1].text
    untouched = list(messages)
    workspace.requests.clear()
    _ask(llm, call, "Rome", untouched)  # the refusal was about one conversation
    assert len(workspace.requests) == 2
    assert any(
        block["type"] == "thinking"
        for message in workspace.requests[-1].json["messages"]
        if isinstance(message["content"], list)
        for block in message["content"]
    )


def test_strict_params_raises(workspace: LocalWorkspace) -> None:
    llm = _llm(workspace, BOUND, strict_params=True)
    messages: list[BaseMessage] = []
    _ask(llm, invoke, "Oslo", messages)
    _ask(llm, invoke, "Bergen", messages)
    with pytest.raises(DatabricksInvalidRequestError, match="signature"):
        llm.invoke([*messages[4:], HumanMessage("And now?")])


WORDS = [
    "messages.1.content.0: Invalid `signature` in `thinking` block",
    "***.***.content.0: Invalid `data` in `redacted_thinking` block",
    "Thought signature is not valid.",
    "Corrupted thought signature.",
    "The encrypted content gAAA... could not be verified. Reason: Encrypted content could not be decrypted or parsed.",
]


def _signed(model: str) -> AIMessage:
    summary = [{"type": "summary_text", "text": "Hm.", "signature": "EqoB"}]
    block = {"type": "reasoning", "summary": summary}
    return AIMessage(
        [block, {"type": "text", "text": "Hello."}],
        response_metadata={"model_provider": "databricks", "model_name": model},
    )


@four_ways
@pytest.mark.parametrize("words", WORDS)
def test_each_makers_words_are_understood(call: Way, words: str) -> None:
    model = "databricks-claude-sonnet-4-6"

    def answer(request: Received) -> Scripted:
        if b"EqoB" in request.body:
            return Scripted({"error_code": "BAD_REQUEST", "message": words}, status=400)
        message = {"content": "Fine."}
        if request.json.get("stream"):
            return Scripted(sse({"choices": [{"index": 0, "delta": message, "finish_reason": "stop"}]}))
        return Scripted({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})

    with ScriptedServer(answer) as server:
        llm = ChatDatabricksCompat(model=model, host=server.url, token="dapi0", max_retries=0)
        past = [HumanMessage("Hi"), _signed(model), HumanMessage("How are you?")]
        with pytest.warns(UserWarning, match=WITHOUT):
            assert call(llm, past).text == "Fine."
        assert call(llm, past).text == "Fine."  # told once, asked each time
    assert [b"EqoB" in request.body for request in server.requests] == [True, False, True, False]


def test_a_prompt_that_quotes_the_words_changes_nothing() -> None:
    refusal = Scripted({"error_code": "BAD_REQUEST", "message": f"Your text {WORDS[0]!r} is too rude."}, status=400)
    with ScriptedServer(lambda _: refusal) as server:
        llm = ChatDatabricksCompat(model="databricks-claude-sonnet-4-6", host=server.url, token="dapi0", max_retries=0)
        with pytest.raises(DatabricksInvalidRequestError):
            llm.invoke([HumanMessage("Hi"), _signed(llm.model), HumanMessage(f"What is {WORDS[0]!r}?")])
    assert len(server.requests) == 1
