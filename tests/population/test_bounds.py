"""Every number of a configuration is finite and bounded, and what is out of bounds says why."""

import json
import math
import re
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from population.bounds import BOUNDS
from population.config import Config, load_config, parse_config, template
from population.errors import ConfigError
from tests.command_helpers import colony

DEFAULTS = Config().model_dump()


def settings(model: type[BaseModel] = Config, section: str = "") -> list[tuple[str, str]]:
    """Every setting that holds numbers, by section; sections within others have a dot."""
    found = []
    for name, setting in model.model_fields.items():
        kind = setting.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found += settings(kind, f"{section}.{name}".lstrip("."))
        elif re.search(r"\b(int|float)\b", str(kind)):
            found.append((section, name))
    return found


def nested(section: str, settings: dict[str, Any]) -> dict[str, Any]:
    """The content of a configuration with some settings in one section."""
    for name in reversed(section.split(".")):
        settings = {name: settings}
    return settings


NUMBERS = [math.nan, math.inf, -math.inf, 10.0**40, 10**40]


def given(section: str, name: str, number: float) -> Any:
    """A value that a setting could have, with a number in it."""
    default = reduce(lambda content, part: content[part], section.split("."), DEFAULTS)[name]
    if isinstance(default, dict):
        return default | {next(iter(default), "sort"): number}
    if isinstance(default, list | tuple):
        return [default[0], number]
    return number


def test_every_number_has_a_bound_with_a_reason() -> None:
    assert set(settings()) == set(BOUNDS)
    assert all(bound.reason for bound in BOUNDS.values())


@pytest.mark.parametrize(("section", "name"), settings())
@pytest.mark.parametrize("number", NUMBERS, ids=str)
def test_what_no_machine_could_do_is_refused(section: str, name: str, number: float) -> None:
    with pytest.raises(ConfigError, match=name) as caught:
        parse_config(nested(section, {name: given(section, name, number)}), "my.toml")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(("section", "name"), settings())
def test_beyond_a_bound_the_reason_is_told(section: str, name: str) -> None:
    bound = BOUNDS[section, name]
    if bound.limit <= 1:
        pytest.skip("a part: no more than 1, as its type says")
    with pytest.raises(ConfigError) as caught:
        parse_config(nested(section, {name: given(section, name, 2 * bound.limit)}), "my.toml")
    message = str(caught.value)
    assert bound.reason in message or "cannot exceed" in message


@pytest.mark.parametrize("number", [0, -1, -(10**9)])
@pytest.mark.parametrize(
    ("section", "name"),
    [
        ("budget", "item_evaluations"), ("budget", "generations"), ("budget", "minutes"),
        ("budget", "stagnation"), ("search", "population"), ("search", "brood"),
        ("search", "panel"), ("search", "rotate"), ("search", "sigma"), ("search", "rate"),
        ("run", "threads"), ("run", "batch_tokens"), ("arena", "items"),
    ],
)  # fmt: skip
def test_nothing_and_less_is_refused(section: str, name: str, number: int) -> None:
    with pytest.raises(ConfigError, match=name):
        parse_config({section: {name: number}}, "my.toml")


def test_the_defaults_survive_being_written_and_read(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text(template("my.toml"))
    assert load_config(path).search == Config().search
    content = json.loads(json.dumps(Config().model_dump(mode="json")))
    assert parse_config(content, "archive") == Config()


@pytest.mark.parametrize(
    "options",
    [
        ("--budget", "0"), ("--budget", str(10**30)), ("--generations", "0"),
        ("--generations", str(10**30)), ("--seed", str(2**63)), ("--seed", "-1"),
        ("--budget", "nan"), ("--generations", "inf"),
    ],
)  # fmt: skip
def test_so_are_options(options: tuple[str, str], tmp_path: Path) -> None:
    archive = tmp_path / "a.duckdb"
    code, _, message = colony("run", "--headless", "--archive", archive, *options)
    assert code == 2
    assert options[0] in message
    assert not archive.exists()
