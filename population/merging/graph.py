"""The graph of a merge: sources and steps, each of which can give any tensor of its model.

Combinations of combinations are never made one after the other. What a step gives is expressed over
its leaves (checkpoints, and results of methods that are no combinations), for all tensors at once,
in coordinates; so a recipe of a thousand steps costs a thousand small matrix products and one pass
over the founders' weights. Where angles are needed, the leaves' Gram matrices are taken first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from threading import Lock, local
from typing import Any, Protocol

import numpy as np

from population.architectures import Architecture, architecture_of, layer_of, place_of
from population.blocks import Segment, layout_of
from population.dtypes import Dtype
from population.errors import RecipeError
from population.merging.backends import Backend
from population.merging.operands import (
    Affine,
    AlongAxis,
    Coefficient,
    Inputs,
    Merge,
    Operand,
    WeightedSum,
    held,
    matrix,
    spans,
    unit_vectors,
)
from population.merging.recipe import Input, Step
from population.merging.settings import Units, resolve
from population.methods import METHODS, Combination, Method, Streamed
from population.methods.method import Floats, Settings, Span
from population.routes import IDENTITY, Route, route_config, sources_of
from population.routes import Step as RouteStep

Names = tuple[str, ...]

HIGHEST = 200
"""Steps upon steps that are computed one after the other, each within the next."""


@dataclass(frozen=True)
class Spec:
    """What a tensor of a model is: its shape and stored dtype."""

    shape: tuple[int, ...]
    dtype: Dtype


class Node(Protocol):
    """A model of the graph."""

    name: str
    height: int
    """How many steps below it, and with it, are computed one after the other."""

    @property
    def config(self) -> Mapping[str, Any]:
        """Its config.json."""

    @property
    def tensors(self) -> Mapping[str, Spec]:
        """Its tensors, by name."""

    @property
    def depths(self) -> Mapping[str, float]:
        """How deep each lies: 0 in the first layer and outside of all, 1 in the last."""

    def operand(self, tensor: str, backend: Backend) -> Operand:
        """One of its tensors."""

    def copy_of(self, tensor: str) -> tuple[Node, str]:
        """The source and the name of a tensor that cannot be merged, such as a counter."""


@dataclass
class Part:
    """Some tensors of a step's result, made in the same way.

    Attributes:
        base: the base model, or None.
        models: the others.
        names: the output tensors.
        inputs: the tensors of the base (if any) and of each model that they are made of.
        units: the tensors, or what they are cut into.
        segments: of each unit, where tensors are cut.
        settings: the method's, for each unit.
    """

    base: Node | None
    models: list[Node]
    names: Names
    inputs: list[Names]
    units: Units
    segments: list[Segment | None]
    settings: Settings

    @cached_property
    def place(self) -> Mapping[str, int]:
        """Of each output tensor, in `names`."""
        return {name: place for place, name in enumerate(self.names)}

    @cached_property
    def rows(self) -> Mapping[str, list[int]]:
        """The units of each output tensor."""
        rows: dict[str, list[int]] = {}
        for row, name in enumerate(self.units.names):
            rows.setdefault(name, []).append(row)
        return rows

    @property
    def nodes(self) -> list[Node]:
        """The base, if there is one, and the models."""
        return ([self.base] if self.base is not None else []) + self.models

    @property
    def straight(self) -> bool:
        """Whether every tensor is made of those of the same name."""
        return all(names == self.names for names in self.inputs)


@dataclass(frozen=True)
class Expansion:
    """A part of a combination over its leaves.

    Attributes:
        leaves: (node, its tensor for each of the part's); the others are relative to the first.
        vectors: shape (units, leaves): coordinates of the result.
    """

    leaves: list[tuple[Node, Names]]
    vectors: Floats


class MergeStep:
    """The result of a method.

    Args:
        step: from the recipe.
        nodes: what it may use, by name.
        compat: repeat mergekit's faults.
    """

    def __init__(self, step: Step, nodes: Mapping[str, Node], *, compat: bool) -> None:
        self.name = step.name
        self.method: Method = METHODS[step.method]
        self._step, self._nodes, self._compat = step, nodes, compat
        if step.slices:
            self.config, self.tensors, self.parts = self._from_slices()
        else:
            self.config, self.tensors, self.parts = self._from_models()
        method = self.method
        together = isinstance(method, Combination) and all(
            part.straight and method.axis(part.settings) == "tensor" for part in self.parts
        )
        self.height = _height(step, nodes, 0 if together else 1)
        self._expansions: dict[int, Expansion] = {}
        self._expanding = Lock()

    def _from_models(self) -> tuple[Mapping[str, Any], Mapping[str, Spec], list[Part]]:
        step = self._step
        base, models, parameters = self._roles(step.base, step.models)
        reference = base or models[0]
        names = tuple(reference.tensors)
        nodes = [base, *models] if base else models
        # Most models of a graph have the very same tensors, and a graph may have thousands.
        alike = all(node.tensors is reference.tensors for node in nodes)
        inputs = [
            names if alike else tuple(_named(node, name, reference) for name in names)
            for node in nodes
        ]
        blocks: list[str] = []
        segments: list[Segment | None] = [None] * len(names)
        unit_names = list(names)
        if step.blocks is not None:
            layout = layout_of(
                {name: spec.shape for name, spec in reference.tensors.items()},
                reference.config,
                step.blocks.granularity,
                step.blocks.groups,
            )
            cut = [(name, segment) for name in names for segment in layout.segments[name]]
            unit_names = [name for name, _ in cut]
            segments = [segment for _, segment in cut]
            blocks = [layout.blocks[segment.block].name for _, segment in cut]
        depths = np.array([reference.depths[name] for name in unit_names])
        units = Units(unit_names, depths, blocks)
        where = f"step {step.name!r}"
        settings = resolve(
            self.method, units, [step.parameters], parameters, where, compat=self._compat
        )
        part = Part(base, models, names, inputs, units, segments, settings)
        if alike:
            return reference.config, reference.tensors, [part]
        tensors = {name: self._spec(part, row) for row, name in enumerate(names)}
        return reference.config, tensors, [part]

    @cached_property
    def depths(self) -> Mapping[str, float]:
        reference = self.parts[0].nodes[0]
        same = self.tensors is reference.tensors
        return reference.depths if same else depths_of(self.tensors, self.config)

    def _from_slices(self) -> tuple[Mapping[str, Any], Mapping[str, Spec], list[Part]]:
        step = self._step
        parts: list[Part] = []
        tensors: dict[str, Spec] = {}
        out = 0
        heads: list[tuple[Node, int]] = []
        for number, piece in enumerate(step.slices):
            where = f"step {step.name!r}, slice {number}"
            base, models, parameters = self._roles(piece.base or step.base, piece.sources)
            nodes = [base, *models] if base else models
            ranges = _ranges(piece.sources, None if base is None else piece.base or step.base)
            depth = {stop - start for start, stop in ranges}
            if len(depth) != 1 or min(depth) < 1:
                raise RecipeError(f"{where}: all sources must give the same number of layers")
            stacks = [_Stack(node, where) for node in nodes]
            reference = nodes[0]
            names: list[str] = []
            depths: list[float] = []
            inputs: list[list[str]] = [[] for _ in nodes]
            if number in {0, len(step.slices) - 1}:
                for name in stacks[0].outside(
                    first=number == 0, last=number == len(step.slices) - 1
                ):
                    names.append(name)
                    depths.append(0.0)
                    for found, node in zip(inputs, nodes, strict=True):
                        found.append(_named(node, name, reference))
            (layers,) = depth
            for layer in range(layers):
                here = [
                    stack.layer(start + layer, where)
                    for stack, (start, _) in zip(stacks, ranges, strict=True)
                ]
                for suffix in here[0]:
                    names.append(f"{stacks[0].start}.{out}.{suffix}")
                    depths.append(layer / (layers - 1) if layers > 1 else 1.0)
                    for found, tensors_here, node in zip(inputs, here, nodes, strict=True):
                        if suffix not in tensors_here:
                            raise RecipeError(f"{where}: {node.name!r} has no tensor like {suffix}")
                        found.append(tensors_here[suffix])
                heads.append((reference, ranges[0][0] + layer))
                out += 1
            units = Units(names, np.array(depths))
            settings = resolve(
                self.method,
                units,
                [piece.parameters, step.parameters],
                parameters,
                where,
                compat=self._compat,
            )
            part = Part(
                base,
                models,
                tuple(names),
                [tuple(found) for found in inputs],
                units,
                [None] * len(names),
                settings,
            )
            parts.append(part)
            tensors |= {name: self._spec(part, row) for row, name in enumerate(names)}
        return _config_of_path(heads, step.name), tensors, parts

    def _roles(
        self, base: str | None, inputs: Sequence[Input]
    ) -> tuple[Node | None, list[Node], list[dict[str, Any]]]:
        """The base, the other models, and their parameters. An ignored base may be one of these."""
        if self.method.base == "ignored":
            base = None
        others = [entry for entry in inputs if entry.model != base]
        self.method.check(len(others), base is not None, f"step {self._step.name!r}")
        node = None if base is None else self._nodes[base]
        parameters = [dict(entry.parameters) for entry in others]
        return node, [self._nodes[entry.model] for entry in others], parameters

    def _spec(self, part: Part, place: int) -> Spec:
        specs = [
            node.tensors[names[place]] for node, names in zip(part.nodes, part.inputs, strict=True)
        ]
        for node, spec in zip(part.nodes, specs, strict=True):
            if spec.shape != specs[0].shape:
                raise RecipeError(
                    f"step {self.name!r}: expected {part.names[place]} of shape "
                    f"{list(specs[0].shape)} as in {part.nodes[0].name!r}, got {list(spec.shape)} "
                    f"in {node.name!r}"
                )
        return Spec(specs[0].shape, widest([spec.dtype for spec in specs]))

    @cached_property
    def _part_of(self) -> Mapping[str, Part]:
        return {name: part for part in self.parts for name in part.names}

    def below(self, tensor: str) -> tuple[Node, str]:
        """What a tensor that cannot be merged is copied from."""
        part = self._part_of[tensor]
        return part.nodes[0], part.inputs[0][part.place[tensor]]

    def copy_of(self, tensor: str) -> tuple[Node, str]:
        return _origin(self, tensor)

    def operand(self, tensor: str, backend: Backend) -> Operand:
        part = self._part_of[tensor]
        if isinstance(self.method, Combination) and self.method.axis(part.settings) == "tensor":
            return self._combination(part, tensor, backend)
        return self._single(part, tensor, backend)

    def _combination(self, part: Part, tensor: str, backend: Backend) -> Operand:
        expansion = self.expansion(part, backend)
        place, rows = part.place[tensor], part.rows[tensor]
        operands = [readable(node, names[place], backend) for node, names in expansion.leaves]
        segments = [part.segments[row] for row in rows]
        shape = self.tensors[tensor].shape
        return WeightedSum(
            operands,
            [
                _coefficient(expansion.vectors[rows, leaf], segments, shape)
                for leaf in range(len(operands))
            ],
        )

    def expansion(self, part: Part, backend: Backend) -> Expansion:
        """A part of this combination over its leaves; made by whichever thread asks first."""
        with self._expanding:
            if id(part) not in self._expansions:
                self._expansions[id(part)] = expanded(self, part, backend)
            return self._expansions[id(part)]

    def _single(self, part: Part, tensor: str, backend: Backend) -> Operand:
        place, rows = part.place[tensor], part.rows[tensor]
        if len(rows) > 1:
            raise RecipeError(
                f"step {self.name!r}: {self.method.name} cannot cut within tensors; use blocks of "
                "whole tensors (granularity half or layer)"
            )
        settings = Settings(
            {name: values[rows] for name, values in part.settings.values.items()}, self._compat
        )
        operands = [
            readable(node, names[place], backend)
            for node, names in zip(part.nodes, part.inputs, strict=True)
        ]
        inputs = Inputs(
            base=operands[0] if part.base is not None else None,
            models=tuple(operands[part.base is not None :]),
            seed=self._step.seed,
            tensor=tensor,
            names=tuple(model.name for model in part.models),
            size=backend.chunk,
        )
        if isinstance(self.method, Streamed):
            return Merge(self.method, inputs, settings)
        assert isinstance(self.method, Combination)
        axis = self.method.axis(settings)
        if axis == "columns" and len(self.tensors[tensor].shape) > 2:
            raise RecipeError(
                f"step {self.name!r}: {tensor} has more than two dimensions, so it has no columns"
            )
        return AlongAxis(self.method, inputs, settings, axis, backend)


class RouteNode:
    """The result of a route: layers of some models in a new order, with scales folded in."""

    def __init__(self, step: Step, nodes: Mapping[str, Node]) -> None:
        self.name = step.name
        self.height = _height(step, nodes, 1)
        self._models = [nodes[entry.model] for entry in step.models]
        configs = [node.config for node in self._models]
        architecture = _architecture(self._models[0])
        route = Route(tuple(RouteStep(model, layer, scale) for model, layer, scale in step.path))
        self.config: Mapping[str, Any] = route_config(route, architecture, configs)
        self._sources = sources_of(
            route, architecture, configs[0], [list(node.tensors) for node in self._models]
        )
        self.tensors: Mapping[str, Spec] = {
            name: self._models[model].tensors[tensor]
            for name, (model, tensor, _) in self._sources.items()
        }

    @cached_property
    def depths(self) -> Mapping[str, float]:
        return depths_of(self.tensors, self.config)

    def operand(self, tensor: str, backend: Backend) -> Operand:
        model, name, change = self._sources[tensor]
        operand = self._models[model].operand(name, backend)
        return operand if change == IDENTITY else Affine(operand, change.scale, change.shift)

    def below(self, tensor: str) -> tuple[Node, str]:
        """What a tensor that cannot be merged is copied from."""
        model, name, _ = self._sources[tensor]
        return self._models[model], name

    def copy_of(self, tensor: str) -> tuple[Node, str]:
        return _origin(self, tensor)


def _height(step: Step, nodes: Mapping[str, Node], more: int) -> int:
    height = max(nodes[name].height for name in step.uses()) + more
    if height > HIGHEST:
        raise RecipeError(
            f"step {step.name!r}: more than {HIGHEST} steps lie upon each other that are no "
            "weighted sums; write one of those before it as a model, and go on from that"
        )
    return height


def _origin(node: Node, tensor: str) -> tuple[Node, str]:
    """The source that a tensor is copied from; without recursion, see `expanded`."""
    while isinstance(node, MergeStep | RouteNode):
        node, tensor = node.below(tensor)
    return node.copy_of(tensor)


def expanded(root: MergeStep, part: Part, backend: Backend) -> Expansion:
    """Express a part of a combination over its leaves, through all combinations below it.

    Without recursion, because recipes may be deeper than Python's stack.
    """
    leaves: dict[tuple[int, Names], tuple[Node, Names]] = {}
    order: list[tuple[MergeStep, Part, Names]] = []
    seen: set[tuple[int, Names]] = set()
    stack: list[tuple[Node, Names, bool]] = [(root, part.names, False)]
    while stack:
        node, names, done = stack.pop()
        key = (id(node), names)
        inner = part if node is root else _passable(node, names, part)
        if inner is None:
            leaves.setdefault(key, (node, names))
        elif done:
            assert isinstance(node, MergeStep)
            order.append((node, inner, names))
        elif key not in seen:
            seen.add(key)
            stack.append((node, names, True))
            pairs = list(zip(inner.nodes, inner.inputs, strict=True))
            stack += [(below, inputs, False) for below, inputs in reversed(pairs)]
    found = list(leaves.values())
    units = len(part.units)
    position = {(id(node), names): place for place, (node, names) in enumerate(found)}
    unit = unit_vectors(len(found), units)
    gram = None
    if any(step.method.needs_gram for step, _, _ in order if isinstance(step.method, Combination)):
        gram = _gram(part, found, backend)
    of_tensor = _spread(part)
    vectors: dict[tuple[int, Names], Floats] = {key: unit[place] for key, place in position.items()}
    for step, inner, names in order:
        below = [vectors[id(n), i] for n, i in zip(inner.nodes, inner.inputs, strict=True)]
        base = below[0] if inner.base is not None else None
        settings = inner.settings
        if inner is not part and inner.units.names != part.units.names:
            wide = {key: values[of_tensor] for key, values in settings.values.items()}
            settings = Settings(wide, settings.compat)
        span = Span(np.stack(below[inner.base is not None :]), base, gram)
        assert isinstance(step.method, Combination)
        vectors[id(step), names] = step.method.combine(span, settings)
    return Expansion(found, vectors[id(root), part.names])


def _passable(node: Node, names: Names, root: Part) -> Part | None:
    """The part of a combination that an expansion may look through, or None for a leaf.

    What is cut within tensors must be cut as the expanded part is.
    """
    if not isinstance(node, MergeStep) or not isinstance(node.method, Combination):
        return None
    (part, *more) = node.parts
    if more or not part.straight or part.names != names:
        return None
    cut = len(part.units) != len(part.names)
    if cut and (part.units.names != root.units.names or part.segments != root.segments):
        return None
    return None if node.method.axis(part.settings) != "tensor" else part


def _spread(part: Part) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """For each unit, the place of its tensor."""
    return np.array([part.place[name] for name in part.units.names], dtype=np.intp)


def _gram(part: Part, leaves: Sequence[tuple[Node, Names]], backend: Backend) -> Floats:
    """Inner products of the first leaf and the others' differences to it, for each unit."""
    gram = np.zeros((len(part.units), len(leaves), len(leaves)))
    for place, name in enumerate(part.names):
        operands = [readable(node, names[place], backend) for node, names in leaves]
        rows, columns = operands[0].rows, operands[0].columns
        cuts = [(row, part.segments[row]) for row in part.rows[name]]
        for start, stop in spans(rows, columns, backend.chunk):
            vectors = [operand.read(start, stop) for operand in operands]
            for vector in vectors[1:]:
                vector -= vectors[0]  # noqa: PLW2901 - in place
            for row, segment in cuts:
                pieces = [_piece(vector, segment, start, stop) for vector in vectors]
                if pieces[0].shape[0] and pieces[0].shape[1]:
                    gram[row] += backend.gram(pieces)
        for operand in operands:
            operand.release()
    return gram


def _piece(chunk: Any, segment: Segment | None, start: int, stop: int) -> Any:
    if segment is None:
        return chunk
    if segment.dim == 1:
        return chunk[:, segment.start : segment.stop]
    return chunk[max(segment.start - start, 0) : max(min(segment.stop, stop) - start, 0)]


def _coefficient(
    values: Floats, segments: Sequence[Segment | None], shape: tuple[int, ...]
) -> Coefficient:
    """One number for a tensor; or where it is cut, one for each row or column."""
    if len(segments) == 1 or np.all(values == values[0]):
        return float(values[0])
    dim = segments[0].dim if segments[0] is not None else 0
    rows, _ = matrix(shape)
    along = np.empty(shape[dim])
    for value, segment in zip(values, segments, strict=True):
        assert segment is not None
        along[segment.start : segment.stop] = value
    if len(shape) == 1 or dim == 1:
        return along[None, :]
    return np.repeat(along, rows // shape[0])[:, None]


def readable(node: Node, tensor: str, backend: Backend) -> Operand:
    """A tensor that may be read again and in any order.

    What has to be held in memory for that is held once for an output tensor, whoever asks: where
    steps share ancestors, computing them anew each time would double with every step.
    """
    memo: dict[tuple[int, str], Operand] = _THREAD.__dict__.setdefault("held", {})
    key = (id(node), tensor)
    if key in memo:
        return memo[key]
    operand = node.operand(tensor, backend)
    if isinstance(operand, Merge | Affine):
        operand = memo[key] = held(operand, backend)
    return operand


def forget() -> None:
    """Let go of what this thread holds for an output tensor."""
    _THREAD.__dict__.pop("held", None)


_THREAD = local()


def widest(dtypes: Sequence[Dtype]) -> Dtype:
    """The dtype that holds all of some, as torch promotes them."""
    codes = {dtype.code for dtype in dtypes}
    if len(codes) == 1 or not all(dtype.floating for dtype in dtypes):
        return dtypes[0]
    from population.dtypes import F32, F64  # noqa: PLC0415

    return F64 if "F64" in codes else F32


def _named(node: Node, name: str, reference: Node) -> str:
    """The tensor of a model that corresponds to one of the reference's."""
    if name in node.tensors:
        return name
    architecture = architecture_of(node.config)
    if architecture is not None and name.endswith("lm_head.weight"):
        tied = [n for n in node.tensors if n.endswith(architecture.embedding)]
        if tied:
            return tied[0]
    raise RecipeError(
        f"{node.name!r} has no tensor {name}, which {reference.name!r} has; models that are merged "
        "need the same tensors (colony inspect shows them)"
    )


def depths_of(tensors: Mapping[str, Spec], config: Mapping[str, Any]) -> dict[str, float]:
    """How deep tensors lie: 0 in the first layer and outside of all, 1 in the last."""
    architecture = architecture_of(config)
    layers = {n: None if architecture is None else layer_of(architecture, n) for n in tensors}
    last = max((layer for layer in layers.values() if layer is not None), default=0)
    return {
        name: 0.0 if layer is None else layer / last if last else 1.0
        for name, layer in layers.items()
    }


def _architecture(node: Node) -> Architecture:
    architecture = architecture_of(node.config)
    if architecture is None:
        raise RecipeError(
            f"{node.name!r}: the layers of a {node.config.get('model_type', 'bare file')} are not "
            "known, so they cannot be re-ordered"
        )
    return architecture


class _Stack:
    """A model's tensors by layer."""

    def __init__(self, node: Node, where: str) -> None:
        self._node, self._where = node, where
        self._architecture = _architecture(node)
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


def _ranges(sources: Sequence[Input], base: str | None) -> list[tuple[int, int]]:
    """The layers that a slice takes: of the base, if there is one, and of each other model.

    Of a base that is not listed they are those of the first source.
    """
    given = [(entry.model, entry.layer_range) for entry in sources if entry.layer_range]
    others = [layers for model, layers in given if model != base]
    if base is None:
        return others
    return [next((layers for model, layers in given if model == base), given[0][1]), *others]


def _config_of_path(layers: Sequence[tuple[Node, int]], name: str) -> dict[str, Any]:
    """The config of a model whose layers come from these."""
    nodes = list(dict.fromkeys(node for node, _ in layers))
    steps = tuple(RouteStep(nodes.index(node), layer) for node, layer in layers)
    del name
    return route_config(Route(steps), _architecture(nodes[0]), [node.config for node in nodes])
