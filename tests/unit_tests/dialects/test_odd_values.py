"""Values that no server should send, found by fuzzing."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from pydantic_core import to_json

from kit.targets import encode, event, summed, target
from langchain_dbchat.dialects.chat_completions.decode import decode_answer
from langchain_dbchat.errors import MalformedResponseError


def _whole(content: Any, **more: Any) -> AIMessage:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content}}
    message = decode_answer(to_json({"choices": [choice], **more}), target(), None).generations[0].message
    assert isinstance(message, AIMessage)
    return message


@pytest.mark.parametrize("kind", [{"type": "x"}, [], 7])
def test_a_part_whose_type_is_no_text_is_malformed(kind: Any) -> None:
    with pytest.raises(MalformedResponseError, match="'type' is a"):
        _whole([{"type": kind}])
    with pytest.raises(MalformedResponseError, match="'type' is a"):
        summed(event({"content": [{"type": kind}]}), event({}, "stop"))


def test_a_part_without_a_type_that_has_text_is_text() -> None:
    for message in (_whole([{"text": "Hi."}]), summed(event({"content": [{"text": "Hi."}]}), event({}, "stop"))):
        assert message.text == "Hi."
        assert encode(HumanMessage("a"), message)[1]["content"] in ("Hi.", [{"type": "text", "text": "Hi."}])
    with pytest.raises(MalformedResponseError, match="'text' is a int"):
        _whole([{"text": 7}])


@pytest.mark.parametrize("count", [10**400, -(10**400), 1e300, "7", True])
def test_a_count_that_is_none_counts_nothing(count: Any) -> None:
    message = _whole("Hi.", usage={"prompt_tokens": count, "completion_tokens": 2, "total_tokens": 3})
    assert message.usage_metadata is None or message.usage_metadata["output_tokens"] == 2
    assert "input_tokens" not in (message.usage_metadata or {}) or message.usage_metadata["input_tokens"] in {0, 1}  # type: ignore[index]  # checked just before
