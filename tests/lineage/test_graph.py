"""The graph form of ancestry: what others can do with it, and that it answers as arrays do."""

import io
import json
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineage import Archive
from lineage.ancestry.ancestry import GRAPH_AT_MOST, Ancestry, ancestry_of
from lineage.ancestry.graph import GraphAncestry
from lineage.ancestry.parent_edges import ParentEdges
from lineage.ancestry.sparse import SparseAncestry
from lineage.errors import ArchiveError
from lineage.records import Model
from tests.lineage.test_ancestry import edges_of, families
from tests.screen_helpers import finished


@given(families(), st.data())
@settings(max_examples=60, deadline=None)
def test_graph_and_arrays_answer_alike(models: list[Model], data: st.DataObject) -> None:
    edges = edges_of(models)
    graph: Ancestry = GraphAncestry(edges)
    arrays: Ancestry = SparseAncestry(edges)
    ids = [model.id for model in models]
    a, b = data.draw(st.sampled_from(ids)), data.draw(st.sampled_from(ids))
    some = data.draw(st.lists(st.sampled_from(ids), min_size=1, unique=True))
    assert graph.newest == arrays.newest
    for name in ("founders", "births"):
        assert np.array_equal(getattr(graph, name), getattr(arrays, name))
    assert graph.parents(a) == arrays.parents(a)
    assert graph.steps_up(a) == arrays.steps_up(a)
    for depth in (None, 1, 2):
        assert np.array_equal(graph.ancestors(a, depth), arrays.ancestors(a, depth))
        assert np.array_equal(graph.descendants(a, depth), arrays.descendants(a, depth))
    assert np.array_equal(graph.common_ancestors(a, b), arrays.common_ancestors(a, b))
    assert np.array_equal(graph.has_heirs(some), arrays.has_heirs(some))
    np.testing.assert_allclose(graph.founder_shares(), arrays.founder_shares(), atol=1e-6)
    np.testing.assert_allclose(graph.contributions(some), arrays.contributions(some))
    np.testing.assert_allclose(graph.kinship(some), arrays.kinship(some), atol=1e-12)
    assert graph.relationship(a, b) == pytest.approx(arrays.relationship(a, b))
    assert graph.inbreeding(a) == pytest.approx(arrays.inbreeding(a))
    assert graph.effective_founders(some) == pytest.approx(arrays.effective_founders(some))
    one, other = graph.path(a, b), arrays.path(a, b)
    assert (one is None) == (other is None)
    assert one is None or other is None or (len(one), min(one)) == (len(other), min(other))


def test_small_archives_are_graphs_and_large_ones_arrays() -> None:
    none = np.empty(0, dtype=np.int32)
    founders = np.array([1], dtype=np.int32)
    small = ParentEdges(GRAPH_AT_MOST, founders, none, none, np.empty(0))
    large = ParentEdges(GRAPH_AT_MOST + 1, founders, none, none, np.empty(0))
    assert isinstance(ancestry_of(small), GraphAncestry)
    assert isinstance(ancestry_of(large), SparseAncestry)


def test_the_graph_of_an_archive_is_what_networkx_and_others_take(small_archive: Archive) -> None:
    graph = small_archive.graph()
    assert graph.number_of_nodes() == len(small_archive.models())
    first = next(nx.topological_generations(graph))
    founders = {model.id for model in small_archive.models() if model.kind == "founder"}
    assert set(first) == founders
    assert all(
        sum(edge["share"] for *_, edge in graph.in_edges(node, data=True)) == pytest.approx(1.0)
        for node in graph
        if node not in founders
    )
    text = io.BytesIO()
    nx.write_graphml(graph, text)
    back = nx.read_graphml(io.BytesIO(text.getvalue()), node_type=int)
    assert dict(back.nodes[1]) == dict(graph.nodes[1])
    again = nx.node_link_graph(json.loads(json.dumps(nx.node_link_data(graph))))
    assert nx.utils.graphs_equal(again, graph)


def test_parts_of_an_archive_are_graphs_as_well(small_archive: Archive) -> None:
    whole = small_archive.graph()
    youngest = max(whole)
    line = small_archive.graph(ancestors_of=youngest)
    assert set(line) == {youngest, *nx.ancestors(whole, youngest)}
    living = small_archive.graph(living=True)
    assert set(living) == {node for node, data in whole.nodes(data=True) if data["living"]}
    assert set(small_archive.graph([1, youngest])) == {1, youngest}
    a, b = sorted(whole)[-2:]
    common = nx.lowest_common_ancestor(whole, a, b)
    assert common is None or common in nx.ancestors(whole, a) | {a}


@pytest.mark.parametrize("model", [0, 10_000])
def test_ancestors_of_no_model_are_refused(small_archive: Archive, model: int) -> None:
    with pytest.raises(ArchiveError, match=f"no model is #{model} .* ids go from 1 to"):
        small_archive.graph(ancestors_of=model)


@pytest.mark.parametrize("name", ["arena", "colony"])
def test_parts_of_a_real_archive_are_read_back_as_written(name: str, tmp_path: Path) -> None:
    archive = Archive.open(finished(tmp_path, name))
    champion = archive.find("champion").id
    line = archive.graph(ancestors_of=champion)
    for part in (line, archive.graph(range(1, 300, 2)), archive.graph(living=True)):
        text = io.BytesIO()
        nx.write_graphml(part, text)
        back = nx.read_graphml(io.BytesIO(text.getvalue()), node_type=int)
        assert dict(back.nodes(data=True)) == dict(part.nodes(data=True))
        assert sorted(back.edges(data=True)) == sorted(part.edges(data=True))
        again = nx.node_link_graph(json.loads(json.dumps(nx.node_link_data(part))))
        assert nx.utils.graphs_equal(again, part)
        # What writes DOT (pydot) hands attributes on by keyword, beside the node's own name.
        assert all("name" not in attributes for _, attributes in part.nodes(data=True))
    whole = archive.graph()
    assert set(line) == {champion} | nx.ancestors(whole, champion)
    assert [model for model in line if not line.out_degree(model)] == [champion]
    founders = set(archive.ancestry().founders.tolist())
    assert set(next(iter(nx.topological_generations(line)))) == founders & set(line)
    a, b = archive.offspring()[-2:]
    assert nx.lowest_common_ancestor(whole, a, b) in archive.ancestry().common_ancestors(a, b)
