"""The four views of a lineage: what each shows of a model, and its title."""

from dataclasses import dataclass

import numpy as np

from lineage.ancestry.parent_edges import Ids
from lineage.drawing import ASCII, UNICODE, Style
from lineage.drawing.birth_map import AXIS, BirthField, birth_field
from lineage.drawing.folding import folded
from lineage.drawing.pedigree import DEEPEST, layout
from lineage.glyphs import Glyphs
from tui.app.data.kin import ancestors, ancestors_through_lines, family_of
from tui.app.data.snapshot import Snapshot
from tui.app.drawing.charts import MapChart, PedigreeChart
from tui.app.drawing.lineage_rows import GraphRows, LineRows, YoungestFirstRows
from tui.shared.styling import Signs

LOWEST, NARROWEST = 3, 8
"""Least height and width of a map, in cells."""


@dataclass(frozen=True)
class BirthCounts:
    """The births of a snapshot in the cells of a map.

    Attributes:
        snapshot: with the births.
        size: cells across and up.
        field: the births in their cells.
    """

    snapshot: Snapshot
    size: tuple[int, int]
    field: BirthField


def glyphs_for(signs: Signs) -> Glyphs:
    """The glyphs of drawings that go with the signs of a page."""
    return UNICODE if signs.braille else ASCII


def line_view(snapshot: Snapshot, model: int, glyphs: Glyphs) -> tuple[YoungestFirstRows, str]:
    """The rows of the line of a model, and a title."""
    line = np.array(snapshot.line(model), np.int32)
    summary = f"{_many(len(line) - 1, 'step')} back to {snapshot.name(int(line[-1]))}"
    summary = summary if len(line) > 1 else "a founder, nobody before it"
    return LineRows(snapshot, line, glyphs), f"line of {snapshot.name(model)}: {summary}"


def pedigree_view(
    snapshot: Snapshot, model: int, depth: int, style: Style
) -> tuple[PedigreeChart, str]:
    """The chart of the pedigree of a model, and a title.

    Args:
        snapshot: knows the models.
        model: its id.
        depth: generations at most; fewer are drawn if they do not fit.
        style: width and signs.
    """
    near, _ = ancestors(snapshot, model, min(depth, DEEPEST))
    drawn = layout(family_of(snapshot, near.tolist()), model, depth, style)
    deep = max(number.bit_length() for number in drawn.slots) - 1
    different = len({slot.model for slot in drawn.slots.values()})
    summary = f"{_many(deep, 'generation')}, {_many(different, 'model')}"
    return PedigreeChart(drawn), f"pedigree of {snapshot.name(model)}: {summary}"


def graph_view(
    snapshot: Snapshot, model: int, depth: int, style: Style
) -> tuple[YoungestFirstRows, str]:
    """The rows of the graph of the nearest ancestors of a model, and a title.

    Args:
        snapshot: knows the models.
        model: its id.
        depth: generations at most; fewer if there were too many models. A line that was raised
            is one row, and counts as one generation.
        style: width and signs.
    """
    near, reached = ancestors_through_lines(snapshot, model, depth)
    family = folded(family_of(snapshot, near.tolist()), keep=[model])
    summary = f"{_many(reached, 'generation')}, {_many(len(family.models), 'model')}"
    if steps := len(near) - len(family.models):
        summary += f" and {_many(steps, 'step')} of their lines"
    rows = GraphRows(snapshot, family, model, style)
    return rows, f"ancestors of {snapshot.name(model)}: {summary}"


def path_view(snapshot: Snapshot, path: Ids, style: Style) -> tuple[YoungestFirstRows, str]:
    """The rows of a path between two models, and a title.

    Args:
        snapshot: knows the models.
        path: ids from one to the other, through their nearest common ancestor, shape (steps,).
        style: width and signs.
    """
    first, last, top = (snapshot.name(int(at)) for at in (path[0], path[-1], path.min()))
    summary = f"path from {first} to {last}: {_many(len(path) - 1, 'step')} through {top}"
    family = family_of(snapshot, path.tolist())
    return GraphRows(snapshot, family, int(path[0]), style), summary


def map_view(births: BirthCounts, model: int, glyphs: Glyphs) -> tuple[MapChart, str]:
    """The chart of all births with the line of a model over them, and a title."""
    snapshot = births.snapshot
    line = np.array(snapshot.line(model), np.int32)
    summary = f"all {snapshot.newest:,} births, and the line of {snapshot.name(model)}"
    return MapChart(snapshot, births.field, line, glyphs), summary


def map_size(style: Style, height: int) -> tuple[int, int]:
    """Cells across and up of a map with its axes.

    Args:
        style: has the width in cells.
        height: in rows.
    """
    return max(NARROWEST, style.width - AXIS), max(LOWEST, height - 2)


def count_births(snapshot: Snapshot, size: tuple[int, int]) -> BirthCounts:
    """The births in the cells of a map; takes 40 ms for a million, so run it in a thread.

    Args:
        snapshot: with the births.
        size: cells across and up.
    """
    fitness = snapshot.columns.fitness[1:].astype(np.float64)
    return BirthCounts(snapshot, size, birth_field(fitness, *size))


def path_between(snapshot: Snapshot, model: int, other: int) -> Ids | None:
    """Ids on the path between two models, shape (steps,); None if they share no ancestor.

    Takes half a second for a million models, so run it in a thread.
    """
    path = snapshot.ancestry.path(model, other)
    return None if path is None else np.array(path, np.int32)


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}" + "s" * (count != 1)
