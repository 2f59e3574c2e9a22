"""MAP-Elites as M2N2 is compared with it (arXiv 2508.16204).

After map_elites_fn.py of SakanaAI/natural_niches, where the two groups of items are the images of
odd and of even digits. What the published code does otherwise:

- An accuracy of 1.0 has an index beyond the grid, and JAX silently drops what is written there.
  Here it belongs to the last cell.
- It does not count the evaluations of its founders.
"""

from dataclasses import dataclass

import numpy as np

from tests.benchmarks.rivals.m2n2 import crossover, draw
from tests.benchmarks.rivals.problem import Floats, Integers, Problem, Referee


@dataclass(frozen=True)
class MapElitesSettings:
    """What the grid is made of.

    Args:
        groups: Indices of the items behind the first and the second axis.
        bins: Cells along either axis.
        mutation: Deviation of the Gaussian noise on children; published are 0.01 from scratch
            and none for pre-trained founders.
    """

    groups: tuple[Integers, Integers]
    bins: int = 10
    mutation: float = 0.0


class Grid:
    """At most one vector a cell: the best that has come there."""

    def __init__(self, bins: int, dims: int) -> None:
        self.vectors = np.zeros((bins, bins, dims))
        self.qualities = np.zeros((bins, bins))
        self.occupied = np.zeros((bins, bins), dtype=np.bool_)

    def insert(self, cell: tuple[int, int], quality: float, vector: Floats) -> None:
        """Keep the vector if its cell is empty or worse (`update_archive`)."""
        if not self.occupied[cell] or quality > self.qualities[cell]:
            self.vectors[cell], self.qualities[cell], self.occupied[cell] = vector, quality, True

    def parents(self, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """Two vectors in proportion to their quality (`sample_parents`).

        They are drawn with replacement as long as all qualities sum to less than 2. (Fewer than
        two elites is what the published code must have meant.)
        """
        qualities = self.qualities[self.occupied]
        chosen = draw(rng, qualities, 2, replace=bool(qualities.sum() < 2.0))
        first, second = np.argwhere(self.occupied)[chosen]
        return self.vectors[tuple(first)], self.vectors[tuple(second)]


def map_elites(problem: Problem, rng: np.random.Generator, settings: MapElitesSettings) -> None:
    """Breed one child at a time until the budget is spent (`run_map_elites`)."""
    referee = Referee(problem)
    grid = Grid(settings.bins, problem.founders.shape[1])

    def insert(vector: Floats, score: Floats) -> None:
        where = descriptors(score, settings.groups)
        grid.insert(cell(where, settings.bins), quality(where, settings.groups), vector)

    for founder, score in zip(problem.founders, referee.scores(problem.founders), strict=True):
        insert(founder, score)
    while True:
        child = crossover(*grid.parents(rng), rng)
        child = child + rng.normal(0.0, settings.mutation, len(child))
        insert(child, referee.scores(child[np.newaxis])[0])


def descriptors(score: Floats, groups: tuple[Integers, Integers]) -> Floats:
    """The mean score on either group of items."""
    return np.array([score[group].mean() for group in groups])


def quality(where: Floats, groups: tuple[Integers, Integers]) -> float:
    """The mean score on the items of both groups."""
    return float(np.average(where, weights=[len(group) for group in groups]))


def cell(where: Floats, bins: int) -> tuple[int, int]:
    """Indices of the cell with these descriptors, 1.0 belonging to the last one."""
    row, column = np.minimum((where * bins).astype(int), bins - 1)
    return int(row), int(column)
