"""Who reads the others' answers: trusted judges from lines that are far apart."""

from collections.abc import Sequence

import numpy as np

from lineage.records import Floats


def seat_jury(
    candidates: Sequence[int],
    relationship: Floats,
    trust: Floats,
    size: int,
    seated: Sequence[int] = (),
) -> list[int]:
    """Choose judges one by one, each the most trusted times its distance from those chosen.

    Args:
        candidates: model ids.
        relationship: shape (candidates, candidates).
        trust: shape (candidates,), in [0, 1]; who has none is never chosen while others have.
        size: how many judges.
        seated: judges that have read answers already; they keep their seat while they are
            candidates, since what they have read need not be read again.

    Returns:
        Ids of at most `size` judges.
    """
    place = {model: row for row, model in enumerate(candidates)}
    jury = [judge for judge in seated if judge in place][:size]
    while len(jury) < min(size, len(candidates)):
        rows = [place[judge] for judge in jury]
        nearest = relationship[:, rows].max(axis=1) if rows else np.zeros(len(candidates))
        worth = (trust + 1e-6) * (1.0 + 1e-6 - nearest)
        worth[rows] = -1.0
        jury.append(candidates[int(np.argmax(worth))])
    return jury
