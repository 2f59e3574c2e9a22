"""Arcee fusion: take over only the elements that matter most."""

from collections.abc import Callable

from population.merging.methods.method import Array, Chunk, Group, Settings, Streamed, namespace
from population.merging.methods.order_statistics import collect, order_statistic
from population.merging.methods.sparsify import where_or_zero


class ArceeFusion(Streamed):
    """Elements whose importance exceeds median + 1.5 interquartile ranges come from the model.

    Importance is |difference| times the row's divergence KL(softmax(model) || softmax(base)), as in
    mergekit's `arcee_fusion` (`DynamicThresholdFusion`). mergekit estimates the quartiles of large
    tensors from a random million elements; here they are exact, so nothing is random.
    """

    name = "arcee_fusion"
    source = "arcee.ai"
    counts = (1, 1)

    def prepare(self, group: Group, settings: Settings) -> Callable[[Chunk], Array]:
        """Prepare merging: returns the function that merges one chunk, [rows, columns]."""
        del settings

        values = collect(group, group.chunks(), lambda chunk, _: _importance(chunk))
        last = values.shape[0] - 1
        places = [int(quartile * last) for quartile in (0.25, 0.5, 0.75)]
        first, median, third = (order_statistic(values, place)[0] for place in places)
        threshold = median + 1.5 * (third - first)

        def merge(chunk: Chunk) -> Array:
            (model,) = chunk.models
            return chunk.base + where_or_zero(_importance(chunk) >= threshold, model - chunk.base)

        return merge


def _importance(chunk: Chunk) -> Array:
    (model,) = chunk.models
    xp = namespace(model)
    # In fp64: of models that are close, the divergence would else be what rounding leaves.
    wide, base = xp.astype(model, xp.float64), xp.astype(chunk.base, xp.float64)
    p, q = _softmax(wide) + 1e-8, _softmax(base) + 1e-8
    divergence = xp.astype(xp.sum(p * xp.log(p / q), axis=-1, keepdims=True), model.dtype)
    return xp.abs(model - chunk.base) * divergence


def _softmax(rows: Array) -> Array:
    xp = namespace(rows)
    powers = xp.exp(rows - xp.max(rows, axis=-1, keepdims=True))
    return powers / xp.sum(powers, axis=-1, keepdims=True)
