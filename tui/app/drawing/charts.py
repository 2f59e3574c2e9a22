"""The two drawings that charts show: a pedigree, and the map of all births."""

from functools import cached_property

import numpy as np

from lineage.ancestry.parent_edges import Ids
from lineage.drawing.birth_map import AXIS, BirthField, draw_field, overlay
from lineage.drawing.pedigree import PedigreeLayout
from lineage.drawing.text import Drawing, Row, width_of
from lineage.glyphs import Glyphs
from tui.app.data.snapshot import Snapshot


class PedigreeChart:
    """A pedigree; its spots are its slot numbers.

    Args:
        layout: see `lineage.drawing.pedigree`.
    """

    def __init__(self, layout: PedigreeLayout) -> None:
        self._layout = layout
        self._spots = {slot.model: number for number, slot in reversed(layout.slots.items())}

    @cached_property
    def size(self) -> tuple[int, int]:
        """Cells across and down."""
        rows = self._layout.rows
        return max(width_of(row) for row in rows), len(rows)

    def row(self, number: int) -> Row:
        """A row of the drawing."""
        return self._layout.rows[number]

    def place(self, spot: int) -> tuple[int, int, int]:
        """Row, first column and width of a slot."""
        return self._layout.places[spot]

    def beside(self, spot: int, across: int, down: int) -> int:
        """The next slot: the fitter parent to the right, the child to the left, or up and down."""
        slots = self._layout.slots
        if across:
            ways = (2 * spot, 2 * spot + 1) if across > 0 else (spot // 2,)
            return next((way for way in ways if way in slots), spot)
        same = [slot for slot in sorted(slots) if slot.bit_length() == spot.bit_length()]
        return same[min(max(same.index(spot) + down, 0), len(same) - 1)]

    def at(self, column: int, row: int) -> int | None:
        """The slot whose text covers a cell; None if none does."""
        for number, (line, first, width) in self._layout.places.items():
            if line == row and first <= column < first + width:
                return number
        return None

    def model(self, spot: int) -> int:
        """The id of the model in a slot."""
        return self._layout.slots[spot].model

    def spot_of(self, model: int) -> int | None:
        """The first slot of a model; None if it has none."""
        return self._spots.get(model)

    def first(self, model: int | None, spot: int | None) -> int:
        """The slot where the cursor starts: the one it was on, or that of a model."""
        slots = self._layout.slots
        if spot in slots and slots[spot].model == model:
            return spot
        return 1 if model is None else self._spots.get(model, 1)

    def has(self, spot: int) -> bool:
        """Whether there is such a slot."""
        return spot in self._layout.slots


class MapChart:
    """All births by birth and fitness, with a line of descent; its spots are the cells.

    Args:
        snapshot: knows the models.
        field: the births in their cells.
        line: ids of the models of the line, shape (steps,).
        glyphs: to draw with.
    """

    def __init__(self, snapshot: Snapshot, field: BirthField, line: Ids, glyphs: Glyphs) -> None:
        self._snapshot, self._field = snapshot, field
        self._up, self._across = field.counts.shape
        champion = snapshot.champion
        over = overlay(
            field,
            [model - 1 for model in line.tolist()],
            None if champion is None else champion - 1,
            glyphs,
        )
        self._rows: Drawing = draw_field(field, over, glyphs)

    @property
    def size(self) -> tuple[int, int]:
        """Cells across and down."""
        return AXIS + self._across, len(self._rows)

    def row(self, number: int) -> Row:
        """A row of the drawing."""
        return self._rows[number]

    def place(self, spot: int) -> tuple[int, int, int]:
        """Row, column and width of a cell."""
        return spot // self._across, AXIS + spot % self._across, 1

    def beside(self, spot: int, across: int, down: int) -> int:
        """The next cell in a direction; the same at the edge."""
        row, column = divmod(spot, self._across)
        row = min(max(row + down, 0), self._up - 1)
        return int(row * self._across + min(max(column + across, 0), self._across - 1))

    def at(self, column: int, row: int) -> int | None:
        """The cell at a place of the drawing; None beside the map."""
        within = AXIS <= column < AXIS + self._across and row < self._up
        return row * self._across + column - AXIS if within else None

    def models(self, spot: int) -> Ids:
        """Ids of the models born in a cell, ascending, shape (models,)."""
        first, last = self._births(spot)
        there = np.flatnonzero(self._field.cell[first:last] == spot)
        return there.astype(np.int32) + np.int32(first + 1)

    def model(self, spot: int) -> int | None:
        """Id of the fittest model born in a cell; None if it is empty."""
        there = self.models(spot)
        if not len(there):
            return None
        return int(there[np.argmax(self._snapshot.columns.fitness[there])])

    def spot_of(self, model: int) -> int | None:
        """The cell that a model was born in; None if it was never scored."""
        if not 0 < model <= len(self._field.cell):
            return None
        cell = int(self._field.cell[model - 1])
        return None if cell < 0 else cell

    def first(self, model: int | None, spot: int | None) -> int:
        """The cell where the cursor starts: the one it was on, or that of a model."""
        if spot is not None and spot < self._up * self._across:
            return spot
        return (None if model is None else self.spot_of(model)) or 0

    def describe(self, spot: int) -> list[str]:
        """The births and fitness that a cell stands for, and how many models are in it."""
        row, _ = divmod(spot, self._across)
        first, last = self._births(spot)
        field, many = self._field, len(self.models(spot))
        high, low = (
            field.high - (field.high - field.low) * edge / self._up for edge in (row, row + 1)
        )
        return [
            f"births {first + 1:,} to {max(first + 1, last):,}",
            f"fitness {low:.3f} to {high:.3f}",
            f"{many:,} model{'s' * (many != 1)}",
        ]

    def _births(self, spot: int) -> tuple[int, int]:
        """The births that a cell's column holds: the first, and the one after the last."""
        column, births = spot % self._across, len(self._field.cell)
        first, last = (-(-(column + step) * births // self._across) for step in (0, 1))
        return first, last
