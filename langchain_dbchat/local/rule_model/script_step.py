"""One step of a script: what a test has written as the answer to a request.

Rule 1. A step is what the model answers, before an API gives it its shape: the same step works on every API, whole and
streamed, and for each choice of a request. `max_tokens` and `stop` do not change it.
Rule 2. A step whose endpoint fails is a `Fault` with a status. A cut goes on with the `Fault` of the request.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from pydantic_core import PydanticSerializationError, from_json, to_json

from langchain_dbchat.local.faults.fault import Fault
from langchain_dbchat.local.refusals import plain
from langchain_dbchat.local.rule_model.answer import ModelAnswer, ToolCall

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_dbchat.local.rule_model.request import ModelRequest

Kind = Literal["chat", "embeddings"]
WHOLE_CUT = 40
"""Bytes of an answer that is not streamed, before a cut."""


@dataclass(frozen=True, slots=True)
class ScriptStep:
    """One answer of a script."""

    kind: Kind
    answer: Any = ""
    """A text, a JSON value, a `ModelAnswer`, or a function that makes one of them from the `ModelRequest`."""
    reasoning: str = ""
    calls: tuple[tuple[str, str], ...] = ()
    """Names and arguments of tool calls."""
    finish: str = ""
    """The finish reason; empty for the one that fits."""
    vectors: tuple[Any, ...] = ()
    fault: Fault | None = None
    """The error that comes in place of an answer."""
    pace: float = 0.0
    """Seconds before each piece."""
    cut_after: int | None = None
    """Events of a stream after which the connection ends."""
    times: int | None = 1
    """How many requests get this step; None for no end."""

    def effect(self, *, streaming: bool) -> Fault | None:
        """Return what happens to the bytes of the answer."""
        if self.cut_after is None:
            return None
        return Fault(cut_after_events=self.cut_after) if streaming else Fault(cut_after=WHOLE_CUT)

    def made_for(self, request: ModelRequest) -> ModelAnswer:
        """Return the answer to a request; the calls have no ids yet.

        Args:
            request: The request.

        Raises:
            Refused: 400 if the function of the script fails.
        """
        answer = self.answer
        if callable(answer):
            try:
                answer = answer(request)
            except Exception as error:
                text = f"The function that the script has for {request.endpoint!r} failed: "
                raise plain(400, "BAD_REQUEST", f"{text}{type(error).__name__}: {error}") from error
        if isinstance(answer, ModelAnswer):
            made = replace(answer, calls=[replace(call) for call in answer.calls])
        elif isinstance(answer, str):
            made = ModelAnswer(text=answer)
        else:
            made = _structured(as_json(answer), request)
        made.calls += [ToolCall("", name, arguments) for name, arguments in self.calls]
        made.reasoning = self.reasoning or made.reasoning
        if self.finish or (made.calls and made.finish == "stop"):
            made.finish = self.finish or "tool_calls"
        return made

    def rows(self, texts: list[str]) -> list[list[float]]:
        """Return a vector for each text.

        Args:
            texts: The texts of the request.

        Raises:
            Refused: 400 if the script has another number of vectors than the request has texts.
        """
        given: Sequence[Any] = self.vectors
        if len(given) == 1 and callable(given[0]):
            given = list(given[0](list(texts)))
        elif len(given) == 1:
            given = list(given) * len(texts)
        if len(given) != len(texts):
            text = f"The scripted answer has {len(given)} vectors, but the request has {len(texts)} texts."
            raise plain(400, "BAD_REQUEST", text)
        return [[float(number) for number in row] for row in given]


def as_json(value: Any) -> Any:
    """Return a value as JSON has it; a pydantic model becomes a dict.

    Args:
        value: A dict, a list, a number, or a pydantic model.

    Raises:
        TypeError: JSON has no such value.
    """
    try:
        return from_json(to_json(value))
    except PydanticSerializationError as error:
        raise TypeError(f"A scripted answer is a text, a JSON value or a function, and not {value!r}.") from error


def _structured(value: Any, request: ModelRequest) -> ModelAnswer:
    """Return a structured answer: as JSON in the text, or as the arguments of a tool where no format is asked for."""
    functions = [tool["function"] for tool in request.tools if isinstance(tool.get("function"), dict)]
    choice = request.tool_choice
    if isinstance(choice, dict):
        functions = [one for one in functions if one["name"] == choice.get("function", {}).get("name")]
    content = to_json(value).decode()
    if request.response_format or choice == "none" or not isinstance(value, dict):
        return ModelAnswer(text=content)
    for one in functions:
        if value.keys() <= ((one.get("parameters") or {}).get("properties") or {}).keys():
            return ModelAnswer(calls=[ToolCall("", one["name"], content)])
    return ModelAnswer(text=content)


def call_of(tool: Any, arguments: Mapping[str, Any] | str | None, named: Mapping[str, Any]) -> tuple[str, str]:
    """Return the name of a tool and its arguments as JSON.

    Args:
        tool: The tool, its function, its schema class, or its name.
        arguments: The arguments; a text is sent as it is.
        named: The arguments by name.

    Raises:
        TypeError: The tool has no name, or an argument is not a JSON value.
    """
    if isinstance(arguments, str):
        return tool_name(tool), arguments
    return tool_name(tool), to_json(as_json({**(arguments or {}), **named})).decode()


def tool_name(tool: Any) -> str:
    """Return the name of a tool.

    Args:
        tool: The tool, its function, its schema class, or its name.

    Raises:
        TypeError: It has no name.
    """
    name = tool if isinstance(tool, str) else getattr(tool, "name", None) or getattr(tool, "__name__", None)
    if not isinstance(name, str) or not name:
        raise TypeError(f"{tool!r} is neither a tool, nor a function, nor the name of a tool.")
    return name
