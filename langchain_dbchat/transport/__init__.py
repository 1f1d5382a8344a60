"""Send requests: bytes, events, retries and connections.

`messages` has requests and answers. `exchange` decides, and `channel` executes. `attempt` is one attempt to send a
request, `headers` writes its headers, `stream` is an open event stream, `stream_reader` reads its bytes as events,
`sse` is its decoder. `deadlines` and `timeouts` limit how long a call waits, `limiter` limits how many requests are in
flight, `failures` describes what can go wrong. `clients` contains the shared clients, `user_clients` those of the user;
`proxies` and `proxy_clients` are about proxies. `effects` executes the plans of other rooms. `blocking` runs code in a
thread that is written once for threads and event loops, `waits` is what such code waits for, `turns` lets the other
tasks of an event loop run. `http` is our HTTP/1.1 stack behind httpx's transport interface.

The room and httpx are imported with the first call; `failures` with the first failure.
"""

__all__ = [
    "blocking",
    "channel",
    "clients",
    "effects",
    "exchange",
    "headers",
    "limiter",
    "messages",
    "request_size",
    "signing",
    "stream",
    "timeouts",
    "user_clients",
]
