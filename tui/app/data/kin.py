"""Kin: who is around a model, from a snapshot alone and fast enough for a key press."""

from collections.abc import Iterable

import numpy as np

from lineage.ancestry.parent_edges import Ids
from lineage.drawing.family import Family
from lineage.records import Floats, Model, Parent
from tui.app.data.snapshot import Snapshot

MOST = 400
"""Models that are drawn as a graph at most; beyond, nobody follows an edge."""


def family_of(snapshot: Snapshot, ids: Iterable[int]) -> Family:
    """Some models with what drawings say of them and of their parents.

    Hashes and the roles of parents are not in a snapshot, and no drawing shows them.
    """
    models = {model: _model(snapshot, model) for model in ids}
    near = models.keys() | {parent.id for row in models.values() for parent in row.parents}
    fitness = {i: value for i in near if (value := snapshot.fitness(i)) is not None}
    return Family(
        models,
        fitness,
        {model: int(snapshot.children[model]) for model in models},
        snapshot.champion,
        snapshot.columns.names,
    )


def _model(s: Snapshot, model: int) -> Model:
    founder = s.founder(model)
    return Model(
        model,
        "founder" if founder else "offspring",
        s.columns.names.get(model),
        int(s.columns.generation[model]),
        s.operator(model),
        "",
        None if s.lives(model) else int(s.columns.died[model]),
        s.cause(model),
        tuple(Parent(parent, share, "") for parent, share in s.parents(model).items()),
    )


def ancestors(snapshot: Snapshot, model: int, depth: int, most: int = MOST) -> tuple[Ids, int]:
    """A model and its ancestors up to a depth, the youngest first; and the depth that was reached.

    Goes no deeper than `most` models allow.
    """
    members, edge = {model}, [model]
    for reached in range(depth):
        further = {parent for node in edge for parent in snapshot.parents(node)} - members
        if not further or len(members) + len(further) > most:
            return _descending(members), reached
        members |= further
        edge = sorted(further)
    return _descending(members), depth


def _descending(ids: Iterable[int]) -> Ids:
    return np.array(sorted(ids, reverse=True), np.int32)


def children(snapshot: Snapshot, model: int) -> Ids:
    """The children of a model, the fittest first; a millisecond among a million."""
    links = snapshot.columns.parent_edges
    return fittest_first(snapshot, links.child[links.parent == np.int32(model)])


def fittest_first(snapshot: Snapshot, ids: Ids) -> Ids:
    """Models by fitness; of equals the younger comes first, and last who was never scored."""
    fitness = np.nan_to_num(snapshot.columns.fitness[ids], nan=-np.inf)
    return np.asarray(ids[np.lexsort((-ids, -fitness))])


def gains(snapshot: Snapshot, line: Ids) -> Floats:
    """What each model of a line won over the next, shape (models,); NaN where nobody knows."""
    fitness = snapshot.columns.fitness[line].astype(np.float64)
    return np.append(fitness[:-1] - fitness[1:], np.nan)


def by_gain(snapshot: Snapshot, model: int) -> list[int]:
    """Those of the line of a model that won something over their fitter parent, the most first."""
    line = np.array(snapshot.line(model), np.int32)
    won = gains(snapshot, line)
    order = np.argsort(-np.nan_to_num(won), kind="stable")
    return [int(line[at]) for at in order if won[at] > 0]
