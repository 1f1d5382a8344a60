"""The embedded workspace: a Databricks-shaped model server on loopback, for demos, tests and offline work.

    with LocalWorkspace() as workspace:
        # workspace.host and workspace.token are what DATABRICKS_HOST and DATABRICKS_TOKEN would be
        ...

or, from a terminal, ``python -m langchain_dbchat.local``.

It is a real server over real sockets, written from what Databricks sends and refuses and from nothing else: it shares
no code with the client, so that the two can disagree. Its answers come from a rule-based model (``mind``) or from any
OpenAI-compatible server (``backend``); its shapes and refusals are those of the model family that an endpoint is
named after (``families``, ``models``, ``checks``, ``shapes``).

A `FaultProxy` in front of it, or of any other host, makes things go wrong by plan.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_dbchat.local.fault_proxy import FaultProxy, Mishap
    from langchain_dbchat.local.workspace import LocalWorkspace

__all__ = ["FaultProxy", "LocalWorkspace", "Mishap"]


def __getattr__(name: str) -> Any:
    """Load the server on first use, so that the terminal can say what is missing before it needs starlette."""
    if name in {"FaultProxy", "Mishap"}:
        from langchain_dbchat.local import fault_proxy  # noqa: PLC0415  # see the docstring; it needs no extra

        return getattr(fault_proxy, name)
    if name != "LocalWorkspace":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from langchain_dbchat.local.workspace import LocalWorkspace as Workspace  # noqa: PLC0415  # see the docstring
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in {"starlette", "uvicorn", "anyio", "h11"}:
            raise
        raise ImportError(
            f"The local workspace needs the package {error.name!r}. Install it with: "
            'pip install "langchain-dbchat[local]"'
        ) from error
    return Workspace
