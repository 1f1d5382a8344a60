"""The rule-based model: decides from the request alone what to answer, and makes nothing up that it need not.

In this order: a named tool; any tool, when one is required; the offered tools that the prompt asks for and that this
turn has not called yet; the tool results; a requested format; text. The same request always gets the same answer.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json, to_json

from langchain_dbchat.local import speech
from langchain_dbchat.local.answer import Answer, Call, cut, stop_at
from langchain_dbchat.local.asked import text_of
from langchain_dbchat.local.checks.schemas import fault_in
from langchain_dbchat.local.checks.sizes import excess_in
from langchain_dbchat.local.filling import Filler, is_place
from langchain_dbchat.local.found import Found
from langchain_dbchat.local.relevance import clause_for, likeliest, relevant

if TYPE_CHECKING:
    from langchain_dbchat.local.asked import Asked


class Turn:
    """What a request says, sorted: who asked what, and what tools have said since."""

    def __init__(self, messages: list[dict[str, Any]]) -> None:
        users = [place for place, message in enumerate(messages) if message.get("role") == "user"]
        first = last = users[-1] if users else -1
        while first - 1 in users:
            first -= 1
        self.prompt = "\n".join(text_of(message) for message in messages[max(first, 0) : last + 1])
        self.earlier = [text_of(messages[place]) for place in users if place < first]
        self.system = "\n".join(text_of(message) for message in messages if message.get("role") == "system")
        self.calls: list[tuple[str, str]] = []
        self.results: list[tuple[str, str]] = []
        names: dict[str, str] = {}
        for message in messages[last + 1 :]:
            for call in message.get("tool_calls") or []:
                function = call.get("function", {})
                self.calls.append((function.get("name", ""), function.get("arguments", "")))
                names[call.get("id", "")] = _label(function)
            if message.get("role") == "tool":
                self.results.append((names.get(message.get("tool_call_id", ""), ""), text_of(message)))

    @property
    def context(self) -> str:
        """What was supplied to answer from."""
        return speech.context_in(self.prompt) or speech.context_in(self.system)


def think(asked: Asked, choice: int = 0) -> Answer:
    """The answer to a request.

    Args:
        asked: The request, checked.
        choice: Which of the ``n`` answers.
    """
    turn = Turn(asked.messages)
    answer = decide(asked, turn)
    for place, call in enumerate(answer.calls):
        call.id = call_id(asked, place, choice)
    if choice:
        answer.text += f" (answer {choice + 1})" if answer.text else ""
    if asked.model.family.tools_as_text and answer.calls:
        answer.text = "\n".join(_written(call) for call in answer.calls)
        answer.calls = []
    if asked.model.leaks_calls and asked.thinking == "disabled" and answer.calls:
        answer.text = "\n".join(f'<invoke name="{call.name}">{call.arguments}</invoke>' for call in answer.calls)
        answer.calls, answer.finish = [], "tool_calls"
    elif answer.calls:
        answer.finish = "tool_calls"
    if asked.thinks:
        answer.thought = _reason(turn, answer)
    stops = asked.body.get("stop")
    stop_at(answer, [stops] if isinstance(stops, str) else list(stops or []))
    if asked.max_tokens is not None:
        cut(answer, asked.max_tokens)
    return answer


def decide(asked: Asked, turn: Turn) -> Answer:
    """The answer without reasoning and limits."""
    calls = choose_calls(asked, turn)
    if calls:
        preface = asked.model.family.voice == "claude" and asked.body.get("tool_choice") in (None, "auto")
        return Answer(text="I'll look that up." if preface else "", calls=calls)
    schema = _wanted_schema(asked, turn)
    if schema is not None:
        # Format instructions within the prompt are no values.
        prompt = "\n".join(line for line in turn.prompt.split("\n") if '"properties"' not in line)
        text = "\n".join([prompt, *(result for _, result in turn.results)])
        return Answer(text=_dumps(Filler(text, schema).fill(schema)))
    if turn.results:
        return Answer(text=speech.from_results(turn.prompt, turn.results))
    return Answer(text=speech.in_words(turn.prompt, turn.context, turn.earlier))


def choose_calls(asked: Asked, turn: Turn) -> list[Call]:
    """The tool calls of an answer; empty when it is text."""
    tools = [tool["function"] for tool in asked.tools]
    choice = asked.body.get("tool_choice", "auto")
    hidden = asked.model.format_hides_tools and asked.body.get("response_format")
    if not tools or choice == "none" or hidden:
        return []
    prompt = speech.question_in(turn.prompt) if turn.context else turn.prompt
    done = {name for name, _ in turn.calls}
    if isinstance(choice, dict):
        chosen = [tool for tool in tools if tool["name"] == choice["function"]["name"]]
    elif choice == "required":
        fresh = [tool for tool in tools if tool["name"] not in done] or tools
        chosen = relevant(fresh, prompt) or [likeliest(fresh, prompt)]
    else:
        chosen = relevant(tools, prompt)
    calls = [call for tool in chosen for call in _calls_of(tool, turn, forced=choice != "auto")]
    return calls if asked.model.family.grouped_calls else calls[:1]


def _calls_of(tool: dict[str, Any], turn: Turn, *, forced: bool) -> list[Call]:
    """The calls of one tool: one, or one for each of several places; without those that this turn has made already."""
    schema = tool.get("parameters") or {}
    properties = schema.get("properties") or {}
    done = [_loads(arguments) for name, arguments in turn.calls if name == tool["name"]]
    place = next((key for key, part in properties.items() if isinstance(part, dict) and is_place(key, part)), None)
    places = list(dict.fromkeys(Found.of(turn.prompt).listed))
    if place and len(properties) == 1 and len(places) > 1:
        return [Call("", tool["name"], _dumps({place: one})) for one in places if forced or {place: one} not in done]
    if done and not forced:
        return []
    text = "\n".join([turn.prompt, *(result for _, result in turn.results)])
    clause = clause_for(tool, turn.prompt)
    return [Call("", tool["name"], _dumps(Filler(text, schema, clause).fill(schema)) if properties else "{}")]


def call_id(asked: Asked, place: int, choice: int) -> str:
    """An id for a tool call; the same request gives the same one."""
    digest = hashlib.sha256(to_json([asked.endpoint, asked.messages, place, choice])).hexdigest()
    return asked.model.family.call_id + digest[:22]


def _reason(turn: Turn, answer: Answer) -> str:
    """One honest sentence about the decision, short so that a small token limit still leaves room for the answer."""
    if answer.calls:
        return f"The user's request needs {' and '.join(dict.fromkeys(call.name for call in answer.calls))}."
    if turn.results:
        return "The tools have answered, so I report what they said."
    if turn.context:
        return "I was given context, so I look for the sentences that answer the question."
    return "Nothing to look up here, so I answer directly."


def _wanted_schema(asked: Asked, turn: Turn) -> dict[str, Any] | None:
    """The JSON schema that the text has to fit: from ``response_format``, or from instructions in the prompt."""
    wanted = asked.body.get("response_format") or {}
    if wanted.get("type") == "json_schema":
        schema = wanted.get("json_schema", {}).get("schema")
        return schema if isinstance(schema, dict) else {}
    instructions = f"{turn.system}\n{turn.prompt}"
    written = _schema_in(instructions)
    if written is not None or wanted.get("type") != "json_object":
        return written
    keys = _keys_in(instructions) or ["answer"]
    return {"type": "object", "properties": {key: {"type": "string"} for key in keys}, "required": keys}


def _schema_in(text: str) -> dict[str, Any] | None:
    """A JSON schema written into a prompt, as LangChain's format instructions do; the last one counts."""
    for match in reversed(list(re.finditer(r"\{", text))):
        if not re.match(r"\{\s*\"(?:\$defs|properties|type|title|description)\"", text[match.start() :]):
            continue
        try:
            value = from_json(text[match.start() :].partition("\n```")[0].strip())
        except ValueError:
            continue
        if not isinstance(value, dict) or not isinstance(value.get("properties"), dict):
            continue
        if fault_in(value) is None and excess_in(value) is None:
            return value
    return None


def _keys_in(text: str) -> list[str]:
    """The keys that a prompt asks for in its JSON."""
    for pattern in (r"['\"`](\w+)['\"`]\s*:", r"['\"`](\w+)['\"`]"):
        keys = re.findall(pattern, text)
        if keys:
            return list(dict.fromkeys(keys))
    listed = re.search(r"\b(?:keys|fields|properties)\b:?\s+([\w ,]+)", text, re.IGNORECASE)
    return [key for key in re.split(r"\s*,\s*|\s+and\s+|\s+", listed.group(1)) if key] if listed else []


def _written(call: Call) -> str:
    """A call as gemma writes it into its text (docs/wire.md, 3.4)."""
    return f'```tool_code\n{{"name": "{call.name}", "parameters": {call.arguments}}}\n```'


def _loads(arguments: str) -> Any:
    try:
        return from_json(arguments or "{}")
    except ValueError:
        return arguments


def _dumps(value: Any) -> str:
    return to_json(value).decode()


def _label(function: dict[str, Any]) -> str:
    """A call as the answer speaks of it: its name, and its arguments when they are few and short."""
    name, arguments = function.get("name", ""), _loads(function.get("arguments", ""))
    if not isinstance(arguments, dict) or not arguments:
        return str(name)
    said = ", ".join(f"{key}: {value}" for key, value in arguments.items())
    return f"{name} ({said})" if len(said) <= 60 else str(name)
