"""How two models are related: against the graph; and the way between them as text."""

from itertools import pairwise

import networkx as nx
import pytest
from hypothesis import given, settings

from lineage.ancestry import graph as reference
from lineage.ancestry.relations import relation
from lineage.drawing import ASCII, Family, Style, plain
from lineage.drawing.path_between import path_between
from lineage.records import Model
from tests.lineage.test_ancestry import COUSINS, families
from tests.lineage.test_sparse_ancestry import descent

WHOLE = Family({model.id: model for model in COUSINS}, champion=7)


@given(families())
@settings(max_examples=60, deadline=None)
def test_relations_are_those_of_the_graph(models: list[Model]) -> None:
    fast, graph = descent(models), reference.graph(models)
    up = graph.reverse()
    ids = [model.id for model in models]
    for a, b in [*pairwise(ids), (ids[0], ids[-1]), (ids[-1], ids[-1])]:
        found = relation(fast, a, b)
        assert found.relationship == pytest.approx(reference.kinship(graph, a, b), abs=1e-12)
        assert found.inbreeding == pytest.approx(
            (reference.inbreeding(graph, a), reference.inbreeding(graph, b)), abs=1e-12
        )
        assert {n.model for n in found.common} == reference.common_ancestors(graph, a, b)
        parts = [reference.contributions(graph, [model]) for model in (a, b)]
        for node in found.common:
            steps = tuple(nx.shortest_path_length(up, m, node.model) for m in (a, b))
            assert node.steps == steps
            assert node.parts == pytest.approx([part[node.model] for part in parts])
        near = [sum(node.steps) for node in found.common]
        assert near == sorted(near)
        assert (found.path is None) == (not found.common)
        if found.path is not None:
            assert min(found.path) == found.common[0].model
            assert len(found.path) == near[0] + 1


def test_two_branches_stand_side_by_side_where_there_is_room() -> None:
    assert plain(path_between(WHOLE, [6, 4, 1, 5], Style(80, ASCII))).splitlines() == [
        "% f1  founding, gen 0",
        "+--------------------------.",
        "@ #4  blend, gen 1  50%    @ #5  blend, gen 2  50%",
        "|",
        "@ #6  blend, gen 3  50%",
    ]


def test_two_branches_stand_one_below_the_other_where_there_is_none() -> None:
    assert plain(path_between(WHOLE, [6, 4, 1, 5], Style(30, ASCII))).splitlines() == [
        "% f1  founding, gen 0",
        "+-@ #4  blend, gen 1  50%",
        "| @ #6  blend, gen 3  50%",
        "`-@ #5  blend, gen 2  50%",
    ]


def test_an_ancestor_stands_above_its_descendant() -> None:
    expected = [
        "% f1  founding, gen 0",
        "|",
        "@ #4  blend, gen 1  50%",
        "|",
        "* #7  blend, gen 4  50%",
    ]
    assert plain(path_between(WHOLE, [1, 4, 7], Style(80, ASCII))).splitlines() == expected
    assert plain(path_between(WHOLE, [7, 4, 1], Style(80, ASCII))).splitlines() == expected
