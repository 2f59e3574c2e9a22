"""The map: all births of an archive by birth and fitness, and a line of descent across it."""

from collections.abc import Collection

import numpy as np
import numpy.typing as npt

from lineage.drawing.text import Drawing, Row, Span, Style
from lineage.records import Floats

_AXIS = 7
"""Cells that the vertical axis takes."""

Counts = npt.NDArray[np.int64]


def counted(fitness: Floats, across: int, up: int) -> tuple[Counts, Counts, float, float]:
    """How many births fall into each cell of a map.

    Args:
        fitness: of everybody in the order of birth, shape (births,); NaN who was never scored.
        across: cells from the first birth to the last.
        up: cells from the lowest fitness to the highest.

    Returns:
        The counts, shape (up, across), the highest fitness first; the cell that each birth falls
        into as a flat index, -1 for none, shape (births,); the lowest and the highest fitness.
    """
    known = np.isfinite(fitness)
    if not known.any():
        return np.zeros((up, across), np.int64), np.full(len(fitness), -1), 0.0, 1.0
    low, high = float(fitness[known].min()), float(fitness[known].max())
    span = (high - low) or 1.0
    column = np.arange(len(fitness)) * across // len(fitness)
    height = (np.where(known, fitness, low) - low) * (up / span)
    row = up - 1 - np.minimum(height.astype(np.int64), up - 1)
    cell = np.where(known, row * across + column, -1)
    counts = np.bincount(cell[known], minlength=up * across).reshape(up, across)
    return counts, cell, low, high


def density(
    fitness: Floats,
    line: Collection[int],
    champion: int | None = None,
    height: int = 16,
    style: Style | None = None,
) -> Drawing:
    """Births from left to right, fitness from bottom to top; darker where there are more.

    Args:
        fitness: of everybody in the order of birth, shape (births,); NaN who was never scored.
        line: places in `fitness` of the models of a line, drawn over the births.
        champion: the place of the champion.
        height: rows of the map itself.
        style: how wide, and with which signs.
    """
    style = style or Style()
    glyphs = style.glyphs
    across = max(8, style.width - _AXIS)
    counts, cell, low, high = counted(fitness, across, height)
    most = max(2, int(counts.max(initial=0)))
    levels = len(glyphs.shades) - 1
    shade = np.ceil(np.log2(counts + 1) / np.log2(most + 1) * levels).astype(int)
    marks = {int(cell[place]): (glyphs.living, "living") for place in line if cell[place] >= 0}
    if champion is not None and cell[champion] >= 0:
        marks[int(cell[champion])] = (glyphs.champion, "champion")
    rows: Drawing = []
    for number in range(height):
        # The axis says what the top of each row stands for, on every other row.
        value = high - (high - low) * number / height
        axis = f"{value:5.2f} " if number % 2 == 0 else " " * 6
        row: Row = [Span(axis, "dim"), Span(glyphs.down, "edge")]
        for column in range(across):
            sign = marks.get(number * across + column)
            if sign:
                row.append(Span(sign[0], sign[1]))  # type: ignore[arg-type]
            else:
                row.append(Span(glyphs.shades[shade[number, column]], "dim"))
        rows.append(row)
    rows.append([Span(" " * 6 + glyphs.elbow + glyphs.across * across, "edge")])
    ends = "birth 1", f"birth {len(fitness):,}"
    rows.append([Span(" " * _AXIS + ends[0] + ends[1].rjust(across - len(ends[0])), "dim")])
    return rows
