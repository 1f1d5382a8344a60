"""Which proxy is meant for a host, by which setting or variable, and how it is shown.

Rule 1. A proxy that the user has given is for all hosts. Otherwise the variables are those that httpx reads
(HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, in lower case first), or the settings of macOS and Windows where there
are none (`urllib.request.getproxies`).

Rule 2. A proxy is shown as ``host:port`` with its variable. Its user name and password are never shown.

Rule 3. A proxy that cannot be used (an address that cannot be read, SOCKS without its extra) is an error only for a
host that would be called through it: NO_PROXY goes first. If an entry of NO_PROXY cannot be read, it may mean any host,
so no proxy is used until it is corrected.
"""

from __future__ import annotations

import os
from ipaddress import ip_address
from typing import TYPE_CHECKING, NamedTuple
from urllib.request import getproxies

from langchain_dbchat.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "GIVEN",
    "ProxySetting",
    "exemption_error",
    "has_proxy",
    "proxy_error",
    "proxy_patterns",
    "show_address",
    "variable_of",
]

_SCHEMES = ("http", "https", "all")
_SYSTEM = "the proxy settings of this system"
GIVEN = "proxy=..."
"""The source of a proxy that is a setting of a model."""


class ProxySetting(NamedTuple):
    """One proxy as it is set.

    Attributes:
        address: Its URL, possibly with a password: not to be shown.
        source: The variable that it comes from.
    """

    address: str
    source: str

    def __str__(self) -> str:
        return f"{show_address(self.address)} ({self.source})"


def has_proxy() -> bool:
    """Return whether a proxy is set in the environment, or in the settings of macOS or Windows."""
    return not getproxies().keys().isdisjoint(_SCHEMES)


def proxy_patterns(given: str | None = None) -> Iterator[tuple[str, ProxySetting | None]]:
    """Give the patterns of URLs and their proxies, as httpx's `mounts` take them; None is "without a proxy".

    Args:
        given: The proxy that the user has given for all URLs; None for the environment's.

    Yields:
        A pattern such as ``https://`` or ``all://*example.com``, and its proxy.
    """
    if given:
        yield "all://", ProxySetting(_with_scheme(given), GIVEN)
        return
    found = getproxies()
    exempt = [host.strip() for host in found.get("no", "").split(",")]
    if "*" in exempt:
        return
    for scheme in _SCHEMES:
        if found.get(scheme):
            yield f"{scheme}://", _setting(scheme, found[scheme])
    for host in filter(None, exempt):
        yield _exempt_pattern(host), None


def variable_of(address: str) -> str | None:
    """Find the variable that sets a proxy.

    Args:
        address: The proxy as it is shown, ``host:port``.
    """
    found = getproxies()
    settings = (_setting(scheme, found[scheme]) for scheme in ("https", "http", "all") if found.get(scheme))
    return next((setting.source for setting in settings if show_address(setting.address) == address), None)


def proxy_error(error: Exception, setting: ProxySetting) -> ConfigurationError:
    """Make the error for a proxy that cannot be used.

    Args:
        error: What httpx says; it is not repeated, because it may quote the address with its password.
        setting: The proxy.
    """
    if isinstance(error, ImportError):
        return ConfigurationError(
            f"The proxy {setting} uses SOCKS, and the package for that is not installed. Install it with "
            '`pip install "httpx[socks]"`, name a proxy for HTTP, or let NO_PROXY name what needs none.'
        )
    return ConfigurationError(
        f"The proxy {setting} has an address that cannot be read. Write it like http://proxy.example.com:8080, "
        "https://..., or socks5://... (with httpx[socks] installed)."
    )


def exemption_error() -> ConfigurationError:
    """Make the error for an entry of NO_PROXY that cannot be read; it is not shown, because it may have a password."""
    return ConfigurationError(
        f"{_source('no')} has an entry that cannot be read as a host. Separate host names and addresses with commas, "
        "like localhost,.example.com,10.0.0.1. Until then, no host can be called through a proxy."
    )


def show_address(address: str) -> str:
    """Write a proxy's address without its user name and password.

    Args:
        address: The address, which may be malformed.

    Returns:
        ``host:port``; the scheme is in front if it is not ``http``.
    """
    scheme, mark, rest = address.rpartition("://")
    place = rest.rpartition("@")[2].partition("/")[0]
    return f"{scheme}://{place}" if mark and scheme.lower() != "http" else place


def _setting(scheme: str, address: str) -> ProxySetting:
    return ProxySetting(_with_scheme(address), _source(scheme))


def _source(word: str) -> str:
    names = (f"{word}_proxy", f"{word}_proxy".upper())
    return next((name for name in names if os.environ.get(name)), _SYSTEM)


def _with_scheme(address: str) -> str:
    return address if "://" in address else f"http://{address}"


def _exempt_pattern(host: str) -> str:
    """Write an entry of NO_PROXY as a pattern: an address or localhost as it is, a domain with its subdomains."""
    if "://" in host:
        return host
    try:
        address = ip_address(host.partition("/")[0].strip("[]"))
    except ValueError:
        return f"all://{host}" if host.lower() == "localhost" else f"all://*{host}"
    return f"all://[{address}]" if address.version == 6 else f"all://{address}"  # noqa: PLR2004  # the protocol's number
