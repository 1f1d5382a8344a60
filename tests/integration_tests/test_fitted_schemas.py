"""Schemas of tools and answers on every family, in four ways of calling: the server takes what is sent."""

from __future__ import annotations

import json
import warnings
from typing import Any, Literal, Optional

import pytest
from langchain_core.tools import BaseTool, StructuredTool, tool
from pydantic import BaseModel, Field
from pydantic.v1 import BaseModel as BaseModelV1
from typing_extensions import NotRequired, TypedDict

from kit.scripted import Scripted, ScriptedServer, sse
from kit.ways import Way, four_ways
from langchain_dbchat import ChatDatabricksCompat
from langchain_dbchat.local import LocalWorkspace

MODELS = [
    "databricks-claude-sonnet-4-6",
    "databricks-gpt-5-2",
    "databricks-gemini-3-5-flash",
    "databricks-gpt-oss-120b",
    "databricks-meta-llama-3-3-70b-instruct",
]
TEXT = {"type": "string"}
ASK = "Plant an oak called Anna."


def llm_of(workspace: LocalWorkspace, model: str) -> ChatDatabricksCompat:
    return ChatDatabricksCompat(model=model, host=workspace.host, token=workspace.token)


def of_schema(schema: dict[str, Any]) -> BaseTool:
    return StructuredTool.from_function(lambda **given: str(given), name="plant", description="P.", args_schema=schema)


class Node(BaseModel):
    """A node of a tree."""

    name: str
    children: list["Node"] = []
    parent: Optional["Node"] = None


class NodeV1(BaseModelV1):
    """A node of a tree."""

    name: str
    children: list[NodeV1] = []


NodeV1.update_forward_refs()


class NodeDict(TypedDict):
    """A node of a tree."""

    name: str
    children: NotRequired[list[NodeDict]]


class Left(BaseModel):
    """A node whose children are of the other kind."""

    name: str
    rights: dict[str, "Right"] = {}


class Right(BaseModel):
    """The other kind."""

    name: str
    lefts: list[Left] = []


Left.model_rebuild()


def plant(root: Node, deep: int = 1) -> str:
    """Plant a tree."""  # it is the tool's description
    return f"{root}{deep}"


PLAIN_NODE = {"type": "object", "properties": {"name": TEXT, "kids": {"type": "array", "items": {"$ref": "#/$defs/N"}}}}
RECURSIVE: list[Any] = [
    Node,
    NodeV1,
    NodeDict,
    Left,
    plant,
    tool(plant),
    StructuredTool.from_function(plant, args_schema=Node),
    of_schema({"type": "object", "properties": {"root": {"$ref": "#/$defs/N"}}, "$defs": {"N": PLAIN_NODE}}),
]


def depth_of(schema: Any, root: dict[str, Any], seen: int = 0) -> int:
    """Count how deep objects with a ``name`` stand within each other, references followed; at most 5."""
    if not isinstance(schema, dict) or seen > 25:
        return 0
    if "$ref" in schema:
        target: Any = root
        for step in schema["$ref"].split("/")[1:]:
            target = target[step]
        return depth_of(target, root, seen + 1)
    below = [*schema.get("properties", {}).values(), *schema.get("anyOf", ()), schema.get("items")]
    below.append(schema.get("additionalProperties"))
    inner = max((depth_of(one, root, seen + 1) for one in below), default=0)
    return min(5, ("name" in schema.get("properties", {})) + inner)


@four_ways
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("given", RECURSIVE, ids=lambda given: getattr(given, "__name__", type(given).__name__))
def test_a_tool_that_holds_itself_keeps_its_children(
    workspace: LocalWorkspace, model: str, given: Any, call: Way
) -> None:
    answer = call(llm_of(workspace, model).bind_tools([given], tool_choice="any"), ASK)
    assert len(answer.tool_calls) == 1
    (request,) = workspace.requests
    parameters = request.json["tools"][0]["function"]["parameters"]
    assert parameters["type"] == "object"
    if given is Left and "gemini" in model:  # a map's values are told in the description
        assert "lefts" in json.dumps(parameters["properties"]["rights"]["description"])
    else:
        assert depth_of(parameters, parameters) >= 2


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
@pytest.mark.parametrize("strict", [None, True])
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("given", [Node, NodeV1, NodeDict], ids=lambda given: given.__name__)
def test_an_answer_that_holds_itself(
    workspace: LocalWorkspace, model: str, given: Any, strict: bool | None, method: Any
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        structured = llm_of(workspace, model).with_structured_output(given, method=method, strict=strict)
        whole = structured.invoke(ASK)
        streamed = list(structured.stream(ASK))[-1]
    assert whole == streamed
    assert isinstance(whole, dict if given is NodeDict else given)
    body = workspace.requests[0].json
    if method == "json_schema":
        sent = body["response_format"]["json_schema"]["schema"]
    else:
        sent = body["tools"][0]["function"]["parameters"]
    assert depth_of(sent, sent) >= 2


class Odd(BaseModel):
    """Odd types."""

    name: str
    box: tuple[int, int]
    stars: Literal[1, 2, 3]
    note: str = "nothing"
    mark: Literal["a", "b"] = "b"
    several: list[tuple[int, int]] = []
    maybe: int | None = None
    choice: str | int = Field(default="x", description="A word or a number.")


@four_ways
@pytest.mark.parametrize("strict", [None, True])
@pytest.mark.parametrize("model", MODELS)
def test_odd_types_in_a_tool(workspace: LocalWorkspace, model: str, strict: bool | None, call: Way) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        answer = call(llm_of(workspace, model).bind_tools([Odd], tool_choice="any", strict=strict), ASK)
    (made,) = answer.tool_calls
    sent = workspace.requests[-1].json["tools"][0]["function"]["parameters"]
    assert sent["properties"].keys() == Odd.model_fields.keys()
    assert made["args"]["name"]


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
@pytest.mark.parametrize("strict", [None, False, True])
@pytest.mark.parametrize("model", [name for name in MODELS if "gemini" not in name])
def test_odd_types_in_an_answer(workspace: LocalWorkspace, model: str, strict: bool | None, method: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        structured = llm_of(workspace, model).with_structured_output(Odd, method=method, strict=strict)
        assert isinstance(structured.invoke(ASK), Odd)
        assert isinstance(list(structured.stream(ASK))[-1], Odd)


FILE = {"title": "File", "properties": {"path": TEXT, "kind": {"const": "file"}}, "required": ["path", "kind"]}
PAGE = {"title": "Page", "properties": {"url": TEXT, "kind": {"const": "page"}}, "required": ["url", "kind"]}
UNUSUAL: dict[str, dict[str, Any]] = {
    "branches": {"anyOf": [FILE, PAGE]},
    "no properties": {"type": "object"},
    "nothing": {},
    "draft 4": {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "type": "object",
        "properties": {
            "n": {"type": "integer", "minimum": 0, "exclusiveMinimum": True},
            "pair": {"type": "array", "items": [TEXT, {"type": "integer"}]},
            "list": {"type": "array"},
            "any": {"type": "any"},
        },
    },
    "openapi": {"type": "object", "properties": {"a": {"type": "string", "nullable": True, "enum": ["x", "y"]}}},
    "root reference": {"$ref": "#/definitions/A", "definitions": {"A": {"type": "object", "properties": {"a": TEXT}}}},
    "conditions": {
        "type": "object",
        "properties": {"a": TEXT, "b": TEXT},
        "if": {"required": ["a"]},
        "then": {"required": ["b"]},
        "not": {"required": ["c"]},
    },
}


@four_ways
@pytest.mark.parametrize("name", UNUSUAL)
@pytest.mark.parametrize("model", MODELS)
def test_unusual_tools_are_taken_by_every_family(workspace: LocalWorkspace, model: str, name: str, call: Way) -> None:
    bound = llm_of(workspace, model).bind_tools([of_schema(UNUSUAL[name])], tool_choice="any")
    assert [made["name"] for made in call(bound, ASK).tool_calls] == ["plant"]


@four_ways
@pytest.mark.parametrize("model", MODELS)
def test_what_cannot_be_sent_raises_before_the_request(workspace: LocalWorkspace, model: str, call: Way) -> None:
    with pytest.raises(ValueError, match="The tool 'plant' cannot be sent: .*array"):
        call(llm_of(workspace, model).bind_tools([of_schema({"type": "array", "items": TEXT})]), ASK)
    assert not workspace.requests


@four_ways
def test_a_name_that_claude_refuses_raises_before_the_request(workspace: LocalWorkspace, call: Way) -> None:
    filtered = of_schema({"type": "object", "properties": {"$filter": TEXT}})
    with pytest.raises(ValueError, match=r"The tool 'plant' cannot be sent: .*'\$filter'"):
        call(llm_of(workspace, "databricks-claude-opus-5").bind_tools([filtered]), ASK)
    assert not workspace.requests
    assert call(llm_of(workspace, "databricks-gpt-5-2").bind_tools([filtered], tool_choice="any"), ASK).tool_calls


class Find(BaseModel):
    """Find something."""

    text: str
    limit: int = 5
    inner: list[Node] = []
    maybe: int | None = None


FOUND = {"text": "x", "limit": None, "inner": [{"name": "a", "children": None, "parent": None}], "maybe": None}
KEPT = {"text": "x", "inner": [{"name": "a", "parent": None}], "maybe": None}


def event(delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
    return {"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}


def replying(arguments: str, reason: str = "tool_calls") -> Any:
    """Answer with a call, whose arguments are streamed in small pieces."""

    def reply(request: Any) -> Scripted:
        made = {"id": "call_1", "type": "function", "function": {"name": "Find", "arguments": ""}}
        if request.json.get("stream"):
            head = {"role": "assistant", "content": "Let me see.", "tool_calls": [{"index": 0, **made}]}
            pieces = [arguments[place : place + 7] for place in range(0, len(arguments), 7)]
            rest = [event({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}) for piece in pieces]
            return Scripted(sse(event(head), *rest, event({}, reason)))
        made["function"] = {"name": "Find", "arguments": arguments}
        message = {"role": "assistant", "content": "Let me see.", "tool_calls": [made]}
        return Scripted({"id": "c", "choices": [{"index": 0, "message": message, "finish_reason": reason}]})

    return reply


def saying(value: Any) -> Any:
    """Answer with JSON as text, in two pieces when streamed."""
    text = json.dumps(value)

    def reply(request: Any) -> Scripted:
        if request.json.get("stream"):
            return Scripted(sse(event({"content": text[:20]}), event({"content": text[20:]}), event({}, "stop")))
        message = {"role": "assistant", "content": text}
        return Scripted({"id": "c", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})

    return reply


@four_ways
@pytest.mark.parametrize("coalesce", [True, False])
def test_nulls_of_a_strict_tool_do_not_come_back(call: Way, coalesce: bool) -> None:
    with ScriptedServer(replying(json.dumps(FOUND))) as server:
        llm = ChatDatabricksCompat(model="m", base_url=server.url, api_key="k", coalesce=coalesce)
        answer = call(llm.bind_tools([Find], strict=True), "Find x.")
        assert answer.tool_calls[0]["args"] == KEPT
        assert answer.tool_calls[0]["id"] == "call_1"
        assert answer.text == "Let me see."
        assert isinstance(Find(**answer.tool_calls[0]["args"]), Find)
        parameters = server.requests[0].json["tools"][0]["function"]["parameters"]
        assert parameters["required"] == ["text", "limit", "inner", "maybe"]
        assert parameters["$defs"]["Node"]["additionalProperties"] is False
        # The arguments of a tool that is not strict stay as the model wrote them.
        assert call(llm.bind_tools([Find]), "Find x.").tool_calls[0]["args"] == FOUND


@four_ways
def test_arguments_of_a_strict_tool_that_were_cut_off_are_an_invalid_call(call: Way) -> None:
    cut = json.dumps(FOUND)[:25]
    with ScriptedServer(replying(cut, "length")) as server:
        llm = ChatDatabricksCompat(model="m", base_url=server.url, api_key="k")
        answer = call(llm.bind_tools([Find], strict=True), "Find x.")
    assert answer.tool_calls == []
    assert (answer.invalid_tool_calls[0]["args"] or "").startswith(cut)


@four_ways
def test_arguments_without_nulls_come_back_as_they_were_written(call: Way) -> None:
    with ScriptedServer(replying('{ "text" : "x" ,"limit":3}')) as server:
        llm = ChatDatabricksCompat(model="m", base_url=server.url, api_key="k")
        answer = call(llm.bind_tools([Find], strict=True), "Find x.")
    assert answer.tool_calls[0]["args"] == {"text": "x", "limit": 3}


def test_nulls_of_a_strict_answer_do_not_break_the_callers_schema() -> None:
    with ScriptedServer(saying(FOUND)) as server:
        llm = ChatDatabricksCompat(model="m", base_url=server.url, api_key="k", family="gpt-5-2")
        structured = llm.with_structured_output(Find)
        expected = Find.model_validate(KEPT)
        assert structured.invoke("Find x.") == expected
        assert list(structured.stream("Find x."))[-1] == expected
        assert server.requests[0].json["response_format"]["json_schema"]["strict"] is True
        properties = {"text": TEXT, "limit": {"type": "integer"}}
        schema = {"title": "Find", "type": "object", "properties": properties, "required": ["text"]}
        as_dict: Any = llm.with_structured_output(schema)
        assert "limit" not in as_dict.invoke("Find x.")
        assert "limit" not in list(as_dict.stream("Find x."))[-1]
        llm.with_structured_output(Find, strict=False).invoke("Find x.")
        assert server.requests[-1].json["response_format"]["json_schema"]["strict"] is False


def test_an_answer_with_a_map_is_not_strict_unless_asked(workspace: LocalWorkspace) -> None:
    class Counts(BaseModel):
        """Counts."""

        name: str
        of: dict[str, int]

    llm = llm_of(workspace, "databricks-gpt-5-2")
    assert isinstance(llm.with_structured_output(Counts).invoke(ASK), Counts)
    assert "strict" not in workspace.requests[-1].json["response_format"]["json_schema"]
    with pytest.raises(ValueError, match=r"The schema 'Counts' cannot be sent: at the property 'of', .*\(a map"):
        llm.with_structured_output(Counts, strict=True).invoke(ASK)


def test_what_is_asked_for_in_the_other_way_is_fitted_too() -> None:
    refused = {"error_code": "BAD_REQUEST", "message": "response_format: Extra inputs are not permitted"}

    def reply(request: Any) -> Scripted:
        if "response_format" in request.json:
            return Scripted(refused, status=400)
        made: Scripted = replying(json.dumps(FOUND))(request)
        return made

    with ScriptedServer(reply) as server:
        llm = ChatDatabricksCompat(model="my-own", host=server.url, token="dapi0")
        structured = llm.with_structured_output(Find, method="json_schema", strict=True)
        with pytest.warns(UserWarning, match="asked for in another way"):
            assert structured.invoke("Find x.") == Find.model_validate(KEPT)
        function = server.requests[-1].json["tools"][0]["function"]
    assert function["strict"] is True
    assert function["parameters"]["additionalProperties"] is False
