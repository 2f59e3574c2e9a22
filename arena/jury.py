"""Who reads the others' answers: trusted judges from lines that are far apart."""

from collections.abc import Mapping, Sequence

import numpy as np

from arena.judges.ballot import Floats
from arena.verdicts import PRIOR_HITS, PRIOR_MISSES
from lineage.records import Trust


def seat_jury(
    candidates: Sequence[int],
    relationship: Floats,
    record: Mapping[tuple[int, str], Trust],
    size: int,
    seated: Sequence[int] = (),
) -> list[int]:
    """Choose judges one by one, each the most trusted times its distance from those chosen.

    Args:
        candidates: model ids.
        relationship: shape (candidates, candidates).
        record: hits and misses by (judge, mode).
        size: how many judges.
        seated: judges that have read answers already; they keep their seat while they are
            candidates, since what they have read need not be read again.

    Returns:
        Ids of at most `size` judges.
    """
    place = {model: row for row, model in enumerate(candidates)}
    blank = Trust(0, "likelihood", PRIOR_HITS, PRIOR_MISSES)
    known = [record.get((model, "likelihood"), blank) for model in candidates]
    trust = np.array([trust.hits / (trust.hits + trust.misses) for trust in known])
    jury = [judge for judge in seated if judge in place][:size]
    while len(jury) < min(size, len(candidates)):
        rows = [place[judge] for judge in jury]
        nearest = relationship[:, rows].max(axis=1) if rows else np.zeros(len(candidates))
        worth = trust * (1.0 - nearest)
        worth[rows] = -1.0
        jury.append(candidates[int(np.argmax(worth))])
    return jury
