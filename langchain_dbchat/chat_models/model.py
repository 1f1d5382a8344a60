"""The chat model: LangChain's hooks, implemented with `dialects`, `connection` and `transport`.

Rule 1. This file contains no decision about a request: `dialects` encodes it, `transport` sends it, `auth` signs it.
Rule 2. The four ways of calling differ only in sync and async, whole and streamed.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping  # noqa: TC003  # LangChain resolves the annotations (`binding`, rule 1)
from typing import TYPE_CHECKING, Any

from langchain_core.language_models import BaseChatModel
from pydantic import ConfigDict, PrivateAttr, model_validator
from typing_extensions import Self  # noqa: TC002  # the same

from langchain_dbchat._version import __version__
from langchain_dbchat.chat_models.batching import LimitedBatches
from langchain_dbchat.chat_models.binding import BindsSettings
from langchain_dbchat.chat_models.caching import CachesForCaller
from langchain_dbchat.chat_models.call import prepare_call
from langchain_dbchat.chat_models.settings import ChatSettings
from langchain_dbchat.chat_models.tokens import EstimatesTokens
from langchain_dbchat.chat_models.tracing import ShowsSettings
from langchain_dbchat.connection.callers import caller_of
from langchain_dbchat.connection.endpoints import APPS, DISCOVER, endpoint_of
from langchain_dbchat.connection.given import call_settings, copied_settings
from langchain_dbchat.connection.marks import marks_of
from langchain_dbchat.connection.requests import family_for
from langchain_dbchat.connection.session import FieldCache, Session, endpoint_name
from langchain_dbchat.dialects import choose_dialect
from langchain_dbchat.dialects.dialect import Target
from langchain_dbchat.dialects.shared.answer import translators
from langchain_dbchat.errors.user_warnings import pointing_here
from langchain_dbchat.models.profiles import profile_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
    from langchain_core.language_models import LanguageModelInput, ModelProfile
    from langchain_core.messages import AIMessage, BaseMessage
    from langchain_core.outputs import ChatGenerationChunk, ChatResult
    from langchain_core.runnables import RunnableConfig
    from typing_extensions import Unpack

    from langchain_dbchat.chat_models.arguments import ChatArguments
    from langchain_dbchat.transport.effects import Effect

translators.register()


class ChatDatabricksCompat(
    CachesForCaller, ShowsSettings, EstimatesTokens, BindsSettings, ChatSettings, LimitedBatches, BaseChatModel
):
    """A chat model behind a Databricks serving endpoint.

    Setup:
        Set ``DATABRICKS_HOST`` and ``DATABRICKS_TOKEN``, or sign in in any
        other way that Databricks supports: OAuth machine-to-machine, a
        profile, the CLI, Posit Workbench or Connect, the Databricks SDK. No
        argument below is required; docs/settings.md has each in full, and
        its other names.

    Args, model and address:
        model: Name of the serving endpoint.
        host: URL of the workspace.
        base_url: URL of an OpenAI-compatible server, not a workspace.
        use_ai_gateway: Whether to call the workspace's AI gateway.
        use_ai_gateway_native_api: The same with its API for OpenAI's models.
        workspace_id: The workspace's id on a host of several.
        allow_http: Whether a token may be sent unencrypted.
        api: The API of the endpoint, or ``"auto"``.
        family: The model family behind a custom endpoint.

    Args, signing in:
        token: A token, or a function that returns one.
        client_id: A service principal's id.
        client_secret: The service principal's secret.
        config_profile: A profile of ``~/.databrickscfg``.
        config_file: The file with the profiles.
        auth_type: The only way of signing in that is tried.
        workspace_client: A client of the Databricks SDK, to sign in as it.
        credentials: Your own object that signs requests.
        user_session_token: The viewer's session token on Posit Connect.
        audience: The Posit Connect OAuth integration.

    Args, sampling and length:
        temperature: Sampling temperature, 0 to 2.
        top_p: Nucleus sampling, 0 to 1.
        top_k: Number of most likely tokens that are sampled from.
        max_tokens: Maximum length of the answer, in tokens.
        max_tokens_name: The name under which `max_tokens` is sent.
        stop: Texts at which the answer ends.
        n: Number of answers.
        seed: Seed for sampling.
        frequency_penalty: Penalty on frequent tokens, -2 to 2.
        presence_penalty: Penalty on tokens that occurred, -2 to 2.
        logprobs: Whether the answer contains log probabilities.
        top_logprobs: Number of alternatives for each log probability.
        logit_bias: Changes of the likelihood of tokens.

    Args, reasoning:
        reasoning_effort: Amount of reasoning, from none to max.
        thinking: Thinking in Anthropic's format.
        verbosity: Length of the answer, low, medium or high.

    Args, agents:
        custom_inputs: Inputs that an agent defines itself.
        context: The conversation that an agent continues.
        databricks_options: Options of agent endpoints.

    Args, further request fields:
        usage_context: Labels of the request in the endpoint's usage tables.
        extra_body: Further request fields, deep-merged last.
        strict_params: Whether a setting that does not fit is an error.

    Args, form of the answer:
        stream_usage: Whether a streamed answer ends with the usage.
        include_response_headers: Whether to keep the response's headers.
        streaming: Whether `invoke` requests a stream and joins its chunks.
        coalesce: Whether deltas that arrived together become one chunk.

    Args, timeouts and retries:
        timeout: Seconds, or a `Timeouts`.
        max_retries: How often a request is retried after a transient failure.
        retry_deadline: Seconds after which a request is not retried any more.
        resend_after_loss: Whether to retry if an answer was lost.
        adaptive_limit: Which calls are limited after an overload.

    Args, HTTP:
        request_tags: Labels of requests in the gateway's usage table.
        max_request_bytes: Maximum size of a request, in bytes.
        max_response_bytes: Maximum size of an answer, in bytes.
        default_headers: Headers for every request.
        default_query: Query parameters for every request.
        user_agent: The prefix of the header ``User-Agent``.
        proxy: URL of the proxy for all requests.
        http_client: An ``httpx.Client`` to use for sync calls.
        http_async_client: An ``httpx.AsyncClient`` to use for async calls.

    Args, LangChain's own, as in each of its chat models:
        cache, callbacks, custom_get_token_ids, disable_streaming, metadata,
        name, output_version, profile, rate_limiter, tags, verbose.

    Instantiate:
        >>> from langchain_dbchat import ChatDatabricksCompat
        >>> from langchain_dbchat.local import LocalWorkspace
        >>> workspace = LocalWorkspace().start()
        >>> llm = ChatDatabricksCompat(
        ...     model="databricks-claude-sonnet-4-6",
        ...     max_tokens=1000,
        ...     host=workspace.host,
        ...     token=workspace.token,
        ... )

    Invoke:
        >>> question = ("human", "What is the capital of Norway?")
        >>> llm.invoke([("system", "You are terse."), question]).text
        'The capital of Norway is Oslo. (I am the deterministic stand-in ...'

    Stream:
        >>> "".join(chunk.text for chunk in llm.stream("Count to 5."))
        '1, 2, 3, 4, 5 (I am the deterministic stand-in ...'

    Async:
        >>> import asyncio
        >>> asyncio.run(llm.ainvoke("What is 17 * 23?")).text
        '17 * 23 = 391. (I am the deterministic stand-in ...'

    Tool calling:
        >>> def get_weather(city: str) -> str:
        ...     '''Get the current weather in a city.'''
        >>> llm.bind_tools([get_weather]).invoke("What is the weather in Oslo?").tool_calls[0]["args"]
        {'city': 'Oslo'}

    Structured output:
        >>> from pydantic import BaseModel
        >>> class City(BaseModel):
        ...     '''A city.'''
        ...     name: str
        >>> type(llm.with_structured_output(City).invoke("Name a city."))
        <class 'langchain_dbchat.chat_models.model.City'>

    Image input:
        >>> image = {"type": "image", "base64": "iVBORw0KGgo=", "mime_type": "image/png"}
        >>> message = llm.invoke([("human", [{"type": "text", "text": "What is this?"}, image])])

    Token usage:
        >>> message.usage_metadata["total_tokens"] > 0
        True

    Response metadata:
        >>> message.response_metadata["model_name"], message.response_metadata["finish_reason"]
        ('databricks-claude-sonnet-4-6', 'stop')
        >>> workspace.stop()
    """

    model_config = ConfigDict(
        arbitrary_types_allowed=True, protected_namespaces=(), hide_input_in_errors=True, defer_build=False
    )

    if TYPE_CHECKING:  # pydantic makes it, and accepts more names and types than a type checker finds in the fields

        def __init__(self, **settings: Unpack[ChatArguments]) -> None: ...

    _session_cache: FieldCache[Session] = PrivateAttr(default_factory=FieldCache)

    _dumped: FieldCache[dict[str, Any]] = PrivateAttr(default_factory=FieldCache)  # see `tracing`

    _caller: str | None = PrivateAttr(default=None)  # see `caching`

    @classmethod
    def _arguments(cls) -> type:
        from langchain_dbchat.chat_models.arguments import ChatArguments  # noqa: PLC0415  # for `help()` alone

        return ChatArguments

    @model_validator(mode="after")
    def _note_dbchat_version(self) -> Self:
        self._add_version("langchain-dbchat", __version__)
        return self

    @property
    def model_name(self) -> str:
        """Return the name from which LangChain's agents derive the capabilities of a model that has no profile.

        They treat a name with ``claude-...`` as Anthropic's own API, which accepts tools together with a response
        format. A model service therefore gets the name of its serving endpoint.
        """
        return self.model.replace("system.ai.", "databricks-")

    def _resolve_model_profile(self) -> ModelProfile | None:
        """Return the model's profile for agents and middleware; ``profile=`` overrides it."""
        return profile_of(self.model)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy of this model, with the profile of its own endpoint.

        Args:
            update: Values of fields, under any of their names, which are not validated. If they name another ``model``,
                the copy gets the profile of that model; a ``profile`` that you gave is kept.
            deep: Whether to copy the values of the fields, too.

        Returns:
            The copy.

        Raises:
            ValueError: If a name is not that of a field.
        """
        update = copied_settings(type(self), update) if update else update
        if update and "model" in update and "profile" not in update and self.profile == profile_of(self.model):
            update = {**update, "profile": profile_of(endpoint_name(str(update["model"])))}
        return super().model_copy(update=update, deep=deep)

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Return True: the model can be dumped without its secrets, and loaded."""
        return True

    @classmethod
    def get_lc_namespace(cls) -> list[str]:
        """Return the public module of the class, so that its file can be moved."""
        return ["langchain_dbchat", "chat_models"]

    @property
    def lc_secrets(self) -> dict[str, str]:
        """Return the environment variable of each secret field, from which the field is loaded."""
        return dict(marks_of(type(self)).variables)

    def _session(self, call: Mapping[str, Any] | None = None) -> Session:
        """Resolve the connection; read an app's URL, and a family that is ``"discover"``, from the workspace, once."""
        session = super()._session(call)
        lookup = self._lookup(session, call)
        return session if lookup is None else lookup.call()

    async def _asession(self, call: Mapping[str, Any] | None = None) -> Session:
        """Do the same as `_session` without blocking the event loop."""
        session = await super()._asession(call)
        lookup = self._lookup(session, call)
        return session if lookup is None else await lookup.acall()

    def _lookup(self, session: Session, call: Mapping[str, Any] | None) -> Effect | None:
        """Return what asks the workspace for what a call has to know; None if it knows it."""
        called = call_settings(type(self), call) if call else {}
        name, kind = endpoint_name(str(called.get("model") or self.model)), session.workspace.kind
        if kind == "workspace" and name.startswith(APPS):
            from langchain_dbchat.connection.apps import find_app  # noqa: PLC0415  # few models ask the workspace

            plan = find_app(session, name)
        elif self._must_discover(session, name, called):
            from langchain_dbchat.connection.discovery import discover  # noqa: PLC0415  # few models ask the workspace

            plan = discover(session, name, lambda: caller_of(self, session, call or {}))
        else:
            return None
        from langchain_dbchat.transport.effects import planned  # noqa: PLC0415  # few models ask the workspace

        return planned(plan)

    def _must_discover(self, session: Session, name: str, called: Mapping[str, Any]) -> bool:
        is_wanted = called.get("family", self.family) == DISCOVER and session.workspace.kind != "app"
        return is_wanted and endpoint_of(session.address, name).family is None

    def _connect(self) -> Session:
        target = Target(self.model, family_for(self, self.model, None if self.family == DISCOVER else self.family))
        # Async code connects in a thread, so that no event loop waits for the import of the wire format.
        choose_dialect(self.api, target, {})
        return super()._connect()

    async def ainvoke(
        self,
        input: LanguageModelInput,  # noqa: A002  # langchain-core's name
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        """Answer an input without blocking the event loop.

        Args:
            input: The input.
            config: The config of the run.
            stop: Texts at which the answer ends.
            **kwargs: Settings of this call.

        Returns:
            The answer.
        """
        with pointing_here():
            return await super().ainvoke(input, config, stop=stop, **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        call = prepare_call(self, self._session(kwargs), messages, stop, kwargs, stream=False)
        with call.observed(run_manager):
            return call.read(call.channel.post(call.request, call.revise, call.limiter))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        call = prepare_call(self, await self._asession(kwargs), messages, stop, kwargs, stream=False)
        with call.observed(run_manager):
            return call.read(await call.channel.apost(call.request, call.revise, call.limiter))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        call = prepare_call(self, self._session(kwargs), messages, stop, kwargs, stream=True)
        with call.observed(run_manager), call.channel.stream(call.request, call.revise, call.limiter) as incoming:
            for chunks in incoming.decoded(call.decoder):
                for chunk in chunks:
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
        call = prepare_call(self, await self._asession(kwargs), messages, stop, kwargs, stream=True)
        with call.observed(run_manager):
            async with call.channel.astream(call.request, call.revise, call.limiter) as incoming:
                if call.coalesce:
                    incoming.gather()
                async for chunks in incoming.decoded(call.decoder):
                    for chunk in chunks:
                        if run_manager:
                            await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                        yield chunk


# langchain-core inspects these two in each call. A signature that is known saves two thirds of that time (10 µs).
for _hook in (ChatDatabricksCompat._generate, ChatDatabricksCompat._agenerate):  # noqa: SLF001  # this module's class
    vars(_hook)["__signature__"] = inspect.signature(_hook)
