"""Schemas that hold themselves, refer anywhere, or have no properties, over a socket in all four ways of calling."""

from __future__ import annotations

import json
import warnings
from typing import Annotated, Any, Literal

import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from pydantic import BaseModel, Field
from typing_extensions import NotRequired, TypedDict

from kit.scripted import Received, Scripted, ScriptedServer, sse
from kit.ways import Way, four_ways
from langchain_dbchat import ChatDatabricksCompat, DatabricksInvalidRequestError
from langchain_dbchat.local import LocalWorkspace

MODELS = [
    "databricks-claude-sonnet-4-6",
    "databricks-gpt-5-2",
    "databricks-gemini-3-5-flash",
    "databricks-gpt-oss-120b",
    "databricks-meta-llama-3-3-70b-instruct",
    "databricks-kimi-k3",
]


class Link(BaseModel):
    """A link of a chain."""

    name: str
    next: Link | None


class Step(BaseModel):
    """A step of a plan."""

    name: str
    done: bool = False
    then: list[Step] = []
    by: Person | None = None


class Person(BaseModel):
    """A person."""

    name: str
    knows: Person | None = None


class Note(BaseModel):
    """A note."""

    text: str
    tag: str = "none"


POINTS = {
    "title": "Points",
    "type": "object",
    "properties": {
        "home": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]},
        "work": {"$ref": "#/properties/home"},
        "site": {"type": "string", "format": "uri"},
    },
    "required": ["home", "work", "site"],
}
LISTED = {
    "title": "Listed",
    "anyOf": [{"$ref": "#/$defs/N"}],
    "$defs": {"N": Link.model_json_schema()["$defs"]["Link"]},
}
LISTED["$defs"]["N"]["properties"]["next"]["anyOf"][0]["$ref"] = "#/$defs/N"  # type: ignore[index]  # a plain dict


def _llm(workspace: LocalWorkspace, model: str, **settings: Any) -> ChatDatabricksCompat:
    return ChatDatabricksCompat(model=model, host=workspace.host, token=workspace.token, **settings)


@four_ways
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("strict", [None, True, False])
@pytest.mark.filterwarnings("ignore:strict was left out")
def test_what_holds_itself_or_refers_anywhere_is_taken(
    workspace: LocalWorkspace, model: str, strict: bool | None, call: Way
) -> None:
    llm = _llm(workspace, model)
    schema: Any
    for schema in (Link, Step, POINTS, dict[str, int], LISTED):
        said = strict if schema != dict[str, int] else None  # a map cannot be closed
        found: Any = call(llm.with_structured_output(schema, strict=said, include_raw=True), "Ada")
        assert found["parsing_error"] is None
        assert isinstance(found["parsed"], schema if schema in (Link, Step) else dict)
    bound = llm.bind_tools([Link, Step, POINTS, LISTED], strict=strict, tool_choice="Step")
    assert Step.model_validate(call(bound, "Ada").tool_calls[0]["args"]).name


@four_ways
def test_an_answer_that_is_asked_for_in_another_way_is_read_as_that(call: Way) -> None:
    arguments = '{"text": "x", "tag": null}'

    def reply(request: Received) -> Scripted:
        body = request.json
        if "response_format" in body:
            refusal = {"error_code": "BAD_REQUEST", "message": "response_format: Extra inputs are not permitted"}
            return Scripted(refusal, status=400)
        assert body["tools"][0]["function"]["parameters"]["additionalProperties"] is False
        calls = [{"index": 0, "id": "c1", "type": "function", "function": {"name": "my_note", "arguments": arguments}}]
        if body.get("stream"):
            return Scripted(sse({"choices": [{"index": 0, "delta": {"tool_calls": calls}, "finish_reason": "stop"}]}))
        return Scripted({"choices": [{"index": 0, "message": {"tool_calls": calls}, "finish_reason": "stop"}]})

    schema = {**Note.model_json_schema(), "title": "my.note"}
    with ScriptedServer(reply) as server:
        llm = ChatDatabricksCompat(model="my-own", host=server.url, token="dapi0")
        chain = llm.with_structured_output(schema, method="json_schema", strict=True, include_raw=True)
        with pytest.warns(UserWarning, match="refused 'response_format', so it is asked for in another way"):
            found: Any = call(chain, "x")
        again: Any = call(chain, "x")
    for one in (found, again):
        assert one["parsed"] == {"text": "x"}
        assert [(made["name"], made["args"]) for made in one["raw"].tool_calls] == [("my.note", {"text": "x"})]
    assert json.loads(server.requests[1].body)["tools"][0]["function"]["name"] == "my_note"


@four_ways
def test_an_error_names_the_model_that_the_user_named(workspace: LocalWorkspace, call: Way) -> None:
    llm = _llm(workspace, "databricks-claude-sonnet-4-6")
    schema = {"title": "Find", "type": "object", "properties": {"$filter": {"type": "string"}}}
    for made in (llm.bind_tools([schema]), llm.with_structured_output(schema)):
        with pytest.raises(ValueError, match=r"'Find' .*'\$filter'.*'databricks-claude-sonnet-4-6'") as caught:
            call(made, "x")
        assert "family" not in str(caught.value)


CHOICE = {
    "title": "Choice",
    "description": "A note or a link.",
    "anyOf": [
        {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
        {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]},
    ],
}


@pytest.mark.parametrize("strategy", [ProviderStrategy, ToolStrategy, lambda schema: schema])
@pytest.mark.parametrize("schema", [CHOICE, Step, {"type": "object", "title": "my.note", "additionalProperties": True}])
@pytest.mark.parametrize("model", ["databricks-gpt-5-2", "databricks-gemini-3-5-flash", "databricks-gpt-oss-120b"])
def test_an_agent_answers_in_any_schema(workspace: LocalWorkspace, model: str, schema: Any, strategy: Any) -> None:
    agent: Any = create_agent(_llm(workspace, model), [], response_format=strategy(schema))
    assert agent.invoke({"messages": [("human", "Ada")]})["structured_response"] is not None


def test_a_list_as_a_written_response_format_is_refused_in_words(workspace: LocalWorkspace) -> None:
    held = {"name": "Names", "schema": {"type": "array", "items": {"type": "string"}}}
    llm = _llm(workspace, "databricks-gpt-5-2").bind(response_format={"type": "json_schema", "json_schema": held})
    with pytest.raises(ValueError, match="The schema 'Names' cannot be sent: at the root, it is of type array"):
        llm.invoke("x")


class Trip(TypedDict):
    """A trip."""

    city: str
    days: NotRequired[int]
    note: NotRequired[Annotated[str, ..., "Anything else."]]


@four_ways
@pytest.mark.parametrize("model", MODELS)
def test_keys_of_a_typed_dict_that_are_not_required(workspace: LocalWorkspace, model: str, call: Way) -> None:
    llm = _llm(workspace, model)
    found: Any = call(llm.with_structured_output(Trip, include_raw=True), "Oslo")
    assert found["parsed"]["city"]
    assert None not in found["parsed"].values()
    made = call(llm.bind_tools([Trip], tool_choice="Trip"), "Oslo").tool_calls[0]
    assert made["args"]["city"]
    function = workspace.requests[-1].json["tools"][0]["function"]
    assert function["parameters"]["required"] == ["city"]
    assert function["parameters"]["properties"]["note"]["description"] == "Anything else."


class Cat(BaseModel):
    """A cat."""

    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    """A dog, which may have a friend, so that its schema contains itself."""

    kind: Literal["dog"]
    friend: Dog | None = None


class Parrot(BaseModel):
    """A parrot."""

    kind: Literal["parrot"]


class Home(BaseModel):
    """A home with pets."""

    first: Cat | Parrot = Field(discriminator="kind")
    pets: list[Annotated[Cat | Dog, Field(discriminator="kind")]] = []


class Cage(BaseModel):
    """A home without a pet that contains itself."""

    pet: Cat | Parrot = Field(discriminator="kind")


def _broken(schema: Any, root: Any) -> list[str]:
    """Return the references of a schema, and of its discriminators, that name nothing in it."""
    found: list[str] = []
    for node in _nodes(schema):
        references = [node.get("$ref"), *((node.get("discriminator") or {}).get("mapping") or {}).values()]
        for reference in (each for each in references if isinstance(each, str)):
            place: Any = root
            for step in reference.split("/")[1:]:
                place = place.get(step) if isinstance(place, dict) else None
            if place is None:
                found.append(reference)
    return found


def _nodes(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, list):
        return [node for inner in value for node in _nodes(inner)]
    return [value, *(node for inner in value.values() for node in _nodes(inner))] if isinstance(value, dict) else []


def _sent_schema(body: dict[str, Any]) -> Any:
    for tool in body.get("tools", ()):
        return tool.get("input_schema") or tool.get("parameters") or tool["function"]["parameters"]
    wanted = body.get("response_format") or body.get("text", {}).get("format") or body["output_config"]["format"]
    return wanted.get("schema") or wanted["json_schema"]["schema"]


@four_ways
@pytest.mark.parametrize("schema", [Home, Cage])
@pytest.mark.parametrize("strict", [None, True])
@pytest.mark.parametrize(
    ("model", "api"),
    [
        *((model, "chat") for model in MODELS),
        ("databricks-claude-sonnet-4-6", "messages"),
        ("databricks-gpt-5-2", "responses"),
    ],
)
def test_each_reference_that_is_sent_names_something(
    call: Way, schema: Any, strict: bool | None, model: str, api: Any
) -> None:
    """langchain-core removes the definitions that a union's discriminator names."""
    with ScriptedServer(lambda _: Scripted({"error_code": "BAD_REQUEST", "message": "no"}, status=400)) as server:
        llm = ChatDatabricksCompat(model=model, host=server.url, token="t", api=api, max_retries=0)
        asked: list[Any] = [llm.bind_tools([schema], strict=strict)]
        asked += [llm.with_structured_output(schema, method=way, strict=strict) for way in ("function_calling", None)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about strict, where it is not sent
            for runnable in asked:
                with pytest.raises(DatabricksInvalidRequestError):
                    call(runnable, "Hello")
    schemas = [_sent_schema(request.json) for request in server.requests]
    assert len(schemas) == 3
    assert [_broken(each, each) for each in schemas] == [[], [], []]
