"""The lenses: what each shows of the lineage of a model, and how it says so in a title."""

from dataclasses import dataclass

import numpy as np

from lineage.ancestry.parent_edges import Ids
from lineage.drawing import ASCII, UNICODE, Style
from lineage.drawing.birth_map import AXIS, BirthField, birth_field
from lineage.drawing.pedigree import DEEPEST, layout
from lineage.glyphs import Glyphs
from tui.app.data.kin import ancestors, family_of
from tui.app.data.snapshot import Snapshot
from tui.app.drawing.charts import MapChart, PedigreeChart
from tui.app.drawing.lineage_rows import Descending, GraphRows, LineRows
from tui.shared.styling import Signs

LOWEST, NARROWEST = 3, 8
"""Cells that a map has at least."""


@dataclass(frozen=True)
class Counted:
    """The births of a snapshot in the cells of a map."""

    snapshot: Snapshot
    size: tuple[int, int]
    field: BirthField


def glyphs_for(signs: Signs) -> Glyphs:
    """What drawings are made of where screens are made of `signs`."""
    return UNICODE if signs.braille else ASCII


def line_of(snapshot: Snapshot, model: int, glyphs: Glyphs) -> tuple[Descending, str]:
    """The line of a model."""
    line = np.array(snapshot.line(model), np.int32)
    summary = f"{_many(len(line) - 1, 'step')} back to {snapshot.name(int(line[-1]))}"
    summary = summary if len(line) > 1 else "a founder, nobody before it"
    return LineRows(snapshot, line, glyphs), f"line of {snapshot.name(model)}: {summary}"


def pedigree_of(
    snapshot: Snapshot, model: int, depth: int, style: Style
) -> tuple[PedigreeChart, str]:
    """The pedigree of a model, as deep as there is room for."""
    near, _ = ancestors(snapshot, model, min(depth, DEEPEST))
    drawn = layout(family_of(snapshot, near.tolist()), model, depth, style)
    deep = max(number.bit_length() for number in drawn.slots) - 1
    different = len({slot.model for slot in drawn.slots.values()})
    summary = f"{_many(deep, 'generation')}, {_many(different, 'model')}"
    return PedigreeChart(drawn), f"pedigree of {snapshot.name(model)}: {summary}"


def graph_of(snapshot: Snapshot, model: int, depth: int, style: Style) -> tuple[Descending, str]:
    """The nearest ancestors of a model with their edges; fewer generations if they are too many."""
    near, reached = ancestors(snapshot, model, depth)
    summary = f"{_many(reached, 'generation')}, {_many(len(near), 'model')}"
    rows = GraphRows(snapshot, near, model, style)
    return rows, f"ancestors of {snapshot.name(model)}: {summary}"


def way_of(snapshot: Snapshot, path: Ids, style: Style) -> tuple[Descending, str]:
    """The way from a model to another, through their nearest common ancestor."""
    first, last, top = (snapshot.name(int(at)) for at in (path[0], path[-1], path.min()))
    summary = f"way from {first} to {last}: {_many(len(path) - 1, 'step')} through {top}"
    return GraphRows(snapshot, np.sort(path)[::-1], int(path[0]), style), summary


def map_of(births: Counted, model: int, glyphs: Glyphs) -> tuple[MapChart, str]:
    """All births, and the line of a model over them."""
    snapshot = births.snapshot
    line = np.array(snapshot.line(model), np.int32)
    summary = f"all {snapshot.newest:,} births, and the line of {snapshot.name(model)}"
    return MapChart(snapshot, births.field, line, glyphs), summary


def map_size(style: Style, height: int) -> tuple[int, int]:
    """Cells across and up of a map in so much room, which has to hold its axes too."""
    return max(NARROWEST, style.width - AXIS), max(LOWEST, height - 2)


def births_of(snapshot: Snapshot, size: tuple[int, int]) -> Counted:
    """All births in the cells of a map; 40 ms for a million, so ask for it in a thread."""
    fitness = snapshot.columns.fitness[1:].astype(np.float64)
    return Counted(snapshot, size, birth_field(fitness, *size))


def way_between(snapshot: Snapshot, model: int, other: int) -> Ids | None:
    """The way from a model to another; half a second among a million, so ask in a thread."""
    path = snapshot.descent.path(model, other)
    return None if path is None else np.array(path, np.int32)


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}" + "s" * (count != 1)
