"""What an answer costs, in all four ways of calling, and what a chain, a batch or an agent costs in total."""

from __future__ import annotations

import asyncio
import json
import pickle
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.caches import InMemoryCache
from langchain_core.messages import AIMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableParallel

from kit.pages import ROOT
from kit.scripted import Received, Scripted, ScriptedServer, sse
from kit.ways import Way, four_ways
from langchain_dbchat import (
    ChatDatabricksCompat,
    DatabricksEmbeddings,
    DatabricksInvalidRequestError,
    StreamInterruptedError,
    cost_of,
    track_costs,
)
from langchain_dbchat.errors import ConfigurationError
from langchain_dbchat.integrations.costs import (
    CostTotals,
    CostTracker,
    PriceList,
    TokenPrice,
    UnknownPriceError,
    published_prices,
)
from langchain_dbchat.local import LocalWorkspace

SONNET = "databricks-claude-sonnet-4-6"
SOL = "databricks-gpt-5-6-sol"


def answers(usage: dict[str, Any], **fields: Any) -> Callable[[Received], Scripted]:
    """Answer with a usage, whole or streamed."""

    def answer(received: Received) -> Scripted:
        message = {"role": "assistant", "content": "Hello."}
        head = {"id": "c1", "model": "m", "created": 1, **fields}
        if received.json.get("stream"):
            return Scripted(
                sse(
                    {**head, "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": message}]},
                    {
                        **head,
                        "object": "chat.completion.chunk",
                        "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
                        "usage": usage,
                    },
                )
            )
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return Scripted({**head, "object": "chat.completion", "choices": [choice], "usage": usage})

    return answer


def model_of(server: ScriptedServer, model: str = SONNET, **settings: Any) -> ChatDatabricksCompat:
    return ChatDatabricksCompat(model=model, host=server.url, token="t", **settings)


@four_ways
def test_each_kind_of_token_has_its_price(call: Way) -> None:
    usage = {
        "prompt_tokens": 1_000_000,
        "completion_tokens": 100_000,
        "total_tokens": 1_100_000,
        "cache_read_input_tokens": 600_000,
        "cache_creation_input_tokens": 100_000,
        "completion_tokens_details": {"reasoning_tokens": 40_000},
    }
    with ScriptedServer(answers(usage)) as server, track_costs() as costs:
        cost = cost_of(call(model_of(server), "Hi"))
    assert (cost.input_dbus, cost.cache_read_dbus, cost.cache_write_dbus, cost.output_dbus) == pytest.approx(
        (0.3 * 42.857, 0.6 * 4.286, 0.1 * 53.571, 0.1 * 214.286)
    )
    assert cost.dbus == pytest.approx(42.2144, abs=1e-3)
    assert cost.dollars == pytest.approx(2.955, abs=1e-3)
    total = costs.totals.by_model[SONNET]
    assert (total.calls, total.input_tokens, total.cache_read_tokens, total.cache_write_tokens) == (
        1,
        1_000_000,
        600_000,
        100_000,
    )
    assert (total.output_tokens, total.reasoning_tokens, total.unknown_calls) == (100_000, 40_000, 0)
    assert costs.totals.dollars == pytest.approx(cost.dollars)


@four_ways
def test_a_model_without_a_price_has_no_cost(call: Way) -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    with ScriptedServer(answers(usage)) as server, track_costs() as costs:
        answer = call(model_of(server, "support-bot"), "Hi")
        with pytest.raises(UnknownPriceError, match="'support-bot' is not known.*prices of 20"):
            cost_of(answer)
    assert costs.totals.dollars is None
    assert "support-bot" in costs.totals.unknown["support-bot"]
    assert (costs.totals.known_dollars, costs.totals.total.unknown_calls, costs.totals.total.input_tokens) == (0, 1, 10)
    mine = published_prices().changed({"support-bot": TokenPrice.from_dollars(1.0, 2.0)})
    assert cost_of(answer, mine).dollars == pytest.approx(20e-6)
    assert cost_of(answer, model=SONNET).dollars == pytest.approx((10 * 3 + 5 * 15) / 1e6, rel=1e-4)


@four_ways
def test_a_name_of_another_provider_has_no_price(call: Way) -> None:
    """An endpoint that the user called ``gpt-5`` is not Databricks' own model of that name."""
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    with ScriptedServer(answers(usage)) as server:
        answer = call(model_of(server, "gpt-5"), "Hi")
    with pytest.raises(UnknownPriceError):
        cost_of(answer)


@four_ways
@pytest.mark.parametrize(("prompt", "rates"), [(272_000, (57.143, 285.714)), (272_001, (114.286, 428.571))])
def test_a_long_input_has_its_own_price(call: Way, prompt: int, rates: tuple[float, float]) -> None:
    usage = {"prompt_tokens": prompt, "completion_tokens": 1000, "total_tokens": prompt + 1000}
    with ScriptedServer(answers(usage)) as server:
        answer = call(model_of(server, SOL), "Hi")
    assert cost_of(answer).dbus == pytest.approx((prompt * rates[0] + 1000 * rates[1]) / 1e6)


@four_ways
def test_a_service_tier_has_its_own_price(call: Way) -> None:
    usage = {"prompt_tokens": 1000, "completion_tokens": 0, "total_tokens": 1000}
    with ScriptedServer(answers(usage, service_tier="priority")) as server:
        fast = call(model_of(server, SOL), "Hi")
        unknown = call(model_of(server, SONNET), "Hi")
    assert cost_of(fast).dbus == pytest.approx(0.114286)
    with pytest.raises(UnknownPriceError, match="service tier 'priority'"):
        cost_of(unknown)


@four_ways
def test_an_answer_without_usage_has_no_cost(call: Way) -> None:
    with ScriptedServer(answers({})) as server, track_costs() as costs:
        with pytest.raises(UnknownPriceError, match="no token usage"):
            cost_of(call(model_of(server), "Hi"))
    assert costs.totals.dollars is None
    assert costs.totals.by_model[SONNET].unknown_calls == 1


def test_tokens_written_for_an_hour_cost_more() -> None:
    message = AIMessage(
        "",
        usage_metadata={
            "input_tokens": 3000,
            "output_tokens": 0,
            "total_tokens": 3000,
            "input_token_details": {
                "cache_creation": 0,
                "ephemeral_5m_input_tokens": 1000,
                "ephemeral_1h_input_tokens": 2000,
            },
        },
        response_metadata={"model_name": SONNET},
    )
    assert cost_of(message).dbus == pytest.approx((53.571 + 2 * 85.714) / 1000)
    with pytest.raises(UnknownPriceError, match="cache_write_1h"):
        cost_of(message, model="databricks-claude-sonnet-4")


def test_audio_needs_a_price() -> None:
    usage = {"input_tokens": 3000, "output_tokens": 0, "total_tokens": 3000, "input_token_details": {"audio": 1000}}
    cost = cost_of(usage, model="databricks-gemini-3-flash")
    assert cost.dbus == pytest.approx((2000 * 8.929 + 1000 * 17.857) / 1e6)
    with pytest.raises(UnknownPriceError, match="'audio_input' is not known"):
        cost_of(usage, model="databricks-gemini-3-pro")


def test_a_model_service_costs_as_much_as_its_endpoint() -> None:
    usage = {"input_tokens": 1000, "output_tokens": 100, "total_tokens": 1100}
    assert cost_of(usage, model="system.ai.gpt-5").dbus == cost_of(usage, model="databricks-gpt-5").dbus


def test_usage_alone_needs_a_name() -> None:
    with pytest.raises(UnknownPriceError, match="model="):
        cost_of({"input_tokens": 1, "output_tokens": 1, "total_tokens": 2})


@four_ways
def test_an_answer_of_langchains_cache_costs_nothing(call: Way) -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    with ScriptedServer(answers(usage)) as server, track_costs() as costs:
        model = model_of(server, cache=InMemoryCache())
        model.invoke("Hi")
        answer = call(model, "Hi")
        streams = "stream" in call.__name__  # LangChain does not cache streams
        assert len(server.requests) == (2 if streams else 1)
    assert (cost_of(answer).dollars == 0) is not streams
    assert costs.totals.total.calls == (2 if streams else 1)
    assert costs.totals.cached_calls == (0 if streams else 1)


def test_answers_with_several_choices_are_counted_once() -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 50, "total_tokens": 60}
    choices = [
        {"index": place, "message": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}
        for place in (0, 1)
    ]
    with ScriptedServer(Scripted({"id": "c", "model": "m", "choices": choices, "usage": usage})) as server:
        with track_costs() as costs:
            model_of(server, "databricks-gpt-5", n=2).invoke("Hi")
    assert (costs.totals.total.calls, costs.totals.total.output_tokens) == (1, 50)


def test_a_refused_call_costs_nothing_and_a_cut_stream_is_not_a_number() -> None:
    refusal = Scripted({"error_code": "BAD_REQUEST", "message": "No."}, 400)
    cut = Scripted(sse({"id": "c", "choices": [{"index": 0, "delta": {"content": "Hel"}}]}, done=False))
    with ScriptedServer(refusal, cut) as server, track_costs() as costs:
        model = model_of(server, max_retries=0)
        with pytest.raises(DatabricksInvalidRequestError):
            model.invoke("Hi")
        assert costs.totals == CostTotals()
        with pytest.raises(StreamInterruptedError):
            list(model.stream("Hi"))
    assert costs.totals.dollars is None
    assert "not complete (StreamInterruptedError)" in costs.totals.unknown[SONNET]


def test_a_stream_that_the_caller_leaves_is_not_a_number() -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    with ScriptedServer(answers(usage)) as server, track_costs() as costs:
        stream = model_of(server, coalesce=False).stream("Hi")
        next(stream)
        stream.close()  # type: ignore[attr-defined]  # it is a generator
    assert costs.totals.dollars is None
    assert costs.totals.by_model[SONNET].unknown_calls == 1


def test_a_chain_a_batch_and_an_agent_are_totalled(workspace: LocalWorkspace) -> None:
    connection: Any = {"host": workspace.host, "token": workspace.token}
    claude = ChatDatabricksCompat(model=SONNET, **connection)
    gpt = ChatDatabricksCompat(model="databricks-gpt-5", **connection)
    prompt = ChatPromptTemplate.from_template("Say {word}.")
    tracker = CostTracker()

    def get_weather(city: str) -> str:
        """Get the current weather in a city."""
        return f"It rains in {city}."

    (prompt | RunnableParallel(a=claude, b=gpt)).batch(
        [{"word": str(number)} for number in range(8)], {"callbacks": [tracker]}
    )
    assert {name: total.calls for name, total in tracker.totals.by_model.items()} == {SONNET: 8, "databricks-gpt-5": 8}
    agent: Any = create_agent(claude, [get_weather])
    with track_costs() as costs:
        state = agent.invoke({"messages": [("human", "What is the weather in Oslo?")]})
    spoken = [message for message in state["messages"] if isinstance(message, AIMessage)]
    assert costs.totals.total.calls == len(spoken) == 2
    assert costs.totals.dollars == pytest.approx(sum(cost_of(message).dollars for message in spoken))
    claude.invoke("after the block")
    assert costs.totals.total.calls == 2


async def test_async_calls_are_counted_before_they_return(workspace: LocalWorkspace) -> None:
    model = ChatDatabricksCompat(model=SONNET, host=workspace.host, token=workspace.token)
    with track_costs() as costs:
        await asyncio.gather(*(model.ainvoke(str(number)) for number in range(20)))
        async for _ in model.astream("Hi"):
            pass
        assert costs.totals.total.calls == 21


def test_threads_lose_no_count(workspace: LocalWorkspace) -> None:
    model = ChatDatabricksCompat(model=SONNET, host=workspace.host, token=workspace.token)
    tracker = CostTracker()
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: model.invoke("Hi", {"callbacks": [tracker]}), range(40)))
    assert tracker.totals.total.calls == 40
    assert tracker.totals.total.output_tokens == 40 * model.invoke("Hi").usage_metadata["output_tokens"]  # type: ignore[index]  # it has usage


def test_embeddings_have_a_cost(workspace: LocalWorkspace) -> None:
    embeddings = DatabricksEmbeddings(
        model="databricks-gte-large-en", host=workspace.host, token=workspace.token, batch_size=2
    )
    embeddings.embed_documents(["one", "two", "three"])
    tokens = embeddings.usage.total_tokens
    assert cost_of(embeddings.usage, model=embeddings.model).dbus == pytest.approx(tokens * 1.857 / 1e6)
    tracker = CostTracker()
    tracker.add(embeddings)
    assert tracker.totals.by_model["databricks-gte-large-en"].calls == 2
    assert tracker.totals.dollars == pytest.approx(tokens * 1.857 * 0.07 / 1e6)


def test_totals_are_plain_data_that_can_be_added() -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    with ScriptedServer(answers(usage)) as server, track_costs() as costs:
        model_of(server).invoke("Hi")
        model_of(server, "mine").invoke("Hi")
    totals = costs.totals
    assert pickle.loads(pickle.dumps(totals)) == totals == CostTotals.from_json(totals.to_json())
    twice = CostTotals.sum([totals, totals.to_json(), None])
    assert twice.by_model[SONNET].calls == 2
    assert twice.known_dollars == pytest.approx(2 * totals.known_dollars)
    assert twice.dollars is None
    assert totals.by_model[SONNET].calls == 1
    for bad in ("", "{}", "[]", '{"by_model": {"m": {"salls": 1}}, "cached_calls": 0, "unknown": {}}'):
        with pytest.raises(ConfigurationError, match="not the JSON of CostTotals"):
            CostTotals.sum([bad])


def test_prices_are_dated_and_can_be_replaced(tmp_path: Path) -> None:
    published = published_prices()
    assert published.date >= "2026-11"
    assert all(source.startswith("https://www.databricks.com/") for source in published.sources)
    assert pickle.loads(pickle.dumps(published)) == published
    cheap = published.changed(dollars_per_dbu=0.035)
    usage = {"input_tokens": 1000, "output_tokens": 100, "total_tokens": 1100}
    assert cost_of(usage, cheap, model=SONNET).dollars == pytest.approx(cost_of(usage, model=SONNET).dollars / 2)
    file = tmp_path / "prices.json"
    mine = {"input": 1, "output": 2, "long_above": 9, "long": {"input": 3, "output": 4}}
    file.write_text(json.dumps({"models": {"mine": mine}}))
    assert cost_of(usage, PriceList.read(file), model="mine").dbus == pytest.approx((3 * 1000 + 4 * 100) / 1e6)


def test_each_chat_model_has_a_price_or_the_page_says_why_not() -> None:
    known = json.loads((ROOT / "langchain_dbchat" / "models" / "profiles.json").read_text("utf-8"))
    table = (
        (ROOT / "docs" / "costs.md")
        .read_text("utf-8")
        .partition("These models have no price")[2]
        .partition("\n\n```")[0]
    )
    without = {name for name in known if published_prices().find(f"databricks-{name}") is None}
    assert without == set(re.findall(r"`([\w-]+)`", table))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"models": {"m": {"inptu": 1}}}',
        '{"models": {"m": {"input": "1", "output": 2}}}',
        '{"models": {"m": {"input": -1, "output": 2}}}',
        '{"models": {"m": {"input": NaN, "output": 2}}}',
        '{"models": {"m": {"input": 1, "output": 2, "long_above": 3}}}',
        '{"models": {"m": {"input": 1, "output": 2}}, "dollars_per_dbu": -1}',
    ],
)
def test_a_bad_price_list_says_what_is_wrong(tmp_path: Path, text: str) -> None:
    file = tmp_path / "prices.json"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match="price list|has to be a number|needs both"):
        PriceList.read(file)
