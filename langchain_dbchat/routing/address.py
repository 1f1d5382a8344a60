"""Where requests go: the address a user gives, in whatever shape they have it at hand, and what it stands for.

People paste the host, the address bar of the browser (`?o=123`), the `base_url` of an OpenAI client, the URL from a
serving endpoint's page, or that of some other OpenAI-compatible server. Each becomes the same small value. Nothing here
touches the network, and no error repeats an address that may hold a secret.

Rule 1. On a host of Databricks, a path that is no address of the API is a page of the workspace: it is dropped, and the
`o=` in its query, its fragment or its `next_url` is kept.
Rule 2. On any other host that was given as a workspace, an `o=` or a path that begins as the workspace's pages do says
the same (a vanity name, a private link); another path is that of an OpenAI-compatible server.
Rule 3. A model server on a cluster's driver (`/driver-proxy-api/o/<id>/<cluster>/<port>/v1`) is a server of its own:
its path stays.
Rule 4. Surfaces that speak another dialect than chat completions (`/serving-endpoints/anthropic`, `/ai-gateway/codex`)
stand for the place that they belong to.

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

from langchain_dbchat._loopback import is_loopback
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
_OTHER_DIALECTS = r"(?:anthropic|codex|cursor|gemini)(?!/invocations)(?:/.*)?"
# First match wins. `base` is kept as the base path where the row names none.
_ROWS: tuple[tuple[str, Kind, str | None], ...] = (
    (r"/driver-proxy(?:-api)?/.+", "openai", None),
    # The REST API that shows and changes endpoints.
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
    # The page that shows an endpoint, or all of them; older workspaces have it in the fragment.
    (
        r"/(?:ml|mlflow|machine-learning)/endpoints(?:/(?P<endpoint>[^/]+)(?:/.*)?)?",
        "workspace",
        "/serving-endpoints",
    ),
)
_PATHS = tuple((re.compile(pattern, re.IGNORECASE), kind, base) for pattern, kind, base in _ROWS)
# Where the pages of a workspace are, for hosts whose name does not say that they are Databricks'.
_PAGE = re.compile(
    r"(?!.*/v\d+(?:/|$))/(?:browse|explore|sql|ml|mlflow|editor|jobs|workflows|compute|settings|dashboards?|dashboardsv3|genie|onboarding|"
    r"notebooks?|pipelines|marketplace|login(?:\.html)?|workspace|recents|getting-started|setting|"
    r"machine-learning|ai-ml|query-history|queries|alerts)(?:/.*)?",
    re.IGNORECASE,
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
    path, query, workspace_id = _page(parts)
    kind, base_path, endpoint = _classify(host, path, plain=plain, is_page=workspace_id is not None)
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
    from langchain_dbchat.errors.bodies import scrub  # noqa: PLC0415  # a program that starts cold waits for no patterns

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


def _page(parts: SplitResult) -> tuple[str, dict[str, list[str]], str | None]:
    """Path, query and workspace id of an address: of the page that it shows, wherever the address says so."""
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
    """Take the workspace's id out of a query; what follows it when an address is cut and pasted is not part of it."""
    text = next(iter(query.pop("o", ())), "")
    return text.partition("#")[0].rstrip("/") or None


def _classify(host: str, path: str, *, plain: bool, is_page: bool) -> tuple[Kind, str, str | None]:
    """Kind, base path and endpoint of an address."""
    is_databricks = _DATABRICKS.search(host) is not None
    if _APP.search(host):
        kind: Kind = "app"
    else:
        for spelled in dict.fromkeys((path, unquote(path))):
            for pattern, row_kind, row_base in _PATHS:
                match = pattern.fullmatch(spelled)
                if match and not (row_kind == "openai" and not is_databricks):
                    return _as_row_says(match, row_kind, row_base)
        if _GATEWAY_HOST.search(host) and is_databricks:
            kind = "gateway"
        elif is_databricks or (not plain and (not path or is_page or _PAGE.fullmatch(path))):
            return "workspace", "/serving-endpoints", None
        else:
            kind = "openai"
    match = _PLAIN_PATH.fullmatch(path)
    return kind, match["base"] if match else path, None


def _as_row_says(match: re.Match[str], kind: Kind, base: str | None) -> tuple[Kind, str, str | None]:
    found = match.groupdict()
    if kind == "openai":
        server = _PLAIN_PATH.fullmatch(match.string)
        return kind, server["base"] if server else match.string, None
    if base is None:
        kept = found["base"]
        base = re.sub(r"/serving-endpoints$", "/serving-endpoints", kept, flags=re.IGNORECASE)
    endpoint = found.get("endpoint")
    return kind, base, unquote(endpoint) if endpoint else None


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
        written = host.encode("idna")
        return len(written) <= _LONGEST_NAME and bool(written.decode("idna"))
    except UnicodeError:
        return False


def _refuse(address: str, reason: str) -> NoReturn:
    """Say what is wrong with an address that holds no secret."""
    raise ConfigurationError(f"{address!r} is not an address of a workspace: {reason}. {_HINT}")
