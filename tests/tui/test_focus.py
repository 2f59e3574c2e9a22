"""The focus: a history as in a browser, and glances that leave no trace in it."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tui.app.data.focus import REMEMBERED, Focus


def test_going_back_and_forward_walks_the_same_way() -> None:
    focus = Focus().to(3).to(5).to(8)
    back = focus.step(-1)
    assert (back.model, back.step(-1).model, back.step(-1).step(-1).model) == (5, 3, 3)
    assert back.step(1) == focus
    assert focus.step(1) == focus


def test_going_elsewhere_forgets_what_was_ahead() -> None:
    focus = Focus().to(3).to(5).step(-1).to(8)
    assert focus.trail == (3, 8)
    assert focus.step(1).model == 8


def test_a_glance_is_in_focus_but_not_in_the_history() -> None:
    focus = Focus().to(3).at(7)
    assert focus.model == 7
    assert focus.step(-1).model == 3
    assert focus.to(8).trail == (3, 8)
    assert Focus().at(4).model == 4
    assert Focus().step(-1).model is None


def test_going_to_where_one_is_changes_nothing() -> None:
    focus = Focus().to(3)
    assert focus.at(7).to(3) == focus.to(3) == focus


def test_a_mark_is_taken_from_whom_it_is_on() -> None:
    focus = Focus().to(3).marked()
    assert focus.mark == 3
    assert focus.to(5).mark == 3
    assert focus.to(5).marked().mark == 5
    assert focus.marked().mark is None


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("to"), st.integers(1, 9)),
        st.tuples(st.just("at"), st.integers(1, 9)),
        st.tuples(st.just("step"), st.sampled_from([-1, 1])),
        st.tuples(st.just("within"), st.integers(1, 9)),
    ),
    max_size=60,
)


@given(STEPS)
def test_the_place_is_always_in_the_trail(steps: list[tuple[str, int]]) -> None:
    focus = Focus()
    for what, number in steps:
        focus = getattr(focus, what)(number)
        assert -1 <= focus.place < max(1, len(focus.trail))
        assert (focus.place >= 0) == bool(focus.trail)
        assert all(one != other for one, other in pairwise(focus.trail))
        if what in ("to", "at"):
            assert focus.model == number


def test_the_history_does_not_grow_for_ever() -> None:
    focus = Focus()
    for model in range(1, 3 * REMEMBERED):
        focus = focus.to(model)
    assert len(focus.trail) == REMEMBERED
    assert focus.model == 3 * REMEMBERED - 1
