"""What has happened in a colony, as curves and rows: fitness, champions, events, diversity."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lineage.drawing.text import Span, shown
from lineage.queries.columns import LIVING
from tui.app.braille import Curve
from tui.app.paint import Piece, Signs, cut, steps
from tui.app.rows import ListedRows
from tui.app.snapshot import Snapshot

RECENT = 60
"""Generations that events are told of; older ones are in `colony lineage` and the other pages."""

MANY = 6
"""Models that an event names one by one."""

Models = npt.NDArray[np.int64]


class Told(NamedTuple):
    """Something that happened: of what kind, to whom, how it looks, and in words."""

    kind: str
    model: int | None
    tone: str
    words: str


def fitness(snapshot: Snapshot) -> tuple[list[Curve], list[float]]:
    """Best, median and the best founder over births, and the births of champions."""
    past, births = snapshot.columns.history, snapshot.births.astype(np.float64)
    if not len(births):
        return [], []
    curves = [
        Curve("best", "best", births, np.asarray(past["best"], np.float64)),
        Curve("median", "median", births, np.asarray(past["median"], np.float64)),
    ]
    founders = snapshot.columns.fitness[snapshot.columns.pedigree.founders]
    if np.isfinite(founders).any():
        best = np.full(2, np.nanmax(founders), np.float64)
        curves.append(Curve("best founder", "founder", births[[0, -1]], best))
    return curves, [float(births[generation]) for generation, _ in snapshot.champions]


def champions(snapshot: Snapshot, signs: Signs) -> ListedRows:
    """Every champion, the newest first, with what it won over the one before."""
    rows: list[tuple[int, int, list[Span | Piece]]] = []
    before: float | None = None
    for generation, model in snapshot.champions:
        now = snapshot.fitness(model)
        won = None if now is None or before is None else now - before
        rows.append((model, model, _champion(snapshot, generation, model, won, signs)))
        before = now
    # A champion that was dethroned may come back; it is listed where it is or was last.
    return ListedRows(list({row[0]: row for row in rows}.values())[::-1])


def _champion(
    s: Snapshot, generation: int, model: int, won: float | None, signs: Signs
) -> list[Span | Piece]:
    fitness = s.fitness(model)
    parents = f" {signs.cross} ".join(f"#{parent}" for parent in list(s.parents(model))[:2])
    return [
        Piece((signs.champion if model == s.champion else " ") + " ", "champion"),
        Piece(s.name(model).ljust(8), s.tone(model)),
        Piece(f" {signs.dash:>5} " if fitness is None else f" {fitness:.3f} "),
        Piece(" " * 7 if won is None else f"{won:+.3f} ", "loss" if (won or 0) < 0 else "gain"),
        Piece(f" gen {generation:<5}", "dim"),
        Piece(cut(shown(s.operator(model)), 11, signs.ellipsis) + " ", "dim"),
        Piece(parents, "dim"),
    ]


def events(snapshot: Snapshot, signs: Signs) -> ListedRows:
    """What happened in the last generations, the newest first."""
    columns, last = snapshot.columns, snapshot.last
    first = max(0, last - RECENT)
    born = np.flatnonzero(columns.generation[1:] >= first) + 1
    died = np.flatnonzero(columns.died >= first)
    said: dict[int, list[Told]] = {}
    for generation, event in columns.events:
        if generation >= first:
            tone = {"alarm": "alarm", "champion": "champion"}.get(event.kind, "strong")
            words = shown(event.detail, 160)
            said.setdefault(generation, []).append(Told(event.kind, event.model, tone, words))
    rows: list[tuple[tuple[int, str, int], int | None, list[Span | Piece]]] = []
    for generation in range(last, first - 1, -1):
        mine = born[columns.generation[born] == generation]
        gone = died[(columns.died[died] == generation) & (columns.generation[died] < generation)]
        told = said.get(generation, [])
        told = [*told, *_born(snapshot, mine), *_died(snapshot, gone)]
        for number, (kind, model, tone, words) in enumerate(told):
            key = (generation, kind, number)
            head = [Piece(f"{generation:>5} ", "dim"), Piece(f"{kind:<8} ", tone)]
            rows.append(
                (key, model, [*head, Piece(words, "alarm" if tone == "alarm" else "plain")])
            )
    return ListedRows(rows)


def _born(s: Snapshot, models: Models) -> list[Told]:
    if not len(models):
        return []
    lived = models[
        (s.columns.died[models] == LIVING) | (s.columns.died[models] > s.columns.generation[models])
    ]
    named = ", ".join(_with_fitness(s, model) for model in lived[:MANY].tolist())
    more = f" and {len(lived) - MANY} more" if len(lived) > MANY else ""
    words = f"{len(models)} born"
    words += f", stayed: {named}{more}" if len(lived) else ", nobody stayed"
    return [Told("birth", int(lived[0]) if len(lived) else None, "living", words)]


def _died(s: Snapshot, models: Models) -> list[Told]:
    by_cause: dict[str, list[int]] = {}
    for model in models.tolist():
        by_cause.setdefault(s.cause(model) or "", []).append(model)
    told = []
    for cause, dead in by_cause.items():
        named = " ".join(f"#{model}" for model in dead[:MANY])
        more = f" and {len(dead) - MANY} more" if len(dead) > MANY else ""
        told.append(Told("death", dead[0], "fossil", f"{named}{more}: {shown(cause)}"))
    return told


def _with_fitness(s: Snapshot, model: int) -> str:
    fitness = s.fitness(model)
    return f"#{model}" if fitness is None else f"#{model} {fitness:.3f}"


def diversity(snapshot: Snapshot, signs: Signs) -> list[list[Piece]]:
    """How varied the living are, how that came about, and the last alarm."""
    past = snapshot.columns.history
    rows = []
    for name, column in (
        ("founders alive", "founder_entropy"),
        ("kinship", "mean_kinship"),
        ("items solved", "item_coverage"),
    ):
        values = past[column][-24:]
        if len(values):
            trend = steps(tuple(values.tolist()), signs)
            rows.append(
                [Piece(f"{name:<15}", "dim"), Piece(f"{values[-1]:.2f}  "), Piece(trend, "median")]
            )
    alarms = [(at, event) for at, event in snapshot.columns.events if event.kind == "alarm"]
    if alarms:
        at, event = alarms[-1]
        rows.append([Piece(f"alarm in {at}: ", "alarm"), Piece(shown(event.detail, 120))])
    else:
        rows.append([Piece("no alarm", "dim")])
    return rows
