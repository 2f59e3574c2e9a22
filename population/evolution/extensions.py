"""Operators, survival rules and judges from outside: passed in, or installed entry points.

A configuration names them `plugin:NAME`, as it names tasks. Entry points are in the groups
`colony.operators`, `colony.survival` and `colony.judges`; what is passed in comes first.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import entry_points
from typing import Any, TypeVar

from arena.judges import JUDGES, ComparingJudge, Judge, ReadingJudge
from arena.tasks.loading import PLUGIN
from population.config import ArenaSettings, Config, Search
from population.errors import ConfigError
from population.evolution.operators import OPERATORS, Operator
from population.evolution.survival import RULES, Rule

T = TypeVar("T")


@dataclass(frozen=True)
class Extensions:
    """What a user adds to a campaign. A campaign that is resumed has to be given the same again.

    Attributes:
        operators: by name without `plugin:`.
        survival: survival rules, by name without `plugin:`.
    """

    operators: Mapping[str, Operator] = field(default_factory=dict)
    survival: Mapping[str, Rule] = field(default_factory=dict)
    judges: Mapping[str, Judge] = field(default_factory=dict)


class Components:
    """The operators, survival rule and judges that a configuration names, from wherever they are.

    They are looked up when they are first needed: who only looks at an archive needs none of them.

    Args:
        config: names them.
        extensions: those from outside.
    """

    def __init__(self, config: Config, extensions: Extensions) -> None:
        self.extensions, self._config = extensions, config

    @cached_property
    def operators(self) -> dict[str, Operator]:
        """The operators that recombine parents, by name."""
        return operators_of(self._config.search, self.extensions)

    @cached_property
    def survival_rule(self) -> Rule:
        """The survival rule."""
        return survival_rule_of(self._config.search, self.extensions)

    @cached_property
    def judges(self) -> dict[str, Judge]:
        """The kinds of judges in the arena, by mode."""
        return judges_of(self._config.arena, self.extensions)


def operators_of(search: Search, extensions: Extensions) -> dict[str, Operator]:
    """The operators that a search names, by the names in its configuration.

    Raises:
        ConfigError: one is not installed, or is no `Operator`.
    """
    return {
        name: _resolve(name, OPERATORS, extensions.operators, "colony.operators", Operator)
        for name in search.operators
    }


def survival_rule_of(search: Search, extensions: Extensions) -> Rule:
    """The survival rule that a search names.

    Raises:
        ConfigError: it is not installed, or cannot be called.
    """
    return _resolve(search.survival, RULES, extensions.survival, "colony.survival", None)


def judges_of(arena: ArenaSettings, extensions: Extensions) -> dict[str, Judge]:
    """All kinds of judges that a configuration names, by the names that it gives them.

    Raises:
        ConfigError: one is not installed, or is no `Judge`, or not one of its kind of evidence.
    """
    judges: dict[str, Judge] = {}
    for name in arena.modes:
        judge = _resolve(name, JUDGES, extensions.judges, "colony.judges", Judge)
        for evidence, kind in (("readings", ReadingJudge), ("comparisons", ComparingJudge)):
            if (judge.evidence == evidence) != isinstance(judge, kind):
                raise ConfigError(
                    f"{name}: expected a {kind.__name__} if and only if its evidence is "
                    f"{evidence}, got {type(judge).__name__} with {judge.evidence}"
                )
        judges[name] = judge
    return judges


def _resolve(
    name: str, built_in: Mapping[str, T], passed: Mapping[str, T], group: str, kind: type[T] | None
) -> T:
    if not name.startswith(PLUGIN):
        return built_in[name]
    plugin = name.removeprefix(PLUGIN)
    extension: Any = passed[plugin] if plugin in passed else _load(plugin, passed, group)
    if kind and isinstance(extension, type):
        extension = _made(name, extension)
    if not (isinstance(extension, kind) if kind else callable(extension)):
        expected = kind.__name__ if kind else "callable"
        raise ConfigError(f"{name}: expected a {expected}, got {type(extension).__name__}")
    return extension  # type: ignore[no-any-return]


def _made(name: str, kind: type) -> object:
    """An instance of a class that is named itself, as with tasks."""
    try:
        return kind()
    except TypeError as error:
        raise ConfigError(f"{name}: {kind.__name__} cannot be made: {error}") from None


def _load(name: str, passed: Mapping[str, object], group: str) -> object:
    installed = entry_points(group=group)
    if name not in installed.names:
        available = ", ".join(sorted({*installed.names, *passed})) or "none"
        raise ConfigError(
            f"{PLUGIN}{name} is neither passed in nor an entry point in {group}; there are: "
            f"{available}"
        )
    try:
        return installed[name].load()
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{PLUGIN}{name} cannot be loaded: {error}") from None
