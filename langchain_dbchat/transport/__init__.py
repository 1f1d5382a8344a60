"""How it travels: bytes, events, retries and connections.

`exchange` decides, `channel` obeys; `attempt` is one sending of a request, `incoming` one open event stream, `sse` its
decoder, `failures` the table of what can go wrong on the way, `limits` whose turn it is, `timeouts` how long to wait
for what. Below that, `pools` holds the clients, `free_list` their connections; `sockets` and `addresses` are the
network, `http11` what stands on it.

All of it is imported with the first call, and with it httpx; `failures` with the first failure.
"""
