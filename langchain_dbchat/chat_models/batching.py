"""Batches that take turns: what `batch` and its siblings tell the calls that they make.

LangChain's batches are many calls of `invoke` or `ainvoke` at once. All that is added here is a setting of those
calls, which lets each attempt wait for its turn at the endpoint (see `transport.limits`). It travels as an argument of
the call and not in a context variable, so that it reaches the calls of this model and no others: not those of a tool
or a callback that happen to run inside.
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
    _Batches = object  # what is mixed in is no model of its own, so that none is built for it

__all__ = ["LimitedBatches"]


class LimitedBatches(_Batches):
    """Mixed into a chat model, lets its batches share one adaptive limit per endpoint; goes before `BaseChatModel`."""

    if TYPE_CHECKING:
        adaptive_limit: bool | Literal["always"]

    def batch(
        self, inputs: list[LanguageModelInput], config: Config = None, *, return_exceptions: bool = False, **kwargs: Any
    ) -> list[AIMessage]:
        """Answer several inputs in threads; once the endpoint complains of overload, they take turns.

        Args:
            inputs: The inputs.
            config: One config, or one for each input; its ``max_concurrency`` bounds the threads.
            return_exceptions: Whether an error stands in its answer's place instead of being raised.
            **kwargs: Settings of each call.

        Returns:
            The answers, in the order of the inputs.
        """
        turns = self._in_turns(kwargs)
        with pointing_here():
            return super().batch(inputs, config, return_exceptions=return_exceptions, **turns)

    async def abatch(
        self, inputs: list[LanguageModelInput], config: Config = None, *, return_exceptions: bool = False, **kwargs: Any
    ) -> list[AIMessage]:
        """Answer several inputs in tasks; once the endpoint complains of overload, they take turns.

        Args:
            inputs: The inputs.
            config: One config, or one for each input; its ``max_concurrency`` bounds the tasks.
            return_exceptions: Whether an error stands in its answer's place instead of being raised.
            **kwargs: Settings of each call.

        Returns:
            The answers, in the order of the inputs.
        """
        turns = self._in_turns(kwargs)
        with pointing_here():
            return await super().abatch(inputs, config, return_exceptions=return_exceptions, **turns)

    if not TYPE_CHECKING:  # for type checkers core's own overloads stand, which know what return_exceptions means

        def batch_as_completed(
            self,
            inputs: Sequence[LanguageModelInput],
            config: Configs = None,
            *,
            return_exceptions: bool = False,
            **kwargs: Any,
        ) -> Iterator[tuple[int, AIMessage | Exception]]:
            """Do as `batch` does, and give each answer when it is there.

            Args:
                inputs: The inputs.
                config: One config, or one for each input.
                return_exceptions: Whether an error stands in its answer's place instead of being raised.
                **kwargs: Settings of each call.

            Returns:
                An iterator over the inputs' numbers and their answers.
            """
            turns = self._in_turns(kwargs)
            return super().batch_as_completed(inputs, config, return_exceptions=return_exceptions, **turns)

        def abatch_as_completed(
            self,
            inputs: Sequence[LanguageModelInput],
            config: Configs = None,
            *,
            return_exceptions: bool = False,
            **kwargs: Any,
        ) -> AsyncIterator[tuple[int, AIMessage | Exception]]:
            """Do as `abatch` does, and give each answer when it is there.

            Args:
                inputs: The inputs.
                config: One config, or one for each input.
                return_exceptions: Whether an error stands in its answer's place instead of being raised.
                **kwargs: Settings of each call.

            Returns:
                An async iterator over the inputs' numbers and their answers.
            """
            turns = self._in_turns(kwargs)
            return super().abatch_as_completed(inputs, config, return_exceptions=return_exceptions, **turns)

    def _in_turns(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        wanted = kwargs.get("adaptive_limit", self.adaptive_limit)
        return {**kwargs, "adaptive_limit": "always" if wanted else False}
