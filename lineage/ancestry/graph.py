"""Ancestry as a networkx graph with an edge from each parent to its child.

The graph is made from the archive's rows and never the other way round. An edge carries `share`,
the parent's share in the child (shares of a child's parents sum to 1).

It is the public form of ancestry (`Archive.graph`), and its functions define the terms.
`GraphAncestry` implements `Ancestry` with it; `lineage.ancestry.sparse` does so for a million
models.
"""

from collections.abc import Callable, Collection, Iterable
from functools import cached_property
from typing import Any

import networkx as nx
import numpy as np
import numpy.typing as npt

from lineage.ancestry.coefficients import inbreeding as inbreeding_of_child
from lineage.ancestry.coefficients import relationships
from lineage.ancestry.parent_edges import Ids, ParentEdges
from lineage.records import Floats, Model


def graph(models: Iterable[Model]) -> nx.DiGraph:
    """The ancestry of `models`: a node per model, an edge from parent to child.

    All attributes are plain values and none is None, so that `nx.write_graphml`, `nx.nx_pydot`,
    `nx.node_link_data` and whatever else takes a graph can use it at once. Nodes have `label`,
    `kind`, `generation`, `operator`, `living`, and where they apply `weights_sha256`,
    `fingerprint`, `died` and `cause`; edges have `share` and `role`. Parents that are not among
    `models` are left out.

    Args:
        models: in any order.

    Returns:
        A graph whose nodes are ids, in the order of `models`.

    >>> from lineage.records import Parent
    >>> mother, father = (Model(n, "founder", name, 0, "founding", "0" * 64)
    ...                   for n, name in ((1, "math"), (2, "chat")))
    >>> parents = (Parent(1, 0.5, "first"), Parent(2, 0.5, "mate"))
    >>> child = Model(3, "offspring", None, 1, "blend", "1" * 64, parents=parents)
    >>> ancestry = graph([mother, father, child])
    >>> sorted(nx.ancestors(ancestry, 3))
    [1, 2]
    >>> ancestry.edges[1, 3]["share"]
    0.5
    """
    ancestry = nx.DiGraph()
    models = list(models)
    for model in models:
        ancestry.add_node(model.id, **_attributes(model))
    for model in models:
        for parent in model.parents:
            if parent.id in ancestry:
                ancestry.add_edge(parent.id, model.id, share=parent.share, role=parent.role)
    return ancestry


def _attributes(model: Model) -> dict[str, Any]:
    """Attributes of a node; none is called `name`, which pydot takes for the node itself."""
    attributes = {
        "label": model.label,
        "kind": model.kind,
        "generation": model.generation,
        "operator": model.operator,
        "living": model.living,
        "died": model.died,
        "cause": model.cause,
        "weights_sha256": model.weights_sha256,
        "fingerprint": model.fingerprint,
    }
    return {name: value for name, value in attributes.items() if value is not None}


def ancestors(ancestry: nx.DiGraph, model: int, depth: int | None = None) -> set[int]:
    """Ids of a model's ancestors; at most `depth` generations back.

    Raises:
        networkx.NodeNotFound: the graph has no such model (`NetworkXError` without a depth).
    """
    if depth is None:
        return set(nx.ancestors(ancestry, model))
    steps = nx.single_source_shortest_path_length(ancestry.reverse(copy=False), model, depth)
    return set(steps) - {model}


def descendants(ancestry: nx.DiGraph, model: int, depth: int | None = None) -> set[int]:
    """Ids of a model's descendants; at most `depth` generations on.

    Raises:
        networkx.NodeNotFound: the graph has no such model (`NetworkXError` without a depth).
    """
    if depth is None:
        return set(nx.descendants(ancestry, model))
    return set(nx.single_source_shortest_path_length(ancestry, model, depth)) - {model}


def common_ancestors(ancestry: nx.DiGraph, a: int, b: int) -> set[int]:
    """Ids of common ancestors; a model counts as its own ancestor here."""
    return {a, *nx.ancestors(ancestry, a)} & {b, *nx.ancestors(ancestry, b)}


def path(ancestry: nx.DiGraph, a: int, b: int) -> list[int] | None:
    """The shortest path from a to b: up to a common ancestor, then down; None if unrelated.

    Of equally short paths one through the youngest common ancestor is taken.
    """
    reverse = ancestry.reverse(copy=False)
    from_a = nx.single_source_shortest_path(reverse, a)
    from_b = nx.single_source_shortest_path(reverse, b)
    common = from_a.keys() & from_b.keys()
    if not common:
        return None
    top = min(common, key=lambda node: (len(from_a[node]) + len(from_b[node]), -node))
    return [*from_a[top], *from_b[top][-2::-1]]


def founder_shares(ancestry: nx.DiGraph, model: int) -> dict[int, float]:
    """Each founder's share in a model by descent: the sum over all lines of the product of shares.

    Returns:
        Shares by id of the founder; they sum to 1 where the graph holds all ancestors.
    """
    shares = contributions(ancestry, [model])
    return {node: share for node, share in shares.items() if not ancestry.pred[node]}


def contributions(ancestry: nx.DiGraph, models: Collection[int]) -> dict[int, float]:
    """The mean share in `models` by descent of each of their ancestors and of themselves, by id."""
    share = dict.fromkeys(models, 1.0 / len(models))
    family = {*models, *(node for model in models for node in nx.ancestors(ancestry, model))}
    # Ids grow with birth, so going down in id order meets every child before its parents.
    for node in sorted(family, reverse=True):
        for parent, edge in ancestry.pred[node].items():
            share[parent] = share.get(parent, 0.0) + share[node] * edge["share"]
    return dict(sorted(share.items()))


def effective_founders(ancestry: nx.DiGraph, models: Collection[int]) -> float:
    """How many equally represented founders would be as diverse as those of `models`.

    Founder equivalents, 1 / sum_f p_f^2 with p_f the mean share of founder f in `models` (Lacy
    1989, Zoo Biology 8: 111-123).
    """
    shares = contributions(ancestry, models)
    return float(1.0 / sum(share**2 for node, share in shares.items() if not ancestry.pred[node]))


def kinships(
    ancestry: nx.DiGraph, models: Iterable[int], progress: Callable[[int, int], None] | None = None
) -> tuple[list[int], Floats]:
    """Coefficients of kinship among `models` and all their ancestors, by the tabular method.

    phi(a, b) is the probability that a weight drawn from a and one drawn from b come from the same
    ancestral copy (Wright 1922, American Naturalist 56: 330-338; the table is that of Emik and
    Terrill 1949, Journal of Heredity 40: 51-55), extended from two equal parents to any number with
    shares s: phi(a, b) = sum_p s_p phi(a, p) over the parents p of the younger b, and phi(b, b) =
    (1 + F_b) / 2 (see `lineage.ancestry.coefficients.inbreeding`). Founders are unrelated.

    Args:
        ancestry: holds all ancestors of `models`.
        models: ids.
        progress: called with (done, total) now and then.

    Returns:
        The ids of the models and their ancestors, ascending, and phi, shape `[ids, ids]`.
    """
    chosen = set(models)
    family = sorted(chosen.union(*(nx.ancestors(ancestry, model) for model in chosen)))
    row_of = {node: number for number, node in enumerate(family)}
    phi = np.zeros((len(family), len(family)))
    for number, node in enumerate(family):
        if progress is not None and number % 1000 == 0:
            progress(number, len(family))
        parents = ancestry.pred[node]
        rows = [row_of[parent] for parent in parents]
        shares = np.array([edge["share"] for edge in parents.values()])
        if rows:
            phi[number, :number] = phi[:number, number] = shares @ phi[rows, :number]
        phi[number, number] = 0.5 * (1.0 + inbreeding_of_child(shares, phi[np.ix_(rows, rows)]))
    return family, phi


def kinship(ancestry: nx.DiGraph, a: int, b: int) -> float:
    """Coefficient of relationship of two models, in [0, 1]: 1 for a model with itself.

    r = phi(a, b) / sqrt(phi(a, a) phi(b, b)) (Wright 1922), with phi of `kinships`.
    """
    family, phi = kinships(ancestry, (a, b))
    i, j = family.index(a), family.index(b)
    return float(phi[i, j] / np.sqrt(phi[i, i] * phi[j, j]))


def inbreeding(ancestry: nx.DiGraph, model: int) -> float:
    """Wright's coefficient of inbreeding of a model, F = 2 phi(a, a) - 1, in [0, 1]."""
    family, phi = kinships(ancestry, (model,))
    number = family.index(model)
    return float(2.0 * phi[number, number] - 1.0)


class GraphAncestry:
    """Implements `lineage.ancestry.ancestry.Ancestry` with networkx.

    Args:
        edges: all parent edges of an archive.
    """

    def __init__(self, edges: ParentEdges) -> None:
        self.newest, self.founders = edges.newest, edges.founders
        self._graph = nx.DiGraph()
        self._graph.add_nodes_from(edges.founders.tolist())
        links = zip(edges.parent.tolist(), edges.child.tolist(), edges.share.tolist(), strict=True)
        self._graph.add_weighted_edges_from(links, weight="share")

    @cached_property
    def births(self) -> Ids:
        counts = np.zeros(self.newest + 1, dtype=np.int32)
        for node, children in self._graph.out_degree():
            counts[node] = children
        return counts

    def parents(self, model: int) -> dict[int, float]:
        return {parent: edge["share"] for parent, edge in self._graph.pred[model].items()}

    def ancestors(self, model: int, depth: int | None = None) -> Ids:
        return _ids(ancestors(self._graph, model, depth))

    def descendants(self, model: int, depth: int | None = None) -> Ids:
        return _ids(descendants(self._graph, model, depth))

    def steps_up(self, model: int) -> dict[int, int]:
        upwards = self._graph.reverse(copy=False)
        return dict(nx.single_source_shortest_path_length(upwards, model))

    def common_ancestors(self, a: int, b: int) -> Ids:
        return _ids(common_ancestors(self._graph, a, b))

    def path(self, a: int, b: int) -> list[int] | None:
        return path(self._graph, a, b)

    def founder_shares(self) -> npt.NDArray[np.float32]:
        shares = np.zeros((self.newest + 1, len(self.founders)), dtype=np.float32)
        shares[self.founders, np.arange(len(self.founders))] = 1.0
        for node in nx.topological_sort(self._graph):
            for parent, edge in self._graph.pred[node].items():
                shares[node] += np.float32(edge["share"]) * shares[parent]
        return shares

    def contributions(self, models: Iterable[int]) -> Floats:
        shares = np.zeros(self.newest + 1)
        for node, share in contributions(self._graph, list(models)).items():
            shares[node] = share
        return shares

    def has_heirs(self, models: Iterable[int]) -> npt.NDArray[np.bool_]:
        with_heirs = np.zeros(self.newest + 1, dtype=np.bool_)
        for model in models:
            with_heirs[[model, *nx.ancestors(self._graph, model)]] = True
        return with_heirs

    def effective_founders(self, models: Iterable[int]) -> float:
        return effective_founders(self._graph, list(models))

    def kinship(
        self, models: Iterable[int], progress: Callable[[int, int], None] | None = None
    ) -> Floats:
        chosen = list(models)
        family, phi = kinships(self._graph, chosen, progress)
        rows = [family.index(model) for model in chosen]
        return np.asarray(phi[np.ix_(rows, rows)])

    def relationship(self, a: int, b: int) -> float:
        return 1.0 if a == b else float(relationships(self.kinship((a, b)))[0, 1])

    def inbreeding(self, model: int) -> float:
        return inbreeding(self._graph, model)


def _ids(nodes: Iterable[int]) -> Ids:
    return np.array(sorted(nodes), dtype=np.int32)
