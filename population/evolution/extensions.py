"""Operators and survival rules of one's own: passed in, or installed as entry points.

A configuration names them `plugin:NAME`, as it names tasks. Entry points are in the groups
`colony.operators` and `colony.survival`; what is passed in comes first.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Any, TypeVar

from arena.tasks.loading import PLUGIN
from population.config import Search
from population.errors import ConfigError
from population.evolution.operators import OPERATORS, Operator
from population.evolution.survival import RULES, Rule

T = TypeVar("T")


@dataclass(frozen=True)
class Extensions:
    """What somebody adds to a campaign; keys are names without `plugin:`.

    A campaign that is resumed has to be given the same again.
    """

    operators: Mapping[str, Operator] = field(default_factory=dict)
    survival: Mapping[str, Rule] = field(default_factory=dict)


def operators_of(search: Search, extensions: Extensions) -> dict[str, Operator]:
    """All operators that a search names, by the names that it gives them.

    Raises:
        ConfigError: one is not installed, or is no `Operator`.
    """
    return {
        name: _found(name, OPERATORS, extensions.operators, "colony.operators", Operator)
        for name in search.operators
    }


def survival_rule_of(search: Search, extensions: Extensions) -> Rule:
    """The survival rule that a search names.

    Raises:
        ConfigError: it is not installed, or cannot be called.
    """
    return _found(search.survival, RULES, extensions.survival, "colony.survival", None)


def _found(
    name: str, built_in: Mapping[str, T], given: Mapping[str, T], group: str, kind: type[T] | None
) -> T:
    if not name.startswith(PLUGIN):
        return built_in[name]
    own = name.removeprefix(PLUGIN)
    found: Any = given[own] if own in given else _installed(own, given, group)
    if not (isinstance(found, kind) if kind else callable(found)):
        wanted = kind.__name__ if kind else "callable"
        raise ConfigError(f"{name}: expected a {wanted}, got {type(found).__name__}")
    return found  # type: ignore[no-any-return]


def _installed(name: str, given: Mapping[str, object], group: str) -> object:
    installed = entry_points(group=group)
    if name not in installed.names:
        known = ", ".join(sorted({*installed.names, *given})) or "none"
        raise ConfigError(
            f"{PLUGIN}{name} is neither passed in nor an entry point in {group}; there are: {known}"
        )
    try:
        return installed[name].load()
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{PLUGIN}{name} cannot be loaded: {error}") from None
