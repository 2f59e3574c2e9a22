"""Layers of models in a new order: what slices take of them, and the config that goes with it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from population.errors import RecipeError
from population.merging.nodes import Node, corresponding_tensor
from population.merging.recipe import Input
from population.merging.routes import Route, RouteStep, route_config
from population.models.architectures import Architecture, architecture_of, place_of


def known_architecture(node: Node) -> Architecture:
    """The architecture of a model whose layers are to be moved."""
    architecture = architecture_of(node.config)
    if architecture is None:
        raise RecipeError(
            f"{node.name!r}: the layers of a {node.config.get('model_type', 'bare file')} are not "
            "known, so they cannot be re-ordered"
        )
    return architecture


class LayerStack:
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
                if self._layers
                else f"{where}: {self._node.name!r} has no layers at all"
            )
        return self._layers[number]

    def outside(self, *, first: bool, last: bool) -> Iterator[str]:
        """What belongs to no layer: before the first, behind the last, or both."""
        norm = self._architecture.final_norm
        for name in self._rest:
            behind = (
                "head" in name
                or re.fullmatch(self._architecture.head, name) is not None
                or (norm is not None and f"{norm.name}." in name)
            )
            if (behind and last) or (not behind and first):
                yield name

    def embedding(self) -> str | None:
        """What stands for the head, where none is stored."""
        if any(re.fullmatch(self._architecture.head, name) for name in self._rest):
            return None
        ending = self._architecture.embedding
        return next((name for name in self._rest if name.endswith(ending)), None)

    def head(self) -> str:
        """The name that a head has."""
        heads = ("lm_head.weight", "embed_out.weight")
        pattern = self._architecture.head
        return next((name for name in heads if re.fullmatch(pattern, name)), heads[0])


@dataclass(frozen=True)
class Ends:
    """What of all that belongs to no layer a slice has to give.

    Attributes:
        first: what stands before the layers.
        last: what stands behind them.
        own_head: the head is to be that of the last slice, even if its models have none but their
            embeddings: those of the result are the first slice's.
    """

    first: bool
    last: bool
    own_head: bool


def tensors_of(
    nodes: Sequence[Node], ranges: Sequence[tuple[int, int]], out: int, ends: Ends, where: str
) -> Iterator[tuple[str, float, list[str]]]:
    """What a slice makes: the name of each tensor, its depth in the slice, what it is made of.

    Args:
        nodes: the models that are merged, the base first.
        ranges: the layers of each.
        out: how many layers the result has before this slice.
        ends: what it gives besides.
        where: named in errors.
    """
    stacks = [LayerStack(node, where) for node in nodes]
    for name in stacks[0].outside(first=ends.first, last=ends.last):
        yield name, 0.0, [corresponding_tensor(node, name, nodes[0]) for node in nodes]
    if ends.last and ends.own_head:
        embeddings = [found for stack in stacks if (found := stack.embedding()) is not None]
        if len(embeddings) == len(stacks):
            yield stacks[0].head(), 0.0, embeddings
    (first, stop), *_ = ranges
    layers = stop - first
    for layer in range(layers):
        here = [
            stack.layer(start + layer, where)
            for stack, (start, _) in zip(stacks, ranges, strict=True)
        ]
        for suffix in here[0]:
            for tensors, node in zip(here, nodes, strict=True):
                if suffix not in tensors:
                    raise RecipeError(f"{where}: {node.name!r} has no tensor like {suffix}")
            depth = layer / (layers - 1) if layers > 1 else 1.0
            yield f"{stacks[0].start}.{out + layer}.{suffix}", depth, [t[suffix] for t in here]


def depth_of(nodes: Sequence[Node], ranges: Sequence[tuple[int, int]], where: str) -> int:
    """How many layers a slice takes; none are allowed, to take what stands before or behind them.

    Raises:
        RecipeError: a range goes backwards, or the models give different numbers of layers.
    """
    for node, (start, stop) in zip(nodes, ranges, strict=True):
        if start < 0 or stop < start:
            raise RecipeError(
                f"{where}: expected a layer_range [first, stop] that counts up from 0, got "
                f"[{start}, {stop}] of {node.name!r}"
            )
    depths = [stop - start for start, stop in ranges]
    for node, depth in zip(nodes, depths, strict=True):
        if depth != depths[0]:
            raise RecipeError(
                f"{where}: all sources must give the same number of layers; {nodes[0].name!r} "
                f"gives {depths[0]}, {node.name!r} {depth}"
            )
    return depths[0]


def ranges_of(sources: Sequence[Input], base: str | None) -> list[tuple[int, int]]:
    """The layers that a slice takes: of the base, if there is one, and of each other model.

    Of a base that is not listed they are those of the first source.
    """
    given = [(entry.model, entry.layer_range) for entry in sources if entry.layer_range]
    others = [layers for model, layers in given if model != base]
    if base is None:
        return others
    return [next((layers for model, layers in given if model == base), given[0][1]), *others]


def config_of_path(layers: Sequence[tuple[Node, int]], first: Node, last: Node) -> dict[str, Any]:
    """The config of a model whose layers come from these.

    Args:
        layers: the model and the number of each layer.
        first: the model whose embeddings it has.
        last: the model whose last norm and head it has.
    """
    nodes = list(dict.fromkeys([first, *(node for node, _ in layers), last]))
    steps = tuple(RouteStep(nodes.index(node), layer) for node, layer in layers)
    return route_config(
        Route(steps),
        known_architecture(first),
        [node.config for node in nodes],
        nodes.index(first),
        nodes.index(last),
    )
