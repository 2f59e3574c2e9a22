"""Ancestry as a networkx graph: who descends from whom, and how much of whom.

The graph is made from the archive's rows and never the other way round. An edge runs from parent
to child and carries `share`, the parent's part in the child (shares of a child's parents sum to 1).

This is what the words mean, for graphs of any size that fits; `lineage.ancestry.sparse` answers the
same questions for a million models, and tests compare the two.
"""

from collections.abc import Collection, Iterable

import networkx as nx
import numpy as np

from lineage.ancestry.sparse import inbreeding as inbred
from lineage.records import Floats, Model


def graph(models: Iterable[Model]) -> nx.DiGraph:
    """The ancestry of `models`: a node per model with its row under `model`, edges with `share`."""
    ancestry = nx.DiGraph()
    models = list(models)
    for model in models:
        ancestry.add_node(model.id, model=model)
    for model in models:
        for parent in model.parents:
            if parent.id in ancestry:
                ancestry.add_edge(parent.id, model.id, share=parent.share, role=parent.role)
    return ancestry


def ancestors(ancestry: nx.DiGraph, model: int, depth: int | None = None) -> set[int]:
    """Everyone it descends from; only so many generations back if asked."""
    if depth is None:
        return set(nx.ancestors(ancestry, model))
    near = nx.single_source_shortest_path_length(ancestry.reverse(copy=False), model, depth)
    return set(near) - {model}


def descendants(ancestry: nx.DiGraph, model: int, depth: int | None = None) -> set[int]:
    """Everyone who descends from it; only so many generations on if asked."""
    if depth is None:
        return set(nx.descendants(ancestry, model))
    return set(nx.single_source_shortest_path_length(ancestry, model, depth)) - {model}


def common_ancestors(ancestry: nx.DiGraph, a: int, b: int) -> set[int]:
    """Whom both descend from; a model counts as its own ancestor here."""
    return {a, *nx.ancestors(ancestry, a)} & {b, *nx.ancestors(ancestry, b)}


def path(ancestry: nx.DiGraph, a: int, b: int) -> list[int] | None:
    """The shortest way from a to b: up to a common ancestor, then down; None if unrelated.

    Of equally short ways one through the youngest common ancestor is taken.
    """
    reverse = ancestry.reverse(copy=False)
    rises = nx.single_source_shortest_path(reverse, a)
    falls = nx.single_source_shortest_path(reverse, b)
    met = rises.keys() & falls.keys()
    if not met:
        return None
    top = min(met, key=lambda node: (len(rises[node]) + len(falls[node]), -node))
    return [*rises[top], *falls[top][-2::-1]]


def founder_shares(ancestry: nx.DiGraph, model: int) -> dict[int, float]:
    """Each founder's part in a model by descent: the sum over all lines of the product of shares.

    The shares sum to 1 where the graph holds all ancestors.
    """
    parts = contributions(ancestry, [model])
    return {node: part for node, part in parts.items() if not ancestry.pred[node]}


def contributions(ancestry: nx.DiGraph, models: Collection[int]) -> dict[int, float]:
    """How much of `models`, on average, comes down from each of their ancestors and themselves."""
    share = dict.fromkeys(models, 1.0 / len(models))
    family = {*models, *(node for model in models for node in nx.ancestors(ancestry, model))}
    # Ids grow with birth, so going down in id order meets every child before its parents.
    for node in sorted(family, reverse=True):
        for parent, edge in ancestry.pred[node].items():
            share[parent] = share.get(parent, 0.0) + share[node] * edge["share"]
    return dict(sorted(share.items()))


def effective_founders(ancestry: nx.DiGraph, models: Collection[int]) -> float:
    """How many equally represented founders would be as diverse as those of `models`.

    Founder equivalents, 1 / sum of squared contributions (Lacy 1989, Zoo Biology 8: 111-123).
    """
    parts = contributions(ancestry, models)
    return 1.0 / sum(part**2 for node, part in parts.items() if not ancestry.pred[node])


def kinships(ancestry: nx.DiGraph, models: Iterable[int]) -> tuple[list[int], Floats]:
    """Coefficients of kinship among `models` and all their ancestors, by the tabular method.

    phi(a, b) is the chance that a weight drawn from a and one drawn from b come from the same
    ancestral copy (Wright 1922; the table is Emik and Terrill's, 1949), extended from two equal
    parents to any number with shares. Founders are unrelated.

    Returns:
        The ids, ascending, and phi for each two of them.
    """
    chosen = set(models)
    family = sorted(chosen.union(*(nx.ancestors(ancestry, model) for model in chosen)))
    place = {node: number for number, node in enumerate(family)}
    phi = np.zeros((len(family), len(family)))
    for number, node in enumerate(family):
        parents = ancestry.pred[node]
        rows = [place[parent] for parent in parents]
        shares = np.array([edge["share"] for edge in parents.values()])
        if rows:
            phi[number, :number] = phi[:number, number] = shares @ phi[rows, :number]
        phi[number, number] = 0.5 * (1.0 + inbred(shares, phi[np.ix_(rows, rows)]))
    return family, phi


def kinship(ancestry: nx.DiGraph, a: int, b: int) -> float:
    """Coefficient of relationship of two models, in [0, 1]: 1 for a model with itself.

    r = phi(a, b) / sqrt(phi(a, a) phi(b, b)), with phi of `kinships`.
    """
    family, phi = kinships(ancestry, (a, b))
    i, j = family.index(a), family.index(b)
    return float(phi[i, j] / np.sqrt(phi[i, i] * phi[j, j]))


def inbreeding(ancestry: nx.DiGraph, model: int) -> float:
    """Wright's coefficient of inbreeding: how much a model's parents are kin, in [0, 1]."""
    family, phi = kinships(ancestry, (model,))
    number = family.index(model)
    return float(2.0 * phi[number, number] - 1.0)
