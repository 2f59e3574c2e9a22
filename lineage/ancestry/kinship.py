"""Kinship among the living, updated birth by birth.

`lineage.ancestry.graph.kinships` is the definition. A campaign needs the whole matrix of the living
in every generation; since a child's parents live at its birth, its row is the weighted mean of its
parents' rows, so a birth costs one small product and no walk through the ancestry.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import groupby

import numpy as np

from lineage.records import Floats, Model, Parent


class Kinship:
    """Coefficients of kinship (phi) of a set of models that grows by births.

    Args:
        founders: ids; founders are unrelated.

    Attributes:
        newest: the highest id so far.

    >>> kinship = Kinship([1, 2])
    >>> kinship.add_birth(3, [Parent(1, 0.5, "first"), Parent(2, 0.5, "mate")])
    >>> kinship.relationship([1, 3]).round(3).tolist()
    [[1.0, 0.5], [0.5, 1.0]]
    >>> kinship.founder_shares([3]).tolist()
    [[0.5, 0.5]]
    """

    def __init__(self, founders: Sequence[int]) -> None:
        self._row = {founder: index for index, founder in enumerate(founders)}
        self._phi = 0.5 * np.eye(len(founders))
        self._shares = np.eye(len(founders))
        self.newest = max(founders, default=0)

    @classmethod
    def replayed(
        cls, models: Sequence[Model], seats: Mapping[int, Collection[int]] | None = None
    ) -> "Kinship":
        """The kinship of the living, from all models of an archive.

        Args:
            models: all models, in the order of their ids.
            seats: by generation, ids of fossils that are kept one generation longer, since they
                judge in the arena of the next one.
        """
        founders = [model.id for model in models if not model.parents]
        died = {model.id: model.died for model in models if model.died is not None}
        kinship = cls(founders)
        offspring = (model for model in models if model.parents)
        for generation, born in groupby(offspring, key=lambda model: model.generation):
            for child in born:
                kinship.add_birth(child.id, child.parents)
            seated = seats.get(generation, ()) if seats else ()
            kinship.keep(
                [
                    i
                    for i in list(kinship._row)
                    if died.get(i, generation + 1) > generation or i in seated
                ]
            )
        return kinship

    def add_birth(self, child: int, parents: Sequence[Parent]) -> None:
        """Add a child of models that are in the matrix.

        Args:
            child: id.
            parents: with their shares.

        Raises:
            KeyError: a parent was never added, or was removed.
        """
        # In a fixed order: sums differ in their last bit with the order of their terms, and a
        # resumed campaign, which reads parents from the archive, must come to the same bits.
        ordered = sorted(parents, key=lambda parent: parent.id)
        rows = [self._row[parent.id] for parent in ordered]
        shares = np.array([parent.share for parent in ordered])
        between = shares @ self._phi[rows]
        among = np.outer(shares, shares) * self._phi[np.ix_(rows, rows)]
        distinct = 1.0 - np.sum(shares**2)
        crossed = np.sum(among) - np.trace(among)
        inbreeding = crossed / distinct if distinct > 0.0 else 0.0
        size = len(self._phi)
        grown = np.empty((size + 1, size + 1))
        grown[:size, :size] = self._phi
        grown[size, :size] = grown[:size, size] = between
        grown[size, size] = 0.5 * (1.0 + inbreeding)
        self._phi = grown
        self._shares = np.vstack([self._shares, shares @ self._shares[rows]])
        self._row[child] = size
        self.newest = max(self.newest, child)

    def keep(self, models: Iterable[int]) -> None:
        """Remove all models but these: fossils have no more children, though some judge."""
        kept = [model for model in models if model in self._row]
        rows = [self._row[model] for model in kept]
        self._phi = self._phi[np.ix_(rows, rows)]
        self._shares = self._shares[rows]
        self._row = {model: index for index, model in enumerate(kept)}

    def relationship(self, models: Sequence[int]) -> Floats:
        """Coefficients of relationship among `models`, in [0, 1]: shape `[models, models]`.

        Raises:
            KeyError: a model was never added, or was removed.
        """
        rows = [self._row[model] for model in models]
        phi = self._phi[np.ix_(rows, rows)]
        own = np.sqrt(np.diag(phi))
        return np.asarray(phi / np.outer(own, own))

    def founder_shares(self, models: Sequence[int]) -> Floats:
        """Each founder's share in `models`: shape `[models, founders]`, rows sum to 1.

        Raises:
            KeyError: a model was never added, or was removed.
        """
        return np.asarray(self._shares[[self._row[model] for model in models]])
