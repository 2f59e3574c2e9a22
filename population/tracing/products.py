"""Inner products of the weights of a merge and of its possible parents, tensor by tensor.

A least-squares fit needs nothing else, and they add up: those of a tensor are the sums of those of
its slices. So weights are read once, whatever is fitted afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from lineage.records import Floats
from population.models.checkpoints import Checkpoint
from population.models.dtypes import BF16, F16, F32, Dtype, Wide

SLICES = 32
"""Slices along the first dimension that the products of a matrix are kept for."""

CHUNK_ELEMENTS = 1 << 18
"""Elements of each model that are widened at a time."""

ARITHMETIC = 16.0
"""Roundings of which the computation of a weight may consist."""

MANTISSA_BITS = {BF16: 7, F16: 10, F32: 23}
"""Stored bits behind the binary point, by dtype."""


@dataclass(frozen=True)
class Products:
    """Inner products of a merge and its candidates, over the elements of some units.

    A unit is a tensor, or a slice of one.

    Attributes:
        gram: shape (units, candidates + 1, candidates + 1), of these vectors: each candidate less
            the reference, but for the reference, which stands for itself; and, last, the merge
            less the reference.
        elements: how many were summed over, shape (units,).
        rounding: the squared error, summed, that rounding to the merge's dtype once would make,
            shape (units,).
    """

    gram: Floats
    elements: Floats
    rounding: Floats

    def from_reference(self, before: int, after: int) -> Products:
        """The same products with another candidate as the reference.

        Args:
            before: index of the reference so far.
            after: index of the new one.
        """
        change = np.eye(self.gram.shape[-1])
        if before != after:
            change[:, after] -= 1.0
            change[before] = 0.0
            change[before, after] = -1.0
            change[after] = 0.0
            change[after, [before, after]] = 1.0
        return replace(self, gram=change @ self.gram @ change.T)

    def only(self, candidates: Sequence[int]) -> Products:
        """The products of some of the candidates, the reference among them."""
        rows = [*candidates, self.gram.shape[-1] - 1]
        return replace(self, gram=self.gram[:, rows][:, :, rows])

    def with_merge(self, candidate: int) -> Products:
        """The products with a candidate in the place of the merge."""
        order = [*range(self.gram.shape[-1] - 1), candidate]
        return replace(self, gram=self.gram[:, order][:, :, order])


@dataclass(frozen=True)
class TensorProducts:
    """The products of some tensors.

    Attributes:
        names: of the tensors.
        slices: of all tensors, each one's along its first dimension, in order.
        starts: the number of each tensor's first slice, shape (tensors,).
    """

    names: tuple[str, ...]
    slices: Products
    starts: npt.NDArray[np.int64]

    @property
    def whole(self) -> Products:
        """The products of whole tensors, in the order of their names."""
        return Products(
            np.add.reduceat(self.slices.gram, self.starts),
            np.add.reduceat(self.slices.elements, self.starts),
            np.add.reduceat(self.slices.rounding, self.starts),
        )

    def only(self, candidates: Sequence[int]) -> TensorProducts:
        """The products of some of the candidates; see `Products`."""
        return replace(self, slices=self.slices.only(candidates))

    def from_reference(self, before: int, after: int) -> TensorProducts:
        """The same with another candidate as the reference; see `Products`."""
        return replace(self, slices=self.slices.from_reference(before, after))


def tensor_products(
    merge: Checkpoint,
    candidates: Sequence[Checkpoint],
    reference: int,
    names: Sequence[str],
    progress: Callable[[int, int], None],
    threads: int,
) -> TensorProducts:
    """The products of some tensors, which all of the models have in the same shape.

    Args:
        merge: whose parents are looked for.
        candidates: its possible parents.
        reference: index of the candidate that the others are compared with.
        names: of the tensors.
        progress: called with (tensors read, tensors in all) from this thread; may raise to stop.
        threads: tensors at a time.

    Raises:
        CheckpointError: a file has vanished or shrunk.
    """
    found: list[Products] = []
    with ThreadPoolExecutor(max_workers=threads) as pool:

        def work(name: str) -> Products:
            return _products_of(merge, candidates, reference, name)

        try:
            for products in pool.map(work, names):
                found.append(products)
                progress(len(found), len(names))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    counts = [len(each.elements) for each in found]
    slices = Products(
        np.concatenate([each.gram for each in found]),
        np.concatenate([each.elements for each in found]),
        np.concatenate([each.rounding for each in found]),
    )
    return TensorProducts(tuple(names), slices, np.cumsum([0, *counts[:-1]]))


def stored_dtype(merge: Checkpoint, name: str, sampled: int = 4096) -> Dtype:
    """The least precise dtype that holds the first elements of a tensor exactly.

    Merges that were computed or stored in half precision are often saved in a wider one.
    """
    header = merge.tensors[name]
    if header.dtype not in MANTISSA_BITS:
        return F32
    rows = max(1, sampled * (header.shape[0] if header.shape else 1) // max(1, header.parameters))
    values = np.ravel(merge.wide(name, 0, rows)).astype(np.float32)[:sampled]
    if not (values.view(np.uint32) & np.uint32(0xFFFF)).any():
        return BF16
    if np.array_equal(values.astype(np.float16).astype(np.float32), values):
        return F16
    return F32


def row_slices(merge: Checkpoint, name: str) -> list[tuple[int, int]]:
    """Rows of a tensor as (start, stop): `SLICES` slices of a matrix, or one of anything else."""
    shape = merge.tensors[name].shape
    rows = shape[0] if shape else 1
    count = SLICES if len(shape) > 1 and rows >= SLICES else 1
    width = rows // count
    return [(n * width, (n + 1) * width if n + 1 < count else rows) for n in range(count)]


def chunks(
    merge: Checkpoint,
    candidates: Sequence[Checkpoint],
    reference: int,
    name: str,
    rows: tuple[int, int],
) -> Iterator[tuple[Floats, Wide]]:
    """Some rows of all models, in pieces of bounded size.

    Yields:
        Differences from the reference, shape (candidates + 1, elements), in the order of
        `Products.gram`; and the weights of the merge, shape (elements,).
    """
    header = merge.tensors[name]
    width = max(1, header.parameters // max(1, header.shape[0] if header.shape else 1))
    step = max(1, CHUNK_ELEMENTS // width)
    for start in range(*rows, step):
        stop = min(rows[1], start + step)
        own = np.ravel(merge.wide(name, start, stop))
        others = [np.ravel(each.wide(name, start, stop)) for each in candidates]
        vectors = np.empty((len(others) + 1, own.size))
        zero = others[reference]
        for number, other in enumerate(others):
            np.subtract(other, zero, out=vectors[number], dtype=np.float64)
        vectors[reference] = zero
        np.subtract(own, zero, out=vectors[-1], dtype=np.float64)
        yield vectors, own


def rounding_variance(weights: Wide, dtype: Dtype) -> Floats:
    """The mean squared error of rounding to each of some weights, any shape: a twelfth of a step^2.

    >>> rounding_variance(np.array([1.0, 2.0], np.float32), BF16) * 12 * 128**2
    array([1., 4.])
    """
    _, exponents = np.frexp(weights)
    steps = np.ldexp(1.0, np.maximum(exponents - 1 - MANTISSA_BITS[dtype], -126))
    # A sum in fp32 rounds every product and every partial sum to it, not the result alone.
    roundings = ARITHMETIC if dtype is F32 else 1.0
    return np.asarray(np.where(weights == 0, 0.0, roundings * np.square(steps) / 12.0))


def _products_of(
    merge: Checkpoint, candidates: Sequence[Checkpoint], reference: int, name: str
) -> Products:
    """The products of the slices of one tensor."""
    dtype, slices = stored_dtype(merge, name), row_slices(merge, name)
    gram = np.zeros((len(slices), len(candidates) + 1, len(candidates) + 1))
    elements, rounding = np.zeros((2, len(slices)))
    for number, rows in enumerate(slices):
        for vectors, own in chunks(merge, candidates, reference, name, rows):
            gram[number] += vectors @ vectors.T
            elements[number] += own.size
            rounding[number] += rounding_variance(own, dtype).sum()
    for each in (merge, *candidates):
        each.release(name)
    return Products(gram, elements, rounding)
