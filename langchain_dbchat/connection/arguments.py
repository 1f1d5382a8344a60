"""The arguments of the connection for type checkers; `make arguments` writes this file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from typing_extensions import TypedDict

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from pydantic import SecretStr

__all__ = ["ConnectionArguments"]


class ConnectionArguments(TypedDict, total=False):
    """The names and types of the arguments; `DatabricksConnection` explains them."""

    model: str | None
    endpoint: str | None
    model_name: str | None
    host: str | None
    workspace: str | None
    workspace_url: str | None
    token: str | SecretStr | Callable[[], str | Awaitable[str]] | None
    api_key: str | SecretStr | Callable[[], str | Awaitable[str]] | None
    openai_api_key: str | SecretStr | Callable[[], str | Awaitable[str]] | None
    base_url: str | None
    api_base: str | None
    openai_api_base: str | None
    client_id: str | None
    client_secret: str | SecretStr | None
    config_profile: str | None
    config_file: str | None
    auth_type: str | None
    workspace_client: Any
    credentials: Any
    user_session_token: str | SecretStr | Callable[[], str | Awaitable[str]] | None
    audience: str | None
    use_ai_gateway: bool | None
    use_ai_gateway_native_api: bool | None
    request_tags: Mapping[str, str] | None
    workspace_id: str | None
    allow_http: bool | None
    timeout: Any
    request_timeout: Any
    max_retries: int | None
    num_retries: int | None
    retry_deadline: float | None
    resend_after_loss: bool | None
    adaptive_limit: bool | Literal["always"] | None
    max_request_bytes: int | None
    max_response_bytes: int | None
    default_headers: Mapping[str, str] | None
    api_headers: Mapping[str, str] | None
    extra_headers: Mapping[str, str] | None
    headers: Mapping[str, str] | None
    default_query: Mapping[str, str] | None
    user_agent: str | None
    proxy: str | SecretStr | None
    openai_proxy: str | SecretStr | None
    http_client: Any
    http_async_client: Any
    target_uri: str | None
    custom_llm_provider: str | None
