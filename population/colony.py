"""The colony between two generations: everything that breeding needs to know, from the archive.

It is read anew after every commit. So there is no other state that could be lost, a resumed
campaign is the same code path as a running one, and whoever changes the archive between two
generations is heard.
"""

from dataclasses import dataclass

import numpy as np

from lineage import Archive
from lineage.kinship import Kinship
from lineage.records import Floats, Generation, Item, Model, Rating
from population.recipes import Basis


@dataclass(frozen=True)
class Colony:
    """The living and what is known of them. Arrays follow `members`: the founders, then the rest.

    Attributes:
        history: all committed generations.
        members: everyone living; founders never die, so that nothing is out of reach.
        founders: how many of the members are founders.
        genomes: shape (members, vectors, blocks).
        panel: the search items of the current epoch.
        exact: shape (members, items): exact match on the panel.
        probability: shape (members, items): probability of the key.
        relationship: shape (members, members), coefficients of relationship.
        children: how many children each member has had.
        ratings: the arena's, by model id.
        champion: id of the best living model on the selection split.
        next_id: the id of the next birth.
    """

    history: tuple[Generation, ...]
    members: tuple[Model, ...]
    founders: int
    genomes: Floats
    panel: tuple[Item, ...]
    exact: Floats
    probability: Floats
    relationship: Floats
    children: Floats
    ratings: dict[int, Rating]
    champion: int
    next_id: int

    @property
    def ids(self) -> tuple[int, ...]:
        """Ids of the members."""
        return tuple(model.id for model in self.members)

    @property
    def generation(self) -> int:
        """The last committed generation."""
        return self.history[-1].generation

    @property
    def epoch(self) -> int:
        """The epoch of the current panel."""
        return self.history[-1].epoch

    @property
    def spent(self) -> int:
        """Item evaluations so far."""
        return sum(generation.evaluations for generation in self.history)

    @property
    def scores(self) -> Floats:
        """What breeding goes by, shape (members, items) in [0, 1]; see `merit`."""
        return merit(self.exact, self.probability)


def merit(exact: Floats, probability: Floats) -> Floats:
    """The score that breeding goes by: half exact match, half probability of the key.

    Exact match is what counts but is silent until the last token is right; the probability of the
    key rises long before. Both come from the same forward pass.
    """
    return 0.5 * (exact + probability)


def load_colony(archive: Archive, basis: Basis, kinship: Kinship) -> Colony:
    """The colony as the archive's last generation left it. Needs one committed generation.

    Args:
        archive: where it lives.
        basis: what the rows of a genome mean.
        kinship: among the living, as of that generation (see `Kinship.replayed`).
    """
    history = tuple(archive.generations())
    members = tuple(archive.models(living=True))
    founders = sum(model.kind == "founder" for model in members)
    blocks = len(archive.blocks())
    offspring = [model.id for model in members[founders:]]
    genomes = np.concatenate(
        [
            np.array([basis.genome_of_founder(row, blocks) for row in range(founders)]),
            archive.genomes(offspring).reshape(len(offspring), len(basis.vectors), blocks),
        ]
    )
    genomes.setflags(write=False)  # what the archive says; breeding works on copies
    panel = tuple(archive.panel(history[-1].epoch))
    ids = [model.id for model in members]
    scores = archive.scores(ids, [item.id for item in panel])
    children = archive.children_counts()
    return Colony(
        history=history,
        members=members,
        founders=founders,
        genomes=genomes,
        panel=panel,
        exact=scores.exact,
        probability=scores.probability,
        relationship=kinship.relationship(ids),
        children=np.array([children.get(i, 0) for i in ids], dtype=np.float64),
        ratings=archive.ratings(history[-1].generation),
        champion=history[-1].champion,
        next_id=archive.newest_id() + 1,
    )


def task_means(items: tuple[Item, ...] | list[Item], scores: Floats) -> Floats:
    """Mean over tasks of the mean over a task's items, so that every task counts the same.

    Args:
        items: the columns of `scores`.
        scores: shape (models, items).

    Returns:
        shape (models,).
    """
    tasks = np.array([item.task for item in items])
    names = sorted(set(tasks.tolist()))
    return np.asarray(np.mean([scores[:, tasks == name].mean(axis=1) for name in names], axis=0))


def selection_score(means: dict[str, tuple[float, float]]) -> float:
    """The score that the champion is chosen by, from its (exact, probability) per task."""
    return float(np.mean([0.5 * (exact + probability) for exact, probability in means.values()]))
