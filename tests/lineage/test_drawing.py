"""Drawings of lineages as text: golden files for each, at three widths and in ASCII.

After a change that is meant, `COLONY_GOLDEN=write pytest tests/lineage/test_drawing.py` writes them
anew; the difference is for people to read.
"""

import os
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from lineage.ancestry import graph as ancestry
from lineage.drawing import ASCII, UNICODE, Drawing, Family, Style, plain
from lineage.drawing.birth_map import birth_field, birth_map
from lineage.drawing.descendants import descendants
from lineage.drawing.folding import ancestors_through_lines, folded
from lineage.drawing.lanes import lanes
from lineage.drawing.line import line
from lineage.drawing.pedigree import pedigree, slots
from lineage.drawing.text import cells, shown
from lineage.drawing.tree import tree
from lineage.formats.html import html
from lineage.records import Model, Parent
from tests.lineage.test_ancestry import COUSINS, HALF, families, family
from tests.lineages import colony, part

GOLDEN = Path(__file__).parents[1] / "golden" / "lineage"
WHOLE = colony()
FOCUS = max(WHOLE.models)


def above(depth: int | None) -> Family:
    graph = ancestry.graph(WHOLE.models.values())
    return part(WHOLE, {FOCUS, *ancestry.ancestors(graph, FOCUS, depth)})


def the_map(style: Style) -> Drawing:
    fitness = np.array([WHOLE.fitness.get(i, np.nan) for i in sorted(WHOLE.models)])
    return birth_map(fitness, [i - 1 for i in WHOLE.line(FOCUS)], FOCUS - 1, 12, style)


DRAWINGS: dict[str, Callable[[Style], Drawing]] = {
    "tree": lambda style: tree(above(3), FOCUS, 3, style),
    "line": lambda style: line(above(None), FOCUS, None, style),
    "line-short": lambda style: line(above(None), FOCUS, 3, style),
    "pedigree": lambda style: pedigree(above(4), FOCUS, 4, style),
    "graph": lambda style: lanes(above(4), FOCUS, style),
    "map": the_map,
    "descendants": lambda style: descendants(WHOLE, 9, 8, style),
}


@pytest.mark.parametrize("width", [50, 80, 120, 200])
@pytest.mark.parametrize("name", DRAWINGS)
def test_drawings_are_as_they_were(name: str, width: int) -> None:
    glyphs = ASCII if width == 50 else UNICODE
    drawn = plain(DRAWINGS[name](Style(width, glyphs))) + "\n"
    assert all(cells(row) <= width for row in drawn.splitlines())
    golden = GOLDEN / f"{name}-{width}.txt"
    if os.environ.get("COLONY_GOLDEN") == "write":
        golden.write_text(drawn, encoding="utf-8")
    assert drawn == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", DRAWINGS)
def test_ascii_is_ascii_but_for_names(name: str) -> None:
    drawn = plain(DRAWINGS[name](Style(80, ASCII)))
    assert drawn.replace("漢字", "").isascii()


def test_a_tree_stops_at_its_depth_and_names_repeated_ancestors_once() -> None:
    models = family(((1, HALF), (2, HALF)), ((4, 0.6), (3, 0.4)), ((5, HALF), (4, HALF)))
    whole = Family({model.id: model for model in models})
    assert plain(tree(whole, 6, 1)).splitlines() == [
        "● #6  blend, gen 3",
        "├─ ● #4  50%  blend, gen 1 »",
        "└─ ● #5  50%  blend, gen 2 »",
    ]
    assert "   ├─ ● #4  60%  see above" in plain(tree(whole, 6, 4)).splitlines()


def test_a_pedigree_numbers_parents_as_ahnentafeln_do() -> None:
    whole = Family({model.id: model for model in COUSINS}, {4: 0.1, 5: 0.2})
    found = slots(whole, 7, 3)
    assert {number: slot.model for number, slot in found.items()} == {
        1: 7, 2: 5, 3: 4, 4: 1, 5: 2, 6: 1, 7: 2,
    }  # fmt: skip
    assert {number for number, slot in found.items() if slot.same_as} == {6, 7}
    assert (found[6].same_as, found[7].same_as) == (4, 5)


def test_the_line_follows_the_fitter_parent_and_says_what_steps_won() -> None:
    models = family(((1, 0.3), (2, 0.7)), ((4, 0.9), (3, 0.1)))
    fitness = {1: 0.5, 2: 0.4, 3: 0.1, 4: 0.55, 5: 0.75}
    whole = Family({model.id: model for model in models}, fitness)
    assert whole.line(5) == [5, 4, 1]
    rows = plain(line(whole, 5)).splitlines()
    assert "+0.200" in rows[0]
    assert "+0.050" in rows[1]
    assert "f2 0.400" in rows[1]
    assert len(rows) == 3


RAISED = family(
    ((1, HALF), (2, HALF)),  # 4: a founding
    ((4, 1.0),),  # 5 and 6: raised
    ((5, 1.0),),
    ((6, 0.6), (3, 0.4)),  # 7: a founding
    ((7, 1.0),),  # 8: raised; two come of it
    ((8, 1.0),),  # 9: raised
    ((8, HALF), (9, HALF)),  # 10: a founding
)
"""Three founders and the lines that they founded."""


def test_a_line_that_was_raised_is_one_row_with_what_it_gained() -> None:
    fitness = {4: 0.3, 6: 0.55, 7: 0.6, 8: 0.7, 9: 0.75, 10: 0.8}
    whole = Family({model.id: model for model in RAISED}, fitness)
    assert plain(tree(folded(whole), 10, 9)).splitlines() == [
        "● #10  blend, gen 7  0.800",
        "├─ ● #8  50%  blend, gen 5  0.700  1 step from #7 +0.100",
        "│  ├─ ● #6  60%  blend, gen 3  0.550  2 steps from #4 +0.250",
        "│  │  ├─ ◆ f1  50%",
        "│  │  └─ ◆ f2  50%",
        "│  └─ ◆ f3  40%",
        "└─ ● #9  50%  blend, gen 6  0.750",
        "   └─ ● #8  100%  see above",
    ]
    assert folded(whole, keep=[5]).models.keys() - folded(whole).models.keys() == {5}
    assert "2 steps from #4 +0.250" in plain(lanes(folded(whole), 10))
    page = html(whole)
    assert page.count("2 steps from #4 +0.250") == 2  # in the drawing and in the table
    assert page.count("<circle") == 7
    assert page.count("<tr id") == 10


def test_a_line_counts_as_one_generation() -> None:
    parents = {model.id: [parent.id for parent in model.parents] for model in RAISED}
    found = [ancestors_through_lines(parents.__getitem__, 9, depth) for depth in (0, 1, 2, None)]
    assert found[0] == ({9, 8, 7}, 0)
    assert found[1] == ({9, 8, 7, 6, 5, 4, 3}, 1)
    assert found[2] == found[3] == ({*range(1, 10)}, 2)
    assert ancestors_through_lines(parents.__getitem__, 9, None, most=8) == found[1]


@given(families())
@settings(max_examples=80, deadline=None)
def test_folding_hides_steps_alone(models: list[Model]) -> None:
    whole = Family({model.id: model for model in models})
    drawn = folded(whole)
    hidden = whole.models.keys() - drawn.models.keys()
    assert len(hidden) == sum(line.steps for line in drawn.raised.values())
    for model, row in drawn.models.items():
        first = drawn.raised[model].founding if model in drawn.raised else model
        assert row.parents == whole.models[first].parents
        assert not {parent.id for parent in row.parents} & hidden


def test_lineages_of_thousands_of_generations_are_drawn() -> None:
    births = [((1, HALF), (2, HALF))] + [((n, 1.0),) for n in range(4, 3000)]
    whole = Family({model.id: model for model in family(*births)})
    newest = max(whole.models)
    assert len(tree(whole, newest, 10_000)) == newest - 1
    assert len(line(whole, newest)) == newest - 2
    assert len(lanes(whole, newest)) == newest
    assert "10" in plain(pedigree(whole, newest, 10_000, Style(400)))


@given(families())
@settings(max_examples=80, deadline=None)
def test_every_edge_of_a_graph_can_be_followed(models: list[Model]) -> None:
    """Who reads the lanes from top to bottom finds the parents, all of them and nobody else."""
    whole = Family({model.id: model for model in models})
    focus = models[-1].id
    rows = plain(lanes(whole, focus, Style(120))).splitlines()
    assert followed(rows) == {model.id: {parent.id for parent in model.parents} for model in models}


def followed(rows: list[str]) -> dict[int, set[int]]:
    """The parents that a drawing of lanes shows: lanes carry the children that wait in them."""
    found: dict[int, set[int]] = {}
    waiting: dict[int, set[int]] = {}
    for row in rows:
        at = next(place for place, sign in enumerate(row) if sign in "★●○◆")
        label = row[at + 1 :].replace("─", " ").lstrip(" ┬┼┤╮╯┴│").split()[0]
        node = int(label.removeprefix("#").removeprefix("f"))
        found[node] = set()
        graph = row[: row.index(label)]
        begun = {place for place, sign in enumerate(graph) if sign in " ─╮╭┬"}
        waiting = {place: who for place, who in waiting.items() if place not in begun}
        for child in waiting.pop(at, set()):
            found[child].add(node)
        touched = []
        for step in (-2, 2):
            place = at
            while 0 <= place + step < len(graph) + 1 and graph[place + step // 2 :][:1] == "─":
                place += step
                if graph[place] in "├┼┤╭┬╮╰┴╯":
                    touched.append(place)
        below = [place for place in touched if graph[place] not in "╰┴╯"]
        ended = [place for place in touched if graph[place] in "╰┴╯"]
        carried = {node}
        for place in below:
            waiting.setdefault(place, set()).add(node)
        for place in ended:  # who waited there waits in the model's own lane from now on
            carried |= waiting.pop(place)
        waiting[at] = carried
    return found


def test_a_map_counts_everybody_who_was_scored() -> None:
    fitness = np.array([0.0, 0.5, np.nan, 1.0, 1.0, 0.99])
    counts, cell, low, high = birth_field(fitness, 3, 2)
    assert counts.sum() == 5
    assert (low, high) == (0.0, 1.0)
    assert cell[2] == -1
    assert counts.tolist() == [[1, 1, 2], [1, 0, 0]]


def test_a_map_of_nobody_is_empty() -> None:
    assert "birth 0" in plain(birth_map(np.array([]), []))
    assert "★" not in plain(birth_map(np.array([np.nan]), [0], 0))


@pytest.mark.parametrize("name", ["\x1b[31mred\x1b[0m", "a\nb", "\u202egnp", "x" * 99, "漢" * 50])
def test_names_can_do_nothing_to_a_terminal(name: str) -> None:
    safe = shown(name)
    assert safe.isprintable()
    assert cells(safe) <= 40
    founder = Model(1, "founder", name, 0, "founding", "0" * 64)
    child = Model(2, "offspring", None, 1, name, "0" * 64, parents=(Parent(1, 1.0, "first"),))
    hostile = Family({1: founder, 2: child})
    for drawing in (
        tree(hostile, 2, 1),
        line(hostile, 2),
        pedigree(hostile, 2),
        lanes(hostile, 2),
        descendants(hostile, 1),
    ):
        assert all(row.isprintable() for row in plain(drawing).split("\n"))


def test_tones_repeat_what_signs_say() -> None:
    dead = replace(COUSINS[3], died=3, cause="outscored")
    whole = Family({model.id: model for model in [*COUSINS[:3], dead, *COUSINS[4:]]}, champion=7)
    signs = {whole.sign(node, UNICODE) for node in whole.models}
    assert {(span.text, span.tone) for span in signs} == {
        ("★", "champion"), ("●", "living"), ("○", "fossil"), ("◆", "founder"),
    }  # fmt: skip


def test_the_line_is_unbroken_in_lane_0() -> None:
    rows = plain(lanes(above(4), FOCUS, Style(120))).splitlines()
    ids = sorted(above(4).models, reverse=True)
    on_line = [ids.index(node) for node in above(4).line(FOCUS) if node in above(4).models]
    for start, end in pairwise(on_line):
        assert all(rows[at][0] in "│├" for at in range(start + 1, end))
        assert rows[start][0] in "★●○◆"
