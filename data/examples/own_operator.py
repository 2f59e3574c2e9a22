"""An operator and a survival rule of your own.

    python data/examples/own_operator.py [FOLDER]

An installed package would offer them as entry points instead of passing them in::

    [project.entry-points."colony.operators"]
    extrapolate = "my_package:EXTRAPOLATE"
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from population import Campaign, Candidates, Extensions, Operator, Recombination, load_config

SETTINGS = {
    "founders": {
        "paths": [f"shipped:founders/{name}" for name in ("base", "reverse", "capital")],
        "base": "base",
    },
    "tasks": {"paths": ["shipped:tasks/reverse", "shipped:tasks/capital"]},
    "search": {
        "population": 6,
        "brood": 6,
        "items": 12,
        "panel": 24,
        "emitter": 0.0,  # operators make all children
        "operators": {"plugin:extrapolate": 1.0, "blend": 1.0},
        "survival": "plugin:best_and_newest",
    },
    "gradient": {"steps": 0},  # children stay as they were recombined
    "arena": {"items": 12, "judges": 2},
    "budget": {"generations": 2},
}


def extrapolate(recombination: Recombination) -> npt.NDArray[np.float64]:
    """From the mate through the first parent and beyond, as far as chance wants; shape (genes,)."""
    first, mate = recombination.parents
    return first + recombination.rng.uniform(0.0, 0.5) * (first - mate)


def best_and_newest(candidates: Candidates, size: int) -> list[int]:
    """The protected, then the best half by mean, then the youngest."""
    by_mean = np.argsort(-candidates.means, kind="stable")[: size // 2]
    by_age = np.argsort(-candidates.born, kind="stable")
    chosen = dict.fromkeys([*candidates.protected, *by_mean.tolist(), *by_age.tolist()])
    return sorted(list(chosen)[:size])


EXTRAPOLATE = Operator(extrapolate)


def main(folder: Path) -> None:
    """Breed with both and count who earned a place."""
    own = Extensions({"extrapolate": EXTRAPOLATE}, {"best_and_newest": best_and_newest})
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "colony.duckdb"
    campaign = Campaign.start(path, load_config(SETTINGS), extensions=own)
    print("stopped:", campaign.run())
    living = [model for model in campaign.archive.models(living=True) if model.generation > 0]
    for name in sorted({model.operator for model in living}):
        print(f"{name}: {sum(model.operator == name for model in living)} of {len(living)} living")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp(prefix="colony-")))
