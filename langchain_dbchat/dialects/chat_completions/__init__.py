"""The dialect of OpenAI's chat completions, which Databricks and other servers implement."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_dbchat.dialects.chat_completions.decode import ChatStreamDecoder, decode_answer
from langchain_dbchat.dialects.chat_completions.encode import choose_method, encode_request
from langchain_dbchat.dialects.chat_completions.refusable import REFUSABLE
from langchain_dbchat.dialects.chat_completions.thinking import has_tools_with_effort
from langchain_dbchat.dialects.dialect import Dialect
from langchain_dbchat.dialects.shared.answer.events import is_last

if TYPE_CHECKING:
    from langchain_dbchat.dialects.dialect import Target, WirePaths

__all__ = ["DIALECT"]

_PATHS: WirePaths = {
    "workspace": ("{model}/invocations",),
    "optimized": ("{model}/invocations",),
    "service": ("/ai-gateway/mlflow/v1/chat/completions",),
    "native": ("/ai-gateway/openai/v1/chat/completions",),
    "gateway": ("chat/completions",),
    "app": ("chat/completions",),
    "openai": ("chat/completions",),
}


def _paths(_target: Target) -> WirePaths:
    return _PATHS


DIALECT = Dialect(
    name="chat",
    paths=_paths,
    encode=encode_request,
    decode=decode_answer,
    decoder=ChatStreamDecoder,
    is_last=lambda _target: is_last,
    refusable=REFUSABLE,
    choose_method=choose_method,
    suits=lambda settings, target: not has_tools_with_effort(settings, target.family),
)
