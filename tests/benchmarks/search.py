"""Merging language models: a campaign and its rivals on the founders and tasks that ship.

    python -m tests.benchmarks.search --budget 60000 --seeds 5 --json OUT
    python -m tests.benchmarks.search --ablations --budget 60000 --seeds 5 --json OUT

Everyone may spend the same number of item evaluations: one model on one item counts 1. At every
checkpoint it is remembered what each would report, and when a search is over these models are
scored on the sealed test split: exact match, as a mean over tasks ("test") and on each of them
("test/sum").

- colony is a campaign as users run it; it decides itself which items it asks, and pays for the
  arena, the gate and the selection split as well. Its coverage is what its living offspring can do
  together: the mean over tasks of the best of them, chosen on the selection split.
- gradient descends on the likelihood of the keys, as AdaMerging (arXiv 2310.02575) and aTLAS
  (arXiv 2407.02880) do, with a coefficient for each founder and tensor; gradient_per_layer has one
  for each founder and layer, gradient_per_slice one for each founder and sixteenth of the rows of a
  matrix. fine_tuning moves all floating weights, in fp32. Both start at a task arithmetic with 0.3.
  An item counts 3 in a step, as a backward pass costs two forward passes. All four pay for the
  selection split at every checkpoint and report the best that they have seen there.
- sweep, random_search, stock_pygad and cma_es search a coefficient for every founder and half of a
  layer; m2n2, map_elites and pso have all weights of a model in a row. They score each candidate on
  one fixed panel of search items, by the colony's own merit.

With --ablations the colony runs with one part taken away at a time, or with more merge methods.
"""

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # as the command line does, before torch loads

import numpy as np
import torch

from arena.errors import TaskError
from arena.tasks import sample_panel
from lineage.records import Floats, Item
from population.analysis.baselines import baselines, uniform
from population.campaign.context import Context
from population.campaign.loop import Campaign
from population.campaign.opening_context import found_archive, open_context
from population.campaign.state import PopulationState, merit, task_means
from population.config import Budget, Config, load_config
from population.engines.interface import WeightMaker
from population.errors import PopulationError
from population.evaluation.backward_pass import COST
from population.evaluation.evaluator import Evaluator, PreparedItems
from population.evaluation.pool import EvaluatorPool
from population.gradient.descent import (
    START,
    Descent,
    DescentSettings,
    ItemSampler,
    adam_step,
    descend_together,
    new_descent,
    sampler_of,
)
from population.models.blocks import Granularity, layout_of
from population.models.checkpoints import Checkpoint
from population.randomness import generator
from population.weights.genomes import Basis
from population.weights.materialise import Materialiser, State
from tests.benchmarks.foundings import foundings_of
from tests.benchmarks.harness import (
    BenchmarkError,
    Budgeted,
    Method,
    Results,
    Run,
    Trail,
    checkpoints,
    chosen,
    parser_of,
    positive,
    run_all,
)
from tests.benchmarks.rivals import RIVALS
from tests.benchmarks.rivals.cma_es import CmaEsSettings
from tests.benchmarks.rivals.m2n2 import M2N2Settings
from tests.benchmarks.rivals.map_elites import MapElitesSettings
from tests.benchmarks.rivals.problem import Problem, Referee, Spent
from tests.benchmarks.rivals.pso import MIDDLE_OF_SWEEP
from tests.benchmarks.rivals.random_search import RandomSearchSettings
from tests.benchmarks.rivals.stock_pygad import StockPygadSettings

CHECKPOINTS = (3_000, 10_000, 30_000, 60_000, 120_000, 240_000)
"""Item evaluations after which the incumbents are remembered; and at the end."""

PANEL = 240
"""Search items that a rival scores every candidate on."""

BOX = (0.0, 1.0)
"""Where random search and pygad look: a stronger prior than the colony's own box of -1 to 2."""

MERGES = ("sweep", "random_search", "stock_pygad", "cma_es", "cma_es_tuned")
"""They search coefficients."""

WEIGHTS = ("m2n2", "map_elites", "pso")
"""They search weights."""

GRADIENTS: dict[str, tuple[Granularity, int]] = {
    "gradient": ("tensor", 1),
    "gradient_per_layer": ("layer", 1),
    "gradient_per_slice": ("slice", 16),
}
"""They descend on coefficients of blocks of that kind, so many to a matrix."""

GRADIENT_ITEMS, GRADIENT_RATE = 24, 0.03
"""Search items of a step of theirs, and Adam's step length."""

FINE_TUNING_RATE = 1e-4
"""Adam's step length where all weights move: the best of 1e-4, 3e-4 and 1e-3."""

RIVAL_BLOCKS = "half"
"""Where the recipes of rivals that see scores alone may cut: 72 coefficients they can search."""

TOLD_EVERY = 8
"""Steps of a descent between two messages of progress."""

Variant = Callable[[Config], Config]
"""Another configuration of the colony."""


def changed(**sections: Mapping[str, Any]) -> Variant:
    """The variant with some settings of some sections changed."""

    def change(config: Config) -> Config:
        content = config.model_dump()
        for section, settings in sections.items():
            content[section] |= settings
        return Config.model_validate(content)

    return change


def without_gradient(**search: Any) -> Variant:
    """The variant without gradients, with the defaults of such a search but for some settings."""
    defaults = Config.model_validate({"gradient": {"steps": 0}})
    return changed(
        gradient={"steps": 0},
        search={**defaults.search.model_dump(), **search},
        arena=defaults.arena.model_dump(),
    )


SEVERAL_METHODS = ["linear", "ties", "dare_ties", "della", "breadcrumbs"]

VARIANTS: dict[str, Variant] = {
    "colony": lambda config: config,
    "no_gradient": without_gradient(),
    "methods": changed(search={"methods": SEVERAL_METHODS}),
    "methods_no_gradient": without_gradient(methods=SEVERAL_METHODS),
    "dare_ties_per_layer": without_gradient(methods=["dare_ties"], blocks="layer"),
    "no_niches": changed(gradient={"niches": 0.0}),
    "parents_by_chance": changed(
        search={"attraction": False}, arena={"weight": 0.0, "judges": 0, "tournament": 1}
    ),
    "no_attraction": changed(search={"attraction": False}),
    "no_arena": changed(arena={"weight": 0.0, "judges": 0}),
    "no_sharing": changed(search={"sharing": 0.0}),
    "no_bandit": changed(search={"bandit": False}),
    "blocks_tensor": changed(search={"blocks": "tensor"}),
    "no_gate": changed(gate={"enabled": False}),
    "survival_niches": changed(search={"survival": "niches"}),
    "survival_elitism": changed(search={"survival": "elitism"}),
}
"""The colony, the colony without one of its parts, and with more merge methods.

What arXiv 2403.13187 (section 3.1) searches in parameter space, DARE-TIES with a weight and a
density for each model and layer, is dare_ties_per_layer; mergekit-evolve searches the same, and
other methods alike.

What remains of it with one line only, which nobody else joins, is the method gradient_per_slice.
"""


@dataclass(frozen=True)
class Experiment:
    """What is asked of every method.

    Attributes:
        config: of the colony; its founders and tasks are everyone's.
        budget: item evaluations.
        panel: search items that a rival scores every candidate on.
        box: the smallest and the largest coefficient that random_search and stock_pygad draw.
        gradient_items: search items of a step of gradient descent.
        gradient_rate: Adam's step length there.
        fine_tuning_rate: its step length where all weights move.
    """

    config: Config
    budget: int
    panel: int = PANEL
    box: tuple[float, float] = BOX
    gradient_items: int = GRADIENT_ITEMS
    gradient_rate: float = GRADIENT_RATE
    fine_tuning_rate: float = FINE_TUNING_RATE

    @cached_property
    def context(self) -> Context:
        """Where rivals work."""
        return open_context(changed(search={"blocks": RIVAL_BLOCKS})(self.config))

    def trail(self, first: Floats, told: Callable[[int], None]) -> Trail:
        """A trail that starts at a founder."""
        return Trail(checkpoints(CHECKPOINTS, self.budget), first, told)

    def settings(self) -> dict[str, Any]:
        """What results depend on."""
        return {
            "budget": self.budget,
            "panel": self.panel,
            "box": self.box,
            "gradient": [self.gradient_items, self.gradient_rate, self.fine_tuning_rate],
            "founders": {founder.name: founder.sha256() for founder in self.context.founders},
            "tasks": [task.name for task in self.context.tasks],
            "config": self.config.model_dump(
                mode="json",
                exclude={
                    "budget": True,
                    "founders": {"paths"},
                    "tasks": {"paths"},
                    "run": {"seed"},
                },
            ),
        }


# The methods


def methods(experiment: Experiment) -> dict[str, Method]:
    """The colony and its rivals."""
    found: dict[str, Method] = {"colony": partial(colony, experiment, VARIANTS["colony"])}
    for name in (*MERGES, *WEIGHTS):
        found[name] = partial(rival, experiment, name)
    for name, (granularity, groups) in GRADIENTS.items():
        found[name] = partial(gradient, experiment, granularity, groups)
    return found | {"fine_tuning": partial(fine_tuning, experiment)}


def ablations(experiment: Experiment) -> dict[str, Method]:
    """The colony and its variants."""
    return {name: partial(colony, experiment, variant) for name, variant in VARIANTS.items()}


def colony(experiment: Experiment, variant: Variant, seed: int, told: Callable[[int], None]) -> Run:
    """A campaign; it reports its champion."""
    context = open_context(changed(run={"seed": seed})(variant(experiment.config)))
    trail = experiment.trail(context.genome_of_founder(0), told)
    living: dict[int, Floats] = {}

    def note(state: PopulationState) -> None:
        members = state.breeding.members
        champion = state.ids.index(state.breeding.champion)
        trail.tell(state.spent, members.genomes[champion])
        for checkpoint in trail.incumbents:
            if state.spent <= checkpoint:
                living[checkpoint] = members.genomes[members.offspring]

    with TemporaryDirectory() as folder, trail.clock():
        archive = found_archive(Path(folder) / "colony.duckdb", context)
        limit = Budget(item_evaluations=experiment.budget)
        Campaign(archive, context, limit, on_generation=note).run()
        bred = vars(foundings_of(archive, context))
    run = measured(context, context.factory.maker, trail)
    lines = {f"foundings/{what}": {str(trail.budget): found} for what, found in bred.items()}
    return replace(run, scores={**run.scores, **coverage(context, living), **lines})


def rival(experiment: Experiment, name: str, seed: int, told: Callable[[int], None]) -> Run:
    """A rival; it reports the best that it has seen on its panel."""
    context, basis = experiment.context, experiment.context.factory.basis
    maker: WeightMaker = context.factory.materialiser
    founders = np.array(
        [context.factory.parameter_space.founder(f) for f in range(len(basis.founders))]
    )
    if name in WEIGHTS:
        maker = flat = FlatMaker(context.founders)
        founders = flat.founders
    items = sample_panel(
        context.tasks, int(generator(seed, "panel").integers(1 << 31)), experiment.panel
    )
    prepared = context.evaluator.prepare_keys(items)
    trail = experiment.trail(founders[0], told)

    def evaluate(vectors: Floats) -> Floats:
        return merit(*scored(context, maker, vectors, prepared))

    problem = Budgeted(founders, evaluate, len(items), trail)
    with trail.clock(), suppress(Spent):
        if name == "sweep":
            sweep(problem, basis, len(context.factory.layout.blocks))
        else:
            settings = settings_of(name, experiment, items)
            RIVALS[name.removesuffix("_tuned")](problem, generator(seed, name), settings)
    return measured(context, maker, trail)


def gradient(
    experiment: Experiment,
    granularity: Granularity,
    groups: int,
    seed: int,
    told: Callable[[int], None],
) -> Run:
    """Gradient descent on coefficients of the founders in blocks."""
    context = experiment.context
    founder, basis = context.founders[0], context.factory.basis
    shapes = {name: header.shape for name, header in founder.tensors.items()}
    maker_of = partial(
        Materialiser,
        context.founders,
        basis,
        layout_of(shapes, founder.config, granularity, groups),
        device=context.evaluator.device,
        threads=context.config.run.threads,
    )
    exact, stored = maker_of(rounded=False), maker_of()
    settings = DescentSettings(rate=experiment.gradient_rate)
    blocks = len(stored.layout.blocks)

    def advance(pool: EvaluatorPool, descent: Descent, sampler: ItemSampler, steps: int) -> Descent:
        (taken,) = descend_together(pool, exact, [descent], [sampler], [settings], steps)
        return taken[-1].descent

    start = new_descent(np.full((len(basis.vectors), blocks), START), seed)
    trail = experiment.trail(basis.genome_of_founder(0, blocks).ravel(), told)
    return descended(experiment, trail, start, advance, stored)


def fine_tuning(experiment: Experiment, seed: int, told: Callable[[int], None]) -> Run:
    """Gradient descent on all floating weights, from the task arithmetic with 0.3."""
    context = experiment.context
    basis, layout = context.factory.basis, context.factory.layout
    exact, stored = FlatMaker(context.founders, rounded=False), FlatMaker(context.founders)
    merge = Materialiser(context.founders, basis, layout, rounded=False)
    merged = merge.one(np.full((len(basis.vectors), len(layout.blocks)), START))
    settings = DescentSettings(rate=experiment.fine_tuning_rate)

    def advance(pool: EvaluatorPool, descent: Descent, sampler: ItemSampler, steps: int) -> Descent:
        def work(number: int, evaluator: Evaluator, state: State) -> Descent:
            now = descent
            for _ in range(steps):
                prepared = evaluator.prepare_keys(sampler(now.seed, now.steps))
                slope = exact.zeros()

                def add(name: str, by_tensor: torch.Tensor, slope: State = slope) -> None:
                    slope[name].add_(by_tensor.cpu())

                evaluator.loss(exact.one(now.genome), prepared, add)
                now = adam_step(now, exact.flat(slope), settings)
            return now

        return pool.map(exact.siblings([descent.genome]), work)[0]

    trail = experiment.trail(stored.founders[0], told)
    return descended(experiment, trail, new_descent(exact.flat(merged), seed), advance, stored)


Advance = Callable[[EvaluatorPool, Descent, ItemSampler, int], Descent]
"""Takes so many steps of a descent."""


def descended(
    experiment: Experiment, trail: Trail, descent: Descent, advance: Advance, maker: WeightMaker
) -> Run:
    """Go down; what is reported is the best on the selection split, which is paid for."""
    context = experiment.context
    # On a CPU a backward pass in bf16 takes a quarter longer than in fp32.
    evaluator = context.evaluator.clone("float32")
    pool = EvaluatorPool(evaluator, context.config.run.threads, evaluators=1)
    sampler = sampler_of(context.split("search"), experiment.gradient_items)
    cost = COST * len(sampler(descent.seed, 0))
    selection = context.split("selection")
    prepared = context.evaluator.prepare_keys(selection)
    best = -np.inf
    with trail.clock():
        for checkpoint in trail.incumbents:
            room = checkpoint - len(selection)
            while (steps := min(TOLD_EVERY, (room - trail.spent) // cost)) > 0:
                descent = advance(pool, descent, sampler, steps)
                trail.pay(cost * steps)
            if trail.spent > room:
                continue
            scores = scored(context, maker, [descent.genome], prepared)
            trail.pay(len(selection))
            if (score := float(task_means(selection, merit(*scores))[0])) > best:
                best = score
                trail.tell(trail.spent, descent.genome)
    return measured(context, maker, trail)


def settings_of(name: str, experiment: Experiment, items: Sequence[Item]) -> Any:
    """A rival's settings: the published ones, as far as they are not about these models."""
    space = experiment.context.factory.parameter_space
    names = [task.name for task in experiment.context.tasks]
    tasks = np.array([names.index(item.task) for item in items])
    even, odd = (np.flatnonzero(tasks % 2 == rest) for rest in (0, 1))
    equal = np.full(space.space.genes, 1 / len(space.vectors))
    known = {
        "random_search": RandomSearchSettings(*experiment.box),
        "stock_pygad": StockPygadSettings(*experiment.box),
        # mergekit-evolve: a weight for each model and group of layers, at first all the same.
        "cma_es": CmaEsSettings(sigma=1 / 6, start=equal),
        # What no published tool does: started at a good task arithmetic, with the colony's steps.
        "cma_es_tuned": CmaEsSettings(sigma=0.3, start=np.full(space.space.genes, 0.5)),
        "m2n2": M2N2Settings(),
        "map_elites": MapElitesSettings((even, odd)),
        "pso": MIDDLE_OF_SWEEP,
    }
    return known[name]


def sweep(problem: Problem, basis: Basis, blocks: int) -> None:
    """The standard merges that people make by hand, chosen on search items; it stops by itself."""

    referee = Referee(problem)

    def on_search(genomes: Sequence[Floats]) -> list[float]:
        means: list[float] = referee.means(np.array([g.ravel() for g in genomes])).tolist()
        return means

    alone = on_search(list(problem.founders))
    on_search([uniform(basis, blocks).genome])
    baselines(basis, blocks, alone, on_search)


class FlatMaker:
    """Makes weights from weights: a `WeightMaker` for searches that know of no blocks.

    A vector holds all floating tensors of a model one after the other, in the order of their names.

    Args:
        founders: compatible checkpoints.
        rounded: whether weights have the founders' dtype; otherwise they stay in fp32.
    """

    batch = 1

    def __init__(self, founders: Sequence[Checkpoint], *, rounded: bool = True) -> None:
        self._rounded = rounded
        first = founders[0]
        self._headers = {
            name: header for name, header in sorted(first.tensors.items()) if header.dtype.floating
        }
        self._others = {
            name: first.tensor(name) for name in first.tensors if name not in self._headers
        }
        self.founders: Floats = np.array(
            [
                np.concatenate([np.ravel(founder.wide(name)) for name in self._headers])
                for founder in founders
            ],
            dtype=np.float64,
        )

    def siblings(self, genomes: Sequence[Floats], /) -> Iterator[State]:
        """The weights for each vector."""
        sizes = [header.parameters for header in self._headers.values()]
        for vector in genomes:
            parts = torch.split_with_sizes(torch.from_numpy(vector.astype(np.float32)), sizes)
            yield self._others | {
                name: part.view(header.shape).to(
                    getattr(torch, header.dtype.name) if self._rounded else torch.float32
                )
                for (name, header), part in zip(self._headers.items(), parts, strict=True)
            }

    def one(self, vector: Floats) -> State:
        """The weights for one vector."""
        return next(self.siblings([vector]))

    def zeros(self) -> State:
        """Nothing for every floating tensor, in fp32."""
        return {name: torch.zeros(header.shape) for name, header in self._headers.items()}

    def flat(self, state: State) -> Floats:
        """The vector of some weights."""
        parts = [state[name].double().numpy().ravel() for name in self._headers]
        return np.concatenate(parts)


# Scoring


def scored(
    context: Context,
    maker: WeightMaker,
    vectors: Sequence[Floats] | Floats,
    prepared: PreparedItems,
) -> tuple[Floats, Floats]:
    """Exact match and probability of the key, shape (vectors, items) each."""

    def score(number: int, evaluator: Evaluator, state: State) -> tuple[Floats, Floats]:
        return evaluator.score(prepared)

    exact, probability = zip(*context.map_models(list(vectors), score, maker=maker), strict=True)
    return np.array(exact), np.array(probability)


def measured(context: Context, maker: WeightMaker, trail: Trail) -> Run:
    """What a search came to: only now the test split is opened."""
    items = context.split("test")
    prepared = context.evaluator.prepare_keys(items)
    scores = scored(context, maker, list(trail.incumbents.values()), prepared)
    exact = {task: found for task, (found, _) in by_task(items, scores).items()}
    reported = {"test": task_means(items, scores[0])}
    reported |= {f"test/{task}": found for task, found in exact.items()}
    names = [str(checkpoint) for checkpoint in trail.incumbents]
    by_checkpoint = {
        what: dict(zip(names, found.tolist(), strict=True)) for what, found in reported.items()
    }
    return Run(by_checkpoint, trail.seconds, trail.spent)


def coverage(context: Context, living: Mapping[int, Floats]) -> dict[str, dict[str, float]]:
    """What the living can do together: the best on each task, and the mean of that over tasks.

    Who is best on a task is chosen on the selection split, and reported is the test split.

    Args:
        context: of the campaign.
        living: offspring, shape (models, genes), by checkpoint.

    Returns:
        By "coverage" or "coverage/TASK", and by checkpoint.
    """
    found: dict[str, dict[str, float]] = {}
    for checkpoint, genomes in living.items():
        selection, test = (
            by_task(items, scored(context, context.factory.maker, genomes, prepared))
            for items in (context.split("selection"), context.split("test"))
            for prepared in [context.evaluator.prepare_keys(items)]
        )
        best = {task: int(merit(*scores).argmax()) for task, scores in selection.items()}
        exact = {task: float(test[task][0][of]) for task, of in best.items()}
        means = {"coverage": float(np.mean(list(exact.values())))}
        means |= {f"coverage/{task}": score for task, score in exact.items()}
        for what, score in means.items():
            found.setdefault(what, {})[str(checkpoint)] = score
    return found


def by_task(
    items: Sequence[Item], scores: tuple[Floats, Floats]
) -> dict[str, tuple[Floats, Floats]]:
    """Mean exact match and probability of the key, shape (models,) each, by task."""
    columns: dict[str, list[int]] = {}
    for column, item in enumerate(items):
        columns.setdefault(item.task, []).append(column)
    exact, probability = scores
    return {
        task: (exact[:, of].mean(axis=1), probability[:, of].mean(axis=1))
        for task, of in columns.items()
    }


# The command line


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is asked for and print it."""
    parser = parser_of(__doc__)
    parser.add_argument("--budget", type=positive, required=True, help="item evaluations")
    parser.add_argument(
        "--box", nargs=2, type=float, default=BOX, help="of random_search and stock_pygad"
    )
    parser.add_argument("--ablations", action="store_true", help="compare variants of the colony")
    args = parser.parse_args(arguments)
    try:
        config = changed(run={"threads": args.threads})(load_config(None))
        experiment = Experiment(config, args.budget, box=tuple(args.box))
        known = ablations(experiment) if args.ablations else methods(experiment)
        results = Results(args.json, experiment.settings())
        run_all(chosen(known, args.methods), args.seeds, args.budget, results)
    except (BenchmarkError, PopulationError, TaskError) as error:
        parser.exit(2, f"search: {error}\n")
    sys.stdout.write(results.text())


if __name__ == "__main__":
    main()
