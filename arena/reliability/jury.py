"""Selection of a jury: trusted judges that are distantly related."""

from collections.abc import Sequence

import numpy as np

from lineage.records import Floats


def select_jury(
    candidates: Sequence[int],
    relationship: Floats,
    trust: Floats,
    size: int,
    seated: Sequence[int] = (),
) -> list[int]:
    """Choose judges one by one, by trust times distance from the nearest judge chosen before.

    Args:
        candidates: model ids.
        relationship: shape `[candidates, candidates]`, coefficients in [0, 1].
        trust: shape `[candidates]`, in [0, 1]; those without are chosen only after all others.
        size: number of judges.
        seated: ids of judges that have read answers already; they stay in the jury while they are
            candidates, since they need not read these answers again.

    Returns:
        Ids of at most `size` judges.

    >>> kin = np.array([[1.0, 0.9, 0.0], [0.9, 1.0, 0.0], [0.0, 0.0, 1.0]])
    >>> select_jury([1, 2, 3], kin, np.array([0.9, 0.8, 0.5]), size=2)
    [1, 3]
    """
    row_of = {model: row for row, model in enumerate(candidates)}
    jury = [judge for judge in seated if judge in row_of][:size]
    while len(jury) < min(size, len(candidates)):
        rows = [row_of[judge] for judge in jury]
        nearest = relationship[:, rows].max(axis=1) if rows else np.zeros(len(candidates))
        worth = (trust + 1e-6) * (1.0 + 1e-6 - nearest)
        worth[rows] = -1.0
        jury.append(candidates[int(np.argmax(worth))])
    return jury
