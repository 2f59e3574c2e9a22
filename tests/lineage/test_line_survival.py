"""Whom the living descend from and whose line ended: against the graph, and on a known family."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineage import Archive
from lineage.ancestry import graph as reference
from lineage.ancestry.line_survival import (
    NEVER,
    Lifespans,
    diversity,
    founder_lines,
    lost_lines,
    main_contributors,
)
from lineage.ancestry.sparse import SparseAncestry
from lineage.queries.lifespans import causes_of_death, lifespans_of
from lineage.records import Model
from tests.lineage.test_ancestry import COUSINS, HALF, families, family
from tests.lineage.test_sparse_ancestry import descent


def lives(models: list[Model]) -> Lifespans:
    born, died = np.full((2, len(models) + 1), NEVER, dtype=np.int32)
    for model in models:
        born[model.id] = model.generation
        died[model.id] = NEVER if model.died is None else model.died
    return Lifespans(born, died)


def with_deaths(models: list[Model], deaths: dict[int, int]) -> list[Model]:
    return [
        replace(m, died=deaths[m.id], cause="outscored") if m.id in deaths else m for m in models
    ]


@st.composite
def mortals(draw: st.DrawFn) -> list[Model]:
    """Families of whom some died, after all their children were born; the newest lives."""
    models = draw(families())
    newest = models[-1]
    deaths = {}
    for model in models[:-1]:
        children = [m.generation for m in models if model.id in {p.id for p in m.parents}]
        if draw(st.booleans()):
            deaths[model.id] = draw(
                st.integers(max([model.generation, *children]), newest.generation)
            )
    return with_deaths(models, deaths)


@given(mortals())
@settings(max_examples=60, deadline=None)
def test_the_most_fruitful_are_those_of_the_graph(models: list[Model]) -> None:
    fast, graph, known = descent(models), reference.graph(models), lives(models)
    living = [m.id for m in models if m.living]
    assert known.living.tolist() == living
    parts = reference.contributions(graph, living)
    expected = {
        m.id: parts.get(m.id, 0.0) - (1.0 / len(living) if m.living else 0.0)
        for m in models
        if m.parents
    }
    found = main_contributors(fast, known.living, len(models))
    assert {one.model: one.share for one in found} == pytest.approx(
        {model: part for model, part in expected.items() if part > 1e-12}
    )
    assert [one.share for one in found] == sorted((one.share for one in found), reverse=True)
    for one in found:
        heirs = reference.descendants(graph, one.model)
        assert one.descendants == len(heirs)
        assert one.living == len(heirs & set(living))
        assert one.children == graph.out_degree(one.model)


@given(mortals())
@settings(max_examples=60, deadline=None)
def test_founder_lines_are_those_of_the_graph_in_every_generation(models: list[Model]) -> None:
    fast, graph, known = descent(models), reference.graph(models), lives(models)
    last = models[-1].generation
    for line in founder_lines(fast, known, last):
        heirs = {line.founder, *reference.descendants(graph, line.founder)}
        assert line.carriers == sum(m.living for m in models if m.id in heirs)
        assert (line.state == "died") == (line.carriers == 0)
        for generation in range(last + 1):
            alive = [
                m.id
                for m in models
                if m.generation <= generation and (m.died is None or m.died > generation)
            ]
            if not alive:
                assert np.isnan(line.shares[generation])
                continue
            expected = reference.contributions(graph, alive).get(line.founder, 0.0)
            assert line.shares[generation] == pytest.approx(expected, abs=1e-6)


@given(mortals())
@settings(max_examples=60, deadline=None)
def test_lost_lines_have_no_heir_and_left_a_line_that_has(models: list[Model]) -> None:
    fast, graph, known = descent(models), reference.graph(models), lives(models)
    living = {m.id for m in models if m.living}

    def has_heirs(model: int) -> bool:
        return bool(({model} | reference.descendants(graph, model)) & living)

    assert fast.has_heirs(living).tolist() == [False] + [has_heirs(m.id) for m in models]
    expected = {
        m.id
        for m in models
        if not has_heirs(m.id) and any(has_heirs(p.id) for p in m.parents) and graph.succ[m.id]
    }
    found = lost_lines(fast, known, len(models))
    assert {line.head for line in found} == expected
    rows = {m.id: m for m in models}
    for line in found:
        line_family = {line.head, *reference.descendants(graph, line.head)}
        assert line.descendants == len(line_family) - 1
        assert line.ended == max(rows[m].died or 0 for m in line_family)
        assert all(rows[m].died == line.ended for m in line.last)


@given(mortals())
@settings(max_examples=60, deadline=None)
def test_diversity_is_that_of_the_graph(models: list[Model]) -> None:
    graph, living = reference.graph(models), [m.id for m in models if m.living]
    found = diversity(descent(models), lives(models).living)
    kin, phi = reference.kinships(graph, living)
    rows = [kin.index(model) for model in living]
    assert found.mean_kinship == pytest.approx(phi[np.ix_(rows, rows)].mean())
    inbred = [reference.inbreeding(graph, model) for model in living]
    assert found.mean_inbreeding == pytest.approx(np.mean(inbred), abs=1e-12)
    pairs = [reference.kinship(graph, a, b) for a in living for b in living if a != b]
    assert found.mean_relationship == pytest.approx(np.mean(pairs) if pairs else 1.0)
    assert found.effective_founders == pytest.approx(reference.effective_founders(graph, living))


def test_a_family_of_which_all_is_known() -> None:
    # Of founder 3 comes 6 alone, which dies together with its child 8; nobody else carries it.
    models = family(
        ((1, HALF), (2, HALF)),  # 4
        ((1, HALF), (2, HALF)),  # 5
        ((4, HALF), (3, HALF)),  # 6
        ((4, HALF), (5, HALF)),  # 7
        ((6, 1.0),),  # 8
    )
    models = with_deaths(models, {1: 3, 2: 3, 3: 3, 4: 4, 5: 4, 6: 5, 8: 5})
    fast, known = descent(models), lives(models)
    (best, *_), living = main_contributors(fast, known.living, 5), known.living
    assert living.tolist() == [7]
    assert (best.model, best.share) == (4, 0.5)
    assert (best.children, best.descendants, best.living) == (2, 3, 1)
    *_, third = founder_lines(fast, known, 5)
    assert (third.founder, third.state, third.last) == (3, "died", (6, 8))
    # After generation 3 live 4, 5 and 6, of whom 6 is half of 3.
    assert third.shares[[0, 3, 5]].tolist() == pytest.approx([1 / 3, 1 / 6, 0.0])
    (lost,) = lost_lines(fast, known, 5)
    assert (lost.head, lost.descendants, lost.ended, lost.last) == (6, 1, 5, (6, 8))


def test_where_nobody_lives_nothing_is_fruitful() -> None:
    models = with_deaths(COUSINS, {m.id: 9 for m in COUSINS})
    fast, known = descent(models), lives(models)
    assert main_contributors(fast, known.living, 5) == []
    assert {line.state for line in founder_lines(fast, known, 9)} == {"died"}
    assert diversity(fast, known.living).living == 0


def test_a_line_of_which_little_is_left_is_fading() -> None:
    births = [((1, 0.1), (2, 0.9)), ((4, 0.5), (2, 0.5))]
    models = with_deaths(family(*births, founders=2 + 1), {1: 2, 3: 2, 4: 2})
    lines = {line.founder: line for line in founder_lines(descent(models), lives(models), 2)}
    assert (lines[1].state, lines[2].state, lines[3].state) == ("fading", "living", "died")


def test_lives_and_causes_are_those_of_the_rows(small_archive: Archive) -> None:
    models = small_archive.models()
    fast = SparseAncestry(small_archive.parent_edges())
    known = lifespans_of(small_archive, fast.newest)
    assert known.living.tolist() == [m.id for m in models if m.living]
    assert known.born[1:].tolist() == [m.generation for m in models]
    causes = causes_of_death(small_archive)
    dead = [m for m in models if not m.living]
    assert dead
    assert {c.cause: c.deaths for c in causes} == {
        cause: sum(m.cause == cause for m in dead) for cause in {m.cause for m in dead}
    }
    ages = [m.died - m.generation for m in dead if m.died is not None]
    assert sum(c.age * c.deaths for c in causes) == pytest.approx(sum(ages))
