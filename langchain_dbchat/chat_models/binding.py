"""Bind settings, tools or the schema of an answer to the chat model.

Rule 1. The annotations of public methods can be resolved at run time, because `RunnableWithFallbacks` resolves them to
find out whether a method returns a runnable, and so has to be called on the fallbacks too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from langchain_core.language_models import LanguageModelInput  # noqa: TC002  # rule 1
from langchain_core.messages import AIMessage  # noqa: TC002  # rule 1
from langchain_core.runnables import Runnable  # noqa: TC002  # rule 1
from pydantic import BaseModel

from langchain_dbchat.chat_models.call import structured_method
from langchain_dbchat.connection.given import hidden_setting
from langchain_dbchat.connection.marks import marks_of
from langchain_dbchat.connection.settings import DatabricksConnection
from langchain_dbchat.dialects.dialect import StructuredMethod  # noqa: TC001  # rule 1
from langchain_dbchat.dialects.shared.request.converted_tools import convert_once
from langchain_dbchat.dialects.shared.request.tools import convert_tool_choice, split_tool_choice

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.tools import BaseTool

    from langchain_dbchat.chat_models.settings import ChatSettings

    BindableTool = Mapping[str, Any] | type | Callable[..., Any] | BaseTool

    class _Bindable(ChatSettings, BaseChatModel):
        """The class that the mixin is mixed into."""
else:
    BindableTool = Any  # `BaseTool` is loaded with the first tool
    _Bindable = object  # a mixin is not a model, so pydantic builds no schema for it

__all__ = ["BindsSettings"]

_Answer = TypeVar("_Answer")


class BindsSettings(_Bindable):
    """Mixin whose `bind`, `bind_tools` and `with_structured_output` set what each call of a runnable asks for."""

    def bind(self, **kwargs: Any) -> Any:  # langchain-core returns a class of its own since 1.7
        """Bind settings to all calls of the returned runnable; the values of secret settings are never shown.

        Args:
            **kwargs: Settings of a call, under any of their names.

        Returns:
            The model with the settings bound.
        """
        marks = marks_of(type(self))
        return super().bind(**{key: hidden_setting(marks, key, value) for key, value in kwargs.items()})

    def bind_tools(
        self,
        tools: Sequence[BindableTool],
        *,
        tool_choice: str | bool | Mapping[str, Any] | None = None,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Bind tools to the model.

        Args:
            tools: Tools, functions, Pydantic classes, TypedDicts, JSON schemas, or tools in OpenAI's or Anthropic's
                format. An empty list binds no tools.
            tool_choice: ``"auto"``, ``"none"``, ``"any"`` (or ``"required"``, True), a tool's name, or OpenAI's dict.
            strict: Whether arguments must follow the schema exactly; sent only to families that support it.
            **kwargs: Further settings to bind, such as ``response_format``.

        Returns:
            The model with the tools bound.

        Raises:
            TypeError: If ``tools`` is one tool, and not a list.
            ValueError: If ``tool_choice`` names a tool that is not bound.
        """
        given: object = tools
        if not isinstance(given, Iterable) or isinstance(given, (str, Mapping, BaseModel, type)):
            raise TypeError(f"tools has to be a list of tools, not {tools!r}. Give [tool] for one, [] for none.")
        converted = [convert_once(tool, strict) for tool in tools]
        tool_choice, parallel = split_tool_choice(tool_choice)
        choice = convert_tool_choice(tool_choice, converted)
        if choice is not None:
            kwargs["tool_choice"] = choice
        kwargs = {**parallel, **kwargs}
        bound: Runnable[LanguageModelInput, AIMessage] = self.bind(tools=converted, **kwargs)
        return bound

    if not TYPE_CHECKING:  # the type is that of the model

        def with_credentials(self, **identity: Any) -> Runnable:  # noqa: D102  # below
            return super().with_credentials(**identity)  # rule 1: fallbacks get the credentials too

        with_credentials.__doc__ = DatabricksConnection.with_credentials.__doc__

    @overload
    def with_structured_output(
        self,
        schema: type[_Answer],
        *,
        method: StructuredMethod | None = None,
        include_raw: Literal[False] = False,
        strict: bool | None = None,
        tools: None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, _Answer]: ...

    @overload
    def with_structured_output(
        self,
        schema: type[_Answer],
        *,
        method: StructuredMethod | None = None,
        include_raw: Literal[False] = False,
        strict: bool | None = None,
        tools: Sequence[Any],
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, _Answer | None]: ...

    @overload
    def with_structured_output(
        self,
        schema: Any = None,
        *,
        method: StructuredMethod | None = None,
        include_raw: Literal[True],
        strict: bool | None = None,
        tools: Sequence[Any] | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, dict[str, Any]]: ...

    @overload
    def with_structured_output(
        self,
        schema: Any = None,
        *,
        method: StructuredMethod | None = None,
        include_raw: bool = False,
        strict: bool | None = None,
        tools: Sequence[Any] | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]: ...

    def with_structured_output(
        self,
        schema: Any = None,
        *,
        method: StructuredMethod | None = None,
        include_raw: bool = False,
        strict: bool | None = None,
        tools: Sequence[Any] | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        """Return a runnable whose answers follow a schema.

        Args:
            schema: A Pydantic class or any other type (``list[int]``, a union, a dataclass, a ``TypeAdapter``), a JSON
                schema, or OpenAI's response format or tool; optional with ``method="json_mode"``.
            method: ``"json_schema"`` (the endpoint constrains the answer), ``"function_calling"`` (the schema is a
                tool) or ``"json_mode"`` (any JSON; the prompt has to describe it). Default: depends on the family.
            include_raw: Whether to return ``{"raw": message, "parsed": ..., "parsing_error": ...}`` instead of raising.
            strict: Whether the answer must follow the schema exactly; overrides a ``strict`` within the schema.
            tools: Further tools that the model may call instead; the parsed answer is None if it does.
            **kwargs: Further settings to bind.

        Returns:
            A runnable that returns an instance of the type, or a dict for a TypedDict and for a schema that is a dict.
            It raises `ModelRefusalError` if the model refuses, and `OutputParserException` if the answer does not fit.

        Raises:
            ValueError: If the method is unknown, or the schema is missing or empty.
            TypeError: If the schema is a value, such as text.
        """
        from langchain_dbchat.chat_models.structured import ask_for  # noqa: PLC0415  # loads parsers, which few programs need
        from langchain_dbchat.chat_models.structured_parsers import WithRaw  # noqa: PLC0415  # the same

        if method is None:
            method = structured_method(self, kwargs, tools=bool(tools))
        bound, parser = ask_for(schema, method, strict, tools or ())
        model = self.bind(**bound, **kwargs)
        structured: Runnable[LanguageModelInput, Any] = model | (WithRaw(parser) if include_raw else parser)
        return structured
