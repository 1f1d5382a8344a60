"""Who calls: credentials, and how they are found."""

__all__ = ["resolver", "settings"]
