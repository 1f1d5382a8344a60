"""The sources of a search for credentials: the user's arguments, the environment and the configuration file.

Rule 1. Each source is read when it is first needed, and at most once in a search.
Rule 2. The host is found here too, because a profile that names a host may only sign requests to that host: the token
of one workspace is never sent to another because of a default.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from langchain_dbchat.errors import ConfigurationError
from langchain_dbchat.routing.address import Workspace, check_workspace_id, parse_workspace

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from langchain_dbchat.auth.profiles import ConfigFile
    from langchain_dbchat.auth.settings import AuthSettings

WORKBENCH_MARK = "posit-workbench"
WORKBENCH_SECTION = "workbench"
_SDK_CONFIG = "the Databricks SDK's Config"
HOST_VARIABLES = ("DATABRICKS_API_BASE", "DATABRICKS_HOST")
"""The variables that name the hosts to which the secrets of the environment belong."""


class HostFound(NamedTuple):
    """Where the host was found.

    Args:
        source: What named it, such as "DATABRICKS_HOST".
        workspace: What it stands for.
        from_environment: It was found in the environment or a file, and not given as an argument.
    """

    source: str
    workspace: Workspace
    from_environment: bool


class Search:
    """One search for credentials.

    Args:
        settings: What the user said.
        environ: The environment.
    """

    def __init__(self, settings: AuthSettings, environ: Mapping[str, str]) -> None:
        self.settings = settings
        self.environ = environ
        self.variables: dict[str, None] = {}
        """The variables that were asked for, in order, whether they are set or not."""
        self.is_withheld = False
        """Whether something was found that may not be sent to the host."""

    def env(self, name: str) -> str | None:
        """Return a variable of the environment; None where it is missing or empty.

        Args:
            name: The variable.
        """
        self.variables[name] = None
        return self.environ.get(name, "").strip() or None

    @property
    def wanted(self) -> str | None:
        """Return the one way of signing in that was asked for; arguments that say who calls outrank the environment."""
        asked = self.settings.auth_type or (None if self.settings.is_explicit else self.env("DATABRICKS_AUTH_TYPE"))
        return asked.strip().lower() if asked else None

    @property
    def config_text(self) -> str | None:
        """Return the configuration file as it was named; None for the usual one."""
        return self.settings.config_file or self.env("DATABRICKS_CONFIG_FILE")

    @property
    def config_path(self) -> Path:
        """Return the configuration file."""
        from langchain_dbchat.auth.profiles import config_path

        return config_path(self.config_text)

    @cached_property
    def config_file(self) -> ConfigFile:
        """Return the configuration file, parsed."""
        from langchain_dbchat.auth.profiles import read_profiles

        return read_profiles(self.config_path)

    @property
    def has_profile_argument(self) -> bool:
        """Return whether an argument chose the profile."""
        return self.settings.profile is not None or self.settings.config_file is not None

    @cached_property
    def profile(self) -> tuple[str, str]:
        """Return the profile to use, and what named it."""
        from langchain_dbchat.auth.profiles import DEFAULT_PROFILE

        if self.settings.profile:
            return self.settings.profile, "profile argument"
        named = self.env("DATABRICKS_CONFIG_PROFILE")
        if named:
            return named, "DATABRICKS_CONFIG_PROFILE"
        default = self.config_file.default_profile
        if default:
            return default, "[__settings__] default_profile"
        return DEFAULT_PROFILE, "the default"

    @property
    def is_workbench(self) -> bool:
        """Return whether the configuration file is the one that Posit Workbench writes."""
        return WORKBENCH_MARK in (self.config_text or "")

    @cached_property
    def host(self) -> HostFound:
        """Return where requests go.

        Raises:
            ConfigurationError: Nothing names a host, or what names it is not an address.
        """
        for found in self._hosts():
            return found
        name, source = self.profile
        raise ConfigurationError(
            "No Databricks workspace is known. Looked at: the arguments; DATABRICKS_API_BASE and DATABRICKS_HOST, "
            f"which are not set; profile {name!r} ({source}) in {self.config_path}, which {self._why_no_host(name)}. "
            "Pass host='https://<workspace>' or set DATABRICKS_HOST."
        )

    def _why_no_host(self, profile: str) -> str:
        """Return what is wrong with a profile that names no host."""
        if not self.config_file.exists:
            return "does not exist"
        if profile not in self.config_file.sections:
            return f"has no such profile (it has: {', '.join(self.config_file.profiles) or 'none'})"
        return "names no host there"

    @property
    def workspace(self) -> Workspace:
        """Return where requests go, taken apart."""
        return self.host.workspace

    @cached_property
    def login(self) -> HostFound | None:
        """Return the host that issues tokens for the workspace.

        An app, a route-optimized endpoint and a foreign server issue none: then the next host that is named, in the
        usual order, is taken for the workspace they belong to.
        """
        return next((found for found in self._hosts() if found.workspace.issues_tokens), None)

    @property
    def login_origin(self) -> str | None:
        """Return the origin of `login`."""
        return self.login.workspace.origin if self.login else None

    @cached_property
    def environment_origins(self) -> list[str]:
        """Return the hosts that the environment names; see rule 1 of `destinations`."""
        named = [text for name in HOST_VARIABLES if (text := self.env(name))]
        if not named:
            found = (text for _, text, from_environment in self._host_texts() if from_environment and text)
            named = [text for text in (next(found, None),) if text]
        return [self.origin_of(text) for text in named]

    def origin_of(self, host: str) -> str:
        """Return the origin of a host that is only compared; empty if it is not an address (which could be a token).

        Args:
            host: The address.
        """
        try:
            return self.parse(host).origin
        except ConfigurationError:
            return ""

    def belongs(self, host: str | None) -> bool:
        """Return whether a token issued by one host may sign requests to the workspace.

        Args:
            host: The host that a profile names; None if it names none.
        """
        if host is None:
            return True
        origin = self.parse(host).origin
        if origin == self.workspace.origin:
            return True
        return not self.workspace.issues_tokens and self.workspace.is_databricks and origin == self.login_origin

    def parse(self, host: str) -> Workspace:
        """Read an address with the user's permission for http.

        Args:
            host: The address.
        """
        return parse_workspace(host, allow_http=self.settings.allow_http)

    @property
    def workspace_id(self) -> str | None:
        """Return the workspace's id on a host that fronts several; an argument goes before where the host came from."""
        found = self.settings.workspace_id or self.workspace.workspace_id
        if not found and self.host.source.startswith("profile "):
            found = self.config_file.option(self.profile[0], "workspace_id")
        if not found and self.host.from_environment:
            found = self.env("DATABRICKS_WORKSPACE_ID")
        if not found and self.host.source == _SDK_CONFIG:
            found = getattr(self.settings.sdk_config, "workspace_id", None)
        return check_workspace_id(str(found)) if found else None

    def _hosts(self) -> Iterator[HostFound]:
        """Yield every host that is named anywhere, in order of precedence."""
        for source, text, from_environment in self._host_texts():
            if text is not None:
                plain = source == "base_url argument"
                workspace = parse_workspace(text, allow_http=self.settings.allow_http, plain=plain)
                yield HostFound(source, workspace, from_environment)

    def _host_texts(self) -> Iterator[tuple[str, str | None, bool]]:
        """Yield what names each host, what it says, and whether it was found rather than given."""
        settings = self.settings
        yield "base_url argument", settings.base_url, False
        yield "host argument", settings.host, False
        if self.has_profile_argument:
            yield f"profile {self.profile[0]!r}", self.config_file.option(self.profile[0], "host"), False
        if settings.sdk_config is not None:
            yield _SDK_CONFIG, getattr(settings.sdk_config, "host", None), False
        yield "DATABRICKS_API_BASE", self.env("DATABRICKS_API_BASE"), True
        yield "DATABRICKS_HOST", self.env("DATABRICKS_HOST"), True
        if self.is_workbench:
            yield "Posit Workbench", self.config_file.option(WORKBENCH_SECTION, "host"), True
        yield f"profile {self.profile[0]!r}", self.config_file.option(self.profile[0], "host"), True
        yield "DATABRICKS_MODEL_SERVING_HOST_URL", self.env("DATABRICKS_MODEL_SERVING_HOST_URL"), True
        yield "DB_MODEL_SERVING_HOST_URL", self.env("DB_MODEL_SERVING_HOST_URL"), True
        if self.env("DATABRICKS_RUNTIME_VERSION"):
            from langchain_dbchat.auth.sdk import runtime_host

            yield "the Databricks runtime", runtime_host(), True
