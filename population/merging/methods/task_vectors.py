"""Sparse task vectors with or without electing signs: TIES, DARE, DELLA, breadcrumbs.

One scheme, as in mergekit ("generalized task arithmetic"): every task vector is sparsified and
weighted; with sign election, each element keeps only what has the sign of the weighted sum; the
rest is summed, divided by the weights that took part if asked to, and added to the base.
"""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from array_api_compat import is_numpy_array

from population.merging.methods import kernels
from population.merging.methods.cuts import Cuttable, MatrixCut, merge_cut, part_weights
from population.merging.methods.method import (
    DENSITY,
    INT8_MASK,
    LAMBDA,
    NORMALIZE,
    RESCALE,
    WEIGHT,
    Array,
    Chunk,
    Group,
    Parameter,
    Settings,
    namespace,
)
from population.merging.methods.random_masks import bernoulli_mask, rank_mask
from population.merging.methods.sparsify import (
    KeepAll,
    KeepNone,
    Sparsification,
    keep_masked,
    keep_ranks,
)

NORMALIZE_BY_DEFAULT = Parameter("normalize", NORMALIZE.meaning, default=True)
RESCALE_BY_DEFAULT = Parameter("rescale", RESCALE.meaning, default=True)


class TaskVectors(Cuttable):
    """The common scheme; how task vectors are sparsified is up to the method.

    Attributes:
        votes: whether signs are elected.
    """

    votes: bool

    @abstractmethod
    def sparsification(self, group: Group, model: int, settings: Settings) -> Sparsification:
        """How one task vector is sparsified."""

    def prepare_cut(
        self, group: Group, settings: Settings, cuts: Sequence[MatrixCut | None]
    ) -> Callable[[Chunk], Array]:
        """Prepare merging: returns the function that merges one chunk, [rows, columns].

        In a part all is as it would be with its weights in the whole tensor, to the bit.
        """
        parts_weights = part_weights(settings)
        sparsifications = [
            self.sparsification(group, model, settings) for model in range(group.count)
        ]
        normalize, scale = bool(settings.one("normalize")), settings.one("lambda")

        def sparsified(chunk: Chunk, weights: Sequence[float]) -> Array:
            parts = _parts_buffer(len(weights), chunk.base)
            for number, model in enumerate(chunk.models):
                buffer = parts[number]
                part = sparsifications[number].apply(chunk, model, weights[number], buffer)
                if part is not buffer:
                    parts[number] = part
            return parts

        def add(parts: Array, weights: list[float], base: Array) -> Array:
            if self.votes:
                return add_elected(parts, weights, normalize, scale, base)
            return add_sum(parts, divisor_of(weights, normalize=normalize), scale, base)

        def merge(chunk: Chunk) -> Array:
            (weights,) = parts_weights
            return add(sparsified(chunk, weights), weights, chunk.base)

        def merge_part(parts: Array, weights: list[float], base: Array) -> Array:
            return add(_weighted(parts, weights), weights, base)

        def merge_parts(chunk: Chunk) -> Array:
            parts = sparsified(chunk, [1.0] * group.count)
            return merge_cut(chunk, parts, cuts, parts_weights, merge_part)

        return merge if len(cuts) == 1 else merge_parts


def divisor_of(weights: Sequence[float], *, normalize: bool) -> float:
    """What a sum of task vectors with some weights is divided by, where no signs are elected.

    >>> divisor_of([0.25, 0.25], normalize=True), divisor_of([1.0, -1.0], normalize=True)
    (0.5, 1.0)
    """
    share = sum(weights) if normalize else 1.0
    return share if abs(share) >= 1e-8 else 1.0


def add_sum(parts: Array, divisor: float, scale: float, base: Array) -> Array:
    """`base + scale * sum(parts) / divisor`.

    Args:
        parts: weighted task vectors: shape [models, rows, columns].
        divisor: of the sum.
        scale: on the sum.
        base: shape [rows, columns].

    Returns:
        Shape [rows, columns].
    """
    if is_numpy_array(base):
        kind, out = base.dtype.type, np.empty_like(base)
        kernels.sum_parts(
            _flat(parts), kind(divisor), kind(scale), base.reshape(-1), out.reshape(-1)
        )
        return out
    return sum(parts[1:], start=parts[0]) / divisor * scale + base


def add_elected(
    parts: Array, weights: list[float], normalize: bool, scale: float, base: Array
) -> Array:
    """`base + scale * (sum of the parts with the sign of their sum) / (weights of these)`.

    A sum of 0 counts as positive. Where no part takes part, the divisor is 1. TIES, arXiv
    2306.01708, section 4, steps 2 and 3.

    Args:
        parts: weighted task vectors: shape [models, rows, columns].
        weights: one for each model.
        normalize: whether to divide.
        scale: on the sum.
        base: shape [rows, columns].

    Returns:
        Shape [rows, columns].
    """
    if is_numpy_array(base):
        kind, out = base.dtype.type, np.empty_like(base)
        kernels.elect_parts(
            _flat(parts),
            np.array(weights, base.dtype),
            normalize,
            kind(scale),
            base.reshape(-1),
            out.reshape(-1),
        )
        return out
    xp = namespace(base)
    sign = signs(sum(parts[1:], start=parts[0]))
    merged, shares = xp.zeros_like(base), xp.zeros_like(base)
    for part, weight in zip(parts, weights, strict=True):
        agrees = xp.astype(part * sign > 0, base.dtype)
        merged += part * sign * agrees
        shares += agrees * weight
    if normalize:
        merged /= shares + xp.astype(shares == 0, base.dtype)
    return merged * sign * scale + base


def signs(values: Array) -> Array:
    """1 where values are 0 or more, -1 elsewhere; the same shape."""
    return namespace(values).astype(values >= 0, values.dtype) * 2 - 1


def _parts_buffer(count: int, base: Array) -> Array:
    """A buffer for the parts of a chunk; on a CPU one array, as the compiled loops need it."""
    return np.empty((count, *base.shape), base.dtype) if is_numpy_array(base) else [None] * count


def _weighted(parts: Array, weights: Sequence[float]) -> Array:
    """Parts, each times its weight; numpy's are overwritten."""
    if not isinstance(parts, np.ndarray):
        return [part * weight for part, weight in zip(parts, weights, strict=True)]
    parts *= np.array(weights, parts.dtype)[:, None, None]
    return parts


def _flat(parts: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return parts.reshape(len(parts), -1)


class Ties(TaskVectors):
    """Trim to the largest magnitudes, elect signs, merge what agrees (arXiv 2306.01708, section 4).

    Per tensor, as in mergekit; the paper trims over the whole model.
    """

    name = "ties"
    source = "arXiv 2306.01708"
    votes = True
    parameters = (WEIGHT, DENSITY, NORMALIZE_BY_DEFAULT, RESCALE, LAMBDA, INT8_MASK)

    def sparsification(self, group: Group, model: int, settings: Settings) -> Sparsification:
        """Keep the largest magnitudes."""
        total = group.rows * group.columns
        density = settings.each("density")[model]
        # As mergekit has it, any density above 0 keeps one element at least.
        keep = 0 if density == 0 else total if density >= 1 else max(1, int(density * total))
        return keep_ranks(group, model, total - keep, total, bool(settings.one("rescale")))


class Dare(TaskVectors):
    """Drop elements at random and rescale the rest (arXiv 2311.03099)."""

    source = "arXiv 2311.03099"
    random = True
    parameters = (WEIGHT, DENSITY, NORMALIZE, RESCALE_BY_DEFAULT, LAMBDA, INT8_MASK)

    def sparsification(self, group: Group, model: int, settings: Settings) -> Sparsification:
        """Keep elements at random."""
        density = settings.each("density")[model]
        if density >= 1:
            return KeepAll()
        if density == 0:
            return KeepNone()
        decide = bernoulli_mask(group, model, density)
        return keep_masked(group, model, decide, bool(settings.one("rescale")))


class DareLinear(Dare):
    """DARE, then a weighted sum."""

    name = "dare_linear"
    votes = False


class DareTies(Dare):
    """DARE, then the sign election of TIES."""

    name = "dare_ties"
    votes = True


class DellaLinear(TaskVectors):
    """Drop elements at random, small ones of a row more often (arXiv 2406.11617, section 3.1)."""

    name = "della_linear"
    source = "arXiv 2406.11617"
    random = True
    votes = False
    parameters: tuple[Parameter, ...] = (
        WEIGHT,
        DENSITY,
        Parameter(
            "epsilon", "spread of the probabilities around the density", 0.15, True, low=0, high=1
        ),
        NORMALIZE,
        RESCALE_BY_DEFAULT,
        LAMBDA,
        INT8_MASK,
    )

    def sparsification(self, group: Group, model: int, settings: Settings) -> Sparsification:
        """Keep elements at random, large ones of a row more often."""
        density, epsilon = settings.each("density")[model], settings.each("epsilon")[model]
        if density >= 1:
            return KeepAll()
        if density == 0:
            return KeepNone()
        decide = rank_mask(group, model, density, epsilon)
        return keep_masked(group, model, decide, bool(settings.one("rescale")))


class Della(DellaLinear):
    """DELLA's sparsification, then the sign election of TIES."""

    name = "della"
    votes = True
    parameters = tuple(
        NORMALIZE_BY_DEFAULT if parameter is NORMALIZE else parameter
        for parameter in DellaLinear.parameters
    )


class Breadcrumbs(TaskVectors):
    """Drop the largest magnitudes and the smallest (arXiv 2312.06795, section 3)."""

    name = "breadcrumbs"
    source = "arXiv 2312.06795"
    votes = False
    parameters = (
        WEIGHT,
        DENSITY,
        Parameter("gamma", "share of the largest that is dropped", 0.01, True, low=0, high=1),
        NORMALIZE,
        RESCALE,
        LAMBDA,
        INT8_MASK,
    )

    def sparsification(self, group: Group, model: int, settings: Settings) -> Sparsification:
        """Keep the magnitudes between the smallest and the largest."""
        total = group.rows * group.columns
        largest = int(settings.each("gamma")[model] * total)
        keep = int(settings.each("density")[model] * total)
        first = max(0, total - keep - largest)
        stop = min(total, first + keep)
        return keep_ranks(group, model, first, stop, bool(settings.one("rescale")))


class BreadcrumbsTies(Breadcrumbs):
    """Breadcrumbs, then the sign election of TIES."""

    name = "breadcrumbs_ties"
    votes = True
    parameters = Breadcrumbs.parameters
