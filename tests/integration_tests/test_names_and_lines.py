"""The limit of an answer under the name that the endpoint takes; sampling without reasoning; warnings that help."""

from __future__ import annotations

import asyncio
import inspect
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.runnables import RunnableParallel

from kit.scripted import Received, Scripted, ScriptedServer, sse
from kit.ways import Way, four_ways
from langchain_dbchat import ChatDatabricksCompat, DatabricksEmbeddings
from langchain_dbchat.dialects.chat_completions.refusable import REFUSABLE
from langchain_dbchat.dialects.shared.request.refusals import refused_field
from langchain_dbchat.errors import DatabricksInvalidRequestError
from langchain_dbchat.local import LocalWorkspace
from langchain_dbchat.models.families import FAMILIES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OLD, NEW = "max_tokens", "max_completion_tokens"
NO_OLD = f"Unsupported parameter: '{OLD}' is not supported with this model. Use '{NEW}' instead."
_count = iter(range(10_000))


def _answer(request: Received) -> Scripted:
    if request.json.get("stream"):
        return Scripted(sse({"choices": [{"index": 0, "delta": {"content": "ok"}, "finish_reason": "stop"}]}))
    return Scripted({"choices": [{"index": 0, "message": {"content": "ok"}, "finish_reason": "stop"}]})


def _refusing(field: str, text: str, wrap: Callable[[str], Any]) -> Callable[[Received], Scripted]:
    return lambda request: Scripted(wrap(text), status=400) if field in request.json else _answer(request)


def _bare(text: str) -> Any:
    return {"error_code": "BAD_REQUEST", "message": text}


def _openai(text: str) -> Any:
    return {"error": {"message": text, "type": "invalid_request_error", "param": OLD, "code": "unsupported_parameter"}}


def _llm(server: ScriptedServer, **settings: Any) -> ChatDatabricksCompat:
    return ChatDatabricksCompat(**{"model": f"external-{next(_count)}", "host": server.url, "token": "t", **settings})


@pytest.fixture(autouse=True)
def _silence_is_golden() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@four_ways
@pytest.mark.parametrize("wrap", [_bare, _openai])
@pytest.mark.parametrize("strict", [False, True])
def test_an_endpoint_that_wants_the_other_name_gets_it(call: Way, wrap: Any, strict: bool) -> None:
    with ScriptedServer(_refusing(OLD, NO_OLD, wrap)) as server:
        llm = _llm(server, max_tokens=100, strict_params=strict)
        assert call(llm, "hi").text == "ok"
        assert call(llm, "hi").text == "ok"
        another = _llm(server, model=llm.model, max_tokens=7)
        assert call(another, "hi").text == "ok"
    bodies = [request.json for request in server.requests]
    assert [body.get(OLD) for body in bodies] == [100, None, None, None]
    assert [body.get(NEW) for body in bodies] == [None, 100, 100, 7]


@four_ways
@pytest.mark.parametrize(
    "text",
    [
        f"{NEW}: Extra inputs are not permitted",
        f'Bad request: json: unknown field "{NEW}"',
        f"Unrecognized request argument supplied: {NEW}",
        f"Unsupported parameter: '{NEW}' is not supported with this model. Use '{OLD}' instead.",
    ],
)
def test_the_reverse_is_learned_too(call: Way, text: str) -> None:
    with ScriptedServer(_refusing(NEW, text, _bare)) as server:
        llm = _llm(server, max_completion_tokens=100)
        assert call(llm, "hi").text == "ok"
        assert call(llm, "hi").text == "ok"
    assert [(body.get(OLD), body.get(NEW)) for body in (request.json for request in server.requests)] == [
        (None, 100),
        (100, None),
        (100, None),
    ]


@four_ways
@pytest.mark.parametrize("where", ["constructor", "call", "extra_body"])
def test_an_unknown_endpoint_gets_the_name_that_the_user_has(call: Way, where: str) -> None:
    with ScriptedServer(_answer) as server:
        if where == "constructor":
            llm: Any = _llm(server, max_completion_tokens=100)
        elif where == "call":
            llm = _llm(server, max_tokens=1).bind(max_completion_tokens=100)
        else:
            llm = _llm(server, max_tokens=1, extra_body={NEW: 100})
        call(llm, "hi")
    assert server.requests[0].json[NEW] == 100
    assert OLD not in server.requests[0].json


@four_ways
def test_a_known_family_gets_its_own_name(call: Way) -> None:
    with ScriptedServer(_answer) as server:
        call(_llm(server, family="claude", max_completion_tokens=100), "hi")
    assert server.requests[0].json[OLD] == 100
    assert NEW not in server.requests[0].json


@four_ways
def test_a_limit_that_a_budget_sets_is_renamed_as_well(call: Way) -> None:
    with ScriptedServer(_refusing(OLD, NO_OLD, _bare)) as server:
        call(_llm(server, family="claude", reasoning_effort="low"), "hi")
    assert [request.json.get(NEW) for request in server.requests] == [None, 1024 + 4096]


def test_an_endpoint_that_takes_neither_name_is_heard() -> None:
    with ScriptedServer(lambda _: Scripted(_bare(NO_OLD), status=400)) as server:
        with pytest.raises(DatabricksInvalidRequestError, match=NEW):
            _llm(server, max_tokens=100).invoke("hi")
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "text",
    [
        "max_tokens (10000) cannot exceed 8192",
        "max_tokens is too large: 100000. This model supports at most 4096 completion tokens.",
        "`max_tokens` must be greater than `thinking.budget_tokens`",
        f"Invalid value for {OLD}: must be at least 1; see also {NEW}",
        "max_tokens: Extra inputs are not permitted",
    ],
)
def test_a_value_that_is_refused_is_not_renamed(text: str) -> None:
    assert refused_field(text, {"messages": [], OLD: 1}, REFUSABLE) is None


def test_the_last_word_counts() -> None:
    assert REFUSABLE.learned(frozenset({OLD, "seed"}), NEW) == {NEW, "seed"}
    assert REFUSABLE.learned(frozenset({NEW}), OLD) == {OLD}


@four_ways
def test_an_o_series_endpoint_of_the_local_workspace(call: Way) -> None:
    with LocalWorkspace() as own:
        llm = ChatDatabricksCompat(model="o4-mini", host=own.host, token=own.token, max_tokens=50)
        assert call(llm, "Hello!").text
        assert own.requests[-1].json[NEW] == 50


# Sampling without reasoning.

QUIET = [name for name, row in FAMILIES.items() if row.sampling_without_reasoning]


@four_ways
@pytest.mark.parametrize("family", QUIET)
@pytest.mark.parametrize("off", [{"reasoning_effort": "none"}, {"thinking": {"type": "disabled"}}], ids=str)
def test_sampling_is_sent_where_nothing_is_reasoned(call: Way, family: str, off: dict[str, Any]) -> None:
    with ScriptedServer(_answer) as server:
        call(_llm(server, family=family, temperature=0.2, top_p=0.9, **off), "hi")
        call(_llm(server, family=family).bind(temperature=0.2, **off), "hi")
    assert (server.requests[0].json["temperature"], server.requests[0].json["top_p"]) == (0.2, 0.9)
    assert server.requests[1].json["temperature"] == 0.2
    assert server.requests[1].json["reasoning_effort"] == "none"


TOOL = {"name": "f", "description": "d", "parameters": {"type": "object", "properties": {}}}


@four_ways
@pytest.mark.parametrize("setting", [{}, {"reasoning_effort": "low"}], ids=str)
def test_sampling_is_left_out_where_the_user_did_not_say_both(call: Way, setting: dict[str, Any]) -> None:
    with ScriptedServer(_answer) as server:
        llm = _llm(server, family="gpt-5-1", temperature=0.2, **setting)
        with pytest.warns(UserWarning, match="temperature was left out.*unless reasoning_effort is 'none'"):
            call(llm, "hi")
        auto = _llm(server, family="gpt-5-6", temperature=0.2).bind_tools([TOOL])
        with pytest.warns(UserWarning, match="temperature was left out"):
            call(auto, "hi")
    assert not any("temperature" in request.json for request in server.requests)


def test_what_openai_never_takes_stays_out() -> None:
    with ScriptedServer(_answer) as server:
        with pytest.warns(UserWarning, match="top_k was left out"):
            _llm(server, family="gpt-5-1", top_k=3, reasoning_effort="none").invoke("hi")
    assert "top_k" not in server.requests[0].json


@four_ways
def test_a_400_teaches_that_sampling_is_refused_after_all(call: Way) -> None:
    text = (
        "Unsupported value: 'temperature' does not support 0.2 with this model. "
        "Only the default (1) value is supported."
    )
    with ScriptedServer(_refusing("temperature", text, _bare)) as server:
        llm = _llm(server, family="gpt-5-2", temperature=0.2, reasoning_effort="none")
        with pytest.warns(UserWarning, match="refused 'temperature', so it is left out from now on"):
            assert call(llm, "hi").text == "ok"
        assert call(llm, "hi").text == "ok"
    assert ["temperature" in request.json for request in server.requests] == [True, False, False]


@four_ways
@pytest.mark.parametrize("model", ["databricks-gpt-5-1", "databricks-gpt-5-4-mini", "databricks-gpt-5-6-sol"])
def test_the_local_workspace_takes_sampling_without_reasoning(call: Way, model: str) -> None:
    with LocalWorkspace() as own:
        llm = ChatDatabricksCompat(
            model=model, host=own.host, token=own.token, temperature=0.2, reasoning_effort="none", max_tokens=50
        )
        assert call(llm, "Hello!").text
        assert own.requests[-1].json["temperature"] == 0.2


# Warnings and errors: whose name, which line.


@four_ways
@pytest.mark.parametrize(
    "setting",
    [
        {"n": 1}, {"logprobs": False}, {"top_logprobs": 0}, {"frequency_penalty": 0}, {"presence_penalty": 0.0},
        {"top_p": 1}, {"temperature": 1.0}, {"parallel_tool_calls": True}, {"store": False},
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("strict", [False, True])
def test_a_value_that_holds_anyway_is_no_news(call: Way, setting: dict[str, Any], strict: bool) -> None:
    with ScriptedServer(_answer) as server:
        for family in FAMILIES:
            call(_llm(server, family=family, api="chat", strict_params=strict).bind(**setting), "hi")
    assert len(server.requests) == len(FAMILIES)


@four_ways
def test_a_tool_that_need_not_be_strict_is_no_news(call: Way) -> None:
    tool = {"type": "function", "function": {"name": "get", "parameters": {"type": "object", "properties": {}}}}
    with ScriptedServer(_answer) as server:
        for family in (name for name, row in FAMILIES.items() if not row.calls_as_text):  # there all tools are news
            llm = _llm(server, family=family, api="chat", strict_params=True)
            call(llm.bind_tools([tool], strict=False), "hi")
    assert all(request.json["tools"][0]["function"].get("strict") is not True for request in server.requests)


@four_ways
def test_temperature_of_a_thinking_model_is_news_unless_it_is_1(call: Way) -> None:
    with ScriptedServer(_answer) as server:
        llm = _llm(server, family="claude", reasoning_effort="low")
        call(llm.bind(temperature=1), "hi")
        with pytest.warns(UserWarning, match="temperature was left out"):
            call(llm.bind(temperature=0.5), "hi")
    assert not any("temperature" in request.json for request in server.requests)


def _next_line() -> int:
    frame = inspect.currentframe()
    assert frame is not None
    assert frame.f_back is not None
    return frame.f_back.f_lineno + 1


def _one(caught: list[warnings.WarningMessage]) -> warnings.WarningMessage:
    (warning,) = caught
    return warning


def test_a_warning_points_at_the_users_line() -> None:
    with ScriptedServer(_answer) as server, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        llm = _llm(server, family="claude-adaptive", temperature=0.5)
        lines = [_next_line()]
        llm.invoke("hi")
        llm = _llm(server, family="claude-adaptive", temperature=0.5)
        lines.append(_next_line())
        list(llm.stream("hi"))
        llm = _llm(server, family="claude-adaptive", temperature=0.5)
        lines.append(_next_line())
        llm.batch(["hi", "hello"])
        chain = (lambda x: x) | _llm(server, family="claude-adaptive", temperature=0.5).with_retry()
        lines.append(_next_line())
        chain.invoke("hi")
        llm = _llm(server, family="claude-adaptive", temperature=0.5)
        lines.append(_next_line())
        asyncio.run(llm.ainvoke("hi"))
    assert [(warning.filename, warning.lineno) for warning in caught] == [(__file__, line) for line in lines]
    assert all("'external-" in str(warning.message) for warning in caught)
    assert not any("claude" in str(warning.message) for warning in caught)


def test_a_warning_of_a_thread_points_at_the_users_line_in_the_main_thread() -> None:
    with ScriptedServer(_answer) as server, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        llm = _llm(server, family="claude-adaptive", temperature=0.5)
        lines = [_next_line()]
        list(llm.batch_as_completed(["hi", "hello"]))
        both = RunnableParallel(a=_llm(server, family="claude-adaptive", temperature=0.5), b=lambda x: x)
        lines.append(_next_line())
        both.invoke("hi")
        llm = _llm(server, family="claude-adaptive", temperature=0.5)
        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(llm.invoke, "hi")
            lines.append(_next_line())
            future.result()
    places = [(warning.filename, warning.lineno) for warning in caught]
    assert places[:2] == [(__file__, line) for line in lines[:2]]
    assert places[2][0] == __file__


async def test_a_warning_of_async_code_points_at_the_users_line() -> None:
    with ScriptedServer(_answer) as server, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        llm = _llm(server, family="claude-adaptive", temperature=0.5)
        lines = [_next_line()]
        await llm.ainvoke("hi")
        llm = _llm(server, family="claude-adaptive", temperature=0.5)
        lines.append(_next_line())
        async for _ in llm.astream("hi"):
            pass
        llm = _llm(server, family="claude-adaptive", temperature=0.5)
        lines.append(_next_line())
        await llm.abatch(["hi", "hello"])
    assert [(warning.filename, warning.lineno) for warning in caught] == [(__file__, line) for line in lines]


@four_ways
def test_what_a_400_teaches_is_said_at_the_users_line(call: Way) -> None:
    with ScriptedServer(_refusing("seed", "seed: Extra inputs are not permitted", _bare)) as server:
        with pytest.warns(UserWarning, match="'external-.* refused 'seed'") as caught:
            call(_llm(server, seed=3), "hi")
    assert "langchain" not in _one(list(caught)).filename.rpartition("/site-packages/")[2]
    assert "/tests/" in _one(list(caught)).filename


def _no_instruction(request: Received) -> Scripted:
    if "instruction" in request.json:
        return Scripted(_bare("instruction: Extra inputs are not permitted"), status=400)
    rows = [{"index": i, "embedding": [0.5] * 1024} for i in range(len(request.json["input"]))]
    return Scripted({"data": rows})


def _embeddings(server: ScriptedServer) -> DatabricksEmbeddings:
    return DatabricksEmbeddings(
        model="databricks-qwen3-embedding-0-6b", host=server.url, token="t", batch_size=1, max_concurrency=2
    )


def test_a_warning_of_embeddings_points_at_the_users_line() -> None:
    with ScriptedServer(_no_instruction) as server, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        line = _next_line()
        _embeddings(server).embed_query("hi")
    assert {(warning.filename, warning.lineno) for warning in caught} == {(__file__, line)}


async def test_a_warning_of_async_embeddings_points_at_the_users_line() -> None:
    with ScriptedServer(_no_instruction) as server, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        embeddings = _embeddings(server)
        line = _next_line()
        await embeddings.aembed_query("hi")
    assert {(warning.filename, warning.lineno) for warning in caught} == {(__file__, line)}


def test_a_warning_of_a_thread_of_embeddings_points_at_the_users_line() -> None:
    def reply(request: Received) -> Scripted:
        if "dimensions" in request.json:
            return Scripted(_bare("dimensions: Extra inputs are not permitted"), status=400)
        return _no_instruction(request)

    with ScriptedServer(reply) as server, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        embeddings = DatabricksEmbeddings(
            model="databricks-qwen3-embedding-0-6b",
            host=server.url,
            token="t",
            batch_size=1,
            max_concurrency=2,
            dimensions=1024,
        )
        line = _next_line()
        embeddings.embed_documents(["a", "b", "c"])
    assert caught
    assert {(warning.filename, warning.lineno) for warning in caught} == {(__file__, line)}


def test_a_warning_of_the_constructor_points_at_the_users_line() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        line = _next_line()
        ChatDatabricksCompat()
    assert (caught[0].filename, caught[0].lineno) == (__file__, line)


@four_ways
@pytest.mark.parametrize(
    "setting",
    [
        {"reasoning_effort": "none"},
        {"reasoning_effort": "minimal"},
        {"thinking": {"type": "enabled", "budget_tokens": 2000}},
        {"response_format": {"type": "json_object"}},
        {"temperature": 0.3, "strict_params": True},
    ],
    ids=str,
)
def test_an_error_or_a_warning_about_a_setting_names_the_users_model(call: Way, setting: dict[str, Any]) -> None:
    raised = 0
    with ScriptedServer(_answer) as server:
        for family in ("claude-opus-5-5", "claude-fable-5", "gpt-5-pro", "claude", "gpt-6", "open-weights"):
            llm = _llm(server, model=f"bot-of-mine-{next(_count)}", family=family)
            said = _error_of(call, llm.bind(**setting))
            raised += said is not None
            assert said is None or (llm.model in said and family not in said)
    assert raised


def _error_of(call: Way, llm: Any) -> str | None:
    try:
        call(llm, "hi")
    except (ValueError, UserWarning) as error:  # warnings are errors in tests
        return str(error)
    return None


def test_a_warning_is_said_once_for_each_model() -> None:
    with ScriptedServer(_answer) as server, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        llm = _llm(server, family="claude-adaptive", temperature=0.5)
        for _ in range(3):
            llm.invoke("hi")
        assert len(caught) == 1
        _llm(server, family="claude-adaptive", temperature=0.5).invoke("hi")
        assert len(caught) == 2
