"""Local search: recombined children take some gradient steps before they are judged.

What two parents give a child is a point to start from. Where scores can be differentiated, a few
steps of Adam on its coefficients, on fresh search items, show what the point is good for; then it
competes for a place, and what it came to is what it hands on. Evolutionary algorithms of this kind
are called memetic, this one Lamarckian (Moscato 1989, "On evolution, search, optimization, genetic
algorithms and martial arts"); a quality-diversity search with gradient steps is PGA-MAP-Elites
(Nilsson and Cully 2021).
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from lineage.records import Floats, Item
from population.campaign.context import Context, Progress
from population.config import GradientSettings
from population.evaluation.backward_pass import COST
from population.evaluation.intervals import scores_by_task
from population.evolution.population_state import BreedingState
from population.evolution.proposals import CENTRE, EMITTER, RAISE, Proposals
from population.gradient.descent import (
    Descent,
    DescentSettings,
    ItemSampler,
    new_descent,
    sampler_of,
)
from population.randomness import generator

SHORTER, STEEP = 0.5, 0.1
"""Part of the rate that the best line takes steps with where it gained less than `STEEP` in a
generation: near the top the longer ones lose as much as they win."""


def cost_of_steps(context: Context, children: int) -> int:
    """Item evaluations that the steps of so many children take at most."""
    settings, names = context.config.gradient, [task.name for task in context.tasks]
    each = context.weights.items_of_each(settings.items, names)
    return children * settings.steps * sum(each.values()) * COST


class LocalSearch:
    """Improves the genomes of recombined children by gradient descent.

    Args:
        context: with the founders.
        teaching: the search items of a generation, with keys or with what stands for them.
        seed: the campaign's.
        progress: called while models work; may raise to stop.
    """

    def __init__(
        self,
        context: Context,
        teaching: Callable[[int], Sequence[Item]],
        seed: int,
        progress: Progress,
    ) -> None:
        self._context, self._teaching = context, teaching
        self._seed, self._progress = seed, progress
        self._settings: GradientSettings = context.config.gradient

    def improve(
        self, proposals: Proposals, state: BreedingState, panel: Sequence[Item]
    ) -> Proposals:
        """The proposals with better genomes for the children that operators made of parents.

        Args:
            proposals: the children of a generation.
            state: the population that bred.
            panel: the items that its members were scored on.
        """
        rows = [
            row
            for row, child in enumerate(proposals.children)
            if child.operator not in {CENTRE, EMITTER}
        ]
        if not self._settings.steps or not rows:
            return proposals
        generation = state.generation + 1
        settings = DescentSettings(
            self._settings.rate,
            self._settings.steps,
            # A brood keeps all cores busy, and a pass over few items costs more for each.
            parts=-(-self._settings.parts // len(rows)),
            low=self._context.factory.space.space.low,
            high=self._context.factory.space.space.high,
        )
        items = self._teaching(generation)
        taught = {item.task for item in items}
        tasks = tuple(task.name for task in self._context.tasks if task.name in taught)
        raised = [proposals.children[row].operator == RAISE for row in rows]
        niches = [
            tasks if again else self._niche(row, state, panel, tasks)
            for row, again in zip(rows, raised, strict=True)
        ]
        samplers = [
            sampler_of(
                [item for item in items if item.task in niche],
                self._settings.items,
                self._context.weights,
            )
            for niche in niches
        ]
        descents = [
            new_descent(
                proposals.children[row].genome,
                int(generator(self._seed, "descent", generation, row).integers(1 << 31)),
            )
            for row in rows
        ]
        shorter = replace(settings, rate=SHORTER * settings.rate)
        each = [shorter if again and state.gain < STEEP else settings for again in raised]
        ends = self._descended(descents, samplers, each)
        children = list(proposals.children)
        for row, end in zip(rows, ends, strict=True):
            children[row] = replace(children[row], genome=end.genome)
        return replace(proposals, children=tuple(children))

    def _descended(
        self,
        descents: Sequence[Descent],
        samplers: Sequence[ItemSampler],
        settings: Sequence[DescentSettings],
    ) -> list[Descent]:
        total = len(descents) * self._settings.steps
        taken = self._context.engine.descended(
            descents,
            samplers,
            settings,
            self._settings.steps,
            lambda done: self._progress(done, total, "local search"),
        )
        return [steps[-1].descent for steps in taken]

    def _niche(
        self, row: int, state: BreedingState, panel: Sequence[Item], tasks: tuple[str, ...]
    ) -> tuple[str, ...]:
        """The tasks that a child is improved on: all, or one that is solved badly by everybody."""
        rng = generator(self._seed, "niche", state.generation + 1, row)
        if len(tasks) < 2 or rng.random() >= self._settings.niches:
            return tasks
        lacking = 0.02 + 1.0 - best_by_task(state.members.scores, panel, tasks)
        return (tasks[int(rng.choice(len(tasks), p=lacking / lacking.sum()))],)


def best_by_task(scores: Floats, panel: Sequence[Item], tasks: Sequence[str]) -> Floats:
    """The best mean score that a member has on each task; 1 for tasks without an item.

    Args:
        scores: shape (members, items).
        panel: the items.
        tasks: names.

    Returns:
        Shape (tasks,).
    """
    parts = scores_by_task(scores.T, [item.task for item in panel])
    return np.array([parts[name].mean(axis=0).max() if name in parts else 1.0 for name in tasks])
