"""How it travels: bytes, events, retries and connections.

`exchange` decides, `channel` obeys; `pools` holds the connections, `attempt` one sending of a request, `incoming` one
open event stream, `sse` its decoder, `failures` the table of what can go wrong on the way, `timeouts` how long to
wait for what.

Only `channel`, `attempt`, `incoming`, `failures` and `pools` load httpx; they are imported with the first call.
"""
