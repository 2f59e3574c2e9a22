"""Ancestry as commands ask for it, answered by a graph or by arrays.

`ancestry_of` is the one place that chooses: networkx up to `GRAPH_AT_MOST` models, sparse arrays
beyond. Both give the same answers, which tests compare.
"""

from collections.abc import Callable, Iterable
from typing import Protocol

import numpy as np
import numpy.typing as npt

from lineage.ancestry.parent_edges import Ids, ParentEdges
from lineage.records import Floats

GRAPH_AT_MOST = 10_000
"""Models. A graph of so many takes networkx a tenth of a second to build; of a million, ten."""


class Ancestry(Protocol):
    """Who descends from whom, and how much of whom. Models are ids, which grow with birth."""

    @property
    def newest(self) -> int:
        """The highest id."""
        ...

    @property
    def founders(self) -> Ids:
        """Ids of who was brought in, ascending."""
        ...

    @property
    def births(self) -> Ids:
        """How many children each model has, by id: shape (newest + 1,)."""
        ...

    def parents(self, model: int) -> dict[int, float]:
        """A model's parents and their shares."""
        ...

    def ancestors(self, model: int, depth: int | None = None) -> Ids:
        """Everyone it descends from, ascending; only so many generations back if asked."""
        ...

    def descendants(self, model: int, depth: int | None = None) -> Ids:
        """Everyone who descends from it, ascending; only so many generations on if asked."""
        ...

    def steps_up(self, model: int) -> dict[int, int]:
        """How many generations back the nearest way to each ancestor is; 0 to the model itself."""
        ...

    def common_ancestors(self, a: int, b: int) -> Ids:
        """Whom both descend from, ascending; a model counts as its own ancestor here."""
        ...

    def path(self, a: int, b: int) -> list[int] | None:
        """The shortest way from a to b: up to a common ancestor, then down; None if unrelated."""
        ...

    def founder_shares(self) -> npt.NDArray[np.float32]:
        """Each founder's part in everybody by descent: shape (newest + 1, founders)."""
        ...

    def contributions(self, models: Iterable[int]) -> Floats:
        """How much of `models`, on average, comes down from each model: shape (newest + 1,)."""
        ...

    def has_heirs(self, models: Iterable[int]) -> npt.NDArray[np.bool_]:
        """Whether each model is one of `models` or their ancestor: shape (newest + 1,)."""
        ...

    def effective_founders(self, models: Iterable[int]) -> float:
        """Founder equivalents of `models` (Lacy 1989, Zoo Biology 8: 111-123)."""
        ...

    def kinship(
        self, models: Iterable[int], told: Callable[[int, int], None] | None = None
    ) -> Floats:
        """Coefficients of kinship (phi) of `models` with each other: shape (models, models).

        Args:
            models: whose.
            told: hears (done, total) now and then.
        """
        ...

    def relationship(self, a: int, b: int) -> float:
        """The coefficient of relationship of two models, in [0, 1]."""
        ...

    def inbreeding(self, model: int) -> float:
        """Wright's coefficient of inbreeding, in [0, 1]."""
        ...


def ancestry_of(edges: ParentEdges) -> Ancestry:
    """Ancestry over all parent edges of an archive, such as `Archive.parent_edges` gives."""
    # networkx and SciPy take a fifth of a second each to start; only one of them is needed.
    if edges.newest <= GRAPH_AT_MOST:
        from lineage.ancestry.graph import GraphAncestry  # noqa: PLC0415

        return GraphAncestry(edges)
    from lineage.ancestry.sparse import SparseAncestry  # noqa: PLC0415

    return SparseAncestry(edges)
