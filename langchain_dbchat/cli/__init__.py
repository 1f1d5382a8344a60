"""The command ``dbchat``."""

__all__ = ["main"]
