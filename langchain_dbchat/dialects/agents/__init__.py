"""The dialect of MLflow's ChatAgent, an agent with tools of its own (task ``agent/v2/chat``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_dbchat.dialects.agents.decode import AgentStreamDecoder, decode_answer
from langchain_dbchat.dialects.agents.encode import choose_method, encode_request
from langchain_dbchat.dialects.agents.refusable import REFUSABLE
from langchain_dbchat.dialects.dialect import Dialect
from langchain_dbchat.dialects.shared.answer.events import is_last

if TYPE_CHECKING:
    from langchain_dbchat.dialects.dialect import Target, WirePaths

__all__ = ["DIALECT"]

_PATHS: WirePaths = {
    "workspace": ("{model}/invocations",),
    "optimized": ("{model}/invocations",),
    "app": ("invocations",),
    "openai": ("invocations",),
}


def _paths(_target: Target) -> WirePaths:
    return _PATHS


DIALECT = Dialect(
    name="agent",
    paths=_paths,
    encode=encode_request,
    decode=decode_answer,
    decoder=AgentStreamDecoder,
    is_last=lambda _target: is_last,
    refusable=REFUSABLE,
    choose_method=choose_method,
    suits=lambda settings, _target: not (settings.get("tools") or settings.get("response_format")),
)
