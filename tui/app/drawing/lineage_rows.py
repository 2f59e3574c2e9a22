"""Rows of the lineage views that are lists: the line, the graph, and lists of kin."""

from collections.abc import Hashable
from functools import lru_cache

import numpy as np

from lineage.ancestry.parent_edges import Ids
from lineage.drawing import Family, Style
from lineage.drawing.lanes import lanes
from lineage.drawing.line import PRIORITY, step
from lineage.drawing.text import Span, aligned, cells, fitting, shown
from lineage.glyphs import Glyphs
from tui.app.data.kin import family_of, gains
from tui.app.data.snapshot import Snapshot
from tui.app.drawing.model_rows import ModelRows
from tui.shared.styling import Piece, Signs, cut


class YoungestFirstRows(ModelRows):
    """Models in the order of their ids, the youngest first."""

    def row_of(self, key: Hashable) -> int | None:
        """The row of a model; None if it is not among these."""
        if not isinstance(key, int) or not len(self.order):
            return None
        row = len(self.order) - 1 - int(np.searchsorted(self.order[::-1], np.int32(key)))
        return row if row >= 0 and int(self.order[row]) == key else None


class LineRows(YoungestFirstRows):
    """A model, its fitter parent, and so on to a founder; steps are drawn as they come into sight.

    Args:
        snapshot: knows them.
        line: their ids, the model first, shape (steps,).
        glyphs: to draw with.
    """

    def __init__(self, snapshot: Snapshot, line: Ids, glyphs: Glyphs) -> None:
        super().__init__(snapshot, line)
        self._glyphs = glyphs
        self.gains = gains(snapshot, line)
        finite = self.gains[np.isfinite(self.gains)]
        self._most = float(np.abs(finite).max(initial=0.0))
        self._widths = self._bounds()

    def _bounds(self) -> list[int]:
        """The largest width of each column in cells, found without drawing all rows."""
        s, line = self.snapshot, self.order
        names = [cells(shown(name)) for name in s.columns.names.values()]
        labels = max([1 + len(str(line[0])), *names])
        operators = np.unique(s.columns.operator[line]).tolist()
        return [
            1,
            labels,
            5,
            6,
            1,
            4 + len(str(s.columns.generation[line].max())),
            max(cells(shown(s.columns.vocabulary[code])) for code in operators),
            5 + len(str(s.children[line].max())),
            2 + labels + 6 + 3,
        ]

    def draw(self, row: int, width: int) -> list[Span | Piece]:
        """A step of the line."""
        family = family_of(self.snapshot, [self.model(row)])
        gain = float(self.gains[row])
        style = Style(width, self._glyphs)
        parts = step(
            family, self.model(row), None if np.isnan(gain) else gain, self._most, style
        )  # fmt: skip
        return list(aligned(parts, self._widths, _fitting(tuple(self._widths), width)))


@lru_cache(maxsize=8)
def _fitting(widths: tuple[int, ...], width: int) -> list[int]:
    return fitting(widths, PRIORITY, width)


class GraphRows(YoungestFirstRows):
    """Some models with edges to their parents, as `lineage.drawing.lanes` draws them.

    Args:
        snapshot: knows them.
        family: the models.
        focus: id of the model whose line keeps lane 0.
        style: width and signs.
    """

    def __init__(self, snapshot: Snapshot, family: Family, focus: int, style: Style) -> None:
        super().__init__(snapshot, np.array(sorted(family.models, reverse=True), np.int32))
        self._drawn = lanes(family, focus, style)

    def draw(self, row: int, width: int) -> list[Span | Piece]:
        """A row of the graph; the list cuts it off."""
        return list(self._drawn[row])


class BriefModelRows(ModelRows):
    """Models in short rows, for a list beside something else."""

    def __init__(self, snapshot: Snapshot, order: Ids, signs: Signs) -> None:
        super().__init__(snapshot, order)
        self._signs = signs

    def draw(self, row: int, width: int) -> list[Span | Piece]:
        """A model: its sign, label, fitness, generation and operator."""
        s, model = self.snapshot, self.model(row)
        fitness = s.fitness(model)
        return [
            Piece(s.sign(model, self._signs) + " ", s.tone(model)),
            Piece(cut(shown(s.name(model)), 9, self._signs.ellipsis)),
            Piece(f" {self._signs.dash:>5}" if fitness is None else f" {fitness:.3f}"),
            Piece(f"  {s.columns.generation[model]:<4}", "dim"),
            Piece(f" {shown(s.operator(model))}", "dim"),
        ]
