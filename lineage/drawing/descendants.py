"""The descendants of a model as a list, the fittest first.

A tree would be too wide to read; people ask how many descendants there are and which are best.
"""

from lineage.drawing.family import Family
from lineage.drawing.text import Drawing, Span, Style, columns, shown

_PRIORITY = (0, 0, 0, 1, 2, 3, 5, 4)
"""Of the columns glyph, label, fitness, steps, share, birth, kids, operator: the highest go first
where there is no room."""


def descendants(
    family: Family, model: int, most: int | None = 20, style: Style | None = None
) -> Drawing:
    """The number of descendants, and the fittest of them.

    Args:
        family: holds the model and all its descendants.
        model: id.
        most: list so many at most; None lists all.
        style: width and glyphs.
    """
    style = style or Style()
    steps, shares = {model: 0}, {model: 1.0}
    for node in sorted(family.models):
        related = [parent for parent in family.models[node].parents if parent.id in steps]
        if node != model and related:
            steps[node] = 1 + min(steps[parent.id] for parent in related)
            shares[node] = sum(parent.share * shares[parent.id] for parent in related)
    heirs = [node for node in steps if node != model]
    living = sum(family.models[node].living for node in heirs)
    children = sum(steps[node] == 1 for node in heirs)
    title = (
        f"{family.label(model)}: {len(heirs):,} descendants, {living:,} living; "
        f"{children:,} children"
    )
    ranked = sorted(heirs, key=lambda node: (-family.fitness.get(node, -1.0), node))[:most]
    rows = [
        [
            family.sign(node, style.glyphs),
            Span(family.label(node)),
            Span(family.score(node)),
            Span(f"{steps[node]} step" + "s" * (steps[node] > 1), "dim"),
            Span(f"{shares[node]:4.0%}", "dim"),
            Span(f"gen {family.models[node].generation}", "dim"),
            Span(f"kids {family.children.get(node, 0)}", "dim"),
            Span(shown(family.models[node].operator), "dim"),
        ]
        for node in ranked
    ]
    drawing: Drawing = [[Span(title)], *columns(rows, _PRIORITY, style.width)]
    if len(ranked) < len(heirs):
        drawing.append([Span(f"{style.glyphs.skip} {len(heirs) - len(ranked):,} more", "dim")])
    return drawing
