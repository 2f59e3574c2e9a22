"""Layers of models in a new order: what slices take of them, and the config that goes with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from population.architectures import Architecture, architecture_of, place_of
from population.errors import RecipeError
from population.merging.nodes import Node
from population.merging.recipe import Input
from population.routes import Route, route_config
from population.routes import Step as RouteStep


def known_architecture(node: Node) -> Architecture:
    """The architecture of a model whose layers are to be moved."""
    architecture = architecture_of(node.config)
    if architecture is None:
        raise RecipeError(
            f"{node.name!r}: the layers of a {node.config.get('model_type', 'bare file')} are not "
            "known, so they cannot be re-ordered"
        )
    return architecture


class Stack:
    """A model's tensors by layer."""

    def __init__(self, node: Node, where: str) -> None:
        self._node, self._where = node, where
        self._architecture = known_architecture(node)
        self._layers: dict[int, dict[str, str]] = {}
        self._rest: list[str] = []
        self.start = ""
        for name in node.tensors:
            place = place_of(self._architecture, name)
            if place is None:
                self._rest.append(name)
            else:
                self._layers.setdefault(place.layer, {})[place.suffix] = name
                self.start = place.base + place.stack

    def layer(self, number: int, where: str) -> dict[str, str]:
        """The tensors of a layer, by the name inside it."""
        if number not in self._layers:
            raise RecipeError(
                f"{where}: {self._node.name!r} has layers 0 to {len(self._layers) - 1}, no {number}"
            )
        return self._layers[number]

    def outside(self, *, first: bool, last: bool) -> Iterator[str]:
        """What belongs to no layer: before the first, behind the last, or both."""
        norm = self._architecture.final_norm
        for name in self._rest:
            behind = "head" in name or (norm is not None and f"{norm.name}." in name)
            if (behind and last) or (not behind and first):
                yield name


def ranges_of(sources: Sequence[Input], base: str | None) -> list[tuple[int, int]]:
    """The layers that a slice takes: of the base, if there is one, and of each other model.

    Of a base that is not listed they are those of the first source.
    """
    given = [(entry.model, entry.layer_range) for entry in sources if entry.layer_range]
    others = [layers for model, layers in given if model != base]
    if base is None:
        return others
    return [next((layers for model, layers in given if model == base), given[0][1]), *others]


def config_of_path(layers: Sequence[tuple[Node, int]]) -> dict[str, Any]:
    """The config of a model whose layers come from these."""
    nodes = list(dict.fromkeys(node for node, _ in layers))
    steps = tuple(RouteStep(nodes.index(node), layer) for node, layer in layers)
    return route_config(Route(steps), known_architecture(nodes[0]), [node.config for node in nodes])
