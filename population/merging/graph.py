"""The graph of a merge: steps over sources, each of which can compute any tensor of its model.

Steps that are weighted sums are not computed one after the other, see
`population.merging.linear_folding`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from functools import cached_property, partial
from threading import Lock
from typing import Any

import numpy as np

from population.errors import RecipeError
from population.families import family_of
from population.merging.backends import Backend
from population.merging.lazy_tensors import (
    Affine,
    AxisCombination,
    LazyTensor,
    MethodInputs,
    StreamedTensor,
    WeightedSum,
    matrix_shape,
)
from population.merging.linear_folding import (
    Expansion,
    MethodResult,
    Part,
    expand,
    tensor_coefficient,
)
from population.merging.methods import METHODS, Combination, Method, Streamed
from population.merging.methods.cuts import Cuttable, MatrixCut
from population.merging.methods.method import Settings
from population.merging.nodes import (
    Node,
    Spec,
    corresponding_tensor,
    depths_of,
    first_different,
    index_to_copy,
    rereadable,
    widest_dtype,
)
from population.merging.parts import PartView, checked_part, layers_of
from population.merging.recipe import Input, Slice, Step
from population.merging.routes import IDENTITY, Route, RouteStep, route_config, sources_of
from population.merging.settings import Units, resolve
from population.merging.slices import (
    Ends,
    config_of_path,
    depth_of,
    known_architecture,
    ranges_of,
    tensors_of,
)
from population.models.blocks import Segment, layout_of

MAX_HEIGHT = 200
"""Steps that may be nested in each other, each computed within the next."""


class _Expansions:
    """Parts of a combination over its leaves, each computed by the first thread that asks."""

    def __init__(self) -> None:
        self._of_part: dict[int, Expansion] = {}
        self._lock = Lock()

    def of(self, step: MergeStep, part: Part, backend: Backend) -> Expansion:
        """The expansion of a part of a step."""
        with self._lock:
            if id(part) not in self._of_part:
                self._of_part[id(part)] = expand(step, part, backend)
            return self._of_part[id(part)]


class MergeStep(MethodResult):
    """The result of a merge method.

    Args:
        step: from the recipe.
        nodes: the models that it may use, by name.
        compat: repeat mergekit's faults, see `population.merging.methods`.

    Raises:
        RecipeError: the models do not fit each other or the method.
    """

    def __init__(self, step: Step, nodes: Mapping[str, Node], *, compat: bool) -> None:
        self.name = step.name
        self.method: Method = METHODS[step.method]
        if step.part is not None:
            nodes = {name: PartView(nodes[name], step.part) for name in step.uses()}
        self._step, self._nodes = step, nodes
        self._copied_from: dict[str, int] = {}
        if step.slices:
            self.config, self.tensors, self.parts = self._from_slices(compat=compat)
        else:
            self.config, self.tensors, self.parts = self._from_models(compat=compat)
        method = self.method
        together = isinstance(method, Combination) and all(
            part.same_names and method.axis(part.settings) == "tensor" for part in self.parts
        )
        self.height = _height(step, nodes, 0 if together else 1)
        self._expansions = _Expansions()

    def _from_models(
        self, *, compat: bool
    ) -> tuple[Mapping[str, Any], Mapping[str, Spec], list[Part]]:
        step = self._step
        base, models, parameters = self._roles(step.base, step.models)
        reference = base or models[0]
        nodes = [base, *models] if base else models
        # Most models of a graph have the very same tensors, and a graph may have thousands.
        same_tensors = all(node.tensors is reference.tensors for node in nodes)
        names = tuple(reference.tensors)
        for name in {name for node in nodes for name in node.copied} & reference.tensors.keys():
            self._check_copied(
                name, nodes, [corresponding_tensor(node, name, reference) for node in nodes]
            )
        inputs = [
            names
            if same_tensors
            else tuple(corresponding_tensor(node, name, reference) for name in names)
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
                part=step.blocks.part,
            )
            cut_units = [(name, segment) for name in names for segment in layout.segments[name]]
            unit_names = [name for name, _ in cut_units]
            segments = [segment for _, segment in cut_units]
            blocks = [layout.blocks[segment.block].name for _, segment in cut_units]
        depths = np.array([reference.depths[name] for name in unit_names])
        units = Units(unit_names, depths, blocks)
        where = f"step {step.name!r}"
        settings = resolve(self.method, units, [step.parameters], parameters, where, compat=compat)
        part = Part(base, models, names, inputs, units, segments, settings, self.copied)
        if same_tensors:
            return reference.config, reference.tensors, [part]
        tensors = {name: self._spec(part, row) for row, name in enumerate(names)}
        return reference.config, tensors, [part]

    @cached_property
    def depths(self) -> Mapping[str, float]:
        """The relative depth of each tensor, see `Node.depths`."""
        reference = self.parts[0].nodes[0]
        same = self.tensors is reference.tensors
        return reference.depths if same else depths_of(self.tensors, self.config)

    def _from_slices(
        self, *, compat: bool
    ) -> tuple[Mapping[str, Any], Mapping[str, Spec], list[Part]]:
        step = self._step
        parts: list[Part] = []
        tensors: dict[str, Spec] = {}
        layers: list[tuple[Node, int]] = []
        references: list[Node] = []
        own_head = len(step.slices) > 1 and _apart_from_layers(
            step.slices[0]
        ) != _apart_from_layers(step.slices[-1])
        for number, slice_ in enumerate(step.slices):
            where = f"step {step.name!r}, slice {number}"
            base, models, parameters = self._roles(slice_.base or step.base, slice_.sources)
            nodes = [base, *models] if base else models
            ranges = ranges_of(slice_.sources, None if base is None else slice_.base or step.base)
            depth = depth_of(nodes, ranges, where)
            reference = nodes[0]
            ends = Ends(number == 0, number == len(step.slices) - 1, own_head)
            names: list[str] = []
            depths: list[float] = []
            inputs: list[list[str]] = [[] for _ in nodes]
            for name, depth_in_slice, input_names in tensors_of(
                nodes, ranges, len(layers), ends, where
            ):
                self._check_copied(name, nodes, input_names)
                names.append(name)
                depths.append(depth_in_slice)
                for tensor_names, tensor in zip(inputs, input_names, strict=True):
                    tensor_names.append(tensor)
            layers += [(reference, ranges[0][0] + layer) for layer in range(depth)]
            references.append(reference)
            units = Units(names, np.array(depths))
            settings = resolve(
                self.method,
                units,
                [slice_.parameters, step.parameters],
                parameters,
                where,
                compat=compat,
            )
            part = Part(
                base,
                models,
                tuple(names),
                [tuple(tensor_names) for tensor_names in inputs],
                units,
                [None] * len(names),
                settings,
                self.copied,
            )
            parts.append(part)
            tensors |= {name: self._spec(part, row) for row, name in enumerate(names)}
        if not layers:
            raise RecipeError(f"step {step.name!r}: its slices take no layer at all")
        last = references[-1] if own_head else references[0]
        return config_of_path(layers, references[0], last), tensors, parts

    def _check_copied(self, name: str, nodes: Sequence[Node], input_names: Sequence[str]) -> None:
        """Record where a tensor that is no weight is copied from.

        Raises:
            RecipeError: its models do not have the same.
        """
        pairs = list(zip(nodes, input_names, strict=True))
        if not any(tensor in node.copied for node, tensor in pairs):
            return
        origins = [node.copy_of(tensor) for node, tensor in pairs]
        index = index_to_copy(origins)
        if index is None:
            raise RecipeError(
                f"step {self.name!r}: {name} is a counter, a mask or a list of indices, which no "
                f"method can average, and {pairs[0][0].name!r} and "
                f"{first_different(pairs, origins).name!r} do not have the same; take it out of "
                "one, or give both the same"
            )
        self._copied_from[name] = index

    @property
    def copied(self) -> Set[str]:
        """The tensors that are no weights, and can only be copied."""
        return self._copied_from.keys()

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

    def _spec(self, part: Part, index: int) -> Spec:
        specs = [
            node.tensors[names[index]] for node, names in zip(part.nodes, part.inputs, strict=True)
        ]
        if part.names[index] in self.copied:
            return specs[self._copied_from[part.names[index]]]
        for node, spec in zip(part.nodes, specs, strict=True):
            if spec.shape != specs[0].shape:
                raise RecipeError(
                    f"step {self.name!r}: expected {part.names[index]} of shape "
                    f"{list(specs[0].shape)} as in {part.nodes[0].name!r}, got {list(spec.shape)} "
                    f"in {node.name!r}"
                )
        return Spec(specs[0].shape, widest_dtype([spec.dtype for spec in specs]))

    @cached_property
    def _part_of(self) -> Mapping[str, Part]:
        return {name: part for part in self.parts for name in part.names}

    def below(self, tensor: str) -> tuple[Node, str]:
        """The input that a tensor that cannot be merged is copied from: (model, name)."""
        part, number = self._part_of[tensor], self._copied_from.get(tensor, 0)
        return part.nodes[number], part.inputs[number][part.index[tensor]]

    def copy_of(self, tensor: str) -> tuple[Node, str]:
        """The source and name that a tensor is copied from."""
        return _copied_from(self, tensor)

    def lazy_tensor(self, tensor: str, backend: Backend) -> LazyTensor:
        """One merged tensor; nothing is computed before it is read.

        Raises:
            RecipeError: the method cannot cut within tensors, or needs a matrix.
        """
        part = self._part_of[tensor]
        if isinstance(self.method, Combination) and self.method.axis(part.settings) == "tensor":
            return self._combination(part, tensor, backend)
        return self._single(part, tensor, backend)

    def _combination(self, part: Part, tensor: str, backend: Backend) -> LazyTensor:
        expansion = self._expansions.of(self, part, backend)
        place, rows = part.index[tensor], part.rows[tensor]
        segments = [part.segments[row] for row in rows]
        shape = self.tensors[tensor].shape
        # What takes no part is not computed.
        leaves = [
            (node, names[place], expansion.vectors[rows, leaf])
            for leaf, (node, names) in enumerate(expansion.leaves)
            if leaf == 0 or np.any(expansion.vectors[rows, leaf])
        ]
        return WeightedSum(
            [rereadable(node, name, backend) for node, name, _ in leaves],
            [tensor_coefficient(values, segments, shape) for _, _, values in leaves],
        )

    def _single(self, part: Part, tensor: str, backend: Backend) -> LazyTensor:
        place, rows = part.index[tensor], part.rows[tensor]
        settings = Settings(
            {name: values[rows] for name, values in part.settings.values.items()},
            part.settings.compat,
        )
        self._check_cut(tensor, settings, len(rows))
        operands = [
            rereadable(node, names[place], backend)
            for node, names in zip(part.nodes, part.inputs, strict=True)
        ]
        inputs = MethodInputs(
            base=operands[0] if part.base is not None else None,
            models=tuple(operands[part.base is not None :]),
            seed=self._step.seed,
            tensor=tensor,
            names=tuple(model.name for model in part.models),
            size=backend.chunk,
        )
        if isinstance(self.method, Cuttable) and len(rows) > 1:
            cuts = [matrix_cut(part.segments[row], self.tensors[tensor].shape) for row in rows]
            return StreamedTensor(partial(self.method.prepare_cut, inputs, settings, cuts), inputs)
        if isinstance(self.method, Streamed):
            return StreamedTensor(partial(self.method.prepare, inputs, settings), inputs)
        assert isinstance(self.method, Combination)
        axis = self.method.axis(settings)
        if axis == "columns" and len(self.tensors[tensor].shape) > 2:
            raise RecipeError(
                f"step {self.name!r}: {tensor} has more than two dimensions, so it has no columns"
            )
        return AxisCombination(self.method, inputs, settings, axis, backend)

    def _check_cut(self, tensor: str, settings: Settings, parts: int) -> None:
        """Make sure that a method can treat so many parts of a tensor as the settings say.

        Raises:
            RecipeError: it cannot.
        """
        if parts == 1:
            return
        if not isinstance(self.method, Cuttable):
            raise RecipeError(
                f"step {self.name!r}: {self.method.name} cannot cut within tensors; use blocks of "
                "whole tensors (granularity tensor, half or layer)"
            )
        for name, values in settings.values.items():
            if name != "weight" and not np.array_equal(values, values[:1].repeat(parts, axis=0)):
                raise RecipeError(
                    f"step {self.name!r}: {self.method.name} can have other weights within a "
                    f"tensor, but no other {name}, as in {tensor}"
                )


class RouteNode:
    """The result of a route: layers of some models in a new order, with scales folded in.

    Args:
        step: from the recipe.
        nodes: the models that it may use, by name.

    Raises:
        RecipeError: the layers cannot be re-ordered, or the scales cannot be folded.
    """

    def __init__(self, step: Step, nodes: Mapping[str, Node]) -> None:
        self.name = step.name
        self.height = _height(step, nodes, 1)
        self._models = [nodes[entry.model] for entry in step.models]
        configs = [node.config for node in self._models]
        architecture = known_architecture(self._models[0])
        route = Route(tuple(RouteStep(model, layer, scale) for model, layer, scale in step.path))
        self.config: Mapping[str, Any] = route_config(route, architecture, configs)
        self._sources = sources_of(
            route, architecture, configs[0], [list(node.tensors) for node in self._models]
        )
        self.tensors: Mapping[str, Spec] = {
            name: self._models[model].tensors[tensor]
            for name, (model, tensor, _) in self._sources.items()
        }
        self.copied: Set[str] = {
            name
            for name, (model, tensor, _) in self._sources.items()
            if tensor in self._models[model].copied
        }

    @cached_property
    def depths(self) -> Mapping[str, float]:
        """The relative depth of each tensor, see `Node.depths`."""
        return depths_of(self.tensors, self.config)

    def lazy_tensor(self, tensor: str, backend: Backend) -> LazyTensor:
        """One tensor, scaled if the route scales it."""
        model, name, change = self._sources[tensor]
        operand = self._models[model].lazy_tensor(name, backend)
        return operand if change == IDENTITY else Affine(operand, change.scale, change.shift)

    def below(self, tensor: str) -> tuple[Node, str]:
        """The input that a tensor is taken from: (model, name)."""
        model, name, _ = self._sources[tensor]
        return self._models[model], name

    def copy_of(self, tensor: str) -> tuple[Node, str]:
        """The source and name that a tensor is copied from."""
        return _copied_from(self, tensor)


class Assembly:
    """Parts of several models, put together.

    Args:
        step: from the recipe.
        nodes: the models that it may use, by name.

    Raises:
        RecipeError: there is no such part, or models lack tensors of it.
    """

    def __init__(self, step: Step, nodes: Mapping[str, Node]) -> None:
        self.name = step.name
        self.height = _height(step, nodes, 0)
        whole = nodes[step.models[0].model]
        views: dict[str, Node] = {}
        for name, model in step.parts.items():
            views[checked_part(whole, name)] = PartView(nodes[model], name)
        family = family_of(whole.config)
        rest = [name for name in whole.tensors if family.part_of(name) not in views]
        self._sources: dict[str, Node] = dict.fromkeys(rest, whole)
        for view in views.values():
            self._sources |= dict.fromkeys(view.tensors, view)
        merged = views.get(family.merged, whole)
        self.config: Mapping[str, Any] = (
            merged.config if layers_of(merged) != layers_of(whole) else whole.config
        )
        self.tensors: Mapping[str, Spec] = {
            name: node.tensors[name] for name, node in self._sources.items()
        }
        self.copied: Set[str] = {
            name for name, node in self._sources.items() if name in node.copied
        }

    @cached_property
    def depths(self) -> Mapping[str, float]:
        """The relative depth of each tensor, see `Node.depths`."""
        return depths_of(self.tensors, self.config)

    def lazy_tensor(self, tensor: str, backend: Backend) -> LazyTensor:
        """One tensor, as the model of its part makes it."""
        return self._sources[tensor].lazy_tensor(tensor, backend)

    def below(self, tensor: str) -> tuple[Node, str]:
        """The input that a tensor is taken from: (model, name)."""
        return self._sources[tensor], tensor

    def copy_of(self, tensor: str) -> tuple[Node, str]:
        """The source and name that a tensor is copied from."""
        return _copied_from(self, tensor)


def matrix_cut(segment: Segment | None, shape: tuple[int, ...]) -> MatrixCut:
    """Where a segment of a tensor lies in the matrix that the tensor counts as.

    >>> matrix_cut(Segment(dim=0, start=1, stop=2, block=0), (4, 3, 5))
    MatrixCut(start=3, stop=6, rows=True)

    Args:
        segment: of the tensor.
        shape: of the tensor.
    """
    assert segment is not None
    if len(shape) == 1 or segment.dim == 1:
        return MatrixCut(segment.start, segment.stop, rows=False)
    rows = matrix_shape(shape)[0] // shape[0]
    return MatrixCut(segment.start * rows, segment.stop * rows, rows=True)


def _apart_from_layers(slice_: Slice) -> tuple[object, ...]:
    """A slice without its layer ranges: decides about tensors that belong to no layer."""
    sources = [(source.model, str(source.parameters)) for source in slice_.sources]
    return slice_.base, str(slice_.parameters), sources


def _height(step: Step, nodes: Mapping[str, Node], more: int) -> int:
    height = max(nodes[name].height for name in step.uses()) + more
    if height > MAX_HEIGHT:
        raise RecipeError(
            f"step {step.name!r}: more than {MAX_HEIGHT} steps lie upon each other that are no "
            "weighted sums; write one of those before it as a model, and go on from that"
        )
    return height


def _copied_from(node: Node, tensor: str) -> tuple[Node, str]:
    """The source that a tensor is copied from; without recursion, see `expand`."""
    while isinstance(node, MergeStep | RouteNode | Assembly):
        node, tensor = node.below(tensor)
    return node.copy_of(tensor)
