"""The embedded workspace: a Databricks-shaped model server on loopback, for demos, tests and offline work.

    with LocalWorkspace() as workspace:
        # workspace.host and workspace.token are the values for DATABRICKS_HOST and DATABRICKS_TOKEN
        ...

or, from a terminal, ``python -m langchain_dbchat.local``.

It is a real server over real sockets, written from what Databricks sends and refuses and from nothing else: it shares
no code with the client, so that the two can disagree.

* ``server/``: the HTTP server, who may call, the endpoints, the terminal.
* ``surfaces/``: one folder for each API, with its checks and the shapes of its answers.
* ``rule_model/``: what decides the answers, or an OpenAI-compatible server in its place.
* ``small_model/``: a small language model on this machine, which writes where no rule has an answer.
* ``faults/``: what can go wrong on purpose, and a proxy that makes it happen.
* ``families``, ``models``, ``agents``, ``endpoints``: what is true of each model, and which endpoint serves it.

A `FaultProxy` in front of it, or of any other host, makes faults happen by plan.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_dbchat.local.agents import AgentCall, AgentRequest, ApprovalRequest, LocalAgent
    from langchain_dbchat.local.faults.fault import Fault
    from langchain_dbchat.local.faults.fault import Fault as Mishap
    from langchain_dbchat.local.faults.proxy import FaultProxy
    from langchain_dbchat.local.server.workspace import LocalWorkspace

__all__ = [
    "AgentCall",
    "AgentRequest",
    "ApprovalRequest",
    "Fault",
    "FaultProxy",
    "LocalAgent",
    "LocalWorkspace",
    "Mishap",
]

_AGENTS = frozenset({"AgentCall", "AgentRequest", "ApprovalRequest", "LocalAgent"})


def __getattr__(name: str) -> Any:
    """Load the server on first use, so that without starlette the command line can still name the missing package."""
    if name == "FaultProxy":
        from langchain_dbchat.local.faults.proxy import FaultProxy  # noqa: PLC0415  # see the docstring

        return FaultProxy
    if name in {"Fault", "Mishap"}:  # Mishap is the name that Fault had before
        from langchain_dbchat.local.faults.fault import Fault  # noqa: PLC0415  # see the docstring

        return Fault
    if name in _AGENTS:
        from langchain_dbchat.local import agents  # noqa: PLC0415  # see the docstring

        return getattr(agents, name)
    if name != "LocalWorkspace":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from langchain_dbchat.local.extra import named_extra  # noqa: PLC0415  # see the docstring

    with named_extra():
        from langchain_dbchat.local.server.workspace import LocalWorkspace as Workspace  # noqa: PLC0415  # see the docstring

        return Workspace
