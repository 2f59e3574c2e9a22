"""Rows of the Model page: recipe, founders by block, scores, rating."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from lineage.drawing.text import Span, shown
from lineage.points import points, spread
from lineage.records import Model
from tui.app.data.model_detail import ModelDetail
from tui.app.data.snapshot import Snapshot
from tui.app.drawing.braille import Curve
from tui.app.drawing.heat import heat
from tui.app.drawing.model_summary import fate, kind, made
from tui.app.drawing.rows import ListedRows
from tui.shared.styling import Piece, Signs, bar, cut

if TYPE_CHECKING:
    from population.analysis.difference import ModelSide

Rows = list[tuple[str, int | None, list[Span | Piece]]]

SCORE = 8
"""Width of a score, in cells."""


def head(snapshot: Snapshot, model: int, detail: ModelDetail | None, signs: Signs) -> list[Piece]:
    """The first row of the page: what the model is, its fate, its offspring.

    Args:
        snapshot: knows it.
        model: its id.
        detail: of it; None before it was read.
        signs: to draw with.
    """
    parts = [f"  {fate(snapshot, model)}", made(snapshot, model)]
    children = int(snapshot.children[model])
    if detail is not None:
        below, alive = detail.descendants
        parts.append(f"{children:,} children, {below:,} descendants, {alive:,} of them alive")
    return [*kind(snapshot, model, signs), Piece("   ".join(parts), "dim")]


def recipe(detail: ModelDetail, snapshot: Snapshot, signs: Signs) -> ListedRows:
    """The recipe of a model: operator, parents, path through layers, hash, cause of death."""
    mine = detail.sides.sides[0]
    model = mine.model
    rows: Rows = [
        ("how", None, [Piece("made by   ", "dim"), Piece(shown(model.operator), "strong")]),
        ("when", None, [Piece("born in   ", "dim"), Piece(f"generation {model.generation}")]),
        ("hash", None, _hash(model)),
    ]
    for number, parent in enumerate(sorted(model.parents, key=lambda p: (-p.share, p.id))):
        fitness = snapshot.fitness(parent.id)
        rows.append(
            (
                f"parent {parent.id}",
                parent.id,
                [
                    Piece("parents   " if not number else " " * 10, "dim"),
                    Piece(f"{parent.share:>4.0%} "),
                    *kind(snapshot, parent.id, signs),
                    Piece("" if fitness is None else f" {fitness:.3f}"),
                    Piece(f"  {shown(parent.role)}", "dim"),
                ],
            )
        )
    for number, (source, layer, scale) in enumerate(mine.steps or ()):
        rows.append(
            (
                f"step {number}",
                None,
                [
                    Piece("path      " if not number else " " * 10, "dim"),
                    Piece(f"{number:>3} ", "dim"),
                    Piece(f"{shown(source)} layer {layer}"),
                    Piece(f"  {signs.cross} {scale:.2f}", "dim"),
                ],
            )
        )
    if not model.living:
        cause = f"in {model.died} of: {shown(model.cause or '')}"
        rows.append(("death", None, [Piece("died      ", "dim"), Piece(cause)]))
    return ListedRows(rows)


def made_of(detail: ModelDetail, signs: Signs, width: int) -> ListedRows:
    """The weights of the founders by block; one remark for a model that is only a path.

    Args:
        detail: of the model.
        signs: to draw with.
        width: of a row, in cells.
    """
    sides = detail.sides
    mine = sides.sides[0]
    if mine.weights is None:
        remark = "a path through layers of founders: nothing is merged"
        return ListedRows([("none", None, [Piece(remark, "dim")])])
    shares = np.array([mine.shares[founder] for founder in sides.founders])
    drawn = heat(sides.founders, sides.blocks, mine.weights, shares, signs, width)
    return ListedRows([(str(number), None, row) for number, row in enumerate(drawn)])


def _hash(model: Model) -> list[Span | Piece]:
    """The SHA-256 of its weights if it was computed, else the fingerprint."""
    if model.weights_sha256 is not None:
        return [Piece("sha256    ", "dim"), Piece(model.weights_sha256)]
    return [Piece("fingerprint ", "dim"), Piece(model.fingerprint or "")]


def scores(detail: ModelDetail, signs: Signs, width: int) -> ListedRows:
    """Exact match by task beside that of the parents, the split with most models first.

    Args:
        detail: of the model.
        signs: to draw with.
        width: of a row, in cells.
    """
    sides = detail.sides.sides
    splits = [split for split in ("selection", "search") if sides[0].scores[split]]
    asked = {split: sum(bool(side.scores[split]) for side in sides) for split in splits}
    rows: Rows = []
    for split in sorted(splits, key=lambda split: -asked[split]):
        rows += _split(sides, split, signs, width)
    return ListedRows(
        rows or [("none", None, [Piece("it has not been asked anything yet", "dim")])]
    )


def _split(sides: "Sequence[ModelSide]", split: str, signs: Signs, width: int) -> Rows:
    own, others = sides[0].scores[split], [side.scores[split] for side in sides[1:]]
    # Search items change from generation to generation, so these are no fair comparison.
    title = split if split == "selection" else "search, own items"
    name = max(len(title), *(len(shown(task)) for task in own)) + 1
    room = max(0, min(24, width - name - SCORE * len(sides) - 2))
    labels = "".join(f"{shown(side.model.label, SCORE - 1):>{SCORE}}" for side in sides)
    rows: Rows = [(split, None, [Piece(title.ljust(name + room) + labels, "head")])]
    for task, value in own.items():
        theirs = [scores.get(task) for scores in others]
        spans = [
            Piece(cut(shown(task), name, signs.ellipsis)),
            Piece(bar(value, room, signs), "bar"),
            Piece(_score(value, signs), "strong"),
            *(Piece(_score(score, signs), "dim") for score in theirs),
            rank_sign(value, theirs, signs),
        ]
        rows.append((f"{split} {task}", None, list(spans)))
    means = [float(np.mean(list(mine.values()))) if mine else None for mine in (own, *others)]
    spans = [
        Piece(cut("mean over tasks", name, signs.ellipsis), "dim"),
        Piece(bar(means[0] or 0.0, room, signs), "dim"),
        *(Piece(_score(mean, signs), "strong") for mean in means),
        rank_sign(means[0] or 0.0, means[1:], signs),
    ]
    return [*rows, (f"{split} mean", None, list(spans))]


def _score(score: float | None, signs: Signs) -> str:
    return f"{signs.dash:>{SCORE}}" if score is None else f"{score:>{SCORE}.3f}"


def rank_sign(value: float, others: Sequence[float | None], signs: Signs) -> Piece:
    """A sign that says whether a score is above all others, or below all; blank else."""
    scores = [score for score in others if score is not None]
    if scores and value > max(scores):
        return Piece(f" {signs.up}", "gain")
    if scores and value < min(scores):
        return Piece(f" {signs.down}", "loss")
    return Piece("  ")


def rating(detail: ModelDetail) -> list[Curve]:
    """The rating over generations in Elo points, and the ends of its 95 % interval, as curves."""
    if not detail.ratings:
        return []
    generations = np.array([generation for generation, _ in detail.ratings], np.float64)
    values = points(np.array([rating.rating for _, rating in detail.ratings]))
    interval = spread(np.array([rating.deviation for _, rating in detail.ratings]))
    return [
        Curve("rating", "best", generations, values),
        Curve("at most", "dim", generations, values + interval),
        Curve("at least", "dim", generations, values - interval),
    ]
