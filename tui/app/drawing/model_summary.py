"""A summary of one model in a few rows, from a snapshot."""

from lineage.drawing.text import Span, shown
from tui.app.data.kin import family_of
from tui.app.data.snapshot import Snapshot
from tui.app.drawing.board_rows import LAYERS, layer
from tui.shared.styling import Piece, Signs, bar, cut

NAMES = 12
"""Width of a founder's name, in cells."""

PARENTS = 4
"""Parents that have a row each."""


def kind(snapshot: Snapshot, model: int, signs: Signs) -> list[Piece]:
    """The sign and the label of a model, with a link to it."""
    sign, tone = snapshot.sign(model, signs), snapshot.tone(model)
    return [Piece(f"{sign} ", tone), Piece(shown(snapshot.name(model)), "strong")]


def fate(snapshot: Snapshot, model: int) -> str:
    """Whether a model is the champion or lives; else when it died, and of what."""
    if model == snapshot.champion:
        return "the champion"
    if snapshot.is_living(model):
        return "alive"
    return f"died in {snapshot.columns.died[model]} of: {shown(snapshot.cause(model) or '')}"


def made(snapshot: Snapshot, model: int) -> str:
    """The operator and the generation of a model."""
    if snapshot.is_founder(model):
        return "a founder: it was brought in"
    how, when = shown(snapshot.operator(model)), snapshot.columns.generation[model]
    return f"born in {when} by {how}"


def summary(snapshot: Snapshot, model: int, signs: Signs, width: int) -> list[list[Span | Piece]]:
    """The summary in rows of `width` cells: label, fate, fitness, rating, parents, founders."""
    family = family_of(snapshot, [model])
    parents, shares = family.parents(model), snapshot.parents(model)
    children = int(snapshot.children[model])
    rows: list[list[Span | Piece]] = [
        [*kind(snapshot, model, signs)],
        [Piece(made(snapshot, model))],
        [Piece(fate(snapshot, model))],
        [],
        [Piece("fitness ", "dim"), *_fitness(snapshot, model, parents)],
        [Piece("rating  ", "dim"), Piece(_rating(snapshot, model, signs))],
        [Piece("children ", "dim"), Piece(f"{children:,}" if children else "none")],
    ]
    for number, parent in enumerate(parents[:PARENTS]):
        more = f"  and {len(parents) - PARENTS} more" * (number == PARENTS - 1 < len(parents) - 1)
        rows.append(
            [
                Piece("parents  " if not number else " " * 9, "dim"),
                Piece(f"#{parent}"),
                Piece(f" {shares[parent]:>4.0%}{more}", "dim"),
            ]
        )
    rows += [[], *founders(snapshot, model, signs, width)]
    return rows


def founders(
    snapshot: Snapshot, model: int, signs: Signs, width: int, head: str = "descends from"
) -> list[list[Span | Piece]]:
    """The founders of a model by descent, with bars, in rows of `width` cells.

    Args:
        snapshot: knows the model.
        model: its id.
        signs: to draw with.
        width: of a row, in cells.
        head: title above them.
    """
    order = snapshot.columns.parent_edges.founders.tolist()
    rows: list[list[Span | Piece]] = [[Piece(head, "head")]]
    for founder, part in snapshot.founders_of(model):
        place = order.index(founder)
        room = max(0, width - NAMES - 9)
        rows.append(
            [
                Piece(layer(place, signs) + " ", LAYERS[place % len(LAYERS)]),
                Piece(cut(shown(snapshot.columns.names[founder]), NAMES, signs.ellipsis)),
                Piece(f"{part:>5.0%} ", "dim"),
                Piece(bar(part, room, signs), "bar"),
            ]
        )
    return rows if len(rows) > 1 else []


def _fitness(s: Snapshot, model: int, parents: list[int]) -> list[Piece]:
    fitness = s.fitness(model)
    if fitness is None:
        return [Piece("never scored", "dim")]
    pieces = [Piece(f"{fitness:.3f}")]
    before = s.fitness(parents[0]) if parents else None
    if before is not None:
        tone = "gain" if fitness > before else "loss" if fitness < before else "dim"
        pieces += [Piece(f" {fitness - before:+.3f}", tone), Piece(f" over #{parents[0]}", "dim")]
    return pieces


def _rating(s: Snapshot, model: int, signs: Signs) -> str:
    rating = s.rating(model)
    if rating is None:
        return signs.dash
    plus = "±" if signs.braille else "+-"
    return f"{rating[0]:.0f} {plus} {rating[1]:.0f}"
