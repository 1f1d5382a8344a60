"""Parse the addresses that users give, and find the URLs of requests."""

__all__ = ["address", "routes"]
