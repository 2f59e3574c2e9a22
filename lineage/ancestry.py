"""Ancestry as a networkx graph: who descends from whom, and how much of whom.

The graph is made from the archive's rows and never the other way round. An edge runs from parent
to child and carries `share`, the parent's part in the child (shares of a child's parents sum to 1).
"""

from collections.abc import Iterable

import networkx as nx

from lineage.records import Model


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


def founder_shares(ancestry: nx.DiGraph, model: int) -> dict[int, float]:
    """Each founder's part in a model by descent: the sum over all lines of the product of shares.

    The shares sum to 1 where the graph holds all ancestors.
    """
    share = {model: 1.0}
    founders: dict[int, float] = {}
    # Ids grow with birth, so going down in id order meets every child before its parents.
    for node in sorted({model, *nx.ancestors(ancestry, model)}, reverse=True):
        parents = ancestry.pred[node]
        if not parents:
            founders[node] = share[node]
        for parent, edge in parents.items():
            share[parent] = share.get(parent, 0.0) + share[node] * edge["share"]
    return dict(sorted(founders.items()))


def kinship(ancestry: nx.DiGraph, a: int, b: int) -> float:
    """Coefficient of relationship of two models, in [0, 1]: 1 for a model with itself.

    r = phi(a, b) / sqrt(phi(a, a) phi(b, b)), where phi is the coefficient of kinship: the chance
    that a weight drawn from a and one drawn from b come from the same ancestral copy (Wright 1922,
    extended from two equal parents to any number with shares). Founders are unrelated.
    """
    known: dict[tuple[int, int], float] = {}

    def phi(x: int, y: int) -> float:
        older, younger = min(x, y), max(x, y)
        if (older, younger) not in known:
            parents = [(p, e["share"]) for p, e in ancestry.pred[younger].items()]
            if older == younger:
                known[older, younger] = 0.5 * (1.0 + inbreeding(parents))
            else:
                known[older, younger] = sum(share * phi(older, parent) for parent, share in parents)
        return known[older, younger]

    def inbreeding(parents: list[tuple[int, float]]) -> float:
        distinct = 1.0 - sum(share * share for _, share in parents)
        if distinct <= 0.0:
            return 0.0
        crossed = sum(s * t * phi(p, q) for p, s in parents for q, t in parents if p != q)
        return crossed / distinct

    return float(phi(a, b) / (phi(a, a) * phi(b, b)) ** 0.5)
