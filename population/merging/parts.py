"""Parts of models as nodes of a graph: the tensors of the language part alone, or of a tower."""

from __future__ import annotations

from collections.abc import Mapping, Set
from functools import cached_property
from typing import Any

from population.errors import RecipeError
from population.families import family_of
from population.merging.backends import Backend
from population.merging.lazy_tensors import LazyTensor
from population.merging.nodes import Node, Spec, depths_of
from population.models.architectures import architecture_of


class PartView:
    """One part of a model.

    Args:
        node: the model, or a step that made this part.
        part: its name, see `population.families`.

    Raises:
        RecipeError: the model has no such part.
    """

    def __init__(self, node: Node, part: str) -> None:
        self.name, self.height, self._node = node.name, node.height, node
        self._part = checked_part(node, part)

    @property
    def config(self) -> Mapping[str, Any]:
        """The config of the whole model."""
        return self._node.config

    @cached_property
    def tensors(self) -> Mapping[str, Spec]:
        """The tensors of the part."""
        family = family_of(self.config)
        own = {n: s for n, s in self._node.tensors.items() if family.part_of(n) == self._part}
        if not own:
            raise RecipeError(f"{self.name!r} has no tensor of the part {self._part!r}")
        return own

    @cached_property
    def depths(self) -> Mapping[str, float]:
        """The relative depth of each tensor, see `Node.depths`."""
        return depths_of(self.tensors, self.config)

    @property
    def copied(self) -> Set[str]:
        """The tensors that are no weights."""
        return self._node.copied & self.tensors.keys()

    def lazy_tensor(self, tensor: str, backend: Backend) -> LazyTensor:
        """One tensor of the model."""
        return self._node.lazy_tensor(tensor, backend)

    def copy_of(self, tensor: str) -> tuple[Node, str]:
        """The source and name that a tensor is copied from."""
        return self._node.copy_of(tensor)


def checked_part(node: Node, name: str) -> str:
    """The name of a part of a model.

    Raises:
        RecipeError: it has no such part.
    """
    family = family_of(node.config)
    part = family.part_named(name)
    if part is None:
        names = ", ".join(one.name for one in family.parts)
        raise RecipeError(
            f"{node.name!r} is a {family.name}, whose parts are {names}; there is no {name!r}"
            if family.composed
            else f"{node.name!r} is a {family.name}, which has no parts such as {name!r}; merge it "
            "with 'models'"
        )
    return part


def layers_of(node: Node) -> int | None:
    """The number of layers that a model's config states; None if that is not known."""
    architecture = architecture_of(node.config)
    return None if architecture is None else architecture.layers(node.config)
