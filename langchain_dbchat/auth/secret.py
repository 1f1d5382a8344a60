"""A secret and its source.

Rule 1. A secret that the user passed as an argument is part of the model's pickles, because it has no other way to
Spark's executors.
Rule 2. A secret that was *found* (in an environment variable or a file) is not pickled. It is looked up again in the
same source where the pickle is opened. So no checkpoint or task description contains it, and a new value is used.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic import SecretStr

from langchain_dbchat.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Secret:
    """A secret that knows how to be found again, and shows itself in no repr and in no foreign pickle.

    Args:
        value: The secret, or None after a pickle that left it behind.
        variable: The environment variable it came from, or None.
        file: Path, section and option of the configuration file it came from, or None.
        beside: Variables that say where it may be sent, with their values; if they have changed, a new value of
            `variable` belongs to another host.
    """

    value: SecretStr | None = field(default=None, repr=False)
    variable: str | None = None
    file: tuple[Path, str, str] | None = None
    beside: tuple[tuple[str, str | None], ...] = field(default=(), repr=False)

    def reveal(self, *, again: bool = False) -> str:
        """Return the secret itself, looked up again if a pickle left it behind.

        Args:
            again: It was refused: see whether the environment contains another one by now.

        Raises:
            ConfigurationError: The place it came from does not contain it in this process.
        """
        is_at_home = again and all(os.environ.get(name) == value for name, value in self.beside)
        replaced = is_at_home and self.variable is not None and os.environ.get(self.variable, "").strip()
        if self.value is not None and not replaced:
            return self.value.get_secret_value()
        if self.variable is not None:
            found = os.environ.get(self.variable, "").strip()
            if not found:
                raise ConfigurationError(
                    f"{self.variable} is not set in this process. The credentials were found in it where the model "
                    "was made, and secrets of the environment are not stored in a pickle: set it here too."
                )
            object.__setattr__(self, "value", SecretStr(found))
            return found
        if self.file is not None:
            path, section, option = self.file
            from langchain_dbchat.auth.profiles import read_profiles

            stored = read_profiles(path).option(section, option)
            if not stored:
                raise ConfigurationError(
                    f"Profile {section!r} in {path} has no {option} in this process. The credentials were found there "
                    "where the model was made, and secrets of a file are not stored in a pickle: provide the file "
                    "here too."
                )
            object.__setattr__(self, "value", SecretStr(stored))
            return stored
        raise ConfigurationError("A secret was left out of a pickle and has no place to be found again.")

    @property
    def is_at_hand(self) -> bool:
        """Return whether it can be revealed without I/O."""
        return self.value is not None

    def digest(self) -> str:
        """Return a key for caches that does not contain the secret.

        Returns:
            The SHA-256 of the secret, in hex.
        """
        return hashlib.sha256(self.reveal().encode(errors="surrogatepass")).hexdigest()

    def __getstate__(self) -> dict[str, object]:
        found = self.variable is not None or self.file is not None
        value = None if found else self.value
        return {"value": value, "variable": self.variable, "file": self.file, "beside": self.beside}

    def __setstate__(self, state: dict[str, object]) -> None:
        for name, value in state.items():
            object.__setattr__(self, name, value)

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Secret:
        return self
