"""A setting means the same on each wire format, under each of its names and in each spelling."""

from __future__ import annotations

from typing import Any

import pytest

from kit.formats import in_each_format
from kit.scripted import ScriptedServer
from kit.ways import Way, four_ways
from langchain_dbchat import ChatDatabricksCompat


def _llm(server: ScriptedServer, **settings: Any) -> Any:
    given: Any = {"model": "m", "host": server.url, "token": "t", **settings}
    return ChatDatabricksCompat(**given)


@four_ways
@pytest.mark.parametrize("other", ["model_kwargs", "extra_params", "api_args"])
def test_of_two_names_of_the_extra_fields_both_count(call: Way, other: str) -> None:
    with ScriptedServer(in_each_format) as server:
        llm = _llm(server).bind(**{other: {"first": 1, "both": 1}, "extra_body": {"second": 2, "both": 2}})
        call(llm, "hi")
    assert {key: server.requests[0].json[key] for key in ("first", "second", "both")} == {
        "first": 1, "second": 2, "both": 2,
    }  # fmt: skip


@four_ways
def test_headers_of_one_call_under_two_names_are_all_sent(call: Way) -> None:
    with ScriptedServer(in_each_format) as server:
        llm = _llm(server).bind(default_headers={"X-First": "1"}).bind(extra_headers={"X-Second": "2"})
        call(llm, "hi")
    assert {"x-first": "1", "x-second": "2"}.items() <= server.requests[0].headers.items()


@four_ways
@pytest.mark.parametrize("api", ["chat", "messages", "responses"])
def test_the_limit_has_its_name_of_responses_too(call: Way, api: str) -> None:
    written = {"chat": "max_tokens", "messages": "max_tokens", "responses": "max_output_tokens"}
    with ScriptedServer(in_each_format) as server:
        call(_llm(server, api=api, max_output_tokens=7), "hi")
        call(_llm(server, api=api).bind(max_output_tokens=8), "hi")
    for request, limit in zip(server.requests, (7, 8), strict=True):
        found = {key: value for key, value in request.json.items() if "max_" in key}
        assert found == {written[api]: limit}


@four_ways
@pytest.mark.parametrize("api", ["chat", "messages"])
def test_a_summary_of_the_reasoning_is_asked_for_where_that_exists(call: Way, api: str) -> None:
    with ScriptedServer(in_each_format) as server:
        reasoning = {"effort": "low", "summary": "auto"}
        for llm in (
            _llm(server, model="databricks-claude-opus-4-8", api=api, reasoning=reasoning),
            _llm(server, model="databricks-claude-opus-4-7", api=api).bind(reasoning=reasoning),
        ):
            with pytest.warns(UserWarning, match="reasoning was left out"):
                call(llm, "hi")
            assert "reasoning" not in server.requests[-1].json
            assert server.requests[-1].json["output_config"] == {"effort": "low"}
        call(_llm(server, model="databricks-gpt-5-4", api="responses", reasoning={"summary": "auto"}), "hi")
        call(_llm(server, model="of-another-maker", api="chat", reasoning={"exclude": True}), "hi")
    assert server.requests[-2].json["reasoning"] == {"summary": "auto"}
    assert server.requests[-1].json["reasoning"] == {"exclude": True}


@four_ways
@pytest.mark.parametrize("api", ["messages", "responses", "chat"])
@pytest.mark.parametrize("single", [True, False])
def test_one_call_at_a_time_as_anthropic_spells_it(call: Way, api: str, single: bool) -> None:
    tool = {"name": "get", "input_schema": {"type": "object", "properties": {}}}
    choice = {"type": "tool", "name": "get", "disable_parallel_tool_use": single}
    with ScriptedServer(in_each_format) as server:
        llm = _llm(server, model="of-another-maker", api=api)
        call(llm.bind_tools([tool], tool_choice=choice), "hi")
        call(llm.bind_tools([tool]).bind(tool_choice=choice), "hi")
        call(llm.bind_tools([tool], tool_choice=choice, parallel_tool_calls=single), "hi")
    for request, is_single in zip(server.requests, (single, single, not single), strict=True):
        if api == "messages":
            assert request.json["tool_choice"].get("disable_parallel_tool_use", False) is is_single
        else:
            assert request.json["parallel_tool_calls"] is not is_single
    assert choice["disable_parallel_tool_use"] is single
