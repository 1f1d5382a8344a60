"""Limit the concurrent calls of a batch, per endpoint.

Rule 1. A batch of LangChain is many concurrent calls of `invoke` or `ainvoke`. Each of these calls gets the setting
``adaptive_limit="always"``, so that each attempt waits for a free slot at the endpoint (see `transport.limiter`).
Rule 2. The setting is an argument of the call and not a context variable, so that it does not reach the calls that a
tool or a callback makes inside.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from langchain_dbchat.errors.user_warnings import pointing_here

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from langchain_core.language_models import BaseChatModel as _Batches
    from langchain_core.language_models import LanguageModelInput
    from langchain_core.messages import AIMessage
    from langchain_core.runnables import RunnableConfig

    Config = RunnableConfig | list[RunnableConfig] | None
    Configs = RunnableConfig | Sequence[RunnableConfig] | None
else:
    _Batches = object  # a mixin is not a model, so pydantic builds no schema for it

__all__ = ["LimitedBatches"]


class LimitedBatches(_Batches):
    """Mixin whose batches share one adaptive limit per endpoint; a base class before `BaseChatModel`."""

    if TYPE_CHECKING:
        adaptive_limit: bool | Literal["always"]

    def batch(
        self, inputs: list[LanguageModelInput], config: Config = None, *, return_exceptions: bool = False, **kwargs: Any
    ) -> list[AIMessage]:
        """Answer several inputs in threads; fewer run at once after the endpoint has reported overload.

        Args:
            inputs: The inputs.
            config: One config, or one for each input; its ``max_concurrency`` bounds the threads.
            return_exceptions: Whether an error is returned in place of its answer instead of being raised.
            **kwargs: Settings of each call.

        Returns:
            The answers, in the order of the inputs.
        """
        with pointing_here():
            return super().batch(inputs, config, return_exceptions=return_exceptions, **self._with_limit(kwargs))

    async def abatch(
        self, inputs: list[LanguageModelInput], config: Config = None, *, return_exceptions: bool = False, **kwargs: Any
    ) -> list[AIMessage]:
        """Answer several inputs in tasks; fewer run at once after the endpoint has reported overload.

        Args:
            inputs: The inputs.
            config: One config, or one for each input; its ``max_concurrency`` bounds the tasks.
            return_exceptions: Whether an error is returned in place of its answer instead of being raised.
            **kwargs: Settings of each call.

        Returns:
            The answers, in the order of the inputs.
        """
        with pointing_here():
            return await super().abatch(inputs, config, return_exceptions=return_exceptions, **self._with_limit(kwargs))

    if not TYPE_CHECKING:  # type checkers read langchain-core's own overloads, which depend on return_exceptions

        def batch_as_completed(
            self,
            inputs: Sequence[LanguageModelInput],
            config: Configs = None,
            *,
            return_exceptions: bool = False,
            **kwargs: Any,
        ) -> Iterator[tuple[int, AIMessage | Exception]]:
            """Do the same as `batch`, but yield each answer as soon as it is complete.

            Args:
                inputs: The inputs.
                config: One config, or one for each input.
                return_exceptions: Whether an error is returned in place of its answer instead of being raised.
                **kwargs: Settings of each call.

            Returns:
                An iterator over pairs: the position of the input, and its answer.
            """
            settings = self._with_limit(kwargs)
            return super().batch_as_completed(inputs, config, return_exceptions=return_exceptions, **settings)

        def abatch_as_completed(
            self,
            inputs: Sequence[LanguageModelInput],
            config: Configs = None,
            *,
            return_exceptions: bool = False,
            **kwargs: Any,
        ) -> AsyncIterator[tuple[int, AIMessage | Exception]]:
            """Do the same as `batch_as_completed` in tasks of the event loop."""
            settings = self._with_limit(kwargs)
            return super().abatch_as_completed(inputs, config, return_exceptions=return_exceptions, **settings)

    def _with_limit(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        is_limited = kwargs.get("adaptive_limit", self.adaptive_limit)
        return {**kwargs, "adaptive_limit": "always" if is_limited else False}
