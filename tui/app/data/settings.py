"""The user's settings of the app: theme, plain signs and keys, in `colony/tui.toml`.

::

    theme = "colony-light"        # any that the palette offers
    ascii = true                  # signs that every terminal and font has

    [keys]                        # by the names that `?` shows
    "list.down" = "down,s"
    "page.board" = "b"
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from population.errors import ConfigError


@dataclass(frozen=True)
class ScreenSettings:
    """The user's settings of the app.

    Attributes:
        theme: by name.
        ascii: draw with signs that every terminal has.
        keys: keys by the name of what they do, several with commas between.
    """

    theme: str = "colony-dark"
    ascii: bool = False
    keys: Mapping[str, str] = field(default_factory=dict)


def settings_path() -> Path:
    """The settings file: `COLONY_TUI_CONFIG`, or `colony/tui.toml` in the user's config folder."""
    given = os.environ.get("COLONY_TUI_CONFIG")
    if given:
        return Path(given)
    folder = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(folder) / "colony" / "tui.toml"


def load_settings() -> ScreenSettings:
    """The user's settings; the defaults where there is no file.

    Raises:
        ConfigError: the file cannot be read, or has a setting that does not exist or has the wrong
            type.
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
    # Actions had the prefix "hand." before; people's settings keep working.
    keys = {re.sub(r"^hand\.", "action.", name): key for name, key in keys.items()}
    return ScreenSettings(**{**given, "keys": keys})
