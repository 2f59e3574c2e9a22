"""Warnings about founders that are nearly equal, from which nothing can be bred.

It happens that a fine-tune was saved before it was trained, or that one model was fetched under two
names. A few rows of every tensor tell most founders apart; where they do not, all rows are read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from population.models.checkpoints import Checkpoint
from population.models.dtypes import Wide

MAX_DISTANCE = 1e-6
"""Relative to the norm of all weights: less is no training, but how a file was written."""

SAMPLED_ROWS = 4
"""Sampled rows of every tensor, evenly spaced."""

CHUNK_ROWS = 1024
"""Rows read at a time, where all are compared."""


def near_copies(
    founders: Sequence[Checkpoint],
    base: int | None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[str]:
    """Warnings about founders that are nearly equal to another one, one line for each.

    Args:
        founders: compatible checkpoints.
        base: index of the base among them, if there is one: it counts as the original.
        progress: called with (founders sampled, founders in all).
    """
    base_first = sorted(range(len(founders)), key=lambda number: number != base)
    samples: list[Wide] = []
    for founder in founders:
        progress(len(samples), len(founders))
        samples.append(_sample(founder))
    messages = []
    for position, number in enumerate(base_first):
        for earlier in base_first[:position]:
            one, other = founders[earlier], founders[number]
            if _distance(samples[earlier], samples[number]) >= MAX_DISTANCE:
                continue
            distance = _exact_distance(one, other)
            if distance >= MAX_DISTANCE:
                continue
            original = f"the base {one.name!r}" if earlier == base else f"{one.name!r}"
            relation = "has the weights of" if distance == 0 else f"differs by {distance:.0e} from"
            messages.append(
                f"founder {other.name!r} {relation} {original}: nothing can be bred from what they "
                "do not differ in; is it the model that was meant?"
            )
            break
    return messages


def _sample(founder: Checkpoint) -> Wide:
    """Some rows of every weight, flattened and concatenated: fp32, shape [elements]."""
    parts = []
    for name, header in sorted(founder.tensors.items()):
        if not header.dtype.floating or not header.parameters:
            continue
        height = header.shape[0] if header.shape else 1
        rows = sorted({int(row) for row in np.linspace(0, height - 1, SAMPLED_ROWS)})
        parts += [np.ravel(founder.wide(name, row, row + 1)).astype(np.float32) for row in rows]
        founder.release(name)
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def _distance(one: Wide, other: Wide) -> float:
    if one.shape != other.shape:
        return float("inf")
    length = float(np.linalg.norm(one))
    difference = float(np.linalg.norm(one - other))
    return difference / length if length else (float("inf") if difference else 0.0)


def _exact_distance(one: Checkpoint, other: Checkpoint) -> float:
    """The distance over all weights, relative to the norm of the first model's."""
    difference, length = 0.0, 0.0
    for name, header in one.tensors.items():
        if not header.dtype.floating or not header.parameters:
            continue
        height = header.shape[0] if header.shape else 1
        for start in range(0, height, CHUNK_ROWS):
            one_rows = np.asarray(one.wide(name, start, start + CHUNK_ROWS), np.float64)
            other_rows = np.asarray(other.wide(name, start, start + CHUNK_ROWS), np.float64)
            length += float(np.square(one_rows).sum())
            difference += float(np.square(one_rows - other_rows).sum())
        one.release(name)
        other.release(name)
    return float(np.sqrt(difference / length)) if length else (float("inf") if difference else 0.0)
