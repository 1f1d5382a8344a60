"""No answer of ours spoils a thread: whatever was answered, each model of the workspace takes the next turn."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.load import dumps, loads
from langchain_core.messages import AIMessage, AIMessageChunk, AnyMessage, HumanMessage, SystemMessage, ToolMessage
from pydantic_core import to_json

from kit.encoding import encode_request
from kit.targets import event, keeping_partial, target
from langchain_dbchat.dialects.chat_completions.decode import ChatStreamDecoder, decode_answer
from langchain_dbchat.dialects.dialect import Target
from langchain_dbchat.errors import StreamInterruptedError
from langchain_dbchat.local.models import CHAT
from langchain_dbchat.local.refusals import Refused
from langchain_dbchat.local.rule_model.reasoning_signer import ReasoningSigner
from langchain_dbchat.local.surfaces.chat_completions import checks
from langchain_dbchat.local.surfaces.chat_completions.request import ChatRequestBody
from langchain_dbchat.local.surfaces.messages import checks as messages_checks
from langchain_dbchat.local.surfaces.messages.request import MessagesRequestBody
from langchain_dbchat.models.families import GENERIC, family_of

SEAL = ReasoningSigner()
SERVED = {
    (family_of(f"databricks-{model.name}").name, model.family.name, model.vision, model.generates_images): model
    for model in CHAT
    if not model.responses_only and family_of(f"databricks-{model.name}") is not GENERIC
}
"""One model of each kind whose name says what it is."""
words = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
blanks = st.sampled_from(["", " ", "\n", "\u3000", "\u00a0\t"])
texts = words | blanks
ids = st.sampled_from(
    ["functions.search:0", "call|fc_1", "", None, "call_0", "toolu_01", "x" * 83, "chatcmpl-tool-9", "a b", "é"]
)
arguments = st.sampled_from(
    ["", "{}", '{"a": 1}', '{"a": "hel', "[1]", "null", '{"a": NaN}', '{"a": "\\ud83d"}', "{} {}", '"{}"', "not JSON"]
)
PNG = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
PARTS: list[Any] = [
    {"type": "text", "text": "words"},
    {"type": "text", "text": " "},
    {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
    {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm", "signature": "S"}]},
    PNG,
    {"type": "refusal", "refusal": "no"},
    {"type": "hologram", "id": "h1"},
]
RESULTS: list[Any] = [
    "42",
    "",
    "  ",
    [],
    ["a", {"temperature": 3}],
    [{"type": "resource_link", "uri": "https://x.org/a.csv", "name": "a"}],
    [{"type": "image", "url": "https://x.org/a.png"}, "see"],
    [PNG],
    [{"type": "hologram"}],
    [{"type": "reasoning", "reasoning": "r"}],
    [{"type": "tool_result", "tool_use_id": "z", "content": [{"type": "text", "text": "inner"}]}],
]


@st.composite
def wire_answers(draw: st.DrawFn) -> tuple[dict[str, Any], str]:
    """A message of a server's, and its finish reason."""
    content = draw(texts) if draw(st.booleans()) else draw(st.lists(st.sampled_from(PARTS)))
    message: dict[str, Any] = {"role": "assistant", "content": content}
    calls = [
        {"id": draw(ids), "type": "function", "function": {"name": draw(st.sampled_from(["f", ""])), "arguments": text}}
        for text in draw(st.lists(arguments, max_size=3))
    ]
    says_none = draw(st.booleans())
    if calls or says_none:
        message["tool_calls"] = calls
    message["refusal"] = draw(st.sampled_from([None, "", " ", "I can't."]))
    return message, draw(st.sampled_from(["stop", "length", "tool_calls", "content_filter"]))


def read(message: dict[str, Any], finish: str, way: str, made_by: Target) -> AIMessage | None:
    """Read an answer whole, streamed, or from a stream that broke off."""
    if way == "whole":
        body = {"id": "a1", "choices": [{"index": 0, "message": message, "finish_reason": finish}]}
        whole = decode_answer(to_json(body), made_by, None).generations[0].message
        assert isinstance(whole, AIMessage)
        return whole
    decoder = ChatStreamDecoder(made_by)
    calls = [{**call, "index": index} for index, call in enumerate(message.get("tool_calls", []))]
    delta = {**message, "tool_calls": calls} if calls else message
    try:
        with keeping_partial(decoder):
            events = [[event(delta)]] if way == "broken" else [[event(delta)], [event({}, finish)]]
            chunks = [chunk.message for group in events for chunk in decoder.feed(group)]
            chunks += [chunk.message for chunk in decoder.close()]
    except StreamInterruptedError as error:
        return error.partial
    total = None
    for chunk in chunks:
        assert isinstance(chunk, AIMessageChunk)
        total = chunk if total is None else total + chunk
    return total


@st.composite
def threads(draw: st.DrawFn) -> list[AnyMessage]:
    """User turns and our own answers, with results that are there or not."""
    thread: list[AnyMessage] = [SystemMessage("Be brief.")] if draw(st.booleans()) else []
    if draw(st.booleans()):
        thread.append(AIMessage("Hello, how can I help?"))
    for _ in range(draw(st.integers(1, 3))):
        thread.extend(HumanMessage("Go on.") for _ in range(draw(st.integers(0, 2))))
        made_by = draw(st.sampled_from([target("generic", "other"), target("glm-5-2"), target("gpt-oss")]))
        answer = read(*draw(wire_answers()), draw(st.sampled_from(["whole", "streamed", "broken"])), made_by)
        if answer is None:
            continue
        if draw(st.booleans()):
            answer = loads(dumps(answer), allowed_objects=[AIMessage, AIMessageChunk])
        thread.append(answer)
        late: list[AnyMessage] = []
        for call in [*answer.tool_calls, *answer.invalid_tool_calls]:
            result = ToolMessage(draw(st.sampled_from(RESULTS)), tool_call_id=call["id"] or "")
            where = draw(st.sampled_from(["behind", "late", "nowhere"]))
            if where != "nowhere":
                (thread if where == "behind" else late).append(result)
        if late:
            thread.extend([HumanMessage("Hurry."), *late])
    return [*thread, HumanMessage("So?")]


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(threads())
def test_every_model_takes_the_next_turn(thread: list[AnyMessage]) -> None:
    before = copy.deepcopy(thread)
    for model in SERVED.values():
        endpoint = f"databricks-{model.name}"
        to = Target(endpoint, family_of(endpoint))
        body = encode_request(thread, {}, to, stream=False).body
        to_json(body)
        try:
            checks.check(ChatRequestBody(model, endpoint, body, SEAL, "path"))
        except Refused as refused:
            pytest.fail(f"{endpoint}: {refused.body}\n{body}")
        if model.family.name == "claude":
            body = encode_request(thread, {}, to, stream=False, api="messages").body
            try:
                messages_checks.check(MessagesRequestBody(model, endpoint, body, SEAL))
            except Refused as refused:
                pytest.fail(f"{endpoint}: {refused.body}\n{body}")
    assert repr(thread) == repr(before)
