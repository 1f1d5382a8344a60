"""Resolve where requests go and who signs them, and cache the result."""

__all__ = [
    "apps",
    "arguments",
    "callers",
    "discovery",
    "endpoints",
    "given",
    "listing",
    "marks",
    "observing",
    "requests",
    "resources",
    "session",
    "settings",
    "without_model",
]
