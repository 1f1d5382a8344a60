"""What every dialect needs."""

__all__ = ["answer", "blocks", "conversation", "request", "schemas"]
