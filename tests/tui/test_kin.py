"""What views are made of, without a screen: kin, lines, pedigrees, maps and heat strips."""

import numpy as np
import pytest

from lineage import Archive
from lineage.drawing import ASCII, UNICODE, Style, plain
from lineage.drawing.line import line as drawn_line
from lineage.queries.columns import empty_columns, updated, with_fitness
from tests.screen_helpers import finished
from tui.app.data.kin import ancestors, by_gain, children, family_of, gains
from tui.app.data.snapshot import Snapshot, with_shares
from tui.app.drawing.heat import heat
from tui.app.drawing.lineage_rows import LineRows
from tui.app.drawing.lineage_views import (
    count_births,
    graph_view,
    line_view,
    map_view,
    path_between,
    path_view,
    pedigree_view,
)
from tui.shared.styling import ASCII_SIGNS, RICH_SIGNS


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    with Archive(finished(tmp_path_factory.mktemp("kin"))).reading() as db:
        columns = with_fitness(db, updated(db, empty_columns()))
    bare = Snapshot(columns)
    return Snapshot(columns, with_shares(None, bare))


def champion(snapshot: Snapshot) -> int:
    assert snapshot.champion is not None
    return snapshot.champion


def text(rows: LineRows, width: int) -> list[str]:
    return ["".join(p.text for p in rows.draw(row, width)).rstrip() for row in range(len(rows))]


@pytest.mark.parametrize("depth", [1, 3, 50])
def test_ancestors_are_those_of_the_whole_pedigree(snapshot: Snapshot, depth: int) -> None:
    for model in (champion(snapshot), snapshot.newest, 1):
        found, reached = ancestors(snapshot, model, depth, most=10_000)
        expected = {model, *snapshot.ancestry.ancestors(model, depth).tolist()}
        assert set(found.tolist()) == expected
        assert found.tolist() == sorted(expected, reverse=True)
        assert reached <= depth


def test_too_many_ancestors_are_fewer_generations(snapshot: Snapshot) -> None:
    model = champion(snapshot)
    few, reached = ancestors(snapshot, model, 50, most=10)
    assert len(few) <= 10
    assert set(few.tolist()) == {model, *snapshot.ancestry.ancestors(model, reached).tolist()}


def test_children_are_all_there_and_the_fittest_come_first(snapshot: Snapshot) -> None:
    for model in (1, 2, champion(snapshot), snapshot.newest):
        found = children(snapshot, model)
        assert sorted(found.tolist()) == snapshot.ancestry.descendants(model, 1).tolist()
        fitness = np.nan_to_num(snapshot.columns.fitness[found], nan=-1.0)
        assert np.all(fitness[1:] <= fitness[:-1])


@pytest.mark.parametrize("width", [40, 78, 160])
def test_a_line_drawn_row_by_row_says_what_the_whole_drawing_says(
    snapshot: Snapshot, width: int
) -> None:
    model = champion(snapshot)
    rows, said = line_view(snapshot, model, UNICODE)
    assert isinstance(rows, LineRows)
    whole = plain(drawn_line(family_of(snapshot, rows.order.tolist()), model, style=Style(200)))
    assert f"{len(rows) - 1:,} step" in said
    for lazy, row in zip(text(rows, width), whole.splitlines(), strict=True):
        assert len(lazy) <= width
        words = row.split()
        assert lazy.split()[:3] == words[:3]
        assert set(lazy.split()) <= set(words)
    widest = text(rows, 200)
    assert [row.split() for row in widest] == [row.split() for row in whole.splitlines()]


def test_a_line_knows_where_everybody_is(snapshot: Snapshot) -> None:
    rows, _ = line_view(snapshot, champion(snapshot), UNICODE)
    assert [rows.row_of(rows.key(row)) for row in range(len(rows))] == list(range(len(rows)))
    strangers = set(range(-1, snapshot.newest + 9)) - set(rows.order.tolist())
    assert {rows.row_of(model) for model in strangers} == {None}


def test_the_biggest_gains_come_first(snapshot: Snapshot) -> None:
    line = np.array(snapshot.line(champion(snapshot)), np.int32)
    won = dict(zip(line.tolist(), gains(snapshot, line).tolist(), strict=True))
    ranked = by_gain(snapshot, int(line[0]))
    assert set(ranked) == {model for model, gain in won.items() if gain > 0}
    assert [won[model] for model in ranked] == sorted((won[m] for m in ranked), reverse=True)


@pytest.mark.parametrize("width", [50, 120])
def test_the_spots_of_a_pedigree_are_where_its_slots_are_drawn(
    snapshot: Snapshot, width: int
) -> None:
    for model in range(6, snapshot.newest, 7):
        chart, _ = pedigree_view(snapshot, model, 4, Style(width))
        across, down = chart.size
        drawn = [plain([list(chart.row(row))]) for row in range(down)]
        slots = [slot for slot in range(1, 64) if chart.has(slot)]
        for slot in slots:
            row, column, wide = chart.place(slot)
            there = drawn[row][column : column + wide]
            assert there.startswith(f"{slot} ")
            label = snapshot.columns.names.get(chart.model(slot), f"#{chart.model(slot)}")
            assert f" {label}" in there
            assert {chart.at(at, row) for at in range(column, column + wide)} == {slot}
            assert column + wide <= across
        assert chart.at(0, down + 1) is None


def test_one_walks_on_a_pedigree_from_child_to_parent_and_along_a_generation(
    snapshot: Snapshot,
) -> None:
    model = next(m for m in range(snapshot.newest, 0, -1) if len(snapshot.parents(m)) == 2)
    chart, _ = pedigree_view(snapshot, model, 2, Style(200))
    fitter, other = family_of(snapshot, [model]).parents(model)
    assert chart.model(chart.beside(1, 1, 0)) == fitter
    assert chart.model(chart.beside(2, 0, 1)) == other
    assert chart.beside(3, -1, 0) == 1
    assert (chart.beside(1, -1, 0), chart.beside(1, 0, 1), chart.beside(2, 0, -1)) == (1, 1, 2)


def test_every_model_of_a_map_is_in_the_cell_where_it_is_drawn(snapshot: Snapshot) -> None:
    chart, said = map_view(count_births(snapshot, (37, 11)), champion(snapshot), UNICODE)
    assert f"{snapshot.newest:,} births" in said
    found = np.concatenate([chart.models(spot) for spot in range(37 * 11)])
    scored_ones = np.flatnonzero(np.isfinite(snapshot.columns.fitness[1:])) + 1
    assert sorted(found.tolist()) == scored_ones.tolist()
    for spot in range(37 * 11):
        there = chart.models(spot)
        row, column, _ = chart.place(spot)
        assert chart.at(column, row) == spot
        assert {chart.spot_of(model) for model in there.tolist()} <= {spot}
        best = chart.model(spot)
        assert (best is None) == (len(there) == 0)
        if best is not None:
            assert snapshot.columns.fitness[best] == np.nanmax(snapshot.columns.fitness[there])
            assert f"{len(there):,} model" in chart.describe(spot)[-1]
    star = chart.spot_of(champion(snapshot))
    assert star is not None
    row, column, _ = chart.place(star)
    assert plain([list(chart.row(row))])[column] == UNICODE.champion


def test_the_way_between_two_models_is_drawn_whole(snapshot: Snapshot) -> None:
    model = champion(snapshot)
    path = path_between(snapshot, model, snapshot.newest)
    assert path is not None
    rows, said = path_view(snapshot, path, Style(80))
    assert rows.order.tolist() == sorted(path.tolist(), reverse=True)
    assert f"{len(path) - 1:,} step" in said
    assert path_between(snapshot, 1, 2) is None  # two founders


def test_a_graph_has_a_row_for_everybody(snapshot: Snapshot) -> None:
    rows, said = graph_view(snapshot, champion(snapshot), 3, Style(80, ASCII))
    assert f"{len(rows):,} models" in said
    for row in range(len(rows)):
        model = rows.key(row)
        label = snapshot.columns.names.get(model, f"#{model}")
        assert label in "".join(part.text for part in rows.draw(row, 80))


def test_heat_says_how_much_and_what_is_taken_away() -> None:
    weights = np.array([[1.0, -2.0], [0.0, 0.0], [0.04, 2.0]])
    shares = weights.mean(axis=1)
    wide = heat(["a", "b", "c"], ["outside", "layer 1 attention"], weights, shares, RICH_SIGNS, 60)
    rows = ["".join(part.text for part in row).split() for row in wide]
    assert rows == [["out", "1", "att"], ["a", "-50%", "▒+1.00", "█-2.00"],
                    ["c", "+102%", "░+0.04", "█+2.00"]]  # fmt: skip
    narrow = heat(["a", "b", "c"], ["x", "y"], weights, shares, ASCII_SIGNS, 24)
    rows = ["".join(part.text for part in row)[19:] for row in narrow]
    assert rows == ["    ", " 5-9", " 1 9"]


def test_heat_averages_blocks_that_do_not_fit() -> None:
    blocks = [f"layer {number} attention" for number in range(40)]
    weights = np.tile(np.r_[np.zeros(20), np.ones(20)], (2, 1))
    rows = heat(["a", "b"], blocks, weights, weights.mean(axis=1), ASCII_SIGNS, 59)
    drawn = ["".join(part.text for part in row) for row in rows]
    assert "2 blocks" in drawn[0]
    assert drawn[1][19:].split() == ["."] * 10 + ["9"] * 10
    assert all(len(row) <= 59 for row in drawn)
