"""The heat strip: how much of each founder is in each block of a model, as signs and numbers.

A sign says how much, darker for more, with a minus before what is taken away; where there is room
the number stands beside it. Colours only repeat that.
"""

import re
from collections.abc import Sequence

import numpy as np

from lineage.drawing.text import Span, shown
from lineage.records import Floats
from tui.shared.styling import Piece, Signs, cut

NAME = 12
"""Width of a founder's name, in cells."""

SIGN, NUMBER = 2, 7
"""Width of a block in cells: a sign with its minus, or with its number."""


def heat(
    founders: Sequence[str], blocks: Sequence[str], weights: Floats, shares: Floats,
    signs: Signs, width: int,
) -> list[list[Span | Piece]]:  # fmt: skip
    """A row of block names, then one for each founder that has a weight.

    Args:
        founders: their names.
        blocks: their names.
        weights: shape (founders, blocks).
        shares: of each founder in the whole model, shape (founders,).
        signs: to draw with.
        width: of a row, in cells; what does not fit is averaged over neighbouring blocks.
    """
    room = max(SIGN, width - NAME - 7)
    cell = NUMBER if len(blocks) * NUMBER <= room else SIGN
    together = -(-len(blocks) * cell // room)
    parts = [slice(at, at + together) for at in range(0, len(blocks), together)]
    means = np.stack([weights[:, part].mean(axis=1) for part in parts], axis=1)
    most = max(1.0, float(np.abs(means).max(initial=0.0)))
    remark = f"{together} blocks a sign" if together > 1 else ""
    heads = "".join(_head([blocks[at] for at in range(len(blocks))[part]], cell) for part in parts)
    rows: list[list[Span | Piece]] = [
        [Piece(cut(remark, NAME + 7, signs.ellipsis) + heads, "head")]
    ]
    for founder, share, row in zip(founders, shares, means, strict=True):
        if not np.any(row):
            continue
        rows.append(
            [
                Piece(cut(shown(founder), NAME, signs.ellipsis)),
                Piece(f"{share:>+6.0%} ", "dim"),
                *(_cell(value, most, cell, signs) for value in row.tolist()),
            ]
        )
    return rows


def shade(part: float, signs: Signs) -> str:
    """A sign for a number in [-1, 1], darker the further it is from 0."""
    steps = signs.heat
    return steps[min(len(steps) - 1, int(np.ceil(abs(part) * (len(steps) - 1))))]


def _cell(value: float, most: float, cell: int, signs: Signs) -> Piece:
    tone = "loss" if value < 0 else "bar"
    if cell == NUMBER:
        return Piece(f"{shade(value / most, signs)}{value:+.2f} "[:cell].ljust(cell), tone)
    return Piece(("-" if value < 0 else " ") + shade(value / most, signs), tone)


def _head(blocks: Sequence[str], cell: int) -> str:
    """A block by the number of its layer and the beginning of what it is."""
    number = re.search(r"\d+", blocks[0])
    if cell == SIGN:
        return f"{number.group()[-2:] if number else '':>2}"
    kind = blocks[0].split()[-1][:3]
    return f"{number.group() + ' ' if number else ''}{kind}".ljust(cell)[:cell]
