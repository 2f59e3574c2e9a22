"""Rows of the Diff page, and which of them are changes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lineage.drawing.text import Span, shown
from tui.app.data.comparison import ModelComparison
from tui.app.data.snapshot import Snapshot
from tui.app.drawing.detail_rows import rank_sign
from tui.app.drawing.heat import shade
from tui.app.drawing.model_summary import kind
from tui.app.drawing.rows import ListedRows
from tui.shared.styling import Piece, Signs, bar, cut

NAME = 22
"""Width of the name of a row, in cells."""

SAME = 0.005
"""Weights that differ by no more than this count as the same."""


@dataclass(frozen=True)
class DiffLine:
    """A row of the comparison.

    Attributes:
        section: that it belongs to.
        name: what is compared.
        cells: one for each model; none for a title.
        changed: whether the models differ.
    """

    section: str
    name: str
    cells: Sequence[Sequence[Span | Piece]] = ()
    changed: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """The key of the row, whichever others are shown."""
        return self.section, self.name


def heads(
    comparison: ModelComparison, snapshot: Snapshot, signs: Signs, width: int
) -> list[Span | Piece]:
    """The models as titles of their columns, `width` cells in all."""
    spans: list[Span | Piece] = [Piece(" " * NAME)]
    for at, side in enumerate(comparison.difference.sides):
        role = (
            "" if comparison.child is None else "  child" if at == comparison.child else "  parent"
        )
        spans += _in_cell(
            [*kind(snapshot, side.model.id, signs), Piece(role, "dim")], _cell(comparison, width)
        )
    return spans


def rows(
    lines: Sequence[DiffLine], comparison: ModelComparison, width: int, signs: Signs
) -> ListedRows:
    """Lines as rows for a list.

    Args:
        lines: top down.
        comparison: that they are of.
        width: of a row, in cells.
        signs: to draw with.
    """
    drawn: list[tuple[tuple[str, str], None, list[Span | Piece]]] = []
    for row in lines:
        if not row.cells:
            drawn.append((row.key, None, [Piece(row.name, "head")]))
            continue
        # A remark that is the only cell takes the whole row.
        cell = _cell(comparison, width) if len(row.cells) > 1 else width - NAME
        name = cut(shown(row.name), NAME - 3, signs.ellipsis)
        sign = signs.change if row.changed else " "
        spans: list[Span | Piece] = [
            Piece(f"{sign} ", "strong"), Piece(f"{name} ", "plain" if row.changed else "dim"),
        ]  # fmt: skip
        for parts in row.cells:
            spans += _in_cell(parts, cell)
        drawn.append((row.key, None, spans))
    return ListedRows(list(drawn))


def only_changes(lines: Sequence[DiffLine]) -> list[DiffLine]:
    """The lines that differ, with their titles."""
    sections = {row.section for row in lines if row.changed}
    return [row for row in lines if row.changed or (not row.cells and row.section in sections)]


def all_rows(comparison: ModelComparison, snapshot: Snapshot, signs: Signs) -> list[DiffLine]:
    """All lines of a comparison."""
    parts = (_recipe, _founders, _blocks, _path, _scores, _kin)
    return [row for part in parts for row in part(comparison, snapshot, signs)]


def _recipe(comparison: ModelComparison, snapshot: Snapshot, signs: Signs) -> Iterator[DiffLine]:
    sides = comparison.difference.sides
    yield DiffLine("recipe", "recipe")
    parents = [
        f" {signs.cross} ".join(
            f"#{parent.id} {parent.share:.0%}"
            for parent in sorted(side.model.parents, key=lambda p: (-p.share, p.id))[:2]
        ) + f" +{len(side.model.parents) - 2}" * (len(side.model.parents) > 2)
        for side in sides
    ]  # fmt: skip
    fitness = [snapshot.fitness(side.model.id) for side in sides]
    ratings = [snapshot.rating(side.model.id) for side in sides]
    for name, texts in (
        ("made by", [shown(side.model.operator) for side in sides]),
        ("born in", [str(side.model.generation) for side in sides]),
        ("parents", parents),
        ("fitness", [signs.dash if value is None else f"{value:.3f}" for value in fitness]),
        ("rating", [signs.dash if value is None else f"{value[0]:.0f}" for value in ratings]),
    ):
        cells = [[Piece(text)] for text in texts]
        yield DiffLine("recipe", name, cells, len(set(texts)) > 1)


def _founders(comparison: ModelComparison, _: Snapshot, signs: Signs) -> Iterator[DiffLine]:
    difference = comparison.difference
    if not any(side.shares for side in difference.sides):
        return
    yield DiffLine("founders", "weight of founders")
    for founder in difference.founders:
        parts = [side.shares.get(founder, 0.0) for side in difference.sides]
        if any(parts):
            cells = [
                [Piece(f"{part:>+6.0%} "), Piece(bar(part, 8, signs), "bar")] for part in parts
            ]
            yield DiffLine("founders", founder, cells, max(parts) - min(parts) > SAME)


def _blocks(comparison: ModelComparison, _: Snapshot, signs: Signs) -> Iterator[DiffLine]:
    difference, middle = comparison.difference, comparison.middle
    if not any(side.weights is not None for side in difference.sides):
        return
    most = max(
        1.0, *(float(np.abs(s.weights).max()) for s in difference.sides if s.weights is not None)
    )
    yield DiffLine("blocks", "founders by block (- is taken away), how far apart")
    apart = [difference.distance(middle, at) for at in range(len(difference.sides))]
    for number, block in enumerate(difference.blocks):
        cells, far = [], []
        for at, side in enumerate(difference.sides):
            column = [] if side.weights is None else side.weights[:, number].tolist()
            strip = "".join("-" if part < 0 else shade(part / most, signs) for part in column)
            away = apart[at]
            far.append(0.0 if away is None else float(away[number]))
            distance_text = "" if at == middle or away is None else f" {far[-1]:.3f}"
            cells.append(
                [Piece(strip, "bar"), Piece(distance_text, "strong" if far[-1] > SAME else "dim")]
            )
        yield DiffLine("blocks", block, cells, max(far) > SAME)


def _path(comparison: ModelComparison, _: Snapshot, signs: Signs) -> Iterator[DiffLine]:
    paths = [side.steps or [] for side in comparison.difference.sides]
    if not any(paths):
        return
    yield DiffLine("path", "path through layers")
    for step in range(max(map(len, paths))):
        texts = [
            f"{shown(path[step][0])} {path[step][1]} {signs.cross}{path[step][2]:.2f}"
            if step < len(path) else signs.dash
            for path in paths
        ]  # fmt: skip
        cells = [[Piece(text)] for text in texts]
        yield DiffLine("path", f"step {step}", cells, len(set(texts)) > 1)


def _scores(comparison: ModelComparison, _: Snapshot, signs: Signs) -> Iterator[DiffLine]:
    sides, middle = comparison.difference.sides, comparison.middle
    for split in ("selection", "search"):
        if sum(bool(side.scores[split]) for side in sides) < 2:
            continue
        # Search items change from generation to generation, so these are no fair comparison.
        yield DiffLine(split, f"exact match: {split}" + ", own items" * (split == "search"))
        for task in sorted({task for side in sides for task in side.scores[split]}):
            values = [side.scores[split].get(task) for side in sides]
            cells = [
                [Piece(f"{signs.dash:>6}" if value is None else f"{value:6.3f}")]
                for value in values
            ]
            own = values[middle]
            if own is not None:
                cells[middle].append(rank_sign(own, values[:middle] + values[middle + 1 :], signs))
            present = [value for value in values if value is not None]
            yield DiffLine(split, task, cells, len(set(present)) > 1)


def _kin(comparison: ModelComparison, snapshot: Snapshot, _: Signs) -> Iterator[DiffLine]:
    kin = comparison.relation
    yield DiffLine("kin", "kinship")
    if kin is None:
        remark = "too many ancestors to compute it here; colony kin does"
        yield DiffLine("kin", "relationship", ([Piece(remark, "dim")],))
        return
    one, other = (snapshot.name(model) for model in kin.models)
    yield DiffLine(
        "kin", "relationship", ([Piece(f"{kin.relationship:.3f} of {one} and {other}")],)
    )
    inbred = f"{kin.inbreeding[0]:.3f} and {kin.inbreeding[1]:.3f}"
    yield DiffLine("kin", "inbreeding", ([Piece(inbred)],))
    if kin.common:
        near = kin.common[0]
        remark = f"#{near.model}, {near.steps[0]} and {near.steps[1]} steps up"
        yield DiffLine(
            "kin", "nearest ancestor", ([Piece(f"{remark}; {len(kin.common):,} in common")],)
        )


def _cell(comparison: ModelComparison, width: int) -> int:
    return max(8, (width - NAME) // len(comparison.difference.sides))


def _in_cell(parts: Sequence[Span | Piece], width: int) -> list[Span | Piece]:
    """Spans in exactly `width` cells."""
    spans, left = list[Span | Piece](), width - 1
    for part in parts:
        text = part.text[:left]
        left -= len(text)
        spans.append(Piece(text, part.tone))
    return [*spans, Piece(" " * (left + 1))]
