"""All ancestry as one matrix gives what the graph gives, and known families known numbers."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineage.ancestry import graph as reference
from lineage.ancestry.parent_edges import ParentEdges
from lineage.ancestry.sparse import SparseAncestry
from lineage.records import Model
from tests.lineage.test_ancestry import COUSINS, HALF, edges_of, families, family


def descent(models: list[Model]) -> SparseAncestry:
    return SparseAncestry(edges_of(models))


@given(families(), st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_relatives_are_those_of_the_graph(models: list[Model], depth: int) -> None:
    fast, graph = descent(models), reference.graph(models)
    for model in (m.id for m in models):
        assert set(fast.ancestors(model)) == reference.ancestors(graph, model)
        assert set(fast.descendants(model)) == reference.descendants(graph, model)
        assert set(fast.ancestors(model, depth)) == reference.ancestors(graph, model, depth)
        assert set(fast.descendants(model, depth)) == reference.descendants(graph, model, depth)
        assert fast.births[model] == graph.out_degree(model)
        for other in (m.id for m in models):
            common = reference.common_ancestors(graph, model, other)
            assert set(fast.common_ancestors(model, other)) == common


@given(families())
@settings(max_examples=60, deadline=None)
def test_paths_are_as_short_as_the_graphs_and_lead_up_then_down(models: list[Model]) -> None:
    fast, graph = descent(models), reference.graph(models)
    for a in (m.id for m in models):
        for b in (m.id for m in models):
            path, expected = fast.path(a, b), reference.path(graph, a, b)
            assert (path is None) == (expected is None)
            if path is None or expected is None:
                continue
            assert (path[0], path[-1], len(path)) == (a, b, len(expected))
            assert min(path) == min(expected)
            top = path.index(min(path))
            assert all(graph.has_edge(p, c) for c, p in pairwise(path[: top + 1]))
            assert all(graph.has_edge(p, c) for p, c in pairwise(path[top:]))


@given(families(), st.data())
@settings(max_examples=60, deadline=None)
def test_shares_and_diversity_are_those_of_the_graph(
    models: list[Model], data: st.DataObject
) -> None:
    fast, graph = descent(models), reference.graph(models)
    shares = fast.founder_shares()
    for model in models:
        expected = reference.founder_shares(graph, model.id)
        row = dict(zip(fast.founders.tolist(), shares[model.id].tolist(), strict=True))
        assert {f: part for f, part in row.items() if part} == pytest.approx(expected, abs=1e-6)
    chosen = data.draw(st.sets(st.sampled_from([m.id for m in models]), min_size=1))
    parts = fast.contributions(chosen)
    expected = reference.contributions(graph, chosen)
    assert {i: parts[i] for i in np.flatnonzero(parts)} == pytest.approx(expected)
    founders = reference.effective_founders(graph, chosen)
    assert fast.effective_founders(chosen) == pytest.approx(founders)


@given(families())
@settings(max_examples=60, deadline=None)
def test_kinship_and_inbreeding_are_those_of_the_graph(models: list[Model]) -> None:
    fast, graph = descent(models), reference.graph(models)
    ids = [model.id for model in models]
    family, phi = reference.kinships(graph, ids)
    assert family == ids
    assert fast.kinship(ids) == pytest.approx(phi, abs=1e-12)
    for model in ids:
        assert fast.inbreeding(model) == pytest.approx(
            reference.inbreeding(graph, model), abs=1e-12
        )
    last = ids[-1]
    assert fast.relationship(ids[0], last) == pytest.approx(reference.kinship(graph, ids[0], last))


def test_numbers_known_from_genetics() -> None:
    fast = descent(COUSINS)
    assert fast.relationship(4, 5) == pytest.approx(0.5)  # full siblings
    assert fast.inbreeding(7) == pytest.approx(0.25)  # a child of full siblings
    assert fast.inbreeding(4) == 0.0
    assert fast.effective_founders([4, 5]) == pytest.approx(2.0)
    assert fast.effective_founders([6]) == pytest.approx(1 / (0.5**2 + 2 * 0.25**2))


def test_a_lineage_of_thousands_of_generations_is_no_deeper_than_any_other() -> None:
    births = [((1, HALF), (2, HALF)), ((4, HALF), (3, HALF))]
    births += [((n, 0.75), (n - 1, 0.25)) for n in range(5, 3000)]
    models = family(*births)
    fast = descent(models)
    newest = models[-1].id
    assert len(fast.ancestors(newest)) == newest - 1
    assert fast.founder_shares()[newest].sum() == pytest.approx(1.0, abs=1e-4)
    assert 0.9 < fast.inbreeding(newest) < 1.0
    assert reference.kinship(reference.graph(models[:600]), 1, 600) > 0.0


def test_ids_that_were_never_born_and_late_founders_do_no_harm() -> None:
    # 1 and 2 are founders, 3 their child, 4 was never born, 5 is a founder, 6 a child of 3 and 5.
    fast = SparseAncestry(
        ParentEdges(
            6,
            np.array([1, 2, 5], dtype=np.int32),
            np.array([3, 3, 6, 6], dtype=np.int32),
            np.array([1, 2, 3, 5], dtype=np.int32),
            np.array([0.25, 0.75, 0.5, 0.5]),
        )
    )
    assert fast.founder_shares()[6].tolist() == pytest.approx([0.125, 0.375, 0.5])
    assert fast.founder_shares()[4].tolist() == [0.0, 0.0, 0.0]
    assert fast.path(4, 6) is None
    assert fast.path(5, 3) is None
    assert fast.path(1, 5) is None
    assert fast.path(3, 5) is None
    assert fast.path(2, 6) == [2, 3, 6]
