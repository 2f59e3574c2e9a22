"""The line of the fitter parent: one row per ancestor, with the gain in fitness of each step."""

from itertools import pairwise

from lineage.drawing.family import Family
from lineage.drawing.text import Drawing, Span, Style, columns, shown

PRIORITY = (0, 0, 0, 1, 5, 2, 4, 6, 3)
"""Of the columns glyph, label, fitness, gain, bar, birth, operator, kids, mates: the highest go
first where there is no room."""


def line(
    family: Family, model: int, steps: int | None = None, style: Style | None = None
) -> Drawing:
    """Draw a model, its fittest parent, and so on to a founder; other parents stand beside.

    Args:
        family: holds the line (see `Family.line`).
        model: id, where the line starts.
        steps: draw so many and sum up the rest; None draws all.
        style: width and glyphs.
    """
    style = style or Style()
    nodes = family.line(model)
    # The founder that a line ends in is always worth its row.
    cut = len(nodes) if steps is None or steps + 2 >= len(nodes) else steps + 1
    gains = [family.gain(child, parent) for child, parent in pairwise(nodes)]
    most = max((abs(gain) for gain in gains if gain is not None), default=0.0)
    cells = [
        step(family, node, gain, most, style)
        for node, gain in zip(nodes, [*gains, None], strict=True)
    ]
    rows = columns(cells[:cut] + cells[-1:] * (cut < len(nodes)), PRIORITY, style.width)
    if cut < len(nodes):
        skipped = gains[cut - 1 : -1]
        total = sum(gain for gain in skipped if gain is not None)
        summary = f"{style.glyphs.skip} {len(nodes) - 1 - cut} more, {total:+.3f} in all"
        rows.insert(cut, [Span(summary, "dim")])
    return rows


def step(family: Family, node: int, gain: float | None, most: float, style: Style) -> list[Span]:
    """The cells of one ancestor, a column each (see `PRIORITY`).

    Args:
        family: holds the ancestor.
        node: its id.
        gain: in fitness over its fittest parent; None if not both were scored.
        most: the greatest gain of the line.
        style: width and glyphs.
    """
    glyphs, row = style.glyphs, family.models[node]
    bar = ""
    if gain is not None and gain > 0:
        bar = glyphs.bars[min(len(glyphs.bars) - 1, int(gain / most * len(glyphs.bars)))]
    mates = family.parents(node)[1:]
    beside = ""
    if mates:
        beside = (
            f"{glyphs.cross} {family.label(mates[0])} {family.score(mates[0]).strip()}".rstrip()
        )
        if len(mates) > 1:
            beside += f" +{len(mates) - 1}"
    tone = "plain" if gain is None or not gain else "gain" if gain > 0 else "loss"
    return [
        family.sign(node, glyphs),
        Span(family.label(node)),
        Span(family.score(node)),
        Span("" if gain is None else f"{gain:+.3f}", tone),  # type: ignore[arg-type]
        Span(bar, "gain"),
        Span(f"gen {row.generation}", "dim"),
        Span(shown(row.operator), "dim"),
        Span(f"kids {family.children.get(node, 0)}", "dim"),
        Span(beside, "dim"),
    ]
