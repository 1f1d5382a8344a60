"""How it travels: bytes, events, retries and connections."""
