"""Make the TLS context for requests, or say which variable of the environment names certificates that cannot be read.

Rule 1. SSL_CERT_FILE and SSL_CERT_DIR name the certificate authorities, as httpx reads them
(https://www.python-httpx.org/environment_variables/).
Rule 2. A file that is missing or is not a PEM file is an error of the configuration: going on without it would trust
others than those that the user named.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from langchain_dbchat.errors import ConfigurationError

if TYPE_CHECKING:
    import ssl

_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


def tls_context() -> ssl.SSLContext:
    """Make a TLS context of what the environment says now.

    Returns:
        A new context.

    Raises:
        ConfigurationError: The certificate authorities cannot be read.
    """
    import httpx  # noqa: PLC0415  # importing the package must not load httpx

    try:
        return httpx.create_ssl_context()
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        reason = getattr(error, "strerror", None) or type(error).__name__
        named = ", ".join(f"{name}={os.environ[name]}" for name in _VARIABLES if os.environ.get(name))
        raise ConfigurationError(
            f"The certificate authorities cannot be read ({reason}): {named or 'those that come with certifi'}. Let "
            "SSL_CERT_FILE name a PEM file of certificates that exists, or unset it."
        ) from None
