"""Rows of models: any of them, in any order."""

from abc import ABC, abstractmethod
from collections.abc import Hashable
from functools import cached_property

import numpy as np

from lineage.ancestry.parent_edges import Ids
from lineage.drawing.text import Span
from tui.app.data.snapshot import Snapshot
from tui.shared.styling import Piece


class ModelRows(ABC):
    """A row for each model.

    Args:
        snapshot: knows the models.
        order: their ids, top down, each once, shape (models,).
    """

    def __init__(self, snapshot: Snapshot, order: Ids) -> None:
        self.snapshot, self.order = snapshot, order

    @cached_property
    def _places(self) -> Ids:
        places = np.full(self.snapshot.newest + 1, -1, np.int32)
        places[self.order] = np.arange(len(self.order), dtype=np.int32)
        return places

    def __len__(self) -> int:
        return len(self.order)

    def key(self, row: int) -> int:
        """The id of the model in a row."""
        return int(self.order[row])

    def model(self, row: int) -> int:
        """The id of the model in a row."""
        return int(self.order[row])

    def row_of(self, key: Hashable) -> int | None:
        """The row of a model; None if it is not among these."""
        if not isinstance(key, int) or not 0 < key < len(self._places):
            return None
        row = int(self._places[key])
        return None if row < 0 else row

    @abstractmethod
    def draw(self, row: int, width: int) -> list[Span | Piece]:
        """The spans of a row, in `width` cells at most."""
