"""Sparsifying task vectors: by magnitude, at random, or with probabilities that follow magnitude.

A `Sparsification` is made for one task vector of one tensor in a pass over it, and is then applied
to its chunks in order. On a CPU the loops are those of `population.merging.methods.kernels`.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from array_api_compat import device, is_numpy_array

from population.merging.methods import kernels
from population.merging.methods.method import Array, Chunk, Group, namespace
from population.merging.methods.order_statistics import (
    chunk_magnitudes,
    order_statistic,
    tensor_magnitudes,
)
from population.merging.methods.random_masks import Mask, MaskRows


class Sparsification(ABC):
    """Decides which elements of a task vector are kept.

    Attributes:
        factor: what is kept is multiplied by this.
    """

    factor: float = 1.0

    @abstractmethod
    def apply(self, chunk: Chunk, model: Array, weight: float, out: Array = None) -> Array:
        """A chunk of the weighted task vector, with dropped elements set to 0.

        Args:
            chunk: its base has shape [rows, columns].
            model: shape [rows, columns].
            weight: factor on the task vector.
            out: shape [rows, columns]; written to on the CPU.

        Returns:
            Shape [rows, columns]; `out` on the CPU.
        """


class KeepAll(Sparsification):
    """Keeps every element."""

    def apply(self, chunk: Chunk, model: Array, weight: float, out: Array = None) -> Array:
        """A chunk of the weighted task vector: shape [rows, columns]."""
        if not is_numpy_array(model):
            return (model - chunk.base) * weight
        kernels.weighted_offsets(
            _flat(model), _flat(chunk.base), model.dtype.type(weight), _flat(out)
        )
        return out


class KeepNone(Sparsification):
    """Keeps no element."""

    def apply(self, chunk: Chunk, model: Array, weight: float, out: Array = None) -> Array:
        """Zeros: shape [rows, columns]."""
        if not is_numpy_array(model):
            return model * 0.0
        out[...] = 0
        return out


@dataclass
class Band(Sparsification):
    """Keeps the elements whose magnitudes rank between two positions.

    Of equal magnitudes the earlier element ranks lower, so exactly as many are kept as asked for.

    Attributes:
        low: the least magnitude kept.
        high: the largest magnitude kept; infinity if nothing is cut off at the top.
        skip: how many elements equal to `low` are still to be dropped.
        take: how many elements equal to `high` may still be kept.
        factor: what is kept is multiplied by this.
    """

    low: float
    high: float = np.inf
    skip: int = 0
    take: int = 0
    factor: float = 1.0
    _ties: npt.NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self._ties = np.array([self.skip, self.take])

    def apply(self, chunk: Chunk, model: Array, weight: float, out: Array = None) -> Array:
        """A chunk of the weighted task vector, 0 outside of the band: shape [rows, columns]."""
        if not is_numpy_array(model):
            offset = model - chunk.base
            mask = self.mask(namespace(offset).abs(offset))
            return where_or_zero(mask, offset) * self.factor * weight
        kind = model.dtype.type
        kernels.band_offsets(
            _flat(model),
            _flat(chunk.base),
            np.array([self.low, self.high, np.inf], model.dtype),
            self._ties,
            kind(self.factor),
            kind(weight),
            _flat(out),
        )
        return out

    def mask(self, size: Array) -> Array:
        """Which of the next magnitudes to keep; chunks must come in order.

        >>> Band(low=2.0, skip=1).mask(np.array([1.0, 2.0, 2.0, 3.0])).tolist()
        [False, False, True, True]

        Args:
            size: magnitudes, any shape.

        Returns:
            A mask of the same shape.
        """
        xp = namespace(size)
        keep = (size >= self.low) & (size <= self.high)
        flat, size = xp.reshape(keep, (-1,)), xp.reshape(size, (-1,))
        skip, take = (int(count) for count in self._ties)
        if self.high < np.inf:
            (top,) = xp.nonzero(size == self.high)
            flat[top[take:]] = False
            self._ties[1] -= min(take, top.shape[0])
        if skip:
            (bottom,) = xp.nonzero(size == self.low)
            flat[bottom[:skip]] = False
            self._ties[0] -= min(skip, bottom.shape[0])
        return keep


def keep_ranks(group: Group, model: int, first: int, stop: int, rescale: bool) -> Sparsification:
    """Keep the magnitudes with ranks first..stop-1 (0 is the smallest) of the whole tensor.

    Args:
        group: the tensor; shape [rows, columns].
        model: index of the model whose task vector is sparsified.
        first: the lowest rank kept.
        stop: the rank after the highest.
        rescale: give what is kept the L1 norm of the whole task vector.
    """
    if first <= 0 and stop >= group.rows * group.columns:
        return KeepAll()
    if first >= stop:
        return KeepNone()
    sizes = tensor_magnitudes(group, model)
    result = rank_band(sizes, first, stop)
    if rescale:
        xp = namespace(sizes)
        kept = where_or_zero(rank_band(sizes, first, stop).mask(sizes), sizes)
        all_norm = float(xp.sum(sizes, dtype=xp.float64))
        result.factor = _l1_factor(all_norm, float(xp.sum(kept, dtype=xp.float64)))
    return result


def rank_band(sizes: Array, first: int, stop: int) -> Band:
    """The band that holds the ranks first..stop-1 of values of shape [n]."""
    low, below = order_statistic(sizes, first)
    if stop == sizes.shape[0]:
        return Band(low, skip=first - below)
    high, below_high = order_statistic(sizes, stop - 1)
    return Band(low, high, first - below, stop - below_high)


@dataclass(frozen=True)
class Masked(Sparsification):
    """Keeps the elements of a mask.

    Attributes:
        mask: shape [rows, columns].
        factor: what is kept is multiplied by this.
    """

    mask: Mask
    factor: float = 1.0

    def apply(self, chunk: Chunk, model: Array, weight: float, out: Array = None) -> Array:
        """A chunk of the weighted task vector, 0 outside of the mask: shape [rows, columns]."""
        mask = self.mask[chunk.start : chunk.stop]
        if not is_numpy_array(model):
            return where_or_zero(mask, model - chunk.base) * self.factor * weight
        kind = model.dtype.type
        kernels.masked_offsets(
            _flat(model),
            _flat(chunk.base),
            _flat(mask),
            kind(self.factor),
            kind(weight),
            _flat(out),
        )
        return out


def keep_masked(group: Group, model: int, decide: MaskRows, rescale: bool) -> Sparsification:
    """Keep the elements of a mask; with `rescale`, with the L1 norm of the whole task vector.

    mergekit's reading of DARE's 1/density and of DELLA's 1/p (`RescaleNorm.l1`): the norm that was
    really lost is given back, not the one expected to be.

    Args:
        group: the tensor; shape [rows, columns].
        model: index of the model whose task vector is sparsified.
        decide: gives the mask.
        rescale: see above.
    """
    mask = np.empty((group.rows, group.columns), bool)
    all_norm = kept_norm = 0.0
    for chunk in group.chunks(only=model):
        size = chunk_magnitudes(chunk)
        kept_here = mask[chunk.start : chunk.stop] = decide(size, chunk.start, chunk.stop)
        if not rescale:
            continue
        if is_numpy_array(size):
            chunk_norm, kept_chunk_norm = kernels.l1_norms(_flat(size), _flat(kept_here))
        else:
            chunk_norm, kept_chunk_norm = (
                float(size.sum()),
                float(where_or_zero(kept_here, size).sum()),
            )
        all_norm += chunk_norm
        kept_norm += kept_chunk_norm
    return Masked(mask, _l1_factor(all_norm, kept_norm) if rescale else 1.0)


def where_or_zero(mask: Array, array: Array) -> Array:
    """The array where the mask is true, 0 elsewhere: one shape. The mask may always be numpy's."""
    xp = namespace(array)
    if not is_numpy_array(array):
        mask = xp.asarray(mask, device=device(array))
    return xp.astype(mask, array.dtype) * array


def _flat(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return array.reshape(-1)


def _l1_factor(all_norm: float, kept_norm: float) -> float:
    return 1.0 if all_norm < 1e-7 or kept_norm < 1e-7 else all_norm / kept_norm
