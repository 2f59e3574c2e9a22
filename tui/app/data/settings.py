"""What people can set: the theme, plain signs, and other keys, in `colony/tui.toml`.

::

    theme = "colony-light"        # any that the palette offers
    ascii = true                  # signs that every terminal and font has

    [keys]                        # by the names that `?` shows
    "list.down" = "down,s"
    "page.board" = "b"
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from population.errors import ConfigError


@dataclass(frozen=True)
class ScreenSettings:
    """What somebody has set.

    Attributes:
        theme: by name.
        ascii: draw with signs that every terminal has.
        keys: keys by the name of what they do, several with commas between.
    """

    theme: str = "colony-dark"
    ascii: bool = False
    keys: Mapping[str, str] = field(default_factory=dict)


def settings_path() -> Path:
    """Where settings are: `COLONY_TUI_CONFIG`, or in the user's folder of configurations."""
    given = os.environ.get("COLONY_TUI_CONFIG")
    if given:
        return Path(given)
    folder = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(folder) / "colony" / "tui.toml"


def load_settings() -> ScreenSettings:
    """The user's settings; the defaults where there is no file.

    Raises:
        ConfigError: the file says what cannot be; names it and what was expected.
    """
    path = settings_path()
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ScreenSettings()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from None
    import tomllib  # noqa: PLC0415 - most people have no such file

    try:
        given = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also a number of 5,000 digits
        raise ConfigError(f"{path} is not TOML: {error}") from None
    unknown = sorted(set(given) - {"theme", "ascii", "keys"})
    if unknown:
        raise ConfigError(f"{path}: unknown setting {unknown[0]!r}; there are theme, ascii, keys")
    keys = given.get("keys", {})
    if not isinstance(given.get("theme", ""), str) or not isinstance(
        given.get("ascii", False), bool
    ):
        raise ConfigError(f"{path}: expected a text as theme, and true or false as ascii")
    if not isinstance(keys, dict) or not all(isinstance(key, str) for key in keys.values()):
        raise ConfigError(f'{path}: expected keys such as "list.down" = "j" in [keys]')
    return ScreenSettings(**given)
