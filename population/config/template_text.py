"""A configuration file with every setting, for `colony init`."""

import json

from pydantic import BaseModel

from population.config.sections import Config

TEMPLATE_HEADER = """\
# A campaign of colony. Every line shows its default: change what you need, delete the rest.
#
#   colony run {name} --archive my.duckdb
"""


def template(name: str) -> str:
    """The text of a configuration file with every setting, its default and its meaning.

    Args:
        name: the file's name, for the header.
    """
    lines = [TEMPLATE_HEADER.format(name=name)]
    for section, field in Config.model_fields.items():
        kind = field.annotation
        if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
            continue
        lines += ["", f"[{section}]  # {' '.join((kind.__doc__ or '').split())}"]
        lines += _settings(getattr(Config(), section), section)
    return "\n".join(lines) + "\n"


def _settings(values: BaseModel, section: str) -> list[str]:
    """The lines of a section; those of sections within it come last."""
    lines: list[str] = []
    within: list[str] = []
    for key, setting in type(values).model_fields.items():
        value = getattr(values, key)
        if isinstance(value, BaseModel):
            meaning = " ".join((type(value).__doc__ or "").split())
            within += ["", f"[{section}.{key}]  # {meaning}", *_settings(value, f"{section}.{key}")]
            continue
        if setting.description:
            lines.append(f"# {' '.join(setting.description.split())}")
        lines.append(_toml_line(key, value))
    return lines + within


def _toml_line(key: str, value: object) -> str:
    if value is None:
        return f"# {key} ="
    if isinstance(value, bool | str):
        return f"{key} = {json.dumps(value)}"
    if isinstance(value, tuple):
        return f"{key} = [{', '.join(map(str, value))}]"
    if isinstance(value, list):
        return f"{key} = [{', '.join(chr(34) + str(v) + chr(34) for v in value)}]"
    if isinstance(value, dict):
        return f"{key} = {{ {', '.join(f'{k} = {v}' for k, v in value.items())} }}"
    return f"{key} = {value}"
