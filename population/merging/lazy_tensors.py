"""Lazy tensors: matrices that are read in chunks of rows, whatever they are computed from.

A tensor counts as a matrix whose rows are its last dimension. Nothing is computed before it is
read, so a merge holds a few chunks in memory and never a model.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from array_api_compat import device

from population.errors import CheckpointError
from population.merging.backends import Backend, Numpy
from population.merging.methods import kernels
from population.merging.methods.method import (
    Array,
    Axis,
    Chunk,
    Combination,
    Settings,
    Subspace,
    namespace,
)
from population.models.checkpoints import Checkpoint
from population.models.dtypes import BF16, DTYPES, Dtype, Raw

Floats = npt.NDArray[np.float64]
Coefficient = float | npt.NDArray[Any]
"""One number, or one for each row (rows, 1) or column (1, columns), or for each element."""


class LazyTensor(Protocol):
    """A matrix that is read in chunks of rows.

    Attributes:
        rows: number of rows.
        columns: number of columns.
    """

    rows: int
    columns: int

    def read(self, start: int, stop: int) -> Array:
        """Rows start..stop-1, widened: shape [rows, columns]; may be written to."""

    def release(self) -> None:
        """Free memory that can be filled again."""


def matrix_shape(shape: Sequence[int]) -> tuple[int, int]:
    """A tensor's shape as (rows, columns), where rows have the length of its last dimension.

    >>> matrix_shape((2, 3, 4)), matrix_shape((5,)), matrix_shape(())
    ((6, 4), (1, 5), (1, 1))
    """
    if len(shape) < 2:
        return 1, int(np.prod(shape, dtype=int))
    return int(np.prod(shape[:-1], dtype=int)), int(shape[-1])


def row_spans(rows: int, columns: int, chunk: int) -> Iterator[tuple[int, int]]:
    """(start, stop) of spans of whole rows, of about `chunk` elements each.

    >>> list(row_spans(rows=5, columns=4, chunk=8))
    [(0, 2), (2, 4), (4, 5)]
    """
    step = max(1, chunk // max(columns, 1))
    for start in range(0, rows, step):
        yield start, min(start + step, rows)


class StoredTensor:
    """A tensor of a checkpoint."""

    def __init__(self, checkpoint: Checkpoint, name: str, backend: Backend) -> None:
        self._checkpoint, self._name, self._backend = checkpoint, name, backend
        header = checkpoint.tensors[name]
        self.rows, self.columns = matrix_shape(header.shape)
        self._dtype: Dtype = header.dtype
        self._raw = checkpoint.raw(name).reshape(self.rows, self.columns)
        self.bf16 = self._dtype is BF16 and isinstance(backend, Numpy)
        """Whether `raw` may be summed as it is."""

    def raw(self, start: int, stop: int) -> Raw:
        """Elements of rows start..stop-1 as they are stored: shape [rows * columns]."""
        return self._raw[start:stop].reshape(-1)

    def read(self, start: int, stop: int) -> Array:
        """Rows start..stop-1, widened: shape [rows, columns]; may be written to.

        Raises:
            CheckpointError: they hold NaN or infinity.
        """
        wide = self._backend.put(self._raw[start:stop], self._dtype)
        if not self._backend.finite(wide):  # a method might drop it, and nobody would know
            raise CheckpointError(
                f"{self._checkpoint.name!r}: {self._name} holds NaN or infinity; this checkpoint "
                "is broken"
            )
        return wide if self._dtype.size < 4 else wide * 1.0

    def release(self) -> None:
        """Free the mapped memory."""
        self._checkpoint.release(self._name)


class ComputedTensor:
    """A matrix whose rows are computed on the CPU: an adapted or a vocabulary-aligned tensor.

    Args:
        rows: number of rows.
        columns: number of columns.
        compute: returns rows start..stop-1, fp32 or fp64, writable.
        backend: where they go.
        release: called when they are no longer needed.
    """

    def __init__(
        self,
        rows: int,
        columns: int,
        compute: Callable[[int, int], npt.NDArray[Any]],
        backend: Backend,
        release: Callable[[], None],
    ) -> None:
        self.rows, self.columns = rows, columns
        self._compute, self._backend, self.release = compute, backend, release

    def read(self, start: int, stop: int) -> Array:
        """Rows start..stop-1, widened: shape [rows, columns]; may be written to."""
        return self._backend.array(self._compute(start, stop))


class InMemoryTensor:
    """A matrix in memory."""

    def __init__(self, values: Array) -> None:
        self.rows, self.columns = values.shape
        self._values = values

    def read(self, start: int, stop: int) -> Array:
        """Rows start..stop-1, widened: shape [rows, columns]; may be written to."""
        return self._values[start:stop] + 0.0

    def release(self) -> None:
        """Nothing to free."""


class WeightedSum:
    """`first * c_0 + sum_i c_i * (operand_i - first)`: every combination of models.

    Differences are taken first, so models that are equal stay equal, to the bit, whenever c_0 = 1.
    Each product and each sum is rounded on its own, in this order. A sum that equals one of its
    operands is that operand, without any arithmetic.

    Args:
        operands: the summands; the first is what the others are relative to.
        coefficients: one for each operand.
    """

    def __init__(self, operands: Sequence[LazyTensor], coefficients: Sequence[Coefficient]) -> None:
        self.rows, self.columns = operands[0].rows, operands[0].columns
        nonzero = [
            (operand, coefficient)
            for operand, coefficient in zip(operands[1:], coefficients[1:], strict=True)
            if not np.all(np.asarray(coefficient, np.float32) == 0)
        ]
        self._first = operands[0]
        self._others = nonzero
        self._scale = coefficients[0]
        self._unscaled = _all_one(self._scale)
        if self._unscaled and len(nonzero) == 1 and _all_one(nonzero[0][1]):
            self._first, self._others = nonzero[0][0], []
        self._stored = self._all_stored()

    def _all_stored(self) -> tuple[list[StoredTensor], npt.NDArray[np.float32]] | None:
        """Operands and coefficients, if they can be summed straight from the files."""
        stored = [self._first, *(other for other, _ in self._others)]
        weights = [self._scale, *(coefficient for _, coefficient in self._others)]
        tensors = [o for o in stored if isinstance(o, StoredTensor) and o.bf16]
        if len(tensors) < len(stored) or not all(isinstance(w, float) for w in weights):
            return None
        return tensors, np.array(weights, np.float32)

    def read(self, start: int, stop: int) -> Array:
        """Rows start..stop-1, widened: shape [rows, columns]; may be written to."""
        if self._stored is not None:
            tensors, weights = self._stored
            total = np.empty((stop - start, self.columns), np.float32)
            raws = tuple(tensor.raw(start, stop) for tensor in tensors)
            kernels.weighted_sum_bf16(raws, weights, total.reshape(-1))
            return total
        first = self._first.read(start, stop)
        if not self._others and self._unscaled:
            return first
        total = first + 0.0
        if not self._unscaled:
            total *= _coefficient_rows(self._scale, start, stop, first)
        for operand, coefficient in self._others:
            offset = operand.read(start, stop)
            if isinstance(offset, np.ndarray) and isinstance(coefficient, float):
                weight = total.dtype.type(coefficient)
                flat = total.reshape(-1), offset.reshape(-1), first.reshape(-1)
                kernels.add_weighted(*flat, weight)
                continue
            offset -= first
            offset *= _coefficient_rows(coefficient, start, stop, first)
            total += offset
        return total

    def release(self) -> None:
        """Free the operands' memory."""
        self._first.release()
        for operand, _ in self._others:
            operand.release()


def _all_one(coefficient: Coefficient) -> bool:
    return bool(np.all(np.abs(np.asarray(coefficient) - 1) < 1e-14))


def _coefficient_rows(coefficient: Coefficient, start: int, stop: int, like: Array) -> Any:
    if isinstance(coefficient, float):
        return coefficient
    part = coefficient if coefficient.shape[0] == 1 else coefficient[start:stop]
    if isinstance(like, np.ndarray):
        return part.astype(like.dtype)
    return like.new_tensor(part)


@dataclass(frozen=True)
class MethodInputs:
    """The inputs of a method for one tensor; a `population.merging.methods.method.Group`.

    Attributes:
        base: the base, or None.
        models: the others.
        seed: of the recipe's step.
        tensor: the name of the output tensor.
        names: of the models, which with seed and tensor decide what is drawn.
        size: elements per chunk.
    """

    base: LazyTensor | None
    models: tuple[LazyTensor, ...]
    seed: int
    tensor: str
    names: tuple[str, ...]
    size: int

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.models[0].rows

    @property
    def columns(self) -> int:
        """Number of columns."""
        return self.models[0].columns

    @property
    def count(self) -> int:
        """Number of models beside the base."""
        return len(self.models)

    def chunks(self, only: int | None = None) -> Iterator[Chunk]:
        """Chunks of all rows; with `only`, of the base and that model alone."""
        models = self.models if only is None else self.models[only : only + 1]
        for start, stop in row_spans(self.rows, self.columns, self.size):
            yield self.chunk(start, stop, models)

    def chunk(self, start: int, stop: int, models: Sequence[LazyTensor]) -> Chunk:
        """Rows start..stop-1 of the base and of some models."""
        base = None if self.base is None else self.base.read(start, stop)
        return Chunk(start, stop, base, [model.read(start, stop) for model in models])

    def random(self, model: int) -> np.random.SFC64:
        """A bit generator keyed by seed, tensor and model: any tensor can be remade alone."""
        key = f"{self.seed}|{self.tensor}|{self.names[model]}".encode()
        digest = hashlib.sha256(key).digest()
        return np.random.SFC64(np.random.SeedSequence(int.from_bytes(digest, "little")))

    def release(self) -> None:
        """Free the memory of all inputs."""
        for operand in (*self.models, *([self.base] if self.base is not None else [])):
            operand.release()


class StreamedTensor:
    """The result of a streamed method. Must be read once, in order.

    Args:
        prepare: passes over the inputs as often as needed; called at the first reading. See
            `Streamed.prepare`.
        inputs: of the method.
    """

    def __init__(
        self, prepare: Callable[[], Callable[[Chunk], Array]], inputs: MethodInputs
    ) -> None:
        self.rows, self.columns = inputs.rows, inputs.columns
        self._prepare, self._inputs = prepare, inputs
        self._merge: Callable[[Chunk], Array] | None = None

    def read(self, start: int, stop: int) -> Array:
        """Rows start..stop-1, widened: shape [rows, columns]; may be written to."""
        if self._merge is None:
            self._merge = self._prepare()
        return self._merge(self._inputs.chunk(start, stop, self._inputs.models))

    def release(self) -> None:
        """Free the inputs' memory."""
        self._inputs.release()


class AxisCombination:
    """A combination whose lengths and angles are those of rows or columns."""

    def __init__(
        self,
        method: Combination,
        inputs: MethodInputs,
        settings: Settings,
        axis: Axis,
        backend: Backend,
    ) -> None:
        self.rows, self.columns = inputs.rows, inputs.columns
        self._inputs = inputs
        operands = [*([] if inputs.base is None else [inputs.base]), *inputs.models]
        self._sum = WeightedSum(operands, self._coefficients(method, settings, axis, backend))

    def _coefficients(
        self, method: Combination, settings: Settings, axis: Axis, backend: Backend
    ) -> list[Coefficient]:
        inputs = self._inputs
        by_rows = axis == "rows" or self.rows == 1
        units = self.rows if by_rows else self.columns
        models = inputs.count if inputs.base is not None else inputs.count - 1
        gram = np.zeros((units, models + 1, models + 1))
        for chunk in inputs.chunks():
            arrays = [
                backend.get(a, DTYPES["F64"])[0]
                for a in (chunk.base, *chunk.models)
                if a is not None
            ]
            vectors = np.stack([arrays[0], *(a - arrays[0] for a in arrays[1:])])
            if by_rows:
                gram[chunk.start : chunk.stop] = np.einsum("arc,brc->rab", vectors, vectors)
            else:
                gram += np.einsum("arc,brc->cab", vectors, vectors)
        unit = unit_vectors(models + 1, units)
        base = None if inputs.base is None else unit[0]
        span = Subspace(unit if inputs.base is None else unit[1:], base, gram)
        wide = {n: np.repeat(v, units, axis=0) for n, v in settings.values.items()}
        merged = method.combine(span, Settings(wide, settings.compat))
        shape = (units, 1) if by_rows else (1, units)
        return [merged[:, column].reshape(shape) for column in range(models + 1)]

    def read(self, start: int, stop: int) -> Array:
        """Rows start..stop-1, widened: shape [rows, columns]; may be written to."""
        return self._sum.read(start, stop)

    def release(self) -> None:
        """Free the inputs' memory."""
        self._sum.release()


def unit_vectors(count: int, units: int) -> Floats:
    """Coordinates of operands over the basis (first, differences to the first).

    >>> unit_vectors(2, 1).tolist()
    [[[1.0, 0.0]], [[1.0, 1.0]]]

    Returns:
        Shape [operands, units, basis].
    """
    vectors = np.eye(count)
    vectors[:, 0] = 1.0
    return np.repeat(vectors[:, None, :], units, axis=1)


class Affine:
    """`scale * w + shift`."""

    def __init__(self, operand: LazyTensor, scale: float, shift: float) -> None:
        self.rows, self.columns = operand.rows, operand.columns
        self._operand, self._scale, self._shift = operand, scale, shift

    def read(self, start: int, stop: int) -> Array:
        """Rows start..stop-1, widened: shape [rows, columns]; may be written to."""
        return self._operand.read(start, stop) * self._scale + self._shift

    def release(self) -> None:
        """Free the operand's memory."""
        self._operand.release()


def load(operand: LazyTensor, backend: Backend) -> InMemoryTensor:
    """A lazy tensor read once, in order, and kept in memory."""
    values: Array = None
    for start, stop in row_spans(operand.rows, operand.columns, backend.chunk):
        part = operand.read(start, stop)
        if values is None:
            shape = (operand.rows, operand.columns)
            values = namespace(part).empty(shape, dtype=part.dtype, device=device(part))
        values[start:stop] = part
    operand.release()
    return InMemoryTensor(values)
