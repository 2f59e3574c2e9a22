"""SCE: select elements by variance, weigh models by energy, erase minority signs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from population.merging.methods.cuts import Cuttable, MatrixCut, merge_cut, part_weights
from population.merging.methods.method import (
    INT8_MASK,
    Array,
    Chunk,
    Group,
    Parameter,
    Settings,
    namespace,
)
from population.merging.methods.order_statistics import collect
from population.merging.methods.sparsify import Band, rank_band, where_or_zero
from population.merging.methods.task_vectors import signs

MERGEKIT_CLAMP = 1e-6

MaskOf = Callable[[Sequence[Array]], Array]
"""From the next rows of the task vectors that take part, shape [rows, columns] each, to what is
selected of them: a mask of that shape, or None for all."""


@dataclass(frozen=True)
class SelectedElements:
    """What SCE selects of the task vectors in a tensor.

    Attributes:
        mask_of: makes a function that is called for all chunks, in order.
        energies: of each model, those that take no part included: the sum of squares of what is
            selected of its task vector, as a share of what those have that take part.
        size: elements of the tensor.
        energy: the sum of squares of those that take part.
    """

    mask_of: Callable[[], MaskOf]
    energies: tuple[float, ...]
    size: int
    energy: float


def taking_part(weights: Sequence[Sequence[float]]) -> list[int]:
    """The models that have a weight somewhere in a tensor; others count as if they were not there.

    >>> taking_part([[0.0, 0.5, 0.0], [1.0, 0.0, 0.0]])
    [0, 1]

    Args:
        weights: of the models, for each part of the tensor.
    """
    return [model for model, own in enumerate(zip(*weights, strict=True)) if any(own)]


def select_elements(group: Group, taking: Sequence[int], share: float) -> SelectedElements:
    """Select the elements in which task vectors differ most (step S), and add up what they hold.

    Args:
        group: the inputs of one tensor.
        taking: the models that take part, one at least.
        share: of the elements whose variance is not 0.
    """
    mask_of = _selection(group, taking, share)
    select, squares = mask_of(), [0.0] * group.count
    for chunk in group.chunks():
        parts = offsets(chunk)
        mask = select([parts[model] for model in taking])
        for model, part in enumerate(parts):
            kept = part if mask is None else where_or_zero(mask, part)
            squares[model] += float((kept * kept).sum())
    energy = sum(squares[model] for model in taking)
    shares = [square / energy if energy else 1.0 / len(taking) for square in squares]
    return SelectedElements(mask_of, tuple(shares), group.rows * group.columns, energy)


class Sce(Cuttable):
    """Select, calculate, erase (arXiv 2408.07990, section 3.3).

    A model counts by its share of the sum of squares of the (selected) task vectors. mergekit
    takes equal shares when the mean squares sum to less than 1e-6, which ordinary fine-tunes do,
    and divides by at least 1e-6; here only 0 is special. Compat brings both back.

    A weight is what evolution varies: a factor on the task vector where signs are elected, and on
    its model's share. Selection goes by the task vectors themselves.
    """

    name = "sce"
    source = "arXiv 2408.07990"
    parameters = (
        Parameter("weight", "factor on this model's part", 1.0, per_model=True, in_mergekit=False),
        Parameter("select_topk", "share of the elements, by variance", 1.0, low=0, high=1),
        INT8_MASK,
    )

    def prepare_cut(
        self, group: Group, settings: Settings, cuts: Sequence[MatrixCut | None]
    ) -> Callable[[Chunk], Array]:
        """Prepare merging: returns the function that merges one chunk, [rows, columns]."""
        weights = part_weights(settings)
        taking = taking_part(weights)
        if not taking:
            return lambda chunk: chunk.base
        found = select_elements(group, taking, float(settings["select_topk"][0]))
        small = settings.compat and found.energy / found.size < MERGEKIT_CLAMP
        energies = [1.0 / len(taking) if small else found.energies[model] for model in taking]
        least = MERGEKIT_CLAMP if settings.compat else 0.0
        own_weights = [[own[model] for model in taking] for own in weights]
        select = found.mask_of()

        def merge_part(parts: Array, weights: list[float], base: Array) -> Array:
            return _without_minorities(parts, weights, energies, base, least)

        def merge(chunk: Chunk) -> Array:
            everyone = offsets(chunk)
            parts = [everyone[model] for model in taking]
            mask = select(parts)
            if mask is not None:
                parts = [where_or_zero(mask, part) for part in parts]
            if len(cuts) == 1:
                return merge_part(parts, own_weights[0], chunk.base)
            return merge_cut(chunk, parts, cuts, own_weights, merge_part)

        return merge


def _without_minorities(
    parts: Sequence[Array],
    weights: Sequence[float],
    energies: Sequence[float],
    base: Array,
    least: float,
) -> Array:
    """The mean of the task vectors that have the sign of their weighted sum, added to the base.

    Args:
        parts: task vectors, shape [rows, columns] each.
        weights: on each of them.
        energies: with the weight, how much each counts in the mean.
        base: shape [rows, columns].
        least: the mean is divided by this at least.

    Returns:
        Shape [rows, columns].
    """
    xp = namespace(base)
    weighted = [part * weight for part, weight in zip(parts, weights, strict=True)]
    sign = signs(sum(weighted[1:], start=weighted[0]))
    merged, shares = xp.zeros_like(base), xp.zeros_like(base)
    for part, weight, energy in zip(parts, weights, energies, strict=True):
        counts = weight * energy
        value = part * counts * sign
        agrees = xp.astype(value > 0, base.dtype)
        merged += value * agrees
        shares += agrees * counts
    if least:
        shares = xp.where(shares < least, xp.full_like(shares, least), shares)
    else:
        shares += xp.astype(shares == 0, base.dtype)
    return merged / shares * sign + base


def offsets(chunk: Chunk) -> list[Array]:
    """The task vectors of all models of a chunk: shape [rows, columns] each."""
    return [model - chunk.base for model in chunk.models]


def _selection(group: Group, taking: Sequence[int], share: float) -> Callable[[], MaskOf]:
    """A factory of functions that say what is selected, for all chunks in order."""
    if share >= 1:
        return lambda: lambda parts: None

    def chunk_variances(chunk: Chunk, _: Array) -> Array:
        parts = offsets(chunk)
        return _variance([parts[model] for model in taking])

    variances = collect(group, group.chunks(), chunk_variances)
    size = variances.shape[0]
    keep = int(int(namespace(variances).count_nonzero(variances)) * share)
    if keep == 0:
        return lambda: lambda parts: namespace(parts[0]).zeros_like(parts[0]) > 0
    top_band = rank_band(variances, size - keep, size)

    def selection() -> MaskOf:
        band = Band(top_band.low, skip=top_band.skip)
        return lambda parts: band.mask(_variance(parts))

    return selection


def _variance(parts: Sequence[Array]) -> Array:
    mean = sum(parts[1:], start=parts[0]) / len(parts)
    squares = [(part - mean) ** 2 for part in parts]
    return sum(squares[1:], start=squares[0]) / len(parts)
