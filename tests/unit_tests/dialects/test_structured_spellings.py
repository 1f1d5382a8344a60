"""How a schema may be spelled, what is asked for then, how the answer is read, and what its output schema is."""

from __future__ import annotations

import copy
import dataclasses
import enum
import pickle
from typing import Any, Generic, Literal, Optional, TypeVar, Union

import pytest
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from pydantic import BaseModel, ConfigDict, RootModel, TypeAdapter
from pydantic.v1 import BaseModel as BaseModelV1
from typing_extensions import TypedDict

from langchain_dbchat import ChatDatabricksCompat
from langchain_dbchat.chat_models.structured import ask_for
from langchain_dbchat.chat_models.structured_parsers import StructuredAnswerParser
from langchain_dbchat.dialects.shared.request.formats import encode_format
from langchain_dbchat.dialects.shared.request.spellings import is_object, read_schema, wrap

T = TypeVar("T")
PERSON = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
TITLED = {"title": "Person", "description": "A person.", **PERSON}
INNER = {"name": "Person", "description": "A person.", "schema": PERSON, "strict": True}
FUNCTION = {"name": "Person", "description": "A person.", "parameters": PERSON}
SPELLINGS: dict[str, dict[str, Any]] = {
    "inner": INNER,
    "whole": {"type": "json_schema", "json_schema": INNER},
    "responses": {"type": "json_schema", **INNER},
    "tool": {"type": "function", "function": {**FUNCTION, "strict": True}},
    "responses tool": {"type": "function", **FUNCTION, "strict": True},
    "function": FUNCTION,
    "anthropic": {"name": "Person", "description": "A person.", "input_schema": PERSON},
    "anthropic custom": {"type": "custom", "name": "Person", "description": "A person.", "input_schema": PERSON},
    "mcp": {"name": "Person", "description": "A person.", "inputSchema": PERSON},
    "bedrock": {"toolSpec": {"name": "Person", "description": "A person.", "inputSchema": {"json": PERSON}}},
    "titled": TITLED,
    "named": {"name": "Person", "description": "A person.", **PERSON},
    "titled within": {"schema": TITLED},
    "referred": {"title": "Person", "description": "A person.", "$ref": "#/$defs/P", "$defs": {"P": PERSON}},
}


class Cat(BaseModel):
    """A cat."""

    meow: int


class Dog(BaseModel):
    """A dog."""

    bark: str


class Box(BaseModel, Generic[T]):
    """A box."""

    value: T


class Cats(RootModel[list[Cat]]):
    """Some cats."""


class Old(BaseModelV1):
    """An old class."""

    name: str


class OldList(BaseModelV1):
    """An old list."""

    __root__: list[int]


class Color(enum.Enum):
    """A colour."""

    RED = "red"


@dataclasses.dataclass
class Point:
    """A point."""

    x: int
    y: Optional[int] = None  # noqa: UP045  # Pydantic reads it on Python 3.10, too


class Row(TypedDict):
    """A row."""

    x: int


class Node(BaseModel):
    """A tree."""

    name: str
    children: list[Node] = []


def _asked(schema: Any, method: Any = "function_calling", strict: bool | None = None) -> dict[str, Any]:
    return ask_for(schema, method, strict, ())[0]


def _function(bound: dict[str, Any]) -> dict[str, Any]:
    function: dict[str, Any] = bound["tools"][0]["function"]
    return function


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_asks_for_the_same(spelling: str) -> None:
    schema = SPELLINGS[spelling]
    before = copy.deepcopy(schema)
    function = _function(_asked(schema))
    assert function["name"] == "Person"
    assert function["description"] == "A person."
    assert function["parameters"]["properties"] == PERSON["properties"]
    assert function["parameters"]["required"] == ["name"]
    held = _asked(schema, "json_schema")["response_format"]["json_schema"]
    assert held["name"] == "Person"
    assert held["schema"]["properties"] == PERSON["properties"]
    assert encode_format(schema)["json_schema"]["name"] == "Person"
    assert encode_format(schema)["json_schema"]["schema"]["properties"] == PERSON["properties"]
    assert schema == before
    strict = "strict" in str(schema)
    assert function.get("strict") is (True if strict else None)
    assert held.get("strict") is (True if strict else None)
    assert encode_format(schema)["json_schema"].get("strict") is (True if strict else None)


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("strict", [True, False])
def test_the_argument_goes_before_a_strict_within(spelling: str, strict: bool) -> None:
    bound = _asked(SPELLINGS[spelling], strict=strict)
    assert _function(bound)["strict"] is strict
    held = _asked(SPELLINGS[spelling], "json_schema", strict)["response_format"]["json_schema"]
    assert held["strict"] is strict


def test_a_schema_without_a_title_has_a_name() -> None:
    assert _function(_asked(PERSON))["name"] == "answer"
    assert encode_format(PERSON)["json_schema"] == {"name": "answer", "schema": PERSON}
    assert encode_format({"type": "json_schema", "json_schema": {"schema": PERSON}})["json_schema"]["name"] == "answer"
    assert read_schema({"properties": {"a": {}}}).schema == {"properties": {"a": {}}}
    assert wrap({"properties": {"a": {}}}) == ({"type": "object", "properties": {"a": {}}}, None)


def test_tools_are_spelled_alike() -> None:
    llm = ChatDatabricksCompat(model="m", host="https://a.cloud.databricks.com", token="t")
    for spelling in ("tool", "responses tool"):
        bound: Any = llm.bind_tools([SPELLINGS[spelling]], strict=False)
        assert bound.kwargs["tools"] == [
            {"type": "function", "function": {**FUNCTION, "strict": False}},
        ]


ROOTS: list[Any] = [
    {"title": "Pet", "anyOf": [{"type": "object", "properties": {"a": {"type": "string"}}}, {"type": "string"}]},
    {"title": "Pet", "oneOf": [PERSON, {"type": "null"}]},
    {"title": "Pet", "allOf": [PERSON, {"required": ["name"]}]},
    {"title": "Pet", "type": "object", "properties": {"a": {}}, "anyOf": [{"required": ["a"]}]},
    {"type": "array", "items": {"type": "integer"}},
    {"type": "string", "pattern": "^a"},
    {"type": "integer"},
    {"type": "boolean"},
    {"type": ["object", "null"], "properties": {"a": {}}},
    {"enum": ["a", "b"]},
    {"const": 3},
    {"not": {"type": "string"}},
    {"$ref": "#/$defs/S", "$defs": {"S": {"type": "string"}}},
    {"$ref": "https://example.com/schema"},
    {"name": "Pet", "schema": {"anyOf": [PERSON]}},
    list[int],
    int,
    str,
    bool,
    Literal["p", "q"],
    Union[Cat, Dog],  # noqa: UP007  # the other spelling
    Cat | Dog,
    Cat | None,
    Cats,
    OldList,
    Color,
    TypeAdapter(list[Dog]),
    list[Cat],
    tuple[int, str],
    set[str],
]


@pytest.mark.parametrize("schema", ROOTS, ids=str)
def test_any_other_root_is_wrapped_whole(schema: Any) -> None:
    for method in ("function_calling", "json_schema"):
        bound = _asked(schema, method)
        sent = (
            _function(bound)["parameters"]
            if method == "function_calling"
            else bound["response_format"]["json_schema"]["schema"]
        )
        assert is_object(sent)
        assert sent["required"] == ["value"]
        inner = sent["properties"]["value"]
        wanted = read_schema(schema).schema
        definitions = {key: value for key, value in sent.items() if key == "$defs"}
        assert {**inner, **definitions} == wanted


def test_references_follow_into_the_wrapper() -> None:
    schema = {
        "anyOf": [
            {"type": "object", "properties": {"next": {"$ref": "#"}}},
            {"$ref": "#/$defs/S"},
            {"$ref": "#/anyOf/0"},
        ],
        "$defs": {"S": {"type": "array", "items": {"$ref": "#"}}},
    }
    sent, key = wrap(schema)
    assert key == "value"
    branches = sent["properties"]["value"]["anyOf"]
    assert branches[0]["properties"]["next"] == {"$ref": "#/properties/value"}
    assert branches[1] == {"$ref": "#/$defs/S"}
    assert branches[2] == {"$ref": "#/properties/value/anyOf/0"}
    assert sent["$defs"]["S"]["items"] == {"$ref": "#/properties/value"}


def test_the_wrapper_is_none_of_the_schemas_own_names() -> None:
    sent, key = wrap(read_schema(Box[int] | Dog).schema)
    assert key == "answer"
    assert list(sent["properties"]) == ["answer"]


NOT_SCHEMAS: list[Any] = [
    "Person", 3, 1.5, True, [PERSON], {}, {"city": "string"}, {"name": "X"}, {"title": "X", "description": "Y"}, Any,
    Cat(meow=1), {"type": "json_schema"}, {"type": "json_schema", "json_schema": {"name": "X"}}, {"type": "text"},
    {"type": "json_object"}, {"type": "function", "function": {"name": "x"}}, {"type": "function", "name": "x"},
    {"toolSpec": {"name": "x"}}, {"name": "x", "schema": {}}, {"name": "x", "parameters": None}, RootModel[Any],
]  # fmt: skip


@pytest.mark.parametrize("schema", NOT_SCHEMAS, ids=str)
@pytest.mark.parametrize("method", ["function_calling", "json_schema", "json_mode"])
def test_what_says_nothing_is_refused_in_words(schema: Any, method: Any) -> None:
    with pytest.raises((ValueError, TypeError), match=r"schema|allows any answer"):
        ask_for(schema, method, None, ())


def test_functions_and_tools_are_schemas_too() -> None:
    @tool
    def search(query: str) -> str:
        """Search."""
        return query

    def lookup(word: str) -> str:
        """Look up."""
        return word

    assert _function(_asked(search))["name"] == "search"
    assert list(_function(_asked(lookup))["parameters"]["properties"]) == ["word"]


def _parser(schema: Any, method: Any = "function_calling") -> StructuredAnswerParser:
    return ask_for(schema, method, None, ())[1]


def _call(parser: StructuredAnswerParser, args: dict[str, Any]) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": parser.tool_name, "args": args, "id": "c", "type": "tool_call"}])


BUILT: list[tuple[Any, Any, Any]] = [
    (list[int], [1, 2], [1, 2]),
    (int, 7, 7),
    (bool, False, False),
    (str, "", ""),
    (Literal["p", "q"], "q", "q"),
    (Cat | Dog, {"bark": "wau"}, Dog(bark="wau")),
    (Cat | None, None, None),
    (Cat | None, {"meow": 1}, Cat(meow=1)),
    (list[Cat], [{"meow": 1}], [Cat(meow=1)]),
    (TypeAdapter(list[Dog]), [{"bark": "wau"}], [Dog(bark="wau")]),
    (Cats, [{"meow": 1}], Cats([Cat(meow=1)])),
    (OldList, [1], OldList(__root__=[1])),
    (Color, "red", Color.RED),
    (set[str], ["a"], {"a"}),
    ({"anyOf": [PERSON, {"type": "null"}]}, {"name": "x"}, {"name": "x"}),
    ({"anyOf": [PERSON, {"type": "null"}]}, None, None),
    ({"type": "array", "items": {"type": "integer"}}, [], []),
]


@pytest.mark.parametrize(("schema", "said", "answer"), BUILT, ids=str)
def test_a_wrapped_answer_is_taken_out_and_built(schema: Any, said: Any, answer: Any) -> None:
    parser = _parser(schema)
    assert parser.invoke(_call(parser, {"value": said})) == answer
    assert parser.invoke(AIMessage(TypeAdapter(Any).dump_json({"value": said}).decode())) == answer
    assert parser.invoke(AIMessage(TypeAdapter(Any).dump_json(said).decode())) == answer  # the wrapper was left out
    assert list(parser.transform(iter([_call(parser, {"value": said})]))) == [answer]


@pytest.mark.parametrize(
    ("schema", "args"),
    [
        (Point, {"x": 1}),
        (Old, {"name": "x"}),
        (Row, {"x": 1}),
        (Node, {"name": "a", "children": [{"name": "b"}]}),
        (Box[int], {"value": 3}),
        (dict[str, int], {"a": 1}),
        (PERSON, {"name": "x"}),
    ],
    ids=str,
)
def test_an_object_is_its_own_wrapper(schema: Any, args: dict[str, Any]) -> None:
    parser = _parser(schema)
    kind = schema if isinstance(schema, type) and schema is not Row else dict
    answer = parser.invoke(_call(parser, args))
    assert isinstance(answer, kind)
    assert pickle.loads(pickle.dumps(parser)).invoke(_call(parser, args)) == answer


@pytest.mark.parametrize(
    ("schema", "args"),
    [
        (list[int], {}),
        (list[int], {"value": ["a"]}),
        (list[int], {"items": [1]}),
        (Cat | Dog, {"value": {"moo": 1}}),
        (Color, {"value": "blue"}),
        ({"type": "array"}, {"items": [1]}),
        ({"enum": ["a"]}, {"answer": "a"}),
        ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, {"x": 1}),
    ],
    ids=str,
)
def test_what_does_not_fit_is_an_error(schema: Any, args: dict[str, Any]) -> None:
    parser = _parser(schema)
    with pytest.raises(OutputParserException, match="does not fit"):
        parser.invoke(_call(parser, args))


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        (Cat, Cat),
        (Box[int], Box[int]),
        (Cats, Cats),
        (Old, Old),
        (Row, Row),
        (Point, Point),
        (list[int], list[int]),
        (Cat | Dog, Cat | Dog),
        (PERSON, dict[str, Any]),
        (INNER, dict[str, Any]),
        ({"type": "array"}, Any),
        (TypeAdapter(list[Dog]), Any),
    ],
    ids=str,
)
@pytest.mark.parametrize("method", ["function_calling", "json_schema", "json_mode"])
def test_the_output_schema_is_the_callers(schema: Any, kind: Any, method: Any) -> None:
    llm = ChatDatabricksCompat(model="m", host="https://a.cloud.databricks.com", token="t")
    chain = llm.with_structured_output(schema, method=method)
    assert chain.OutputType == kind
    model = chain.get_output_schema()
    if isinstance(schema, type) and issubclass(schema, BaseModel):
        assert model is schema
    described = chain.get_output_jsonschema()
    assert described["title"] in {read_schema(schema).name, "Cat"}
    keys = set(read_schema(schema).schema)
    assert keys <= set(described)
    assert chain.InputType == llm.InputType
    assert chain.get_input_jsonschema()["$defs"]
    longer = chain | RunnableLambda(str)
    assert longer.get_output_schema()
    retried = chain.with_retry().with_config(tags=["x"])
    assert retried.get_output_jsonschema()["title"] == described["title"]


@pytest.mark.parametrize("schema", [Cat, Old, Row, PERSON, list[Cat], Node, None], ids=str)
def test_the_output_schema_beside_the_raw_message(schema: Any) -> None:
    llm = ChatDatabricksCompat(model="m", host="https://a.cloud.databricks.com", token="t")
    method: Any = None if schema else "json_mode"
    chain = llm.with_structured_output(schema, include_raw=True, method=method)
    described = chain.get_output_jsonschema()
    assert set(described["properties"]) == {"raw", "parsed", "parsing_error"}
    assert set(chain.OutputType.__annotations__) == {"raw", "parsed", "parsing_error"}
    if schema is Cat:
        assert "Cat" in described["$defs"]
    if schema is PERSON:
        assert "name" in str(described["properties"]["parsed"]) or "name" in str(described["$defs"])


def test_a_title_that_is_not_a_name_is_kept_for_the_answer() -> None:
    class Pet(BaseModel):
        """A pet."""

        model_config = ConfigDict(title="A pet!")
        name: str

    parser = _parser(Pet)
    assert parser.tool_name == "A pet!"
    assert parser.invoke(_call(parser, {"name": "x"})) == Pet(name="x")
