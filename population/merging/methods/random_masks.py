"""Random masks for sparsifying, drawn from keyed bits so that they can be drawn again."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from array_api_compat import is_numpy_array

from population.errors import RecipeError
from population.merging.methods import kernels
from population.merging.methods.method import Array, Group

Mask = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]

MaskRows = Callable[[Array, int, int], Mask]
"""(magnitudes, start, stop) to the mask of rows start..stop-1: [rows, columns] both."""


def bernoulli_mask(group: Group, model: int, density: float) -> MaskRows:
    """Every element is kept with probability `density` (DARE, arXiv 2311.03099).

    Args:
        group: the tensor; shape [rows, columns].
        model: index of the model whose task vector is sparsified.
        density: probability to keep.

    Returns:
        A function that gives the mask of rows start..stop-1, shape [rows, columns].
    """
    bits = group.random(model)
    drawn = _Draws(bits, group.rows * group.columns).below(density)
    mask = drawn.reshape(group.rows, group.columns)
    return lambda _, start, stop: mask[start:stop]


def rank_mask(group: Group, model: int, density: float, epsilon: float) -> MaskRows:
    """Larger magnitudes of a row are kept more often (DELLA, arXiv 2406.11617, section 3.1).

    The element with rank r of n is kept with probability
    `density - epsilon + 2 epsilon (r - 1) / (n - 1)`. Nothing has to be sorted for that:
    (r - 1) / (n - 1) is the chance that another element of the row, picked at random, is smaller.
    So one draw decides: below density - epsilon keep, above density + epsilon drop, and between
    the two keep what is larger than a random other element of its row. Each element has its own
    draw and its own opponent, so they are independent, as with sorting.

    Rows of length 1 have no ranks and are kept with probability `density` (mergekit fails there).

    Args:
        group: the tensor; shape [rows, columns].
        model: index of the model whose task vector is sparsified.
        density: mean probability to keep.
        epsilon: half the spread of the probabilities.

    Returns:
        A function that gives the mask of rows start..stop-1, shape [rows, columns], and is called
        for all rows in order.

    Raises:
        RecipeError: a probability would not lie between 0 and 1.
    """
    rows, columns = group.rows, group.columns
    if columns == 1:
        return bernoulli_mask(group, model, density)
    low, high = density - epsilon, density + epsilon
    if not (low > 0 and high < 1):
        raise RecipeError(
            f"della: density {density:g} with epsilon {epsilon:g} gives probabilities from "
            f"{low:g} to {high:g}; both must lie between 0 and 1"
        )
    bits = group.random(model)
    draws = _Draws(bits, rows * columns)
    keep = draws.below(low).reshape(rows, columns)
    unsure = draws.below(high).reshape(rows, columns)
    unsure ^= keep
    all_rivals = bits.random_raw(-(-int(np.count_nonzero(unsure)) // 2)).view(np.uint32)
    used = 0

    def decide(size: Array, start: int, stop: int) -> Mask:
        nonlocal used
        sizes: npt.NDArray[Any] = size if is_numpy_array(size) else size.cpu().numpy()
        here, undecided = keep[start:stop], unsure[start:stop].reshape(-1)
        rivals = all_rivals[used:]
        used += kernels.keep_larger_than_rival(
            np.ascontiguousarray(sizes).reshape(-1),
            columns,
            undecided,
            rivals,
            here.reshape(-1),
        )
        return here

    return decide


class _Draws:
    """Uniform draws, one per element, of which at first only the leading byte is known.

    Comparing with a threshold needs more than that byte only where it equals the threshold's own,
    one time in 256; there the rest is drawn. So a Bernoulli draw of any probability costs a byte.
    """

    def __init__(self, bits: np.random.SFC64, count: int) -> None:
        self._rest = np.random.Generator(bits)
        # Eight bytes to a raw draw: half the price of Generator.bytes.
        drawn: npt.NDArray[np.uint64] = bits.random_raw(-(-count // 8))
        self._leading: Bytes = drawn.view(np.uint8)[:count]
        self._tails: dict[int, tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]] = {}

    def below(self, probability: float) -> Mask:
        """Which draws are below a probability."""
        if probability >= 1:
            return np.ones(self._leading.shape, bool)
        byte, rest = divmod(probability * 256, 1)
        below: Mask = self._leading < np.uint8(byte)
        if rest:
            where, tail = self._tail(int(byte))
            below[where] = tail < rest
        return below

    def _tail(self, byte: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
        if byte not in self._tails:
            where = np.flatnonzero(self._leading == np.uint8(byte))
            self._tails[byte] = where, self._rest.random(len(where))
        return self._tails[byte]
