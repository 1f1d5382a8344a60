"""The connection that the chat model and the embeddings share: where requests go, who calls, how they travel.

A model is plain data: what the user gave, and nothing that holds a socket, a lock or a token that was fetched. What
those fields mean (the workspace's address, the credentials) is found out at the first call, from the arguments first
and the environment second, and found out again in whatever process the model is opened in.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, SecretStr, model_validator
from pydantic_core import PydanticSerializationError, to_json

from langchain_dbchat.errors import ConfigurationError
from langchain_dbchat.link import Holder, Link, endpoint_name, of_call, route
from langchain_dbchat.models.families import OPENAI_COMPATIBLE, Family, family_of

if TYPE_CHECKING:
    from typing_extensions import Self

    from langchain_dbchat.auth.settings import AuthSettings
    from langchain_dbchat.auth.workspace import Workspace
    from langchain_dbchat.transport.exchange import Request

DEFAULT_MODEL = "databricks-claude-sonnet-4-6"
"""What is called when neither ``model=`` nor ``DATABRICKS_MODEL`` says; it will move as models are retired."""

Token = SecretStr | Callable[[], str] | Callable[[], Awaitable[str]]

_ALIASES = {
    "endpoint": "model",
    "workspace": "host",
    "workspace_url": "host",
    "api_key": "token",
    "api_base": "base_url",
    "api_headers": "default_headers",
}
_IDENTITY = (
    "token",
    "client_id",
    "client_secret",
    "config_file",
    "auth_type",
    "workspace_client",
    "credentials",
    "user_session_token",
    "audience",
)
_ENVIRONMENT = (
    "DATABRICKS_HOST",
    "DATABRICKS_API_BASE",
    "DATABRICKS_TOKEN",
    "DATABRICKS_API_KEY",
    "DATABRICKS_CLIENT_ID",
    "DATABRICKS_CONFIG_PROFILE",
)
_MEASURED = ("workspace", "gateway")  # what has a documented limit of a request's size


class DatabricksConnection(BaseModel):
    """Fields and calls that are the same for every model behind a serving endpoint."""

    model_config = ConfigDict(defer_build=True)  # only what inherits from it is made

    model: str = Field(default="")
    """Name of the serving endpoint (alias ``endpoint``), or of a model service (``system.ai.<model>``)."""

    host: str | None = None
    """The workspace (aliases ``workspace``, ``workspace_url``); unset, ``DATABRICKS_HOST`` or a profile's host."""

    token: Token | None = None
    """A token (alias ``api_key``), or a callable, sync or async, that is asked for one for every request; unset, the
    way to sign in is found in the environment."""

    base_url: str | None = None
    """Base URL of any OpenAI-compatible server, instead of a workspace (alias ``api_base``)."""

    client_id: str | None = None
    """A service principal's application id, for OAuth machine-to-machine."""

    client_secret: SecretStr | None = None
    """The service principal's secret."""

    config_profile: str | None = None
    """A profile of ``~/.databrickscfg`` (alias ``profile``, if it is a string: LangChain's own ``profile`` is a dict of
    what a model can do)."""

    config_file: str | None = None
    """The file of profiles, if it is not ``~/.databrickscfg``."""

    auth_type: str | None = None
    """The one way of signing in to use, such as ``"pat"``, ``"oauth-m2m"`` or ``"databricks-cli"``."""

    workspace_client: Any = Field(default=None, exclude=True, repr=False)
    """A ``databricks.sdk.WorkspaceClient`` or a ``databricks.sdk.core.Config`` whose credentials are used."""

    credentials: Any = Field(default=None, exclude=True, repr=False)
    """An object of your own that signs requests (`langchain_dbchat.auth.credentials.Credentials`)."""

    user_session_token: Token | None = Field(default=None, exclude=True, repr=False)
    """The viewer's session token on Posit Connect, or a callable that gives the one of this request."""

    audience: str | None = None
    """The Posit Connect OAuth integration to use, if the content has several."""

    workspace_id: str | None = None
    """The workspace's id on a host that fronts several; also read from ``?o=`` in the host."""

    allow_http: bool = False
    """Whether a token may travel unencrypted (``http://``) to a host that is not this machine."""

    timeout: Any = None
    """Seconds, an ``httpx.Timeout``, or `langchain_dbchat.transport.channel.Timeouts`; unset, 10 s to connect, 300 s
    to the first event and 120 s between events."""

    max_retries: int = Field(default=5, ge=0)
    """How often a request that failed for a reason that passes is sent again."""

    retry_deadline: float = Field(default=120.0, gt=0)
    """Seconds after which nothing is sent again."""

    resend_after_loss: bool = False
    """Whether a request is also sent again where its answer was lost and the server may have executed it: tokens may
    be paid for twice, and an agent behind the endpoint may act twice."""

    adaptive_limit: bool | Literal["always"] = True
    """Whether many calls of one endpoint take turns once it complains of overload: in batches and embeddings (True),
    in every call (``"always"``), or never (False)."""

    max_request_bytes: int | None = Field(default=4 * 1024 * 1024, gt=0)
    """The largest request that is sent: Databricks takes 4 MiB, custom models on CPU or GPU 16 MiB. None for any; other
    servers than Databricks (``base_url=``) are not measured by it."""

    max_response_bytes: int | None = Field(default=128 * 1024 * 1024, gt=0)
    """The largest answer that is read, in bytes after decompression, streamed or not: 128 MiB. None for any."""

    default_headers: Mapping[str, str] | None = Field(default=None, exclude=True, repr=False)
    """Headers for every request (alias ``api_headers``)."""

    default_query: Mapping[str, str] | None = None
    """Query parameters for every request."""

    user_agent: str | None = None
    """What goes before our own words in the header ``User-Agent``, such as ``"acme-rag/2.1"``; unset,
    ``DATABRICKS_USER_AGENT``."""

    http_client: Any = Field(default=None, exclude=True, repr=False)
    """An ``httpx.Client`` to use for sync calls."""

    http_async_client: Any = Field(default=None, exclude=True, repr=False)
    """An ``httpx.AsyncClient`` to use for async calls."""

    _repeatable: ClassVar[bool] = False
    """Whether a request that may have been executed does no harm when it is sent again."""

    _holder: Holder = PrivateAttr(default_factory=Holder)

    @model_validator(mode="before")
    @classmethod
    def _accept_aliases(cls, values: Any) -> Any:
        """Rename the aliases of fields, and refuse a field that is given twice or does not exist."""
        if not isinstance(values, dict):
            return values
        aliases = {**_ALIASES, **cls._own_aliases()}
        named: dict[str, Any] = {}
        for key, value in values.items():
            name = "config_profile" if key == "profile" and isinstance(value, str) else aliases.get(key, key)
            if name in named:
                raise ValueError(f"{name!r} is given twice: as {key!r} and under another name.")
            if name not in cls.model_fields:
                raise ValueError(
                    f"{cls.__name__} has no field {key!r}. A field of the request that has no setting of its own goes "
                    "into extra_body={...}, a header into default_headers={...}."
                )
            named[name] = value
        return named

    @classmethod
    def _own_aliases(cls) -> dict[str, str]:
        return {}

    @model_validator(mode="after")
    def _settle_model(self) -> Self:
        """Settle the endpoint's name: what was given, what the address names, ``DATABRICKS_MODEL``, the default."""
        name = endpoint_name(self.model) or self._endpoint_of_address() or endpoint_name(self._default_model())
        if name != self.model:
            self.__dict__["model"] = name
        self._auth_settings()
        if self.timeout is not None:
            from langchain_dbchat.transport.timeouts import Timeouts  # noqa: PLC0415  # only where one is given

            Timeouts.of(self.timeout)
        return self

    def _endpoint_of_address(self) -> str | None:
        address = self.base_url or self.host
        return _parse(address, plain=self.base_url is not None).endpoint if address else None

    def _default_model(self) -> str:
        name = os.environ.get("DATABRICKS_MODEL")
        if name:
            return name
        warnings.warn(
            f"No model given, so {DEFAULT_MODEL!r} is used. This default will move as models are retired: name the "
            "serving endpoint with model=... or DATABRICKS_MODEL.",
            stacklevel=5,
        )
        return DEFAULT_MODEL

    def _auth_settings(self) -> AuthSettings:
        from langchain_dbchat.auth.settings import AuthSettings  # noqa: PLC0415  # where a model is made, not imported

        client = self.workspace_client
        is_config = client is not None and not hasattr(client, "config")
        return AuthSettings(
            host=self.host,
            base_url=self.base_url,
            token=self.token,
            client_id=self.client_id,
            client_secret=self.client_secret,
            profile=self.config_profile,
            auth_type=self.auth_type,
            workspace_client=None if is_config else client,
            config=client if is_config else None,
            credentials=self.credentials,
            user_session_token=self.user_session_token,
            config_file=self.config_file,
            audience=self.audience,
            workspace_id=self.workspace_id,
            allow_http=self.allow_http,
        )

    def __copy__(self) -> Self:
        """Copy without the link: the copy may be given another identity."""
        copy = super().__copy__()
        copy._holder = Holder()  # noqa: SLF001  # the copy is one of us
        return copy

    def with_credentials(self, **identity: Any) -> Self:
        """Return a copy in which somebody else calls; sockets are shared, identities are not.

        Args:
            **identity: Who calls now: ``token``, ``client_id`` and ``client_secret``, ``profile``,
                ``workspace_client``, ``credentials``, ``user_session_token`` or ``auth_type``.

        Returns:
            The copy; this model is not changed.

        Raises:
            ConfigurationError: If an argument does not say who calls.

        Example:
            >>> from langchain_dbchat import ChatDatabricksCompat
            >>> llm = ChatDatabricksCompat(model="my-endpoint", host="https://workspace.example")
            >>> llm.with_credentials(token="the-token-of-this-request").token
            SecretStr('**********')
        """
        settings = self._auth_settings().with_identity(**identity)
        fields = {name: getattr(settings, name) for name in _IDENTITY}
        fields["config_profile"] = settings.profile
        fields["workspace_client"] = settings.workspace_client or settings.config
        return self.model_copy(update=fields)

    def identity(self) -> tuple[Any, ...]:
        """Return what tells callers and workspaces apart, secrets in clear: to be digested, never shown."""
        given = (getattr(self, name) for name in (*_IDENTITY, "config_profile", "host", "base_url", "workspace_id"))
        plain = (value.get_secret_value() if isinstance(value, SecretStr) else value for value in given)
        return (*plain, *(os.environ.get(name) for name in _ENVIRONMENT))

    def _key(self) -> tuple[Any, ...]:
        return (
            self.host,
            self.base_url,
            self.token,
            self.client_id,
            self.client_secret,
            self.config_profile,
            self.auth_type,
            self.workspace_client,
            self.credentials,
            self.user_session_token,
            self.config_file,
            self.audience,
            self.workspace_id,
            self.allow_http,
            self.timeout,
            self.max_retries,
            self.retry_deadline,
            self.resend_after_loss,
            self.max_response_bytes,
            self.http_client,
            self.http_async_client,
        )

    def link(self, call: Mapping[str, Any] | None = None) -> Link:
        """Work out where requests go and who signs them, once; may read files, so async code calls `alink`.

        Args:
            call: The settings of a call, which may say who makes it.

        Returns:
            The address and the channel to it.

        Raises:
            ConfigurationError: If there is no host or no way to sign in.
        """
        identity, travel = of_call(call)
        if identity or travel:
            model = self.with_credentials(**identity) if identity else self
            return model.model_copy(update=travel).link()
        key = self._key()
        return self._holder.get(key) or self._holder.put(key, self._connect())

    async def alink(self, call: Mapping[str, Any] | None = None) -> Link:
        """Do the same as `link` without blocking the event loop.

        Args:
            call: The settings of a call, which may say who makes it.

        Returns:
            The address and the channel to it.

        Raises:
            ConfigurationError: If there is no host or no way to sign in.
        """
        link = self._holder.get(self._key())
        if link is not None and not any(of_call(call)):
            return link
        import asyncio  # noqa: PLC0415  # sync programs never load it for us

        return await asyncio.to_thread(self.link, call)

    def _connect(self) -> Link:
        from langchain_dbchat.auth.resolver import resolve  # noqa: PLC0415  # loads the way of signing in: first call only
        from langchain_dbchat.transport.channel import Channel, Timeouts  # noqa: PLC0415  # loads httpx: first call only
        from langchain_dbchat.transport.exchange import RetryPolicy  # noqa: PLC0415  # the same

        signed = resolve(self._auth_settings())
        channel = Channel(
            signed.credentials,
            timeouts=Timeouts.of(self.timeout),
            policy=RetryPolicy(
                max_retries=self.max_retries,
                deadline=self.retry_deadline,
                retry_sent=self._repeatable or self.resend_after_loss,
            ),
            max_response_bytes=self.max_response_bytes,
            http_client=self.http_client,
            http_async_client=self.http_async_client,
        )
        return Link(signed.workspace, channel)

    def family_row(self, model: str, override: str | None = None) -> Family:
        """Pick the row of the model that is called.

        Args:
            model: The endpoint's name.
            override: A row's name.

        Returns:
            The row that is named, the one for other servers, or the one that the endpoint's name says.

        Raises:
            ValueError: If ``override`` names no row.
        """
        if override is None and self.base_url is not None and self._plain_server():
            return OPENAI_COMPATIBLE
        return family_of(model, override)

    def _plain_server(self) -> bool:
        return _parse(self.base_url or "", plain=True).kind == "openai"

    def write_request(  # noqa: PLR0913  # one request's parts, the last two by keyword
        self,
        link: Link,
        operation: str,
        model: str,
        body: dict[str, Any],
        *,
        headers: Mapping[str, str] | None = None,
        streaming: bool = False,
    ) -> Request:
        """Address and write a request.

        Args:
            link: The connection.
            operation: ``"chat"`` or ``"embeddings"``.
            model: The endpoint's name.
            body: The body.
            headers: Headers of this call, over those of the constructor.
            streaming: Whether the answer is read as a stream.

        Returns:
            The request, unsigned.

        Raises:
            ConfigurationError: If the body holds something that is no JSON.
            DatabricksInvalidRequestError: If the body is larger than `max_request_bytes`.
        """
        from langchain_dbchat.transport.attempt import user_agent  # noqa: PLC0415  # loads httpx: first call only
        from langchain_dbchat.transport.body_limit import check_size  # noqa: PLC0415  # loads with the transport
        from langchain_dbchat.transport.exchange import Request  # noqa: PLC0415  # loads with the transport

        url, named = route(link.workspace, operation, model)
        if named:
            body = {"model": model, **body}
        if self.default_query:
            url = f"{url}?{urlencode(self.default_query)}"
        ours = {"user-agent": user_agent(self.user_agent)} if self.user_agent else {}
        try:
            written = to_json(body)
        except PydanticSerializationError as error:
            raise ConfigurationError(f"The request holds something that cannot be written as JSON: {error}") from error
        if self.max_request_bytes is not None and link.workspace.kind in _MEASURED:
            check_size(body, len(written), self.max_request_bytes, endpoint=model, host=link.workspace.host)
        return Request(
            url=url,
            headers={**ours, **(self.default_headers or {}), **(headers or {})},
            body=written,
            endpoint=model,
            host=link.workspace.host,
            streaming=streaming,
        )


def _parse(address: str, *, plain: bool) -> Workspace:
    from langchain_dbchat.auth.workspace import parse_workspace  # noqa: PLC0415  # where a model is made, not imported

    return parse_workspace(address, plain=plain)
