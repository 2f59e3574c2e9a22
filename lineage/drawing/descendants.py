"""Who descends from a model: a list, as a third of all models never have a child.

A tree would be as wide as it is useless; what people ask is how many there are and who is best.
"""

from lineage.drawing.family import Family
from lineage.drawing.text import Drawing, Span, Style, columns, shown

_MATTERS = (0, 0, 0, 1, 2, 3, 5, 4)
"""How much each column matters: sign, label, fitness, steps, share, birth, kids, operator."""


def descendants(
    family: Family, model: int, most: int | None = 20, style: Style | None = None
) -> Drawing:
    """The number of descendants, and the fittest of them.

    Args:
        family: holds the model and all descendants to be told of.
        model: whose descendants.
        most: how many to list; None lists all.
        style: how wide, and with which signs.
    """
    style = style or Style()
    steps, shares = {model: 0}, {model: 1.0}
    for node in sorted(family.models):
        known = [parent for parent in family.models[node].parents if parent.id in steps]
        if node != model and known:
            steps[node] = 1 + min(steps[parent.id] for parent in known)
            shares[node] = sum(parent.share * shares[parent.id] for parent in known)
    found = [node for node in steps if node != model]
    living = sum(family.models[node].living for node in found)
    children = sum(steps[node] == 1 for node in found)
    title = (
        f"{family.label(model)}: {len(found):,} descendants, {living:,} living; "
        f"{children:,} children"
    )
    ranked = sorted(found, key=lambda node: (-family.fitness.get(node, -1.0), node))[:most]
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
    drawing: Drawing = [[Span(title)], *columns(rows, _MATTERS, style.width)]
    if len(ranked) < len(found):
        drawing.append([Span(f"{style.glyphs.skip} {len(found) - len(ranked):,} more", "dim")])
    return drawing
