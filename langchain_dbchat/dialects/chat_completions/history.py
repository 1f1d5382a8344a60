"""Order wire messages as a conversation: turns, system messages first, media.

Results are behind their calls already, because that is the same on every wire (`shared.turns`).

Rule 1. Media that only users may send are in a user message, behind all results of the turn (goose: "required by
Claude via Databricks").
Rule 2. Where roles have to take turns, neighbours of one role become one message, and a conversation that the assistant
opens gets a first message of the user's (aider #1920, litellm #6257).
Rule 3. Where a family takes one call in a turn, a turn with several becomes several turns (gpt-oss: `Multiple tool
calls are not supported.`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_dbchat.dialects.shared.conversation.turns import OPENING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from langchain_dbchat.dialects.chat_completions.quirks import ChatQuirks
    from langchain_dbchat.dialects.shared.conversation.turns import ConversationTurn
    from langchain_dbchat.models.families import Family

Wire = dict[str, Any]


class EncodedMessage(NamedTuple):
    """One wire message on its way, with what the order of the conversation needs to know."""

    wire: Wire
    media: Sequence[Wire] = ()
    """Parts that have to follow in a user message."""


def message_of(turn: ConversationTurn, content: str | list[Wire] | None, quirks: ChatQuirks) -> Wire:
    """Write a message with the content of a turn.

    Args:
        turn: The turn.
        content: Its content.
        quirks: What the model accepts on this wire.

    Returns:
        The message, with its name where the wire takes one.
    """
    wire: Wire = {"role": turn.role, "content": content}
    if quirks.message_names and turn.message.name:
        wire["name"] = turn.message.name
    return wire


def order(wire: list[Wire], media: Mapping[int, Sequence[Wire]], family: Family, quirks: ChatQuirks) -> list[Wire]:
    """Make a conversation of messages that were encoded one by one.

    Args:
        wire: The messages, in order.
        media: The parts that have to follow a message in a user message, by its place.
        family: The facts of the model that is called.
        quirks: What it accepts on this wire.

    Returns:
        The wire messages, in the order in which the family takes them.
    """
    if media:
        wire = _place_media(wire, media)
    if family.alternating_roles:
        wire = take_turns(wire)
    elif quirks.system == "first":
        wire = _system_first(wire)
    if quirks.tool_history == "split":
        wire = _split_calls(wire)
    if not family.final_space:
        wire = _strip_end(wire)
    return wire


def _place_media(wire: Sequence[Wire], media: Mapping[int, Sequence[Wire]]) -> list[Wire]:
    """Put media that only users may send into a user message, after all results of the turn."""
    placed: list[Wire] = []
    waiting: list[Wire] = []
    for number, message in enumerate(wire):
        if waiting and message["role"] != "tool":
            placed.append({"role": "user", "content": waiting})
            waiting = []
        placed.append(message)
        waiting.extend(media.get(number, ()))
    if waiting:
        placed.append({"role": "user", "content": waiting})
    return placed


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
    if len(calls) < 2:  # noqa: PLR2004  # one call is not a group
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
