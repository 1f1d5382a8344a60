"""The ways of signing in, in order of precedence: one row for each.

Rule 1. A row returns credentials, or the reason why it does not apply. The reason says what was looked at and what was
found, and never contains a value that may be secret. A row does not use the network.
Rule 2. A row for an argument raises if the argument cannot work. If it were ignored, the request would be signed as
somebody else.
Rule 3. If the user gave arguments, the environment is not used.
Rule 4. The order is that of ellmer (token, service principal, Workbench, CLI;
https://ellmer.tidyverse.org/reference/chat_databricks.html). Posit Connect's viewer is first, the SDK's chain last.
Rule 5. The module of a way is imported when its row applies, so a cold start with a token imports no other.
"""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from pydantic import SecretStr

from langchain_dbchat._loopback import is_loopback
from langchain_dbchat.auth.credentials import CallableToken, StaticToken
from langchain_dbchat.auth.search import HOST_VARIABLES, WORKBENCH_SECTION, Search
from langchain_dbchat.auth.secret import Secret
from langchain_dbchat.auth.settings import ON_BEHALF, as_secret
from langchain_dbchat.errors import ConfigurationError
from langchain_dbchat.transport.signing import Credentials

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_dbchat.auth.posit import ConnectServer

logger = logging.getLogger(__name__)

CredentialsOrReason = Credentials | str

_CONNECT_PRODUCTS = frozenset({"CONNECT", "CONNECT_CLOUD"})
FOREIGN = "the address is not a Databricks workspace, so Databricks credentials are not sent there"
_SERVING_FOLDER = "/var/credentials-secret"
# What the rest of the SDK's chain needs at least one of.
SDK_HINTS = (
    "ARM_CLIENT_ID",
    "ARM_CLIENT_SECRET",
    "ARM_TENANT_ID",
    "ARM_USE_MSI",
    "DATABRICKS_AZURE_RESOURCE_ID",
    "GOOGLE_CREDENTIALS",
    "DATABRICKS_GOOGLE_SERVICE_ACCOUNT",
    "DATABRICKS_OIDC_TOKEN",
    "DATABRICKS_OIDC_TOKEN_ENV",
    "DATABRICKS_OIDC_TOKEN_FILEPATH",
    "DATABRICKS_OIDC_TOKEN_FILE",
    "ACTIONS_ID_TOKEN_REQUEST_URL",
    "SYSTEM_ACCESSTOKEN",
    "DATABRICKS_METADATA_SERVICE_URL",
    "DATABRICKS_USERNAME",
)
_reported: set[str] = set()


class Step(NamedTuple):
    """One way of signing in.

    Args:
        name: What the user calls it.
        attempt: Gives credentials, or the reason why it does not apply.
        auth_types: The names by which `auth_type` jumps here.
        is_argument: It looks at arguments, so that nothing is sent anywhere that the user did not ask for.
        is_object: It is an object of the user's own, in which `auth_type` has no say.
        is_for_any_host: It looks itself whether its secret may go to a host that is not a Databricks workspace.
        is_tentative: Only the first request shows whether it works.
        is_given: The user passed the secret itself, so it is sent to the host that the user names.
        owner: Gives the host that the source of the secret names; None where the environment is the source.
    """

    name: str
    attempt: Callable[[Search], CredentialsOrReason]
    auth_types: frozenset[str] = frozenset()
    is_argument: bool = False
    is_object: bool = False
    is_for_any_host: bool = False
    is_tentative: bool = False
    is_given: bool = False
    owner: Callable[[Search], str | None] = lambda _: None


def _profile_host(search: Search) -> str | None:
    return search.config_file.option(search.profile[0], "host")


def _workbench_host(search: Search) -> str | None:
    return search.config_file.option(WORKBENCH_SECTION, "host")


def _host_of_asked_profile(search: Search) -> str | None:
    """Return the host of the profile that `auth_type` uses; None if it uses none."""
    name = _asked_profile(search)
    return search.config_file.option(name, "host") if name else None


def _asked_profile(search: Search) -> str | None:
    """Return the profile that a way of signing in uses which was asked for by its name."""
    if search.wanted is None:
        return search.settings.profile
    return search.settings.profile or search.env("DATABRICKS_CONFIG_PROFILE")


def _credentials_argument(search: Search) -> CredentialsOrReason:
    credentials: object = search.settings.credentials
    if credentials is None:
        return "not given"
    if isinstance(credentials, type) or not isinstance(credentials, Credentials):
        given = f"the class {credentials.__name__}" if isinstance(credentials, type) else type(credentials).__name__
        raise ConfigurationError(
            f"credentials is {given}; it needs a name and the methods headers(*, refresh=False) "
            "and aheaders(*, refresh=False)."
        )
    return credentials


def _token_argument(search: Search) -> CredentialsOrReason:
    token = search.settings.token
    if token is None:
        return "not given"
    if isinstance(token, (str, SecretStr)):
        return StaticToken(Secret(as_secret(token)))
    return CallableToken(token)


def _viewer(search: Search) -> CredentialsOrReason:
    token = search.settings.user_session_token
    if token is None:
        return "no user_session_token given"
    from langchain_dbchat.auth.posit import VIEWER_TYPE, ConnectCaller, ConnectSession

    server = _connect_server(search)
    if isinstance(server, str):
        raise ConfigurationError(
            f"user_session_token works on Posit Connect only: {server}. Leave it out elsewhere, for example where the "
            "request has no header Posit-Connect-User-Session-Token."
        )
    if isinstance(token, (str, SecretStr)):
        return ConnectSession(server, as_secret(token), VIEWER_TYPE)
    return ConnectCaller(server, token, VIEWER_TYPE)


def _client_argument(search: Search) -> CredentialsOrReason:
    settings = search.settings
    if settings.client_id is None and settings.client_secret is None:
        return "not given"
    if settings.client_id is None or settings.client_secret is None:
        given, missing = ("client_id", "client_secret") if settings.client_id else ("client_secret", "client_id")
        raise ConfigurationError(f"{given} was given without {missing}; OAuth machine-to-machine needs both.")
    from langchain_dbchat.auth.m2m import ClientCredentials

    secret = Secret(as_secret(settings.client_secret))
    return ClientCredentials(_login_origin(search), settings.client_id, secret, clients=settings.clients)


def _sdk_argument(search: Search) -> CredentialsOrReason:
    config = search.settings.sdk_config
    if config is None:
        if search.settings.workspace_client is not None:
            raise ConfigurationError("workspace_client has no config; pass a databricks.sdk.WorkspaceClient.")
        return "not given"
    if not callable(getattr(config, "authenticate", None)):
        raise ConfigurationError(f"config is {type(config).__name__}; pass a databricks.sdk.core.Config.")
    from langchain_dbchat.auth.sdk import SdkConfig

    return SdkConfig(config)


def _profile_argument(search: Search) -> CredentialsOrReason:
    from langchain_dbchat.auth.profile_steps import profile_credentials

    if not search.has_profile_argument:
        return "no profile or config_file given"
    answer = profile_credentials(search)
    if isinstance(answer, str) and search.wanted is None:
        raise ConfigurationError(f"The profile that was asked for cannot be used: {answer}.")
    return answer


def _env_token(search: Search) -> CredentialsOrReason:
    names = [name for name in ("DATABRICKS_TOKEN", "DATABRICKS_API_KEY") if search.env(name)]
    if not names:
        return "neither is set"
    if search.workspace.kind == "openai" and not search.host.from_environment:
        return f"{names[0]} is set, but {FOREIGN}; pass token=... (any text if the server wants none)"
    if len(names) > 1 and search.env(names[0]) != search.env(names[1]) and not _reported:
        _reported.add(names[0])
        logger.warning("DATABRICKS_TOKEN and DATABRICKS_API_KEY differ; DATABRICKS_TOKEN is used.")
    hosts = tuple((name, os.environ.get(name)) for name in HOST_VARIABLES)
    found = Secret(SecretStr(search.environ[names[0]].strip()), variable=names[0], beside=hosts)
    return StaticToken(found, names[0])


def _env_client(search: Search) -> CredentialsOrReason:
    client_id, secret = search.env("DATABRICKS_CLIENT_ID"), search.env("DATABRICKS_CLIENT_SECRET")
    if not client_id or not secret:
        if client_id or secret:
            return (
                f"only {'DATABRICKS_CLIENT_ID' if client_id else 'DATABRICKS_CLIENT_SECRET'} is set, and it takes both"
            )
        return "neither is set"
    from langchain_dbchat.auth.m2m import ClientCredentials

    name = "DATABRICKS_CLIENT_ID and DATABRICKS_CLIENT_SECRET"
    found = Secret(SecretStr(secret), variable="DATABRICKS_CLIENT_SECRET")
    return ClientCredentials(_login_origin(search), client_id, found, name, search.settings.clients)


def _workbench(search: Search) -> CredentialsOrReason:
    if not search.is_workbench:
        return "DATABRICKS_CONFIG_FILE does not name a posit-workbench file"
    config = search.config_file
    if not config.exists:
        return f"{config.path} does not exist"
    if not config.option(WORKBENCH_SECTION, "token"):
        return f"{config.path} has no token in [{WORKBENCH_SECTION}]; is a Databricks session selected in Workbench?"
    host = config.option(WORKBENCH_SECTION, "host")
    if not search.belongs(host):
        return f"{config.path} is for {host}, not for {search.workspace.host}"
    from langchain_dbchat.auth.posit import FileToken

    return FileToken(config.path, WORKBENCH_SECTION, "Posit Workbench")


def _service_account(search: Search) -> CredentialsOrReason:
    server = _connect_server(search)
    if isinstance(server, str):
        return server
    path, token = search.env("CONNECT_CONTENT_SESSION_TOKEN_FILE"), search.env("CONNECT_CONTENT_SESSION_TOKEN")
    if not path and not token:
        return "neither CONNECT_CONTENT_SESSION_TOKEN_FILE nor CONNECT_CONTENT_SESSION_TOKEN is set"
    from langchain_dbchat.auth.posit import CONTENT_TYPE, ConnectCaller, ContentToken

    source = ContentToken(
        Secret(SecretStr(token), variable="CONNECT_CONTENT_SESSION_TOKEN") if token else None,
        Path(path) if path else None,
    )
    return ConnectCaller(server, source, CONTENT_TYPE, "Posit Connect service account")


def _profile(search: Search) -> CredentialsOrReason:
    from langchain_dbchat.auth.profile_steps import profile_credentials

    if search.has_profile_argument:
        return "see the profile argument"
    return profile_credentials(search)


def _model_serving(search: Search) -> CredentialsOrReason:
    inside = [name for name in ("IS_IN_DB_MODEL_SERVING_ENV", "IS_IN_DATABRICKS_MODEL_SERVING_ENV") if search.env(name)]
    if not any(search.environ[name].strip() == "true" for name in inside):
        return "IS_IN_DATABRICKS_MODEL_SERVING_ENV is not 'true'"
    path = Path(search.env("SERVING_CREDENTIALS_DIR") or _SERVING_FOLDER, "model-dependencies-oauth-token")
    on_behalf = search.wanted in ON_BEHALF
    if not path.is_file():
        return f"{path} does not exist; was the model logged with its resources?"
    from langchain_dbchat.auth.sdk import SdkSignIn

    name = "Databricks model serving" + (", on behalf of the user" if on_behalf else "")
    return SdkSignIn(name, search.login_origin, search.wanted if on_behalf else "model-serving")


def _runtime(search: Search) -> CredentialsOrReason:
    if not search.env("DATABRICKS_RUNTIME_VERSION"):
        return "DATABRICKS_RUNTIME_VERSION is not set"
    from langchain_dbchat.auth.sdk import SdkSignIn

    return SdkSignIn("Databricks runtime", search.login_origin, "runtime")


def _cli(search: Search) -> CredentialsOrReason:
    from langchain_dbchat.auth.cli import CommandLine, find_cli

    executable = find_cli(search.environ)
    if executable is None:
        return "no command `databricks` on PATH, and DATABRICKS_CLI_PATH names none"
    return CommandLine(executable, _asked_profile(search), search.login_origin, search.settings.config_file)


def _sdk_chain(search: Search) -> CredentialsOrReason:
    from langchain_dbchat.auth import sdk

    wanted = search.wanted
    settings = search.settings
    if not sdk.is_installed():
        return "the package databricks-sdk is not installed"
    if wanted is not None:
        profile, host = _asked_profile(search), search.login_origin
        return sdk.SdkSignIn(f"auth_type {wanted!r}", host, wanted, profile, settings.config_file, settings.client_id)
    hint = next((name for name in SDK_HINTS if search.env(name)), None)
    if hint is None and not _has_azure_cli(search):
        return (
            "nothing it would use is set (ARM_*, GOOGLE_*, DATABRICKS_OIDC_*, ...), nor is there `az` for an Azure host"
        )
    return sdk.SdkSignIn("Databricks SDK's own chain", search.login_origin)


def _has_azure_cli(search: Search) -> bool:
    """Return whether the Azure CLI is there; it is asked only for hosts of Azure, though the SDK asks it for all."""
    is_azure = search.workspace.hostname.endswith(".azuredatabricks.net")
    return is_azure and shutil.which("az", path=search.environ.get("PATH")) is not None


def _connect_server(search: Search) -> ConnectServer | str:
    """Return the Connect server that this runs on, or why there is none."""
    if not {search.env("RSTUDIO_PRODUCT"), search.env("POSIT_PRODUCT")} & _CONNECT_PRODUCTS:
        return "this does not run on Posit Connect (POSIT_PRODUCT and RSTUDIO_PRODUCT say so)"
    url, key = search.env("CONNECT_SERVER"), search.env("CONNECT_API_KEY")
    if not url or not key:
        return f"{'CONNECT_SERVER' if not url else 'CONNECT_API_KEY'} is not set"
    try:
        server = urlsplit(url)
    except ValueError:
        return "CONNECT_SERVER is not an address"
    if server.scheme == "http" and not search.settings.allow_http and not is_loopback(server.hostname or ""):
        return "CONNECT_SERVER is http:// and would see the session unencrypted; pass allow_http=True to permit it"
    from langchain_dbchat.auth.posit import ConnectServer

    settings = search.settings
    return ConnectServer(
        url, Secret(SecretStr(key), variable="CONNECT_API_KEY"), settings.audience, clients=settings.clients
    )


def _login_origin(search: Search) -> str:
    """Return where a service principal gets its token."""
    origin = search.login_origin
    if origin is None:
        raise ConfigurationError(
            f"{search.workspace.host} issues no tokens to service principals. Set DATABRICKS_HOST to the workspace it "
            "belongs to."
        )
    return origin


STEPS: tuple[Step, ...] = (
    Step("credentials argument", _credentials_argument, is_argument=True, is_object=True, is_given=True),
    Step("token argument", _token_argument, frozenset({"pat"}), is_argument=True, is_given=True),
    Step(
        "Posit Connect viewer",
        _viewer,
        frozenset({"posit-oauth-integration", "posit-connect-viewer"}),
        is_argument=True,
        is_given=True,
    ),
    Step(
        "client_id and client_secret arguments",
        _client_argument,
        frozenset({"oauth-m2m"}),
        is_argument=True,
        is_given=True,
    ),
    Step("workspace_client or config argument", _sdk_argument, is_argument=True, is_object=True, is_given=True),
    Step(
        "profile argument",
        _profile_argument,
        frozenset({"pat", "oauth-m2m"}),
        is_argument=True,
        owner=_profile_host,
    ),
    Step("DATABRICKS_TOKEN or DATABRICKS_API_KEY", _env_token, frozenset({"pat"}), is_for_any_host=True),
    Step("DATABRICKS_CLIENT_ID and DATABRICKS_CLIENT_SECRET", _env_client, frozenset({"oauth-m2m"})),
    Step("Posit Workbench", _workbench, frozenset({"posit-workbench"}), owner=_workbench_host),
    Step(
        "Posit Connect service account",
        _service_account,
        frozenset({"posit-oauth-integration", "posit-connect-service-account"}),
    ),
    Step("configuration file", _profile, frozenset({"pat", "oauth-m2m"}), owner=_profile_host),
    Step("Databricks model serving", _model_serving, frozenset({"model-serving"}) | ON_BEHALF),
    Step("Databricks runtime", _runtime, frozenset({"runtime"})),
    Step("Databricks CLI", _cli, frozenset({"databricks-cli"}), is_tentative=True, owner=_host_of_asked_profile),
    Step("Databricks SDK", _sdk_chain, is_tentative=True, owner=_host_of_asked_profile),
)
