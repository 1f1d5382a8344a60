"""Parse an address that a user gives, and classify what answers there.

Users paste the host, the browser's address bar (`?o=123`), the `base_url` of an OpenAI client, the URL from a serving
endpoint's page, or the URL of another OpenAI-compatible server. Each becomes a `Workspace`, without network access. An
error text never contains an address that may contain a secret.

Rule 1. On a host of Databricks, a path that is not a path of the API is a page of the workspace. The path is dropped;
the `o=` in its query, its fragment or its `next_url` is kept.
Rule 2. On any other host that was given as a workspace (a vanity name, a private link), the address is such a page if
it has an `o=`, or if its path begins like one. Any other path belongs to an OpenAI-compatible server.
Rule 3. A model server on a cluster's driver (`/driver-proxy-api/o/<id>/<cluster>/<port>/v1`) is an OpenAI-compatible
server, and its path is kept.
Rule 4. Paths of other wire formats (`/serving-endpoints/anthropic`, `/ai-gateway/codex`) mean the workspace or the
gateway that they belong to.
Rule 5. A route-optimized endpoint has a host of its own (docs/wire.md, 1.1, row O), where only that endpoint answers:
an address there names it.

Kinds:
    workspace: a Databricks workspace; requests go to `{base_url}/{endpoint}/invocations` and its siblings.
    gateway: the AI gateway's unified path, `/ai-gateway/mlflow/v1`.
    app: a Databricks app (`*.databricksapps.com`).
    optimized: a route-optimized endpoint; requests go to `{base_url}/{endpoint}/invocations` and nowhere else.
    openai: any other OpenAI-compatible server, `{base_url}/chat/completions`; Databricks' ways of signing in are not
        tried.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Literal
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from langchain_dbchat._loopback import is_loopback
from langchain_dbchat.errors import ConfigurationError

if TYPE_CHECKING:
    from typing import NoReturn

AddressKind = Literal["workspace", "gateway", "app", "optimized", "openai"]

_HINT = "Give the workspace's address, such as 'https://adb-1234567890123456.7.azuredatabricks.net'."

_LONGEST_NAME = 253

_DATABRICKS = re.compile(
    r"(?:^|\.)(?:databricks\.(?:com|us|mil)|azuredatabricks\.net|databricks\.azure\.(?:us|cn)|databricksapps\.com)$"
)
_APP = re.compile(r"(?:^|\.)databricksapps\.com$")
# Route-optimized endpoints: `<id>.serving.cloud.databricks.com`, `<id>.<shard>.serving.azuredatabricks.net`.
_OPTIMIZED_HOST = re.compile(r"\.serving\.(?:[\w-]+\.)*(?:azure)?databricks\.")
_GATEWAY_HOST = re.compile(r"\.ai-gateway\.")

_OPERATION = r"(?:/(?:chat/completions|completions|embeddings|responses|open-responses|messages))?"
_OTHER_DIALECTS = r"(?:anthropic|codex|cursor|gemini)(?!/invocations)(?:/.*)?"
# The first match wins. If a row has no base path, the group `base` is the base path. Most addresses have no path, so
# these patterns are compiled when they are used.
_ROWS: tuple[tuple[str, AddressKind, str | None], ...] = (
    (r"/driver-proxy(?:-api)?/.+", "openai", None),
    # The REST API for managing endpoints.
    (r"/api/2\.[01]/serving-endpoints(?:/(?P<endpoint>[^/]+)(?:/.*)?)?", "workspace", "/serving-endpoints"),
    (r"(?P<base>(?:/.+)?/serving-endpoints)/gemini/v1beta/models/(?P<endpoint>[^/:]+).*", "workspace", None),
    (rf"(?P<base>(?:/.+)?/serving-endpoints)/{_OTHER_DIALECTS}", "workspace", None),
    (rf"(?P<base>(?:/.+)?/serving-endpoints)(?:(?:/openai)?/v1)?{_OPERATION}", "workspace", None),
    (
        rf"(?P<base>(?:/.+)?/serving-endpoints)/(?P<endpoint>[^/]+)(?:/served-models/.+|(?:/invocations|/v1)?{_OPERATION})",
        "workspace",
        None,
    ),
    (r"/ai-gateway/gemini/v1beta/models/(?P<endpoint>[^/:]+).*", "gateway", "/ai-gateway/mlflow/v1"),
    (rf"/ai-gateway/{_OTHER_DIALECTS}", "gateway", "/ai-gateway/mlflow/v1"),
    (rf"/ai-gateway(?:/mlflow(?:/v1)?{_OPERATION})?", "gateway", "/ai-gateway/mlflow/v1"),
    (rf"(?P<base>/ai-gateway/.+?){_OPERATION}", "gateway", None),
    # The page of an endpoint, or of all endpoints; in older workspaces it is in the fragment.
    (
        r"/(?:ml|mlflow|machine-learning)/endpoints(?:/(?P<endpoint>[^/]+)(?:/.*)?)?",
        "workspace",
        "/serving-endpoints",
    ),
)
# Paths of a workspace's pages, for hosts whose name does not show that they belong to Databricks.
_PAGE = (
    r"(?!.*/v\d+(?:/|$))/(?:browse|explore|sql|ml|mlflow|editor|jobs|workflows|compute|settings|dashboards?|dashboardsv3|genie|onboarding|"
    r"notebooks?|pipelines|marketplace|login(?:\.html)?|workspace|recents|getting-started|setting|"
    r"machine-learning|ai-ml|query-history|queries|alerts)(?:/.*)?"
)
_PLAIN_PATH = rf"(?P<base>.*?)(?:/invocations|{_OPERATION})"


@dataclass(frozen=True)
class Workspace:
    """A parsed address.

    Args:
        origin: Scheme, host and port, such as `https://dbc-1.cloud.databricks.com`, without a path or a final slash.
        kind: What answers there; see the module's docstring.
        base_path: The path below which requests are sent, such as `/serving-endpoints`, without a final slash.
        workspace_id: The `?o=` of the address, for hosts that serve several workspaces.
        endpoint: The serving endpoint in the address, if any.
        wire: The wire format that the address's path names, such as ``"messages"`` for `.../anthropic/v1/messages`.
    """

    origin: str
    kind: AddressKind = "workspace"
    base_path: str = "/serving-endpoints"
    workspace_id: str | None = None
    endpoint: str | None = None
    wire: Literal["chat", "responses", "messages"] | None = None

    @property
    def base_url(self) -> str:
        """Return the origin with the base path."""
        return self.origin + self.base_path

    @property
    def host(self) -> str:
        """Return the host and the port, for messages."""
        return self.origin.partition("://")[2]

    @property
    def hostname(self) -> str:
        """Return the host without the port."""
        return urlsplit(self.origin).hostname or ""

    @property
    def is_loopback(self) -> bool:
        """Return whether requests stay on this machine."""
        return is_loopback(self.hostname)

    @property
    def is_databricks(self) -> bool:
        """Return whether the host's name belongs to Databricks."""
        return _DATABRICKS.search(self.hostname) is not None

    @property
    def issues_tokens(self) -> bool:
        """Return whether this origin has `/oidc/v1/token`: apps, route-optimized and gateway hosts do not have it."""
        is_gateway_host = self.is_databricks and _GATEWAY_HOST.search(self.hostname) is not None
        return self.kind not in {"app", "openai", "optimized"} and not is_gateway_host


def parse_workspace(text: str, *, allow_http: bool = False, plain: bool = False) -> Workspace:
    """Parse an address in any of the forms that users paste.

    Args:
        text: The address; `https://` is added if it has no scheme.
        allow_http: Whether `http://` to a host that is not this machine is permitted.
        plain: Whether the address is the base URL of an OpenAI-compatible server, unless it is clearly Databricks'.

    Returns:
        The parsed address.

    Raises:
        ConfigurationError: If it is not an address, or if a token must not be sent to it.
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
    path, query, workspace_id = _page(parts)
    kind, base_path, endpoint = _classify(host, path, plain=plain, is_page=workspace_id is not None)
    if _is_optimized(host):
        if kind != "workspace" or not endpoint:
            raise ConfigurationError(
                f"{host} is the host of a route-optimized endpoint, and the address does not name it. Give the whole "
                f"URL from the endpoint's page: https://{host}/<workspace id>/serving-endpoints/<name>/invocations."
            )
        kind = "optimized"
    if query and kind == "openai":
        raise ConfigurationError(
            f"The address of {host} has a query ({', '.join(sorted(query))}). Leave it out, and pass "
            "parameters that the server needs as default_query."
        )
    return Workspace(
        f"{parts.scheme}://{netloc}",
        kind,
        base_path,
        check_workspace_id(workspace_id) if workspace_id else None,
        endpoint,
        _wire_of(kind, path),
    )


def _split(text: object) -> SplitResult:
    """Split the address into its parts, or raise if it is not valid."""
    if not isinstance(text, str):
        raise ConfigurationError(f"The host is {type(text).__name__}, not a string. {_HINT}")
    address = text.strip()
    if not address:
        raise ConfigurationError(f"The host is empty. {_HINT}")
    if "@" in address.partition("?")[0]:
        raise ConfigurationError(
            f"The host contains a user name or a password. Pass credentials as arguments instead. {_HINT}"
        )
    from langchain_dbchat.errors.redaction import scrub  # noqa: PLC0415  # compiling its patterns takes time at a cold start

    if scrub(address) != address:
        raise ConfigurationError(
            f"The host contains something that looks like a token. Were host and token swapped? {_HINT}"
        )
    if re.search(r"[\s\x00-\x1f\x7f<>\"{}|\\^`]", address):
        _refuse(address, "it contains spaces or characters that an address cannot have")
    if re.match(r"https?:(?!//)", address, re.IGNORECASE):
        _refuse(address, "two slashes belong after 'https:'")
    if "://" not in address:
        address = "https://" + address.removeprefix("//")
    try:
        parts = urlsplit(address)
    except ValueError:
        _refuse(address, "it is not a URL")
    if parts.scheme not in {"http", "https"}:
        _refuse(address, f"its scheme is {parts.scheme!r} and not https")
    return parts


def _check_host(parts: SplitResult) -> tuple[str, int | None]:
    """Return host and port, or raise if they are not valid."""
    address = parts.geturl()
    try:
        host, port = parts.hostname or "", parts.port
    except ValueError:
        _refuse(address, "its port is not a number")
    if not re.fullmatch(r"[\w.-]+|[0-9a-fA-F:.]+", host) or not re.search(r"\w", host):
        _refuse(address, "it has no host name")
    if not is_host_name(host):
        _refuse(address, "its host is not a valid DNS name (an empty label, or more than 63 letters in one)")
    if host.startswith("accounts."):
        raise ConfigurationError(
            f"{host} is the account console; models are served by workspaces. Open the workspace in the browser and "
            f"copy its address. {_HINT}"
        )
    return host, port


def _page(parts: SplitResult) -> tuple[str, dict[str, list[str]], str | None]:
    """Return path, query and workspace id of an address; a page may have them in its fragment or `next_url`."""
    path = re.sub(r"/+", "/", parts.path).rstrip("/")
    query = _query(parts.query)
    workspace_id = _take_id(query)
    inner = parts.fragment if not path else ""
    if re.fullmatch(r"/login(?:\.html)?", path, re.IGNORECASE) and "next_url" in query:
        inner = query["next_url"][0]
    for part in filter(None, (inner, parts.fragment)):
        hidden_path, _, hidden_query = part.partition("?")
        workspace_id = workspace_id or _take_id(_query(hidden_query))
        if part is inner and (found := "/" + hidden_path.partition("#")[0].strip("!/")) != "/":
            path = found
    return path, query, workspace_id


def _query(text: str) -> dict[str, list[str]]:
    return {key.lower(): values for key, values in parse_qs(text).items()}


def _take_id(query: dict[str, list[str]]) -> str | None:
    """Remove the workspace's id from a query and return it, without what a pasted address may have after it."""
    text = next(iter(query.pop("o", ())), "")
    return text.partition("#")[0].rstrip("/") or None


def _wire_of(kind: AddressKind, path: str) -> Literal["chat", "responses", "messages"] | None:
    if kind == "app":  # MLflow's AgentServer
        return "chat" if path.endswith("/chat/completions") else "responses"
    if re.search(r"/(?:open-)?responses$", path):
        return "responses"
    return "messages" if re.search(r"/messages$|/(?:serving-endpoints|ai-gateway)/anthropic(?:/|$)", path) else None


def _is_optimized(host: str) -> bool:
    return _OPTIMIZED_HOST.search(host) is not None and _DATABRICKS.search(host) is not None


def _classify(host: str, path: str, *, plain: bool, is_page: bool) -> tuple[AddressKind, str, str | None]:
    """Return the kind, the base path and the endpoint of an address."""
    is_databricks = _DATABRICKS.search(host) is not None
    if _APP.search(host):
        kind: AddressKind = "app"
    else:
        for candidate in dict.fromkeys((path, unquote(path))) if path else ():
            for pattern, row_kind, row_base in _ROWS:
                match = re.fullmatch(pattern, candidate, re.IGNORECASE)
                if match and not (row_kind == "openai" and not is_databricks):
                    return _from_row(match, row_kind, row_base)
        if _GATEWAY_HOST.search(host) and is_databricks:
            kind = "gateway"
        elif is_databricks or (not plain and (not path or is_page or re.fullmatch(_PAGE, path, re.IGNORECASE))):
            return "workspace", "/serving-endpoints", None
        else:
            kind = "openai"
    match = re.fullmatch(_PLAIN_PATH, path)
    return kind, match["base"] if match else path, None


def _from_row(match: re.Match[str], kind: AddressKind, base: str | None) -> tuple[AddressKind, str, str | None]:
    found = match.groupdict()
    if kind == "openai":
        server = re.fullmatch(_PLAIN_PATH, match.string)
        return kind, server["base"] if server else match.string, None
    if base is None:
        base = re.sub(r"/serving-endpoints$", "/serving-endpoints", found["base"], flags=re.IGNORECASE)
    endpoint = found.get("endpoint")
    return kind, base, unquote(endpoint) if endpoint else None


def check_workspace_id(workspace_id: str) -> str:
    """Return the workspace's id if it is valid in a header.

    Args:
        workspace_id: The id from an address (`?o=`), an argument or the environment.

    Raises:
        ConfigurationError: If it is not valid.
    """
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,128}", workspace_id):
        raise ConfigurationError("The workspace id contains characters that an id cannot have. It is usually a number.")
    return workspace_id


def is_host_name(host: str) -> bool:
    """Return whether a host is a valid DNS name or IP address (RFC 1035, 2.3.4; RFC 3490 for other alphabets).

    Args:
        host: The name, or an IP address.
    """
    if ":" in host:
        try:
            return bool(ip_address(host))
        except ValueError:
            return False
    try:
        written = host.encode("idna")
        return len(written) <= _LONGEST_NAME and bool(written.decode("idna"))
    except UnicodeError:
        return False


def _refuse(address: str, reason: str) -> NoReturn:
    """Raise with the reason and the address, which must not contain a secret."""
    raise ConfigurationError(f"{address!r} is not an address of a workspace: {reason}. {_HINT}")
