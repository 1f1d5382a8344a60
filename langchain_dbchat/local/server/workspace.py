"""The embedded workspace as an object: a server in its own thread, for the length of a ``with`` block."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from langchain_dbchat.local.agents import LocalAgent
from langchain_dbchat.local.endpoints import EndpointRegistry
from langchain_dbchat.local.faults.fault import Fault
from langchain_dbchat.local.faults.plan import FaultPlan
from langchain_dbchat.local.models import ServedEmbedder
from langchain_dbchat.local.rule_model.backend import Backend
from langchain_dbchat.local.rule_model.own_agents import OWN_AGENTS
from langchain_dbchat.local.rule_model.script import ANY, AnswerScript
from langchain_dbchat.local.server.identity import Identity
from langchain_dbchat.local.server.middleware import Middleware
from langchain_dbchat.local.server.request_log import CallAssertions, RequestLog
from langchain_dbchat.local.server.routes import create_app
from langchain_dbchat.local.server.server_thread import RunsServer, ServerThread
from langchain_dbchat.local.small_model import SMOLLM2
from langchain_dbchat.local.surfaces.surface import Services

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from typing_extensions import Self

    from langchain_dbchat.local.agents import AgentFunction
    from langchain_dbchat.local.server.answer_log import AnswerObserver
    from langchain_dbchat.local.small_model.model import SmallModel


class LocalWorkspace(RunsServer, CallAssertions):
    """A Databricks-shaped workspace on 127.0.0.1.

    Args:
        port: The port; 0 for a free one.
        token: The personal access token; None for a random one.
        latency: Seconds before each answer.
        pace: Seconds between the events of a stream.
        token_lifetime: Lifetime of an OAuth token, in seconds.
        backend: Base URL of an OpenAI-compatible server that makes the answers; ``"smollm2"`` for the rule-based model
            and a small language model on this machine, which writes where no rule has an answer; None for the rules.
        endpoints: More endpoints, name to model, e.g. ``{"support-bot": "claude-sonnet-4-6"}``.
        agents: Agents of your own, name to `LocalAgent`, or to the function that answers as a ResponsesAgent. They are
            added to the workspace's own.
        retired: Whether models that Databricks has retired are served too.
        gateway: Whether the workspace has the AI gateway; without it, ``/ai-gateway/`` and ``system.ai`` are not found.
        on_answer: Called after each answer with the request and a `SentAnswer`, in the server's thread.

    Raises:
        ValueError: If ``endpoints`` names an unknown model, or ``backend`` is neither a URL nor ``"smollm2"``.
        TypeError: If an agent is not a function.
    """

    def __init__(  # noqa: PLR0913  # options of a server, all by name
        self,
        *,
        port: int = 0,
        token: str | None = None,
        latency: float = 0.0,
        pace: float = 0.0,
        token_lifetime: float = 3600.0,
        backend: str | None = None,
        endpoints: Mapping[str, str] | None = None,
        agents: Mapping[str, LocalAgent | AgentFunction] | None = None,
        retired: bool = False,
        gateway: bool = True,
        on_answer: AnswerObserver | None = None,
    ) -> None:
        self.requests = RequestLog()
        self._identity = Identity(token, token_lifetime)
        self._registry = EndpointRegistry(
            endpoints, {**OWN_AGENTS, **_served(agents or {})}, retired=retired, gateway=gateway
        )
        self._faults = FaultPlan()
        self._small_model = _small_model() if backend == SMOLLM2 else None
        server = Backend(backend) if backend and self._small_model is None else None
        services = Services(self._registry, server, pace, small_model=self._small_model)
        self._scripts, self._cache = services.scripts, services.cache
        app = create_app(services, self._identity)
        middleware = Middleware(app, self._identity, self._faults, self.requests, latency, on_answer)
        self._server = ServerThread(middleware, "local workspace", port)

    @property
    def host(self) -> str:
        """Return the value for ``DATABRICKS_HOST``."""
        return self._server.host

    @property
    def token(self) -> str:
        """Return the value for ``DATABRICKS_TOKEN``."""
        return self._identity.token

    @property
    def client_id(self) -> str:
        """Return the value for ``DATABRICKS_CLIENT_ID``."""
        return self._identity.client_id

    @property
    def client_secret(self) -> str:
        """Return the value for ``DATABRICKS_CLIENT_SECRET``."""
        return self._identity.client_secret

    @property
    def endpoints(self) -> list[str]:
        """Return the names of all endpoints."""
        return sorted(self._registry.endpoints)

    def script(self, endpoint: str = ANY) -> AnswerScript:
        """Return the script of an endpoint, to which answers are added in the order in which they are given.

        Args:
            endpoint: The endpoint; empty for every endpoint without a script of its own.

        Raises:
            ValueError: The workspace has no such endpoint.
        """
        if endpoint == ANY:
            return self._scripts.of(ANY, None)
        served = self._registry.find(endpoint, on_gateway=True)
        if served is None:
            raise ValueError(f"The local workspace has no endpoint {endpoint!r}.{self._near(endpoint)}")
        return self._scripts.of(endpoint, "embeddings" if isinstance(served, ServedEmbedder) else "chat")

    def assert_scripts_used(self) -> None:
        """Check that requests have taken every answer of every script.

        Raises:
            AssertionError: Answers are left; the text says how many, and of which endpoints.
        """
        left = [f"{count} of {endpoint or 'any endpoint'}" for endpoint, count in self._scripts.unused()]
        if left:
            raise AssertionError(f"Scripted answers that no request has taken: {', '.join(left)}.")

    def reset(self) -> None:
        """Forget the requests, scripts and faults so far, and what is in the prompt cache."""
        self.requests.clear()
        self._scripts.clear()
        self._faults.clear()
        self._cache.clear()

    def _near(self, endpoint: str) -> str:
        near = difflib.get_close_matches(endpoint, self.endpoints, 3, 0.5)
        return f" Did you mean {' or '.join(map(repr, near))}?" if near else ""

    def inject(self, *faults: Fault | None) -> None:
        """Let requests meet these faults, each as its ``times``, ``every``, ``path`` and ``model`` say.

        Args:
            *faults: The faults; a request meets the first that is for it. None lets one request pass.
        """
        for fault in faults:
            self._faults.add(Fault(times=1) if fault is None else fault)

    def fail_next(  # noqa: PLR0913  # the attributes of a fault, all by name
        self,
        status: int | str = 503,
        *,
        body: dict[str, Any] | str | None = None,
        headers: Mapping[str, str] | None = None,
        times: int = 1,
        path: str = "",
        model: str = "",
        drop: bool = False,
        drop_after: int | None = None,
    ) -> None:
        """Let the next requests fail; several calls queue up. A short form of `inject`.

        Args:
            status: The HTTP status, or the name of a fault such as ``input_guardrail`` or
                ``external_model_rate_limit``; `faults.named.NAMED` lists them.
            body: The body; None for Databricks' own body of that status, or the body of the named fault.
            headers: Extra headers, e.g. ``{"retry-after": "1"}``.
            times: How many requests fail.
            path: Only requests whose path contains this text.
            model: Only requests to the endpoint of this name.
            drop: Close the connection without an answer instead.
            drop_after: Answer as usual, but close the connection after so many events of the stream instead.

        Raises:
            ValueError: There is no fault of that name.
        """
        given: dict[str, Any] = {"times": times, "path": path, "model": model}
        if drop or drop_after is not None:
            self.inject(Fault(**given, lose=drop, cut_after_events=drop_after))
            return
        given |= {"headers": dict(headers or {})} | ({} if body is None else {"body": body})
        self.inject(Fault.named(status, **given) if isinstance(status, str) else Fault(status=status, **given))

    def answer_next(
        self,
        message: Mapping[str, Any] | None = None,
        *,
        chunks: Sequence[Mapping[str, Any]] | None = None,
        times: int = 1,
        model: str = "",
    ) -> None:
        """Let the model answer the next chat requests with exactly this. A short form of `inject`.

        Args:
            message: An assistant message, or a whole chat completions body; in a stream it comes in chunks.
            chunks: The chunks of a stream, as they are sent.
            times: How many requests.
            model: Only requests to the endpoint of this name.

        Raises:
            ValueError: Both a message and chunks are given, or neither.
        """
        if (message is None) == (chunks is None):
            raise ValueError("answer_next takes either a message or chunks.")
        self.inject(Fault(message=message, chunks=chunks, times=times, model=model))

    def start(self) -> Self:
        """Start serving.

        Raises:
            RuntimeError: If it is running already, or it or its small model does not start.
            OSError: If the port is taken.
            ImportError: If the backend needs a package that is missing.
        """
        super().start()
        if self._small_model is not None:
            try:
                self._small_model.start()
            except BaseException:
                self.stop()
                raise
        return self

    def stop(self) -> None:
        """Stop serving; open connections are closed."""
        super().stop()
        if self._small_model is not None:
            self._small_model.stop()


def _small_model() -> SmallModel:
    from langchain_dbchat.local.small_model.model import SmallModel  # noqa: PLC0415  # few workspaces have one

    return SmallModel()


def _served(agents: Mapping[str, LocalAgent | AgentFunction]) -> dict[str, LocalAgent]:
    return {name: agent if isinstance(agent, LocalAgent) else LocalAgent(agent) for name, agent in agents.items()}
