"""Resolve where requests go and who signs them, and cache the result."""
