"""What a list shows: rows that are drawn when they are scrolled into view."""

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Hashable, Sequence
from typing import TYPE_CHECKING, Protocol

from tui.shared.styling import Piece

if TYPE_CHECKING:
    from lineage.drawing.text import Span


class Rows(Protocol):
    """The rows of a list. A value: to show other rows, give the list another one."""

    def __len__(self) -> int: ...

    def key(self, row: int) -> Hashable:
        """The key of a row: a model's id if it is about a model."""
        ...

    def row_of(self, key: Hashable) -> int | None:
        """The row with a key; None if there is none."""
        ...

    def model(self, row: int) -> int | None:
        """Id of the model that a row is about; None if it is about none."""
        ...

    def draw(self, row: int, width: int) -> "list[Span | Piece]":
        """The spans of a row, in `width` cells at most."""
        ...


class ListedRows:
    """Rows that are drawn already.

    Args:
        rows: (key, model or None, spans), top down.
    """

    def __init__(
        self, rows: "Sequence[tuple[Hashable, int | None, list[Span | Piece]]]" = ()
    ) -> None:
        self._rows = rows
        self._places = {row[0]: place for place, row in enumerate(rows)}

    def __len__(self) -> int:
        return len(self._rows)

    def key(self, row: int) -> Hashable:
        """The key of a row."""
        return self._rows[row][0]

    def row_of(self, key: Hashable) -> int | None:
        """The row with a key; None if there is none."""
        return self._places.get(key)

    def model(self, row: int) -> int | None:
        """Id of the model that a row is about; None if it is about none."""
        return self._rows[row][1]

    def draw(self, row: int, width: int) -> "list[Span | Piece]":
        """The spans of a row; the list cuts them off."""
        return self._rows[row][2]


class Hits:
    """The rows that a search found, for stepping from one to the next.

    Args:
        rows: all rows.
        keys: that were found; some may not be among the rows.
    """

    def __init__(self, rows: Rows, keys: Collection[Hashable] = ()) -> None:
        places = (rows.row_of(key) for key in keys)
        self._places = sorted(row for row in places if row is not None)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, row: int) -> bool:
        at = bisect_left(self._places, row)
        return at < len(self._places) and self._places[at] == row

    def beyond(self, row: int, by: int) -> int:
        """The next hit below a row (`by` is 1) or above it (-1); after the last comes the first."""
        at = bisect_right(self._places, row) if by > 0 else bisect_left(self._places, row) - 1
        return self._places[at % len(self._places)]
