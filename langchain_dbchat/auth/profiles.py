"""Read configuration files of Databricks: `~/.databrickscfg`, and the file that Posit Workbench writes.

Rule 1. The file is an ini file of profiles. Files with duplicate sections and options, values with `%`, a byte-order
mark, and sections with only an `auth_type` exist, and all of them are read.
Rule 2. `[DEFAULT]` is a profile like the others and gives no values to them (as in the Databricks CLI and the SDKs).
`[__settings__]` is not a profile; its `default_profile` names the profile to use.
Rule 3. A file is parsed again when it changes, because Workbench writes new tokens into it. The check is one `stat`.
Rule 4. Errors name the file and the line, and never quote the line, because it may be a token.
"""

from __future__ import annotations

import configparser
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from langchain_dbchat.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

SETTINGS_SECTION = "__settings__"
DEFAULT_PROFILE = "DEFAULT"

_Stamp = tuple[int, int, int]
_parsed: dict[Path, tuple[_Stamp, ConfigFile]] = {}
_PARSED_LIMIT = 64


@dataclass(frozen=True)
class ConfigFile:
    """A configuration file, parsed.

    Args:
        path: Where it is.
        exists: Whether it is there at all.
        sections: Section by name, option by name; `[__settings__]` included.
    """

    path: Path
    exists: bool = True
    sections: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)

    @property
    def profiles(self) -> list[str]:
        """Return the names of the profiles, in the order of the file."""
        return [name for name in self.sections if name != SETTINGS_SECTION]

    @property
    def default_profile(self) -> str | None:
        """Return the `default_profile` that `[__settings__]` names, if it does."""
        return self.option(SETTINGS_SECTION, "default_profile")

    def option(self, section: str, option: str) -> str | None:
        """Return one value, or None where it is missing or empty.

        Args:
            section: The profile.
            option: The option, in lower case.
        """
        return self.sections.get(section, {}).get(option, "").strip() or None


def config_path(text: str | None) -> Path:
    """Return where the configuration file is.

    Args:
        text: The path as the user or `DATABRICKS_CONFIG_FILE` gives it; None for `~/.databrickscfg`. A home directory
            that is not known (a container without HOME and without its user) stays a `~`, where no file is.
    """
    path = Path(text or "~/.databrickscfg")
    try:
        return path.expanduser()
    except RuntimeError:
        return path


def read_profiles(path: Path, *, again: bool = False) -> ConfigFile:
    """Read a configuration file, or remember it if it has not changed.

    Args:
        path: The file; a missing one is an empty one.
        again: Parse it even if it looks unchanged.

    Returns:
        Its contents.

    Raises:
        ConfigurationError: It cannot be read or is not an ini file.
    """
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return ConfigFile(path, exists=False)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError:
        raise ConfigurationError(f"{str(path)!r} is not the path of a file: it contains a NUL character.") from None
    stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
    known = _parsed.get(path)  # without a lock, which a thread of the parent may hold after a fork
    if known and known[0] == stamp and not again:
        return known[1]
    config = ConfigFile(path, sections=_parse(path))
    if len(_parsed) >= _PARSED_LIMIT:
        _parsed.clear()
    _parsed[path] = (stamp, config)
    return config


def _parse(path: Path) -> Mapping[str, Mapping[str, str]]:
    """Return the sections of an ini file."""
    # No section is the parser's own default section, so that [DEFAULT] is a profile and lends nothing to the others.
    parser = configparser.RawConfigParser(strict=False, allow_no_value=True, default_section="\0")
    try:
        parser.read_string(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {type(error).__name__}.") from error
    except configparser.MissingSectionHeaderError as error:
        # Not chained: its text repeats the line, which may be a token.
        raise ConfigurationError(
            f"{path}, line {error.lineno}: expected a [profile] before the first option."
        ) from None
    except configparser.ParsingError as error:
        lines = ", ".join(str(number) for number, _ in error.errors)
        raise ConfigurationError(f"{path}, line {lines}: expected `option = value`.") from None
    except configparser.Error as error:
        raise ConfigurationError(f"{path} is not an ini file ({type(error).__name__}).") from None
    return MappingProxyType(
        {
            name: MappingProxyType({option: value or "" for option, value in parser.items(name)})
            for name in parser.sections()
        }
    )
