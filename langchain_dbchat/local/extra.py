"""Name the extra that is missing, where the server is loaded."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGES = frozenset({"starlette", "uvicorn", "anyio", "h11"})
"""What the extra ``local`` installs."""


@contextmanager
def named_extra() -> Iterator[None]:
    """Say what to install if a package of the extra is missing.

    Raises:
        ImportError: A package of the extra is missing.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in PACKAGES:
            raise
        raise ImportError(
            f"The local workspace needs the package {error.name!r}. Install it with: "
            'pip install "langchain-dbchat[local]"'
        ) from error
