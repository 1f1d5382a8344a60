"""The golden cases: one folder each, with what is asked, what travels, and the message that has to come out.

`case.json` says what is called and where its facts come from; `request.json` is the body expected on the wire,
`response.json` the whole answer and `stream.sse` the same answer streamed; `expected.json` is the message. A case
without `stream.sse` is answered whole, whatever was asked; a case without `expected.json` is about its request alone.
A message of the type `answer` stands for what another case's answer was read into. Cases of chat completions stand
here; those of another wire format in the folder with the name of its dialect, and their names begin with it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, BaseMessage, messages_from_dict
from langchain_core.outputs import ChatGeneration
from pydantic_core import from_json

from langchain_dbchat.chat_models import ChatDatabricksCompat
from langchain_dbchat.dialects import dialect_named
from langchain_dbchat.dialects.dialect import Target
from langchain_dbchat.dialects.shared.request.sent import SentTools
from langchain_dbchat.models.families import FAMILIES, OPENAI_COMPATIBLE, WireName, family_of
from langchain_dbchat.transport.sse import EventStreamDecoder

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from langchain_core.outputs import ChatGenerationChunk
    from langchain_core.runnables import Runnable

    from langchain_dbchat.dialects.dialect import Dialect, StreamDecoder

ROOT = Path(__file__).parent

_APIS: dict[str, WireName] = {"": "chat", "responses": "responses", "messages": "messages", "agents": "agent"}
"""The wire format of the cases in each folder."""

_GENERATED = re.compile(r"call_[0-9a-f]{32}")


@dataclass(frozen=True)
class Case:
    """One golden case."""

    name: str
    case: dict[str, Any]
    request: dict[str, Any]
    response: bytes | None
    stream: bytes | None
    expected: dict[str, Any] | None

    @property
    def api(self) -> WireName:
        """The name of the wire format."""
        return _APIS[self.name.rpartition("/")[0]]

    @property
    def dialect(self) -> Dialect:
        """The row of the wire format."""
        return dialect_named(self.api)

    def decoder(self, **options: Any) -> StreamDecoder:
        """A new decoder of the stream."""
        every: dict[str, Any] = {"coalesce": True, "usage": True, "sent": self.sent, "mask": None, **options}
        return self.dialect.decoder(self.target, "req-1", **every)

    @property
    def sent(self) -> SentTools:
        """What the request says of its tools."""
        tools = [tool.get("function", tool).get("name") for tool in self.case.get("tools", [])]
        return SentTools(bound=frozenset(filter(None, tools)))

    @property
    def target(self) -> Target:
        model = str(self.case["model"])
        if self.case.get("family"):
            return Target(model, FAMILIES[self.case["family"]])
        return Target(model, OPENAI_COMPATIBLE if self.case["server"] == "base_url" else family_of(model))

    @property
    def replays(self) -> str | None:
        """The name of the case whose answer stands in this one's conversation."""
        return next((str(said["case"]) for said in self.case["messages"] if said["type"] == "answer"), None)

    def messages(self, answer: AIMessage | None = None) -> list[BaseMessage]:
        """The conversation, with that answer in it."""
        conversation: list[BaseMessage] = []
        for said in self.case["messages"]:
            if said["type"] == "answer":
                assert answer is not None
                conversation.append(answer)
            else:
                conversation.extend(messages_from_dict([{"type": said["type"], "data": said}]))
        return conversation

    def settings(self) -> dict[str, Any]:
        """What is bound for the call."""
        bound: dict[str, Any] = dict(self.case.get("bind", {}))
        if "tools" in self.case:
            bound["tools"] = self.case["tools"]
        return bound

    def model(self, url: str, **more: Any) -> ChatDatabricksCompat:
        """A model that calls that server and says which case it is about."""
        address: dict[str, Any] = {"base_url": f"{url}/v1"} if self.case["server"] == "base_url" else {"host": url}
        return ChatDatabricksCompat(
            model=self.case["model"],
            token="dapi-invented",
            default_headers={"x-case": self.name},
            family=self.case.get("family"),
            api=self.api,
            **address,
            **self.case.get("settings", {}),
            **more,
        )

    def runnable(self, url: str, **more: Any) -> Runnable[Any, AIMessage]:
        """The same, with the tools and the settings of the call bound."""
        model = self.model(url, **more)
        bound = self.settings()
        tools = bound.pop("tools", None)
        return model.bind_tools(tools, **bound) if tools is not None else model.bind(**bound)


def load(name: str) -> Case:
    """Read one case."""
    folder = ROOT / name

    def optional(file: str) -> bytes | None:
        path = folder / file
        return path.read_bytes() if path.exists() else None

    expected = optional("expected.json")
    return Case(
        name=name,
        case=from_json((folder / "case.json").read_bytes()),
        request=from_json((folder / "request.json").read_bytes()),
        response=optional("response.json"),
        stream=optional("stream.sse"),
        expected=from_json(expected) if expected is not None else None,
    )


def names() -> list[str]:
    """The cases, by name."""
    return sorted(str(path.parent.relative_to(ROOT)) for path in ROOT.rglob("case.json"))


def read_whole(case: Case) -> AIMessage:
    """Read a case's whole answer without a network."""
    assert case.response is not None
    result = case.dialect.decode(case.response, case.target, "req-1", case.sent)
    return generation_message(result.generations[0])


def read_groups(case: Case, groups: Iterable[Sequence[bytes]], *, coalesce: bool = True) -> AIMessage:
    """Read events that arrived in those groups, and add up the chunks as LangChain does."""
    decoder = case.decoder(coalesce=coalesce)
    chunks: list[ChatGenerationChunk] = []
    for group in groups:
        chunks.extend(decoder.feed(group))
    chunks.extend(decoder.close())
    return generation_message(chunks[0] if len(chunks) == 1 else chunks[0] + chunks[1:])


def groups_of(case: Case, pieces: Iterable[bytes]) -> list[list[bytes]]:
    """Cut pieces of a case's event stream into the events that arrive with each."""
    decoder = EventStreamDecoder(is_last=case.dialect.is_last(case.target))
    groups = [group for group in map(decoder.feed, pieces) if group]
    rest = decoder.close()
    return [*groups, rest] if rest else groups


def generation_message(generation: ChatGeneration) -> AIMessage:
    """The message of a generation, with the log probabilities where LangChain puts them."""
    message = generation.message
    assert isinstance(message, AIMessage)
    if generation.generation_info and "logprobs" in generation.generation_info:
        message.response_metadata["logprobs"] = generation.generation_info["logprobs"]
    return message


def plain(value: Any) -> Any:
    """Take away what may differ: the blocks' indices, the ids that had to be made up, request ids."""
    if isinstance(value, dict):
        return {plain(key): plain(below) for key, below in value.items() if key not in {"request_id", "index"}}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return _GENERATED.sub("call_made_up", value) if isinstance(value, str) else value


__all__ = [
    "Case",
    "groups_of",
    "load",
    "names",
    "plain",
    "read_groups",
    "read_whole",
]
