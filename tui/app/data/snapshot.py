"""The snapshot: a colony at one moment, as every screen sees it. Screens read it, never the file.

It holds everybody's columns (see `lineage.queries.columns`) and works out what is asked of it once.
What takes longer than a frame at a million models says so; such things belong into a question (see
`tui.app.data.query_worker`) and not into a handler of a key.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from lineage.ancestry.parent_edges import Ids
from lineage.drawing.text import shown
from lineage.points import points, spread
from lineage.queries.columns import LIVING, Columns, Singles
from lineage.records import Generation
from tui.shared.styling import Signs

if TYPE_CHECKING:
    from lineage.ancestry.ancestry import Ancestry

ONE_BY_ONE = 5_000
"""Newcomers whose founder shares are summed up one after the other; for more, all are."""


@dataclass(frozen=True)
class Snapshot:
    """A colony at one moment.

    Attributes:
        columns: everybody.
        shares: each founder's part in everybody by descent, shape (newest + 1, founders), in the
            order of `columns.parent_edges.founders`; None while it is being computed.
        settings: the configuration that the archive was started with.
    """

    columns: Columns
    shares: Singles | None = None
    settings: Mapping[str, Mapping[str, object]] = field(default_factory=dict)

    @property
    def newest(self) -> int:
        """The highest id; ids run from 1 without gaps."""
        return self.columns.newest

    @property
    def last(self) -> int:
        """The last committed generation; -1 before the first."""
        return self.columns.last

    @property
    def champion(self) -> int | None:
        """The best of the living, by the selection split."""
        past = self.columns.history["champion"]
        return int(past[-1]) if len(past) else None

    @cached_property
    def living(self) -> Ids:
        """Ids of the living, ascending."""
        return np.flatnonzero(self.columns.died == LIVING).astype(np.int32)

    @cached_property
    def children(self) -> npt.NDArray[np.int64]:
        """How many children each model has, by id: shape (newest + 1,)."""
        return np.bincount(self.columns.parent_edges.parent, minlength=self.newest + 1)

    @cached_property
    def reigns(self) -> tuple[Ids, Ids]:
        """When somebody became champion, and who did: generations and models, oldest first."""
        past = self.columns.history["champion"]
        new = np.flatnonzero(np.r_[True, past[1:] != past[:-1]][: len(past)])
        return new.astype(np.int32), past[new].astype(np.int32)

    @cached_property
    def births(self) -> npt.NDArray[np.int64]:
        """How many had been born by the end of each generation: shape (generations,)."""
        born = self.columns.generation[1:]
        return np.bincount(born, minlength=self.last + 1).cumsum()[: self.last + 1]

    @cached_property
    def spent(self) -> int:
        """Item evaluations so far."""
        return int(self.columns.history["evaluations"].sum())

    @cached_property
    def worked_s(self) -> float:
        """Seconds of work so far, over all runs."""
        return float(self.columns.history["wall_s"].sum())

    @cached_property
    def descent(self) -> "Ancestry":
        """Who descends from whom; when first asked for, half a second for a million models."""
        # Snapshots change while one looks, and arrays are ready before a graph would be.
        from lineage.ancestry.sparse import SparseAncestry  # noqa: PLC0415 - SciPy

        return SparseAncestry(self.columns.parent_edges)

    @cached_property
    def latest(self) -> Generation | None:
        """The last committed generation."""
        if self.last < 0:
            return None
        return Generation(**{n: past[-1].item() for n, past in self.columns.history.items()})

    def has(self, model: int) -> bool:
        """Whether there is such a model."""
        return 0 < model <= self.newest

    def lives(self, model: int) -> bool:
        """Whether it may be picked as a parent."""
        return bool(self.columns.died[model] == LIVING)

    def founder(self, model: int) -> bool:
        """Whether it was brought in."""
        return model in self.columns.names

    def name(self, model: int) -> str:
        """How people refer to it: `#12`, and a founder's name beside, fit to be shown."""
        name = self.columns.names.get(model)
        return f"#{model} {shown(name)}" if name else f"#{model}"

    def sign(self, model: int, signs: Signs) -> str:
        """What it is, as one sign that says it without colours."""
        if model == self.champion:
            return signs.champion
        if self.founder(model):
            return signs.founder
        return signs.living if self.lives(model) else signs.fossil

    def tone(self, model: int) -> str:
        """What it is, as a tone (see `tui.shared.styling`)."""
        if model == self.champion:
            return "champion"
        if self.founder(model):
            return "founder"
        return "living" if self.lives(model) else "fossil"

    def operator(self, model: int) -> str:
        """How it was made, fit to be shown."""
        return shown(self.columns.vocabulary[int(self.columns.operator[model])])

    def cause(self, model: int) -> str | None:
        """What it died of; None of the living."""
        code = int(self.columns.cause[model])
        return None if code < 0 else self.columns.vocabulary[code]

    def fitness(self, model: int) -> float | None:
        """See `lineage.queries.fitness`; None of who was never scored."""
        value = float(self.columns.fitness[model])
        return None if np.isnan(value) else value

    def rating(self, model: int) -> tuple[float, float] | None:
        """The arena's rating and half of its 95 % interval, in points; None of who has none."""
        value = float(self.columns.rating[model])
        if np.isnan(value):
            return None
        return points(value), spread(float(self.columns.deviation[model]))

    def parents(self, model: int) -> dict[int, float]:
        """A model's parents and their shares, the greatest share first."""
        links = self.columns.parent_edges
        # Of the same type, lest NumPy converts the whole column at every call.
        start, end = np.searchsorted(links.child, np.array([model, model + 1], links.child.dtype))
        pairs = zip(links.parent[start:end].tolist(), links.share[start:end].tolist(), strict=True)
        return dict(sorted(pairs, key=lambda pair: (-pair[1], pair[0])))

    def founders_of(self, model: int) -> list[tuple[int, float]]:
        """The founders that a model descends from and their parts, the greatest first."""
        if self.shares is None:
            return []
        parts = self.shares[model]
        founders = self.columns.parent_edges.founders
        order = np.argsort(-parts, kind="stable")
        return [(int(founders[at]), float(parts[at])) for at in order if parts[at] > 0]

    def line(self, model: int) -> list[int]:
        """A model, its fitter parent (of equals the greater share), and so on to a founder."""
        found = [model]
        while parents := self.parents(found[-1]):
            fitness = self.columns.fitness
            found.append(
                max(parents, key=lambda p: (np.nan_to_num(fitness[p], nan=-1.0), parents[p], -p))
            )
        return found


def with_shares(older: Snapshot | None, snapshot: Snapshot) -> Singles:
    """Founder shares of everybody: those of newcomers alone, where an older snapshot has the rest.

    Takes two seconds for a million models that nothing is known of.
    """
    columns = snapshot.columns
    older_shares = None if older is None else older.shares
    fits = older_shares is not None and older_shares.shape[1] == len(columns.parent_edges.founders)
    if not fits or older_shares is None or snapshot.newest + 1 - len(older_shares) > ONE_BY_ONE:
        return snapshot.descent.founder_shares()
    first = len(older_shares)
    shares = np.concatenate(
        [older_shares, np.zeros((snapshot.newest + 1 - first, older_shares.shape[1]), "f4")]
    )
    for model in range(first, snapshot.newest + 1):
        for parent, share in snapshot.parents(model).items():
            shares[model] += np.float32(share) * shares[parent]
    return shares
