"""The settings of the connection that the chat model and the embeddings share: where requests go, who calls, and how.

Rule 1. A model is plain data: it contains what the user gave, and no socket, lock or fetched token.
Rule 2. The address and the credentials are resolved at the first call, from the arguments first and the environment
second, and again in each process that loads the model.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator
from typing_extensions import Self  # noqa: TC002  # LangChain resolves annotations (`chat_models.binding`, rule 1)

from langchain_dbchat.connection.copies import Copies
from langchain_dbchat.connection.given import call_settings, constructor_settings, copied_settings, kept_secret
from langchain_dbchat.connection.marks import Mark, field_named, marks_of
from langchain_dbchat.connection.session import FieldCache, Session, call_overrides, endpoint_name, field_cache
from langchain_dbchat.errors.user_warnings import warn

if TYPE_CHECKING:
    from inspect import Signature

    from langchain_dbchat.auth.settings import AuthSettings
    from langchain_dbchat.routing.address import Workspace
    from langchain_dbchat.transport.user_clients import UserClients

DEFAULT_MODEL = "databricks-claude-sonnet-4-6"
"""The model if neither ``model=`` nor ``DATABRICKS_MODEL`` is set; it will change when models are retired."""

Token = SecretStr | Callable[[], str] | Callable[[], Awaitable[str]]

_SIGN_IN = {"config_profile": "profile"}
"""Fields that have another name in `AuthSettings`, because LangChain uses ``profile`` for something else."""


class _ShortSignature:
    """The signature of a class, made when it is asked for, because few programs ask."""

    def __get__(self, instance: object, owner: type[DatabricksConnection]) -> Signature:
        """Return the signature of the class."""
        if instance is not None:
            raise AttributeError("__signature__")  # as pydantic: an object cannot be called
        from langchain_dbchat.connection.signature import signature_of  # noqa: PLC0415  # few programs need it

        return signature_of(owner, owner._arguments())  # noqa: SLF001  # a class of this module


_SIGNATURE = _ShortSignature()


class DatabricksConnection(Copies, BaseModel):
    """Fields and methods that all models share."""

    model_config = ConfigDict(defer_build=True)  # only subclasses have instances

    model: Annotated[str, Mark(("endpoint", "model_name"), per_call=True, group="model and address")] = Field(
        default=""
    )
    """Name of the serving endpoint (aliases ``endpoint``, ``model_name``); or of a model service,
    ``system.ai.<model>``."""

    host: Annotated[str | None, Mark(("workspace", "workspace_url"), "where", shapes=True)] = None
    """URL of the workspace (aliases ``workspace``, ``workspace_url``); by default ``DATABRICKS_HOST`` or a profile's
    host."""

    token: Annotated[
        Token | None,
        Mark(("api_key", "openai_api_key"), "who", per_call=True, secret=True, variable="DATABRICKS_TOKEN"),
    ] = None
    """A token, or a function that returns one (aliases ``api_key``, ``openai_api_key``). The function, sync or async,
    is called for each request. By default the credentials are found in the environment."""

    base_url: Annotated[str | None, Mark(("api_base", "openai_api_base"), "where", shapes=True)] = None
    """URL of an OpenAI-compatible server, not a workspace (aliases ``api_base``, ``openai_api_base``)."""

    client_id: Annotated[str | None, Mark((), "who")] = None
    """A service principal's id; for OAuth machine-to-machine."""

    client_secret: Annotated[SecretStr | None, Mark((), "who", secret=True, variable="DATABRICKS_CLIENT_SECRET")] = None
    """The service principal's secret."""

    config_profile: Annotated[str | None, Mark((), "who")] = None
    """A profile of ``~/.databrickscfg``. Also named ``profile``, if it is a string: LangChain's own ``profile`` is a
    dict of a model's capabilities."""

    config_file: Annotated[str | None, Mark((), "who")] = None
    """The file with the profiles; by default ``~/.databrickscfg``."""

    auth_type: Annotated[str | None, Mark((), "who")] = None
    """The only way of signing in that is tried; such as ``"pat"``, ``"oauth-m2m"`` or ``"databricks-cli"``."""

    workspace_client: Annotated[Any, Mark((), "who", secret=True)] = Field(default=None, exclude=True, repr=False)
    """A client of the Databricks SDK, to sign in as it; a ``databricks.sdk.WorkspaceClient`` or a
    ``databricks.sdk.core.Config``."""

    credentials: Annotated[Any, Mark((), "who", secret=True)] = Field(default=None, exclude=True, repr=False)
    """Your own object that signs requests; a `langchain_dbchat.transport.signing.Credentials`."""

    user_session_token: Annotated[Token | None, Mark((), "who", per_call=True, secret=True)] = Field(
        default=None, exclude=True, repr=False
    )
    """The viewer's session token on Posit Connect; or a callable that returns the token for this request."""

    audience: Annotated[str | None, Mark((), "who")] = None
    """The Posit Connect OAuth integration; needed if the content has several."""

    use_ai_gateway: Annotated[bool, Mark(shapes=True, group="model and address")] = False
    """Whether to call the workspace's AI gateway; its unified API, and not ``/serving-endpoints``. Model services
    (``system.ai.<model>``) are always called there. A workspace without a gateway answers at ``/serving-endpoints``."""

    use_ai_gateway_native_api: Annotated[bool, Mark(shapes=True, group="model and address")] = False
    """The same with its API for OpenAI's models."""

    request_tags: Annotated[Mapping[str, str] | None, Mark(per_call=True, shapes=True, group="HTTP")] = None
    """Labels of requests in the gateway's usage table; ``system.ai_gateway.usage``."""

    workspace_id: Annotated[str | None, Mark((), "where")] = None
    """The workspace's id on a host of several; also read from ``?o=`` in the host."""

    allow_http: Annotated[bool, Mark((), "where")] = False
    """Whether a token may be sent unencrypted: ``http://``, to a host that is not this machine."""

    timeout: Annotated[Any, Mark(("request_timeout",), "how", per_call=True)] = None
    """Seconds, or a `Timeouts` (alias ``request_timeout``). Also a pair (to connect, to read) or an ``httpx.Timeout``.
    By default 10 s to connect, 300 s to the first event and 120 s between events."""

    max_retries: Annotated[int, Mark(("num_retries",), "how", per_call=True)] = Field(default=5, ge=0)
    """How often a request is retried after a transient failure (alias ``num_retries``)."""

    retry_deadline: Annotated[float, Mark((), "how", per_call=True)] = Field(default=120.0, gt=0)
    """Seconds after which a request is not retried any more."""

    resend_after_loss: Annotated[bool, Mark((), "how", per_call=True)] = False
    """Whether to retry if an answer was lost. The server may have executed the request already: tokens may then be paid
    for twice, and an agent behind the endpoint may act twice."""

    adaptive_limit: Annotated[
        bool | Literal["always"], Mark(per_call=True, shown=False, group="timeouts and retries")
    ] = True
    """Which calls are limited after an overload. After the endpoint has reported one, the number of calls under way is
    limited: those of batches and embeddings (True), all (``"always"``), or none (False)."""

    max_request_bytes: Annotated[int | None, Mark(group="HTTP")] = Field(default=4 * 1024 * 1024, gt=0)
    """Maximum size of a request, in bytes: Databricks accepts 4 MiB, custom models on CPU or GPU 16 MiB. None for no
    limit. Requests to other servers than Databricks (``base_url=``) have no limit."""

    max_response_bytes: Annotated[int | None, Mark((), "how", per_call=True, group="HTTP")] = Field(
        default=128 * 1024 * 1024, gt=0
    )
    """Maximum size of an answer, in bytes; streamed or not, after decompression. None for no limit."""

    default_headers: Annotated[
        Mapping[str, str] | None,
        Mark(("api_headers", "extra_headers", "headers"), "http", per_call=True, secret=True),
    ] = Field(default=None, exclude=True, repr=False)
    """Headers for every request (aliases ``api_headers``, ``extra_headers``, ``headers``)."""

    default_query: Annotated[Mapping[str, str] | None, Mark((), "http", secret=True)] = Field(
        default=None, exclude=True, repr=False
    )
    """Query parameters for every request."""

    user_agent: Annotated[str | None, Mark(group="HTTP")] = None
    """The prefix of the header ``User-Agent``; such as ``"acme-rag/2.1"``, by default ``DATABRICKS_USER_AGENT``."""

    proxy: Annotated[SecretStr | None, Mark(("openai_proxy",), "how", secret=True, group="HTTP")] = Field(
        default=None, exclude=True, repr=False
    )
    """URL of the proxy for all requests (alias ``openai_proxy``); by default that of the environment (``HTTPS_PROXY``
    ...). Requests to this machine are sent without it."""

    http_client: Annotated[Any, Mark((), "how", secret=True, group="HTTP")] = Field(
        default=None, exclude=True, repr=False
    )
    """An ``httpx.Client`` to use for sync calls."""

    http_async_client: Annotated[Any, Mark((), "how", secret=True, group="HTTP")] = Field(
        default=None, exclude=True, repr=False
    )
    """An ``httpx.AsyncClient`` to use for async calls."""

    _repeatable: ClassVar[bool] = False
    """Whether a request may safely be executed twice."""

    # The subclasses declare `_session_cache`. For a private attribute here, pydantic would make a `model_post_init` and
    # langchain-core's, which records versions, would not be called.

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Replace pydantic's signature, which has neither the other names nor an order, and shows the marks."""
        super().__pydantic_init_subclass__(**kwargs)
        cls.__signature__ = _SIGNATURE  # type: ignore[assignment]  # a descriptor, as pydantic's own

    @classmethod
    def _arguments(cls) -> type:
        """Return the names and types that the constructor accepts, as a `TypedDict`."""
        from langchain_dbchat.connection.arguments import ConnectionArguments  # noqa: PLC0415  # for `help()` alone

        return ConnectionArguments

    @model_validator(mode="before")
    @classmethod
    def _accept_aliases(cls, values: Any) -> Any:
        """Rename the aliases of fields; raise for a field that is given twice or does not exist."""
        return constructor_settings(cls, values) if isinstance(values, dict) else values

    @model_validator(mode="after")
    def _check_gateway(self) -> Self:
        if self.use_ai_gateway and self.use_ai_gateway_native_api:
            raise ValueError(
                "use_ai_gateway and use_ai_gateway_native_api are two APIs of the gateway. Set one of them."
            )
        return self

    @model_validator(mode="after")
    def _set_model(self) -> Self:
        """Set the endpoint's name: the given one, the one in the address, ``DATABRICKS_MODEL``, or the default."""
        name = endpoint_name(self.model) or self._endpoint_of_address() or endpoint_name(self._default_model())
        if name != self.model:
            self.__dict__["model"] = name
        self._auth_settings()
        if self.timeout is not None:
            from langchain_dbchat.transport.timeouts import Timeouts  # noqa: PLC0415  # only if a timeout is given

            Timeouts.of(self.timeout)
        if self.http_client is not None or self.http_async_client is not None:
            self._clients()
        return self

    @property
    def endpoint(self) -> str:
        """Return the model's name, as databricks-langchain's classes call it."""
        return self.model

    def _endpoint_of_address(self) -> str | None:
        address = self.base_url or self.host
        return self._parse(address).endpoint if address else None

    def _default_model(self) -> str:
        name = os.environ.get("DATABRICKS_MODEL")
        if name:
            return name
        warn(
            f"No model given, so {DEFAULT_MODEL!r} is used. This default will change when models are retired: name the "
            "serving endpoint with model=... or DATABRICKS_MODEL."
        )
        return DEFAULT_MODEL

    def _auth_settings(self) -> AuthSettings:
        from langchain_dbchat.auth.settings import AuthSettings  # noqa: PLC0415  # where a model is made, not imported

        names = marks_of(type(self))
        given = {_SIGN_IN.get(name, name): getattr(self, name) for name in (*names.who, *names.where)}
        client = given["workspace_client"]
        if client is not None and not hasattr(client, "config"):  # a databricks.sdk.core.Config
            given |= {"workspace_client": None, "config": client}
        return AuthSettings(**given)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy of this model.

        Args:
            update: Values of fields, under any of their names, which are not validated.
            deep: Whether to copy the values of the fields, too.

        Returns:
            The copy.

        Raises:
            ValueError: If a name is not that of a field.
        """
        return super().model_copy(update=copied_settings(type(self), update) if update else update, deep=deep)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set a field; a string that is a secret is wrapped, so that nothing shows it."""
        super().__setattr__(name, kept_secret(marks_of(type(self)), name, value) if isinstance(value, str) else value)

    def with_credentials(self, **identity: Any) -> Self:
        """Return a copy with other credentials. The copy shares sockets with this model, but no credentials.

        Args:
            **identity: The new credentials: ``token``, ``client_id`` and ``client_secret``, ``profile``,
                ``workspace_client``, ``credentials``, ``user_session_token`` or ``auth_type``.

        Returns:
            The copy; this model is not changed. It has nothing that was bound with ``bind`` or ``bind_tools``, so bind
            afterwards.

        Raises:
            ConfigurationError: If an argument is not one of the credentials, or if there is none.

        Example:
            >>> from langchain_dbchat import ChatDatabricksCompat
            >>> llm = ChatDatabricksCompat(model="my-endpoint", host="https://workspace.example")
            >>> llm.with_credentials(token="the-token-of-this-request").token
            SecretStr('**********')
        """
        marks = marks_of(type(self))
        given = {field_named(marks, key, value): value for key, value in identity.items()}
        settings = self._auth_settings().with_identity(
            **{_SIGN_IN.get(key, key): value for key, value in given.items()}
        )
        fields = {name: getattr(settings, _SIGN_IN.get(name, name)) for name in marks.who}
        fields["workspace_client"] = settings.workspace_client or settings.config
        return self._unsigned().model_copy(update=fields)

    def _unsigned(self) -> Self:
        """Return this model, or a copy of it without an ``Authorization`` among its headers, which signs requests."""
        headers = self.default_headers or {}
        others = {name: value for name, value in headers.items() if str(name).lower() != "authorization"}
        return self if len(others) == len(headers) else self.model_copy(update={"default_headers": others})

    def resources(self, *, on_behalf_of_user: bool | None = None) -> list[Any]:
        """Return the resource that an agent needs to call this model, for MLflow's `log_model`.

        `langchain_dbchat.integrations.mlflow.resources` finds those of a whole chain or agent.

        Args:
            on_behalf_of_user: Whether the deployed agent uses the permissions of who calls it. Default: those of who
                deploys it.

        Returns:
            A list of one object of ``mlflow.models.resources``.

        Raises:
            ImportError: If MLflow is not installed (extra ``mlflow``).
            ConfigurationError: If the installed MLflow has no resource for an endpoint of this kind.
        """
        from langchain_dbchat.connection.resources import resource_of  # noqa: PLC0415  # few programs deploy agents

        return [resource_of(self.model, on_behalf_of_user=on_behalf_of_user)]

    def _key(self) -> tuple[Any, ...]:
        key: tuple[Any, ...] = marks_of(type(self)).session_key(self)
        return key

    def _session(self, call: Mapping[str, Any] | None = None) -> Session:
        """Return the resolved connection, from the cache if possible; may read files, so async code calls `_asession`.

        Args:
            call: The settings of a call, which may contain credentials.

        Returns:
            The session.

        Raises:
            ConfigurationError: If there is no host or no way to sign in.
        """
        identity, how = call_overrides(marks_of(type(self)), call_settings(type(self), call)) if call else ({}, {})
        if identity or how:
            model = self.with_credentials(**identity) if identity else self
            return model.model_copy(update=how)._cached_session()  # noqa: SLF001  # a copy of this class
        return self._cached_session()

    def _cached_session(self) -> Session:
        """Return the session for the current fields, from the cache if they have not changed."""
        key = self._key()
        cache: FieldCache[Session] = field_cache(self, "_session_cache")
        return cache.get(key) or cache.put(key, self._connect())

    async def _asession(self, call: Mapping[str, Any] | None = None) -> Session:
        """Do the same as `_session` without blocking the event loop."""
        cache: FieldCache[Session] = field_cache(self, "_session_cache")
        session = cache.get(self._key())
        if session is not None and not (
            call and any(call_overrides(marks_of(type(self)), call_settings(type(self), call)))
        ):
            return session
        import asyncio  # noqa: PLC0415  # sync programs do not need it

        return await asyncio.to_thread(DatabricksConnection._session, self, call)

    def _connect(self) -> Session:
        from langchain_dbchat.auth.resolver import resolve  # noqa: PLC0415  # loads at the first call only
        from langchain_dbchat.transport.channel import Channel, Timeouts  # noqa: PLC0415  # loads httpx: at the first call only
        from langchain_dbchat.transport.exchange import RetryPolicy  # noqa: PLC0415  # the same

        clients = self._clients()
        signed = resolve(replace(self._auth_settings(), clients=clients))
        channel = Channel(
            signed.credentials,
            timeouts=Timeouts.of(self.timeout),
            policy=RetryPolicy(
                max_retries=self.max_retries,
                deadline=self.retry_deadline,
                retry_sent=self._repeatable or self.resend_after_loss,
            ),
            max_response_bytes=self.max_response_bytes,
            http_client=clients.for_sync,
            http_async_client=clients.for_async,
            proxy=clients.proxy,
        )
        return Session(signed.workspace, channel, signed.credentials, signed.variables)

    def _clients(self) -> UserClients:
        from langchain_dbchat.transport.user_clients import UserClients  # noqa: PLC0415  # loads at the first call, or for clients

        proxy = self.proxy.get_secret_value() if self.proxy is not None else None
        return UserClients(self.http_client, self.http_async_client, proxy)

    def _parse(self, address: str) -> Workspace:
        from langchain_dbchat.routing.address import parse_workspace  # noqa: PLC0415  # loads when a model is made

        return parse_workspace(address, allow_http=self.allow_http, plain=self.base_url is not None)
