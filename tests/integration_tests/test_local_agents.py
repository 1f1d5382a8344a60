"""The agents of the local workspace, called as real ones are: each task, an app, approval, agents of one's own."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Literal

import httpx
import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from kit.ways import Way, four_ways, stream
from langchain_dbchat import ChatDatabricksCompat, approve, deny, list_endpoints, pending_approvals
from langchain_dbchat.errors import (
    ConfigurationError,
    DatabricksAPIError,
    DatabricksError,
    DatabricksInvalidRequestError,
    DatabricksNotFoundError,
)
from langchain_dbchat.local import AgentCall, AgentRequest, ApprovalRequest, LocalAgent, LocalWorkspace

if TYPE_CHECKING:
    from collections.abc import Iterator

QUESTION = "What does a ChatAgent return?"
FOUND = "A ChatAgent returns the messages of all its steps."
TASKS = {
    "agent-research": "agent/v1/responses",
    "agent-support": "agent/v2/chat",
    "agent-simple": "agent/v1/chat",
    "agent-tickets": "agent/v1/responses",
}
of_each_task = pytest.mark.parametrize("agent", ["agent-research", "agent-support", "agent-simple"])


def llm(workspace: LocalWorkspace, model: str, **settings: Any) -> ChatDatabricksCompat:
    return ChatDatabricksCompat(
        model=model, host=workspace.host, token=workspace.token, **{"max_retries": 0, **settings}
    )


def test_agents_are_listed_with_their_task(workspace: LocalWorkspace) -> None:
    found = {each.name: each for each in list_endpoints(host=workspace.host, token=workspace.token)}
    assert {name: found[name].task for name in TASKS} == TASKS
    assert found["agent-research"].wires == ("responses",)
    assert found["agent-support"].wires == ("agent",)


@four_ways
@of_each_task
@pytest.mark.parametrize("settings", [{}, {"family": "discover"}], ids=["auto", "discover"])
def test_an_agent_answers_without_being_told_its_api(
    workspace: LocalWorkspace, call: Way, agent: str, settings: dict[str, Any]
) -> None:
    answer = call(llm(workspace, agent, **settings), QUESTION)
    assert answer.text.endswith(f"The handbook says: {FOUND}")
    assert answer.tool_calls == []
    steps = [block for block in answer.content_blocks if block["type"].startswith("server_tool")]
    assert [block["type"] for block in steps] == (
        [] if agent == "agent-simple" else ["server_tool_call", "server_tool_result"]
    )
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["total_tokens"] > 0


@four_ways
@of_each_task
def test_inputs_context_outputs_and_the_trace(workspace: LocalWorkspace, call: Way, agent: str) -> None:
    context = {"conversation_id": "c", "user_id": "u"}
    model = llm(
        workspace, agent, family="discover", custom_inputs={"limit": 1}, context=context,
        databricks_options={"return_trace": True},
    )  # fmt: skip
    answer = call(model, "Tell me of agents, endpoints and models.")
    assert answer.response_metadata["custom_outputs"] == {"passages": 1, "context": context}
    assert answer.response_metadata["trace_id"].startswith("tr-")
    assert "trace_id" not in call(llm(workspace, agent, family="discover"), QUESTION).response_metadata


@four_ways
@pytest.mark.parametrize("agent", ["agent-research", "agent-support"])
def test_a_thread_with_steps_goes_back(workspace: LocalWorkspace, call: Way, agent: str) -> None:
    model = llm(workspace, agent, family="discover")
    thread: list[Any] = [HumanMessage(QUESTION)]
    for question in ("And what is a serving endpoint?", "What is refused by apps?"):
        thread += [call(model, thread), HumanMessage(question)]
    answer = call(model, thread)
    assert "A personal access token is refused by Databricks Apps" in answer.text
    body = workspace.requests[-1].json
    sent = body.get("input") or body["messages"]
    assert sum(1 for one in sent if "tool" in str(one.get("role")) or one.get("type") == "function_call_output") == 2


@four_ways
def test_an_app_is_found_by_its_name_and_takes_oauth_only(workspace: LocalWorkspace, call: Way) -> None:
    model = ChatDatabricksCompat(
        model="apps/agent-research",
        host=workspace.host,
        client_id=workspace.client_id,
        client_secret=workspace.client_secret,
        databricks_options={"return_trace": True},
    )
    answer = call(model, QUESTION)
    assert answer.text.endswith(FOUND)
    assert answer.response_metadata["trace_id"].startswith("tr-")
    assert answer.response_metadata["custom_outputs"] == {"passages": 1}
    assert workspace.requests[-1].path == "/apps/agent-research/responses"
    with pytest.raises(ConfigurationError, match="accepts OAuth tokens only"):
        call(llm(workspace, "apps/agent-research"), QUESTION)


def test_the_app_itself_refuses_a_personal_access_token(workspace: LocalWorkspace) -> None:
    for path, status in (
        ("/apps/agent-research/responses", 401),
        ("/serving-endpoints/agent-research/invocations", 200),
    ):
        body = {"input": [{"role": "user", "content": QUESTION}]}
        headers = {"authorization": f"Bearer {workspace.token}"}
        assert httpx.post(workspace.host + path, json=body, headers=headers, trust_env=False).status_code == status


@four_ways
@pytest.mark.parametrize("name", ["apps/nobody", "apps/agent-support"])
def test_an_app_that_does_not_exist(workspace: LocalWorkspace, call: Way, name: str) -> None:
    model = ChatDatabricksCompat(
        model=name, host=workspace.host, client_id=workspace.client_id, client_secret=workspace.client_secret
    )
    with pytest.raises(DatabricksNotFoundError, match="does not exist"):
        call(model, QUESTION)


BROKEN = "The printer is broken."


@four_ways
@pytest.mark.parametrize("version", ["v0", "v1"])
@pytest.mark.parametrize(
    ("reply", "opens"),
    [
        (approve, True),
        (deny, False),
        (lambda asked: deny(asked, "not today"), False),
        (lambda asked: approve(asked, lambda call: call.args["title"] == BROKEN), True),
        (lambda asked: approve(asked, lambda call: call.name != "open_ticket", reason="never"), False),
    ],
)
def test_an_agent_that_asks_first(
    workspace: LocalWorkspace, call: Way, reply: Any, opens: bool, version: Literal["v0", "v1"]
) -> None:
    model = llm(workspace, "agent-tickets", output_version=version)
    asked = call(model, BROKEN)
    before = asked.model_copy(deep=True)
    (pending,) = pending_approvals(asked)
    assert pending[1:] == ("open_ticket", {"title": BROKEN}, "tickets")
    answer = call(model, [HumanMessage(BROKEN), asked, reply(asked)])
    assert ("ticket 17 is open" in answer.text) is opens
    assert asked == before
    sent = workspace.requests[-1].json["input"][-1]
    assert sent.pop("reason", None) in {None, "not today", "never"}
    assert sent == {"type": "mcp_approval_response", "approval_request_id": pending.id, "approve": opens}


def test_an_answer_without_a_request_cannot_be_approved(workspace: LocalWorkspace) -> None:
    answer = llm(workspace, "agent-research").invoke(QUESTION)
    assert pending_approvals(answer) == []
    for reply in (approve, deny):
        with pytest.raises(ValueError, match="asks for no approval"):
            reply(answer)


def support(request: AgentRequest) -> Iterator[str | AgentCall]:
    """Look an order up, and let the caller ask the customer."""
    if request.messages[-1]["role"] == "tool":
        yield f"They say: {request.messages[-1]['content']}"
        return
    yield "One moment."
    yield AgentCall("find_order", {"number": 7}, "It was sent.")
    if "ask" in request.question:
        yield AgentCall("ask_customer", {"text": "Is it there?"})
        raise AssertionError("nothing runs behind a call that is the caller's")
    yield "Your order "
    yield "was sent."


def broken(_request: AgentRequest) -> Iterator[str]:
    yield "I begin "
    raise RuntimeError("the database is gone")


@pytest.fixture(scope="module")
def own() -> Iterator[LocalWorkspace]:
    tasks: tuple[Any, ...] = ("agent/v1/responses", "agent/v2/chat", "agent/v1/chat")
    agents: dict[str, Any] = {f"support-{number}": LocalAgent(support, task) for number, task in enumerate(tasks)}
    agents |= {f"broken-{number}": LocalAgent(broken, task) for number, task in enumerate(tasks)}
    agents |= {"greeter": lambda request: f"Hello, {request.custom_inputs.get('name', 'you')}!"}
    agents |= {"asks": LocalAgent(lambda _: [ApprovalRequest("f")], "agent/v2/chat"), "wrong": lambda _: [7]}
    with LocalWorkspace(agents=agents) as workspace:
        yield workspace


of_each_kind = pytest.mark.parametrize("kind", [0, 1, 2])


@four_ways
@of_each_kind
def test_a_function_is_an_agent(own: LocalWorkspace, call: Way, kind: int) -> None:
    answer = call(llm(own, f"support-{kind}", family="discover"), "Where is my order?")
    assert answer.text.endswith("Your order was sent.")
    calls = [block for block in answer.content_blocks if block["type"] == "server_tool_call"]
    assert [(block["name"], block["args"]) for block in calls] == ([] if kind == 2 else [("find_order", {"number": 7})])


@four_ways
@of_each_kind
def test_a_call_without_a_result_is_the_callers(own: LocalWorkspace, call: Way, kind: int) -> None:
    model = llm(own, f"support-{kind}", family="discover")
    asked = call(model, "Please ask the customer.")
    ((name, args, call_id),) = [(made["name"], made["args"], made["id"]) for made in asked.tool_calls]
    assert (name, args) == ("ask_customer", {"text": "Is it there?"})
    thread = [HumanMessage("Please ask the customer."), asked, ToolMessage("It is.", tool_call_id=call_id)]
    assert call(model, thread).text == "They say: It is."


@four_ways
def test_a_function_may_return_its_text(own: LocalWorkspace, call: Way) -> None:
    assert call(llm(own, "greeter"), "Hi").text == "Hello, you!"
    assert call(llm(own, "greeter", custom_inputs={"name": "Ada"}), "Hi").text == "Hello, Ada!"


@four_ways
@of_each_kind
def test_an_agent_that_fails(own: LocalWorkspace, call: Way, kind: int) -> None:
    with pytest.raises(DatabricksError, match="the database is gone") as caught:
        call(llm(own, f"broken-{kind}", family="discover"), "Hi")
    if call is stream and kind < 2:
        assert caught.value.partial is not None
        assert caught.value.partial.text == "I begin "


@pytest.mark.parametrize(("name", "text"), [("asks", "has no approval requests"), ("wrong", "yields texts")])
def test_steps_that_are_none(own: LocalWorkspace, name: str, text: str) -> None:
    with pytest.raises(DatabricksError, match=text):
        llm(own, name).invoke("Hi")


def test_an_app_that_fails_answers_as_an_agent_server(own: LocalWorkspace) -> None:
    model = ChatDatabricksCompat(
        model="apps/broken-0", host=own.host, client_id=own.client_id, client_secret=own.client_secret, max_retries=0
    )
    with pytest.raises(DatabricksAPIError, match="the database is gone") as caught:
        model.invoke("Hi")
    assert caught.value.status_code == 500


def test_steps_arrive_while_the_agent_works() -> None:
    seen = threading.Event()

    def slow(_request: AgentRequest) -> Iterator[str | AgentCall]:
        yield AgentCall("wait", {}, "done")
        yield "The end." if seen.wait(30) else "The result of the call has not arrived."

    text = ""
    with LocalWorkspace(agents={"slow": slow}) as workspace:
        for chunk in llm(workspace, "slow", api="responses").stream("Hi"):
            if any(block["type"] == "server_tool_result" for block in chunk.content_blocks):
                seen.set()
            text += chunk.text
    assert text == "The end."


@four_ways
@of_each_kind
def test_a_script_answers_in_place_of_the_function(own: LocalWorkspace, call: Way, kind: int) -> None:
    name = f"support-{kind}"
    own.script(name).answer("Scripted.").call("ask_customer", text="Which?").fail(429, headers={"retry-after": "0"})
    model = llm(own, name, family="discover")
    assert call(model, "Hi").text == "Scripted."
    assert [made["args"] for made in call(model, "Hi").tool_calls] == [{"text": "Which?"}]
    with pytest.raises(DatabricksError, match="429"):
        call(model, "Hi")
    own.assert_scripts_used()
    own.reset()


def test_an_agent_has_to_be_a_function_and_a_task_has_to_exist() -> None:
    with pytest.raises(TypeError, match="function"):
        LocalWorkspace(agents={"x": 7})  # type: ignore[dict-item]  # on purpose
    with pytest.raises(ValueError, match="agent/v2/chat"):
        LocalAgent(support, "agent/v3")  # type: ignore[arg-type]  # on purpose


def test_a_chat_agent_is_not_called_on_responses(workspace: LocalWorkspace) -> None:
    with pytest.raises(DatabricksInvalidRequestError, match=r"missing inputs \['messages'\]"):
        llm(workspace, "agent-support", api="responses").invoke("Hi")
    with pytest.raises(DatabricksInvalidRequestError, match=r"missing inputs \['input'\]"):
        llm(workspace, "agent-research", api="chat").invoke("Hi")


def test_a_lesson_is_learned_once(workspace: LocalWorkspace) -> None:
    model = llm(workspace, "agent-research")
    for _ in range(2):
        assert isinstance(model.invoke(QUESTION), AIMessage)
    assert [request.path for request in workspace.requests] == [
        "/serving-endpoints/agent-research/invocations",
        "/serving-endpoints/responses",
        "/serving-endpoints/responses",
    ]
