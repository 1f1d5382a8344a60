"""The rule-based model: decides from the request alone what to answer, and invents as little as possible.

In this order: a named tool; any tool, when one is required; the offered tools that the prompt asks for and that this
turn has not called yet; the tool results; a requested format; text. The same request always gets the same answer.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json, to_json

from langchain_dbchat.local.rule_model import replies
from langchain_dbchat.local.rule_model.answer import ModelAnswer, ToolCall, cut, stop_at
from langchain_dbchat.local.rule_model.conversation import NOTICE, Talk, answer_in_text, is_question, own_answer
from langchain_dbchat.local.rule_model.extracted_values import ExtractedValues
from langchain_dbchat.local.rule_model.request import text_of
from langchain_dbchat.local.rule_model.schema_filler import SchemaFiller, is_place
from langchain_dbchat.local.rule_model.string_values import WAYS
from langchain_dbchat.local.rule_model.tool_selection import best_tool, clause_about, search_tools, select_tools
from langchain_dbchat.local.rule_model.wanted_json import values_text, wanted_schema

if TYPE_CHECKING:
    from langchain_dbchat.local.rule_model.request import ModelRequest

CONTINUE = re.compile(r"\W{0,9}(?:please )?(?:continue|go on|keep going)\W{0,9}", re.IGNORECASE)
"""What asks for more of the same answer."""


class CurrentTurn:
    """The conversation, sorted: the last prompt, what came before it, and the calls and results after it."""

    def __init__(self, messages: list[dict[str, Any]]) -> None:
        spoken = [place for place, message in enumerate(messages) if message.get("role") == "user"]
        # Some clients say "(continue)" for the user, where a conversation ends with an answer.
        users = [place for place in spoken if not CONTINUE.fullmatch(text_of(messages[place]))] or spoken
        first = last = users[-1] if users else -1
        for place in reversed(users[:-1]):
            if place != first - 1:
                break
            first = place
        self.prompt = "\n".join(text_of(message) for message in messages[max(first, 0) : last + 1])
        self.earlier = tuple(text_of(messages[place]) for place in users if place < first)
        self.system = "\n".join(text_of(message) for message in messages if message.get("role") == "system")
        self.introduced = any(NOTICE in text_of(one) for one in messages if one.get("role") == "assistant")
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
        """Return the context to answer from."""
        return replies.context_in(self.prompt) or replies.context_in(self.system)

    @property
    def talk(self) -> Talk:
        """Return what an answer in text depends on."""
        return Talk(self.prompt, self.system, self.context, self.earlier, self.introduced)


def answer_request(request: ModelRequest, choice: int = 0) -> ModelAnswer:
    """Return the answer of this number to a request; the first is 0."""
    turn = CurrentTurn(request.messages)
    answer = choose_answer(request, turn)
    for place, call in enumerate(answer.calls):
        call.id = call_id(request, place, choice)
    if choice:
        answer.text += f" (answer {choice + 1})" if answer.text else ""
    if request.model.family.tools_as_text and answer.calls:
        answer.text = "\n".join(_written(call) for call in answer.calls)
        answer.calls = []
    if request.model.leaks_tool_calls and request.reasoning_disabled and answer.calls:
        answer.text = "\n".join(f'<invoke name="{call.name}">{call.arguments}</invoke>' for call in answer.calls)
        answer.calls, answer.finish = [], "tool_calls"
    elif answer.calls:
        answer.finish = "tool_calls"
    if request.reasons:
        answer.reasoning = _reason(turn, answer)
    stop_at(answer, request.stop)
    if request.max_tokens is not None:
        cut(answer, request.max_tokens)
    return answer


def choose_answer(request: ModelRequest, turn: CurrentTurn) -> ModelAnswer:
    """Return the answer, without reasoning and limits."""
    calls = choose_calls(request, turn)
    if calls:
        preface = request.model.family.announces_calls and request.tool_choice == "auto"
        return ModelAnswer(text="I'll look that up." if preface else "", calls=calls)
    schema = _wanted_schema(request, turn)
    if schema is not None:
        text = "\n".join([values_text(turn.prompt), *(result for _, result in turn.results)])
        return ModelAnswer(text=_dumps(SchemaFiller(text, schema).fill(schema)))
    if turn.results:
        return ModelAnswer(text=replies.answer_from_results(turn.prompt, turn.results))
    text, is_ruled = answer_in_text(turn.talk)
    return ModelAnswer(text=text, is_ruled=is_ruled)


def choose_calls(request: ModelRequest, turn: CurrentTurn) -> list[ToolCall]:
    """Return the tool calls of an answer; empty when it is text."""
    tools = [tool["function"] for tool in request.tools]
    choice = request.tool_choice
    hidden = request.model.format_hides_tools and request.response_format
    if not tools or choice == "none" or hidden:
        return []
    prompt = replies.question_in(turn.prompt) if turn.context else turn.prompt
    done = {name for name, _ in turn.calls}
    if isinstance(choice, dict):
        chosen = [tool for tool in tools if tool["name"] == choice["function"]["name"]]
    elif choice == "required":
        fresh = [tool for tool in tools if tool["name"] not in done] or tools
        chosen = select_tools(fresh, prompt) or [best_tool(fresh, prompt)]
    else:
        chosen = select_tools(tools, prompt)
        if not (chosen or turn.context) and is_question(prompt) and own_answer(turn.talk) is None:
            chosen = search_tools(tools)
    alone = len(chosen) == 1
    calls = [call for tool in chosen for call in _calls_of(tool, turn, forced=choice != "auto", alone=alone)]
    return calls if request.model.family.grouped_calls else calls[:1]


def _calls_of(tool: dict[str, Any], turn: CurrentTurn, *, forced: bool, alone: bool) -> list[ToolCall]:
    """Return the calls of one tool: one, or one for each of several places, without those that this turn has made."""
    schema = tool.get("parameters") or {}
    properties = schema.get("properties") or {}
    done = [_loads(arguments) for name, arguments in turn.calls if name == tool["name"]]
    place = next((key for key, part in properties.items() if isinstance(part, dict) and is_place(key, part)), None)
    text = "\n".join([turn.prompt, *(result for _, result in turn.results)])
    places = list(dict.fromkeys(ExtractedValues.of(turn.prompt).listed))
    if place and len(places) > 1 and not WAYS.keys() & set(properties):
        filled = SchemaFiller(text, schema).fill(schema)
        calls = [{**filled, place: one} for one in places]
        return [ToolCall("", tool["name"], _dumps(call)) for call in calls if forced or call not in done]
    if done and not forced:
        return []
    clause = clause_about(tool, turn.prompt)
    subject = turn.prompt if alone or not clause else clause
    filler = SchemaFiller(text, schema, clause, subject)
    return [ToolCall("", tool["name"], _dumps(filler.fill(schema)) if properties else "{}")]


def call_id(request: ModelRequest, place: int, choice: int) -> str:
    """Return an id for a tool call; the same request gives the same one."""
    digest = hashlib.sha256(to_json([request.endpoint, request.messages, place, choice])).hexdigest()
    return request.model.family.call_id + digest[:22]


def _reason(turn: CurrentTurn, answer: ModelAnswer) -> str:
    """Return one short sentence about the decision, so that a small token limit leaves room for the answer."""
    if answer.calls:
        return f"The user's request needs {' and '.join(dict.fromkeys(call.name for call in answer.calls))}."
    if turn.results:
        return "The tools have answered, so I report what they said."
    if turn.context:
        return "I was given context, so I look for the sentences that answer the question."
    return "Nothing to look up here, so I answer directly."


def _wanted_schema(request: ModelRequest, turn: CurrentTurn) -> dict[str, Any] | None:
    """Return the JSON schema that the text has to fit: from ``response_format``, or from instructions in the prompt."""
    wanted = request.response_format
    if wanted.get("type") == "json_schema":
        schema = wanted.get("json_schema", {}).get("schema")
        return schema if isinstance(schema, dict) else {}
    return wanted_schema(f"{turn.system}\n{turn.prompt}", turn.prompt, is_json=wanted.get("type") == "json_object")


def _written(call: ToolCall) -> str:
    """Return how gemma writes a call into its text (docs/wire.md, 3.4)."""
    return f'```tool_code\n{{"name": "{call.name}", "parameters": {call.arguments}}}\n```'


def _loads(arguments: str) -> Any:
    try:
        return from_json(arguments or "{}")
    except ValueError:
        return arguments


def _dumps(value: Any) -> str:
    return to_json(value).decode()


def _label(function: dict[str, Any]) -> str:
    """Return how an answer names a call: its name, and its arguments if they are short."""
    name, arguments = function.get("name", ""), _loads(function.get("arguments", ""))
    if not isinstance(arguments, dict) or not arguments:
        return str(name)
    shown = ", ".join(f"{key}: {value}" for key, value in arguments.items())
    return f"{name} ({shown})" if len(shown) <= 60 else str(name)
