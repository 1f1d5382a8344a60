"""The connection that the chat model and the embeddings share: where requests go, who calls, how they travel.

A model is plain data: what the user gave, and nothing that holds a socket, a lock or a token that was fetched. What
those fields mean (the workspace's address, the credentials) is found out at the first call, from the arguments first
and the environment second, and found out again in whatever process the model is opened in.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator
from pydantic_core import PydanticSerializationError, to_json

from langchain_dbchat.connection.marks import (
    COMPLETION_LIMIT,
    ELSEWHERE,
    QUERY,
    Mark,
    call_settings,
    check_params,
    field_named,
    marks_of,
    refuse_elsewhere,
    split_extra,
    unknown_field,
)
from langchain_dbchat.connection.session import Holder, Link, call_overrides, caller_digest, endpoint_name, route
from langchain_dbchat.errors import ConfigurationError
from langchain_dbchat.errors.notices import warn
from langchain_dbchat.models.families import OPENAI_COMPATIBLE, Family, family_of

if TYPE_CHECKING:
    from typing_extensions import Self

    from langchain_dbchat.auth.settings import AuthSettings
    from langchain_dbchat.connection.marks import Marks
    from langchain_dbchat.routing.address import Workspace
    from langchain_dbchat.transport.exchange import Request

DEFAULT_MODEL = "databricks-claude-sonnet-4-6"
"""What is called when neither ``model=`` nor ``DATABRICKS_MODEL`` says; it will move as models are retired."""

Token = SecretStr | Callable[[], str] | Callable[[], Awaitable[str]]

_MEASURED = ("workspace", "gateway")  # what has a documented limit of a request's size


class DatabricksConnection(BaseModel):
    """Fields and calls that are the same for every model behind a serving endpoint."""

    model_config = ConfigDict(defer_build=True)  # only what inherits from it is made

    model: Annotated[str, Mark(("endpoint",), per_call=True)] = Field(default="")
    """Name of the serving endpoint (alias ``endpoint``), or of a model service (``system.ai.<model>``)."""

    host: Annotated[str | None, Mark(("workspace", "workspace_url"), "where")] = None
    """The workspace (aliases ``workspace``, ``workspace_url``); unset, ``DATABRICKS_HOST`` or a profile's host."""

    token: Annotated[Token | None, Mark(("api_key",), "who", per_call=True, secret=True)] = None
    """A token (alias ``api_key``), or a callable, sync or async, that is asked for one for every request; unset, the
    way to sign in is found in the environment."""

    base_url: Annotated[str | None, Mark(("api_base",), "where")] = None
    """Base URL of any OpenAI-compatible server, instead of a workspace (alias ``api_base``)."""

    client_id: Annotated[str | None, Mark((), "who")] = None
    """A service principal's application id, for OAuth machine-to-machine."""

    client_secret: Annotated[SecretStr | None, Mark((), "who", secret=True)] = None
    """The service principal's secret."""

    config_profile: Annotated[str | None, Mark((), "who")] = None
    """A profile of ``~/.databrickscfg`` (alias ``profile``, if it is a string: LangChain's own ``profile`` is a dict of
    what a model can do)."""

    config_file: Annotated[str | None, Mark((), "who")] = None
    """The file of profiles, if it is not ``~/.databrickscfg``."""

    auth_type: Annotated[str | None, Mark((), "who")] = None
    """The one way of signing in to use, such as ``"pat"``, ``"oauth-m2m"`` or ``"databricks-cli"``."""

    workspace_client: Annotated[Any, Mark((), "who", secret=True)] = Field(default=None, exclude=True, repr=False)
    """A ``databricks.sdk.WorkspaceClient`` or a ``databricks.sdk.core.Config`` whose credentials are used."""

    credentials: Annotated[Any, Mark((), "who", secret=True)] = Field(default=None, exclude=True, repr=False)
    """An object of your own that signs requests (`langchain_dbchat.transport.signing.Credentials`)."""

    user_session_token: Annotated[Token | None, Mark((), "who", per_call=True, secret=True)] = Field(
        default=None, exclude=True, repr=False
    )
    """The viewer's session token on Posit Connect, or a callable that gives the one of this request."""

    audience: Annotated[str | None, Mark((), "who")] = None
    """The Posit Connect OAuth integration to use, if the content has several."""

    workspace_id: Annotated[str | None, Mark((), "where")] = None
    """The workspace's id on a host that fronts several; also read from ``?o=`` in the host."""

    allow_http: Annotated[bool, Mark((), "where")] = False
    """Whether a token may travel unencrypted (``http://``) to a host that is not this machine."""

    timeout: Annotated[Any, Mark((), "how", per_call=True)] = None
    """Seconds, an ``httpx.Timeout``, or `langchain_dbchat.transport.channel.Timeouts`; unset, 10 s to connect, 300 s
    to the first event and 120 s between events."""

    max_retries: Annotated[int, Mark((), "how", per_call=True)] = Field(default=5, ge=0)
    """How often a request that failed for a reason that passes is sent again."""

    retry_deadline: Annotated[float, Mark((), "how", per_call=True)] = Field(default=120.0, gt=0)
    """Seconds after which nothing is sent again."""

    resend_after_loss: Annotated[bool, Mark((), "how", per_call=True)] = False
    """Whether a request is also sent again where its answer was lost and the server may have executed it: tokens may
    be paid for twice, and an agent behind the endpoint may act twice."""

    adaptive_limit: Annotated[bool | Literal["always"], Mark(per_call=True)] = True
    """Whether many calls of one endpoint take turns once it complains of overload: in batches and embeddings (True),
    in every call (``"always"``), or never (False)."""

    max_request_bytes: int | None = Field(default=4 * 1024 * 1024, gt=0)
    """The largest request that is sent: Databricks takes 4 MiB, custom models on CPU or GPU 16 MiB. None for any; other
    servers than Databricks (``base_url=``) are not measured by it."""

    max_response_bytes: Annotated[int | None, Mark((), "how", per_call=True)] = Field(default=128 * 1024 * 1024, gt=0)
    """The largest answer that is read, in bytes after decompression, streamed or not: 128 MiB. None for any."""

    default_headers: Annotated[Mapping[str, str] | None, Mark(("api_headers",), "how", per_call=True, secret=True)] = (
        Field(default=None, exclude=True, repr=False)
    )
    """Headers for every request (alias ``api_headers``)."""

    default_query: Annotated[Mapping[str, str] | None, Mark((), "how", secret=True)] = Field(
        default=None, exclude=True, repr=False
    )
    """Query parameters for every request."""

    user_agent: str | None = None
    """What goes before our own words in the header ``User-Agent``, such as ``"acme-rag/2.1"``; unset,
    ``DATABRICKS_USER_AGENT``."""

    http_client: Annotated[Any, Mark((), "how", secret=True)] = Field(default=None, exclude=True, repr=False)
    """An ``httpx.Client`` to use for sync calls."""

    http_async_client: Annotated[Any, Mark((), "how", secret=True)] = Field(default=None, exclude=True, repr=False)
    """An ``httpx.AsyncClient`` to use for async calls."""

    _repeatable: ClassVar[bool] = False
    """Whether a request that may have been executed does no harm when it is sent again."""

    if TYPE_CHECKING:
        # The classes that inherit declare it. With a private attribute here, pydantic would give this class a
        # `model_post_init` of its own, which ends the chain before langchain-core's, where versions are noted.
        _holder: Holder

    @model_validator(mode="before")
    @classmethod
    def _accept_aliases(cls, values: Any) -> Any:
        """Rename the aliases of fields, and refuse a field that is given twice or does not exist."""
        if not isinstance(values, dict):
            return values
        marks = marks_of(cls)
        named: dict[str, Any] = {}
        if COMPLETION_LIMIT in values and "max_tokens_name" in marks.fields:
            values = {"max_tokens_name": COMPLETION_LIMIT, **values}
        for key, value in values.items():
            name = field_named(marks, key, value, call=False)
            if name in named:
                raise ValueError(f"{name!r} is given twice: as {key!r} and under another name.")
            if name in marks.fields:
                named[name] = value
            elif name in ELSEWHERE:
                refuse_elsewhere(name, value)
            else:
                raise unknown_field(cls, key)
        _take_from_extra(marks, named)
        for place in ("query_params", "documents_params"):
            if isinstance(named.get(place), Mapping):
                check_params(marks, place, named[place])
        return {name: value for name, value in named.items() if value is not None or name not in marks.no_none}

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
        return self._parse(address).endpoint if address else None

    def _default_model(self) -> str:
        name = os.environ.get("DATABRICKS_MODEL")
        if name:
            return name
        warn(
            f"No model given, so {DEFAULT_MODEL!r} is used. This default will move as models are retired: name the "
            "serving endpoint with model=... or DATABRICKS_MODEL."
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
        marks = marks_of(type(self))
        names = {
            "config_profile": "profile"
        }  # AuthSettings, which has no part of LangChain, calls it by its usual name
        given = {field_named(marks, key, value, call=False): value for key, value in identity.items()}
        settings = self._auth_settings().with_identity(**{names.get(key, key): value for key, value in given.items()})
        fields = {name: getattr(settings, names.get(name, name)) for name in marks.who}
        fields["workspace_client"] = settings.workspace_client or settings.config
        return self.model_copy(update=fields)

    def _key(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in marks_of(type(self)).link)

    def link(self, call: Mapping[str, Any] | None = None) -> Link:
        """Work out where requests go and who signs them, once; may read files, so async code calls `alink`.

        Args:
            call: The settings of a call, which may say who makes it.

        Returns:
            The address and the channel to it.

        Raises:
            ConfigurationError: If there is no host or no way to sign in.
        """
        identity, how = call_overrides(marks_of(type(self)), call_settings(type(self), call or {}))
        if identity or how:
            model = self.with_credentials(**identity) if identity else self
            return model.model_copy(update=how)._settled_link()  # noqa: SLF001  # the copy is one of us
        return self._settled_link()

    def _settled_link(self) -> Link:
        """Return the link for the fields as they are, from the holder if they have not changed."""
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
        if link is not None and not (
            call and any(call_overrides(marks_of(type(self)), call_settings(type(self), call)))
        ):
            return link
        import asyncio  # noqa: PLC0415  # sync programs never load it for us

        return await asyncio.to_thread(DatabricksConnection.link, self, call)

    def _connect(self) -> Link:
        from langchain_dbchat.auth.resolver import resolve  # noqa: PLC0415  # loads the way of signing in: first call only
        from langchain_dbchat.transport.channel import Channel, Timeouts  # noqa: PLC0415  # loads httpx: first call only
        from langchain_dbchat.transport.exchange import RetryPolicy  # noqa: PLC0415  # the same
        from langchain_dbchat.transport.user_clients import UserClients  # noqa: PLC0415  # the same

        clients = UserClients(self.http_client, self.http_async_client)
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
            http_client=self.http_client,
            http_async_client=self.http_async_client,
        )
        return Link(signed.workspace, channel, signed.credentials, signed.variables)

    def caller_of(self, link: Link, call: Mapping[str, Any]) -> str | None:
        """Name who a call is made by, and where it goes, for a cache of answers; may read a file.

        Args:
            link: The call's connection.
            call: The settings of the call.

        Returns:
            A digest that no other caller and no other workspace has, or None where the caller is known only when a
            request is signed: then nothing may be cached.
        """
        if self.http_client is not None or self.http_async_client is not None:
            return None  # a client of the user's may sign by itself
        given = call_settings(type(self), call)
        headers = {**(self.default_headers or {}), **(given.get("default_headers") or {})}
        query = {**(self.default_query or {}), **(given.get(QUERY) or {})}
        return caller_digest(link, headers, query)

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
        return self._parse(self.base_url or "").kind == "openai"

    def _parse(self, address: str) -> Workspace:
        from langchain_dbchat.routing.address import parse_workspace  # noqa: PLC0415  # where a model is made

        return parse_workspace(address, allow_http=self.allow_http, plain=self.base_url is not None)

    def write_request(  # noqa: PLR0913  # one request's parts, the last two by keyword
        self,
        link: Link,
        operation: str,
        model: str,
        body: dict[str, Any],
        *,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        streaming: bool = False,
    ) -> Request:
        """Address and write a request.

        Args:
            link: The connection.
            operation: ``"chat"`` or ``"embeddings"``.
            model: The endpoint's name.
            body: The body.
            headers: Headers of this call, over those of the constructor.
            query: Query parameters of this call, over those of the constructor.
            streaming: Whether the answer is read as a stream.

        Returns:
            The request, unsigned.

        Raises:
            ConfigurationError: If the body holds something that is no JSON.
            DatabricksInvalidRequestError: If the body is larger than `max_request_bytes`.
        """
        from langchain_dbchat.transport.attempt import user_agent  # noqa: PLC0415  # loads httpx: first call only
        from langchain_dbchat.transport.exchange import Request  # noqa: PLC0415  # loads with the transport
        from langchain_dbchat.transport.request_size import check_size  # noqa: PLC0415  # loads with the transport

        url, named = route(link.workspace, operation, model)
        if named:
            body = {"model": model, **body}
        if self.default_query or query:
            url = f"{url}?{urlencode({**(self.default_query or {}), **(query or {})})}"
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


def _take_from_extra(marks: Marks, named: dict[str, Any]) -> None:
    """Take the settings that stand inside ``extra_body`` out of it; those of the constructor go over them."""
    if not isinstance(named.get("extra_body"), Mapping):
        return
    named["extra_body"], beside = split_extra(marks, named["extra_body"])
    for name, inside in (("default_headers", "default_headers"), ("default_query", QUERY)):
        if inside in beside:
            named[name] = {**beside.pop(inside), **(named.get(name) or {})}
    named.update({name: value for name, value in beside.items() if named.get(name) is None})
