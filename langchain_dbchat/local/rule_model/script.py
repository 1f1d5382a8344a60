"""The scripts of a workspace: answers that a test has written, in the order in which they are given.

Rule 1. A script is a queue of steps for one endpoint, or for every endpoint that has no script of its own. A request
takes a step after it has passed the checks of its API, so that a refused request uses up none.
Rule 2. A script without a step left refuses in words, unless `AnswerScript.then_rules` was called. The status is 400,
because clients do not send such a request again.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from langchain_dbchat.local.faults.fault import Fault
from langchain_dbchat.local.faults.named import default_body
from langchain_dbchat.local.refusals import Refused, plain
from langchain_dbchat.local.rule_model.answer import REFUSAL
from langchain_dbchat.local.rule_model.script_step import ScriptStep, call_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from typing_extensions import Self

    from langchain_dbchat.local.rule_model.answer import ModelAnswer
    from langchain_dbchat.local.rule_model.request import ModelRequest
    from langchain_dbchat.local.rule_model.script_step import Kind

    Answerable = str | Mapping[str, Any] | Sequence[Any] | ModelAnswer | Callable[[ModelRequest], Any] | Any
    Vectors = Callable[[list[str]], Sequence[Sequence[float]]] | Sequence[float]

ANY = ""
"""The name of the script for every endpoint without one of its own."""


def _checked(times: int | None) -> int | None:
    if times is not None and times < 1:
        raise ValueError(f"times is {times}; it must be at least 1, or None for no end.")
    return times


def _plain_name(endpoint: str) -> str:
    """Return the name under which a script is kept: the gateway's name of a model is that of its endpoint."""
    if endpoint.startswith("system.ai."):
        return "databricks-" + endpoint.removeprefix("system.ai.")
    return endpoint


@dataclass(slots=True)
class _Steps:
    """The steps of one script, and what is known of them."""

    steps: deque[ScriptStep] = field(default_factory=deque)
    taken: int = 0
    rules_follow: bool = False


class AnswerScript:
    """The answers of one endpoint, in order; each method adds one, or changes the last one, and returns the script.

    Args:
        endpoint: The endpoint; `ANY` for every endpoint without a script of its own.
        kind: What the endpoint serves; None if that is not known.
    """

    def __init__(self, endpoint: str, kind: Kind | None) -> None:
        self.endpoint = endpoint
        self._kind = kind
        self._queue = _Steps()
        self._lock = threading.Lock()  # steps are added in the test's thread and taken in the server's

    def answer(self, answer: Answerable = "", *, reasoning: str = "", finish: str = "", times: int | None = 1) -> Self:
        """Answer the next request with a text or with a JSON value.

        Args:
            answer: A text; a dict, list or pydantic model, which becomes the structured answer in the way in which the
                request asks for it (as JSON, or as the arguments of the tool that has to be called); or a function that
                gets the request (``messages``, ``tools``, ``prompt`` ...) and returns one of these.
            reasoning: The reasoning before the answer.
            finish: The finish reason, such as ``length``; empty for the one that fits.
            times: How many requests get this answer; None for no end.
        """
        return self._add(ScriptStep("chat", answer, reasoning=reasoning, finish=finish, times=_checked(times)))

    def call(self, tool: Any, arguments: Mapping[str, Any] | str | None = None, /, **named: Any) -> Self:
        """Answer the next request with a tool call.

        Args:
            tool: The tool, its function, its schema class, or its name.
            arguments: The arguments; a text is sent as it is, even if it is not JSON.
            **named: The arguments by name.

        Raises:
            TypeError: The tool has no name.
        """
        return self._add(ScriptStep("chat", calls=(call_of(tool, arguments, named),)))

    def and_call(self, tool: Any, arguments: Mapping[str, Any] | str | None = None, /, **named: Any) -> Self:
        """Add a tool call to the last answer; for the arguments see `call`.

        Raises:
            TypeError: The tool has no name.
            ValueError: There is no answer yet.
        """
        last = self._last("and_call", "chat")
        return self._change(calls=(*last.calls, call_of(tool, arguments, named)))

    def refuse(self, text: str = "I can't help with that.") -> Self:
        """Let the model refuse the next request, in the way in which its family does.

        Args:
            text: What the model says.
        """
        return self._add(ScriptStep("chat", text, finish=REFUSAL))

    def fail(
        self,
        status: int | str = 503,
        *,
        body: Mapping[str, Any] | str | None = None,
        headers: Mapping[str, str] | None = None,
        times: int = 1,
    ) -> Self:
        """Refuse the next request with an HTTP status.

        Args:
            status: The status, or the name of a fault, such as ``rate_limit`` (docs/local-workspace.md).
            body: The body; None for Databricks' own body of that status.
            headers: More headers, such as ``{"retry-after": "0"}``.
            times: How many requests are refused.

        Raises:
            ValueError: There is no fault of that name.
        """
        given: dict[str, Any] = {"headers": dict(headers or {})} | ({} if body is None else {"body": body})
        fault = Fault.named(status, **given) if isinstance(status, str) else Fault(status=status, **given)
        return self._add(ScriptStep(self._kind or "chat", fault=fault, times=_checked(times)))

    def embed(self, *vectors: Vectors, times: int | None = 1) -> Self:
        """Answer the next request with vectors.

        Args:
            *vectors: One vector for every text, or as many as the request has texts, or a function that gets the texts
                and returns the vectors.
            times: How many requests get this answer; None for no end.

        Raises:
            ValueError: There is no vector.
        """
        if not vectors:
            raise ValueError("embed() needs at least one vector, or a function that makes them.")
        return self._add(ScriptStep("embeddings", vectors=vectors, times=_checked(times)))

    def slowly(self, seconds: float) -> Self:
        """Send the last answer slowly.

        Args:
            seconds: The time before each piece of it, in seconds.

        Raises:
            ValueError: There is no answer yet, or the number is below 0.
        """
        self._last("slowly")
        if seconds < 0:
            raise ValueError(f"slowly({seconds}): the seconds must not be below 0.")
        return self._change(pace=seconds)

    def cut_off(self, after: int = 2) -> Self:
        """End the connection within the last answer.

        Args:
            after: Events of the stream that are sent before; an answer that is not streamed is cut in its first line.

        Raises:
            ValueError: There is no answer yet, or the number is below 0.
        """
        self._last("cut_off")
        if after < 0:
            raise ValueError(f"cut_off({after}): the number of events must not be below 0.")
        return self._change(cut_after=after)

    def then_rules(self) -> Self:
        """Let the rule-based model answer when all steps have been given; else more requests are an error."""
        self._queue.rules_follow = True
        return self

    @property
    def left(self) -> int:
        """Return how many steps no request has taken yet; a step without an end counts until it is taken once."""
        with self._lock:
            return sum(1 for step in self._queue.steps if step.times is not None or not self._queue.taken)

    def take(self, kind: Kind) -> ScriptStep | None:
        """Return the step for the next request; None if the rules answer.

        Args:
            kind: What the request asks for.

        Raises:
            Refused: 400 if no step is left.
        """
        queue = self._queue
        with self._lock:
            if not queue.steps:
                if queue.rules_follow or not queue.taken:
                    return None
                raise plain(400, "BAD_REQUEST", self._used_up())
            step = queue.steps[0]
            if step.kind != kind:
                return None
            queue.taken += 1
            if step.times is not None:
                queue.steps.popleft()
                if step.times > 1:
                    queue.steps.appendleft(replace(step, times=step.times - 1))
            return step

    def _used_up(self) -> str:
        where = f"script({self.endpoint!r})" if self.endpoint else "script()"
        count = self._queue.taken
        return (
            f"The {where} of the local workspace has no answer left: it had {count}, and this is request {count + 1}. "
            "Add an answer, or end the script with .then_rules() to let the rule-based model answer."
        )

    def _add(self, step: ScriptStep) -> Self:
        if self._kind is not None and step.kind != self._kind:
            advice = "use .embed(vector)" if self._kind == "embeddings" else "use .answer(...) or .call(...)"
            raise ValueError(f"{self.endpoint!r} serves {self._kind}: {advice}.")
        with self._lock:
            self._queue.steps.append(step)
        return self

    def _last(self, method: str, kind: Kind | None = None) -> ScriptStep:
        with self._lock:
            step = self._queue.steps[-1] if self._queue.steps else None
        if step is None or step.fault is not None or (kind is not None and step.kind != kind):
            raise ValueError(f".{method}() changes the answer before it, and there is none: begin with .answer(...).")
        return step

    def _change(self, **changes: Any) -> Self:
        with self._lock:
            self._queue.steps[-1] = replace(self._queue.steps[-1], **changes)
        return self


class Scripts:
    """The scripts of a workspace."""

    def __init__(self) -> None:
        self._scripts: dict[str, AnswerScript] = {}

    def of(self, endpoint: str, kind: Kind | None) -> AnswerScript:
        """Return the script of an endpoint; it is made when it is first asked for.

        Args:
            endpoint: The endpoint; `ANY` for every endpoint without a script of its own.
            kind: What it serves.
        """
        return self._scripts.setdefault(_plain_name(endpoint), AnswerScript(endpoint, kind))

    def take(self, endpoint: str, kind: Kind) -> ScriptStep | None:
        """Return the step for a request; None if the rules answer.

        Args:
            endpoint: The endpoint that the request calls.
            kind: What the request asks for.

        Raises:
            Refused: 400 if the script has no step left, or the step is an error.
        """
        script = self._scripts.get(_plain_name(endpoint)) or self._scripts.get(ANY)
        step = None if script is None else script.take(kind)
        if step is not None and step.fault is not None:
            status, body = step.fault.status or 500, step.fault.body
            content = default_body(status) if body is None else body if isinstance(body, str) else dict(body)
            raise Refused(status, content, step.fault.headers)
        return step

    def unused(self) -> list[tuple[str, int]]:
        """Return the endpoints whose scripts have steps left, with their number."""
        return [(script.endpoint, script.left) for script in self._scripts.values() if script.left]

    def clear(self) -> None:
        """Forget all scripts."""
        self._scripts.clear()
