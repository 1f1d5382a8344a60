"""Read the items and the events of Responses as parts, in the order in which they happen.

Rule 1. An item is passed on once, whichever events contain it: servers repeat texts and arguments in the ``done``
events, some send nothing but those, and a final response repeats all items
(platform.openai.com/docs/api-reference/responses-streaming).
Rule 2. `ItemPlaces` says which item an event belongs to; what an item repeats of its events is passed on once.
Rule 3. A call of a tool that the caller has bound is the caller's. Any other call is a step of an agent, until the
answer has ended without its result (`shared.steps`). A result may come as an item or as a bare event.
Rule 4. What reasoning needs to be sent back (its id, the encrypted content) is with its part; a call knows the
item that it followed: reasoning, or a text beside reasoning.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from langchain_dbchat.dialects.responses.items import CUSTOM_INPUT, FOLLOWS, ITEM_ID, ITEM_TYPE
from langchain_dbchat.dialects.responses.places import ItemPlaces
from langchain_dbchat.dialects.shared.answer.beside import Other, arguments_in, text_in
from langchain_dbchat.dialects.shared.answer.fields import says_something
from langchain_dbchat.dialects.shared.answer.parts import Part, Reasoning, Refusal, Text, ToolCallPart, new_call_id
from langchain_dbchat.dialects.shared.answer.steps import AgentSteps
from langchain_dbchat.dialects.shared.blocks.call_arguments import UNNAMED
from langchain_dbchat.dialects.shared.blocks.storable import storable
from langchain_dbchat.errors import MalformedResponseError

__all__ = ["ItemReader"]

_MESSAGE_KEYS = frozenset({"type", "id", "role", "status", "content"})
_TEXT_KEYS = frozenset({"type", "text", "annotations", "logprobs"})
_REASONING_KEYS = frozenset({"type", "status", "summary", "content"})
_CALL_KEYS = frozenset({"type", "id", "status", "call_id", "name", "arguments", "input"})
_RESULT_KEYS = frozenset({"type", "status", "call_id", "output"})
_BLOCK_KEYS = frozenset({"type", "text", "summary", "index"})
_RESULTS = frozenset({"function_call_output", "custom_tool_call_output"})
_CALLS = frozenset({"function_call", "custom_tool_call"})


class ItemReader:
    """The items of one answer, while they arrive.

    Args:
        bound: The names of the tools that the caller has bound, as they were sent; None if that is not known.
    """

    __slots__ = (
        "_answered",
        "_arguments",
        "_begun",
        "_calls",
        "_has_spoken",
        "_last_item",
        "_last_reasoning",
        "_places",
        "_spoken",
        "_steps",
        "_texts",
        "bound",
        "logprobs",
    )

    def __init__(self, bound: frozenset[str] | None) -> None:
        self.bound = bound
        self._steps = AgentSteps()
        self._answered: frozenset[str] = frozenset()  # the calls whose results a whole answer has
        self._calls = 0  # of the caller's tools
        self._last_reasoning: str | None = None
        self._last_item: str | None = None  # reasoning, or a text that goes back under its id
        self._has_spoken = False  # a text was passed on
        self.logprobs: list[Any] = []  # of all texts, from complete items
        self.begin_response()

    def begin_response(self) -> None:
        """Begin a response; an agent's stream may have several, whose items are counted from 0."""
        self._texts: dict[tuple[Any, ...], int] = {}  # how much of each text was passed on
        self._spoken: set[tuple[Any, ...]] = set()  # the items with a text, and the kind of text
        self._begun: dict[Any, ToolCallPart] = {}  # the caller's calls that were passed on in part, by their item
        self._arguments: dict[Any, list[str]] = {}  # what was passed on of their arguments
        self._places = ItemPlaces()

    @property
    def has_items(self) -> bool:
        """Return whether an item of this response was passed on, or a part of one."""
        return bool(self._texts or self._begun or self._places.has_ended)

    @property
    def has_calls(self) -> bool:
        """Return whether the caller has to execute calls; to be asked at the end of the answer."""
        return bool(self._calls or self._steps.unanswered())

    @property
    def awaits_results(self) -> bool:
        """Return whether an agent has called a tool of its own whose result has not come."""
        return bool(self._steps.unanswered())

    def expect(self, items: list[Any]) -> None:
        """Note which calls of a whole answer have a result.

        Args:
            items: All items of the answer.
        """
        self._answered = frozenset(
            str(item.get("call_id"))
            for item in items
            if isinstance(item, Mapping) and item.get("type") in tuple(_RESULTS)
        )

    def rest(self) -> Iterator[Part]:
        """Yield the calls without a result, which are the caller's to execute; at the end of the answer."""
        for call in self._steps.unanswered():
            yield replace(call, index=self._calls)  # it is another call, even if the caller's has the same id
            self._calls += 1

    def read_delta(self, kind: str, event: Mapping[str, Any]) -> Iterator[Part]:
        """Read an event that adds to an item, or that repeats a part of one.

        Args:
            kind: The event's type without ``response.``.
            event: The event.

        Yields:
            The parts that it adds.
        """
        what, _, stage = kind.rpartition(".")
        item = self._places.of_event(event, adds=stage == "delta")
        whole = stage == "done"
        if what in _TEXTS:
            text = text_in(event, _WHOLE.get(what, "text") if whole else "delta") or ""
            index = str(event.get("summary_index" if what == "reasoning_summary_text" else "content_index") or 0)
            if whole and (item, what, index) not in self._texts:  # no delta came before
                item = self._places.of_event(event, adds=True)
            yield from self._text(what, (item, what, index), text, whole=whole)
        elif what == "function_call_arguments":
            if item is None:  # no place is given, so they are those of the last call
                item = next(reversed(self._begun), None)
            yield from self._call_arguments(item, arguments_in(event, "arguments" if whole else "delta"), whole=whole)
        elif kind == "content_part.done":
            part = event.get("part")
            if isinstance(part, Mapping):
                yield from self._content_part(item, str(event.get("content_index") or 0), part)

    def begin_item(self, event: Mapping[str, Any]) -> Iterator[Part]:
        """Read the beginning of an item: a call of the caller's tool is passed on at once.

        Args:
            event: The event, with the item.

        Yields:
            The beginning of the call.
        """
        item = _checked(event.get("item"))
        place = self._places.of_event(event, adds=True)
        if item.get("type") == "function_call" and self._is_callers(item) and place not in self._begun:
            yield self._begin_call(place, item)

    def end_item(self, event: Mapping[str, Any]) -> Iterator[Part]:
        """Read a complete item.

        Args:
            event: The event that has it as its ``item``.

        Yields:
            What no event has described yet.

        Raises:
            MalformedResponseError: If it has another format.
        """
        item = _checked(event.get("item"))
        is_new, place = self._places.end(event, item)
        if not is_new:
            return
        kind = text_in(item, "type")
        if kind == "message":
            yield from self._end_message(item, place)
        elif kind == "reasoning":
            yield from self._end_reasoning(item, place)
        elif kind in _CALLS:
            yield from self._end_call(item, place)
        elif kind in _RESULTS:
            yield self.result(item)
        elif kind is not None:
            yield Other(storable({key: value for key, value in item.items() if _is_kept(key, value)}))

    def result(self, item: Mapping[str, Any]) -> Part:
        """Read the result of a call that an agent made.

        Args:
            item: The item, or a bare event.

        Returns:
            The step.
        """
        beside = {key: value for key, value in item.items() if key not in _RESULT_KEYS}
        return self._steps.result(str(item.get("call_id") or ""), item.get("output"), extras=beside)

    def _text(self, what: str, key: tuple[Any, ...], text: str, *, whole: bool = False) -> Iterator[Part]:
        passed_on = self._texts.get(key, 0)
        new = text[passed_on:] if whole else text
        is_known, opens = key in self._texts, not passed_on  # an empty delta does not open a text
        if new or not is_known:
            self._texts[key] = passed_on + len(new)
            has_index = type(key[0]) is int
            if (has_index and not is_known) or (new and not has_index):
                self._places.note_text(key[0], new)
            if what == "output_text":
                if new:
                    yield Text(new, None, opens and self._has_spoken)
                    self._has_spoken = True
            elif what == "refusal":
                yield Refusal(new)
            elif new:
                yield Reasoning(new, None, None, not (opens and key[:2] in self._spoken), what == "reasoning_text")
        if new:
            self._spoken.add(key[:2])

    def _content_part(self, item: Any, index: Any, part: Mapping[str, Any]) -> Iterator[Part]:
        kind = part.get("type")
        if kind in ("output_text", "text"):
            yield from self._text("output_text", (item, "output_text", index), text_in(part, "text") or "", whole=True)
        elif kind == "refusal":
            yield from self._text("refusal", (item, "refusal", index), text_in(part, "refusal") or "", whole=True)
        elif kind == "reasoning_text":
            key = (item, "reasoning_text", index)
            yield from self._text("reasoning_text", key, text_in(part, "text") or "", whole=True)

    def _end_message(self, item: Mapping[str, Any], place: Any) -> Iterator[Part]:
        content = item.get("content")
        parts = [{"type": "output_text", "text": content}] if isinstance(content, str) else content or []
        if not isinstance(parts, list):
            raise MalformedResponseError(f"The content of a message is a {type(parts).__name__}, not a list.")
        extras: dict[str, Any] = {}
        for index, part in enumerate(parts):
            part = _checked(part)  # noqa: PLW2901  # the same part
            yield from self._content_part(place, str(index), part)
            if isinstance(part.get("annotations"), list) and part["annotations"]:
                extras.setdefault("annotations", []).extend(part["annotations"])
            kind = text_in(part, "type")
            if kind in ("output_text", "text"):
                if isinstance(part.get("logprobs"), list):
                    self.logprobs.extend(part["logprobs"])
                extras.update(_beside(part, _TEXT_KEYS))
            elif kind not in {"refusal", "reasoning_text"}:
                yield Other(storable(dict(part)))
        extras.update(_beside(item, _MESSAGE_KEYS))
        if extras or self._last_reasoning is not None:  # the answer is blocks anyway
            if str(item.get("id") or "").startswith("msg_"):
                extras["id"] = self._last_item = item["id"]
            if extras and (place, "output_text") in self._spoken:
                yield Text("", storable(extras))

    def _end_reasoning(self, item: Mapping[str, Any], place: Any) -> Iterator[Part]:
        for what, field in (("reasoning_summary_text", "summary"), ("reasoning_text", "content")):
            entries = item.get(field) or []
            for index, entry in enumerate(entries if isinstance(entries, list) else []):
                text = entry if isinstance(entry, str) else text_in(_checked(entry), "text") or ""
                yield from self._text(what, (place, what, str(index)), text, whole=True)
        kept = _beside(item, _REASONING_KEYS)
        self._last_reasoning = self._last_item = str(item.get("id") or "")
        yield Reasoning("", item=storable(kept))

    def _is_callers(self, item: Mapping[str, Any]) -> bool:
        if str(item.get("call_id")) in self._answered:
            return False
        return self.bound is None or (text_in(item, "name") or "") in self.bound

    def _begin_call(self, place: Any, item: Mapping[str, Any]) -> ToolCallPart:
        extras: dict[str, Any] = {ITEM_ID: item["id"]} if isinstance(item.get("id"), str) else {}
        if self._last_item:
            extras[FOLLOWS] = self._last_item
        if item.get("type") != "function_call":
            extras[ITEM_TYPE] = item["type"]
        extras.update({key: value for key, value in item.items() if key not in _CALL_KEYS and says_something(value)})
        call_id = text_in(item, "call_id") or text_in(item, "id") or new_call_id()  # v3 events take it first or never
        part = ToolCallPart(self._calls, call_id, text_in(item, "name"), "", storable(extras) or None)
        self._calls += 1
        self._begun[place] = part
        self._places.begin_call(place, item.get("call_id"))
        return part

    def _call_arguments(self, place: Any, text: str, *, whole: bool) -> Iterator[Part]:
        begun = self._begun.get(place)
        if begun is None:  # an agent's own call, which is passed on when it is whole
            return
        known = self._arguments.setdefault(place, [])
        if whole and known:
            known[:] = ["".join(known)]  # once, because a server may repeat them many times
            before = known[0]  # what repeats it may be written in another way, and is then not the rest of it
            text = text[len(before) :] if text.startswith(before) else ""
        if text:
            known.append(text)
            yield ToolCallPart(begun.index, None, None, text)

    def _end_call(self, item: Mapping[str, Any], place: Any) -> Iterator[Part]:
        if item["type"] == "custom_tool_call":
            arguments = json.dumps({CUSTOM_INPUT: text_in(item, "input") or ""}, ensure_ascii=False)
        else:
            arguments = arguments_in(item)
        if place not in self._begun and not self._is_callers(item):
            beside = {key: value for key, value in item.items() if key not in _CALL_KEYS}
            call_id = str(item.get("call_id") or item.get("id") or "") or new_call_id()
            name = text_in(item, "name") or UNNAMED
            step = self._steps.call(call_id, name, arguments, beside)
            if step is not None:
                yield step
            return
        if place not in self._begun:
            yield self._begin_call(place, item)
        yield from self._call_arguments(place, arguments, whole=True)


_TEXTS = frozenset({"output_text", "refusal", "reasoning_summary_text", "reasoning_text"})
"""Kinds of events with ``delta`` and ``done`` that have text."""

_WHOLE = {"refusal": "refusal"}
"""The field of a ``done`` event that contains the whole text, if it is not ``text``."""


def _is_kept(key: str, value: Any) -> bool:
    """Return whether a field of an item of another kind is kept; that it has ended well says nothing."""
    return value is not None and not (key == "status" and value != "failed")


def _beside(item: Mapping[str, Any], known: frozenset[str]) -> dict[str, Any]:
    """Return the unknown fields of an item, with a prefix if a content block has a field of that name itself."""
    said = {key: value for key, value in item.items() if key not in known and says_something(value)}
    return {f"server_{key}" if key in _BLOCK_KEYS else key: value for key, value in said.items()}


def _checked(item: Any) -> Mapping[str, Any]:
    if not isinstance(item, Mapping):
        raise MalformedResponseError(f"An item of the answer is a {type(item).__name__}, not an object.")
    return item
