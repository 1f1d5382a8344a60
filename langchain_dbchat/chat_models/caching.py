"""Cache answers separately for each caller and each workspace.

Rule 1. Callers never share an answer. If the caller is not known before a request is signed, nothing is cached.
Rule 2. A cache may be a file: its key contains a digest of the caller and no secret.
Rule 3. A cached answer is a new message each time it is returned.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import uuid
from typing import TYPE_CHECKING, Any

from langchain_core.caches import BaseCache
from langchain_core.globals import get_llm_cache
from langchain_core.language_models import BaseChatModel
from langchain_core.utils.utils import ensure_id

from langchain_dbchat.chat_models.tracing import shown_settings
from langchain_dbchat.connection.callers import caller_of
from langchain_dbchat.connection.marks import marks_of
from langchain_dbchat.connection.requests import written_json
from langchain_dbchat.connection.session import FieldCache
from langchain_dbchat.connection.settings import DatabricksConnection
from langchain_dbchat.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
    from langchain_core.messages import BaseMessage
    from langchain_core.outputs import ChatGeneration, ChatResult, Generation
    from typing_extensions import Self

    from langchain_dbchat.chat_models.settings import ChatSettings
    from langchain_dbchat.connection.session import Session

    class _Model(ChatSettings, BaseChatModel):
        _caller: str | None
        """The caller of the one call that this copy of a model was made for, as in the cache's key."""
        _session_cache: FieldCache[Session]
        _dumped: FieldCache[dict[str, Any]]
else:
    _Model = object  # a mixin is not a model, so pydantic builds no schema for it

__all__ = ["CachesForCaller"]

_log = logging.getLogger(__name__)


def _written(model: ChatSettings, settings: Mapping[str, Any]) -> str:
    """Return a digest of what is sent; langchain-core knows an object by its `repr`, which need not show its fields."""
    values = marks_of(type(model)).shaping_values(model)
    try:
        written = written_json({"values": values, "settings": settings})
    except ConfigurationError:
        return ""  # something of it is not sent as it is
    return hashlib.sha256(written).hexdigest()


class CachesForCaller(_Model):
    """Mixin that separates the cached answers of different callers; a base class before `BaseChatModel`."""

    def _get_llm_string(self, stop: list[str] | None = None, **kwargs: Any) -> str:
        # The key contains a digest of the caller and the workspace (rules 1 and 2), and the fields as they are now: a
        # value such as `extra_body` may have been changed in place.
        self._dumped = FieldCache()
        caller = self._caller or self._caller_now(kwargs) or f"unknown {uuid.uuid4()}"
        settings = shown_settings(self, kwargs)
        return f"{super()._get_llm_string(stop=stop, **settings)}---{_written(self, settings)}---{caller}"

    def _caller_now(self, kwargs: Mapping[str, Any]) -> str | None:
        try:
            return caller_of(self, DatabricksConnection._session(self, kwargs), kwargs)  # noqa: SLF001  # this class's own, which does not send a request for the family
        except ConfigurationError as error:
            _log.debug("The caller of %r is not known, so no cache is used: %s", self.model, error)
            return None  # the call itself raises it

    def _generate_with_cache(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        model = self._for_caller(self._caller_now(kwargs)) if self._is_cached() else self
        return BaseChatModel._generate_with_cache(model, messages, stop, run_manager, **kwargs)  # noqa: SLF001  # super()

    async def _agenerate_with_cache(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        model = self
        if self._is_cached():
            model = self._for_caller(await asyncio.to_thread(self._caller_now, kwargs))  # it may read a file
        return await BaseChatModel._agenerate_with_cache(  # noqa: SLF001  # super()
            model, messages, stop, run_manager, **kwargs
        )

    def _is_cached(self) -> bool:
        """Return whether langchain-core would look into a cache of answers."""
        return self.cache is not False and (isinstance(self.cache, BaseCache) or get_llm_cache() is not None)

    def _for_caller(self, caller: str | None) -> Self:
        """Return a copy of this model for one call, which caches for this caller only, or not at all if it is None."""
        model = super().__copy__() if caller is not None else super().model_copy(update={"cache": False})
        model._caller = caller  # noqa: SLF001  # a copy of this class
        model._session_cache = self._session_cache  # noqa: SLF001  # the same connection
        if caller is None:
            _log.debug("No answer of %r is cached, because the caller is known only when a request is signed.", self)
        return model

    def _convert_cached_generations(self, cache_val: list[Generation]) -> list[ChatGeneration]:
        # Each answer gets a new id, because LangGraph's add_messages replaces the message that has the same id. The
        # cache's own objects are not changed, because other code may have references to them.
        copies = super()._convert_cached_generations([generation.model_copy() for generation in cache_val])
        for generation in copies:
            generation.message = generation.message.model_copy(update={"id": ensure_id(None)})
        return copies
