"""What the content of a message is made of, whatever spelling it came in and whatever wire it goes to.

Rule 1. Blocks that mean the same are equal records, whichever spelling they came in: LangChain's standard blocks and
its older ones, OpenAI's chat completions and Responses, Anthropic's Messages, MCP's content.
Rule 2. Nothing is lost. What no field has a name for is in ``extras``, under its own key. A block that has no neutral
form is a `ProviderBlock`, which contains all of it.
Rule 3. A record is a value. It may refer to the caller's own objects, so code that writes it copies them.

How the two wires that come next say each field:

===================  ==============================================  ================================================
record               OpenAI Responses                                Anthropic Messages
===================  ==============================================  ================================================
`TextBlock`          ``input_text``, ``output_text``, ``refusal``    ``text``
`DocumentBlock`      ``input_text``                                  ``document`` (text or content), ``search_result``
`MediaBlock`         ``input_image``, ``input_file``                 ``image``, ``document``
`ReasoningBlock`     ``reasoning`` with ``id``, ``summary`` and      ``thinking`` (text, signature),
                     ``encrypted_content``                           ``redacted_thinking`` (data)
`ToolUseBlock`       ``function_call``                               ``tool_use``
`ToolResultBlock`    ``function_call_output``                        ``tool_result``
`ProviderBlock`      as it is, to the provider that it came from     as it is, to the provider that it came from
===================  ==============================================  ================================================
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "DocumentBlock",
    "MediaBlock",
    "NeutralBlock",
    "ProviderBlock",
    "ReasoningBlock",
    "TextBlock",
    "ToolResultBlock",
    "ToolUseBlock",
]


@dataclass(frozen=True, slots=True)
class TextBlock:
    """Text of a message.

    Attributes:
        text: The text.
        refusal: Whether it says why the model did not answer.
        citations: What it cites, each as it was written; `read_citation` makes it standard.
        signature: Gemini's ``thoughtSignature``.
        cache_control: Anthropic's mark for prompt caching.
        extras: What else the block contained.
    """

    text: str
    refusal: bool = False
    citations: tuple[Any, ...] = ()
    signature: str | None = None
    cache_control: Any = None
    extras: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MediaBlock:
    """An image, a sound, a video or a file: the data, or where they are.

    Attributes:
        kind: The medium.
        url: Where it is, or a data URL that is not plain Base64.
        encoded: Its data as they were written: Base64 text, or a data URL of it. They can be megabytes, so a wire that
            takes them as they were written copies nothing.
        mime_type: Its MIME type; empty if the block does not say.
        file_id: The id under which a server has stored it.
        name: The name of the file, or its title.
        detail: How closely the model looks at it (OpenAI's ``detail``).
        signature: Gemini's ``thoughtSignature``.
        cache_control: Anthropic's mark for prompt caching.
        extras: What else the block contained; what an object within it contained is under that object's key.
        written: The block as it was written.
    """

    kind: Literal["image", "audio", "video", "file"]
    url: str | None = None
    encoded: str | None = None
    mime_type: str = ""
    file_id: str | None = None
    name: str | None = None
    detail: str | None = None
    signature: str | None = None
    cache_control: Any = None
    extras: Mapping[str, Any] = field(default_factory=dict)
    written: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def data(self) -> str | None:
        """Return the Base64 text."""
        if self.encoded is None or not self.encoded.startswith("data:"):
            return self.encoded
        return self.encoded.partition(",")[2]

    @property
    def data_url(self) -> str | None:
        """Return the data as a data URL."""
        if self.encoded is None or self.encoded.startswith("data:"):
            return self.encoded
        return f"data:{self.mime_type};base64,{self.encoded}"


@dataclass(frozen=True, slots=True)
class DocumentBlock:
    """Text that has a title or a source of its own: a document, a resource, the result of a search.

    Attributes:
        parts: What it consists of.
        title: Its title.
        source: Where it comes from: a URL, a URI or a name.
        search_result: Whether a search found it.
        mime_type: Its MIME type.
        signature: Gemini's ``thoughtSignature``.
        cache_control: Anthropic's mark for prompt caching.
        extras: What else the block contained (Anthropic's ``context`` and ``citations``).
        written: The block as it was written.
    """

    parts: tuple[TextBlock | MediaBlock, ...]
    title: str | None = None
    source: str | None = None
    search_result: bool = False
    mime_type: str = "text/plain"
    signature: str | None = None
    cache_control: Any = None
    extras: Mapping[str, Any] = field(default_factory=dict)
    written: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class ReasoningBlock:
    """One entry of a model's reasoning.

    Attributes:
        text: What the model thought; empty if the provider hides it.
        signature: The signature of the text.
        data: Encrypted reasoning in place of the text (Anthropic's ``redacted_thinking``).
        id: The provider's id of the part (OpenAI's ``rs_...``).
        continues: Whether it belongs to the same part as the entry before it.
        extras: What else the entry contained. What belongs to the whole part (OpenAI's ``encrypted_content``) is with
            its first entry.
        verbatim: Whether it is the reasoning itself (Responses' ``reasoning_text``), and not a summary of it.
    """

    text: str = ""
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    continues: bool = False
    extras: Mapping[str, Any] = field(default_factory=dict)
    verbatim: bool = False


@dataclass(frozen=True, slots=True)
class ToolUseBlock:
    """A tool call that a model made.

    Attributes:
        id: The id that its result names; None if it has none.
        name: The name of the tool; empty if it has none.
        arguments: The arguments; of a malformed call, the text under ``invalid_arguments``.
        state: ``malformed`` if the arguments are not an object, ``fragment`` if it is a piece of a streamed call, which
            the message's ``tool_calls`` repeat.
        extras: What else the call contained (signatures, the id of OpenAI's item, Anthropic's ``caller``).
    """

    id: str | None
    name: str
    arguments: Any = field(default_factory=dict)
    state: Literal["whole", "malformed", "fragment"] = "whole"
    extras: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ToolResultBlock:
    """What a tool returned.

    Attributes:
        call_id: The id of the call that it answers; empty if it names none.
        content: What it contains; a result within it is not nested, but what that one contains.
        failed: Whether the tool failed.
        cache_control: Anthropic's mark for prompt caching.
        extras: What else the block contained.
        written: The block as it was written.
    """

    call_id: str
    content: tuple[NeutralBlock, ...] = ()
    failed: bool = False
    cache_control: Any = None
    extras: Mapping[str, Any] = field(default_factory=dict)
    written: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class ProviderBlock:
    """A block without a neutral form: a provider's own, an unknown one, or one that is not complete.

    Attributes:
        kind: Its type, if it is a string.
        value: The block.
        fault: What is wrong with a block of a known type; empty if the type is not known.
        wrapped: Whether LangChain wrapped it, because it has no standard form.
    """

    kind: str | None
    value: Mapping[str, Any]
    fault: str = ""
    wrapped: bool = False


NeutralBlock = TextBlock | MediaBlock | DocumentBlock | ReasoningBlock | ToolUseBlock | ToolResultBlock | ProviderBlock
"""Everything that content is read into."""
