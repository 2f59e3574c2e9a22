"""NearSwap: interpolate to the other model where it is close."""

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


class NearSwap(Streamed):
    """Interpolates element by element with weight `t / |difference|`, at most 1.

    As in mergekit's `nearswap`.
    """

    name = "nearswap"
    source = "QuartetAnemoi-70B-t0.0001"
    counts = (1, 1)
    parameters = (Parameter("t", "the difference up to which an element is swapped", low=0),)

    def prepare(self, group: Group, settings: Settings) -> Callable[[Chunk], Array]:
        """Prepare merging: returns the function that merges one chunk, [rows, columns]."""
        del group
        t = settings.one("t")

        def merge(chunk: Chunk) -> Array:
            (other,) = chunk.models
            xp = namespace(other)
            difference = other - chunk.base
            weight = xp.clip(t / xp.clip(xp.abs(difference), 1e-6, None), 0.0, 1.0)
            return chunk.base + weight * difference

        return merge
