"""What a trace shows of a call, and a cache's key contains: the settings that shape an answer, without secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.language_models import LangSmithParams
from langchain_core.load import dumpd

from langchain_dbchat.connection.given import call_settings
from langchain_dbchat.connection.marks import QUERY, marks_of
from langchain_dbchat.connection.session import FieldCache, field_cache
from langchain_dbchat.dialects.shared.answer.usage import add_usage
from langchain_dbchat.dialects.shared.blocks.message_keys import PROVIDER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.language_models import BaseChatModel

    from langchain_dbchat.chat_models.settings import ChatSettings

    class _Traced(ChatSettings, BaseChatModel):
        """The class that the mixin is mixed into."""
else:
    _Traced = object  # a mixin is not a model, so pydantic builds no schema for it

__all__ = ["ShowsSettings", "shown_settings"]


def shown_settings(model: ChatSettings, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a call that a trace and a cache's key may contain: no secrets, only what shapes answers.

    Args:
        model: The model.
        kwargs: The settings of the call, under any of their names.

    Returns:
        The settings by the names of their fields.
    """
    marks = marks_of(type(model))
    hidden = marks.hidden | {QUERY}
    return {key: value for key, value in call_settings(type(model), kwargs).items() if key not in hidden}


class ShowsSettings(_Traced):
    """Mixin that shows LangChain's traces and caches the settings of a call; a base class before `BaseChatModel`."""

    @property
    def _llm_type(self) -> str:
        """Return the name of this kind of model in traces."""
        return "databricks-chat"

    @property
    def _serialized(self) -> dict[str, Any]:
        """Return the model as callbacks get it.

        langchain-core keeps it in `__dict__`, for ever. There it changes the size of what another thread's first call
        may be reading, and is copied to models with other settings.
        """
        values = tuple(self.__dict__.values())
        cache: FieldCache[dict[str, Any]] = field_cache(self, "_dumped")
        return cache.get(values) or cache.put(values, dumpd(self))

    @property
    def _identifying_params(self) -> dict[str, Any]:
        """Return the settings that shape an answer, for the cache's key and for traces, without secrets."""
        marks = marks_of(type(self))
        values = zip(marks.shaping, marks.shaping_values(self), strict=True)
        params: dict[str, Any] = {"model": self.model, "model_name": self.model}
        params |= {name: value for name, value in values if value is not None}
        if self.output_version is not None:
            params["output_version"] = self.output_version
        return params

    def _get_invocation_params(self, stop: list[str] | None = None, **kwargs: Any) -> dict[str, Any]:
        visible = shown_settings(self, kwargs)
        visible.pop("structured", None)  # internal: the other way to request the structured answer
        return {**self._identifying_params, "_type": self._llm_type, "stop": stop, **visible}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        given: dict[str, Any] = {
            "model": self.model,
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "stop": self.stop,
        }
        given.update(call_settings(type(self), kwargs))
        stops = given["stop"] if stop is None else stop
        params = LangSmithParams(
            ls_provider=PROVIDER, ls_model_name=str(given["model"] or self.model), ls_model_type="chat"
        )
        if isinstance(given["temperature"], (int, float)):
            params["ls_temperature"] = given["temperature"]
        if isinstance(given["max_tokens"], int):
            params["ls_max_tokens"] = given["max_tokens"]
        if stops:
            params["ls_stop"] = [stops] if isinstance(stops, str) else stops
        return params

    def _combine_llm_outputs(self, llm_outputs: list[dict[str, Any] | None]) -> dict[str, Any]:
        usage: dict[str, Any] = {}
        for output in llm_outputs:
            usage = add_usage(usage, (output or {}).get("token_usage"))
        return {"token_usage": usage, "model_name": self.model}
