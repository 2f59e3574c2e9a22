"""SCE: select elements by variance, weigh models by energy, erase minority signs."""

from collections.abc import Callable

from population.merging.methods.method import (
    INT8_MASK,
    Array,
    Chunk,
    Group,
    Parameter,
    Settings,
    Streamed,
    namespace,
)
from population.merging.methods.order_statistics import collect
from population.merging.methods.sparsify import Band, rank_band, where_or_zero
from population.merging.methods.task_vectors import signs

MERGEKIT_CLAMP = 1e-6


class Sce(Streamed):
    """Select, calculate, erase (arXiv 2408.07990, section 3.3).

    A model's weight is its share of the sum of squares of the (selected) task vectors. mergekit
    takes equal weights when the mean squares sum to less than 1e-6, which ordinary fine-tunes do,
    and divides by at least 1e-6; here only 0 is special. Compat brings both back.
    """

    name = "sce"
    source = "arXiv 2408.07990"
    parameters = (
        Parameter("select_topk", "share of the elements, by variance", 1.0, low=0, high=1),
        INT8_MASK,
    )

    def prepare(self, group: Group, settings: Settings) -> Callable[[Chunk], Array]:
        """Prepare merging: returns the function that merges one chunk, [rows, columns]."""
        selection = _selection(group, settings.one("select_topk"))
        squares = [0.0] * group.count
        select = selection()
        for chunk in group.chunks():
            for number, part in enumerate(select(_offsets(chunk))):
                squares[number] += float((part * part).sum())
        size = group.rows * group.columns
        energy = sum(squares)
        if energy == 0 or (settings.compat and energy / size < MERGEKIT_CLAMP):
            weights = [1 / group.count] * group.count
        else:
            weights = [square / energy for square in squares]
        least = MERGEKIT_CLAMP if settings.compat else 0.0
        select = selection()

        def merge(chunk: Chunk) -> Array:
            parts = select(_offsets(chunk))
            xp = namespace(chunk.base)
            total: Array = sum(parts[1:], start=parts[0])
            sign = signs(total)
            merged, shares = xp.zeros_like(total), xp.zeros_like(total)
            for weight, part in zip(weights, parts, strict=True):
                agrees = xp.astype(part * sign > 0, total.dtype) * weight
                merged += agrees * part
                shares += agrees
            if least:
                shares = xp.where(shares < least, xp.full_like(shares, least), shares)
            else:
                shares += xp.astype(shares == 0, total.dtype)
            return chunk.base + merged / shares

        return merge


Select = Callable[[list[Array]], list[Array]]


def _selection(group: Group, share: float) -> Callable[[], Select]:
    """A factory of functions that zero what is not selected, for all chunks in order."""
    if share >= 1:
        return lambda: lambda parts: parts
    variances = collect(group, group.chunks(), lambda c, _: _variance(_offsets(c)))
    size = variances.shape[0]
    keep = int(int(namespace(variances).count_nonzero(variances)) * share)
    if keep == 0:
        return lambda: lambda parts: [part * 0.0 for part in parts]
    top_band = rank_band(variances, size - keep, size)

    def selection() -> Select:
        band = Band(top_band.low, skip=top_band.skip)

        def select(parts: list[Array]) -> list[Array]:
            mask = band.mask(_variance(parts))
            return [where_or_zero(mask, part) for part in parts]

        return select

    return selection


def _offsets(chunk: Chunk) -> list[Array]:
    return [model - chunk.base for model in chunk.models]


def _variance(parts: list[Array]) -> Array:
    mean = sum(parts[1:], start=parts[0]) / len(parts)
    squares = [(part - mean) ** 2 for part in parts]
    return sum(squares[1:], start=squares[0]) / len(parts)
