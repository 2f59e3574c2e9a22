"""The size of a pedigree: by hand, and as networkx counts."""

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineage.ancestry.graph import GraphAncestry, graph
from lineage.ancestry.pedigree_size import PedigreeSize, pedigree_size
from lineage.ancestry.sparse import SparseAncestry
from lineage.records import Model
from tests.lineage.test_ancestry import edges_of, families, family

LINE = family(
    ((1, 0.5), (2, 0.5)),  # 4
    ((4, 1.0),),  # 5
    ((5, 0.5), (3, 0.5)),  # 6
)


@pytest.mark.parametrize(
    ("model", "expected"),
    [(1, (0, 0, 0)), (4, (2, 0, 1)), (5, (3, 1, 2)), (6, (5, 1, 3))],
)
def test_a_pedigree_is_counted_without_the_model_itself(
    model: int, expected: tuple[int, int, int]
) -> None:
    assert pedigree_size(GraphAncestry(edges_of(LINE)), model) == PedigreeSize(*expected)


@given(families(), st.data())
@settings(max_examples=60, deadline=None)
def test_pedigrees_are_as_large_as_networkx_says(models: list[Model], data: st.DataObject) -> None:
    model = data.draw(st.sampled_from([model.id for model in models]))
    whole = graph(models)
    ancestors = nx.ancestors(whole, model)
    expected = PedigreeSize(
        len(ancestors),
        sum(whole.in_degree(one) > 1 for one in ancestors),
        nx.dag_longest_path_length(whole.subgraph({model, *ancestors}), weight=None),
    )
    for ancestry in (GraphAncestry(edges_of(models)), SparseAncestry(edges_of(models))):
        assert pedigree_size(ancestry, model) == expected


def test_it_is_said_in_a_sentence() -> None:
    assert str(PedigreeSize(1200, 30, 9)) == (
        "1,200 ancestors, 30 of them born of two or more parents, over 9 generations of descent"
    )
