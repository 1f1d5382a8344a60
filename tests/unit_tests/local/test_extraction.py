"""The rule-based model takes values from a text: structured output, and arguments of tools."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from typing import Any, Literal

import pytest
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel, Field
from pydantic_core import from_json

from langchain_dbchat.local.rule_model.schema_filler import SchemaFiller

Body = dict[str, Any]
Say = Callable[..., Body]
MODEL = "glm-5-2"


class Person(BaseModel):
    name: str
    age: int
    email: str | None = None


class People(BaseModel):
    people: list[Person]


class Meeting(BaseModel):
    title: str
    date: dt.date
    start: dt.time
    attendees: list[str]
    location: str


class Invoice(BaseModel):
    number: str
    total: float
    currency: Literal["EUR", "USD"]
    due_date: dt.date
    vendor: str


class Line(BaseModel):
    product: str
    quantity: int
    price: float


class Order(BaseModel):
    customer: str
    items: list[Line]


class Judgement(BaseModel):
    sentiment: Literal["neutral", "positive", "negative"]
    language: Literal["english", "spanish", "french"]


class Answer(BaseModel):
    answer: str
    justification: str


class Result(BaseModel):
    result: int


class Joke(BaseModel):
    setup: str = Field(description="question to set up a joke")
    punchline: str = Field(description="answer to resolve the joke")


class Contact(BaseModel):
    name: str
    phone: str
    website: str
    hair_color: str | None = None


class Recipe(BaseModel):
    servings: int
    ingredients: list[str]


class Flight(BaseModel):
    origin: str
    destination: str
    departure: dt.datetime


class Address(BaseModel):
    """An address."""

    street: str
    city: str
    zip: str


class Customer(BaseModel):
    """A customer."""

    name: str
    address: Address
    orders: list[str]
    vip: bool


class Ticket(BaseModel):
    """A ticket of support."""

    category: Literal["billing", "bug", "feature"]
    priority: Literal["medium", "low", "high"]
    summary: str


class Member(BaseModel):
    """A member."""

    name: str
    age: int | None = None
    email: str | None = None
    birthday: dt.date | None = None


@pytest.mark.parametrize(
    ("model", "prompt", "expected"),
    [
        (
            Customer,
            "Jane Doe (VIP) lives at 12 Main Street, Springfield, 62704. She ordered a laptop, a mouse and a keyboard.",
            {
                "name": "Jane Doe",
                "address": {"street": "12 Main Street", "city": "Springfield", "zip": "62704"},
                "orders": ["laptop", "mouse", "keyboard"],
                "vip": True,
            },
        ),
        (
            Ticket,
            "The app crashes when I open the settings. Please help.",
            {"category": "bug", "priority": "high", "summary": "The app crashes when I open the settings."},
        ),
        (
            Ticket,
            "I was charged for a subscription that I cancelled.",
            {
                "category": "billing",
                "priority": "medium",
                "summary": "I was charged for a subscription that I cancelled.",
            },
        ),
        (
            Member,
            "Jürgen Müller ist 45 Jahre alt. E-Mail: j.mueller@web.de, geboren am 12.03.1980.",
            {"name": "Jürgen Müller", "age": 45, "email": "j.mueller@web.de", "birthday": "1980-03-12"},
        ),
        (
            Member,
            "Marie Dupont, 33 ans, née le 5 mai 1991.",
            {"name": "Marie Dupont", "age": 33, "birthday": "1991-05-05"},
        ),
        (Member, "Ann is 30.", {"name": "Ann", "age": 30}),
        (
            People,
            "Anna is 34 years old. Bob Miller is 28 and his email is bob@x.org.",
            {"people": [{"name": "Anna", "age": 34}, {"name": "Bob Miller", "age": 28, "email": "bob@x.org"}]},
        ),
        (
            People,
            "Extract the people: Anna (34), Bob (28) and Carl (34).",
            {"people": [{"name": "Anna", "age": 34}, {"name": "Bob", "age": 28}, {"name": "Carl", "age": 34}]},
        ),
        (
            People,
            "- Anna, 34\n- Bob, 28",
            {"people": [{"name": "Anna", "age": 34}, {"name": "Bob", "age": 28}]},
        ),
        (
            Meeting,
            "Meet Anna and Bob on 3 March 2026 at 2:30 pm in Oslo to discuss the budget.",
            {"title": "budget", "date": "2026-03-03", "start": "14:30:00", "attendees": ["Anna", "Bob"],
             "location": "Oslo"},
        ),
        (
            Invoice,
            "Invoice INV-1234 from Acme Corp, total 1,250.50 EUR, due March 5th, 2026.",
            {"number": "INV-1234", "total": 1250.5, "currency": "EUR", "due_date": "2026-03-05", "vendor": "Acme Corp"},
        ),
        (
            Order,
            "Order for John Smith: 2 apples at 0.50 each and 3 bananas at 0.25 each.",
            {"customer": "John Smith", "items": [{"product": "apples", "quantity": 2, "price": 0.5},
                                                 {"product": "bananas", "quantity": 3, "price": 0.25}]},
        ),
        (Judgement, "I am very angry with you!", {"sentiment": "negative", "language": "english"}),
        (Judgement, "Estoy muy contento de haberte conocido!", {"sentiment": "positive", "language": "spanish"}),
        (Judgement, "The food was not good.", {"sentiment": "negative", "language": "english"}),
        (Judgement, "The parcel is on the table.", {"sentiment": "neutral", "language": "english"}),
        (Result, "What is 17 * 23?", {"result": 391}),
        (
            Answer,
            "What weighs more, a pound of bricks or a pound of feathers?",
            {"answer": "They weigh the same: a pound is a pound.",
             "justification": "The rules of the local workspace gave this answer."},
        ),
        (
            Joke,
            "Tell me a joke about cats.",
            {"setup": "Why do cats sit on computers?", "punchline": "Because cats have to keep an eye on the mouse."},
        ),
        (
            Contact,
            "Alan Smith has blond hair. Call him at +47 22 33 44 55 or see https://alan.example.com",
            {"name": "Alan Smith", "phone": "+47 22 33 44 55", "website": "https://alan.example.com",
             "hair_color": "blond"},
        ),
        (
            Recipe,
            "For 4 servings. Ingredients: flour, sugar and two eggs.",
            {"servings": 4, "ingredients": ["flour", "sugar", "two eggs"]},
        ),
        (
            Flight,
            "A flight from Oslo to Bergen on 2026-05-17 at 09:15.",
            {"origin": "Oslo", "destination": "Bergen", "departure": "2026-05-17T09:15:00Z"},
        ),
    ],
)  # fmt: skip
def test_a_model_is_filled_from_a_text(say: Say, model: type[BaseModel], prompt: str, expected: Body) -> None:
    schema = {"name": model.__name__, "schema": model.model_json_schema()}
    content = say(MODEL, prompt, response_format={"type": "json_schema", "json_schema": schema})["content"]
    assert from_json(content) == expected
    model.model_validate_json(content)


def test_what_the_text_does_not_say_is_not_made_up(say: Say) -> None:
    schema = {"name": "Contact", "schema": Contact.model_json_schema()}
    content = say(MODEL, "Write to us.", response_format={"type": "json_schema", "json_schema": schema})["content"]
    assert from_json(content)["name"] == "unknown"


def book_table(people: int, city: str) -> None:
    """Book a table in a restaurant."""


def multiply(a: int, b: int) -> None:
    """Multiply a and b."""


def add(a: int, b: int) -> None:
    """Adds a and b."""


def calculator(expression: str) -> None:
    """Evaluate a mathematical expression."""


def search_docs(query: str) -> None:
    """Search the documentation."""


def get_weather(location: str, unit: Literal["celsius", "fahrenheit"] = "celsius") -> None:
    """Get the current weather."""


def send_email(to: str, subject: str, body: str) -> None:
    """Send an email."""


@pytest.mark.parametrize(
    ("prompt", "tools", "expected"),
    [
        ("Book a table for 4 in Oslo", [book_table, get_weather], {"book_table": {"people": 4, "city": "Oslo"}}),
        (
            "On 3 March at 19:00, book a table in Bergen for two people",
            [book_table],
            {"book_table": {"people": 2, "city": "Bergen"}},
        ),
        ("What is 17 times 23?", [add, multiply], {"multiply": {"a": 17, "b": 23}}),
        (
            "What is 3 * 12? Also, what is 11 + 49?",
            [add, multiply],
            {"add": {"a": 11, "b": 49}, "multiply": {"a": 3, "b": 12}},
        ),
        ("What is 17 * 23?", [calculator, search_docs], {"calculator": {"expression": "17 * 23"}}),
        ("What is 17 * 23?", [search_docs], {}),
        ("Search for cats", [search_docs], {"search_docs": {"query": "cats"}}),
        ("Can you search the docs for retries?", [search_docs], {"search_docs": {"query": "retries"}}),
        ("Who won the cup in 2018?", [get_weather, search_docs], {"search_docs": {"query": "Who won the cup in 2018"}}),
        ("What is RAG?", [search_docs], {"search_docs": {"query": "RAG"}}),
        ("Hello!", [search_docs], {}),
        ("What can you do?", [search_docs], {}),
        ("Is it raining in Tokyo?", [get_weather], {"get_weather": {"location": "Tokyo", "unit": "celsius"}}),
        (
            "whats the weather like in london in fahrenheit",
            [get_weather],
            {"get_weather": {"location": "London", "unit": "fahrenheit"}},
        ),
        (
            "Look up LangGraph in the docs and tell me the weather in Oslo",
            [search_docs, get_weather],
            {"search_docs": {"query": "LangGraph"}, "get_weather": {"location": "Oslo", "unit": "celsius"}},
        ),
        (
            "Send an email to ann@x.org with the subject 'Lunch' saying that lunch is at noon",
            [send_email],
            {"send_email": {"to": "ann@x.org", "subject": "Lunch", "body": "lunch is at noon"}},
        ),
    ],
)
def test_a_tool_is_called_with_what_the_request_says(
    say: Say, prompt: str, tools: list[Callable[..., None]], expected: Body
) -> None:
    message = say(MODEL, prompt, tools=[convert_to_openai_tool(tool) for tool in tools])
    called = {call["function"]["name"]: call["function"]["arguments"] for call in message.get("tool_calls") or []}
    assert {name: from_json(arguments) for name, arguments in called.items()} == expected


def test_a_search_is_made_once(say: Say) -> None:
    offered = [convert_to_openai_tool(search_docs)]
    history: list[Body] = [{"role": "user", "content": "Who won the cup?"}]
    first = say(MODEL, history, tools=offered)
    call = first["tool_calls"][0]
    history += [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call["id"], "content": "Norway won the cup."},
    ]
    assert say(MODEL, history, tools=offered)["content"] == (
        "According to search_docs (query: Who won the cup): Norway won the cup."
    )


@pytest.mark.parametrize(
    "text",
    ["Anna (3), " * 10_000, "\n" * 25_000, "and " * 25_000, "1 a " * 25_000, "3 March " * 10_000, "a@" * 25_000,
     "#1 " * 25_000, "http://" * 10_000, "+1 (" * 25_000],
    ids=lambda text: text[:9],
)  # fmt: skip
def test_the_work_is_linear_in_the_text(text: str) -> None:
    models = (People, Order, Invoice, Contact, Recipe, Flight)
    started = time.thread_time()
    for model in models:
        schema = model.model_json_schema()
        SchemaFiller(text, schema).fill(schema)
    assert time.thread_time() - started < 15  # seconds; work that grows with the square takes minutes
