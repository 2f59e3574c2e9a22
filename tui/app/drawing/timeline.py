"""The history of a campaign as curves and rows: fitness, champions, events, diversity."""

from itertools import zip_longest
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lineage.ancestry.parent_edges import Ids
from lineage.drawing.text import Span, cells, padded, shown
from lineage.queries.columns import LIVING
from tui.app.data.snapshot import Snapshot
from tui.app.drawing.braille import Curve
from tui.app.drawing.model_rows import ModelRows
from tui.app.drawing.rows import ListedRows
from tui.shared.styling import Piece, Signs, cut, steps

RECENT = 60
"""Generations whose events are listed."""

MOST = 3_000
"""Births whose events are listed at most: with many births a generation, fewer are listed."""

MANY = 6
"""Models that an event lists one by one, at most."""

Models = npt.NDArray[np.int64]


class TimelineEntry(NamedTuple):
    """An event: its kind, the model it is about, its tone and its text."""

    kind: str
    model: int | None
    tone: str
    words: str


def fitness(snapshot: Snapshot) -> tuple[list[Curve], list[float]]:
    """Curves of best, coverage, median and best founder over births, and births of new champions.

    Coverage is what the living do together: the mean over tasks of the best of them on each.

    Fitness is in [0, 1]; the x axis is the number of births.
    """
    past, births = snapshot.columns.history, snapshot.births.astype(np.float64)
    if not len(births):
        return [], []
    curves = [
        Curve("best", "best", births, np.asarray(past["best"], np.float64)),
        Curve("median", "median", births, np.asarray(past["median"], np.float64)),
    ]
    coverage = np.asarray(past["task_coverage"], np.float64)
    if (known := np.isfinite(coverage)).any():
        curves.append(Curve("coverage", "coverage", births[known], coverage[known]))
    founders = snapshot.columns.fitness[snapshot.columns.parent_edges.founders]
    if np.isfinite(founders).any():
        best = np.full(2, np.nanmax(founders), np.float64)
        curves.append(Curve("best founder", "founder", births[[0, -1]], best))
    return curves, births[snapshot.reigns[0]].tolist()


class Champions(ModelRows):
    """Every champion, the newest first, with its selection score and the gain over the one before.

    A model that was champion twice is listed where it became champion last.

    Args:
        snapshot: knows them.
        signs: to draw with.
    """

    def __init__(self, snapshot: Snapshot, signs: Signs) -> None:
        self._crowned, reigned = snapshot.reigns
        last = len(reigned) - 1 - np.unique(reigned[::-1], return_index=True)[1]
        self._reigns = np.sort(last)[::-1]
        super().__init__(snapshot, reigned[self._reigns])
        crowned = snapshot.columns.champion_scores
        self._scores = np.array([crowned.get(model, np.nan) for model in reigned.tolist()])
        self._won = np.diff(self._scores, prepend=np.nan) if len(reigned) else self._scores
        self._signs = signs

    def draw(self, row: int, width: int) -> list[Span | Piece]:
        """The champion, its score and gain, the generation, the operator and the parents."""
        s, signs, model = self.snapshot, self._signs, self.model(row)
        reign = self._reigns[row]
        score, won = float(self._scores[reign]), round(float(self._won[reign]), 6)
        gain = " " * 7 if np.isnan(won) else f"{won:+.3f} "
        parents = f" {signs.cross} ".join(f"#{parent}" for parent in list(s.parents(model))[:2])
        return [
            Piece((signs.champion if model == s.champion else " ") + " ", "champion"),
            Piece(padded(shown(s.name(model), 16), 8), s.tone(model)),
            Piece(f" {signs.dash:>5} " if np.isnan(score) else f" {score:.3f} "),
            Piece(gain, "loss" if won < 0 else "gain"),
            Piece(f" gen {self._crowned[reign]:<5}", "dim"),
            Piece(cut(shown(s.operator(model)), 11, signs.ellipsis) + " ", "dim"),
            Piece(parents, "dim"),
        ]


def events(snapshot: Snapshot, signs: Signs) -> ListedRows:
    """The events of the last `RECENT` generations, the newest first."""
    columns, last = snapshot.columns, snapshot.last
    young = max(1, snapshot.newest - MOST)
    first = max(0, last - RECENT, min(last, int(columns.generation[young])))
    born = np.flatnonzero(columns.generation[1:] >= first) + 1
    died = np.flatnonzero(columns.died >= first)
    by_generation: dict[int, list[TimelineEntry]] = {}
    for generation, event in columns.events:
        if generation >= first:
            tone = {"alarm": "alarm", "champion": "champion"}.get(event.kind, "strong")
            words = shown(event.detail, 160)
            by_generation.setdefault(generation, []).append(
                TimelineEntry(event.kind, event.model, tone, words)
            )
    rows: list[tuple[tuple[int, str, int], int | None, list[Span | Piece]]] = []
    born_in = _by_generation(columns.generation, born, first, last)
    died_in = _by_generation(
        columns.died, died[columns.generation[died] < columns.died[died]], first, last
    )
    for generation in range(last, first - 1, -1):
        mine, gone = born_in[generation - first], died_in[generation - first]
        entries = by_generation.get(generation, [])
        entries = [*entries, *_born(snapshot, mine), *_died(snapshot, gone)]
        for number, (kind, model, tone, words) in enumerate(entries):
            key = (generation, kind, number)
            head = [Piece(f"{generation:>5} ", "dim"), Piece(f"{kind:<8} ", tone)]
            rows.append(
                (key, model, [*head, Piece(words, "alarm" if tone == "alarm" else "plain")])
            )
    return ListedRows(rows)


def _by_generation(generation_of: Ids, models: Models, first: int, last: int) -> list[Models]:
    """Models by generation, from the first to the last; `generation_of` has one by model id."""
    models = models[np.argsort(generation_of[models], kind="stable")]
    return np.split(models, np.searchsorted(generation_of[models], np.arange(first + 1, last + 1)))


def _born(s: Snapshot, models: Models) -> list[TimelineEntry]:
    if not len(models):
        return []
    lived = models[
        (s.columns.died[models] == LIVING) | (s.columns.died[models] > s.columns.generation[models])
    ]
    named = ", ".join(_with_fitness(s, model) for model in lived[:MANY].tolist())
    more = f" and {len(lived) - MANY} more" if len(lived) > MANY else ""
    words = f"{len(models)} born"
    words += f", stayed: {named}{more}" if len(lived) else ", nobody stayed"
    return [TimelineEntry("birth", int(lived[0]) if len(lived) else None, "living", words)]


def _died(s: Snapshot, models: Models) -> list[TimelineEntry]:
    entries, causes = [], s.columns.cause[models]
    for code in np.unique(causes).tolist():
        dead = models[causes == code]
        named = " ".join(f"#{model}" for model in dead[:MANY].tolist())
        more = f" and {len(dead) - MANY} more" if len(dead) > MANY else ""
        words = f"{named}{more}: {shown(s.columns.vocabulary[code])}"
        entries.append(TimelineEntry("death", int(dead[0]), "fossil", words))
    return entries


def _with_fitness(s: Snapshot, model: int) -> str:
    fitness = s.fitness(model)
    return f"#{model}" if fitness is None else f"#{model} {fitness:.3f}"


FIRST = (
    ("founders alive", "founder_entropy"),
    ("kinship", "mean_kinship"),
    ("items solved", "item_coverage"),
)
TOGETHER = (
    ("by weight", "founders_by_weight"),
    ("QD-score", "qd_score"),
    ("coverage", "task_coverage"),
)
"""Measures of diversity with their columns; archives from before schema 10 have the first alone."""

TWO = 54
"""Cells from which on two measures stand side by side."""


def diversity(snapshot: Snapshot, signs: Signs, width: int) -> list[list[Piece]]:
    """Measures of diversity in rows of `width` cells, with their trends, and the last alarm.

    Where two measures do not fit beside each other, the alarm comes before those that may be cut
    off.
    """
    one = width if width < TWO else width // 2
    later = [
        row for name, column in TOGETHER if (row := _measure(snapshot, name, column, signs, one))
    ]
    if width < TWO or not later:
        first = [_measure(snapshot, name, column, signs, width) for name, column in FIRST]
        return [*filter(None, first), _alarm(snapshot), *later]
    first = [_measure(snapshot, name, column, signs, one) for name, column in FIRST]
    rows, nothing = [], list[Piece]()
    # Paths have no founders by weight.
    for left, right in zip_longest(first, later, fillvalue=nothing):
        used = sum(cells(piece.text) for piece in left)
        rows.append([*left, Piece(" " * (one - used)), *right])
    return [*rows, _alarm(snapshot)]


def _measure(snapshot: Snapshot, name: str, column: str, signs: Signs, width: int) -> list[Piece]:
    """A measure and its trend in `width` cells; nothing where it was never recorded."""
    values = snapshot.columns.history[column][-max(1, min(40, width - 21)) :]
    values = values[np.isfinite(values)]
    if not len(values):
        return []
    trend = steps(tuple(values.tolist()), signs)
    return [Piece(f"{name:<15}", "dim"), Piece(f"{values[-1]:.2f}  "), Piece(trend, "median")]


def _alarm(snapshot: Snapshot) -> list[Piece]:
    alarms = [(at, event) for at, event in snapshot.columns.events if event.kind == "alarm"]
    if not alarms:
        return [Piece("no alarm", "dim")]
    at, event = alarms[-1]
    return [Piece(f"alarm in {at}: ", "alarm"), Piece(shown(event.detail, 120))]
