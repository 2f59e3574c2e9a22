"""Ancestry: known families give known numbers, and the fast path agrees with the definition."""

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineage.ancestry.graph import founder_shares, graph, kinship
from lineage.ancestry.kinship import Kinship
from lineage.ancestry.parent_edges import ParentEdges
from lineage.records import Model, Parent


def family(*births: tuple[tuple[int, float], ...], founders: int = 3) -> list[Model]:
    """Models 1..founders, then a child per entry with (parent, share) pairs."""
    models = [Model(i, "founder", f"f{i}", 0, "founding", "0" * 64) for i in range(1, founders + 1)]
    for number, parents in enumerate(births):
        identity = founders + 1 + number
        links = tuple(Parent(parent, share, "first") for parent, share in parents)
        models.append(
            Model(identity, "offspring", None, number + 1, "blend", "0" * 64, parents=links)
        )
    return models


def edges_of(models: list[Model]) -> ParentEdges:
    links = [(m.id, p.id, p.share) for m in models for p in sorted(m.parents, key=lambda p: p.id)]
    child, parent, share = zip(*links, strict=True) if links else ((), (), ())
    return ParentEdges(
        max(model.id for model in models),
        np.array([model.id for model in models if not model.parents], dtype=np.int32),
        np.array(child, dtype=np.int32),
        np.array(parent, dtype=np.int32),
        np.array(share, dtype=np.float64),
    )


HALF = 0.5
COUSINS = family(
    ((1, HALF), (2, HALF)),  # 4
    ((1, HALF), (2, HALF)),  # 5, full sibling of 4
    ((4, HALF), (3, HALF)),  # 6
    ((4, HALF), (5, HALF)),  # 7, inbred
)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [(1, 2, 0.0), (4, 4, 1.0), (1, 4, 0.5), (4, 5, 0.5), (1, 6, 0.25), (5, 6, 0.25)],
)
def test_relationships_known_from_genetics(a: int, b: int, expected: float) -> None:
    assert kinship(graph(COUSINS), a, b) == pytest.approx(expected)


def test_a_child_of_siblings_is_inbred_and_closer_to_its_parents() -> None:
    assert kinship(graph(COUSINS), 4, 7) > kinship(graph(COUSINS), 4, 6)


def test_founder_shares_sum_to_one_and_follow_the_shares() -> None:
    models = family(((1, 0.8), (2, 0.2)), ((4, 0.5), (3, 0.5)))
    assert founder_shares(graph(models), 5) == pytest.approx({1: 0.4, 2: 0.1, 3: 0.5})
    assert founder_shares(graph(models), 1) == {1: 1.0}


@st.composite
def families(draw: st.DrawFn) -> list[Model]:
    founders = draw(st.integers(2, 4))
    births = []
    for number in range(draw(st.integers(1, 8))):
        known = list(range(1, founders + number + 1))
        parents = draw(st.lists(st.sampled_from(known), min_size=1, max_size=4, unique=True))
        weights = draw(st.lists(st.integers(1, 9), min_size=len(parents), max_size=len(parents)))
        births.append(tuple((p, w / sum(weights)) for p, w in zip(parents, weights, strict=True)))
    return family(*births, founders=founders)


@given(families())
@settings(max_examples=60, deadline=None)
def test_kinship_kept_birth_by_birth_equals_the_definition(models: list[Model]) -> None:
    ids = [model.id for model in models]
    fast = Kinship.replayed(models).relationship(ids)
    ancestry = graph(models)
    for row, a in enumerate(ids):
        for column, b in enumerate(ids):
            assert fast[row, column] == pytest.approx(kinship(ancestry, a, b), abs=1e-12)


@given(families())
@settings(max_examples=40, deadline=None)
def test_shares_sum_to_one_and_only_ancestors_have_any(models: list[Model]) -> None:
    ancestry = graph(models)
    for model in models:
        shares = founder_shares(ancestry, model.id)
        assert sum(shares.values()) == pytest.approx(1.0)
        assert set(shares) <= {model.id, *nx.ancestors(ancestry, model.id)}


@given(families())
@settings(max_examples=40, deadline=None)
def test_lines_kept_birth_by_birth_are_the_founders_shares(models: list[Model]) -> None:
    ids = [model.id for model in models]
    founders = [model.id for model in models if not model.parents]
    lines = Kinship.replayed(models).founder_shares(ids)
    assert lines.shape == (len(ids), len(founders))
    ancestry = graph(models)
    for row, model in zip(lines, ids, strict=True):
        shares = founder_shares(ancestry, model)
        assert row.tolist() == pytest.approx([shares.get(founder, 0.0) for founder in founders])


def test_forgetting_the_dead_changes_nothing_for_the_living() -> None:
    whole, kept = Kinship([1, 2, 3]), Kinship([1, 2, 3])
    for model in COUSINS[3:5]:
        whole.add_birth(model.id, model.parents)
        kept.add_birth(model.id, model.parents)
    kept.keep([3, 4, 5])
    for model in COUSINS[5:]:
        whole.add_birth(model.id, model.parents)
        kept.add_birth(model.id, model.parents)
    living = [3, 4, 5, 6, 7]
    assert whole.relationship(living).tolist() == kept.relationship(living).tolist()
    assert whole.founder_shares(living).tolist() == kept.founder_shares(living).tolist()
    assert kept.founder_shares([7, 3]).tolist() == [[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]]
