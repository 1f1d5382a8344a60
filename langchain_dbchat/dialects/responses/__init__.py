"""The dialect of OpenAI's Responses, which GPT models and MLflow's ResponsesAgent use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_dbchat.dialects.dialect import Dialect
from langchain_dbchat.dialects.responses.decode import ResponsesStreamDecoder, decode_response, ends_response
from langchain_dbchat.dialects.responses.encode import choose_method, encode_request
from langchain_dbchat.dialects.responses.refusable import REFUSABLE
from langchain_dbchat.dialects.shared.answer.events import is_last
from langchain_dbchat.models.names import is_own_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_dbchat.dialects.dialect import Target, WirePaths

__all__ = ["DIALECT"]

_OPENAI = "/ai-gateway/openai/v1/responses"
_PATHS: WirePaths = {
    "workspace": ("responses",),
    "optimized": ("{model}/invocations",),
    "service": (_OPENAI,),
    "native": (_OPENAI,),
    "gateway": (_OPENAI,),
    "app": ("responses", "invocations"),
    "openai": ("responses",),
}
_CODEX = "/ai-gateway/codex/v1/responses"
_OPEN_PATHS: WirePaths = {
    **_PATHS,
    "workspace": ("open-responses",),
    "service": (_CODEX,),
    "native": (_CODEX,),
    "gateway": (_CODEX,),
}
"""Open Responses serves the models of other makers."""


def _paths(target: Target) -> WirePaths:
    family = target.family
    return (
        _PATHS if "responses" in family.wires or (family.signs in {"own", ""} and family.media is None) else _OPEN_PATHS
    )


def _ends(target: Target) -> Callable[[bytes], bool]:
    return ends_response if is_own_name(target.model) else is_last


DIALECT = Dialect(
    name="responses",
    paths=_paths,
    encode=encode_request,
    decode=decode_response,
    decoder=ResponsesStreamDecoder,
    is_last=_ends,
    refusable=REFUSABLE,
    choose_method=choose_method,
)
