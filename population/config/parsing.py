"""Reading a configuration: from TOML or mappings to validated values, with errors that help."""

import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from population.config.paths import resolve_paths
from population.config.sections import Config
from population.errors import ConfigError


def load_config(source: Path | str | Mapping[str, Any] | None = None) -> Config:
    """Read a configuration.

    Args:
        source: a TOML file, whose relative paths are relative to it; the same as nested mappings,
            whose paths are relative to where one is; None gives the defaults.

    Raises:
        ConfigError: the file is missing, not TOML, or a key or value is wrong.
    """
    if source is None:
        return resolve_paths(Config(), Path.cwd())
    if isinstance(source, Mapping):
        return resolve_paths(parse_config(dict(source), "the configuration"), Path.cwd())
    path = Path(source)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"no configuration at {path}; `colony init {path}` writes one") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:  # also a number of 5,000 digits
        raise ConfigError(f"{path}: no TOML that can be read: {error}") from None
    return resolve_paths(parse_config(content, str(path)), path.resolve().parent)


def parse_config(content: dict[str, Any], source: str) -> Config:
    """Validate the content of a configuration.

    Args:
        content: as parsed from TOML.
        source: what messages begin with.

    Raises:
        ConfigError: a key or a value is wrong; names the nearest known key.
    """
    try:
        return Config.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        if first["type"] != "extra_forbidden":
            hide_input = first["type"] in {"missing", "value_error"}
            got = "" if hide_input else f", got {_shortened(repr(first['input']))}"
            raise ConfigError(f"{source}: {where}: {first['msg']}{got}") from None
        *section, unknown = (str(part) for part in first["loc"])
        place_of: BaseModel = Config()
        for name in section:
            place_of = getattr(place_of, name)
        fields = type(place_of).model_fields
        close = difflib.get_close_matches(unknown, fields, n=1, cutoff=0.5)
        hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(fields)}"
        place = f" in [{'.'.join(section)}]" if section else ""
        raise ConfigError(f"{source}: unknown key {unknown!r}{place}; {hint}") from None


def _shortened(text: str, longest: int = 200) -> str:
    return text if len(text) <= longest else f"{text[:longest]}…"
