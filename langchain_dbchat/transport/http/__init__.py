"""Our own transport for httpx: a pool, HTTP/1.1 and sockets."""
