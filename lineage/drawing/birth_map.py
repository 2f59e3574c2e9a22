"""The birth map: all births of an archive by order and fitness, with a line of descent."""

from collections.abc import Collection, Mapping
from itertools import groupby
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lineage.drawing.text import Drawing, Row, Span, Style
from lineage.glyphs import Glyphs
from lineage.records import Floats

AXIS = 7
"""Cells that the vertical axis takes."""

Counts = npt.NDArray[np.int64]


class BirthField(NamedTuple):
    """A two-dimensional histogram of births by order and fitness.

    Attributes:
        counts: births in each cell, shape `[up, across]`, the highest fitness first.
        cell: the cell of each birth as a flat index, -1 for none; shape `[births]`.
        low: the lowest fitness.
        high: the highest fitness.
    """

    counts: Counts
    cell: Counts
    low: float
    high: float

    def shades(self, levels: int) -> Counts:
        """Darkness of each cell, from 0 (empty) to `levels`, logarithmic: shape `[up, across]`."""
        most = max(2, int(self.counts.max(initial=0)))
        dark = np.log2(self.counts + 1) / np.log2(most + 1)
        return np.asarray(np.ceil(dark * levels), np.int64)


def birth_field(fitness: Floats, across: int, up: int) -> BirthField:
    """Count the births in each cell of a map.

    Args:
        fitness: of all models in the order of birth, shape `[births]`; NaN if never scored.
        across: cells from the first birth to the last.
        up: cells from the lowest fitness to the highest.
    """
    scored = np.isfinite(fitness)
    if not scored.any():
        return BirthField(np.zeros((up, across), np.int64), np.full(len(fitness), -1), 0.0, 1.0)
    low, high = float(fitness[scored].min()), float(fitness[scored].max())
    span = (high - low) or 1.0
    column = np.arange(len(fitness)) * across // len(fitness)
    height = (np.where(scored, fitness, low) - low) * (up / span)
    row = up - 1 - np.minimum(height.astype(np.int64), up - 1)
    cell = np.where(scored, row * across + column, -1)
    counts = np.bincount(cell[scored], minlength=up * across).reshape(up, across)
    return BirthField(counts, cell, low, high)


def birth_map(
    fitness: Floats,
    line: Collection[int],
    champion: int | None = None,
    height: int = 16,
    style: Style | None = None,
) -> Drawing:
    """Births from left to right, fitness from bottom to top; darker where there are more.

    Args:
        fitness: of all models in the order of birth, shape `[births]`; NaN if never scored.
        line: indices into `fitness` of the models of a line, drawn over the births.
        champion: index of the champion.
        height: rows of the map itself.
        style: width and glyphs.
    """
    style = style or Style()
    field = birth_field(fitness, max(8, style.width - AXIS), height)
    return draw_field(field, overlay(field, line, champion, style.glyphs), style.glyphs)


def overlay(
    field: BirthField, line: Collection[int], champion: int | None, glyphs: Glyphs
) -> dict[int, Span]:
    """The spans drawn over the births, by cell: a line of descent, and the champion.

    Args:
        field: the births.
        line: indices of births, the models of a line.
        champion: index of a birth.
        glyphs: to draw with.
    """
    spans = {int(field.cell[at]): Span(glyphs.living, "living") for at in line}
    if champion is not None:
        spans[int(field.cell[champion])] = Span(glyphs.champion, "champion")
    spans.pop(-1, None)
    return spans


def draw_field(field: BirthField, over: Mapping[int, Span], glyphs: Glyphs) -> Drawing:
    """A map with its axes.

    Args:
        field: the births.
        over: spans drawn over them, by cell.
        glyphs: to draw with.
    """
    height, across = field.counts.shape
    shades = field.shades(len(glyphs.shades) - 1).tolist()
    rows: Drawing = []
    for number, row_shades in enumerate(shades):
        # The axis says what the top of each row stands for, on every other row.
        value = field.high - (field.high - field.low) * number / height
        axis = f"{value:5.2f} " if number % 2 == 0 else " " * 6
        signs = [Span(glyphs.shades[shade], "dim") for shade in row_shades]
        for cell in over.keys() & range(number * across, (number + 1) * across):
            signs[cell % across] = over[cell]
        row: Row = [Span(axis, "dim"), Span(glyphs.down, "edge")]
        for tone, same in groupby(signs, key=lambda sign: sign.tone):
            row.append(Span("".join(sign.text for sign in same), tone))
        rows.append(row)
    rows.append([Span(" " * 6 + glyphs.elbow + glyphs.across * across, "edge")])
    births = len(field.cell)
    ends = "birth 1", f"birth {births:,}"
    rows.append([Span(" " * AXIS + ends[0] + ends[1].rjust(across - len(ends[0])), "dim")])
    return rows
