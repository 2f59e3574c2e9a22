"""Kin of a model, from a snapshot alone and fast enough for a key press."""

from collections.abc import Iterable

import numpy as np

from lineage.ancestry.parent_edges import Ids
from lineage.drawing import folding
from lineage.drawing.family import Family
from lineage.records import Floats, Model, Parent
from tui.app.data.snapshot import Snapshot

MOST = 400
"""Models in a drawn graph at most; with more, edges cannot be followed by eye."""


def family_of(snapshot: Snapshot, ids: Iterable[int]) -> Family:
    """Models with what drawings show of them and of their parents.

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
    founder = s.is_founder(model)
    return Model(
        model,
        "founder" if founder else "offspring",
        s.columns.names.get(model),
        int(s.columns.generation[model]),
        s.operator(model),
        "",
        None if s.is_living(model) else int(s.columns.died[model]),
        s.cause(model),
        tuple(Parent(parent, share, "") for parent, share in s.parents(model).items()),
    )


def ancestors(snapshot: Snapshot, model: int, depth: int, most: int = MOST) -> tuple[Ids, int]:
    """A model and its ancestors, ids with the youngest first, and the depth that was reached.

    Args:
        snapshot: knows the parents.
        model: id.
        depth: generations of ancestors.
        most: models at most; the depth is smaller if there would be more.
    """
    members, edge = {model}, [model]
    for reached in range(depth):
        further = {parent for node in edge for parent in snapshot.parents(node)} - members
        if not further or len(members) + len(further) > most:
            return _descending(members), reached
        members |= further
        edge = sorted(further)
    return _descending(members), depth


def ancestors_through_lines(
    snapshot: Snapshot, model: int, depth: int, most: int = MOST
) -> tuple[Ids, int]:
    """The same as `ancestors`, where a line that was raised counts as one generation."""
    members, reached = folding.ancestors_through_lines(snapshot.parents, model, depth, most)
    return _descending(members), reached


def _descending(ids: Iterable[int]) -> Ids:
    return np.array(sorted(ids, reverse=True), np.int32)


def children(snapshot: Snapshot, model: int) -> Ids:
    """Ids of the children of a model, shape (children,), fittest first; 1 ms among a million."""
    links = snapshot.columns.parent_edges
    return fittest_first(snapshot, links.child[links.parent == np.int32(model)])


def fittest_first(snapshot: Snapshot, ids: Ids) -> Ids:
    """Ids by fitness, shape (models,); of equals the younger first, unscored models last."""
    fitness = np.nan_to_num(snapshot.columns.fitness[ids], nan=-np.inf)
    return np.asarray(ids[np.lexsort((-ids, -fitness))])


def gains(snapshot: Snapshot, line: Ids) -> Floats:
    """The fitness of each model of a line minus that of the next, shape (models,), or NaN."""
    fitness = snapshot.columns.fitness[line].astype(np.float64)
    return np.append(fitness[:-1] - fitness[1:], np.nan)


def by_gain(snapshot: Snapshot, model: int) -> list[int]:
    """Ids in the line of a model that beat their fitter parent, the largest gain first."""
    line = np.array(snapshot.line(model), np.int32)
    gain = gains(snapshot, line)
    order = np.argsort(-np.nan_to_num(gain), kind="stable")
    return [int(line[at]) for at in order if gain[at] > 0]
