"""Put TLS on a connected socket, so that an interrupt in between does no harm."""

from __future__ import annotations

import gc
import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket

__all__ = ["wrapped"]


def wrapped(connected: socket.socket, context: ssl.SSLContext, name: str) -> ssl.SSLSocket:
    """Put TLS on a socket, without its handshake.

    Python's ssl makes a second socket with the same number before the first one gives it up. If a signal handler raises
    in between, both would close it, the second one when the number is perhaps somebody else's.

    Args:
        connected: A connected socket.
        context: The TLS context.
        name: The server's name.

    Returns:
        The socket with TLS; the handshake has not begun.
    """
    try:
        return context.wrap_socket(connected, server_hostname=name, do_handshake_on_connect=False)
    except BaseException:
        number = connected.fileno()
        for it in gc.get_objects() if number >= 0 else ():
            if issubclass(type(it), ssl.SSLSocket) and it.fileno() == number:
                it.detach()
        raise
