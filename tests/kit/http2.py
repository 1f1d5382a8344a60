"""A server for HTTP/2 over TLS that gives each connection to a function."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import time
from collections.abc import Callable, Iterator

import h2.config
import h2.connection
import h2.events
import h2.settings

from kit.raw import RawServer

JSON, EVENTS = "application/json", "text/event-stream"
_TICK = 0.05  # seconds
_LONG = 20.0


class Talk:
    """One connection of a client, as a server sees it."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        self._bodies: dict[int, bytearray] = {}

    def turns(self) -> Iterator[tuple[int, str] | None]:
        """Read until the client leaves; yield the stream and the last words of each request, and None in each pause."""
        self._socket.settimeout(_TICK)
        until = time.monotonic() + _LONG
        while time.monotonic() < until:
            self._socket.sendall(self.h2.data_to_send())
            try:
                data = self._socket.recv(65536)
            except TimeoutError:
                yield None
                continue
            if not data:
                return
            for event in self.h2.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    self._bodies[event.stream_id] = bytearray()
                elif isinstance(event, h2.events.DataReceived):
                    self._bodies[event.stream_id] += event.data
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, h2.events.StreamEnded):
                    yield event.stream_id, json.loads(self._bodies[event.stream_id])["messages"][-1]["content"]

    def greet(self, at_once: int) -> None:
        """Send the settings: how many streams a client may open at once."""
        limit = {h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: at_once}
        self.h2.local_settings = h2.settings.Settings(client=False, initial_values=limit)
        self.h2.initiate_connection()

    def head(self, stream: int, kind: str) -> None:
        """Send the head of an answer."""
        self.h2.send_headers(stream, [(":status", "200"), ("content-type", kind)])

    def send_raw(self, data: bytes) -> None:
        """Send bytes that need not be HTTP/2."""
        self._socket.sendall(self.h2.data_to_send() + data)

    def ping(self) -> None:
        """Send what says nothing about any answer."""
        self.h2.ping(b"12345678")


def http2_server(context: ssl.SSLContext, serve: Callable[[Talk, int], None]) -> RawServer:
    """Make a server.

    Args:
        context: Its TLS.
        serve: Gets each connection and its number.
    """
    context.set_alpn_protocols(["h2"])

    def talk(connection: socket.socket, number: int) -> None:
        with contextlib.suppress(h2.exceptions.ProtocolError):  # the client is not bound to take what is sent
            serve(Talk(connection), number)

    return RawServer(talk, context)
