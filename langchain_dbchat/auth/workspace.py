"""Where requests go: the address a user gives, in whatever shape they have it at hand, and what it stands for.

People paste the host, the address bar of the browser (`?o=123`), the `base_url` of an OpenAI client, the URL from a
serving endpoint's page, or that of some other OpenAI-compatible server. Each becomes the same small value. Nothing here
touches the network, and no error repeats an address that may hold a secret.

Kinds:
    workspace: a Databricks workspace; requests go to `{base_url}/{endpoint}/invocations` and its siblings.
    gateway: the AI gateway's unified path, `/ai-gateway/mlflow/v1`.
    app: a Databricks app (`*.databricksapps.com`).
    openai: any other OpenAI-compatible server; `{base_url}/chat/completions`, and no Databricks way of signing in is
        tried.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Literal
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from langchain_dbchat.errors import ConfigurationError

if TYPE_CHECKING:
    from typing import NoReturn

Kind = Literal["workspace", "gateway", "app", "openai"]

_HINT = "Give the workspace's address, such as 'https://adb-1234567890123456.7.azuredatabricks.net'."

_LONGEST_NAME = 253

_DATABRICKS = re.compile(
    r"(?:^|\.)(?:databricks\.(?:com|us|mil)|azuredatabricks\.net|databricks\.azure\.(?:us|cn)|databricksapps\.com)$"
)
_APP = re.compile(r"(?:^|\.)databricksapps\.com$")
# Hosts of Databricks that take a workspace's tokens but issue none: apps, route-optimized endpoints, the older gateway
# host.
_SATELLITE = re.compile(
    r"(?:\.databricksapps\.com|\.serving\.[^/]*databricks\.\w+|\.ai-gateway\.[^/]*databricks\.\w+)$"
)
_GATEWAY_HOST = re.compile(r"\.ai-gateway\.")

_OPERATION = r"(?:/(?:chat/completions|completions|embeddings|responses|open-responses))?"
# First match wins. `base` is kept as the base path where the row names none.
_PATHS: tuple[tuple[re.Pattern[str], Kind, str | None], ...] = (
    (re.compile(rf"(?P<base>(?:/.+)?/serving-endpoints){_OPERATION}"), "workspace", None),
    (re.compile(r"(?P<base>(?:/.+)?/serving-endpoints)/(?P<endpoint>[^/]+)(?:/invocations)?"), "workspace", None),
    (re.compile(rf"/ai-gateway(?:/mlflow(?:/v1)?{_OPERATION})?"), "gateway", "/ai-gateway/mlflow/v1"),
    (re.compile(rf"(?P<base>/ai-gateway/.+?){_OPERATION}"), "gateway", None),
    # The address bar of the page that shows an endpoint, or all of them.
    (re.compile(r"/ml/endpoints(?:/(?P<endpoint>[^/]+))?"), "workspace", "/serving-endpoints"),
)
_PLAIN_PATH = re.compile(rf"(?P<base>.*?)(?:/invocations|{_OPERATION})")


@dataclass(frozen=True)
class Workspace:
    """An address, taken apart.

    Args:
        origin: Scheme, host and port, such as `https://dbc-1.cloud.databricks.com`; no path, no slash at the end.
        kind: What answers there; see the module's docstring.
        base_path: The path under which requests go, such as `/serving-endpoints`; no slash at the end.
        workspace_id: The `?o=` of the address, for hosts that front several workspaces.
        endpoint: The serving endpoint that the address named, if it named one.
    """

    origin: str
    kind: Kind = "workspace"
    base_path: str = "/serving-endpoints"
    workspace_id: str | None = None
    endpoint: str | None = None

    @property
    def base_url(self) -> str:
        """Origin and base path."""
        return self.origin + self.base_path

    @property
    def host(self) -> str:
        """Host and port alone, for messages."""
        return self.origin.partition("://")[2]

    @property
    def hostname(self) -> str:
        """The host alone."""
        return urlsplit(self.origin).hostname or ""

    @property
    def is_loopback(self) -> bool:
        """Whether requests stay on this machine."""
        return is_loopback(self.hostname)

    @property
    def is_databricks(self) -> bool:
        """Whether the host belongs to Databricks by its name."""
        return _DATABRICKS.search(self.hostname) is not None

    @property
    def issues_tokens(self) -> bool:
        """Whether `/oidc/v1/token` is to be asked at this origin; apps and route-optimized hosts have none."""
        return self.kind != "openai" and _SATELLITE.search(self.hostname) is None


def parse_workspace(text: str, *, allow_http: bool = False, plain: bool = False) -> Workspace:
    """Read an address in any of the shapes people have at hand.

    Args:
        text: The address; `https://` is added where no scheme is given.
        allow_http: Permit `http://` to a host that is not this machine.
        plain: The address is the base URL of an OpenAI-compatible server, unless it is recognisably Databricks.

    Returns:
        What it stands for.

    Raises:
        ConfigurationError: It is no address, or not one that a token may be sent to.
    """
    parts = _split(text)
    host, port = _check_host(parts)
    if parts.scheme == "http" and not allow_http and not is_loopback(host):
        raise ConfigurationError(
            f"http://{host} would send the token unencrypted. Use https://{host}, or pass allow_http=True if the "
            "network in between is trusted."
        )
    netloc = f"[{host}]" if ":" in host else host
    if port is not None and port != {"https": 443, "http": 80}[parts.scheme]:
        netloc = f"{netloc}:{port}"
    kind, base_path, endpoint = _classify(host, re.sub(r"/+", "/", parts.path).rstrip("/"), plain=plain)
    query = parse_qs(parts.query)
    workspace_id = next(iter(query.pop("o", ())), None)
    if query and kind == "openai":
        raise ConfigurationError(
            f"The address of {host} has a query ({', '.join(sorted(query))}). Leave it out, and pass what the server "
            "needs as default_query."
        )
    return Workspace(
        f"{parts.scheme}://{netloc}",
        kind,
        base_path,
        check_workspace_id(workspace_id) if workspace_id else None,
        endpoint,
    )


def _split(text: object) -> SplitResult:
    """Cut the address at its joints, or say what is wrong with it."""
    if not isinstance(text, str):
        raise ConfigurationError(f"The host is {type(text).__name__}, not a string. {_HINT}")
    address = text.strip()
    if not address:
        raise ConfigurationError(f"The host is empty. {_HINT}")
    if "@" in address.partition("?")[0]:
        raise ConfigurationError(
            f"The host holds a user name or a password. Pass credentials as arguments instead. {_HINT}"
        )
    from langchain_dbchat.error_bodies import scrub  # noqa: PLC0415  # a program that starts cold waits for no patterns

    if scrub(address) != address:
        raise ConfigurationError(
            f"The host holds something that looks like a token. Were host and token swapped? {_HINT}"
        )
    if re.search(r"[\s\x00-\x1f\x7f<>\"{}|\\^`]", address):
        _refuse(address, "it holds spaces or characters that no address has")
    if re.match(r"https?:(?!//)", address, re.IGNORECASE):
        _refuse(address, "two slashes belong after 'https:'")
    if "://" not in address:
        address = "https://" + address.removeprefix("//")
    try:
        parts = urlsplit(address)
    except ValueError:
        _refuse(address, "it is no URL")
    if parts.scheme not in {"http", "https"}:
        _refuse(address, f"its scheme is {parts.scheme!r} and not https")
    return parts


def _check_host(parts: SplitResult) -> tuple[str, int | None]:
    """Host and port, checked."""
    address = parts.geturl()
    try:
        host, port = parts.hostname or "", parts.port
    except ValueError:
        _refuse(address, "its port is no number")
    if not re.fullmatch(r"[\w.-]+|[0-9a-fA-F:.]+", host) or not re.search(r"\w", host):
        _refuse(address, "it has no host name")
    if not is_host_name(host):
        _refuse(address, "its host is not a name that DNS can hold (an empty label, or more than 63 letters in one)")
    if host.startswith("accounts."):
        raise ConfigurationError(
            f"{host} is the account console; models are served by workspaces. Open the workspace in the browser and "
            f"take its address. {_HINT}"
        )
    return host, port


def _classify(host: str, path: str, *, plain: bool) -> tuple[Kind, str, str | None]:
    """Kind, base path and endpoint of an address."""
    if _APP.search(host):
        kind: Kind = "app"
    else:
        for pattern, row_kind, row_base in _PATHS:
            match = pattern.fullmatch(path)
            if match:
                found = match.groupdict()
                endpoint = found.get("endpoint")
                return row_kind, row_base or found["base"], unquote(endpoint) if endpoint else None
        if _GATEWAY_HOST.search(host) and _DATABRICKS.search(host):
            kind = "gateway"
        elif not path and (not plain or _DATABRICKS.search(host)):
            return "workspace", "/serving-endpoints", None
        else:
            kind = "openai"
    match = _PLAIN_PATH.fullmatch(path)
    return kind, match["base"] if match else path, None


def check_workspace_id(workspace_id: str) -> str:
    """The workspace's id, if it can stand in a header.

    Args:
        workspace_id: As an address (`?o=`), an argument or the environment gives it.

    Raises:
        ConfigurationError: It cannot.
    """
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,128}", workspace_id):
        raise ConfigurationError("The workspace id holds characters that no id has. It is usually a number.")
    return workspace_id


def is_host_name(host: str) -> bool:
    """Whether a resolver can be asked for a host at all (RFC 1035, 2.3.4; RFC 3490 for other alphabets).

    Args:
        host: The name, or an IP address.
    """
    if ":" in host:
        try:
            return bool(ip_address(host))
        except ValueError:
            return False
    try:
        if len(host.encode("idna")) > _LONGEST_NAME:
            return False
        if "xn--" in host:
            import httpx  # noqa: PLC0415  # a name in another alphabet is rare, and httpx decides whether it is one

            return bool(httpx.URL(f"https://{host}").host)
    except UnicodeError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine.

    Args:
        host: The name or address, without a port.
    """
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _refuse(address: str, reason: str) -> NoReturn:
    """Say what is wrong with an address that holds no secret."""
    raise ConfigurationError(f"{address!r} is not an address of a workspace: {reason}. {_HINT}")
