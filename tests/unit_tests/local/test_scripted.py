"""Answers that a test has written: what real servers send, sent by the workspace, whole and streamed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic_core import from_json

from kit.ways import Way, astream, four_ways, stream
from langchain_dbchat import ChatDatabricksCompat
from langchain_dbchat.local import Fault, LocalWorkspace

WIRE = Path(__file__).parents[2] / "wire"
SHAPES = (
    "claude_citations", "gemini_grounding", "openai_annotations", "perplexity_sources",  # sources
    "gemini_image", "images_beside_content",  # media
    "claude_thinking", "claude_redacted", "gpt_oss_summary", "gpt_oss_harmony", "glm_reasoning_content",
    "kimi_reasoning_list", "litellm_proxy_thinking",  # the places of reasoning
    "gpt_refusal", "gemini_parallel_tool_calls", "several_answers",
)  # fmt: skip
GEMINI = "databricks-gemini-3-5-flash"
Body = dict[str, Any]


@pytest.fixture(scope="module")
def own() -> Iterator[LocalWorkspace]:
    with LocalWorkspace() as workspace:
        yield workspace


@pytest.fixture(scope="module")
def post(own: LocalWorkspace) -> Iterator[Callable[..., httpx.Response]]:
    with httpx.Client(headers={"authorization": f"Bearer {own.token}"}, trust_env=False) as client:

        def send(**fields: Any) -> httpx.Response:
            body = {"messages": [{"role": "user", "content": "Hi"}], **fields}
            return client.post(f"{own.host}/serving-endpoints/{GEMINI}/invocations", json=body)

        yield send


def whole(name: str) -> Body:
    body: Body = from_json((WIRE / name / "response.json").read_bytes())
    return body


def chunks(name: str) -> list[Body]:
    lines = (WIRE / name / "stream.sse").read_text("utf-8").split("\n")
    texts = [line.removeprefix("data:").strip() for line in lines if line.startswith("data:")]
    return [from_json(text) for text in texts if text != "[DONE]"]


def events(response: httpx.Response) -> list[Body]:
    lines = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
    assert lines.pop() == "[DONE]"
    return [from_json(line) for line in lines]


@pytest.mark.parametrize("name", SHAPES)
def test_a_recorded_answer_is_sent_as_it_is(own: LocalWorkspace, post: Any, name: str) -> None:
    own.answer_next(whole(name))
    body = post().json()
    assert body == {**body, **whole(name)}
    if (WIRE / name / "stream.sse").exists():
        own.answer_next(chunks=chunks(name))
        for sent, recorded in zip(events(post(stream=True)), chunks(name), strict=True):
            assert sent == {**sent, **recorded}


@four_ways
@pytest.mark.parametrize("as_chunks", [True, False])
@pytest.mark.parametrize("name", [name for name in SHAPES if name != "several_answers"])
def test_a_client_reads_it_as_it_reads_the_real_server(
    own: LocalWorkspace, call: Way, name: str, as_chunks: bool
) -> None:
    expected = from_json((WIRE / name / "expected.json").read_bytes())
    model = from_json((WIRE / name / "case.json").read_bytes())["model"]
    model = model if model in own.endpoints else GEMINI
    llm = ChatDatabricksCompat(model=model, host=own.host, token=own.token, max_retries=0)
    if as_chunks and call in {stream, astream}:
        own.answer_next(chunks=chunks(name), model=model)
    else:
        own.answer_next(whole(name), model=model)
    answer = call(llm, "Hi")
    assert answer.text == expected["text"]
    assert _plain(answer.content_blocks) == _plain(expected["content_blocks"])


def _plain(blocks: Any) -> list[Body]:
    """Blocks without a stream's indices, LangChain's own ids, and an older core's wrapping of refusals."""
    plain = []
    for block in blocks:
        is_wrapped = block["type"] == "non_standard" and "refusal" in block["value"]
        fields = block["value"] if is_wrapped else block
        plain.append({key: value for key, value in fields.items() if key not in {"index", "id"}})
    return plain


@four_ways
def test_a_message_may_come_in_every_way(own: LocalWorkspace, call: Way) -> None:
    llm = ChatDatabricksCompat(model=GEMINI, host=own.host, token=own.token, max_retries=0)
    function = {"name": "look", "arguments": '{"city": "Oslo"}'}
    message = {
        "content": "I look.",
        "reasoning_content": "Where?",
        "tool_calls": [{"id": "c1", "type": "function", "function": function}],
    }
    own.answer_next(message)
    answer = call(llm, "Hi")
    assert (answer.text, answer.tool_calls[0]["args"]) == ("I look.", {"city": "Oslo"})
    assert next(block for block in answer.content_blocks if block["type"] == "reasoning")["reasoning"] == "Where?"
    assert answer.response_metadata["finish_reason"] == "tool_calls"
    assert call(llm, "Hi").text != "I look."


def test_lists_come_part_by_part_and_everything_else_at_the_end(own: LocalWorkspace, post: Any) -> None:
    parts = [{"type": "text", "text": "A dot."}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,"}}]
    message = {"content": parts, "refusal": None, "tool_calls": [{"id": "a"}, {"id": "b"}]}
    own.answer_next({"id": "own-id", "choices": [{"index": 0, "message": message}], "sources": ["x"]})
    deltas = events(post(stream=True))
    contents = [event["choices"][0]["delta"].get("content") for event in deltas]
    assert [content for content in contents if content] == [[parts[0]], [parts[1]]]
    assert deltas[-1]["sources"] == ["x"]
    assert deltas[-1]["usage"]["prompt_tokens"] > 0
    assert {event["id"] for event in deltas} == {"own-id"}
    (calls,) = [event["choices"][0]["delta"]["tool_calls"] for event in deltas if "tool_calls" in str(event)]
    assert calls == [{"index": 0, "id": "a"}, {"index": 1, "id": "b"}]


def test_the_request_is_checked_as_ever(own: LocalWorkspace, post: Any) -> None:
    own.answer_next({"content": "Hello."})
    assert post(no_such_field=1).status_code == 400
    own.answer_next(chunks=[{"choices": []}])
    assert "set stream to true" in post().text


def test_only_what_a_model_answers_meets_a_script(own: LocalWorkspace, post: Any) -> None:
    own.answer_next({"content": "Scripted."})
    headers = {"authorization": f"Bearer {own.token}"}
    assert httpx.get(f"{own.host}/api/2.0/serving-endpoints", headers=headers).status_code == 200
    assert post().json()["choices"][0]["message"] == {"role": "assistant", "content": "Scripted."}


def test_a_script_may_go_wrong_on_its_way(own: LocalWorkspace, post: Any) -> None:
    own.inject(Fault(message={"content": "One two three."}, cut_after_events=2))
    with pytest.raises(httpx.RemoteProtocolError):
        post(stream=True)


def test_it_takes_one_script() -> None:
    workspace = LocalWorkspace()
    with pytest.raises(ValueError, match="either a message or chunks"):
        workspace.answer_next()
    with pytest.raises(ValueError, match="either a message or chunks"):
        workspace.answer_next({}, chunks=[])
