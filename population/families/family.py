"""What a family of models is: how it is loaded, its parts, what merges, what it is asked.

Recipes, breeding, the arena, the archive and the screen do not care what a model is for. What does
is said here once for each family; nothing here loads torch.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

Ability = Literal["loglikelihood", "generate", "see"]
"""What a task can ask of a model: how likely a text is, a text, something about an image."""

WHOLE = "model"
"""The part of a family that has no others."""


@dataclass(frozen=True)
class NetworkPart:
    """A part of a network, by the names of its tensors.

    Attributes:
        name: as in `modules` of a recipe; mergekit's name where it has one.
        pattern: a regular expression that its tensors' names contain.
        known_as: other names for it in mergekit.
    """

    name: str
    pattern: str
    known_as: tuple[str, ...] = ()


@dataclass(frozen=True)
class ModelFamily:
    """A family of models.

    Attributes:
        name: for messages.
        fits: whether a config.json is one of the family.
        loader: the class of transformers that makes its networks.
        asks: what tasks can ask of it.
        parts: in the order in which a tensor looks for its own; the last takes what is left.
        merged: the part that offspring merge; the others stay those of one founder.
    """

    name: str
    fits: Callable[[Mapping[str, Any]], bool]
    loader: str
    asks: frozenset[Ability]
    parts: tuple[NetworkPart, ...] = (NetworkPart(WHOLE, ""),)
    merged: str = WHOLE

    @property
    def composed(self) -> bool:
        """Whether there is a part that does not merge."""
        return len(self.parts) > 1

    def part_of(self, tensor: str) -> str:
        """The name of the part that a tensor belongs to."""
        return next(part.name for part, found in self._searches if found(tensor))

    def part_named(self, name: str) -> str | None:
        """The name of a part that is called `name` here or in mergekit; None if there is none."""
        return next((p.name for p in self.parts if name in (p.name, *p.known_as)), None)

    @cached_property
    def _searches(self) -> list[tuple[NetworkPart, Callable[[str], object]]]:
        return [(part, re.compile(part.pattern).search) for part in self.parts]
