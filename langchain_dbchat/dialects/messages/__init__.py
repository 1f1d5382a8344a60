"""The dialect of Anthropic's Messages, which Databricks serves for Claude, and other servers implement."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_dbchat.dialects.dialect import Dialect
from langchain_dbchat.dialects.messages.decode import MessagesStreamDecoder, decode_message, ends_stream
from langchain_dbchat.dialects.messages.encode import choose_method, encode_request
from langchain_dbchat.dialects.messages.refusable import REFUSABLE

if TYPE_CHECKING:
    from langchain_dbchat.dialects.dialect import Target, WirePaths

__all__ = ["DIALECT"]

_GATEWAY = "/ai-gateway/anthropic/v1/messages"

_PATHS: WirePaths = {
    "workspace": ("anthropic/v1/messages",),
    "service": (_GATEWAY,),
    "native": (_GATEWAY,),
    "gateway": (_GATEWAY,),
    "openai": ("messages",),
}


def _paths(_target: Target) -> WirePaths:
    return _PATHS


DIALECT = Dialect(
    name="messages",
    paths=_paths,
    encode=encode_request,
    decode=decode_message,
    decoder=MessagesStreamDecoder,
    is_last=lambda _target: ends_stream,
    refusable=REFUSABLE,
    choose_method=choose_method,
)
