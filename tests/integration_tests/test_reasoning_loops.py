"""Think, call, think, call, answer: on every reasoning family of the local workspace, which checks the signatures."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from langchain_core.load import dumps, loads
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from pydantic import TypeAdapter

from kit.ways import Way, four_ways
from langchain_dbchat import ChatDatabricksCompat
from langchain_dbchat.errors import DatabricksInvalidRequestError
from langchain_dbchat.local import LocalWorkspace


@tool
def get_weather(city: str) -> str:
    """Get the current weather in a city."""
    return f"It is raining in {city}."


@tool
def get_population(city: str) -> str:
    """Get the population of a city."""
    return f"{city} has 709037 inhabitants."


TOOLS = {"get_weather": get_weather, "get_population": get_population}

FAMILIES: list[tuple[str, dict[str, Any]]] = [
    ("databricks-claude-sonnet-4-5", {"reasoning_effort": "low"}),
    ("databricks-claude-sonnet-4-6", {"thinking": {"type": "enabled", "budget_tokens": 2048}}),
    ("databricks-claude-sonnet-4-6", {"thinking": {"type": "adaptive"}}),
    ("databricks-claude-opus-4-8", {"reasoning_effort": "medium"}),
    ("databricks-claude-opus-5", {"reasoning_effort": "high"}),
    ("databricks-claude-opus-5", {"thinking": {"type": "adaptive", "display": "omitted"}}),
    ("databricks-claude-opus-5-5", {}),
    ("databricks-claude-fable-5-1", {"reasoning_effort": "low"}),
    ("databricks-claude-fable-5", {}),
    ("databricks-claude-sonnet-4-5", {"api": "messages", "reasoning_effort": "low"}),
    ("databricks-claude-opus-5", {"api": "messages", "thinking": {"type": "adaptive", "display": "omitted"}}),
    ("databricks-claude-fable-5", {"api": "messages"}),
    ("databricks-gpt-5-2", {"reasoning_effort": "low"}),
    ("databricks-gpt-5-6-sol", {}),
    ("databricks-gemini-3-5-flash", {"reasoning_effort": "low"}),
    ("databricks-gemini-3-1-pro", {}),
    ("databricks-gpt-oss-120b", {"reasoning_effort": "high"}),
    ("databricks-glm-5-2", {"reasoning_effort": "high"}),
    ("databricks-glm-5-3", {}),
    ("databricks-kimi-k3", {"reasoning_effort": "low"}),
    ("databricks-deepseek-v4-1-flash", {"reasoning_effort": "low"}),
    ("databricks-inkling", {}),
    ("databricks-grok-4-6", {"reasoning_effort": "low"}),
    ("databricks-qwen35-122b-a10b", {}),
]
CLAUDE: tuple[str, dict[str, Any]] = (
    "databricks-claude-sonnet-4-6",
    {"thinking": {"type": "enabled", "budget_tokens": 2048}},
)
MESSAGES = ("databricks-claude-sonnet-4-6", {**CLAUDE[1], "api": "messages"})
GEMINI = ("databricks-gemini-3-5-flash", {"reasoning_effort": "low"})


def _llm(workspace: LocalWorkspace, model: str, settings: dict[str, Any]) -> ChatDatabricksCompat:
    return ChatDatabricksCompat(model=model, host=workspace.host, token=workspace.token, **settings)


def _run(message: AIMessage) -> list[ToolMessage]:
    assert message.tool_calls, "the model should have called a tool"
    return [TOOLS[call["name"]].invoke(call) for call in message.tool_calls]


def _converse(llm: ChatDatabricksCompat, call: Way, kept: Any = lambda messages: messages) -> list[Any]:
    """Hold the conversation; `kept` stands for whatever keeps the messages between the turns."""
    bound = llm.bind_tools(list(TOOLS.values()))
    messages: list[Any] = [HumanMessage("What is the weather in Oslo?")]
    for question in (None, "And what is the population of Oslo?"):
        if question:
            messages.append(HumanMessage(question))
        before = copy.deepcopy(messages)
        answer = call(bound, messages)
        assert messages == before, "the caller's messages were changed"
        messages = kept([*messages, answer, *_run(answer)])
        messages = kept([*messages, call(bound, messages)])
    return messages


@four_ways
@pytest.mark.parametrize(("model", "settings"), FAMILIES, ids=str)
def test_a_tool_loop_of_three_turns(workspace: LocalWorkspace, model: str, settings: dict[str, Any], call: Way) -> None:
    messages = _converse(_llm(workspace, model, settings), call)
    answers = [message for message in messages if isinstance(message, AIMessage)]
    assert "raining in Oslo" in answers[1].text
    assert "709037" in answers[-1].text
    for answer in answers:
        blocks = [block for block in answer.content_blocks if block["type"] == "reasoning"]
        assert all(block.get("reasoning", "") not in answer.text for block in blocks if block.get("reasoning"))


def _serde(messages: list[Any]) -> list[Any]:
    serde = JsonPlusSerializer()
    kept: list[Any] = serde.loads_typed(serde.dumps_typed(messages))
    return kept


def _langchain_json(messages: list[Any]) -> list[Any]:
    kept: list[Any] = loads(dumps(messages), allowed_objects="core")
    return kept


_ADAPTER: TypeAdapter[list[AnyMessage]] = TypeAdapter(list[AnyMessage])


def _pydantic_json(messages: list[Any]) -> list[Any]:
    return list(_ADAPTER.validate_json(_ADAPTER.dump_json(messages)))


@four_ways
@pytest.mark.parametrize("kept", [_serde, _langchain_json, _pydantic_json])
@pytest.mark.parametrize(("model", "settings"), [CLAUDE, MESSAGES, GEMINI], ids=str)
@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
def test_reasoning_survives_what_keeps_the_messages(  # a table of five dimensions
    workspace: LocalWorkspace, model: str, settings: dict[str, Any], kept: Any, call: Way
) -> None:
    _converse(_llm(workspace, model, settings), call, kept)
    sent = str([request.json for request in workspace.requests][-1])
    assert ("signature" in sent) or ("thoughtSignature" in sent)


@four_ways
@pytest.mark.parametrize("output_version", ["v0", "v1"])
@pytest.mark.parametrize(("model", "settings"), [CLAUDE, MESSAGES, GEMINI, ("databricks-gpt-oss-120b", {})], ids=str)
def test_both_shapes_of_content_go_back(
    workspace: LocalWorkspace, model: str, settings: dict[str, Any], output_version: str, call: Way
) -> None:
    llm = _llm(workspace, model, {**settings, "output_version": output_version})
    messages = _converse(llm, call)
    assert "709037" in messages[-1].text


@pytest.mark.parametrize("coalesce", [True, False])
def test_what_went_back_is_what_came(workspace: LocalWorkspace, *, coalesce: bool) -> None:
    llm = _llm(workspace, *CLAUDE).bind_tools([get_weather], coalesce=coalesce)
    whole: Any = None
    for chunk in llm.stream("What is the weather in Oslo?"):
        whole = chunk if whole is None else whole + chunk
    workspace.requests.clear()
    llm.invoke([HumanMessage("What is the weather in Oslo?"), whole, *_run(whole)])
    assistant = workspace.requests[-1].json["messages"][1]
    (reasoning, *rest) = assistant["content"]
    assert set(reasoning) == {"type", "summary"}
    (entry,) = reasoning["summary"]
    assert set(entry) == {"type", "text", "signature"}
    (standard,) = [block for block in whole.content_blocks if block["type"] == "reasoning"]
    assert standard["reasoning"] == entry["text"]
    assert standard["extras"] == {"signature": entry["signature"]}
    assert [part["type"] for part in rest] == ["text"]
    assert "index" not in str(assistant)
    assert not {"thinking_blocks", "reasoning_content"} & set(assistant)


def test_an_altered_signature_would_have_been_refused(workspace: LocalWorkspace) -> None:
    """The workspace really checks: what makes the tests above mean something."""
    model, settings = CLAUDE
    llm = _llm(workspace, model, {**settings, "strict_params": True}).bind_tools([get_weather])
    answer = llm.invoke("What is the weather in Oslo?")
    assert isinstance(answer.content, list)
    assert isinstance(answer.content[0], dict)
    answer.content[0]["summary"][0]["text"] += " altered"
    with pytest.raises(DatabricksInvalidRequestError, match="signature"):
        llm.invoke([HumanMessage("What is the weather in Oslo?"), answer, *_run(answer)])


@pytest.mark.parametrize(
    ("first", "second"), [(CLAUDE, GEMINI), (GEMINI, CLAUDE), (CLAUDE, ("databricks-gpt-5-2", {}))]
)
def test_a_conversation_moves_to_another_family(workspace: LocalWorkspace, first: Any, second: Any) -> None:
    tools = list(TOOLS.values())
    asked = HumanMessage("What is the weather in Oslo?")
    answer = _llm(workspace, *first).bind_tools(tools).invoke([asked])
    workspace.requests.clear()
    final = _llm(workspace, *second).bind_tools(tools).invoke([asked, answer, *_run(answer)])
    assert "raining in Oslo" in final.text
    assert "summary" not in str(workspace.requests[-1].json["messages"])


def test_thinking_of_chat_anthropic_reaches_claude_unchanged(workspace: LocalWorkspace) -> None:
    ours = _llm(workspace, *CLAUDE).bind_tools([get_weather]).invoke("What is the weather in Oslo?")
    assert isinstance(ours.content, list)
    assert isinstance(ours.content[0], dict)
    entry = ours.content[0]["summary"][0]
    theirs = AIMessage(
        content=[
            {"type": "thinking", "thinking": entry["text"], "signature": entry["signature"]},
            {"type": "text", "text": ours.text},
            {"type": "tool_use", "id": ours.tool_calls[0]["id"], "name": "get_weather", "input": {"city": "Oslo"}},
        ],
        tool_calls=ours.tool_calls,
        response_metadata={"model_provider": "anthropic"},
    )
    workspace.requests.clear()
    _llm(workspace, *CLAUDE).bind_tools([get_weather]).invoke(
        [HumanMessage("What is the weather in Oslo?"), theirs, *_run(theirs)]
    )
    (part, *_) = workspace.requests[-1].json["messages"][1]["content"]
    assert part == {"type": "reasoning", "summary": [entry]}
