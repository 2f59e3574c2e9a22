"""The population state between two generations, loaded from the archive.

It is read anew after every commit. So there is no other state that could be lost, a resumed
campaign is the same code path as a running one, and changes of the archive between two generations
take effect.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np

from lineage import Archive
from lineage.ancestry.kinship import Kinship
from lineage.commands.definitions import pinned
from lineage.merit import merit
from lineage.queries.fitness import fitness_of
from lineage.records import Floats, Generation, Item, Model, Rating
from lineage.task_weights import EQUAL, TaskWeights, weights_of
from population.evolution.bandit import Arm
from population.evolution.evolution_strategy import EvolutionStrategyEmitter, with_genes
from population.evolution.population_state import BreedingState, Members, SearchState
from population.evolution.spaces import SearchSpace


@dataclass(frozen=True)
class PopulationState:
    """The living, with scores and ratings. Arrays follow `members`: the founders, then the rest.

    Attributes:
        history: all committed generations.
        members: all living models; founders never die.
        panel: the search items that the living are compared on.
        exact: shape (members, items): exact match on the panel.
        probability: shape (members, items): probability of the key.
        ratings: the arena's, by model id.
        breeding: the same as the evolver needs it, and what the search has learned.
        crowned: the champion's score on the selection split; None where a jury crowned it.
    """

    history: tuple[Generation, ...]
    members: tuple[Model, ...]
    panel: tuple[Item, ...]
    exact: Floats
    probability: Floats
    ratings: dict[int, Rating]
    breeding: BreedingState
    crowned: float | None = None

    @property
    def ids(self) -> tuple[int, ...]:
        """Ids of the members."""
        return self.breeding.members.ids

    @property
    def champion(self) -> Model:
        """The best of the living by the selection split."""
        return self.members[self.ids.index(self.breeding.champion)]

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
    def tokens(self) -> int:
        """Tokens that models read, learned or generated so far."""
        return sum(generation.tokens for generation in self.history)

    @property
    def worked_s(self) -> float:
        """Seconds of work so far, over all runs."""
        return sum(generation.wall_s for generation in self.history)


def load_population(archive: Archive, space: SearchSpace, kinship: Kinship) -> PopulationState:
    """The population after the archive's last generation, of which there must be one.

    Args:
        archive: of the campaign.
        space: what genomes mean.
        kinship: among the living, as of that generation (see `Kinship.replayed`).
    """
    history = tuple(archive.generations())
    last = history[-1]
    living = archive.models(living=True)
    models = tuple(sorted(living, key=lambda model: (model.kind != "founder", model.id)))
    panel = tuple(archive.panel(last.epoch))
    panel_scores = archive.scores([model.id for model in models], [item.id for item in panel])
    scores = merit(panel_scores.exact, panel_scores.probability)
    ratings = archive.ratings(last.generation)
    breeding = BreedingState(
        generation=last.generation,
        members=_members(archive, space, kinship, models, panel, scores, ratings),
        search=_search_state(archive, space, last.generation),
        champion=last.champion,
        next_id=archive.newest_id() + 1,
        coverage=max(past.item_coverage for past in history),
        pinned=tuple(pinned(archive)),
        gain=gain_of(history),
    )
    crowned = fitness_of(archive, [last.champion], "selection").get(last.champion)
    return PopulationState(
        history,
        models,
        panel,
        panel_scores.exact,
        panel_scores.probability,
        ratings,
        breeding,
        crowned,
    )


def gain_of(history: Sequence[Generation]) -> float:
    """How far the best of the living rose in the last generation; a first one starts from nothing.

    On another panel that cannot be said, and counts as nothing.
    """
    if len(history) < 2:
        return history[-1].best
    before, last = history[-2:]
    return last.best - before.best if last.epoch == before.epoch else 0.0


def _members(
    archive: Archive,
    space: SearchSpace,
    kinship: Kinship,
    models: Sequence[Model],
    panel: tuple[Item, ...],
    scores: Floats,
    ratings: Mapping[int, Rating],
) -> Members:
    """The living as the evolver needs them; `scores` are theirs on the panel."""
    ids = tuple(model.id for model in models)
    weights = weights_of(archive.campaign()[1])
    founders = sum(model.kind == "founder" for model in models)
    genomes = np.zeros((len(ids), space.space.genes))
    genomes[:founders] = [space.founder(row) for row in range(founders)]
    bred = archive.genomes(ids[founders:])
    genomes[founders:, : bred.shape[1]] = bred
    genomes.setflags(write=False)  # what the archive says; breeding works on copies
    children = archive.children_counts()
    return Members(
        ids=ids,
        founders=founders,
        genomes=genomes,
        hashes=tuple(model.identity for model in models),
        scores=scores,
        means=task_means(panel, scores, weights),
        relationship=kinship.relationship(ids),
        founder_shares=kinship.founder_shares(ids),
        children=np.array([children.get(i, 0) for i in ids], dtype=np.float64),
        rating=np.array([ratings[i].rating if i in ratings else 0.0 for i in ids]),
        deviation=np.array([ratings[i].deviation if i in ratings else 1.0 for i in ids]),
    )


def _search_state(archive: Archive, space: SearchSpace, generation: int) -> SearchState:
    """What the search had learned by the end of a generation."""
    row = archive.search(generation)
    emitter = EvolutionStrategyEmitter(
        **{part.name: getattr(row, part.name) for part in fields(EvolutionStrategyEmitter)}
    )
    bandit = {
        row.operator: Arm(**{part.name: getattr(row, part.name) for part in fields(Arm)})
        for row in archive.operators(generation)
    }
    return SearchState(with_genes(emitter, space.space.genes), row.origin, bandit)


def task_means(items: Sequence[Item], scores: Floats, weights: TaskWeights = EQUAL) -> Floats:
    """Mean over tasks of the mean over a task's items.

    Args:
        items: the columns of `scores`.
        scores: shape (models, items).
        weights: of the tasks.

    Returns:
        Shape (models,).
    """
    return np.asarray(scores @ weights.of_items([item.task for item in items]))


def selection_score(means: dict[str, tuple[float, float]], weights: TaskWeights = EQUAL) -> float:
    """The score that the champion is chosen by, from its (exact, probability) per task.

    >>> selection_score({"sum": (1.0, 0.5), "sort": (0.0, 0.5)})
    0.5
    """
    return weights.mean(
        {task: merit(exact, probability) for task, (exact, probability) in means.items()}
    )
