"""The path between two models: their nearest common ancestor on top, a branch down to each."""

from collections.abc import Sequence
from itertools import pairwise, zip_longest

from lineage.drawing.family import Family
from lineage.drawing.text import Drawing, Row, Span, Style, padded, shown, width_of


def path_between(family: Family, path: Sequence[int], style: Style | None = None) -> Drawing:
    """Draw a path that leads up from its first model and then down to its last.

    Every model stands with the share of the one above it. Where two branches do not fit beside
    each other they stand one below the other.

    Args:
        family: holds the models of the path.
        path: ids, as `Ancestry.path` gives them.
        style: width and glyphs.
    """
    style = style or Style()
    glyphs = style.glyphs
    top = path.index(min(path))
    left = [_step(family, *link, style) for link in pairwise(path[top::-1])]
    right = [_step(family, *link, style) for link in pairwise(path[top:])]
    drawing: Drawing = [_model(family, path[top], style)]
    if not left or not right:
        for row in left or right:
            drawing += [[Span(glyphs.down, "edge")], row]
        return drawing
    wide = max(width_of(row) for row in left) + 4
    if wide + max(width_of(row) for row in right) <= style.width:
        across = glyphs.across * (wide - 1)
        drawing.append([Span(glyphs.tee + across + glyphs.turn_down, "edge")])
        for number, (one, other) in enumerate(zip_longest(left, right)):
            if number:
                down = [glyphs.down if row else "" for row in (one, other)]
                drawing.append([Span(padded(down[0], wide) + down[1], "edge")])
            beside = [Span(" " * (wide - width_of(one or []))), *other] if other else []
            drawing.append([*(one or []), *beside])
        return drawing
    for branch, last in ((left, False), (right, True)):
        turn, below = (glyphs.elbow, " ") if last else (glyphs.tee, glyphs.down)
        for number, row in enumerate(branch):
            lead = turn + glyphs.across if not number else below + " "
            drawing.append([Span(lead, "edge"), *row])
    return drawing


def _step(family: Family, parent: int, child: int, style: Style) -> Row:
    """A model with the share of the one above."""
    share = next(link.share for link in family.models[child].parents if link.id == parent)
    return [*_model(family, child, style), Span(f"  {share:.0%}", "dim")]


def _model(family: Family, model: int, style: Style) -> Row:
    row = family.models[model]
    details = f"  {shown(row.operator, 20)}, gen {row.generation}"
    return [family.sign(model, style.glyphs), Span(f" {family.label(model)}"), Span(details, "dim")]
