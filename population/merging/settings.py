"""Resolving parameters as they are written to a number for each tensor.

The innermost value counts: a model's own parameters, its slice's, the step's, the method's
default. A gradient is spread over the layers of a slice from its first to its last; tensors of no
layer take its first value (mergekit's rule).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from population.errors import RecipeError
from population.merging.methods.method import Floats, Method, Settings
from population.merging.recipe import Choice, Parameters, PerBlock, Setting


@dataclass
class Units:
    """The tensors, or segments of tensors, that settings are resolved for.

    Attributes:
        names: shape [units], the output tensor of each.
        depth: shape [units], from 0 (first layer) to 1 (last layer).
        blocks: shape [units], the block that each lies in; empty if nothing is set per block.
    """

    names: list[str]
    depth: Floats
    blocks: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._containing: dict[str, np.ndarray[tuple[int], np.dtype[np.bool_]]] = {}

    def __len__(self) -> int:
        return len(self.names)

    def containing(self, text: str) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Whether each name contains a text: shape [units]."""
        if text not in self._containing:
            self._containing[text] = np.array([text in name for name in self.names])
        return self._containing[text]


def resolve(
    method: Method,
    units: Units,
    shared: Sequence[Parameters],
    per_model: Sequence[Parameters],
    where: str,
    *,
    compat: bool,
) -> Settings:
    """Resolve the settings of a method.

    Args:
        method: the method.
        units: what its settings are resolved for.
        shared: parameters for all models, the innermost first.
        per_model: each model's own.
        where: what messages begin with.
        compat: see `Settings`.

    Raises:
        RecipeError: a parameter is missing, of the wrong kind, or out of its range.
    """
    values: dict[str, Floats] = {}
    for parameter in method.parameters:
        chains = [[own, *shared] for own in per_model] if parameter.per_model else [list(shared)]
        columns = []
        for chain in chains:
            column = _column([p.get(parameter.name) for p in chain], units, where, parameter.name)
            missing = np.isnan(column)
            if missing.any():
                if parameter.default is None:
                    raise RecipeError(
                        f"{where}: {method.name} needs {parameter.name!r} ({parameter.meaning}) "
                        f"for {units.names[int(np.argmax(missing))]}"
                    )
                column[missing] = float(parameter.default)
            if (column < parameter.low).any() or (column > parameter.high).any():
                raise RecipeError(
                    f"{where}: {parameter.name} must lie between {parameter.low:g} and "
                    f"{parameter.high:g}"
                )
            columns.append(column)
        values[parameter.name] = np.stack(columns, axis=1) if parameter.per_model else columns[0]
    return Settings(values, compat)


def _column(chain: Sequence[Setting | None], units: Units, where: str, name: str) -> Floats:
    column = np.full(len(units), np.nan)
    for setting in chain:
        if setting is None:
            continue
        values = _values(setting, units, where, name)
        column = np.where(np.isnan(column), values, column)
        if not np.isnan(column).any():
            break
    return column


def _values(setting: Setting, units: Units, where: str, name: str) -> Floats:
    if isinstance(setting, float | bool):
        if not np.isfinite(setting):
            raise RecipeError(f"{where}: {name} is {setting}, which is no number")
        return np.full(len(units), float(setting))
    if isinstance(setting, PerBlock):
        if missing := sorted(set(units.blocks) - setting.blocks.keys()):
            raise RecipeError(f"{where}: {name} has no value for block {missing[0]!r}")
        if unknown := sorted(setting.blocks.keys() - set(units.blocks)):
            raise RecipeError(
                f"{where}: {name} has a value for {unknown[0]!r}, no block is so named"
            )
        return np.array([setting.blocks[block] for block in units.blocks])
    if isinstance(setting, Choice):
        setting = [setting]
    column = np.full(len(units), np.nan)
    if not setting:
        return column
    if isinstance(setting[0], Choice):
        for choice in setting:
            assert isinstance(choice, Choice)
            values = _values(choice.value, units, where, name)
            if choice.filter not in {None, "*"}:
                values = np.where(units.containing(str(choice.filter)), values, np.nan)
            column = np.where(np.isnan(column), values, column)
        return column
    steps = np.array([float(value) for value in setting if not isinstance(value, Choice)])
    if any(isinstance(value, bool) for value in setting):
        return np.asarray(steps[(units.depth * (len(steps) - 1)).astype(int)])
    return np.asarray(np.interp(units.depth * (len(steps) - 1), np.arange(len(steps)), steps))
