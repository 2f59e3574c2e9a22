"""Reinforced agent merging: average what several models changed, keep what one alone changed."""

from collections.abc import Callable

from population.merging.methods.method import (
    Array,
    Chunk,
    Group,
    Parameter,
    Settings,
    Streamed,
    namespace,
)

EPSILON = Parameter("epsilon", "a change up to this counts as none", default=1e-5, low=0)


class Ram(Streamed):
    """Each element is the base plus the mean of the changes that are none (arXiv 2601.13572)."""

    name = "ram"
    source = "arXiv 2601.13572"
    parameters: tuple[Parameter, ...] = (EPSILON,)

    def prepare(self, group: Group, settings: Settings) -> Callable[[Chunk], Array]:
        """Prepare merging: returns the function that merges one chunk, [rows, columns]."""
        return merge_function([1.0] * group.count, settings.one("epsilon"))


class RamPlus(Ram):
    """RAM that amplifies what one model alone changed, by how much it shares with others.

    The tensor-local form (mergekit's `ramplus_tl`): changes are counted per tensor.
    """

    name = "ramplus_tl"
    parameters = (
        Parameter("r", "strength of the amplification", default=0.1),
        Parameter("alpha", "the largest ratio that counts", default=0.2),
        EPSILON,
    )

    def prepare(self, group: Group, settings: Settings) -> Callable[[Chunk], Array]:
        """Prepare merging: returns the function that merges one chunk, [rows, columns]."""
        epsilon = settings.one("epsilon")
        shared, unique = [0.0] * group.count, [0.0] * group.count
        for chunk in group.chunks():
            changed, count = _changes(chunk, epsilon)[1:]
            for number, where in enumerate(changed):
                alone = float((where & (count == 1)).sum())
                unique[number] += alone
                shared[number] += float(where.sum()) - alone
        boosts = [
            1 + settings.one("r") * min(max(s / max(u, epsilon), 0.0), settings.one("alpha"))
            for s, u in zip(shared, unique, strict=True)
        ]
        return merge_function(boosts, epsilon)


def merge_function(boosts: list[float], epsilon: float) -> Callable[[Chunk], Array]:
    """The function that merges a chunk, [rows, columns].

    Args:
        boosts: the factor on each model's unique changes.
        epsilon: a change up to this counts as none.
    """

    def merge(chunk: Chunk) -> Array:
        parts, changed, count = _changes(chunk, epsilon)
        xp = namespace(count)
        ones = xp.ones_like(count)
        share = 1 / xp.where(count > 0, count, ones)
        merged = chunk.base + 0.0
        for part, where, boost in zip(parts, changed, boosts, strict=True):
            weight = xp.where(count == 1, ones * boost, share)
            merged += part * weight * xp.astype(where, count.dtype)
        return merged

    return merge


def _changes(chunk: Chunk, epsilon: float) -> tuple[list[Array], list[Array], Array]:
    """Task vectors, where each is a change, and how many changes there are at each element."""
    xp = namespace(chunk.base)
    parts = [model - chunk.base for model in chunk.models]
    changed = [xp.abs(part) > epsilon for part in parts]
    counts = [xp.astype(where, parts[0].dtype) for where in changed]
    return parts, changed, sum(counts[1:], start=counts[0])
