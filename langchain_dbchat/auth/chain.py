"""Try ways of signing in of which only an attempt shows whether they work.

Rule 1. The Databricks CLI may be installed although nobody has signed in with it, and what the SDK's chain finds is
only known after it has run. Both take seconds and may use the network, so neither runs while a model is made.
Rule 2. They are tried in order when the first request needs headers. The first that works is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_dbchat.errors import ConfigurationError, DatabricksAuthenticationError
from langchain_dbchat.transport.effects import aexecute, execute, sign

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from langchain_dbchat.transport.effects import Effect
    from langchain_dbchat.transport.signing import Credentials


class Skipped(NamedTuple):
    """A way of signing in that was passed over.

    Args:
        step: Its name.
        reason: What it looked at and why it did not apply; never a secret.
    """

    step: str
    reason: str

    def __str__(self) -> str:
        # No colon: after the name of a variable it would look like a secret to code that masks secrets.
        return f"  - {self.step} - {self.reason}"


class ChainedCredentials:
    """Several candidates, tried in order at the first request.

    Args:
        candidates: Who to try; at least one.
        skipped: What did not apply before them, for the error.
    """

    def __init__(self, candidates: Sequence[Credentials], skipped: Sequence[Skipped] = ()) -> None:
        self.candidates = tuple(candidates)
        self.skipped = tuple(skipped)
        self._winner: Credentials | None = None

    @property
    def name(self) -> str:
        """Return the one that works, or all that may."""
        return self._winner.name if self._winner else ", else ".join(candidate.name for candidate in self.candidates)

    def headers(self, *, refresh: bool = False) -> Mapping[str, str]:
        """Return the headers of the first that works.

        Args:
            refresh: The last headers were refused.

        Raises:
            DatabricksAuthenticationError: None works.
        """
        return execute(self._plan(refresh=refresh))

    async def aheaders(self, *, refresh: bool = False) -> Mapping[str, str]:
        """Do the same as `headers` without blocking the event loop."""
        return await aexecute(self._plan(refresh=refresh))

    def _plan(self, *, refresh: bool) -> Generator[Effect, Any, Mapping[str, str]]:
        """Try one after another; if none works, the error reports the failure of each."""
        failures: list[Skipped] = []
        for candidate in (self._winner,) if self._winner else self.candidates:
            try:
                headers: Mapping[str, str] = yield sign(candidate, refresh=refresh)
            except (ConfigurationError, DatabricksAuthenticationError) as error:  # noqa: PERF203  # each attempt may fail on its own
                failures.append(Skipped(candidate.name, error.message))
            else:
                self._winner = candidate
                return headers
        tried = "\n".join(map(str, failures))
        passed_over = "\n".join(map(str, self.skipped))
        raise DatabricksAuthenticationError(
            f"Nobody is signed in to Databricks. Tried:\n{tried}"
            + (f"\nDid not apply:\n{passed_over}" if passed_over else "")
            + "\nPass token=..., or set DATABRICKS_TOKEN, or run `databricks auth login`.",
            auth=self.name,
        ) from None

    def __repr__(self) -> str:
        return f"ChainedCredentials({self.name!r})"

    def __reduce__(self) -> tuple[type[ChainedCredentials], tuple[object, ...]]:
        # Which one works is a fact about one machine.
        return ChainedCredentials, (self.candidates, self.skipped)
