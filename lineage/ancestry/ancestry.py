"""The protocol of ancestry, and the choice of an implementation.

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
    """Ancestors, descendants and founder shares of all models; ids grow with birth."""

    @property
    def newest(self) -> int:
        """The highest id."""
        ...

    @property
    def founders(self) -> Ids:
        """Ids of the founders, ascending: shape `[founders]`."""
        ...

    @property
    def births(self) -> Ids:
        """Number of children of each model, by id: shape `[newest + 1]`."""
        ...

    def parents(self, model: int) -> dict[int, float]:
        """Shares of a model's parents, by id."""
        ...

    def ancestors(self, model: int, depth: int | None = None) -> Ids:
        """Ids of ancestors, ascending; at most `depth` generations back: shape `[ids]`."""
        ...

    def descendants(self, model: int, depth: int | None = None) -> Ids:
        """Ids of descendants, ascending; at most `depth` generations on: shape `[ids]`."""
        ...

    def steps_up(self, model: int) -> dict[int, int]:
        """Fewest generations back to each ancestor, by id; 0 to the model itself."""
        ...

    def common_ancestors(self, a: int, b: int) -> Ids:
        """Ids of common ancestors, ascending, each model its own ancestor: shape `[ids]`."""
        ...

    def path(self, a: int, b: int) -> list[int] | None:
        """Shortest path from a to b: up to a common ancestor, then down; None if unrelated."""
        ...

    def founder_shares(self) -> npt.NDArray[np.float32]:
        """Each founder's share in each model by descent: shape `[newest + 1, founders]`."""
        ...

    def contributions(self, models: Iterable[int]) -> Floats:
        """Each model's mean share in `models` by descent: shape `[newest + 1]`."""
        ...

    def has_heirs(self, models: Iterable[int]) -> npt.NDArray[np.bool_]:
        """Whether each model is one of `models` or their ancestor: shape `[newest + 1]`."""
        ...

    def effective_founders(self, models: Iterable[int]) -> float:
        """Founder equivalents of `models`: 1 / sum_f p_f^2 (Lacy 1989, Zoo Biology 8: 111-123)."""
        ...

    def kinship(
        self, models: Iterable[int], progress: Callable[[int, int], None] | None = None
    ) -> Floats:
        """Coefficients of kinship (phi) of `models` with each other: shape `[models, models]`.

        Args:
            models: ids; rows and columns are in their order.
            progress: called with (done, total) now and then.
        """
        ...

    def relationship(self, a: int, b: int) -> float:
        """Coefficient of relationship of two models, in [0, 1]."""
        ...

    def inbreeding(self, model: int) -> float:
        """Wright's coefficient of inbreeding, in [0, 1]."""
        ...


def ancestry_of(edges: ParentEdges) -> Ancestry:
    """Ancestry over all parent edges of an archive.

    Args:
        edges: as `Archive.parent_edges` gives them.

    Returns:
        A networkx graph up to `GRAPH_AT_MOST` models, sparse arrays beyond.

    >>> edges = ParentEdges(3, np.array([1, 2]), np.array([3, 3]), np.array([1, 2]),
    ...                     np.array([0.75, 0.25]))
    >>> ancestry_of(edges).ancestors(3).tolist()
    [1, 2]
    >>> ancestry_of(edges).relationship(1, 3) > ancestry_of(edges).relationship(2, 3)
    True
    """
    # networkx and SciPy take a fifth of a second each to start; only one of them is needed.
    if edges.newest <= GRAPH_AT_MOST:
        from lineage.ancestry.graph import GraphAncestry  # noqa: PLC0415

        return GraphAncestry(edges)
    from lineage.ancestry.sparse import SparseAncestry  # noqa: PLC0415

    return SparseAncestry(edges)
