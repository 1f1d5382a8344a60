"""The dialect of OpenAI's chat completions, which Databricks and other servers implement."""

from __future__ import annotations

from langchain_dbchat.dialects.chat_completions.decode import ChatStreamDecoder, decode_answer, is_last
from langchain_dbchat.dialects.chat_completions.encode import choose_method, encode_request
from langchain_dbchat.dialects.chat_completions.refusable import REFUSABLE
from langchain_dbchat.dialects.dialect import Dialect

__all__ = ["DIALECT"]

DIALECT = Dialect(
    name="chat",
    paths={
        "workspace": ("{model}/invocations",),
        "service": ("/ai-gateway/mlflow/v1/chat/completions",),
        "gateway": ("chat/completions",),
        "app": ("chat/completions",),
        "openai": ("chat/completions",),
    },
    encode=encode_request,
    decode=decode_answer,
    decoder=ChatStreamDecoder,
    is_last=is_last,
    refusable=REFUSABLE,
    choose_method=choose_method,
)
