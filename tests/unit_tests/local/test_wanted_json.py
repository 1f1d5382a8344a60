"""JSON that a prompt asks for in words, and a conversation that a client continues."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from pydantic_core import from_json

from langchain_dbchat.local.rule_model.wanted_json import wanted_schema

Say = Callable[..., dict[str, Any]]
CLAUDE = "claude-sonnet-4-6"
CITY = "Oslo has 709037 inhabitants."


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("Answer in JSON with the keys name and inhabitants.", ["name", "inhabitants"]),
        ("Extract JSON with keys `name`, `age`: Ada is 36 years old", ["name", "age"]),
        ("Respond in JSON with setup and punchline keys.", ["setup", "punchline"]),
        ('Give it as JSON: {"setup": ..., "punchline": ...}', ["setup", "punchline"]),
        ("Classify 'I love it' as a JSON object with the key sentiment.", ["sentiment"]),
        ("Return JSON with the following keys: title, year.", ["title", "year"]),
        ("Return a JSON object with fields 'a', 'b', and 'c'.", ["a", "b", "c"]),
        ("Return JSON with name, age and city fields of the person", ["name", "age", "city"]),
        ("What is JSON?", None),
        ("How do I write a JSON file with the keys a and b?", None),
        ("Write a function that returns the keys of a JSON object.", None),
        ("Which keys open the door?", None),
    ],
)
def test_keys_that_a_prompt_names(text: str, keys: list[str] | None) -> None:
    schema = wanted_schema(text, text, is_json=False)
    assert (None if schema is None else list(schema["properties"])) == keys


def test_json_is_written_where_the_prompt_alone_asks_for_it(say: Say) -> None:
    prompt = f"{CITY} Answer in JSON with the keys name and inhabitants."
    said = say(CLAUDE, [{"role": "user", "content": prompt}])
    assert from_json(said["content"]) == {"name": "Oslo", "inhabitants": 709037}


@pytest.mark.parametrize("more", ["(continue)", "Continue.", "Please go on!"])
def test_who_is_asked_to_continue_answers_what_was_asked_before(say: Say, more: str) -> None:
    said = [{"role": "assistant", "content": "In Oslo"}, {"role": "user", "content": more}]
    text = say(CLAUDE, [{"role": "user", "content": "Write a poem about Oslo."}, *said])["content"]
    assert text.startswith("A poem about Oslo:")
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "inhabitants": {"type": "integer"}},
        "required": ["name", "inhabitants"],
        "additionalProperties": False,
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "City", "schema": schema, "strict": True}}
    text = say(CLAUDE, [{"role": "user", "content": CITY}, *said], response_format=wanted)["content"]
    assert from_json(text) == {"name": "Oslo", "inhabitants": 709037}


def test_to_continue_alone_is_a_prompt_like_any_other(say: Say) -> None:
    text = say(CLAUDE, [{"role": "user", "content": "Continue."}])["content"]
    assert text.startswith("You said: Continue.")


@pytest.mark.parametrize("piece", ["a, ", "keys a, ", "a and ", "'a': ", "answer json "])
def test_the_search_for_keys_is_bounded(piece: str) -> None:
    text = "Answer in JSON with the keys " + piece * 20_000
    start = time.process_time()
    wanted_schema(text, text[:2_000], is_json=True)
    assert time.process_time() - start < 5


@pytest.mark.parametrize(
    ("prompt", "wanted"),
    [
        (
            "Return JSON with keys name, age and is_student for: Maria is 22 and studies physics.",
            {"name": "Maria", "age": 22, "is_student": None},
        ),
        (
            'Extract JSON like {"name": "Ada", "age": 36, "tags": ["x"]}: Bob Miller, 41, likes chess, golf and tea.',
            {"name": "Bob Miller", "age": 41, "tags": ["chess", "golf", "tea"]},
        ),
        (
            "Give me JSON with the fields title (string), year (integer), rating (float): Inception, 2010, rated 8.8.",
            {"title": "Inception", "year": 2010, "rating": 8.8},
        ),
        (
            'Answer in JSON: {"mood": "positive|negative|neutral", "score": 0.5}. Text: I love this phone.',
            {"mood": "positive", "score": None},
        ),
        ('Return a JSON object {"answer": number}. What is 12*12?', {"answer": 144}),
        (
            "Extract date, amount and currency as JSON: On 3 March 2024 we paid 1,250.00 USD to Acme Inc.",
            {"date": "2024-03-03", "amount": 1250.0, "currency": "USD"},
        ),
        (
            'Answer as JSON: {"person": {"name": "...", "city": "..."}, "vip": true}. Anna lives in Oslo as a VIP.',
            {"person": {"name": "Anna", "city": "Oslo"}, "vip": True},
        ),
        (
            "Return JSON with setup and punchline keys. Tell me a joke about cats.",
            {
                "setup": "Why do cats sit on computers?",
                "punchline": "Because cats have to keep an eye on the mouse.",
            },
        ),
    ],
)
def test_values_have_the_types_that_the_prompt_gives_them(say: Say, prompt: str, wanted: dict[str, Any]) -> None:
    for request in ({}, {"response_format": {"type": "json_object"}}):
        assert from_json(say("gpt-5-2", [{"role": "user", "content": prompt}], **request)["content"]) == wanted
