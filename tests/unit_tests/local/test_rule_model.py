"""The rule-based model: what it decides, and with which values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic_core import from_json

Body = dict[str, Any]
Say = Callable[..., Body]

TEXT = {"type": "string"}
WHOLE = {"type": "integer"}
FREE = "glm-5-2"  # takes everything, calls several tools at once
CLAUDE = "claude-sonnet-4-6"


def tool(name: str, about: str, /, **properties: Body) -> Body:
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "description": about, "parameters": schema}}


WEATHER = tool("get_weather", "Get the weather at a location.", location=TEXT)
PEOPLE = tool("get_population", "Count the inhabitants of a city.", city=TEXT)
MONEY = tool("convert_currency", "Convert money.", amount={"type": "number"}, from_currency=TEXT, to_currency=TEXT)
MAGIC = tool("magic_function", "Applies a magic function to an input.", input={**WHOLE, "exclusiveMinimum": 0})
ADD = tool("add", "Add two integers.", a=WHOLE, b=WHOLE)
UNIT = {"type": "string", "enum": ["celsius", "fahrenheit"], "default": "celsius"}
WEATHER_IN = tool("get_weather", "Get the current weather.", location=TEXT, unit=UNIT)
MULTIPLY = tool("multiply", "Multiply two integers.", a=WHOLE, b=WHOLE)
CUSTOMER = tool("create_customer", "Create a customer.", customer_name=TEXT, description=TEXT)
SEARCH = tool("search_docs", "Search the documentation.", query=TEXT)
CALCULATOR = tool("calculator", "Calculate an arithmetic expression.", expression=TEXT)


def calls(message: Body) -> list[tuple[str, Body]]:
    return [
        (call["function"]["name"], from_json(call["function"]["arguments"])) for call in message.get("tool_calls", [])
    ]


@pytest.mark.parametrize(
    ("prompt", "tools", "expected"),
    [
        ("Hello!", [WEATHER, MAGIC], []),
        ("Tell me about yourself", [WEATHER, SEARCH, CALCULATOR], []),
        (
            "What is the weather in San Francisco, CA?",
            [WEATHER, PEOPLE],
            [("get_weather", {"location": "San Francisco, CA"})],
        ),
        ("What is the value of magic_function(3)? Use the tool.", [MAGIC], [("magic_function", {"input": 3})]),
        (
            "What's the weather in Oslo, and how much is 3.5 USD in EUR? Please convert it.",
            [WEATHER, MONEY, PEOPLE],
            [
                ("get_weather", {"location": "Oslo"}),
                ("convert_currency", {"amount": 3.5, "from_currency": "USD", "to_currency": "EUR"}),
            ],
        ),
        (
            "What's the weather in Oslo, Bergen and Paris?",
            [WEATHER],
            [("get_weather", {"location": place}) for place in ("Oslo", "Bergen", "Paris")],
        ),
        (
            "Compare the weather in Oslo and Rome in celsius.",
            [WEATHER_IN],
            [("get_weather", {"location": place, "unit": "celsius"}) for place in ("Oslo", "Rome")],
        ),
        ("Wie ist das Wetter in München?", [WEATHER, SEARCH], [("get_weather", {"location": "München"})]),
        ("Quel temps fait-il à Lyon ?", [WEATHER, SEARCH], [("get_weather", {"location": "Lyon"})]),
        (
            "Convert 100 euros to dollars",
            [MONEY],
            [("convert_currency", {"amount": 100, "from_currency": "EUR", "to_currency": "USD"})],
        ),
        (
            "What is the population and the weather of Bergen?",
            [WEATHER, PEOPLE],
            [("get_weather", {"location": "Bergen"}), ("get_population", {"city": "Bergen"})],
        ),
        (
            "Multiply 21 by 2 and add 5 to 7",
            [ADD, MULTIPLY],
            [("add", {"a": 5, "b": 7}), ("multiply", {"a": 21, "b": 2})],
        ),
        ("Use the calculator: what is 17 * 23?", [CALCULATOR], [("calculator", {"expression": "17 * 23"})]),
        (
            "Search the docs: how do retries work?",
            [SEARCH],
            [("search_docs", {"query": "how do retries work"})],
        ),
    ],
)
def test_it_calls_what_is_asked_for(say: Say, prompt: str, tools: list[Body], expected: list[Any]) -> None:
    message = say(FREE, prompt, tools=tools)
    assert calls(message) == expected
    assert message["content"] or expected


def test_a_required_call_is_made_even_without_need(say: Say) -> None:
    assert calls(say(FREE, "Hello!", tools=[MAGIC, WEATHER], tool_choice="required")) == [
        ("magic_function", {"input": 1})
    ]
    named = {"type": "function", "function": {"name": "get_weather"}}
    assert [name for name, _ in calls(say(FREE, "Hello!", tools=[MAGIC, WEATHER], tool_choice=named))] == [
        "get_weather"
    ]


def test_none_means_none(say: Say) -> None:
    assert not calls(say(FREE, "What is the weather in Oslo?", tools=[WEATHER], tool_choice="none"))


def test_unicode_arguments_are_not_escaped(say: Say) -> None:
    message = say(FREE, "Create a customer named '你好啊集团' (Hello Group)", tools=[CUSTOMER], tool_choice="required")
    assert calls(message)[0][1]["customer_name"] == "你好啊集团"
    assert "你好啊集团" in message["tool_calls"][0]["function"]["arguments"]


def loop(say: Say, model: str, prompt: str, tools: list[Body], answers: dict[str, str]) -> tuple[list[Any], str]:
    """Run an agent until it answers in text: the calls it made, and the answer."""
    history: list[Body] = [{"role": "user", "content": prompt}]
    made: list[Any] = []
    for _ in range(6):
        message = say(model, history, tools=tools)
        history.append({key: value for key, value in message.items() if key in {"role", "content", "tool_calls"}})
        if not calls(message):
            return made, message["content"]
        for call, (name, arguments) in zip(message["tool_calls"], calls(message), strict=True):
            made.append((name, arguments))
            history.append({"role": "tool", "tool_call_id": call["id"], "content": answers[name]})
    raise AssertionError(f"no end: {made}")


@pytest.mark.parametrize("model", [FREE, CLAUDE, "meta-llama-3-3-70b-instruct", "gpt-5-2"])
def test_an_agent_calls_both_tools_and_answers_from_them(say: Say, model: str) -> None:
    prompt = "What is the weather in Oslo, and how much is 100 USD in EUR? Convert it."
    made, text = loop(say, model, prompt, [WEATHER, MONEY], {"get_weather": "Rain, 7C", "convert_currency": "92.4"})
    assert [name for name, _ in made] == ["get_weather", "convert_currency"]
    assert "Rain, 7C" in text
    assert "92.4" in text


def test_one_at_a_time_where_parallel_calls_are_refused(say: Say) -> None:
    message = say("meta-llama-3-3-70b-instruct", "What's the weather in Oslo and Paris?", tools=[WEATHER])
    assert calls(message) == [("get_weather", {"location": "Oslo"})]
    made, _ = loop(
        say,
        "llama-4-maverick",
        "What's the weather in Oslo and Paris?",
        [WEATHER],
        {"get_weather": "Sun"},
    )
    assert [arguments["location"] for _, arguments in made] == ["Oslo", "Paris"]


def test_a_schema_as_a_tool_comes_after_the_tools_that_feed_it(say: Say) -> None:
    report = tool("WeatherReport", "A weather report.", city=TEXT, summary=TEXT)
    prompt = "What is the weather in Oslo?"
    first = say(FREE, prompt, tools=[WEATHER, report], tool_choice="required")
    assert [name for name, _ in calls(first)] == ["get_weather"]
    history = [
        {"role": "user", "content": prompt},
        {"role": "assistant", "content": None, "tool_calls": first["tool_calls"]},
        {"role": "tool", "tool_call_id": first["tool_calls"][0]["id"], "content": "Rain"},
    ]
    ((name, arguments),) = calls(say(FREE, history, tools=[WEATHER, report], tool_choice="required"))
    assert name == "WeatherReport"
    assert arguments["city"] == "Oslo"


def test_glm_5_2_forgets_its_tools_when_a_format_is_wanted(say: Say) -> None:
    # docs/wire.md, 2.2
    held = {"name": "out", "schema": {"type": "object", "properties": {"city": TEXT}, "required": ["city"]}}
    wanted = {"type": "json_schema", "json_schema": held}
    prompt = "What is the weather in Oslo?"
    assert from_json(say(FREE, prompt, tools=[WEATHER], response_format=wanted)["content"]) == {"city": "Oslo"}
    assert calls(say("glm-5-3", prompt, tools=[WEATHER], response_format=wanted))


PERSON: Body = {
    "type": "object",
    "properties": {
        "name": TEXT,
        "age": {"type": "integer", "minimum": 0, "maximum": 120},
        "city": TEXT,
        "job": {"enum": ["engineer", "doctor"]},
        "pets": {"type": "array", "items": {"$ref": "#/$defs/Pet"}},
        "nickname": {"anyOf": [TEXT, {"type": "null"}]},
        "married": {"type": "boolean"},
        "species": {"const": "human"},
        "rating": {"type": "integer", "exclusiveMinimum": 4, "exclusiveMaximum": 6},
        "language": {"type": "string", "default": "en"},
    },
    "required": ["name", "age", "city", "job", "pets", "nickname", "married", "species", "rating", "language"],
    "$defs": {
        "Pet": {
            "type": "object",
            "properties": {"name": TEXT, "kind": {"enum": ["cat", "dog"]}},
            "required": ["name", "kind"],
        }
    },
}


def test_a_schema_is_filled_from_the_prompt(say: Say) -> None:
    prompt = "John Smith is 30 years old, married, lives in Berlin, works as a doctor and has a dog called Rex."
    wanted = {"type": "json_schema", "json_schema": {"name": "person", "schema": PERSON}}
    assert from_json(say(CLAUDE, prompt, response_format=wanted)["content"]) == {
        "name": "John Smith",
        "age": 30,
        "city": "Berlin",
        "job": "doctor",
        "pets": [{"name": "Rex", "kind": "dog"}],
        "nickname": None,
        "married": True,
        "species": "human",
        "rating": 5,
        "language": "en",
    }


def test_a_recursive_schema_ends(say: Say) -> None:
    node = {"type": "object", "properties": {"child": {"$ref": "#"}, "value": WHOLE}, "required": ["value", "child"]}
    wanted = {"type": "json_schema", "json_schema": {"name": "tree", "schema": node}}
    assert from_json(say(CLAUDE, "A tree of 3", response_format=wanted)["content"])["value"] == 3


def test_optional_values_come_when_they_are_spoken_of(say: Say) -> None:
    schema = {"type": "object", "properties": {"setup": TEXT, "punchline": TEXT}, "required": ["setup"]}
    wanted = {"type": "json_schema", "json_schema": {"name": "joke", "schema": schema}}
    plain = from_json(say(CLAUDE, "Tell me a joke about cats.", response_format=wanted)["content"])
    assert plain.keys() == {"setup"}
    both = from_json(say(CLAUDE, "A joke about cats, include the punchline.", response_format=wanted)["content"])
    assert both.keys() == {"setup", "punchline"}


def test_json_object_has_the_keys_that_the_prompt_names(say: Say) -> None:
    prompt = "Tell me a joke about cats. Return the result as JSON with 'setup' and 'punchline' keys."
    answer = from_json(say(FREE, prompt, response_format={"type": "json_object"})["content"])
    assert answer.keys() == {"setup", "punchline"}
    assert "cats" in answer["punchline"]


def test_a_schema_in_the_prompt_is_filled(say: Say) -> None:
    instructions = (
        "The output should be formatted as a JSON instance that conforms to the JSON schema below.\n\n"
        'As an example, for the schema {"properties": {"foo": {"title": "Foo", "type": "array"}}} the object is x.\n\n'
        'Here is the output schema:\n```\n{"properties": {"city": {"type": "string"}}, "required": ["city"]}\n```\n'
    )
    assert from_json(say(CLAUDE, f"{instructions}\nThe trip goes to Bergen.")["content"]) == {"city": "Bergen"}


CONTEXT = (
    "Retries use exponential backoff with full jitter and obey Retry-After. Grass is green.\n\n"
    "Pipelines stream token by token. Oslo has about 700,000 inhabitants."
)


@pytest.mark.parametrize(
    "layout",
    [
        "Answer the question based only on the following context:\n{context}\n\nQuestion: {question}",
        "Use the following pieces of retrieved context to answer.\n\n{context}\n\nQuestion: {question}\nAnswer:",
        "Context: {context}\n\nQuestion: {question}",
        "<context>\n{context}\n</context>\n\n{question}",
        "Question: {question}\nContext:\n{context}",
    ],
)
@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("How do retries wait?", "Retries use exponential backoff with full jitter and obey Retry-After."),
        ("How many inhabitants does Oslo have?", "Oslo has about 700,000 inhabitants."),
        ("Who won the football world cup final?", "I don't know: the context I was given does not say."),
    ],
)
def test_it_answers_from_the_context(say: Say, layout: str, question: str, answer: str) -> None:
    assert say(CLAUDE, layout.format(context=CONTEXT, question=question))["content"] == answer


def test_the_context_may_stand_in_the_system_message(say: Say) -> None:
    messages = [
        {"role": "system", "content": f"Answer from these documents only:\n\n{CONTEXT}"},
        {"role": "user", "content": "How do pipelines stream?"},
    ]
    assert say(CLAUDE, messages)["content"] == "Pipelines stream token by token."


@pytest.mark.parametrize(
    ("model", "prompt", "answer"),
    [
        (CLAUDE, "Say hello", "hello"),
        (CLAUDE, "Reply with the word 'pong'", "pong"),
    ],
)
def test_it_echoes(say: Say, model: str, prompt: str, answer: str) -> None:
    assert say(model, prompt)["content"] == answer


def test_the_same_request_gets_the_same_answer(say: Say) -> None:
    one, other = (say(CLAUDE, "What is the weather in Oslo?", tools=[WEATHER]) for _ in range(2))
    assert one == other
