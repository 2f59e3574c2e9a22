"""The snapshot: an archive at one moment. Pages read it, and never the file.

It holds the columns of all models (see `lineage.queries.columns`) and computes derived values once.
What takes longer than a frame with a million models says so; it belongs into a query (see
`tui.app.data.query_worker`) and not into the handler of a key.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

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
"""New models whose founder shares are summed one after the other; for more, all are computed."""


@dataclass(frozen=True)
class Snapshot:
    """An archive at one moment.

    Attributes:
        columns: of all models.
        shares: each founder's share in each model, shape (newest + 1, founders), rows by id, in
            the order of `columns.parent_edges.founders`; None while it is being computed.
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
        """Id of the best of the living by the selection split; None before generation 0."""
        past = self.columns.history["champion"]
        return int(past[-1]) if len(past) else None

    @cached_property
    def living(self) -> Ids:
        """Ids of the living, ascending: shape (living,)."""
        return np.flatnonzero(self.columns.died == LIVING).astype(np.int32)

    @cached_property
    def children(self) -> npt.NDArray[np.int64]:
        """How many children each model has, by id: shape (newest + 1,)."""
        return np.bincount(self.columns.parent_edges.parent, minlength=self.newest + 1)

    @cached_property
    def reigns(self) -> tuple[Ids, Ids]:
        """Generations with a new champion, and its ids: shape (reigns,) each, oldest first."""
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
    def ancestry(self) -> "Ancestry":
        """The ancestry of all models; the first call takes half a second for a million."""
        # Snapshots change all the time, and arrays are ready sooner than a graph would be.
        from lineage.ancestry.sparse import SparseAncestry  # noqa: PLC0415 - SciPy

        return SparseAncestry(self.columns.parent_edges)

    @cached_property
    def latest(self) -> Generation | None:
        """The last committed generation; None before the first."""
        if self.last < 0:
            return None
        last: dict[str, Any] = {
            name: None if np.isnan(past[-1]) else past[-1].item()
            for name, past in self.columns.history.items()
        }
        return Generation(**last)

    def has(self, model: int) -> bool:
        """Whether there is a model with this id."""
        return 0 < model <= self.newest

    def is_living(self, model: int) -> bool:
        """Whether a model lives, so that it may be picked as a parent."""
        return bool(self.columns.died[model] == LIVING)

    def is_founder(self, model: int) -> bool:
        """Whether a model is a founder."""
        return model in self.columns.names

    def name(self, model: int) -> str:
        """The label of a model: `#12`, with the name of a founder; safe to print."""
        name = self.columns.names.get(model)
        return f"#{model} {shown(name)}" if name else f"#{model}"

    def sign(self, model: int, signs: Signs) -> str:
        """The sign of a model: champion, founder, living or fossil."""
        if model == self.champion:
            return signs.champion
        if self.is_founder(model):
            return signs.founder
        return signs.living if self.is_living(model) else signs.fossil

    def tone(self, model: int) -> str:
        """The tone of a model (see `tui.shared.styling`)."""
        if model == self.champion:
            return "champion"
        if self.is_founder(model):
            return "founder"
        return "living" if self.is_living(model) else "fossil"

    def operator(self, model: int) -> str:
        """The operator that made a model; safe to print."""
        return shown(self.columns.vocabulary[int(self.columns.operator[model])])

    def cause(self, model: int) -> str | None:
        """The cause of death of a model; None for the living."""
        code = int(self.columns.cause[model])
        return None if code < 0 else self.columns.vocabulary[code]

    def fitness(self, model: int) -> float | None:
        """The fitness of a model in [0, 1], see `lineage.queries.fitness`; None if never scored."""
        value = float(self.columns.fitness[model])
        return None if np.isnan(value) else value

    def rating(self, model: int) -> tuple[float, float] | None:
        """A rating and half of its 95 % interval, in Elo points; None if a model has none."""
        value = float(self.columns.rating[model])
        if np.isnan(value):
            return None
        return points(value), spread(float(self.columns.deviation[model]))

    def parents(self, model: int) -> dict[int, float]:
        """The shares of a model's parents by id, the greatest first; they sum to 1."""
        links = self.columns.parent_edges
        # Of the same type, lest NumPy converts the whole column at every call.
        start, end = np.searchsorted(links.child, np.array([model, model + 1], links.child.dtype))
        pairs = zip(links.parent[start:end].tolist(), links.share[start:end].tolist(), strict=True)
        return dict(sorted(pairs, key=lambda pair: (-pair[1], pair[0])))

    def founders_of(self, model: int) -> list[tuple[int, float]]:
        """The founders of a model by descent: (id, share), greatest first; [] if not computed."""
        if self.shares is None:
            return []
        parts = self.shares[model]
        founders = self.columns.parent_edges.founders
        order = np.argsort(-parts, kind="stable")
        return [(int(founders[at]), float(parts[at])) for at in order if parts[at] > 0]

    def line(self, model: int) -> list[int]:
        """Ids of a model, its fitter parent (of equals that with the greater share), and so on."""
        line = [model]
        while parents := self.parents(line[-1]):
            fitness = self.columns.fitness
            line.append(
                max(parents, key=lambda p: (np.nan_to_num(fitness[p], nan=-1.0), parents[p], -p))
            )
        return line


def with_shares(older: Snapshot | None, snapshot: Snapshot) -> Singles:
    """Founder shares of all models, shape (newest + 1, founders), reusing those of an older one.

    Takes two seconds for a million models without an older snapshot.

    Args:
        older: of the same archive, if there is one.
        snapshot: whose shares are wanted.
    """
    columns = snapshot.columns
    older_shares = None if older is None else older.shares
    fits = older_shares is not None and older_shares.shape[1] == len(columns.parent_edges.founders)
    if not fits or older_shares is None or snapshot.newest + 1 - len(older_shares) > ONE_BY_ONE:
        return snapshot.ancestry.founder_shares()
    first = len(older_shares)
    shares = np.concatenate(
        [older_shares, np.zeros((snapshot.newest + 1 - first, older_shares.shape[1]), "f4")]
    )
    for model in range(first, snapshot.newest + 1):
        for parent, share in snapshot.parents(model).items():
            shares[model] += np.float32(share) * shares[parent]
    return shares
