"""How it travels: bytes, events, retries and connections.

`exchange` decides, `channel` does what it says. `attempt` is one sending of a request, `stream` one open event stream,
`sse` its decoder, `deadlines` the time that an answer has, `failures` the table of what can go wrong, `limiter` how
many requests are in flight, `timeouts` how long to wait for what. `clients` holds the shared clients, `user_clients`
those of the user, `proxy_clients` and `proxies` are about proxies. `http` is our HTTP/1.1 stack behind
httpx's transports.

All of it is imported with the first call, and with it httpx; `failures` with the first failure.
"""

__all__ = ["attempt", "channel", "exchange", "limiter", "request_size", "signing", "timeouts", "user_clients"]
