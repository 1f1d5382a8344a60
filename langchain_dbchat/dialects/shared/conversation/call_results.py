"""Order the results of tool calls as every wire requires: directly after the turn with the calls, one for each call.

The order depends on the roles of the messages and on the ids, not on the wire format.

Rule 1. A result comes directly after the turn with its call, wherever it is in the conversation ("tool_use ids were
found without tool_result blocks immediately after"; OpenAI: "No tool output found for function call").
Rule 2. A call without a result gets one that says so, because servers refuse the conversation otherwise: a malformed
call at once, any other call if the conversation has continued without its result
(docs.langchain.com/oss/python/langgraph/errors/INVALID_CHAT_HISTORY).
Rule 3. A result without its call raises and names the id, if servers refuse it.
Rule 4. Each call gets an id that the family accepts and that no earlier call has; its result has the same id.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

from langchain_dbchat.dialects.shared.conversation.call_ids import CallIds
from langchain_dbchat.errors import UnsupportedContentError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from langchain_dbchat.models.families import Family

__all__ = ["MALFORMED", "NOT_EXECUTED", "HistoryStep", "Placed", "place_results"]

MALFORMED = "Error: this call was malformed (its arguments are not a complete JSON object), so it was not executed."
NOT_EXECUTED = "Error: this call was not executed; it has no result."


class HistoryStep(NamedTuple):
    """One message of a conversation, as far as calls and results depend on it."""

    role: Literal["system", "user", "assistant", "tool"]
    where: str
    """The name of the message in an error."""
    calls: Sequence[str] = ()
    """The ids of the calls that it made; empty text for a call without one."""
    malformed: frozenset[int] = frozenset()
    """Which of its calls were malformed."""
    answers: str = ""
    """The id of the call that it is the result of."""


class Placed(NamedTuple):
    """One message of the ordered conversation."""

    place: int
    """The place of the message; for a result that was made up, the place of the turn with its call."""
    calls: Sequence[str] = ()
    """The ids that its calls get."""
    answers: str = ""
    """The id of its call, if it is a result."""
    made_up: str = ""
    """The text of a result for a call without one; empty for a message of the conversation."""


@dataclass(slots=True)
class _CallingTurn:
    """A turn with calls, and the results that were found for them."""

    ids: list[str]
    answered: set[int] = field(default_factory=set)
    results: list[Placed] = field(default_factory=list)


def place_results(steps: Sequence[HistoryStep], family: Family) -> Iterator[Placed]:
    """Order a conversation so that each call has its result directly after its turn.

    Args:
        steps: The messages, in the caller's order.
        family: The row of the model that is called.

    Yields:
        The messages in the order in which to send them.

    Raises:
        UnsupportedContentError: If a result has no call, and the family refuses that.
    """
    turns, orphans = _match(steps, family)
    last = max((place for place, step in enumerate(steps) if step.role in {"user", "assistant"}), default=-1)
    for place, step in enumerate(steps):
        turn = turns.get(place)
        if turn is not None:
            yield Placed(place, turn.ids)
            yield from turn.results
            for number, call_id in enumerate(turn.ids):
                malformed = number in step.malformed
                if number not in turn.answered and (malformed or place < last):
                    yield Placed(place, answers=call_id, made_up=MALFORMED if malformed else NOT_EXECUTED)
        elif step.role != "tool":
            yield Placed(place)
        elif place in orphans:
            yield Placed(place, answers=orphans[place])


def _match(steps: Sequence[HistoryStep], family: Family) -> tuple[dict[int, _CallingTurn], dict[int, str]]:
    """Find the call of each result: in the last turn that has an open call with its id, the first one.

    A result without a matching id answers the first open call without an id, because that tool had no id to return.

    Returns:
        The turns with calls, and the ids of the results without a call, by place.
    """
    ids = CallIds(family.call_ids)
    turns: dict[int, _CallingTurn] = {}
    orphans: dict[int, str] = {}
    opened: dict[str, list[tuple[_CallingTurn, int]]] = {}
    for place, step in enumerate(steps):
        if step.calls:
            turn = turns[place] = _CallingTurn([ids.assign(given) for given in step.calls])
            for number, given in enumerate(step.calls):
                opened.setdefault(given, []).append((turn, number))
        elif step.role == "tool":
            waiting = opened.get(step.answers) or opened.get("")
            if waiting:
                latest = waiting[-1][0]
                _, number = waiting.pop(next(at for at, (turn, _) in enumerate(waiting) if turn is latest))
                latest.answered.add(number)
                latest.results.append(Placed(place, answers=latest.ids[number]))
            else:
                _check_orphan(step, family)
                orphans[place] = ids.of_result(step.answers)
    return turns, orphans


def _check_orphan(step: HistoryStep, family: Family) -> None:
    if not step.answers:
        raise UnsupportedContentError(f"{step.where}: a tool result needs the id of the call that it answers.")
    if not family.orphan_results:
        raise UnsupportedContentError(
            f"{step.where}: no open tool call has the id {step.answers!r}, so this result answers nothing, and the "
            "model refuses that. Keep the AIMessage whose tool_calls contain this id, or leave the result out too: "
            "trim_messages(..., start_on='human') does that."
        )
