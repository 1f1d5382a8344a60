"""The chat model: LangChain's hooks, implemented with `dialects`, `connection` and `transport`.

Rule 1. This file contains no decision about a request: `dialects` encodes it, `transport` sends it, `auth` signs it.
Rule 2. The four ways of calling differ only in sync and async, whole and streamed.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from langchain_core.language_models import BaseChatModel
from pydantic import ConfigDict, PrivateAttr, model_validator

from langchain_dbchat._version import __version__
from langchain_dbchat.chat_models.batching import LimitedBatches
from langchain_dbchat.chat_models.binding import BindsSettings
from langchain_dbchat.chat_models.caching import CachesForCaller
from langchain_dbchat.chat_models.call import prepare_call
from langchain_dbchat.chat_models.settings import ChatSettings
from langchain_dbchat.chat_models.tokens import EstimatesTokens
from langchain_dbchat.chat_models.tracing import ShowsSettings
from langchain_dbchat.connection.endpoints import APPS, DISCOVER, endpoint_of
from langchain_dbchat.connection.given import call_settings
from langchain_dbchat.connection.marks import marks_of
from langchain_dbchat.connection.requests import family_for
from langchain_dbchat.connection.session import SessionCache, endpoint_name
from langchain_dbchat.dialects import choose_dialect
from langchain_dbchat.dialects.dialect import Target
from langchain_dbchat.dialects.shared.answer import translators
from langchain_dbchat.errors.user_warnings import pointing_here
from langchain_dbchat.models.profiles import profile_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator, Iterator, Mapping

    from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
    from langchain_core.language_models import LanguageModelInput, ModelProfile
    from langchain_core.messages import AIMessage, BaseMessage
    from langchain_core.outputs import ChatGenerationChunk, ChatResult
    from langchain_core.runnables import RunnableConfig
    from typing_extensions import Self, Unpack

    from langchain_dbchat.chat_models.arguments import ChatArguments
    from langchain_dbchat.connection.session import Session
    from langchain_dbchat.transport.effects import Effect

translators.register()


class ChatDatabricksCompat(
    CachesForCaller, ShowsSettings, EstimatesTokens, BindsSettings, ChatSettings, LimitedBatches, BaseChatModel
):
    """A chat model behind a Databricks serving endpoint.

    Setup:
        Set ``DATABRICKS_HOST`` and ``DATABRICKS_TOKEN``, or sign in in any other way that Databricks supports: OAuth
        machine-to-machine, a profile, the CLI, Posit Workbench or Connect, the Databricks SDK.

    Key init args, completion:
        model: Name of the serving endpoint (alias ``endpoint``) or of a model service (``system.ai.<model>``).
        temperature, top_p, top_k, max_tokens, stop, n, seed, frequency_penalty, presence_penalty, logprobs,
            top_logprobs: As in OpenAI's API; a setting that is not set is not sent.
        reasoning_effort, thinking: Amount of reasoning, in one spelling for all model families.
        extra_body: Further request fields.

    Key init args, client:
        host, token, base_url, client_id, client_secret, profile, auth_type, workspace_client, credentials: The
            connection. Missing values are read from the environment at the first call.
        timeout: Seconds, an ``httpx.Timeout``, or a `Timeouts`.
        max_retries, retry_deadline: How often, and for how many seconds, a request is retried if it fails.
        resend_after_loss: Whether to retry a request that the server may have executed already; False by default.
        adaptive_limit: Which calls are limited after the endpoint has reported overload: those of a batch (True), all
            (``"always"``), or none (False).

    Instantiate:
        >>> from langchain_dbchat import ChatDatabricksCompat
        >>> from langchain_dbchat.local import LocalWorkspace
        >>> workspace = LocalWorkspace().start()
        >>> llm = ChatDatabricksCompat(
        ...     model="databricks-claude-sonnet-4-6", max_tokens=1000, host=workspace.host, token=workspace.token
        ... )

    Invoke:
        >>> llm.invoke([("system", "You are terse."), ("human", "What is the capital of Norway?")]).text
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

    _session_cache: SessionCache = PrivateAttr(default_factory=SessionCache)

    _caller: str | None = PrivateAttr(default=None)  # see `caching`

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
        plan = self._lookup(session, call)
        if plan is None:
            return session
        from langchain_dbchat.transport.effects import execute  # noqa: PLC0415  # few models ask the workspace

        return execute(plan)

    async def _asession(self, call: Mapping[str, Any] | None = None) -> Session:
        """Do the same as `_session` without blocking the event loop."""
        session = await super()._asession(call)
        plan = self._lookup(session, call)
        if plan is None:
            return session
        from langchain_dbchat.transport.effects import aexecute  # noqa: PLC0415  # the same

        return await aexecute(plan)

    def _lookup(self, session: Session, call: Mapping[str, Any] | None) -> Generator[Effect, Any, Session] | None:
        """Return the plan that asks the workspace for what a call has to know; None if it knows it."""
        called = call_settings(type(self), call) if call else {}
        name, kind = endpoint_name(str(called.get("model") or self.model)), session.workspace.kind
        if kind == "workspace" and name.startswith(APPS):
            from langchain_dbchat.connection.apps import find_app  # noqa: PLC0415  # the same

            return find_app(session, name)
        must_discover = called.get("family", self.family) == DISCOVER and kind != "app"
        if must_discover and endpoint_of(session.address, name).family is None:
            from langchain_dbchat.connection.discovery import discover  # noqa: PLC0415  # the same

            return discover(session, name)
        return None

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
            decoder = call.decoder(incoming.headers, incoming.hide)
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
        call = prepare_call(self, await self._asession(kwargs), messages, stop, kwargs, stream=True)
        with call.observed(run_manager):
            async with call.channel.astream(call.request, call.revise, call.limiter) as incoming:
                decoder = call.decoder(incoming.headers, incoming.hide)
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


# langchain-core inspects these two in each call. A signature that is known saves two thirds of that time (10 µs).
for _hook in (ChatDatabricksCompat._generate, ChatDatabricksCompat._agenerate):  # noqa: SLF001  # this module's class
    vars(_hook)["__signature__"] = inspect.signature(_hook)
