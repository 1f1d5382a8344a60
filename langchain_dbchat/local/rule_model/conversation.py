"""Answers of the rule-based model in text, when there is neither a tool to call nor a format to fill.

Rule 1. Words that the user asked for, and sentences of a given context, are answered as they are. Every other answer
says that it comes from a stand-in, once in a conversation, unless the user wants the bare answer.
Rule 2. A question that no rule answers is answered with that.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from langchain_dbchat.local.rule_model import knowledge
from langchain_dbchat.local.rule_model.arithmetic import sums_in, with_operators
from langchain_dbchat.local.rule_model.replies import SENTENCE, best_sentences, question_in
from langchain_dbchat.local.rule_model.tokens import content_words

NOTICE = "(I am the deterministic stand-in of the local workspace, not a language model.)"
REPEAT = re.compile(
    r"^(?:please\s+)?(?:say|repeat|reply with|respond with|answer with|echo|output)"
    r"(?: (?:only|exactly|just|the words?|this|after me|back))*\s*:?\s+(.+?)\s*$",
    re.IGNORECASE | re.DOTALL,
)
SUMMARY = re.compile(r"\b(?:summari[sz]e|summary|tl;dr)\b[^\n:]{0,500}[:\n]\s*(.{80,})", re.IGNORECASE | re.DOTALL)
BARE = re.compile(
    r"\b(?:only|just)\s+(?:return|output|reply|respond|answer|write|give|say|the|with|one|a)\b|\bnothing else\b"
    r"|\bone word\b|\bsingle word\b|\bcomma[- ]separated\b|\bno (?:explanation|preamble|other text)\b",
    re.IGNORECASE,
)
"""What asks for the bare answer."""
STANDALONE = re.compile(r"\b(?:standalone|stand-alone|search) (?:question|query)\b", re.IGNORECASE)
"""What asks for the question in other words, as retrieval over a conversation does."""
GREETING = re.compile(
    r"^\W*(?:hi|hello|hey|hallo|guten tag|bonjour|hola|ciao|good (?:morning|afternoon|evening)|greetings)\b"
    r"(?:[\s,]+(?:there|again|all|everyone|world))?",
    re.IGNORECASE,
)
NAMED = re.compile(r"\b(?:[Mm]y name is|[Cc]all me)\s+([^\W\d_][\w'-]*)")
INTRODUCED = re.compile(r"\b(?:I am|I'm|[Tt]his is)\s+([A-Z][\w'-]*)")
THANKS = re.compile(r"^\W*(?:many )?(?:thanks|thank you)\b[^?]{0,60}$", re.IGNORECASE)
ABOUT_ITSELF = re.compile(
    r"\b(?:who|what) are you\b|\bwhat can you do\b|\byour name\b|\babout yourself\b|\bintroduce yourself\b"
    r"|\bwhat model\b|\bwhich model\b|\bhow can you help\b",
    re.IGNORECASE,
)
SKILLS = (
    "I call the tools that a request needs, fill schemas with what a text says, answer from a given context, do sums, "
    "and remember what I was told."
)
COURTESY = frozenset(content_words("hello hi hey please thank thanks assistant today great nice meet"))
FLIPPED = {
    "i": "you", "me": "you", "my": "your", "mine": "yours", "myself": "yourself", "am": "are", "i'm": "you are",
    "i've": "you have", "i'll": "you will", "i'd": "you would", "we": "you", "our": "your", "us": "you",
}  # fmt: skip
FIRST_PERSON = re.compile(r"(?i)\b(?:i'm|i've|i'll|i'd|i|me|my|mine|myself|am|we|our|us)\b")
CLAUSE = re.compile(r",?\s+(?:and|but)\s+(?=(?:I|my|we|our)\b)|,\s+(?=(?:I|my|we|our)\b)")
"""Where the next clause about the user begins."""
SUM_WORDS = frozenset(
    content_words("what calculate calculator compute evaluate solve much many result value answer sum equal equals do")
) | frozenset(
    content_words(
        "wie viel ist combien font please math maths expression use tool tell give add exactly quick question of"
    )
)


@dataclass(frozen=True, slots=True)
class Talk:
    """What an answer in text depends on."""

    prompt: str
    system: str = ""
    context: str = ""
    earlier: tuple[str, ...] = ()
    """What the user said before, oldest first."""
    introduced: bool = False
    """Whether an earlier answer has the notice."""


def is_question(prompt: str) -> bool:
    """Return whether a prompt asks for something that may have to be found out."""
    return bool(knowledge.ASKED.search(prompt[-500:]) or knowledge.ASKED.search(prompt[:500]))


def answer_in_text(talk: Talk) -> tuple[str, bool]:
    """Return a plain answer, with the notice where it belongs, and whether a rule has made it."""
    quoted = quotation(talk)
    if quoted is not None:
        return quoted, True
    made = composed_answer(talk)
    answer = made or _no_answer(talk.prompt)
    noted = answer if talk.introduced or wants_bare_answer(talk) else f"{answer} {NOTICE}"
    return noted, made is not None or not talk.prompt.strip()


def wants_bare_answer(talk: Talk) -> bool:
    """Return whether the user, or the system's message, wants the answer and nothing else."""
    return any(BARE.search(text[:2_000]) for text in (talk.prompt, talk.system))


def quotation(talk: Talk) -> str | None:
    """Return an answer in words that were given: the user's own, or those of the context; None if there is none."""
    prompt = talk.prompt.strip()
    if talk.context:
        found = best_sentences(question_in(prompt), talk.context)
        return " ".join(found) if found else "I don't know: the context I was given does not say."
    if prompt and STANDALONE.search(talk.system):
        return prompt
    repeat = REPEAT.match(prompt)
    return repeat.group(1).strip("\"'“”") if repeat else None


def own_answer(talk: Talk) -> str | None:
    """Return an answer that needs no knowledge, so that no search would help; None if there is none."""
    prompt = talk.prompt.strip()
    return (
        _result(prompt)
        or _courtesy(prompt)
        or _summary(prompt)
        or knowledge.translation_of(prompt, talk.system)
        or _remembered(prompt, talk.earlier)
        or ", ".join(knowledge.list_in(prompt))
        or knowledge.text_about(prompt)
    )


def composed_answer(talk: Talk) -> str | None:
    """Return the answer of the first rule that has one; None if none has."""
    prompt = talk.prompt.strip()
    return own_answer(talk) or knowledge.fact_about(prompt) or _from_system(prompt, talk.system)


def _result(prompt: str) -> str | None:
    """Return the results of the sums in a prompt that asks for nothing else."""
    if len(prompt) > 2_000:
        return None
    sums = sums_in(prompt)
    rest = with_operators(prompt)
    words = [word for word in content_words(re.sub(r"[\d\s+*/().-]+", " ", rest)) if word not in SUM_WORDS]
    return " ".join(f"{sum_} = {result}." for sum_, result in sums) if sums and not words else None


def _courtesy(prompt: str) -> str | None:
    """Return the answer to a greeting, to thanks, or to a question about the model itself."""
    if len(prompt) > 500:
        return None
    if ABOUT_ITSELF.search(prompt) and "my name" not in prompt.lower():
        return SKILLS
    if THANKS.match(prompt):
        return "You are welcome."
    greeting = GREETING.match(prompt)
    named = NAMED.search(prompt) or (INTRODUCED.search(prompt) if greeting else None)
    if named and "?" not in prompt:
        return f"Hello {named.group(1)}! I will remember what you tell me in this conversation."
    return "Hello!" if greeting and not set(content_words(prompt[greeting.end() :])) - COURTESY else None


def _summary(prompt: str) -> str | None:
    summary = SUMMARY.search(prompt)
    if summary is None:
        return None
    sentences = [sentence for sentence in SENTENCE.split(summary.group(1).strip()) if sentence.strip()]
    return " ".join(sentences[:2])


def _remembered(prompt: str, earlier: tuple[str, ...]) -> str | None:
    """Return what the user said earlier that answers the question."""
    if not prompt.endswith("?") or not earlier:
        return None
    told = [CLAUSE.sub(". ", text) for text in earlier if not text.rstrip().endswith("?")]
    found = best_sentences(prompt, "\n".join(told), most=1)
    return f"You told me that {_flipped(found[0])}." if found else None


def _flipped(sentence: str) -> str:
    """Return a sentence of the user's as it is said back: ``my name is Bob`` as ``your name is Bob``."""
    sentence = GREETING.sub("", sentence, count=1).strip(" ,.!") or sentence
    flipped = FIRST_PERSON.sub(lambda match: FLIPPED[match.group().lower()], sentence)
    return re.sub(r"\byou was\b", "you were", flipped)


def _from_system(prompt: str, system: str) -> str | None:
    """Return the sentence of the system message that answers a question."""
    wanted = set(content_words(prompt))
    if not prompt.endswith("?") or not system:
        return None
    found = best_sentences(prompt, system, most=1)
    shared = wanted & set(content_words(found[0])) if found else set()
    return found[0] if len(shared) >= min(2, len(wanted)) and shared else None


def _no_answer(prompt: str) -> str:
    """Return what is said when no rule has an answer."""
    prompt = prompt.strip()
    if not prompt:
        return "I received your message."
    if prompt.endswith("?"):
        return f"I have no rule that answers this: {prompt}"
    return f"You said: {prompt}" + ("" if prompt[-1] in ".!?…:" else ".")
