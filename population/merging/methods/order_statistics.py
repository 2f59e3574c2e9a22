"""Order statistics: elements by the rank of their magnitudes, without sorting."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from array_api_compat import device, is_numpy_array

from population.merging.methods import kernels
from population.merging.methods.method import Array, Chunk, Group, namespace

_SAMPLE = 1 << 14
_THREAD = threading.local()


def tensor_magnitudes(group: Group, model: int) -> Array:
    """|task vector| of one model: shape [rows * columns]."""
    return collect(group, group.chunks(only=model), chunk_magnitudes)


def chunk_magnitudes(chunk: Chunk, out: Array = None) -> Array:
    """|model - base| of the only model of a chunk.

    Args:
        chunk: of one model.
        out: flat; written to on the CPU. By default the model's own memory is overwritten.

    Returns:
        Shape [rows, columns].
    """
    (model,) = chunk.models
    if not is_numpy_array(model):
        return namespace(model).abs(model - chunk.base)
    out = model.reshape(-1) if out is None else out
    kernels.absolute_differences(model.reshape(-1), chunk.base.reshape(-1), out)
    return out.reshape(model.shape)


def collect(group: Group, chunks: Iterator[Chunk], value: Callable[[Chunk, Array], Array]) -> Array:
    """A value for each element of all chunks.

    Args:
        group: the tensor that the chunks belong to.
        chunks: all of them.
        value: computes the values of one chunk; it may write them into the (flat) second argument.

    Returns:
        Shape [rows * columns]; on the CPU it is valid until this thread's next call.
    """
    values: Array = None
    for chunk in chunks:
        if values is None:
            values = _buffer(chunk.models[0], group.rows * group.columns)
        target = values[chunk.start * group.columns : chunk.stop * group.columns]
        computed = namespace(target).reshape(value(chunk, target), (-1,))
        if not (is_numpy_array(computed) and np.shares_memory(computed, target)):
            target[...] = computed
    return values


def _buffer(like: Array, count: int) -> Array:
    """A buffer for `count` values: shape [count].

    On the CPU it is the same memory for each tensor that a thread works on, one after the other:
    fresh memory costs more than what is done with it.
    """
    if not is_numpy_array(like):
        return namespace(like).empty((count,), dtype=like.dtype, device=device(like))
    room: npt.NDArray[Any] | None = getattr(_THREAD, "room", None)
    if room is None or room.dtype != like.dtype or len(room) < count:
        room = _THREAD.room = np.empty(count, like.dtype)
    return room[:count]


def order_statistic(values: Array, place: int) -> tuple[float, int]:
    """The value at a position in sorted order, and how many values are smaller.

    A sample tells about where the value must lie; one pass counts what is below and what is not
    above, which for a bf16 model with its few different values mostly settles it; else only the
    candidates near it are partitioned. Exact: if the sample was misleading, all are partitioned.

    >>> order_statistic(np.array([3.0, 1.0, 2.0, 1.0]), 2)
    (2.0, 2)

    Args:
        values: shape [n], in any order.
        place: from 0 (the smallest) to n - 1.
    """
    if not is_numpy_array(values):
        value = namespace(values).sort(values)[place]
        return float(value), int((values < value).sum())
    count = len(values)
    if count < 4 * _SAMPLE:
        value = np.partition(values, place)[place]
        return float(value), int(np.count_nonzero(values < value))
    sample = np.sort(values[:: count // _SAMPLE])
    centre, width = place / count * len(sample), 2 * len(sample) ** 0.5  # four sigma
    guess = sample[min(int(centre), len(sample) - 1)]
    below, upto = kernels.count_around(values, guess)
    if below <= place < upto:
        return float(guess), below
    infinity = values.dtype.type(np.inf)
    if place >= upto:
        top = int(centre + width)
        low, high = guess, sample[top] if top < len(sample) else infinity
        room = count - below
    else:
        low, high = sample[int(centre - width)] if centre >= width else -infinity, guess
        room = upto
    candidates = np.empty(room + 1, values.dtype)
    below, collected = kernels.gather_between(values, low, high, candidates)
    candidates = candidates[:collected]
    if not 0 <= place - below < collected:
        candidates, below = values.copy(), 0
    candidates.partition(place - below)
    value = candidates[place - below]
    return float(value), below + int(np.count_nonzero(candidates < value))
