"""Parts of a tensor that have weights of their own, and the methods that merge them so."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from array_api_compat import is_numpy_array

from population.merging.methods.method import Array, Chunk, Group, Settings, Streamed, namespace


@dataclass(frozen=True)
class MatrixCut:
    """A part of a tensor that counts as a matrix: `start:stop` of its rows or of its columns."""

    start: int
    stop: int
    rows: bool

    def within(self, chunk: Chunk) -> tuple[slice, slice] | None:
        """Where the part lies in a chunk of whole rows; None if it does not."""
        if not self.rows:
            return slice(None), slice(self.start, self.stop)
        start, stop = max(self.start, chunk.start), min(self.stop, chunk.stop)
        if start >= stop:
            return None
        return slice(start - chunk.start, stop - chunk.start), slice(None)


class Cuttable(Streamed):
    """A method on task vectors whose weights may differ within a tensor."""

    base = "required"

    def prepare(self, group: Group, settings: Settings) -> Callable[[Chunk], Array]:
        """Prepare merging: returns the function that merges one chunk, [rows, columns]."""
        return self.prepare_cut(group, settings, [None])

    @abstractmethod
    def prepare_cut(
        self, group: Group, settings: Settings, cuts: Sequence[MatrixCut | None]
    ) -> Callable[[Chunk], Array]:
        """Prepare merging a tensor that is cut: every part of it has weights of its own.

        What is kept of task vectors is decided for the whole tensor.

        Args:
            group: the inputs of one output tensor.
            settings: of the method, for one unit each part; only weights may differ between them.
            cuts: the parts, which make up the tensor; [None] if it is not cut.

        Returns:
            A function from a chunk to merged rows, shape [rows, columns].
        """


def part_weights(settings: Settings) -> list[list[float]]:
    """The weights of the models in each part of a tensor."""
    return [[float(weight) for weight in row] for row in settings["weight"]]


Merge = Callable[[Array, list[float], Array], Array]
"""Merges parts, shape [rows, columns] each, with a weight for each, into a base of that shape."""


def merge_cut(
    chunk: Chunk,
    parts: Array,
    cuts: Sequence[MatrixCut | None],
    weights: Sequence[list[float]],
    merge: Merge,
) -> Array:
    """A chunk whose parts are merged one by one.

    Args:
        chunk: with the base.
        parts: the task vectors of the models, or a list of them: shape [models, rows, columns].
        cuts: what is merged by itself.
        weights: of the models, for each of the cuts.
        merge: merges one part.

    Returns:
        Shape [rows, columns].
    """
    merged = namespace(chunk.base).empty_like(chunk.base)
    for cut, own in zip(cuts, weights, strict=True):
        assert cut is not None
        here = cut.within(chunk)
        if here is not None:
            base = chunk.base[here]
            base = np.ascontiguousarray(base) if is_numpy_array(base) else base
            merged[here] = merge(_part(parts, here), own, base)
    return merged


def _part(parts: Array, here: tuple[slice, slice]) -> Array:
    """Some rows or columns of all models, which may be written to on the CPU."""
    if not isinstance(parts, np.ndarray):
        return [part[here] for part in parts]
    return np.ascontiguousarray(parts[(slice(None), *here)])
