"""A subset of the archive as a graph with lanes, as `git log --graph` draws history.

Nearly every model is a merge, so a whole archive needs hundreds of lanes; a few generations of
ancestors need about ten. Lane 0 belongs to the line of the fitter parent. A lane leads down to a
parent that is not drawn yet; further children of that parent join it instead of opening another.
"""

from dataclasses import dataclass, field

from lineage.drawing.family import Family
from lineage.drawing.text import Drawing, Row, Span, Style, columns, width_of
from lineage.glyphs import Glyphs

MOST_LANES = 12
"""More lanes cannot be followed by eye; parents without a lane are counted at the model (`+2`)."""

_ROOM = 34
"""Cells of a row that are kept for the text about its model."""

_TAKEN = 0
"""Not an id: marks a lane that ends in this row, so that none begins in it."""

_PRIORITY = (0, 1, 2, 3, 4)
"""Of the columns label, fitness, parents not drawn, birth, operator: the highest go first where
there is no room."""


@dataclass
class _Lanes:
    """The model that each lane leads to, from one row to the next."""

    most: int
    line: frozenset[int]
    awaited: list[int | None] = field(default_factory=lambda: [None])
    ended: int | None = None
    """The lane that ended in the row above: a model put right below would seem to be a parent."""

    def of(self, node: int) -> int | None:
        """The lane that leads to a model, if there is one."""
        return self.awaited.index(node) if node in self.awaited else None

    def seat(self, node: int, avoid: int | None = None) -> int | None:
        """A lane for a model: a free one, a new one, or None if there is no room."""
        if node in self.line and self.awaited[0] is None:
            self.awaited[0] = node
            return 0
        for lane in range(1, len(self.awaited)):
            if self.awaited[lane] is None and lane != avoid:
                self.awaited[lane] = node
                return lane
        if len(self.awaited) == avoid:
            self.awaited.append(None)
        if len(self.awaited) >= self.most:
            return None
        self.awaited.append(node)
        return len(self.awaited) - 1


@dataclass(frozen=True)
class _Edges:
    """The edges of a row: lanes that are joined, begin or end there, and parents without one."""

    joined: list[int]
    begun: list[int]
    ended: list[int]
    lost: int


def lanes(family: Family, focus: int, style: Style | None = None) -> Drawing:
    """Draw all of a family, the youngest first, with edges to their parents.

    Args:
        family: to draw.
        focus: id of the model whose line keeps lane 0.
        style: width and glyphs.
    """
    style = style or Style()
    glyphs = style.glyphs
    most = max(2, min(MOST_LANES, (style.width - _ROOM) // 2))
    state = _Lanes(most, frozenset(family.line(focus)))
    graphs: list[Row] = []
    facts: list[list[Span]] = []
    for node in sorted(family.models, reverse=True):
        lane = state.of(node)
        if lane is None:
            lane = state.seat(node, avoid=state.ended)
        before = list(state.awaited)
        parents = [parent for parent in family.parents(node) if parent in family.models]
        edges = _led_on(state, node, lane, parents)
        graphs.append(_graph_row(family, node, lane, before, edges, glyphs))
        state.ended = lane if lane is not None and state.awaited[lane] is None else None
        while len(state.awaited) > 1 and state.awaited[-1] is None:
            state.awaited.pop()
        row = family.models[node]
        unseen = len(row.parents) - len(parents)
        note = f"+{edges.lost} " * bool(edges.lost) + glyphs.more * bool(unseen)
        facts.append(
            [
                Span(family.label(node)),
                Span(family.score(node)),
                Span(note, "dim"),
                Span(f"gen {row.generation}", "dim"),
                Span(family.how(node), "dim"),
            ]
        )
    reach = max(width_of(graph) for graph in graphs)
    texts = columns(facts, _PRIORITY, style.width - reach - 2)
    return [
        [*graph, Span(" " * (reach + 2 - width_of(graph))), *text]
        for graph, text in zip(graphs, texts, strict=True)
    ]


def _led_on(state: _Lanes, node: int, lane: int | None, parents: list[int]) -> _Edges:
    """Let a model's lane and others lead on to its parents."""
    edges = _Edges([], [], [], 0)
    if lane is None:
        return _Edges([], [], [], len(parents))
    state.awaited[lane] = None
    lost = 0
    for number, parent in enumerate(parents):
        there = state.of(parent)
        if there is not None:
            if number == 0 and lane == 0 and parent in state.line:
                # The line goes straight on; the lane that led there ends in it.
                state.awaited[there] = _TAKEN
                state.awaited[0] = parent
                edges.ended.append(there)
            else:
                edges.joined.append(there)
        elif state.awaited[lane] is None and (lane or parent in state.line):
            state.awaited[lane] = parent
        else:
            begun = state.seat(parent)
            if begun is None:
                lost += 1
            else:
                edges.begun.append(begun)
    for ended in edges.ended:
        state.awaited[ended] = None
    return _Edges(edges.joined, edges.begun, edges.ended, lost)


def _graph_row(
    family: Family, node: int, lane: int | None, before: list[int | None], edges: _Edges,
    glyphs: Glyphs,
) -> Row:  # fmt: skip
    if lane is None:  # no room for its lane: it stands alone behind all of them
        lane = len(before)
    touched = {**dict.fromkeys(edges.joined, "joined"), **dict.fromkeys(edges.begun, "begun")}
    touched |= dict.fromkeys(edges.ended, "ended")
    first, last = min([lane, *touched]), max([lane, *touched])
    row: Row = []
    for at in range(max(len(before), last + 1)):
        if at == lane:
            row.append(family.sign(node, glyphs))
        elif at in touched:
            row.append(Span(_corner(touched[at], at, first, last, glyphs), "edge"))
        elif at < len(before) and before[at] is not None:
            row.append(Span(glyphs.down, "edge"))
        else:
            row.append(Span(glyphs.across if first < at < last else " ", "edge"))
        row.append(Span(glyphs.across if first <= at < last else " ", "edge"))
    return row


def _corner(kind: str, at: int, first: int, last: int, glyphs: Glyphs) -> str:
    """The sign where an edge meets a lane: at its left end, its right end, or on its way."""
    left, right, middle = {
        "joined": (glyphs.tee, glyphs.split, glyphs.both),
        "begun": (glyphs.turn_down_right, glyphs.turn_down, glyphs.fork),
        "ended": (glyphs.turn_up_right, glyphs.turn_up, glyphs.join),
    }[kind]
    return left if at == first else right if at == last else middle
