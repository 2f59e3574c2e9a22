"""Plots as text: four by two dots a cell in braille, or one sign a cell in ASCII."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lineage.records import Floats

_DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
"""The bit of each dot of a cell, top down and left to right (Unicode 15, section 21.1)."""

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Curve:
    """A curve: points from left to right, joined.

    Attributes:
        name: in the legend.
        tone: see `tui.shared.styling`.
        x: shape (points,), ascending.
        y: shape (points,).
    """

    name: str
    tone: str
    x: Floats
    y: Floats


@dataclass(frozen=True)
class Frame:
    """The part of the plane that is drawn, in the units of the axes."""

    left: float
    right: float
    bottom: float
    top: float

    def column(self, x: float, across: int) -> int:
        """The column that x falls into, of `across` columns."""
        return int((x - self.left) / (self.right - self.left) * (across - 1) + 0.5)


def frame_of(curves: Sequence[Curve]) -> Frame:
    """The smallest frame that holds all curves."""
    seen = [curve for curve in curves if len(curve.x)]
    if not seen:
        return Frame(0.0, 1.0, 0.0, 1.0)
    x, y = (np.concatenate([getattr(curve, axis) for curve in seen]) for axis in ("x", "y"))
    left, bottom = float(x.min()), float(y.min())
    return Frame(left, max(float(x.max()), left + 1.0), bottom, max(float(y.max()), bottom + 1e-3))


def dots(curve: Curve, frame: Frame, across: int, up: int) -> Bools:
    """The dots of a curve, booleans of shape (up, across), the highest row first.

    Where several points share a column all between the lowest and the highest is drawn, so nothing
    is lost of a curve that has more points than the plot has columns.
    """
    grid = np.zeros((up, across), np.bool_)
    if not len(curve.x):
        return grid
    scale = (across - 1) / (frame.right - frame.left)
    column = np.clip(((curve.x - frame.left) * scale + 0.5).astype(np.int64), 0, across - 1)
    height = (curve.y - frame.bottom) / (frame.top - frame.bottom) * (up - 1)
    starts = np.flatnonzero(np.r_[True, column[1:] != column[:-1]])
    used = column[starts]
    columns = np.arange(used[0], used[-1] + 1)
    # Columns without a point lie on the line between their neighbours.
    low, high = (
        np.interp(columns, used, extreme.reduceat(height, starts))
        for extreme in (np.minimum, np.maximum)
    )
    # Neighbouring columns meet half-way, so that a steep curve has no gaps.
    middle = (low + high) / 2
    half = np.diff(middle) / 2
    for edge, step in ((np.r_[half, 0.0], 1.0), (np.r_[0.0, half], -1.0)):
        low, high = np.minimum(low, middle + step * edge), np.maximum(high, middle + step * edge)
    bottom, top = (np.clip((bound + 0.5).astype(np.int64), 0, up - 1) for bound in (low, high))
    rows = up - 1 - np.arange(up)[:, None]
    grid[:, columns] = (rows >= bottom) & (rows <= top)
    return grid


def plot(
    curves: Sequence[Curve], frame: Frame, width: int, height: int, braille: bool
) -> list[list[tuple[str, str]]]:
    """Curves as rows of (sign, tone); where they share a cell, the first curve gives the tone.

    Args:
        curves: what to draw.
        frame: the part of the plane that is drawn.
        width: of a row, in cells.
        height: number of rows.
        braille: eight dots a cell; else one sign.
    """
    down, beside = (4, 2) if braille else (1, 1)
    bits = np.zeros((height, width), np.int64)
    owner = np.full((height, width), -1)
    for number, curve in enumerate(curves):
        grid = dots(curve, frame, width * beside, height * down)
        cells = grid.reshape(height, down, width, beside).transpose(0, 2, 1, 3)
        mine = (cells * _DOTS[:down, :beside]).sum(axis=(2, 3))
        owner[(mine > 0) & (owner < 0)] = number
        bits |= mine
    signs = {0: " "} if braille else {0: " ", 1: "*"}
    tones = [curve.tone for curve in curves]
    return [
        [
            (signs.get(bit, chr(0x2800 + bit)), tones[mine] if mine >= 0 else "plain")
            for bit, mine in zip(row, own, strict=True)
        ]
        for row, own in zip(bits.tolist(), owner.tolist(), strict=True)
    ]
