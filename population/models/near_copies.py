"""Founders that are nearly another one: a colony has nothing to breed from them.

It happens that a fine-tune was saved before it was trained, or that one model was fetched under two
names. A few rows of every tensor tell most founders apart; where they do not, all rows are read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from population.models.checkpoints import Checkpoint
from population.models.dtypes import Wide

MAX_DISTANCE = 1e-6
"""Of the length of all weights: less is no training, but how a file was written."""

SAMPLED_ROWS = 4
"""Of every tensor, evenly spaced."""

CHUNK_ROWS = 1024
"""Rows read at a time, where all are read."""


def near_copies(
    founders: Sequence[Checkpoint],
    base: int | None,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> list[str]:
    """What to say of founders that are nearly another one, a line for each such founder.

    Args:
        founders: compatible checkpoints.
        base: which of them is the base, if one is: it is the original, wherever it stands.
        tell: told how many founders are looked at, of how many.
    """
    order = sorted(range(len(founders)), key=lambda number: number != base)
    samples: list[Wide] = []
    for founder in founders:
        tell(len(samples), len(founders))
        samples.append(_sample(founder))
    found = []
    for place, number in enumerate(order):
        for earlier in order[:place]:
            one, other = founders[earlier], founders[number]
            if _distance(samples[earlier], samples[number]) >= MAX_DISTANCE:
                continue
            distance = _whole_distance(one, other)
            if distance >= MAX_DISTANCE:
                continue
            what = f"the base {one.name!r}" if earlier == base else f"{one.name!r}"
            how = "has the weights of" if distance == 0 else f"differs by {distance:.0e} from"
            found.append(
                f"founder {other.name!r} {how} {what}: nothing can be bred from what they do not "
                "differ in; is it the model that was meant?"
            )
            break
    return found


def _sample(founder: Checkpoint) -> Wide:
    """Some rows of every weight, one behind the other."""
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
    apart = float(np.linalg.norm(one - other))
    return apart / length if length else (float("inf") if apart else 0.0)


def _whole_distance(one: Checkpoint, other: Checkpoint) -> float:
    """How far apart all weights are, relative to their length."""
    apart, length = 0.0, 0.0
    for name, header in one.tensors.items():
        if not header.dtype.floating or not header.parameters:
            continue
        height = header.shape[0] if header.shape else 1
        for start in range(0, height, CHUNK_ROWS):
            mine = np.asarray(one.wide(name, start, start + CHUNK_ROWS), np.float64)
            theirs = np.asarray(other.wide(name, start, start + CHUNK_ROWS), np.float64)
            length += float(np.square(mine).sum())
            apart += float(np.square(mine - theirs).sum())
        one.release(name)
        other.release(name)
    return float(np.sqrt(apart / length)) if length else (float("inf") if apart else 0.0)
