"""Find out who calls: the credentials, and the search for them."""

__all__ = ["oauth_only", "resolver", "settings"]
