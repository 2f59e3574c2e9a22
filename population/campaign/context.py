"""The context: founders, tasks and a network, ready to make models.

`opening_context` makes it of founders that it has checked. Campaigns, reports, exports and checks
all work here. What is costly is done when first needed: a check replays recipes and never builds
the network.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
import torch

from arena import Task
from arena.tasks.sampling import evaluations_each, evaluations_of
from lineage import Archive
from lineage.records import Floats, Item, Model
from lineage.task_weights import TaskWeights
from population.campaign.descent_pool import DescentPool
from population.campaign.model_factory import ModelFactory
from population.campaign.model_work import Identified, Scoring
from population.campaign.opened_tasks import OpenedTasks
from population.config import Config
from population.engines.interface import Engine, Lost, OnResult, WeightMaker, Work
from population.engines.local import LocalEngine
from population.evaluation.batching import PreparedItems
from population.evaluation.evaluator import Evaluator
from population.evaluation.pool import EvaluatorPool
from population.evolution.extensions import Components, Extensions
from population.evolution.spaces.parameter import ParameterSpace
from population.failures import FailureLog
from population.models.blocks import Layout
from population.models.checked_hashes import checked_sha256
from population.models.checkpoints import Checkpoint
from population.weights.fingerprint import checkpoint_fingerprint
from population.weights.genomes import Basis
from population.weights.geometry import Geometry, geometry_of
from population.weights.identity import FounderHashes, identity_of
from population.weights.materialise import State

T = TypeVar("T")

Progress = Callable[[int, int, str], None]
"""Called with (done, total, label) while something takes time."""


def silent(done: int, total: int, what: str) -> None:
    """Ignore progress; see `Progress`."""


@dataclass(frozen=True)
class ScoredModels:
    """Scores of some models on the same items.

    Attributes:
        identities: of each model's weights, see `Context.identify`.
        exact: shape (models, items).
        probability: shape (models, items).
    """

    identities: tuple[str, ...]
    exact: Floats
    probability: Floats


class Context:
    """Everything that models are made of and scored with.

    Args:
        config: with paths resolved.
        founders: the checkpoints, compatible with each other, in archive order.
        basis: what the rows of a genome mean.
        layout: what its columns mean.
        hashes: of the founders' weights, of an archive that exists.
        extensions: operators, survival rules and judges from outside the project.
    """

    def __init__(
        self,
        config: Config,
        founders: Sequence[Checkpoint],
        basis: Basis,
        layout: Layout,
        hashes: FounderHashes | None = None,
        extensions: Extensions | None = None,
    ) -> None:
        self.by_fingerprint = hashes is None or hashes.fingerprints is not None
        """Whether models are identified by their fingerprint, see `identify`."""
        if hashes is not None:
            self.hashes = hashes
        self.progress: Progress = silent
        """Called while something is made that takes time when it is first needed."""
        self.config = config
        self.components = Components(config, extensions or Extensions())
        self.factory = ModelFactory(config, self.components, founders, basis, layout)
        self.failures = FailureLog()
        """Failures that were passed over."""
        self._tasks = OpenedTasks(
            config.tasks,
            [(founder.name, founder.path) for founder in _base_first(self.founders, basis.base)],
            self.founders[0].path,
            self.failures,
            keyed=config.search.merit == "keys",
        )
        torch.set_num_threads(config.run.threads or os.cpu_count() or 1)

    @property
    def founders(self) -> tuple[Checkpoint, ...]:
        """The checkpoints, in archive order."""
        return self.factory.founders

    @cached_property
    def hashes(self) -> FounderHashes:
        """Of the founders' weights."""
        return FounderHashes(
            tuple(checked_sha256(founder) for founder in self.founders),
            tuple(checkpoint_fingerprint(founder) for founder in self.founders),
        )

    def identify(self, state: State) -> str:
        """What tells weights from others in the archive: their fingerprint, else their SHA-256."""
        return identity_of(state, by_fingerprint=self.by_fingerprint)

    def identity_made_by(self, genome: Floats) -> str:
        """The identity of the weights that a genome of this context's space makes, made here."""
        (state,) = self.factory.maker.siblings([genome])
        return self.identify(state)

    @property
    def tasks(self) -> Sequence[Task]:
        """The tasks, without items that no model could answer."""
        return self._tasks.tasks

    @property
    def weights(self) -> TaskWeights:
        """How much each task counts in a mean over tasks."""
        return self.config.tasks.task_weights

    def evaluations(self, items: Iterable[Item]) -> int:
        """Item evaluations that it takes to score a model on some items by their keys."""
        return evaluations_of({task.name: task for task in self.tasks}, items)

    def max_evaluations(self, count: int) -> int:
        """Item evaluations that a model takes at most where `count` items are sampled."""
        each = self.weights.items_of_each(count, [task.name for task in self.tasks])
        return sum(each[task.name] * evaluations_each(task) for task in self.tasks)

    def check_items(self) -> list[str]:
        """Look at every item of the open splits; what there is to say of them, in sentences.

        Raises:
            TaskError: a file is missing or broken, or items cannot be asked and are not to be
                left out.
        """
        return self._tasks.check()

    @cached_property
    def geometry(self) -> Geometry | None:
        """Lengths and angles of what genomes make; paths have none."""
        factory = self.factory
        if not isinstance(factory.space, ParameterSpace):
            return None
        return geometry_of(
            factory.founders,
            factory.basis,
            factory.layout,
            lambda done, total: self.progress(done, total, "measuring angles"),
        )

    @cached_property
    def evaluator(self) -> Evaluator:
        """The network that takes the weights of every model in turn."""
        run = self.config.run
        self.progress(0, 1, "building the network")
        return Evaluator(
            self.founders[0].path,
            stored=getattr(torch, self.founders[0].dtype.name),
            device=run.device,
            dtype=run.dtype,
            batch_tokens=run.batch_tokens,
            tokenizer=self._tasks.readers.tokenizer,
            tasks={task.name: task for task in self.tasks},
        )

    @cached_property
    def pool(self) -> EvaluatorPool:
        """The evaluators of this process that share the work of a generation."""
        plan = self.factory.plan
        return EvaluatorPool(self.evaluator, self.config.run.threads, plan.evaluators, plan.waiting)

    @cached_property
    def engine(self) -> Engine:
        """Makes models of the campaign's genomes and works with them."""
        descents = DescentPool(lambda: self.evaluator, self.factory, self.config.run)
        return LocalEngine(
            lambda: self.pool,
            lambda: self.factory.maker,
            descents,
            lambda: self.factory.plan.words,
        )

    def split(self, name: str) -> list[Item]:
        """All items of a split, task by task. Asking for `test` breaks its seal: reports only."""
        return [item for task in self.tasks for item in task.items(name)]

    def genome_of_founder(self, founder: int) -> Floats:
        """The genome that makes founder number `founder` itself, shape (genes,)."""
        return self.factory.space.founder(founder)

    def score(
        self,
        genomes: Sequence[Floats],
        prepared: PreparedItems | Sequence[PreparedItems],
        progress: Progress = silent,
        label: str = "scoring",
        maker: WeightMaker | None = None,
    ) -> ScoredModels:
        """Make the models of some genomes together and score each on the same items.

        Args:
            genomes: shape (genes,) each.
            prepared: the items, prepared once for all models or for each.
            progress: called before each model; may raise to stop.
            label: what is done, for the progress.
            maker: for genomes of another space than this context's.
        """
        each = [prepared] * len(genomes) if isinstance(prepared, PreparedItems) else prepared
        work = Identified(Scoring(tuple(each)), by_fingerprint=self.by_fingerprint)
        rows = [
            (identity, *scores)
            for identity, scores in self.map_models(genomes, work, progress, label, maker)
        ]
        return ScoredModels(
            identities=tuple(identity for identity, _, _ in rows),
            exact=np.array([exact for _, exact, _ in rows]),
            probability=np.array([probability for _, _, probability in rows]),
        )

    def map_models(
        self,
        genomes: Sequence[Floats],
        work: Work[T],
        progress: Progress = silent,
        label: str = "working",
        maker: WeightMaker | None = None,
        on_result: OnResult[T] = lambda number, result, evaluations: None,
        done_before: int = 0,
        lost: Lost[T] | None = None,
    ) -> list[T]:
        """Make the models of some genomes together and work with each.

        Args:
            genomes: shape (genes,) each.
            work: called with (the model's number, an evaluator with its weights, the weights).
            progress: called before each result; may raise to stop.
            label: what is done, for the progress.
            maker: for genomes of another space than this context's; then it is done here.
            on_result: called for each result, in order, with (the model's number, the result, the
                item evaluations that it took).
            done_before: models that were done already, for the progress.
            lost: gives the result of a model whose work ends processes; by default that is an
                error.

        Returns:
            The results in the order of the genomes.
        """
        total = done_before + len(genomes)

        def watch(done: int) -> None:
            progress(done_before + done, total, label)

        if maker is None:
            results = self.engine.map(genomes, work, watch, on_result, lost)
        else:
            results = self.pool.map(maker.siblings(genomes), work, watch, on_result)
        progress(total, total, label)
        return results


def _base_first(founders: Sequence[Checkpoint], base: int | None) -> list[Checkpoint]:
    return sorted(founders, key=lambda founder: base is None or founder is not founders[base])


def genome_of(archive: Archive, context: Context, model: Model) -> Floats:
    """The genome that makes a model of the archive, shape (genes,).

    Args:
        archive: of the campaign.
        context: with the founders.
        model: founder or offspring.
    """
    if model.kind == "founder":
        return context.genome_of_founder(list(archive.founder_paths()).index(model.id))
    (genome,) = archive.genomes([model.id])
    return np.pad(genome, (0, context.factory.space.space.genes - len(genome)))
