"""What can go wrong on purpose, and the proxy that makes it happen."""
