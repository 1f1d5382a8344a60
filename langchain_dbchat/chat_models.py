"""The chat model: LangChain's hooks over the dialect and the transport.

This file is thin on purpose. What is said is decided in `dialects`, how it travels in `transport`, who calls in `auth`;
here settings are merged (call over constructor), and the four ways of calling are written down side by side.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from langchain_core.language_models import BaseChatModel, LangSmithParams
from langchain_core.messages.utils import count_tokens_approximately
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
from pydantic import ConfigDict, Field, model_validator

from langchain_dbchat._version import __version__
from langchain_dbchat.connection import DatabricksConnection
from langchain_dbchat.dialects import blocks
from langchain_dbchat.dialects.chat_completions import StreamDecoder, decode_answer
from langchain_dbchat.dialects.reasoning import PROVIDER, Target
from langchain_dbchat.dialects.request import Encoded, encode_request, merge_deep
from langchain_dbchat.dialects.tools import convert_tool, convert_tool_choice, encode_format
from langchain_dbchat.dialects.usage import add_usage
from langchain_dbchat.structured_output import StructuredAnswerParser, schema_class

if TYPE_CHECKING:
    from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
    from langchain_core.language_models import LanguageModelInput
    from langchain_core.messages import AIMessage, BaseMessage
    from langchain_core.outputs import ChatGenerationChunk, ChatResult
    from langchain_core.tools import BaseTool
    from typing_extensions import Self

    from langchain_dbchat.connection import Link
    from langchain_dbchat.models.families import Family
    from langchain_dbchat.transport.channel import Channel
    from langchain_dbchat.transport.exchange import Request

blocks.register()

StructuredMethod = Literal["function_calling", "json_schema", "json_mode"]

_WIRE_FIELDS = (
    "temperature",
    "top_p",
    "top_k",
    "max_tokens",
    "stop",
    "n",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "logprobs",
    "top_logprobs",
    "reasoning_effort",
    "thinking",
)
_ALIASES = {
    "max_completion_tokens": "max_tokens",
    "stop_sequences": "stop",
    "extra_params": "extra_body",
    "api_args": "extra_body",
}
_CALL_ALIASES = {**_ALIASES, "endpoint": "model", "api_headers": "extra_headers", "default_headers": "extra_headers"}
_SECRET_SETTINGS = frozenset({"extra_headers", "default_headers", "api_headers", "user_session_token"})
_REQUEST_ID = "x-request-id"


class _Call(NamedTuple):
    """One call, ready to travel."""

    channel: Channel
    request: Request
    target: Target
    coalesce: bool

    def decoder(self, headers: Mapping[str, str]) -> StreamDecoder:
        return StreamDecoder(self.target, headers.get(_REQUEST_ID), coalesce=self.coalesce)


class ChatDatabricksCompat(DatabricksConnection, BaseChatModel):
    """Chat models behind Databricks serving endpoints."""

    model_config = ConfigDict(
        arbitrary_types_allowed=True, protected_namespaces=(), extra="forbid", hide_input_in_errors=True
    )

    temperature: float | None = None
    """Sampling temperature, 0 to 2. Unset, the endpoint's own default."""

    top_p: float | None = None
    """Share of probability mass that is sampled from, 0 to 1."""

    top_k: int | None = None
    """Number of tokens that are sampled from."""

    max_tokens: int | None = None
    """Longest answer, in tokens (alias ``max_completion_tokens``)."""

    stop: str | list[str] | None = None
    """Texts at which the answer ends (alias ``stop_sequences``)."""

    n: int | None = Field(default=None, ge=1)
    """Number of answers; more than one cannot be streamed."""

    seed: int | None = None
    """Seed for sampling."""

    frequency_penalty: float | None = None
    """Penalty on tokens by how often they came, -2 to 2."""

    presence_penalty: float | None = None
    """Penalty on tokens that came at all, -2 to 2."""

    logprobs: bool | None = None
    """Whether log probabilities come with the answer."""

    top_logprobs: int | None = None
    """How many alternatives come with each log probability."""

    reasoning_effort: str | None = None
    """How much to reason: none, minimal, low, medium, high, xhigh or max; mapped to what the family takes."""

    thinking: Mapping[str, Any] | None = None
    """Thinking in Anthropic's words: ``{"type": "enabled", "budget_tokens": n}``, ``{"type": "adaptive"}`` or
    ``{"type": "disabled"}``."""

    stream_usage: bool = True
    """Whether a streamed answer ends with its token usage."""

    streaming: bool = False
    """Whether `invoke` streams under the hood."""

    coalesce: bool = True
    """Whether deltas that arrived together become one chunk; it never waits. False gives one chunk for each event."""

    extra_body: Mapping[str, Any] | None = None
    """Further request fields, merged last and deep (aliases ``extra_params``, ``api_args``); None deletes a field."""

    family: str | None = None
    """The model family behind a custom endpoint, such as ``"claude"``, ``"gpt-5"`` or ``"gemini-3"``."""

    strict_params: bool = False
    """Whether a setting that the family refuses raises instead of being left out with a warning."""

    @classmethod
    def _own_aliases(cls) -> dict[str, str]:
        return _ALIASES

    @model_validator(mode="after")
    def _note_dbchat_version(self) -> Self:
        self._add_version("langchain-dbchat", __version__)
        return self

    @property
    def _llm_type(self) -> str:
        """Name of this kind of model in traces."""
        return "databricks-chat"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        """Everything that shapes an answer, for the cache's key and for traces; no secret."""
        shaping = ("base_url", "host", "family", "extra_body", "strict_params", "output_version", *_WIRE_FIELDS)
        given = {name: getattr(self, name) for name in shaping}
        return {
            "model": self.model,
            "model_name": self.model,
            **{name: value for name, value in given.items() if value is not None and value is not False},
        }

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Return True: the model can be dumped and loaded, its secrets left out."""
        return True

    @property
    def lc_secrets(self) -> dict[str, str]:
        """Secret fields, and the environment variables that they are loaded from."""
        return {"token": "DATABRICKS_TOKEN", "client_secret": "DATABRICKS_CLIENT_SECRET"}

    def _get_invocation_params(self, stop: list[str] | None = None, **kwargs: Any) -> dict[str, Any]:
        visible = {key: value for key, value in kwargs.items() if key not in _SECRET_SETTINGS}
        return {**self._identifying_params, "_type": self._llm_type, "stop": stop, **visible}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        settings = self._settings(stop, dict(kwargs))
        params = LangSmithParams(
            ls_provider=PROVIDER, ls_model_name=str(settings.get("model") or self.model), ls_model_type="chat"
        )
        if isinstance(settings.get("temperature"), (int, float)):
            params["ls_temperature"] = settings["temperature"]
        if isinstance(settings.get("max_tokens"), int):
            params["ls_max_tokens"] = settings["max_tokens"]
        if settings.get("stop"):
            params["ls_stop"] = settings["stop"]
        return params

    def _combine_llm_outputs(self, llm_outputs: list[dict[str, Any] | None]) -> dict[str, Any]:
        usage: dict[str, Any] = {}
        for output in llm_outputs:
            usage = add_usage(usage, (output or {}).get("token_usage"))
        return {"token_usage": usage, "model_name": self.model}

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        del run_manager
        call = self._prepare(self._link(), messages, stop, kwargs, stream=False)
        reply = call.channel.post(call.request)
        return decode_answer(reply.body or b"", call.target, reply.headers.get(_REQUEST_ID))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        del run_manager
        call = self._prepare(await self._alink(), messages, stop, kwargs, stream=False)
        reply = await call.channel.apost(call.request)
        return decode_answer(reply.body or b"", call.target, reply.headers.get(_REQUEST_ID))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        call = self._prepare(self._link(), messages, stop, kwargs, stream=True)
        with call.channel.stream(call.request) as incoming:
            decoder = call.decoder(incoming.headers)
            with decoder.keeping_partial():
                for events in incoming:
                    for chunk in decoder.feed(events):
                        if run_manager:
                            run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                        yield chunk
                for chunk in decoder.close():
                    if run_manager:
                        run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                    yield chunk

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        call = self._prepare(await self._alink(), messages, stop, kwargs, stream=True)
        async with call.channel.astream(call.request) as incoming:
            decoder = call.decoder(incoming.headers)
            with decoder.keeping_partial():
                async for events in incoming:
                    for chunk in decoder.feed(events):
                        if run_manager:
                            await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                        yield chunk
                for chunk in decoder.close():
                    if run_manager:
                        await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                    yield chunk

    def _settings(self, stop: list[str] | None, kwargs: dict[str, Any]) -> dict[str, Any]:
        """Merge the settings of a call over those of the constructor; None in a call takes a setting back."""
        settings = {name: getattr(self, name) for name in _WIRE_FIELDS}
        for key, value in kwargs.items():
            settings[_CALL_ALIASES.get(key, key)] = value
        if stop is not None:
            settings["stop"] = stop
        if isinstance(settings["stop"], str):
            settings["stop"] = [settings["stop"]]
        return settings

    def _prepare(
        self, link: Link, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any], *, stream: bool
    ) -> _Call:
        """Write the request of one call."""
        settings = self._settings(stop, kwargs)
        settings.pop("stream", None)
        model = settings.pop("model", None) or self.model
        extra = merge_deep(self.extra_body or {}, {}) if self.extra_body else {}
        extra.update(settings.pop("extra_body", None) or {})
        headers = settings.pop("extra_headers", None)
        coalesce = settings.pop("coalesce", self.coalesce)
        usage = settings.pop("stream_usage", self.stream_usage)
        strict = settings.pop("strict_params", self.strict_params)
        if stream and (settings.get("n") or 1) > 1:
            raise ValueError(f"n={settings['n']} answers cannot be streamed; call invoke, or leave n out.")
        target = Target(model, self._family(model, settings.pop("family", self.family)))
        encoded = encode_request(messages, settings, target, stream=stream, usage=usage)
        _tell(encoded, model, strict=strict)
        body = merge_deep(encoded.body, extra)
        request = self._request(link, "chat", model, body, headers=headers, streaming=bool(body.get("stream")))
        return _Call(link.channel, request, target, coalesce)

    def bind_tools(
        self,
        tools: Sequence[Mapping[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | bool | Mapping[str, Any] | None = None,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Bind tools that the model may call.

        Args:
            tools: Tools, functions, Pydantic classes, TypedDicts, JSON schemas, or tools in OpenAI's or Anthropic's
                shape. An empty list binds nothing.
            tool_choice: ``"auto"``, ``"none"``, ``"any"`` (or ``"required"``, True), a tool's name, or OpenAI's dict.
            strict: Whether arguments have to follow the schema exactly; sent only to families that know it.
            **kwargs: Further settings to bind, such as ``response_format``.

        Returns:
            The model with the tools bound.

        Raises:
            ValueError: If ``tool_choice`` names no bound tool.
        """
        converted = [convert_tool(tool, strict) for tool in tools]
        choice = convert_tool_choice(tool_choice, converted)
        if choice is not None:
            kwargs["tool_choice"] = choice
        return self.bind(tools=converted, **kwargs)

    def with_structured_output(
        self,
        schema: Mapping[str, Any] | type | None = None,
        *,
        method: StructuredMethod | None = None,
        include_raw: bool = False,
        strict: bool | None = None,
        tools: Sequence[Any] | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        """Make the model answer in a schema.

        Args:
            schema: A Pydantic class, TypedDict, JSON schema or OpenAI tool; ``method="json_mode"`` needs none.
            method: ``"json_schema"`` (the endpoint constrains the answer), ``"function_calling"`` (the schema is a
                tool) or ``"json_mode"`` (any JSON; the prompt has to describe it). Left out, what suits the family.
            include_raw: Whether to return ``{"raw": message, "parsed": ..., "parsing_error": ...}`` instead of raising.
            strict: Whether the answer has to follow the schema exactly.
            tools: Further tools that the model may call instead; the parsed answer is None if it does.
            **kwargs: Further settings to bind.

        Returns:
            A runnable that gives an instance of the class, or a dict for any other schema.

        Raises:
            ValueError: If the method is unknown or the schema is missing.
        """
        if schema is None and method != "json_mode":
            raise ValueError("with_structured_output needs a schema, unless method='json_mode'.")
        if method is None:
            method = choose_method(self._family(self.model, self.family), self, tools=bool(tools))
        further = [convert_tool(tool, None) for tool in tools or ()]
        name = "answer"
        tool: dict[str, Any] | None = None
        bound: dict[str, Any] = dict(kwargs)
        if schema is not None:
            tool = convert_tool(schema, strict)
            name = tool["function"]["name"]
            bound["ls_structured_output_format"] = {"kwargs": {"method": method, "strict": strict}, "schema": schema}
        if tool is not None and method == "function_calling":
            bound |= {"tools": [tool, *further], "tool_choice": "any" if further else name}
        elif method == "json_schema":
            wanted = encode_format(schema)
            if strict is not None:
                wanted["json_schema"]["strict"] = strict
            bound["response_format"] = wanted
        elif method == "json_mode":
            bound["response_format"] = {"type": "json_object"}
        else:
            raise ValueError(f"method={method!r} is not one of 'function_calling', 'json_schema' and 'json_mode'.")
        if further and method != "function_calling":
            bound["tools"] = further
        parser = StructuredAnswerParser(tool_name=name, schema_type=schema_class(schema))
        return _with_raw(self.bind(**bound), parser) if include_raw else self.bind(**bound) | parser

    def get_num_tokens(self, text: str) -> int:
        """Estimate the tokens of a text, without a tokenizer: the endpoint's own is not known.

        Args:
            text: The text.

        Returns:
            About one token for four characters.
        """
        return math.ceil(len(text) / 4)

    def get_num_tokens_from_messages(self, messages: list[BaseMessage], tools: Sequence[Any] | None = None) -> int:
        """Estimate the tokens of a conversation, without a download.

        Args:
            messages: The conversation.
            tools: Tools that are bound along with it.

        Returns:
            The estimate.
        """
        count = count_tokens_approximately(messages)
        for tool in tools or ():
            count += self.get_num_tokens(str(convert_tool(tool, None)))
        return count


def choose_method(family: Family, model: ChatDatabricksCompat, *, tools: bool) -> StructuredMethod:
    """Pick how to ask for a structured answer.

    Args:
        family: The model's row.
        model: The model, for its thinking settings.
        tools: Whether further tools are to be bound.

    Returns:
        The endpoint's own JSON schema where it works in every way of calling, or where a tool cannot be forced; else a
        forced tool.
    """
    everywhere = family.json_schema and family.format_with_stream and (family.format_with_tools or not tools)
    if everywhere and family.json_object:
        return "json_schema"
    thinks = family.thinks_always or bool(model.thinking or model.reasoning_effort not in {None, "none"})
    forced = family.forced_tool_choice and not (thinks and not family.forced_choice_with_thinking)
    return "function_calling" if forced or tools or not family.json_schema else "json_schema"


def _with_raw(model: Runnable[Any, AIMessage], parser: StructuredAnswerParser) -> Runnable[Any, Any]:
    parse = RunnablePassthrough.assign(parsed=itemgetter("raw") | parser, parsing_error=lambda _: None)
    failed = RunnablePassthrough.assign(parsed=lambda _: None)
    return RunnableMap(raw=model) | parse.with_fallbacks([failed], exception_key="parsing_error")


_told: set[tuple[str, str]] = set()


def _tell(encoded: Encoded, model: str, *, strict: bool) -> None:
    """Say what was left out, once for each model and field; or raise, if the user wants that."""
    if encoded.dropped and strict:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in encoded.dropped.items())
        raise ValueError(f"{model!r} does not take these settings ({reasons}). Leave them out, or unset strict_params.")
    notes = [
        (name, f"{name} was left out of the request to {model!r}: {why}.") for name, why in encoded.dropped.items()
    ]
    notes += [(text, f"{model!r}: {text}.") for text in encoded.warnings]
    for key, text in notes:
        if (model, key) not in _told:
            _told.add((model, key))
            warnings.warn(text, stacklevel=2)
