"""Plots: whatever the numbers, every point is there and a curve has no gaps."""

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tui.app.drawing.braille import Curve, dots, frame_of, plot

CURVES = st.lists(st.floats(-1e3, 1e3, allow_nan=False), min_size=1, max_size=300).map(
    lambda values: Curve("it", "best", np.arange(1.0, len(values) + 1), np.array(values))
)


@given(CURVES, st.integers(2, 80), st.integers(2, 40))
@settings(max_examples=100, deadline=None)
def test_a_curve_is_whole(curve: Curve, across: int, up: int) -> None:
    """Each column from the first point to the last has dots, and neighbours touch."""
    frame = frame_of([curve])
    grid = dots(curve, frame, across, up)
    used = np.flatnonzero(grid.any(axis=0))
    assert used[0] == 0
    assert len(used) == used[-1] + 1 == (across if len(curve.x) > 1 else 1)
    spans = [np.flatnonzero(grid[:, column]) for column in used]
    for before, after in pairwise(spans):
        assert before.min() - 1 <= after.max()
        assert after.min() <= before.max() + 1


@given(CURVES)
@settings(max_examples=50, deadline=None)
def test_the_highest_and_the_lowest_points_are_drawn(curve: Curve) -> None:
    grid = dots(curve, frame_of([curve]), 60, 30)
    spread = np.ptp(curve.y) >= 1e-3
    assert grid[-1].any()
    assert grid[0].any() == spread


def test_braille_has_eight_dots_a_cell_and_ascii_one_sign() -> None:
    curve = Curve("it", "best", np.array([0.0, 1.0]), np.array([0.0, 1.0]))
    frame = frame_of([curve])
    drawn = plot([curve], frame, 2, 2, braille=True)
    assert ["".join(sign for sign, _ in row) for row in drawn] == ["⢀⡞", "⡼ "]
    plain = plot([curve], frame, 4, 4, braille=False)
    text = ["".join(sign for sign, _ in row) for row in plain]
    assert set("".join(text)) == {" ", "*"}
    assert text[0][-1] == text[-1][0] == "*"


def test_where_curves_meet_the_first_gives_the_colour() -> None:
    flat = np.array([0.5, 0.5])
    curves = [Curve(name, name, np.array([0.0, 9.0]), flat) for name in ("best", "median")]
    tones = {tone for row in plot(curves, frame_of(curves), 10, 3, braille=True) for _, tone in row}
    assert tones == {"best", "plain"}


def test_nothing_is_drawn_of_nothing() -> None:
    nothing = Curve("none", "best", np.zeros(0), np.zeros(0))
    frame = frame_of([nothing])
    assert not dots(nothing, frame, 8, 8).any()
