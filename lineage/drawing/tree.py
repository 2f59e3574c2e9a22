"""A model and its ancestors as a tree, the model on top."""

from lineage.drawing.family import Family
from lineage.drawing.text import Drawing, Span, Style, shown


def tree(family: Family, model: int, depth: int, style: Style | None = None) -> Drawing:
    """Draw the ancestors of a model, parents below their child, the greater share first.

    A repeated ancestor is named with `see above` instead of being drawn twice, since inbred lines
    repeat endlessly; `»` stands where there are ancestors that are not drawn.

    Args:
        family: holds the model and its ancestors up to `depth`.
        model: id.
        depth: generations of ancestors.
        style: width and glyphs.
    """
    style = style or Style()
    glyphs = style.glyphs
    rows: Drawing = []
    drawn: set[int] = set()
    # A stack and no recursion: lineages of thousands of generations are ordinary.
    waiting: list[tuple[int, str, str, int, float | None]] = [(model, "", "", depth, None)]
    while waiting:
        node, lead, hang, left, share = waiting.pop()
        row = family.models[node]
        parents = sorted(
            (parent for parent in row.parents if parent.id in family.models),
            key=lambda parent: (-parent.share, parent.id),
        )
        text = [Span(lead, "edge"), family.sign(node, glyphs), Span(f" {family.label(node)}")]
        if share is not None:
            text.append(Span(f"  {share:.0%}"))
        if node in drawn and row.parents:
            rows.append([*text, Span("  see above", "dim")])
            continue
        drawn.add(node)
        details = f"  {shown(row.operator)}, gen {row.generation}" if row.parents else ""
        if node in family.fitness:
            details += f"  {family.fitness[node]:.3f}"
        if node in family.raised:
            details += f"  {family.raised[node]}"
        if row.parents and (left == 0 or not parents):
            rows.append([*text, Span(details, "dim"), Span(f" {glyphs.more}")])
            continue
        rows.append([*text, Span(details, "dim")])
        for number, parent in reversed(list(enumerate(parents, start=1))):
            last = number == len(parents)
            branch = (glyphs.elbow if last else glyphs.tee) + glyphs.across + " "
            deeper = "   " if last else f"{glyphs.down}  "
            waiting.append((parent.id, hang + branch, hang + deeper, left - 1, parent.share))
    return rows
