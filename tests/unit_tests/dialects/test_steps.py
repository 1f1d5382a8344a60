"""The steps of an agent: blocks of its content, calls that only the agent executes, calls that are the caller's."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage

from langchain_dbchat.dialects.shared.answer import translators
from langchain_dbchat.dialects.shared.answer.parts import ToolCallPart
from langchain_dbchat.dialects.shared.answer.steps import AgentSteps, read_step
from langchain_dbchat.dialects.shared.blocks.content import is_server_work, read_block
from langchain_dbchat.dialects.shared.blocks.content_blocks import (
    ProviderBlock,
    TextBlock,
    ToolResultBlock,
    ToolUseBlock,
)
from langchain_dbchat.dialects.shared.blocks.message_keys import PROVIDER

translators.register()

CALL = {"type": "server_tool_call", "id": "c1", "name": "weather", "args": {"city": "Oslo"}}
RESULT = {"type": "server_tool_result", "tool_call_id": "c1", "status": "success", "output": "12 °C"}
SAID = {"type": "agent_message", "text": "Let me look.", "id": "m1", "name": "planner"}


def called(steps: AgentSteps, arguments: str = '{"city": "Oslo"}', call_id: str = "c1") -> dict[str, Any] | None:
    part = steps.call(call_id, "weather", arguments)
    return None if part is None else part.block


def test_a_call_and_its_result_are_standard_blocks() -> None:
    steps = AgentSteps()
    assert called(steps) == CALL
    assert steps.result("c1", "12 °C").block == RESULT
    assert steps.result("c2", "no", failed=True, extras={"name": "f", "id": "t1", "attachments": None}).block == {
        "type": "server_tool_result",
        "tool_call_id": "c2",
        "status": "error",
        "output": "no",
        "extras": {"name": "f", "id": "t1"},
    }
    assert steps.message("Let me look.", {"id": "m1", "name": "planner"}).block == SAID


def test_a_call_without_a_result_is_the_callers() -> None:
    steps = AgentSteps()
    called(steps)
    called(steps, call_id="c2")
    steps.result("c1", "12 °C")
    assert steps.unanswered() == [ToolCallPart(None, "c2", "weather", '{"city": "Oslo"}')]


def test_a_call_that_is_repeated_is_one_call_and_one_with_other_arguments_is_another() -> None:
    steps = AgentSteps()
    called(steps)
    assert called(steps) is None
    steps.result("c1", "12 °C")
    assert called(steps) is None
    assert steps.unanswered() == []
    assert called(steps, "{}") == {**CALL, "args": {}}
    assert [call.arguments for call in steps.unanswered()] == ["{}"]


@pytest.mark.parametrize("arguments", ["[1]", '{"city": "Os', "not JSON"])
def test_arguments_that_are_not_an_object_are_kept(arguments: str) -> None:
    block = called(AgentSteps(), arguments)
    assert block is not None
    assert block["args"] == {"invalid_arguments": arguments}


def test_numbers_that_a_checkpoint_cannot_store_become_text() -> None:
    steps = AgentSteps()
    block = called(steps, f'{{"n": {2**70}}}')
    assert block is not None
    assert block["args"] == {"n": str(2**70)}
    assert steps.result("c1", {"n": 2**70}).block["output"] == {"n": str(2**70)}


def test_the_standard_blocks_contain_a_call_once() -> None:
    metadata = {"model_provider": PROVIDER}
    call = {"type": "tool_call", "name": "weather", "args": {"city": "Oslo"}, "id": "c1"}
    content: list[Any] = [CALL, {**CALL, "id": "c0"}, {**RESULT, "tool_call_id": "c0"}, {"type": "text", "text": "a"}]
    message = AIMessage(content=content, tool_calls=[call], response_metadata=metadata)
    kinds = ["server_tool_call", "server_tool_result", "text", "tool_call"]
    assert [block["type"] for block in message.content_blocks] == kinds
    assert [block.get("id") for block in message.content_blocks if "call" in block["type"]] == ["c0", "c1"]
    assert len(message.content) == 4
    part = {"type": "tool_call_chunk", "name": "weather", "args": "{}", "id": "c1", "index": 0}
    chunk = AIMessageChunk(content=content, tool_call_chunks=[part], response_metadata=metadata, chunk_position="last")
    assert [block["type"] for block in chunk.content_blocks] == kinds


def test_a_step_is_not_text_and_is_a_standard_block() -> None:
    content: list[Any] = [SAID, CALL, RESULT, {"type": "text", "text": "It is 12 °C."}]
    message = AIMessage(content=content, response_metadata={"model_provider": PROVIDER})
    assert message.text == "It is 12 °C."
    assert message.content_blocks == [{"type": "non_standard", "value": SAID}, CALL, RESULT, content[-1]]


@pytest.mark.parametrize(
    ("block", "record"),
    [
        (CALL, ToolUseBlock("c1", "weather", {"city": "Oslo"})),
        ({**CALL, "extras": {"thought_signature": "T"}}, None),
        (RESULT, ToolResultBlock("c1", (TextBlock("12 °C"),))),
        ({**RESULT, "output": [1], "status": "error"}, ToolResultBlock("c1", (TextBlock("[1]"),), failed=True)),
        (SAID, TextBlock("Let me look.", extras={"id": "m1", "name": "planner"})),
    ],
)
def test_steps_are_read_back(block: dict[str, Any], record: Any) -> None:
    read = read_step(block)
    if record is None:
        record = ToolUseBlock("c1", "weather", {"city": "Oslo"}, extras={"thought_signature": "T"})
    assert read == record


def test_other_blocks_are_not_steps() -> None:
    for block in ({"type": "text", "text": "a"}, {"type": "tool_result"}, {}):
        assert read_step(block) is None


def test_steps_are_left_out_for_a_model_and_in_a_users_message() -> None:
    for given in (CALL, RESULT, SAID):
        (block,) = read_block(HumanMessage([given]).content[0])
        assert isinstance(block, ProviderBlock)
        assert is_server_work(block, in_answer=True)
        assert is_server_work(block, in_answer=False)
