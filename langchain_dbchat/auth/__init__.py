"""Find out who calls: the credentials, and the search for them."""

__all__ = ["endpoint_tokens", "oauth_only", "resolver", "settings"]
