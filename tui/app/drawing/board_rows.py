"""The board's table: its columns, their cells, and which columns fit."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from lineage.ancestry.parent_edges import Ids
from lineage.drawing.text import Span, cells, shown
from lineage.queries.columns import Singles
from tui.app.data.snapshot import Snapshot
from tui.app.drawing.model_rows import ModelRows
from tui.shared.styling import Piece, Signs, cut, steps

MADE_OF = 18
"""Width of the bar of founder shares, in cells."""

LAYERS = ("primary", "success", "warning", "secondary", "accent", "error")
"""Tones of the founders in turn; their signs differ as well."""


@dataclass(frozen=True)
class SortOrder:
    """A sort order of the board: its name, and a function that gives a value by model id."""

    name: str
    of: Callable[[Snapshot], Singles]


ORDERS = (
    SortOrder("rating", lambda s: s.columns.rating),
    SortOrder("fitness", lambda s: s.columns.fitness),
    SortOrder("born", lambda s: np.arange(s.newest + 1, dtype=np.float32)),
    SortOrder("children", lambda s: s.children.astype(np.float32)),
)


def sorted_by(order: SortOrder, upwards: bool, snapshot: Snapshot, ids: Ids) -> Ids:
    """Ids in a sort order, shape (models,); without a value last, of equals the younger first.

    Args:
        order: by what.
        upwards: the smallest first.
        snapshot: knows the values.
        ids: of the models, ascending, shape (models,).
    """
    values = order.of(snapshot)[ids[::-1]]
    sortable = np.where(np.isnan(values), -np.inf if not upwards else np.inf, values)
    return ids[::-1][np.argsort(sortable if upwards else -sortable, kind="stable")]


@dataclass(frozen=True)
class Column:
    """A column of the board.

    Attributes:
        title: above it.
        width: in cells.
        priority: columns with the largest number are left out first; 0 always stays.
        right: whether it is aligned right.
    """

    title: str
    width: int
    priority: int
    right: bool = False


COLUMNS = (
    Column("#", 5, 5, True),
    Column("model", 17, 0),
    Column("rating", 7, 1, True),
    Column("±", 5, 4, True),
    Column("fitness", 8, 1, True),
    Column("gen", 6, 2, True),
    Column("kids", 5, 6, True),
    Column("how", 12, 7),
    Column("parents", 20, 8),
    Column("made of", MADE_OF, 3),
    Column("trend", 12, 5),
    Column("of", 30, 9),
)


@lru_cache(maxsize=8)
def fitting(width: int) -> tuple[int, ...]:
    """The columns that fit into `width` cells, as indices of `COLUMNS`."""
    used = list(range(len(COLUMNS)))
    while sum(COLUMNS[at].width + 1 for at in used) > width:
        least = max(used, key=lambda at: COLUMNS[at].priority)
        if COLUMNS[least].priority == 0:
            break
        used.remove(least)
    return tuple(used)


def heads(width: int, order: SortOrder, upwards: bool, signs: Signs) -> list[Piece]:
    """The titles of the columns that fit; the one that is sorted by has a sign."""
    pieces = []
    for at in fitting(width):
        column = COLUMNS[at]
        title = {"gen": "born", "kids": "children"}.get(column.title, column.title)
        here = title == order.name
        title_text = signs.spread if title == "±" else column.title
        text = title_text + ((signs.up if upwards else signs.down) if here else "")
        text = text.rjust(column.width) if column.right else text.ljust(column.width)
        pieces.append(Piece(text + " ", "strong" if here else "head"))
    return pieces


class BoardRows(ModelRows):
    """The rows of the board.

    Args:
        snapshot: knows the models.
        order: their ids, top down, shape (models,).
        signs: to draw with.
    """

    def __init__(self, snapshot: Snapshot, order: Ids, signs: Signs) -> None:
        super().__init__(snapshot, order)
        self._signs = signs

    def draw(self, row: int, width: int) -> list[Span | Piece]:
        """A row of the columns that fit into `width` cells."""
        model, spans = self.model(row), list[Span | Piece]()
        for at in fitting(width):
            column = COLUMNS[at]
            pieces = self._cell(at, row, model)
            used = sum(cells(piece.text) for piece in pieces)
            blanks = Piece(" " * max(0, column.width - used))
            spans += (
                [blanks, *pieces, Piece(" ")] if column.right else [*pieces, blanks, Piece(" ")]
            )
        return spans

    def _cell(self, at: int, row: int, model: int) -> list[Piece]:  # noqa: PLR0911 - one a column
        s, signs = self.snapshot, self._signs
        match COLUMNS[at].title:
            case "#":
                return [Piece(str(row + 1), "dim")]
            case "model":
                name = cut(shown(s.name(model)), 15, signs.ellipsis)
                return [Piece(s.sign(model, signs) + " ", s.tone(model)), Piece(name, "strong")]
            case "rating":
                rating = s.rating(model)
                return [Piece(f"{rating[0]:.0f}" if rating else signs.dash)]
            case "±":
                rating = s.rating(model)
                return [Piece(f"{rating[1]:.0f}" if rating else "", "dim")]
            case "fitness":
                fitness = s.fitness(model)
                return [Piece(signs.dash if fitness is None else f"{fitness:.3f}")]
            case "gen":
                return [Piece(str(s.columns.generation[model]), "dim")]
            case "kids":
                return [Piece(str(s.children[model]), "dim")]
            case "how":
                return [Piece(cut(shown(s.operator(model)), 12, signs.ellipsis), "dim")]
            case "parents":
                return [Piece(self._parents(model), "dim")]
            case "made of":
                return self._made_of(model)
            case "trend":
                return [Piece(steps(s.columns.trend.get(model, ()), signs), "median")]
        parts = s.founders_of(model)[:3]
        founders = "  ".join(f"{s.columns.names[founder]} {part:.0%}" for founder, part in parts)
        return [Piece(cut(shown(founders), 30, signs.ellipsis), "dim")]

    def _parents(self, model: int) -> str:
        parents = list(self.snapshot.parents(model))
        labels = f" {self._signs.cross} ".join(f"#{parent}" for parent in parents[:2])
        return labels + (f" +{len(parents) - 2}" if len(parents) > 2 else "")

    def _made_of(self, model: int) -> list[Piece]:
        shares = self.snapshot.shares
        if shares is None:
            return []
        counts = apportioned(shares[model], MADE_OF)
        return [
            Piece(layer(founder, self._signs) * cells, LAYERS[founder % len(LAYERS)])
            for founder, cells in enumerate(counts)
            if cells
        ]


def layer(founder: int, signs: Signs) -> str:
    """The sign of a founder, by its index among the founders."""
    return signs.layers[founder % len(signs.layers)]


def apportioned(parts: Singles, cells: int) -> list[int]:
    """Whole numbers of cells in proportion to parts: largest remainders get what is left.

    Args:
        parts: shape (founders,), summing to 1.
        cells: their sum.
    """
    exact = parts.astype(np.float64) * cells
    counts = np.floor(exact).astype(np.int64)
    left = max(0, cells - int(counts.sum()))
    counts[np.argsort(counts - exact, kind="stable")[:left]] += 1
    return [int(count) for count in counts]


def legend(snapshot: Snapshot, signs: Signs, width: int) -> list[Piece]:
    """The signs of the founders with their names, as many as fit into `width` cells."""
    pieces, used = list[Piece](), 0
    for place, founder in enumerate(snapshot.columns.parent_edges.founders.tolist()):
        name = shown(snapshot.columns.names[founder], 12)
        if used + cells(name) + 3 > width:
            break
        used += cells(name) + 3
        pieces += [
            Piece(layer(place, signs) + " ", LAYERS[place % len(LAYERS)]),
            Piece(name + " ", "dim"),
        ]
    return pieces
