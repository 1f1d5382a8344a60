"""Decide whether a host is this machine: `http://` is allowed there, and no proxy is used.

It is outside the rooms, because `routing` and `transport` ask it and neither imports the other.

Rule 1. A host is this machine if the system's resolver says so without asking anybody. It reads `127.1`, `0x7f000001`
and `2130706433` as addresses, and an address that is unspecified (`0.0.0.0`) leads to this machine.
Rule 2. A name that only looks like such an address is a name, and DNS may lead it anywhere.
"""

from __future__ import annotations

import re
import socket
from ipaddress import IPv4Address, IPv6Address

__all__ = ["is_loopback"]

_NUMBERS = re.compile(r"[0-9][0-9a-fx.]*", re.ASCII)


def is_loopback(host: str) -> bool:
    """Decide whether a host name or address is this machine (RFC 6761, 6.3).

    Args:
        host: The name or address, without a port.

    Returns:
        True for ``localhost``, its subdomains, loopback addresses and unspecified ones, in each form of them.
    """
    host = host.lower()
    if host.removesuffix(".").rpartition(".")[2] == "localhost":
        return True
    address = _address(host)
    return address is not None and (address.is_loopback or address.is_unspecified)


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        if ":" in host:
            address = IPv6Address(host)
            return address.ipv4_mapped or address
        return IPv4Address(socket.inet_aton(host)) if _NUMBERS.fullmatch(host) else None
    except (ValueError, OSError):
        return None
