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
        values = getattr(Config(), section).model_dump()
        for key, setting in kind.model_fields.items():
            if setting.description:
                lines.append(f"# {' '.join(setting.description.split())}")
            lines.append(_toml_line(key, values[key]))
    return "\n".join(lines) + "\n"


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
