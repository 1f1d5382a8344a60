"""Decide whether a host is this machine: `http://` is allowed there, and no proxy is used.

It is outside the rooms, because `routing` and `transport` ask it and neither imports the other.
"""

from __future__ import annotations

from ipaddress import ip_address

__all__ = ["is_loopback"]


def is_loopback(host: str) -> bool:
    """Decide whether a host name or address is this machine (RFC 6761, 6.3).

    Args:
        host: The name or address, without a port.

    Returns:
        True for ``localhost``, its subdomains, and loopback addresses.
    """
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
