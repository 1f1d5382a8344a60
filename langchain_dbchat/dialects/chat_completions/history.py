"""What makes wire messages a conversation: calls with their results, whose turn it is, where media and system stand.

Rule 1. A result stands right behind the turn that called, wherever the conversation has it ("tool_use ids were found
without tool_result blocks immediately after"; docs/wire.md, 2.5).
Rule 2. A call that nobody answered gets a result that says so, because servers refuse the conversation otherwise, for
ever: a malformed call at once, any other one when the conversation has gone on without it
(docs.langchain.com/oss/python/langgraph/errors/INVALID_CHAT_HISTORY).
Rule 3. A result whose call is not there raises and names its id, where servers refuse it.
Rule 4. Where roles have to take turns, neighbours of one role become one message, and a conversation that the assistant
opens gets a first message of the user's (aider #1920, litellm #6257).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_dbchat.dialects.shared.call_ids import CallIds
from langchain_dbchat.errors import UnsupportedContentError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from langchain_dbchat.dialects.chat_completions.quirks import ChatQuirks
    from langchain_dbchat.models.families import Family

Wire = dict[str, Any]

MALFORMED = "Error: this call was malformed (its arguments are not a complete JSON object), so it was not executed."
NOT_EXECUTED = "Error: this call was not executed; it has no result."
OPENING = "(start of the conversation)"


class Entry(NamedTuple):
    """One wire message on its way, with what the order of the conversation needs to know."""

    wire: Wire
    where: str
    """What to call the message in an error."""
    media: Sequence[Wire] = ()
    """Parts that have to follow in a user message."""
    malformed: frozenset[int] = frozenset()
    """Which of its calls were malformed."""


@dataclass(slots=True)
class _Turn:
    """One assistant turn with its calls and the results that were found for them."""

    place: int
    ids: list[str]
    answered: set[int] = field(default_factory=set)
    results: list[Entry] = field(default_factory=list)


def order(entries: list[Entry], family: Family, quirks: ChatQuirks) -> list[Wire]:
    """Make a conversation of messages that were encoded one by one.

    Args:
        entries: The messages, in order.
        family: The facts of the model that is called.
        quirks: What it accepts on this wire.

    Returns:
        The wire messages, in the order in which the family takes them.

    Raises:
        UnsupportedContentError: If a result has no call.
    """
    calls = media = False
    for entry in entries:
        calls = calls or "tool_calls" in entry.wire or entry.wire["role"] == "tool"
        media = media or bool(entry.media)
    if calls:
        entries = _answer_calls(entries, family, quirks)
    wire = _place_media(entries) if media else [entry.wire for entry in entries]
    if family.alternating_roles:
        wire = take_turns(wire)
    elif quirks.system == "first":
        wire = _system_first(wire)
    if quirks.tool_history == "split":
        wire = _split_calls(wire)
    if not family.final_space:
        wire = _strip_end(wire)
    return wire


def _answer_calls(entries: list[Entry], family: Family, quirks: ChatQuirks) -> list[Entry]:
    """Put each result behind its call, fit their ids, and answer for calls that nobody answered."""
    turns, orphans = _match(entries, CallIds(family.call_ids), quirks)
    said = [place for place, entry in enumerate(entries) if entry.wire["role"] in {"user", "assistant"}]
    ordered: list[Entry] = []
    for place, entry in enumerate(entries):
        if entry.wire["role"] == "tool":
            ordered.extend(orphans.get(place, ()))
            continue
        turn = turns.get(place)
        if turn is None:
            ordered.append(entry)
            continue
        calls = [{**call, "id": new} for call, new in zip(entry.wire["tool_calls"], turn.ids, strict=True)]
        ordered.append(Entry({**entry.wire, "tool_calls": calls}, entry.where, entry.media))
        ordered.extend(turn.results)
        for number, call_id in enumerate(turn.ids):
            malformed = number in entry.malformed
            if number not in turn.answered and (malformed or place < said[-1]):
                text = MALFORMED if malformed else NOT_EXECUTED
                ordered.append(Entry({"role": "tool", "tool_call_id": call_id, "content": text}, entry.where))
    return ordered


def _match(entries: list[Entry], ids: CallIds, quirks: ChatQuirks) -> tuple[dict[int, _Turn], dict[int, list[Entry]]]:
    """Find the call of each result: the last open one with its id, within a turn the first.

    A result is also taken for the first open call without an id: a tool that was called so had no id to give back.
    """
    turns: dict[int, _Turn] = {}
    orphans: dict[int, list[Entry]] = {}
    opened: dict[str, list[tuple[_Turn, int]]] = {}
    for place, entry in enumerate(entries):
        if "tool_calls" in entry.wire:
            given = [call["id"] or "" for call in entry.wire["tool_calls"]]
            turn = turns[place] = _Turn(place, [ids.assign(one) for one in given])
            for number, one in enumerate(given):
                opened.setdefault(one, []).append((turn, number))
        elif entry.wire["role"] == "tool":
            answers = entry.wire["tool_call_id"]
            waiting = opened.get(answers) or opened.get("")
            if waiting:
                last = waiting[-1][0]
                at = next(index for index, (turn, _) in enumerate(waiting) if turn is last)
                _, number = waiting.pop(at)
                last.answered.add(number)
                last.results.append(_answering(entry, last.ids[number]))
            else:
                orphans[place] = [_orphan(entry, ids, quirks)]
    return turns, orphans


def _orphan(entry: Entry, ids: CallIds, quirks: ChatQuirks) -> Entry:
    given = entry.wire["tool_call_id"]
    if not given:
        raise UnsupportedContentError(f"{entry.where}: a tool result needs the id of the call that it answers.")
    if not quirks.orphan_results:
        raise UnsupportedContentError(
            f"{entry.where}: no open tool call has the id {given!r}, so this result answers nothing, and the model "
            "refuses that. Keep the AIMessage whose tool_calls hold this id, or leave the "
            "result out too: trim_messages(..., start_on='human') does that."
        )
    return _answering(entry, ids.of_result(given))


def _answering(entry: Entry, call_id: str) -> Entry:
    return Entry({**entry.wire, "tool_call_id": call_id}, entry.where, entry.media)


def _place_media(entries: Iterable[Entry]) -> list[Wire]:
    """Put media that only users may send into a user message, after all results of the turn."""
    wire: list[Wire] = []
    media: list[Wire] = []
    for entry in entries:
        if media and entry.wire["role"] != "tool":
            wire.append({"role": "user", "content": media})
            media = []
        wire.append(entry.wire)
        media.extend(entry.media)
    if media:
        wire.append({"role": "user", "content": media})
    return wire


def _system_first(wire: list[Wire]) -> list[Wire]:
    system = [message for message in wire if message["role"] == "system"]
    if not system or (len(system) == 1 and wire[0] is system[0]):
        return wire
    merged = system[0]["content"]
    for message in system[1:]:
        merged = _joined(merged, message["content"])
    return [{"role": "system", "content": merged}, *(message for message in wire if message["role"] != "system")]


def take_turns(wire: list[Wire]) -> list[Wire]:
    """Make user and assistant take turns, the user first, after one system message.

    Args:
        wire: The messages. They are not changed.

    Returns:
        New messages: neighbours of one role are one, and nothing is left out.
    """
    turns: list[Wire] = []
    for message in _system_first(wire):
        last = turns[-1] if turns else None
        if last is not None and message["role"] == last["role"] != "tool" and "tool_calls" not in last:
            turns[-1] = {**message, "content": _joined(last["content"], message["content"])}
        else:
            turns.append(message)
    first = next((place for place, message in enumerate(turns) if message["role"] != "system"), None)
    if first is not None and turns[first]["role"] == "assistant":
        turns.insert(first, {"role": "user", "content": OPENING})
    return turns


def _joined(first: str | list[Wire] | None, second: str | list[Wire] | None) -> str | list[Wire] | None:
    """Join the contents of two messages: texts as two paragraphs, anything else part by part."""
    if not first or not second:
        return second or first
    if isinstance(first, str) and isinstance(second, str):
        return f"{first}\n\n{second}"
    return [*_parts(first), *_parts(second)]


def _parts(content: str | list[Wire]) -> list[Wire]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _split_calls(wire: list[Wire]) -> list[Wire]:
    """Send several calls of one turn as several turns with one call and its result each."""
    return [message for turn, results in _turns_of(wire) for message in _split(turn, results)]


def _turns_of(wire: list[Wire]) -> Iterator[tuple[Wire, list[Wire]]]:
    """Go through the messages, each with the tool results right behind it."""
    place = 0
    while place < len(wire):
        end = place + 1
        while end < len(wire) and wire[end]["role"] == "tool":
            end += 1
        yield wire[place], wire[place + 1 : end]
        place = end


def _split(turn: Wire, results: list[Wire]) -> Iterator[Wire]:
    calls = turn.get("tool_calls") or []
    if len(calls) < 2:  # noqa: PLR2004  # one call is no group
        yield turn
        yield from results
        return
    for number, call in enumerate(calls):
        yield {**turn, "content": turn["content"] if number == 0 else None, "tool_calls": [call]}
        yield from (result for result in results if result["tool_call_id"] == call["id"])
    ids = {call["id"] for call in calls}
    yield from (result for result in results if result["tool_call_id"] not in ids)


def _strip_end(wire: list[Wire]) -> list[Wire]:
    """Take the white space from the end of a last message of the assistant's, which the model continues."""
    last = wire[-1] if wire else None
    if last is None or last["role"] != "assistant" or "tool_calls" in last:
        return wire
    content = last["content"]
    if isinstance(content, str):
        content = content.rstrip()
    elif content[-1]["type"] == "text":
        content = [*content[:-1], {**content[-1], "text": content[-1]["text"].rstrip()}]
    return [*wire[:-1], {**last, "content": content}]
