"""A pedigree chart: two parents a model, in numbered slots, without crossing lines.

Slots have Ahnentafel numbers: the model is 1, the parents of n are 2n (the fitter one) and 2n + 1.
A repeated ancestor is drawn once and referred to (`=8`: the same model as slot 8).
"""

from collections import deque
from dataclasses import dataclass

from lineage.drawing.family import Family
from lineage.drawing.text import Drawing, Row, Span, Style, width_of

DEEPEST = 10
"""Generations, at most; they take up to 2^10 rows."""

_JOINT = 4
"""Cells between the texts of two generations: `─┤` and `┌─`."""


@dataclass(frozen=True)
class Slot:
    """A place in a pedigree: a model, and the earlier slot where it was drawn already, if any."""

    model: int
    same_as: int | None


def slots(family: Family, model: int, depth: int) -> dict[int, Slot]:
    """The slots of a pedigree by number, generation by generation.

    Args:
        family: holds the model and its ancestors up to `depth`.
        model: id.
        depth: generations of ancestors.

    Returns:
        Slots by Ahnentafel number; a repeated ancestor has none above it.
    """
    filled: dict[int, Slot] = {}
    first: dict[int, int] = {}
    queue = deque([(1, model)])
    while queue:
        number, node = queue.popleft()
        filled[number] = Slot(node, first.get(node))
        if node in first:
            continue
        first[node] = number
        if number.bit_length() <= depth and node in family.models:
            parents = [parent for parent in family.parents(node) if parent in family.models]
            queue.extend((2 * number + place, parent) for place, parent in enumerate(parents[:2]))
    return filled


@dataclass(frozen=True)
class PedigreeLayout:
    """A drawn pedigree and the places of its slots.

    Attributes:
        rows: the drawing.
        slots: by Ahnentafel number.
        places: by number, row, first column and width of the text of each slot, in cells.
    """

    rows: Drawing
    slots: dict[int, Slot]
    places: dict[int, tuple[int, int, int]]


def pedigree(family: Family, model: int, depth: int = 4, style: Style | None = None) -> Drawing:
    """Draw a pedigree, children on the left; as many generations as the width has room for.

    Of more than two parents the two fittest are drawn, and the others counted (`+6`).

    Args:
        family: holds the model and its ancestors up to `depth`.
        model: id.
        depth: generations of ancestors to draw, at most.
        style: width and glyphs.
    """
    return layout(family, model, depth, style).rows


def layout(
    family: Family, model: int, depth: int = 4, style: Style | None = None
) -> PedigreeLayout:
    """Draw a pedigree and keep the places of its slots; arguments as of `pedigree`."""
    style = style or Style()
    for shown in range(min(depth, DEEPEST), -1, -1):
        filled = slots(family, model, shown)
        texts = {number: _text(family, filled, number, style) for number in filled}
        widths = _widths(texts)
        if shown <= 1 or sum(widths) + _JOINT * (len(widths) - 1) <= style.width:
            break
    rows, at = _drawn(1, texts, widths, style)
    starts = [sum(widths[:place]) + _JOINT * place for place in range(len(widths))]
    places = {
        number: (at[number], starts[number.bit_length() - 1], width_of(text))
        for number, text in texts.items()
    }
    return PedigreeLayout(rows, filled, places)


def _drawn(
    number: int, texts: dict[int, Row], widths: list[int], style: Style
) -> tuple[Drawing, dict[int, int]]:
    """The rows of a slot and those above it, and the row of each of them."""
    glyphs = style.glyphs
    own = list(texts[number])
    parents = [parent for parent in (2 * number, 2 * number + 1) if parent in texts]
    if not parents:
        return [own], {number: 0}
    width = widths[number.bit_length() - 1]
    taken = width_of(own)
    own.append(Span(f" {glyphs.across * (width - taken)}{glyphs.across}", "edge"))
    blank = " " * (width + 2)
    rows, at = _drawn(parents[0], texts, widths, style)
    up = at[parents[0]]
    if len(parents) == 1:
        lead = [Span(glyphs.across * 2, "edge")]
        return [
            [*own, *lead, *row] if place == up else [Span(blank + "  "), *row]
            for place, row in enumerate(rows)
        ], {**at, number: up}
    below, under = _drawn(parents[1], texts, widths, style)
    middle = len(rows)
    down = under[parents[1]] + middle + 1
    rows = [*rows, [*own, Span(glyphs.split, "edge")], *below]
    for place, row in enumerate(rows):
        if place == middle:
            continue
        if place == up:
            joint = glyphs.top + glyphs.across
        elif place == down:
            joint = glyphs.elbow + glyphs.across
        else:
            joint = (glyphs.down if up < place < down else " ") + " "
        rows[place] = [Span(blank), Span(joint, "edge"), *row]
    below_at = {slot: place + middle + 1 for slot, place in under.items()}
    return rows, {**at, **below_at, number: middle}


def _text(family: Family, filled: dict[int, Slot], number: int, style: Style) -> Row:
    glyphs, slot = style.glyphs, filled[number]
    text = [
        Span(f"{number} ", "dim"),
        family.sign(slot.model, glyphs),
        Span(f" {family.label(slot.model)}"),
    ]
    if slot.model in family.fitness:
        text.append(Span(f" {family.fitness[slot.model]:.3f}"))
    if slot.same_as is not None:
        return [*text, Span(f" ={slot.same_as}", "dim")]
    parents = family.models[slot.model].parents
    drawn = [place for place in (2 * number, 2 * number + 1) if place in filled]
    if parents and not drawn:
        return [*text, Span(f" {glyphs.more}", "dim")]
    if len(parents) > len(drawn):
        text.append(Span(f" +{len(parents) - len(drawn)}", "dim"))
    return text


def _widths(texts: dict[int, Row]) -> list[int]:
    """Cells of the widest text of each generation that has another one to its right."""
    widths = [0] * max(number.bit_length() for number in texts)
    for number, text in texts.items():
        place = number.bit_length() - 1
        widths[place] = max(widths[place], width_of(text))
    return widths
