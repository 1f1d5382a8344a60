"""Content blocks of every spelling, on the way in."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from kit.encoding import encode_parts
from kit.targets import encode
from langchain_dbchat.dialects.chat_completions.content import collapse
from langchain_dbchat.errors import UnsupportedContentError
from langchain_dbchat.models.families import FAMILIES

PNG = "iVBORw0KGgo="
PDF = "JVBERi0xLjQ="
IMAGE = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
LINK = {"type": "image_url", "image_url": {"url": "https://x.org/a.png"}}
SOUND = {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}}


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def parts(*blocks: Any, family: str = "generic") -> list[dict[str, Any]]:
    return encode_parts(blocks, FAMILIES[family])


SPELLINGS: list[tuple[str, Any, dict[str, Any]]] = [
    ("string", "hi", text("hi")),
    ("text", {"type": "text", "text": "hi"}, text("hi")),
    ("v1 text with leftovers", {"type": "text", "text": "hi", "id": "x", "index": 3, "annotations": []}, text("hi")),
    ("v0 text", {"type": "text", "source_type": "text", "text": "hi"}, text("hi")),
    ("v1 text-plain", {"type": "text-plain", "text": "hi", "mime_type": "text/plain"}, text("hi")),
    ("v1 text-plain, titled", {"type": "text-plain", "text": "hi", "title": "Notes"}, text("Notes\n\nhi")),
    ("v1 refusal", {"type": "refusal", "refusal": "no"}, text("no")),
    ("json", {"type": "json", "json": {"å": 1}}, text('{"å": 1}')),
    ("v1 image", {"type": "image", "base64": PNG, "mime_type": "image/png"}, IMAGE),
    ("v1 image link", {"type": "image", "url": "https://x.org/a.png"}, LINK),
    (
        "v1 image, detail",
        {"type": "image", "url": "https://x.org/a.png", "extras": {"detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://x.org/a.png", "detail": "low"}},
    ),
    ("v0 image", {"type": "image", "source_type": "base64", "data": PNG, "mime_type": "image/png"}, IMAGE),
    ("v0 image link", {"type": "image", "source_type": "url", "url": "https://x.org/a.png"}, LINK),
    ("OpenAI image", IMAGE, IMAGE),
    ("OpenAI image, short", {"type": "image_url", "image_url": "https://x.org/a.png"}, LINK),
    (
        "OpenAI image, detail",
        {"type": "image_url", "image_url": {"url": "https://x.org/a.png", "detail": "high"}},
        {"type": "image_url", "image_url": {"url": "https://x.org/a.png", "detail": "high"}},
    ),
    (
        "Anthropic image",
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
        IMAGE,
    ),
    ("Anthropic image link", {"type": "image", "source": {"type": "url", "url": "https://x.org/a.png"}}, LINK),
    (
        "v1 file",
        {"type": "file", "base64": PDF, "mime_type": "application/pdf", "filename": "q3.pdf"},
        {"type": "file", "file": {"filename": "q3.pdf", "file_data": f"data:application/pdf;base64,{PDF}"}},
    ),
    (
        "v1 file without a name",
        {"type": "file", "base64": PDF, "mime_type": "application/pdf"},
        {"type": "file", "file": {"filename": "document.pdf", "file_data": f"data:application/pdf;base64,{PDF}"}},
    ),
    (
        "v1 file, name in extras",
        {"type": "file", "base64": PDF, "mime_type": "application/pdf", "extras": {"filename": "b.pdf"}},
        {"type": "file", "file": {"filename": "b.pdf", "file_data": f"data:application/pdf;base64,{PDF}"}},
    ),
    (
        "OpenAI file",
        {"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PDF}"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PDF}"}},
    ),
    ("v0 file of text", {"type": "file", "source_type": "text", "text": "hi"}, text("hi")),
    (
        "Anthropic document",
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": PDF},
            "title": "q3.pdf",
        },
        {"type": "file", "file": {"filename": "q3.pdf", "file_data": f"data:application/pdf;base64,{PDF}"}},
    ),
    (
        "Anthropic document of text",
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "hi"}, "title": "T"},
        text("T\n\nhi"),
    ),
    ("v1 audio", {"type": "audio", "base64": "UklG", "mime_type": "audio/x-wav"}, SOUND),
    (
        "v1 audio, mp3",
        {"type": "audio", "base64": "SUQz", "mime_type": "audio/mpeg"},
        {"type": "input_audio", "input_audio": {"data": "SUQz", "format": "mp3"}},
    ),
    (
        "v1 audio link",
        {"type": "audio", "url": "https://x.org/a.mp3"},
        {"type": "audio_url", "audio_url": {"url": "https://x.org/a.mp3"}},
    ),
    ("OpenAI audio", SOUND, SOUND),
    (
        "Databricks audio",
        {"type": "audio_url", "audio_url": {"url": "https://x.org/a.mp3"}},
        {"type": "audio_url", "audio_url": {"url": "https://x.org/a.mp3"}},
    ),
    (
        "v1 video",
        {"type": "video", "base64": "AAAA", "mime_type": "video/mp4"},
        {"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AAAA"}},
    ),
    (
        "Databricks video",
        {"type": "video_url", "video_url": {"url": "https://youtu.be/x"}},
        {"type": "video_url", "video_url": {"url": "https://youtu.be/x"}},
    ),
    (
        "Anthropic search result",
        {"type": "search_result", "title": "T", "source": "https://x.org", "content": [text("a"), text("b")]},
        text("T\nhttps://x.org\na\nb"),
    ),
    ("non_standard of ours", {"type": "non_standard", "value": {"type": "text", "text": "hi"}}, text("hi")),
]


@pytest.mark.parametrize(("block", "part"), [pytest.param(*row[1:], id=row[0]) for row in SPELLINGS])
def test_every_spelling_becomes_its_part(block: Any, part: dict[str, Any]) -> None:
    before = copy.deepcopy(block)
    (encoded,) = parts(block)
    assert encoded == part
    assert block == before


@pytest.mark.parametrize(("block", "part"), [pytest.param(*row[1:], id=row[0]) for row in SPELLINGS])
def test_a_part_is_not_the_callers_object(block: Any, part: dict[str, Any]) -> None:
    del part
    before = copy.deepcopy(block)
    (encoded,) = parts(block)
    for value in encoded.values():
        if isinstance(value, dict):
            value["touched"] = True
    encoded["touched"] = True
    assert block == before


@pytest.mark.parametrize(
    ("block", "why"),
    [
        ({"type": "hologram"}, "'hologram'"),
        ({"no": "type"}, "None"),
        ({"type": ["text"]}, "text"),
        ({"type": "text"}, "NoneType"),
        ({"type": "text", "text": 5}, "int"),
        ({"type": "image"}, "'url', or 'base64'"),
        ({"type": "image", "base64": PNG}, "mime_type"),
        ({"type": "image", "file_id": "file-1"}, "stores no files"),
        ({"type": "image", "source": {"type": "file", "file_id": "file-1"}}, "stores no files"),
        ({"type": "image_url", "image_url": {}}, "image_url"),
        ({"type": "image_url"}, "image_url"),
        ({"type": "file", "url": "https://x.org/a.pdf"}, "cannot be sent as a URL"),
        ({"type": "file", "file_id": "file-1"}, "stores no files"),
        ({"type": "text-plain", "base64": "aGk=", "mime_type": "text/plain"}, "needs its 'text'"),
        ({"type": "video_url", "video_url": "https://youtu.be/x"}, "mapping"),
        ({"type": "server_tool_call", "name": "search"}, "server_tool_call"),
        ({"type": "non_standard", "value": {"type": "hologram"}}, "hologram"),
        ({"type": "non_standard", "value": 3}, "None"),
        ({"type": "non_standard", "value": {"type": "non_standard"}}, "non_standard"),
    ],
)
def test_what_cannot_be_said_raises_and_names_message_and_block(block: dict[str, Any], why: str) -> None:
    with pytest.raises(UnsupportedContentError, match="message 1 .human., block 1") as caught:
        encode(HumanMessage("a"), HumanMessage(content=["b", block]))
    assert why in str(caught.value)


@pytest.mark.parametrize("family", ["claude", "gpt-5", "open-weights", "gpt-oss"])
def test_media_that_a_family_does_not_take_raise(family: str) -> None:
    video = {"type": "video_url", "video_url": {"url": "https://youtu.be/x"}}
    with pytest.raises(UnsupportedContentError, match="to 'my-endpoint'.*takes no 'video_url'") as caught:
        encode(HumanMessage([video]), family=family)
    assert repr(family) not in str(caught.value)


def test_claude_takes_no_image_links() -> None:
    with pytest.raises(UnsupportedContentError, match=r"refuses image URLs.*base64"):
        parts(LINK, family="claude")
    assert parts(IMAGE, family="claude") == [IMAGE]


def test_gemini_takes_sound_as_a_link_with_data() -> None:
    assert parts(SOUND, family="gemini-3") == [
        {"type": "audio_url", "audio_url": {"url": "data:audio/wav;base64,UklG"}}
    ]


@pytest.mark.parametrize(
    "block",
    [
        {**text("hi"), "cache_control": {"type": "ephemeral"}},
        {**text("hi"), "extras": {"cache_control": {"type": "ephemeral"}}},
        {**IMAGE, "cache_control": {"type": "ephemeral"}},
    ],
)
def test_cache_marks_reach_claude_and_who_may_be_claude(block: dict[str, Any]) -> None:
    for family in ("claude", "generic"):
        (kept,) = parts(block, family=family)
        assert kept["cache_control"] == {"type": "ephemeral"}
    for family in ("gpt-5", "gemini-3"):
        (plain,) = parts(block, family=family)
        assert "cache_control" not in plain
        assert "extras" not in plain


def test_empty_text_is_left_out_where_it_is_refused() -> None:
    assert parts("", text(""), "a", family="claude") == [text("a")]
    assert parts("", text(""), "a") == [text(""), text(""), text("a")]


def test_plain_text_is_a_string_and_anything_else_a_list() -> None:
    assert collapse([text("a"), text("b")]) == "a\nb"
    assert collapse([]) == ""
    marked = [text("a"), {**text("b"), "cache_control": {"type": "ephemeral"}}]
    assert collapse(marked) == marked
    assert collapse([text("a"), IMAGE]) == [text("a"), IMAGE]
