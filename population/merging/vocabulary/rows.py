"""The embeddings of models in the merged vocabulary, a slice at a time."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from population.errors import CheckpointError
from population.merging.vocabulary.alignment import Alignment, Rows

Matrix: TypeAlias = NDArray[np.float32]
RowReader: TypeAlias = Callable[[int, Rows], Matrix]
"""Gathers rows of one model's embedding: (model, rows) to (len(rows), width), for no rows too."""


def aligned_rows(
    alignment: Alignment,
    model: int,
    start: int,
    stop: int,
    read: RowReader,
    padding: Matrix | None = None,
) -> Matrix:
    """Rows start..stop-1 of a model's embedding, in the merged vocabulary.

    Args:
        alignment: what `align` returned.
        model: index of the model.
        start: the first row.
        stop: the row after the last.
        read: gathers rows of one model's embedding. It is called once for `model`, and for every
            model that rows are borrowed from.
        padding: the model's `padding_row`, shape [width], if it needs one and the caller goes slice
            by slice; otherwise it is computed each time.

    Returns:
        fp32, shape [rows, width].
    """
    own_rows = alignment.rows[model][start:stop]
    kept = own_rows >= 0
    if kept.all():
        return read(model, own_rows)
    first = read(model, own_rows[kept])
    out = np.zeros((len(own_rows), first.shape[1]), np.float32)
    out[kept] = first
    fallback = alignment.fallback
    low, high = np.searchsorted(fallback.targets, (start, start + len(own_rows)))
    targets = fallback.targets[low:high] - start
    counts = np.diff(fallback.starts[low : high + 1])
    pairs = np.arange(fallback.starts[low], fallback.starts[high])
    target = np.repeat(targets, counts)
    pairs, target = pairs[~kept[target]], target[~kept[target]]
    for donor in np.unique(fallback.models[pairs]):
        of_donor = fallback.models[pairs] == donor
        out[target[of_donor]] += read(int(donor), fallback.sources[pairs[of_donor]])
    averaged = (counts > 1) & ~kept[targets]
    out[targets[averaged]] /= counts[averaged, None].astype(np.float32)
    padded = ~kept & ~alignment.used[start:stop]
    if padded.any():
        out[padded] = padding_row(alignment, model, read) if padding is None else padding
    return out


def padding_row(alignment: Alignment, model: int, read: RowReader, chunk: int = 8192) -> Matrix:
    """The mean of a model's rows with tokens, in the merged vocabulary: fp32, shape [width].

    Args:
        alignment: what `align` returned.
        model: index of the model.
        read: gathers rows of one model's embedding.
        chunk: rows read at a time.

    Raises:
        CheckpointError: the merged vocabulary is empty.
    """
    total: NDArray[np.float64] | None = None
    nothing = np.zeros(1, np.float32)
    for start in range(0, alignment.size, chunk):
        rows = aligned_rows(alignment, model, start, start + chunk, read, nothing)
        part = rows[alignment.used[start : start + chunk]].sum(axis=0, dtype=np.float64)
        total = part if total is None else total + part
    if total is None:
        raise CheckpointError("the merged vocabulary is empty; expected tokenizers with tokens")
    mean: Matrix = (total / max(int(alignment.used.sum()), 1)).astype(np.float32)
    return mean
