"""Folding combinations of combinations into one weighted sum of their leaves.

They are never computed one after the other. The result of a step is expressed over its leaves
(checkpoints, and results of methods that are no combinations), for all tensors at once, in
coordinates; so a recipe of a thousand steps costs a thousand small matrix products and one pass
over the founders' weights. Where angles are needed, the leaves' Gram matrices are computed first.
"""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from population.merging.backends import Backend
from population.merging.lazy_tensors import Coefficient, matrix_shape, row_spans, unit_vectors
from population.merging.methods import Combination, Method
from population.merging.methods.method import Floats, Settings, Subspace
from population.merging.nodes import Node, TensorNames, rereadable
from population.merging.settings import Units
from population.models.blocks import Segment


@dataclass
class Part:
    """Some tensors of a step's result that are computed in the same way.

    Attributes:
        base: the base model, or None.
        models: the others.
        names: the output tensors.
        inputs: for the base (if any) and each model, the input of each output tensor.
        units: the tensors, or the segments that they are cut into.
        segments: of each unit, where tensors are cut.
        settings: the method's, for each unit.
        copied: output tensors of the step that are no weights.
    """

    base: Node | None
    models: list[Node]
    names: TensorNames
    inputs: list[TensorNames]
    units: Units
    segments: list[Segment | None]
    settings: Settings
    copied: Container[str] = ()

    @cached_property
    def index(self) -> Mapping[str, int]:
        """The position of each output tensor in `names`."""
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
    def same_names(self) -> bool:
        """Whether every tensor is computed from inputs of the same name."""
        return all(names == self.names for names in self.inputs)


class MethodResult:
    """A model that a method computes from others; the part of it that folding needs.

    Attributes:
        method: the method.
        parts: its tensors, all of them.
    """

    method: Method
    parts: list[Part]


@dataclass(frozen=True)
class Expansion:
    """A part of a combination as a weighted sum of its leaves.

    Attributes:
        leaves: (node, its tensor for each of the part's); the others are relative to the first.
        vectors: shape [units, leaves]: coordinates of the result.
    """

    leaves: list[tuple[Node, TensorNames]]
    vectors: Floats


def expand(root: Node, part: Part, backend: Backend) -> Expansion:
    """Express a part of a combination over its leaves, through all combinations below it.

    Without recursion, because recipes may be deeper than Python's stack.

    Args:
        root: the combination.
        part: a part of it.
        backend: computes the Gram matrices.
    """
    leaves: dict[tuple[int, TensorNames], tuple[Node, TensorNames]] = {}
    steps: list[tuple[MethodResult, Part, TensorNames]] = []
    visited: set[tuple[int, TensorNames]] = set()
    stack: list[tuple[Node, TensorNames, bool]] = [(root, part.names, False)]
    while stack:
        node, names, done = stack.pop()
        key = (id(node), names)
        inner = part if node is root else _foldable_part(node, names, part)
        if inner is None:
            leaves.setdefault(key, (node, names))
        elif done:
            assert isinstance(node, MethodResult)
            steps.append((node, inner, names))
        elif key not in visited:
            visited.add(key)
            stack.append((node, names, True))
            pairs = list(zip(inner.nodes, inner.inputs, strict=True))
            stack += [(inputs_below, inputs, False) for inputs_below, inputs in reversed(pairs)]
    leaf_list = list(leaves.values())
    units = len(part.units)
    position = {(id(node), names): place for place, (node, names) in enumerate(leaf_list)}
    unit = unit_vectors(len(leaf_list), units)
    gram = None
    if any(step.method.needs_gram for step, _, _ in steps if isinstance(step.method, Combination)):
        gram = _gram(part, leaf_list, backend)
    of_tensor = _tensor_of_unit(part)
    vectors: dict[tuple[int, TensorNames], Floats] = {
        key: unit[place] for key, place in position.items()
    }
    for step, inner, names in steps:
        inputs_below = [vectors[id(n), i] for n, i in zip(inner.nodes, inner.inputs, strict=True)]
        base = inputs_below[0] if inner.base is not None else None
        settings = inner.settings
        if inner is not part and inner.units.names != part.units.names:
            wide = {key: values[of_tensor] for key, values in settings.values.items()}
            settings = Settings(wide, settings.compat)
        span = Subspace(np.stack(inputs_below[inner.base is not None :]), base, gram)
        assert isinstance(step.method, Combination)
        vectors[id(step), names] = step.method.combine(span, settings)
    return Expansion(leaf_list, vectors[id(root), part.names])


def _foldable_part(node: Node, names: TensorNames, root: Part) -> Part | None:
    """The part of a combination that can be folded; None for a leaf.

    If it is cut within tensors, it must be cut as the root is.
    """
    if not isinstance(node, MethodResult) or not isinstance(node.method, Combination):
        return None
    (part, *more) = node.parts
    if more or not part.same_names or part.names != names:
        return None
    cut = len(part.units) != len(part.names)
    if cut and (part.units.names != root.units.names or part.segments != root.segments):
        return None
    return None if node.method.axis(part.settings) != "tensor" else part


def _tensor_of_unit(part: Part) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """For each unit, the index of its tensor: shape [units]."""
    return np.array([part.index[name] for name in part.units.names], dtype=np.intp)


def _gram(part: Part, leaves: Sequence[tuple[Node, TensorNames]], backend: Backend) -> Floats:
    """Inner products of the first leaf and the others' differences: [units, leaves, leaves]."""
    gram = np.zeros((len(part.units), len(leaves), len(leaves)))
    for index, name in enumerate(part.names):
        reference, names = leaves[0]
        if name in part.copied or not math.prod(reference.tensors[names[index]].shape):
            continue
        operands = [rereadable(node, names[index], backend) for node, names in leaves]
        rows, columns = operands[0].rows, operands[0].columns
        units_here = [(row, part.segments[row]) for row in part.rows[name]]
        for start, stop in row_spans(rows, columns, backend.chunk):
            vectors = [operand.read(start, stop) for operand in operands]
            for vector in vectors[1:]:
                vector -= vectors[0]  # noqa: PLW2901 - in place
            for row, segment in units_here:
                pieces = [_segment_of_chunk(vector, segment, start, stop) for vector in vectors]
                if pieces[0].shape[0] and pieces[0].shape[1]:
                    gram[row] += backend.gram(pieces)
        for operand in operands:
            operand.release()
    return gram


def _segment_of_chunk(chunk: Any, segment: Segment | None, start: int, stop: int) -> Any:
    if segment is None:
        return chunk
    if segment.dim == 1:
        return chunk[:, segment.start : segment.stop]
    return chunk[max(segment.start - start, 0) : max(min(segment.stop, stop) - start, 0)]


def tensor_coefficient(
    values: Floats, segments: Sequence[Segment | None], shape: tuple[int, ...]
) -> Coefficient:
    """The coefficient of one tensor: a number, or if it is cut, one for each row or column.

    Args:
        values: shape [segments].
        segments: where the tensor is cut; [None] if it is not.
        shape: of the tensor.

    Returns:
        A float, or shape [rows, 1] or [1, columns].
    """
    if len(segments) == 1 or np.all(values == values[0]):
        return float(values[0])
    dim = segments[0].dim if segments[0] is not None else 0
    rows, _ = matrix_shape(shape)
    along = np.empty(shape[dim])
    for value, segment in zip(values, segments, strict=True):
        assert segment is not None
        along[segment.start : segment.stop] = value
    if len(shape) == 1 or dim == 1:
        return along[None, :]
    return np.repeat(along, rows // shape[0])[:, None]
