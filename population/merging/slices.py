"""Slices: the tensors that ranges of layers make, and the config of the result."""

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
    """The architecture of a model whose layers are to be re-ordered.

    Raises:
        RecipeError: it is not known.
    """
    architecture = architecture_of(node.config)
    if architecture is None:
        raise RecipeError(
            f"{node.name!r}: the layers of a {node.config.get('model_type', 'bare file')} are not "
            "known, so they cannot be re-ordered"
        )
    return architecture


class LayerStack:
    """A model's tensors by layer.

    Args:
        node: the model.
        where: what messages begin with.

    Raises:
        RecipeError: its architecture is not known.
    """

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
        """The tensors of a layer, by the name inside it.

        Raises:
            RecipeError: there is no such layer.
        """
        if number not in self._layers:
            raise RecipeError(
                f"{where}: {self._node.name!r} has layers 0 to {len(self._layers) - 1}, no {number}"
                if self._layers
                else f"{where}: {self._node.name!r} has no layers at all"
            )
        return self._layers[number]

    def outside(self, *, first: bool, last: bool) -> Iterator[str]:
        """The tensors that belong to no layer: before the first, after the last, or both."""
        norm = self._architecture.final_norm
        for name in self._rest:
            after_layers = (
                "head" in name
                or re.fullmatch(self._architecture.head, name) is not None
                or (norm is not None and f"{norm.name}." in name)
            )
            if (after_layers and last) or (not after_layers and first):
                yield name

    def embedding(self) -> str | None:
        """The embeddings that stand for the head; None if a head is stored."""
        if any(re.fullmatch(self._architecture.head, name) for name in self._rest):
            return None
        ending = self._architecture.embedding
        return next((name for name in self._rest if name.endswith(ending)), None)

    def head(self) -> str:
        """The name that the head has in this architecture."""
        heads = ("lm_head.weight", "embed_out.weight")
        pattern = self._architecture.head
        return next((name for name in heads if re.fullmatch(pattern, name)), heads[0])


@dataclass(frozen=True)
class Ends:
    """Which tensors outside of the layers a slice contributes.

    Attributes:
        first: those before the layers.
        last: those after them.
        own_head: the head is to be that of the last slice, even if its models have none but their
            embeddings: those of the result are the first slice's.
    """

    first: bool
    last: bool
    own_head: bool


def tensors_of(
    nodes: Sequence[Node], ranges: Sequence[tuple[int, int]], out: int, ends: Ends, where: str
) -> Iterator[tuple[str, float, list[str]]]:
    """The tensors that a slice makes.

    Args:
        nodes: the models that are merged, the base first.
        ranges: the layers (first, stop) of each.
        out: the number of layers that the result has before this slice.
        ends: the tensors outside of the layers that it contributes.
        where: what messages begin with.

    Yields:
        The name of each tensor, its relative depth in the slice, and its input in each model.

    Raises:
        RecipeError: a layer or a tensor does not exist in one of the models.
    """
    stacks = [LayerStack(node, where) for node in nodes]
    for name in stacks[0].outside(first=ends.first, last=ends.last):
        yield name, 0.0, [corresponding_tensor(node, name, nodes[0]) for node in nodes]
    if ends.last and ends.own_head:
        embeddings = [embedding for stack in stacks if (embedding := stack.embedding()) is not None]
        if len(embeddings) == len(stacks):
            yield stacks[0].head(), 0.0, embeddings
    (first, stop), *_ = ranges
    layers = stop - first
    for layer in range(layers):
        layer_tensors = [
            stack.layer(start + layer, where)
            for stack, (start, _) in zip(stacks, ranges, strict=True)
        ]
        for suffix in layer_tensors[0]:
            for tensors, node in zip(layer_tensors, nodes, strict=True):
                if suffix not in tensors:
                    raise RecipeError(f"{where}: {node.name!r} has no tensor like {suffix}")
            depth = layer / (layers - 1) if layers > 1 else 1.0
            yield (
                f"{stacks[0].start}.{out + layer}.{suffix}",
                depth,
                [t[suffix] for t in layer_tensors],
            )


def depth_of(nodes: Sequence[Node], ranges: Sequence[tuple[int, int]], where: str) -> int:
    """The number of layers of a slice; 0 is allowed, for the tensors outside of layers alone.

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
    """The layers (first, stop) of the base, if there is one, and of each other model.

    Args:
        sources: the slice's inputs.
        base: the base's name; if it is not listed, it gives the layers of the first source.
    """
    given = [(entry.model, entry.layer_range) for entry in sources if entry.layer_range]
    others = [layers for model, layers in given if model != base]
    if base is None:
        return others
    return [next((layers for model, layers in given if model == base), given[0][1]), *others]


def config_of_path(layers: Sequence[tuple[Node, int]], first: Node, last: Node) -> dict[str, Any]:
    """The config of a model whose layers come from several models.

    Args:
        layers: the model and the number of each layer.
        first: the model that gives the embeddings.
        last: the model that gives the last norm and the head.

    Raises:
        RecipeError: one config cannot describe all of these layers.
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
