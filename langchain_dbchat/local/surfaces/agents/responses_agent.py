"""MLflow's ResponsesAgent (docs/wire.md, 9, 10; mlflow/types/responses.py).

Rule 1. ``input`` is a list. The agent passes it on to a model of Databricks, which refuses ids over 64 characters, a
``status`` and nulls (docs/wire.md, 9.2), and more than one result of a call.
Rule 2. A stream has a response for each turn of the agent, and the result of a tool is an item between two. A call
ends before the message that announces it, and the ids of an item differ between its events (docs/wire.md, 9.4).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_dbchat.local.agents import AgentCall, ApprovalRequest, json_of
from langchain_dbchat.local.rule_model.tokens import DELTA
from langchain_dbchat.local.surfaces.agents.answer import new_id
from langchain_dbchat.local.surfaces.agents.checks import check_pairs, check_text, invalid

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from langchain_dbchat.local.agents import AgentStep
    from langchain_dbchat.local.surfaces.agents.answer import AgentAnswer
    from langchain_dbchat.local.surfaces.agents.checks import Checked

AgentItem = dict[str, Any]

INPUT = "input"
KNOWN = frozenset(
    {"input", "custom_inputs", "context", "databricks_options", "model", "stream", "max_output_tokens", "metadata",
     "parallel_tool_calls", "tools", "tool_choice", "truncation", "reasoning", "store", "temperature", "text", "top_p",
     "user", "background"}
)  # fmt: skip
NEEDED = {
    "function_call": ("call_id", "name", "arguments"),
    "function_call_output": ("call_id",),
    "mcp_approval_request": ("id", "name", "arguments", "server_label"),
    "mcp_approval_response": ("approval_request_id",),
    "reasoning": ("id",),
}
"""The fields of each kind of item that have to be text."""
OTHERS = frozenset({"file_search_call", "computer_call", "web_search_call"})
SAID = frozenset({"input_text", "input_image", "input_file"})
ANSWERED = frozenset({"output_text", "refusal"})
ROLES = frozenset({"user", "assistant", "system", "developer"})
LONGEST_ID = 64


def check(items: list[AgentItem]) -> Checked:
    """Check the items of a request."""
    for place, item in enumerate(items):
        _check_item(f"input.{place}", item)
    results = [item["call_id"] for item in items if item.get("type") == "function_call_output"]
    check_pairs([item["call_id"] for item in items if item.get("type") == "function_call"], results)
    approvals = {
        item["approval_request_id"]: item["approve"] for item in items if item.get("type") == "mcp_approval_response"
    }
    asked = {item["id"] for item in items if item.get("type") == "mcp_approval_request"}
    for request_id in approvals:
        if request_id not in asked:
            raise invalid(f"No approval request found with the id {request_id!r}")
    return [*_messages(items)], approvals


def _check_item(where: str, item: AgentItem) -> None:
    kind = str(item.get("type", "message"))
    for key, value in item.items():
        if key == "status" or value is None:
            raise invalid(f"{where}.{key}: Unknown parameter, or null")
    if isinstance(item.get("id"), str) and len(item["id"]) > LONGEST_ID:
        raise invalid(f"{where}.id: string too long. Expected a string with maximum length {LONGEST_ID}")
    for key in NEEDED.get(kind, ()):
        check_text(f"{where}.{key}", item.get(key))
    if kind == "message":
        _check_message(where, item)
    elif kind == "function_call_output":
        _check_output(f"{where}.output", item.get("output"))
    elif kind == "reasoning" and not isinstance(item.get("summary"), list):
        raise invalid(f"{where}.summary: Input should be a valid list")
    elif kind == "mcp_approval_response" and not isinstance(item.get("approve"), bool):
        raise invalid(f"{where}.approve: Input should be a valid boolean")
    elif kind not in NEEDED and kind not in OTHERS:
        raise invalid(f"{where}: Invalid type: {kind} for OutputItem")


def _check_output(where: str, output: Any) -> None:
    if not isinstance(output, str | list):
        raise invalid(f"{where}: Input should be a valid string or list")
    for place, part in enumerate(output if isinstance(output, list) else ()):
        if not isinstance(part, dict):
            raise invalid(f"{where}.{place}: Input should be a valid dictionary")


def _check_message(where: str, item: AgentItem) -> None:
    role, content = item.get("role"), item.get("content")
    if not isinstance(role, str) or role not in ROLES:
        raise invalid(f"{where}: Invalid role: {role}. Must be 'user', 'assistant', 'system', or 'developer'.")
    if isinstance(content, str):
        return
    if not isinstance(content, list) or not content:
        raise invalid(f"{where}.content: Input should be a valid string or list that is not empty")
    for place, part in enumerate(content):
        kind = part.get("type") if isinstance(part, dict) else None
        answered = role == "assistant" and isinstance(item.get("id"), str)
        if not isinstance(kind, str) or kind not in (ANSWERED if answered else SAID):
            raise invalid(f"{where}.content.{place}: Invalid type: {kind}.")
        if kind in {"input_text", "output_text"}:
            check_text(f"{where}.content.{place}.text", part.get("text"))


def _messages(items: list[AgentItem]) -> Iterator[dict[str, Any]]:
    """Yield the items as messages of chat completions."""
    for item in items:
        kind = item.get("type", "message")
        if kind == "message":
            yield {"role": item["role"], "content": _text(item["content"])}
        elif kind == "function_call":
            function = {"name": item["name"], "arguments": item["arguments"]}
            call = {"id": item["call_id"], "type": "function", "function": function}
            yield {"role": "assistant", "content": "", "tool_calls": [call]}
        elif kind == "function_call_output":
            yield {"role": "tool", "tool_call_id": item["call_id"], "content": _text(item["output"])}


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(str(part.get("text") or part.get("refusal") or "") for part in content)


async def whole(made: AgentAnswer, steps: AsyncIterator[AgentStep]) -> dict[str, Any]:
    """Return the body of a whole answer.

    Args:
        made: The answer.
        steps: The steps of the agent.
    """
    output: list[AgentItem] = []
    said = ""
    async for step in steps:
        made.count(step)
        if isinstance(step, str):
            said += step
            continue
        output += _message(said) if said else []
        said = ""
        call = _call(step)
        output += [call, *_result(step, call)]
    output += _message(said) if said else []
    traced = {"metadata": {"trace_id": made.trace}} if made.trace and made.in_app else {}
    return {**_response(made, output, "completed"), **made.report(), **traced}


async def events(made: AgentAnswer, steps: AsyncIterator[AgentStep]) -> AsyncIterator[dict[str, Any]]:
    """Yield the events of a streamed answer.

    Args:
        made: The answer.
        steps: The steps of the agent.
    """
    turn = _Turn(made)
    try:
        async for step in steps:
            made.count(step)
            for event in turn.add(step):
                yield event
        for event in turn.end(**made.report()):
            yield event
    except Exception as error:  # noqa: BLE001  # an agent's failure is an event of its stream
        yield {"error": str(error)}
        return
    if made.trace and made.in_app:
        yield {"trace_id": made.trace}


class _Turn:
    """The events of one response, and of those that follow it.

    Args:
        made: The answer.
    """

    def __init__(self, made: AgentAnswer) -> None:
        self._made = made
        self._number = 0
        self._output: list[AgentItem] = []
        self._said: str | None = None  # the text of the message that is open
        self._is_open = False

    def add(self, step: AgentStep) -> Iterator[dict[str, Any]]:
        """Yield the events of a step."""
        yield from self._open()
        if isinstance(step, str):
            yield from self._say(step)
            return
        call = _call(step)
        place = len(self._output) + (self._said is not None)
        yield self._event("output_item.added", output_index=place, item={**call, "arguments": ""})
        if isinstance(step, AgentCall):
            yield self._event("function_call_arguments.delta", output_index=place, delta=call["arguments"])
        yield self._event("output_item.done", output_index=place, item=call)
        yield from self._end_message()
        self._output.append(call)
        yield self._complete()
        yield from _result(step, call)

    def end(self, **report: Any) -> Iterator[dict[str, Any]]:
        """Yield the end of the last response; if there is none that is open, of an empty one.

        Args:
            **report: What the last event has besides the response.
        """
        yield from self._open() if not self._is_open and report else ()
        yield from self._end_message()
        if self._is_open:
            yield {**self._complete(), **report}

    def _open(self) -> Iterator[dict[str, Any]]:
        if not self._is_open:
            self._is_open, self._output = True, []
            yield self._event("created", response=_response(self._made, [], None))

    def _say(self, text: str) -> Iterator[dict[str, Any]]:
        place = len(self._output)
        if self._said is None:
            self._said = ""
            item = {"type": "message", "id": new_id("__fake_id__"), "role": "assistant", "content": []}
            yield self._event("output_item.added", output_index=place, item={**item, "status": "in_progress"})
            part = {"type": "output_text", "text": "", "annotations": []}
            yield self._event("content_part.added", output_index=place, content_index=0, part=part)
        self._said += text
        for word in DELTA.findall(text):
            yield self._event("output_text.delta", output_index=place, content_index=0, delta=word)

    def _end_message(self) -> Iterator[dict[str, Any]]:
        if self._said is not None:
            (item,) = _message(self._said)
            place, part = len(self._output), item["content"][0]
            yield self._event("content_part.done", output_index=place, content_index=0, part=part)
            yield self._event("output_item.done", output_index=place, item=item)
            self._output.append(item)
            self._said = None

    def _complete(self) -> dict[str, Any]:
        self._is_open = False
        return self._event("completed", response=_response(self._made, list(self._output), None))

    def _event(self, kind: str, **fields: Any) -> dict[str, Any]:
        self._number += 1
        return {"type": f"response.{kind}", "sequence_number": self._number - 1, **fields}


def _response(made: AgentAnswer, output: list[AgentItem], status: str | None) -> dict[str, Any]:
    usage = {
        "input_tokens": made.prompt_tokens,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": made.tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": made.prompt_tokens + made.tokens,
    }
    return {
        "id": new_id("resp_"),
        "object": "response",
        "created_at": made.created,
        "status": status,
        "error": None,
        "model": made.agent,
        "output": output,
        "usage": usage if output else None,
    }


def _message(text: str) -> list[AgentItem]:
    part = {"type": "output_text", "text": text, "annotations": []}
    return [{"type": "message", "id": new_id("msg_"), "role": "assistant", "status": "completed", "content": [part]}]


def _call(step: AgentCall | ApprovalRequest) -> AgentItem:
    if isinstance(step, ApprovalRequest):
        return {"type": "mcp_approval_request", "id": new_id("mcpr_"), "name": step.name, "arguments": json_of(step),
                "server_label": step.server_label}  # fmt: skip
    return {"type": "function_call", "id": new_id("fc_"), "call_id": new_id("call_"), "name": step.name,
            "arguments": json_of(step), "status": None}  # fmt: skip


def _result(step: AgentStep, call: AgentItem) -> list[AgentItem]:
    if not isinstance(step, AgentCall) or step.result is None:
        return []
    return [{"type": "function_call_output", "call_id": call["call_id"], "output": step.result}]
