"""Route-optimized endpoints: their own URL, their own tokens, for each way of signing in and each way of calling."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import pickle
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from kit.route_optimized import DESCRIPTIONS, FORBIDDEN, SUFFIX, TOKENS, OptimizedWorkspace, route
from kit.scripted import Scripted, sse
from kit.sign_in import PAT, write_cli, write_workbench
from kit.ways import Way, astream, four_ways, invoke, stream
from langchain_dbchat import ChatDatabricksCompat, DatabricksEmbeddings
from langchain_dbchat.cli.main import main
from langchain_dbchat.dialects import _FOLDERS, dialect_named
from langchain_dbchat.dialects.dialect import Target
from langchain_dbchat.errors import (
    ConfigurationError,
    DatabricksAPIError,
    DatabricksAuthenticationError,
    DatabricksError,
)
from langchain_dbchat.models.families import family_of
from langchain_dbchat.routing.address import parse_workspace
from langchain_dbchat.routing.routes import routes

SCOPED = "eyJhbGciOiJub25lIn0.e30.of-the-endpoints-page"
ALICE, BOB = "eyJhbGciOiJub25lIn0.e30.alice", "eyJhbGciOiJub25lIn0.e30.bob"
SECRET = "dose" + "0123456789abcdef" * 2


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[OptimizedWorkspace]:
    route(monkeypatch)
    with OptimizedWorkspace() as running:
        monkeypatch.setenv("DATABRICKS_HOST", running.url)
        yield running


def chat(server: OptimizedWorkspace, endpoint: str = "e", **settings: Any) -> ChatDatabricksCompat:
    """A model of an endpoint, given by its URL alone."""
    return ChatDatabricksCompat(
        **{"host": server.endpoint(endpoint), "allow_http": True, "max_retries": 0, "timeout": 20, **settings}
    )


def principal(server: OptimizedWorkspace, endpoint: str = "e", client: str = "sp", **settings: Any) -> Any:
    """The same, for a service principal."""
    return chat(server, endpoint, client_id=client, client_secret=SECRET, **settings)


def steps(server: OptimizedWorkspace) -> list[str]:
    """What was asked of whom, in order."""
    return [f"{it.method} {it.headers['host'].partition(':')[0]} {it.path}" for it in server.requests]


@four_ways
def test_the_token_of_the_workspace_is_exchanged_once(call: Way, server: OptimizedWorkspace) -> None:
    model = principal(server)
    assert model.model == "e"
    assert [call(model, "Hello!").text for _ in range(3)] == ["for-e-id-of-sp-0-1"] * 3
    question = f"POST e-id{SUFFIX} /99/serving-endpoints/e/invocations"
    assert steps(server) == [
        f"POST 127.0.0.1 {TOKENS}",
        f"GET 127.0.0.1 {DESCRIPTIONS}e",
        f"POST 127.0.0.1 {TOKENS}",
        *[question] * 3,
    ]
    (form,) = server.exchanges
    details = json.loads(form.pop("authorization_details"))
    assert details == [
        {
            "type": "workspace_permission",
            "object_type": "serving-endpoints",
            "object_path": "/serving-endpoints/e-id",
            "actions": ["query_inference_endpoint"],
        }
    ]
    assert form == {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": "of-sp-0"}
    assert "authorization" not in server.requests[2].headers
    assert server.requests[1].headers["authorization"] == "Bearer of-sp-0"


@pytest.mark.parametrize("is_async", [False, True])
def test_embeddings_are_signed_in_the_same_way(is_async: bool, server: OptimizedWorkspace) -> None:
    model = DatabricksEmbeddings(
        host=server.endpoint(), allow_http=True, client_id="sp", client_secret=SECRET, max_retries=0
    )
    rows = asyncio.run(model.aembed_documents(["a", "b"])) if is_async else model.embed_documents(["a", "b"])
    assert rows == [[1.0], [1.0]]
    assert set(server.signers) == {"for-e-id-of-sp-0-1"}
    assert server.questions[0].headers["host"].startswith(f"e-id{SUFFIX}")


@four_ways
@pytest.mark.parametrize("given", ["base_url", "host"])
def test_the_url_may_be_given_under_either_name(call: Way, given: str, server: OptimizedWorkspace) -> None:
    settings: dict[str, Any] = {"host": None, given: server.endpoint()}
    assert call(principal(server, **settings), "Hello!").text.startswith("for-e-id")


@four_ways
@pytest.mark.parametrize("where", ["token", "variable", "profile", "callable", "config", "bearer"])
def test_a_personal_access_token_is_refused_before_anything_is_sent(
    call: Way, where: str, server: OptimizedWorkspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Config:
        host, auth_type = server.url, "pat"

        def authenticate(self) -> dict[str, str]:
            return {"Authorization": f"Bearer {PAT}"}

    given: dict[str, dict[str, Any]] = {
        "token": {"token": PAT},
        "bearer": {"token": f"Bearer {PAT}"},
        "callable": {"token": lambda: PAT},
        "config": {"workspace_client": Config()},
        "profile": {"config_profile": "mine", "config_file": str(tmp_path / "cfg")},
    }
    settings = given.get(where, {})
    if where == "variable":
        monkeypatch.setenv("DATABRICKS_TOKEN", PAT)
    (tmp_path / "cfg").write_text(f"[mine]\nhost = {server.url}\ntoken = {PAT}\n")
    with pytest.raises(ConfigurationError, match=r"route-optimized endpoint at e-id\S+ accepts OAuth tokens") as caught:
        call(chat(server, **settings), "Hello!")
    assert "client_id" in str(caught.value)
    assert PAT not in str(caught.value)
    assert server.requests == []


@four_ways
@pytest.mark.parametrize("where", ["token", "variable", "callable", "credentials"])
def test_a_given_token_of_the_endpoint_is_sent_as_it_is(
    call: Way, where: str, server: OptimizedWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Ours:
        name = "ours"

        def headers(self, *, refresh: bool = False) -> dict[str, str]:
            del refresh
            return {"Authorization": f"Bearer {SCOPED}", "X-Ours": "1"}

        async def aheaders(self, *, refresh: bool = False) -> dict[str, str]:
            return self.headers(refresh=refresh)

    monkeypatch.delenv("DATABRICKS_HOST")  # no workspace is needed
    server.given.add(SCOPED)
    given: dict[str, dict[str, Any]] = {
        "token": {"token": SCOPED},
        "callable": {"token": lambda: SCOPED},
        "credentials": {"credentials": Ours()},
    }
    settings = given.get(where, {})
    if where == "variable":
        monkeypatch.setenv("DATABRICKS_TOKEN", SCOPED)
    assert call(chat(server, **settings), "Hello!").text == SCOPED
    assert len(server.requests) == 1
    assert server.questions[0].headers.get("x-ours") == ("1" if where == "credentials" else None)


@four_ways
@pytest.mark.parametrize("where", ["token", "variable", "callable"])
def test_a_given_token_of_the_workspace_is_exchanged_after_the_endpoint_has_refused_it(
    call: Way, where: str, server: OptimizedWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.callers.add(ALICE)
    given: dict[str, dict[str, Any]] = {"token": {"token": ALICE}, "callable": {"token": lambda: ALICE}}
    settings = given.get(where, {})
    if where == "variable":
        monkeypatch.setenv("DATABRICKS_TOKEN", ALICE)
    model = chat(server, **settings)
    assert [call(model, "Hello!").text for _ in range(2)] == [f"for-e-id-{ALICE}-0"] * 2
    assert server.signers == [ALICE, f"for-e-id-{ALICE}-0", f"for-e-id-{ALICE}-0"]
    assert len(server.exchanges) == len(server.lookups) == 1


@four_ways
def test_a_source_that_gives_another_token_after_a_refusal_needs_no_exchange(
    call: Way, server: OptimizedWorkspace
) -> None:
    tokens = iter(["expired", SCOPED])
    server.given.add(SCOPED)
    assert call(chat(server, token=lambda: next(tokens)), "Hello!").text == SCOPED
    assert server.signers == ["expired", SCOPED]
    assert server.exchanges == []


@four_ways
def test_a_given_token_that_no_workspace_can_exchange_is_the_endpoints_refusal(
    call: Way, server: OptimizedWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABRICKS_HOST")
    with pytest.raises(DatabricksAuthenticationError, match="Missing authorization details"):
        call(chat(server, token=ALICE), "Hello!")
    assert server.signers == [ALICE]


@four_ways
def test_users_never_share_a_token(call: Way, server: OptimizedWorkspace) -> None:
    server.callers |= {ALICE, BOB}
    model = chat(server, token=ALICE)
    for _ in range(2):
        assert ALICE in call(model, "Hello!").text
        assert BOB in call(model.bind(token=BOB), "Hello!").text
        assert BOB in call(model.with_credentials(token=BOB), "Hello!").text
    assert len(server.exchanges) == 2
    assert len(server.lookups) == 1


@four_ways
def test_principals_never_share_a_token(call: Way, server: OptimizedWorkspace) -> None:
    assert "of-one-" in call(principal(server, client="one"), "Hello!").text
    assert "of-two-" in call(principal(server, client="two"), "Hello!").text
    assert "of-one-" in call(principal(server, client="one"), "Hello!").text
    assert len(server.exchanges) == 2


@four_ways
def test_each_endpoint_has_a_token_of_its_own(call: Way, server: OptimizedWorkspace) -> None:
    one, other = principal(server), principal(server, "other")
    for _ in range(2):
        assert call(one, "Hello!").text.startswith("for-e-id-")
        assert call(other, "Hello!").text.startswith("for-other-id-")
    assert [it.path for it in server.lookups] == [f"{DESCRIPTIONS}e", f"{DESCRIPTIONS}other"]
    assert len(server.exchanges) == 2
    assert server.issued[0] == "of-sp-0"  # one token of the workspace for both
    assert len(server.issued) == 3


@four_ways
def test_a_refused_token_is_replaced(call: Way, server: OptimizedWorkspace) -> None:
    model = principal(server)
    first = call(model, "Hello!").text
    server.revoked.add(first)
    second = call(model, "Hello!").text
    assert second not in {first, ""}
    assert server.signers == [first, first, second]
    assert len(server.exchanges) == 2
    assert len(server.lookups) == 1


@four_ways
def test_a_refused_token_of_the_workspace_is_replaced_too(call: Way, server: OptimizedWorkspace) -> None:
    model = principal(server)
    first = call(model, "Hello!").text
    server.revoked |= {first, "of-sp-0"}
    assert call(model, "Hello!").text == f"for-e-id-{server.issued[2]}-3"
    assert [it["assertion"] for it in server.exchanges] == ["of-sp-0", "of-sp-0", server.issued[2]]


def test_the_lookup_asks_for_a_new_token_of_the_workspace(server: OptimizedWorkspace) -> None:
    server.refusals.append((DESCRIPTIONS, Scripted({"error_code": "403", "message": "Invalid Token"}, 403)))
    assert invoke(principal(server), "Hello!").text == "for-e-id-of-sp-1-2"
    assert len(server.lookups) == 2


@four_ways
def test_a_token_is_renewed_before_it_expires(call: Way, server: OptimizedWorkspace) -> None:
    server.lifetime = 1.0
    model = principal(server)
    call(model, "Hello!")
    time.sleep(0.6)
    assert call(model, "Hello!").text == "for-e-id-of-sp-0-2"
    assert server.signers == ["for-e-id-of-sp-0-1", "for-e-id-of-sp-0-2"]


def test_threads_share_one_exchange(server: OptimizedWorkspace) -> None:
    model = principal(server)
    answers: list[str] = []
    threads = [threading.Thread(target=lambda: answers.append(invoke(model, "Hello!").text)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == ["for-e-id-of-sp-0-1"] * 20
    assert len(server.exchanges) == len(server.lookups) == 1
    server.revoked.add(answers[0])
    threads = [threading.Thread(target=lambda: answers.append(invoke(model, "Hello!").text)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers[20:] == ["for-e-id-of-sp-0-2"] * 20
    assert len(server.exchanges) == 2


def test_tasks_share_one_exchange(server: OptimizedWorkspace) -> None:
    model = principal(server)

    async def ask() -> list[str]:
        return [str(it.text) for it in await asyncio.gather(*(model.ainvoke("Hello!") for _ in range(20)))]

    assert asyncio.run(ask()) == ["for-e-id-of-sp-0-1"] * 20
    assert len(server.exchanges) == len(server.lookups) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="this system does not fork")
@pytest.mark.skipif(sys.version_info >= (3, 12), reason="Python 3.12 warns of every fork in a process with threads")
def test_a_forked_child_has_its_parents_token(server: OptimizedWorkspace) -> None:
    model = principal(server)
    invoke(model, "Hello!")
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=lambda: sender.send(invoke(model, "Hello!").text))
    child.start()
    assert receiver.poll(20)
    assert receiver.recv() == "for-e-id-of-sp-0-1"
    child.join()
    assert len(server.exchanges) == 1


def test_a_pickle_has_no_token_of_the_endpoint(server: OptimizedWorkspace) -> None:
    model = principal(server)
    token = invoke(model, "Hello!").text
    pickled = pickle.dumps(model)
    assert token.encode() not in pickled
    assert invoke(pickle.loads(pickled), "Hello!").text == token


@pytest.mark.parametrize(
    ("described", "sent"),
    [
        ({"data_plane_info": {"query_info": {"authorization_details": '[{"object_path": "/x/e-id"}]'}}}, "/x/e-id"),
        ({"data_plane_info": {"query_info": {"authorization_details": [{"object_path": "/y/e-id"}]}}}, "/y/e-id"),
        ({"data_plane_info": {"query_info": {"authorization_details": ""}}}, "/serving-endpoints/e-id"),
        ({"data_plane_info": None}, "/serving-endpoints/e-id"),
        ({"data_plane_info": "?", "endpoint_url": None}, "/serving-endpoints/e-id"),
        ({"id": None}, "/serving-endpoints/e-id"),
        ({"id": 7}, "/serving-endpoints/e-id"),
        ({"endpoint_url": f"e-id{SUFFIX}/99/serving-endpoints/e/invocations"}, "/serving-endpoints/e-id"),
        ({"endpoint_url": "https://[", "id": "e-id"}, "/serving-endpoints/e-id"),
    ],
)
def test_what_the_description_says_is_asked_for(
    described: dict[str, Any], sent: str, server: OptimizedWorkspace
) -> None:
    server.described = described
    assert invoke(principal(server), "Hello!").text == "for-e-id-of-sp-0-1"
    (form,) = server.exchanges
    assert json.loads(form["authorization_details"])[0]["object_path"] == sent


def test_a_description_that_is_not_json_is_not_needed(server: OptimizedWorkspace) -> None:
    server.refusals.append((DESCRIPTIONS, Scripted("?")))
    assert invoke(principal(server), "Hello!").text == "for-e-id-of-sp-0-1"


@four_ways
def test_a_caller_who_may_query_but_not_view_the_endpoint(call: Way, server: OptimizedWorkspace) -> None:
    server.refusals.append((DESCRIPTIONS, FORBIDDEN))
    assert call(principal(server), "Hello!").text == "for-e-id-of-sp-0-1"
    assert json.loads(server.exchanges[0]["authorization_details"])[0]["object_path"] == "/serving-endpoints/e-id"


@four_ways
@pytest.mark.parametrize("form", ["top", "data_plane_info"])
def test_an_endpoint_of_another_workspace_with_the_same_name_gives_no_token(
    call: Way, form: str, server: OptimizedWorkspace
) -> None:
    url = f"https://other-id{SUFFIX}/7/serving-endpoints/e/invocations"
    if form == "top":
        server.described = {"endpoint_url": url}
    else:
        server.described = {"endpoint_url": None, "data_plane_info": {"query_info": {"endpoint_url": url}}}
    with pytest.raises(ConfigurationError, match=rf"at other-id\S+, not at e-id{SUFFIX}\. .*DATABRICKS_HOST"):
        call(principal(server), "Hello!")
    assert server.exchanges == []
    assert server.questions == []


@four_ways
def test_a_workspace_that_does_not_have_the_endpoint(call: Way, server: OptimizedWorkspace) -> None:
    server.refusals.append(
        (DESCRIPTIONS, Scripted({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "No such endpoint"}, 404))
    )
    with pytest.raises(ConfigurationError, match=r"has no endpoint 'e'\. .*DATABRICKS_HOST"):
        call(principal(server), "Hello!")
    assert server.questions == []


@four_ways
def test_a_caller_who_may_not_query_the_endpoint(call: Way, server: OptimizedWorkspace) -> None:
    refusal = {
        "error": "invalid_authorization_details",
        "error_description": "User is not authorized to the requested authorizations",
    }
    server.refusals.append((f"{TOKENS}", Scripted({"access_token": "of-sp-0", "expires_in": 3600})))
    server.callers.add("of-sp-0")
    server.refusals.append((f"{TOKENS}", Scripted(refusal, 400)))
    with pytest.raises(DatabricksAuthenticationError, match=r"not authorized.*CAN QUERY") as caught:
        call(principal(server), "Hello!")
    assert "'e'" in str(caught.value)
    assert len(server.exchanges) == 1  # another token of the same caller does not help
    assert server.questions == []


@four_ways
def test_what_was_sent_is_masked_in_errors(call: Way, server: OptimizedWorkspace) -> None:
    server.callers.add(ALICE)
    model = chat(server, token=ALICE)
    server.refusals.append((TOKENS, Scripted({"error": "invalid_grant", "error_description": f"{ALICE} is bad"}, 400)))
    with pytest.raises(DatabricksAuthenticationError, match="is bad") as caught:
        call(model, "Hello!")
    assert ALICE not in repr(caught.value) + str(caught.value) + str(getattr(caught.value, "__notes__", ""))


@four_ways
def test_a_workspace_that_fails_is_an_error_of_its_own(call: Way, server: OptimizedWorkspace) -> None:
    server.refusals += [(TOKENS, Scripted({"access_token": "of-sp-0", "expires_in": 3600}))]
    server.refusals += [(DESCRIPTIONS, Scripted({"message": "out of order"}, 500))] * 3
    with pytest.raises(DatabricksAPIError, match="out of order"):
        call(principal(server), "Hello!")
    assert server.questions == []


@four_ways
def test_without_a_workspace_nothing_can_be_exchanged(
    call: Way, server: OptimizedWorkspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("DATABRICKS_HOST")
    for settings in (
        {"client_id": "sp", "client_secret": SECRET},
        {"auth_type": "databricks-cli"},
    ):
        monkeypatch.setenv("DATABRICKS_CLI_PATH", str(write_cli(tmp_path / "bin").with_name("databricks")))
        with pytest.raises(ConfigurationError, match="DATABRICKS_HOST"):
            call(chat(server, **settings), "Hello!")
    assert server.requests == []


@four_ways
def test_the_command_line_and_workbench_give_tokens_of_the_workspace(
    call: Way, server: OptimizedWorkspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server.callers |= {"of-the-cli", "of-workbench"}
    write_cli(tmp_path / "bin", "of-the-cli")
    monkeypatch.setenv("DATABRICKS_CLI_PATH", str(tmp_path / "bin" / "databricks"))
    assert call(chat(server, auth_type="databricks-cli"), "Hello!").text == "for-e-id-of-the-cli-0"
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(write_workbench(tmp_path, server.url, "of-workbench")))
    assert call(chat(server), "Hello!").text == "for-e-id-of-workbench-1"


@four_ways
def test_the_sdk_gives_tokens_of_the_workspace(
    call: Way, server: OptimizedWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Config:
        host, auth_type = server.url, "azure-cli"

        def authenticate(self) -> dict[str, str]:
            return {"Authorization": "Bearer of-azure", "X-Databricks-Azure-SP-Management-Token": "management"}

    monkeypatch.delenv("DATABRICKS_HOST")  # the Config names the workspace
    server.callers.add("of-azure")
    assert call(chat(server, workspace_client=Config()), "Hello!").text == "for-e-id-of-azure-0"
    assert "x-databricks-azure-sp-management-token" in server.lookups[0].headers
    assert "x-databricks-azure-sp-management-token" not in server.questions[0].headers


@four_ways
def test_a_profile_names_the_workspace(
    call: Way, server: OptimizedWorkspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("DATABRICKS_HOST")
    (tmp_path / "cfg").write_text(f"[mine]\nhost = {server.url}\nclient_id = sp\nclient_secret = {SECRET}\n")
    model = chat(server, config_profile="mine", config_file=str(tmp_path / "cfg"))
    assert call(model, "Hello!").text == "for-e-id-of-sp-0-1"


@four_ways
def test_a_unified_host_is_told_which_workspace_is_meant(
    call: Way, server: OptimizedWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABRICKS_HOST", f"{server.url}/?o=99")
    call(principal(server), "Hello!")
    assert server.lookups[0].headers["x-databricks-workspace-id"] == "99"


@four_ways
def test_another_endpoint_is_not_served_there(call: Way, server: OptimizedWorkspace) -> None:
    for model in (principal(server, model="other"), principal(server).bind(model="other")):
        with pytest.raises(ConfigurationError, match=r"of the route-optimized endpoint 'e', and 'other' is not served"):
            call(model, "Hello!")
    assert server.questions == []


@four_ways
def test_an_agent_is_called_at_the_same_path(call: Way, server: OptimizedWorkspace) -> None:
    said = {"role": "assistant", "content": "Hi", "id": "m1"}
    body: Any = sse({"id": "1", "delta": said}) if call in {stream, astream} else {"id": "1", "messages": [said]}
    server.refusals.append(("/99/", Scripted(body)))
    assert call(principal(server, api="agent"), "Hello!").text == "Hi"
    (question,) = server.questions
    assert question.path == "/99/serving-endpoints/e/invocations"
    assert "model" not in question.json


@pytest.mark.parametrize("name", sorted(_FOLDERS))
def test_each_wire_format_is_served_at_invocations_or_not_at_all(name: Any, server: OptimizedWorkspace) -> None:
    paths = dialect_named(name).paths(Target("e", family_of("e")))
    address = parse_workspace(server.endpoint(), allow_http=True)
    if name == "messages":
        with pytest.raises(ConfigurationError, match="does not serve this API"):
            routes(address, paths, "e")
    else:
        assert routes(address, paths, "e") == ((server.endpoint(), None),)


@four_ways
def test_discovery_asks_the_workspace(call: Way, server: OptimizedWorkspace) -> None:
    server.described = {"config": {"served_entities": [{"foundation_model": {"name": "system.ai.claude-sonnet-4-5"}}]}}
    model = principal(server, family="discover")
    assert call(model, "Hello!").text == "for-e-id-of-sp-0-1"
    assert {it.headers["host"].partition(":")[0] for it in server.lookups} == {"127.0.0.1"}
    assert server.lookups[0].headers["authorization"] == "Bearer of-sp-0"


@four_ways
def test_discovery_without_a_workspace_is_a_warning(
    call: Way, server: OptimizedWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABRICKS_HOST")
    server.given.add(SCOPED)
    with pytest.warns(UserWarning, match="The workspace of the route-optimized endpoint 'e' is not known"):
        assert call(chat(server, token=SCOPED, family="discover"), "Hello!").text == SCOPED


def test_doctor_lists_the_endpoints_of_the_workspace(
    server: OptimizedWorkspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABRICKS_CLIENT_ID", "sp")
    monkeypatch.setenv("DATABRICKS_CLIENT_SECRET", SECRET)
    assert main(["doctor", "--host", server.endpoint(), "--allow-http", "--model", "e"]) == 0
    said = capsys.readouterr().out
    assert "(optimized), from --host" in said
    assert "ok      listing   1 serving endpoints" in said
    assert "e answered 'for-e-id-of-sp-0-1'" in said


def test_the_users_own_client_sends_the_requests_to_the_workspace(server: OptimizedWorkspace) -> None:
    seen: list[str] = []
    with httpx.Client(event_hooks={"request": [lambda request: seen.append(request.url.path)]}) as client:
        invoke(principal(server, http_client=client), "Hello!")
    assert seen == [TOKENS, f"{DESCRIPTIONS}e", TOKENS, "/99/serving-endpoints/e/invocations"]


def test_a_host_that_issues_no_tokens_is_named(server: OptimizedWorkspace) -> None:
    server.refusals += [(TOKENS, Scripted({"access_token": "of-sp-0", "expires_in": 3600}))]
    server.refusals += [(TOKENS, Scripted(b"", 404))]
    server.callers.add("of-sp-0")
    with pytest.raises(DatabricksError, match="issues no tokens"):
        invoke(principal(server), "Hello!")
