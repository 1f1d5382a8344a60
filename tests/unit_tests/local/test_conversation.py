"""What the rule-based model says in text, and how it says what it is."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from langchain_dbchat.local.rule_model.arithmetic import sums_in
from langchain_dbchat.local.rule_model.conversation import NOTICE, Talk, answer_in_text

Say = Callable[..., dict[str, Any]]
MODEL = "claude-sonnet-4-6"


def talk(*texts: str, system: str = "") -> list[dict[str, Any]]:
    """Return a conversation; the user has the first word, then the assistant, and so on."""
    roles = ("user", "assistant")
    said = [{"role": roles[place % 2], "content": text} for place, text in enumerate(texts)]
    return [*([{"role": "system", "content": system}] if system else []), *said]


@pytest.mark.parametrize(
    ("prompt", "answer"),
    [
        ("Hello!", "Hello!"),
        ("Hi there", "Hello!"),
        ("Hi, I'm Bob.", "Hello Bob! I will remember what you tell me in this conversation."),
        ("My name is Ada and I live in Oslo.", "Hello Ada! I will remember what you tell me in this conversation."),
        ("Thank you", "You are welcome."),
        ("What is 17 * 23?", "17 * 23 = 391."),
        ("17*23", "17*23 = 391."),
        ("What is 17 times 23?", "17 * 23 = 391."),
        ("How much is 10 divided by 4?", "10 / 4 = 2.5."),
        ("What is 15% of 80?", "15 / 100 * 80 = 12."),
        ("Calculate (2 + 3) * 1,000", "(2 + 3) * 1000 = 5000."),
        ("What is 2 to the power of 10?", "2 ** 10 = 1024."),
        ("What is 3 * 12? Also, what is 11 + 49?", "3 * 12 = 36. 11 + 49 = 60."),
        ("What is 0.1 + 0.2?", "0.1 + 0.2 = 0.3."),
        ("What is the capital of France?", "The capital of France is Paris."),
        ("Name three colors", "red, green, blue"),
        ("List 2 ice cream flavors.", "vanilla, chocolate"),
        ("Count from 3 to 6.", "3, 4, 5, 6"),
        ("Translate to German: Thank you!", "Danke"),
        ("Tell me a joke about cats.", "Why do cats sit on computers? Because cats have to keep an eye on the mouse."),
        ("Which weighs more, a pound of bricks or a pound of feathers?", "They weigh the same: a pound is a pound."),
        ("Who won the match?", "I have no rule that answers this: Who won the match?"),
        ("What is the weather in Oslo?", "I have no rule that answers this: What is the weather in Oslo?"),
        ("What is the capital of Atlantis?", "I have no rule that answers this: What is the capital of Atlantis?"),
        ("What is 1 / 0?", "I have no rule that answers this: What is 1 / 0?"),
        ("What is 2024-01-02?", "I have no rule that answers this: What is 2024-01-02?"),
        ("The sky over Oslo is wide and blue.", "You said: The sky over Oslo is wide and blue."),
        ("Oslo", "You said: Oslo."),
        (
            "Summarize: Retries wait a while. They obey Retry-After. Then they give up, because waiting helps nobody.",
            "Retries wait a while. They obey Retry-After.",
        ),
    ],
)
def test_it_answers_and_says_what_it_is(say: Say, prompt: str, answer: str) -> None:
    assert say(MODEL, prompt)["content"] == f"{answer} {NOTICE}"


@pytest.mark.parametrize(
    ("prompt", "part"),
    [
        ("Why is the sky blue?", "Rayleigh scattering"),
        ("What is a serving endpoint?", "gives a model a URL"),
        ("What is a serving endpoint good for?", "gives a model a URL"),
        ("Tell me about Oslo.", "capital of Norway"),
        ("Explain RAG in one sentence.", "as context"),
        ("What is LangChain?", "library for applications"),
        ("Who are you?", "call the tools"),
        ("Please tell me a long story about a bear.", "story about bear"),
        ("Write a haiku about spring.", "poem about spring"),
    ],
)
def test_it_knows_what_newcomers_ask(say: Say, prompt: str, part: str) -> None:
    content = say(MODEL, prompt)["content"]
    assert part in content
    assert content.endswith(NOTICE)


@pytest.mark.parametrize(
    ("told", "question", "answer"),
    [
        ("Hi, my name is Bob.", "What is my name?", "You told me that your name is Bob."),
        ("Hi! I'm Bob and I live in Oslo.", "Where do I live?", "You told me that you live in Oslo."),
        ("My favourite pet is a cat", "What is my favourite pet?", "You told me that your favourite pet is a cat."),
        ("The password of the door is swordfish.", "What is the password of the door?",
         "You told me that The password of the door is swordfish."),
    ],
)  # fmt: skip
def test_it_remembers_what_it_was_told(say: Say, told: str, question: str, answer: str) -> None:
    assert say(MODEL, talk(told, "Hello.", question))["content"] == f"{answer} {NOTICE}"


def test_the_notice_comes_once_in_a_conversation(say: Say) -> None:
    first = say(MODEL, "What is 1 + 1?")["content"]
    assert say(MODEL, talk("What is 1 + 1?", first, "What is 2 + 2?"))["content"] == "2 + 2 = 4."


@pytest.mark.parametrize(
    ("system", "prompt", "answer"),
    [
        ("", "What is 17 * 23? Answer only with the result.", "17 * 23 = 391."),
        ("Reply with the translation and nothing else.", "Translate to French: hello", "Bonjour"),
        ("You are a helpful assistant that translates English to French. Only output the translation.",
         "I love programming.", "J'adore la programmation."),
        ("", "List three fruits.\nYour response should be a list of comma separated values.", "apple, banana, cherry"),
        ("", "Say: hello", "hello"),
        ("", "Repeat after me: all is well.", "all is well."),
        ("Phrase the last message as a standalone question.", "And what of Bergen?", "And what of Bergen?"),
    ],
)  # fmt: skip
def test_a_bare_answer_is_bare(say: Say, system: str, prompt: str, answer: str) -> None:
    assert say(MODEL, talk(prompt, system=system))["content"] == answer


def test_it_answers_from_the_system_message(say: Say) -> None:
    system = "You work for Acme. Our shop opens at 9 and closes at 5. Be polite."
    said = say(MODEL, talk("When does the shop open?", system=system))["content"]
    assert said == f"Our shop opens at 9 and closes at 5. {NOTICE}"


@pytest.mark.parametrize(
    "text",
    ["-" * 200_000, "(" * 200_000, "1+" * 100_000, "9**9**9**9", "1000**1000*1000**1000", "." * 100_000,
     "hello " * 50_000, "count to 99999999999", "a about " * 50_000, " " * 100_000 + "?", "I am " * 50_000],
    ids=lambda text: text[:12],
)  # fmt: skip
def test_the_work_is_linear(text: str) -> None:
    prompt = f"What is {text}"
    started = time.thread_time()
    sums_in(prompt)
    answered, _ = answer_in_text(Talk(prompt, system=prompt, earlier=(prompt,)))
    assert time.thread_time() - started < 5  # seconds; work that grows with the square takes minutes
    assert NOTICE in answered
