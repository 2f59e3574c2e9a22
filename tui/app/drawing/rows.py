"""What a list shows: rows that are drawn as they come into sight, each about somebody."""

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Hashable, Sequence
from typing import TYPE_CHECKING, Protocol

from tui.shared.styling import Piece

if TYPE_CHECKING:
    from lineage.drawing.text import Span


class Rows(Protocol):
    """What a list shows. A value: whoever has other rows gives the list another one."""

    def __len__(self) -> int: ...

    def key(self, row: int) -> Hashable:
        """Who or what a row is about: a model's id wherever it is about a model."""
        ...

    def row_of(self, key: Hashable) -> int | None:
        """Where somebody is; None if nowhere."""
        ...

    def model(self, row: int) -> int | None:
        """The model that a row is about, if it is about one."""
        ...

    def draw(self, row: int, width: int) -> "list[Span | Piece]":
        """A row, in so many cells at most."""
        ...


class ListedRows:
    """A few rows that are drawn already, with what each is about.

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
        """Who or what a row is about."""
        return self._rows[row][0]

    def row_of(self, key: Hashable) -> int | None:
        """Where somebody is; None if nowhere."""
        return self._places.get(key)

    def model(self, row: int) -> int | None:
        """The model that a row is about."""
        return self._rows[row][1]

    def draw(self, row: int, width: int) -> "list[Span | Piece]":
        """The row as it is; the list cuts it off."""
        return self._rows[row][2]


class Hits:
    """Rows that were found, to walk along.

    Args:
        rows: all rows.
        found: keys, of which some may be among them.
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
        """The next hit below a row (1) or above it (-1); after the last comes the first."""
        at = bisect_right(self._places, row) if by > 0 else bisect_left(self._places, row) - 1
        return self._places[at % len(self._places)]
