"""The context: founders, tasks and a network, ready to make models.

`opening_context` makes it of founders that it has checked. Campaigns, reports, exports and checks
all work here. What is costly is done when first needed: a check replays recipes and never builds
the network.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, TypeVar

import numpy as np
import torch

from arena import Task, TaskError, load_tasks
from arena.judges import Judge
from arena.tasks.guarded import Guarded
from lineage import Archive
from lineage.records import Floats, Item, Model
from population.campaign.memory_plan import MemoryNeeds, MemoryPlan, free_memory, planned
from population.campaign.usable_items import Readers, Usable
from population.config import Config
from population.errors import ConfigError
from population.evaluation.batching import PreparedItems
from population.evaluation.devices import resolve_device, resolve_dtype
from population.evaluation.evaluator import Evaluator
from population.evaluation.networks import network_of
from population.evaluation.pool import EvaluatorPool, usual_size
from population.evolution.extensions import (
    Extensions,
    judges_of,
    operators_of,
    survival_rule_of,
)
from population.evolution.operators import Operator
from population.evolution.spaces.both import BothSpace
from population.evolution.spaces.flow import FlowSpace
from population.evolution.spaces.from_config import parameter_space, route_space
from population.evolution.spaces.parameter import ParameterSpace
from population.evolution.survival import Rule
from population.failures import FailureLog
from population.models.architectures import architecture_of
from population.models.blocks import Layout, levels_of
from population.models.checkpoints import Checkpoint
from population.models.config_comparison import text_config
from population.models.fingerprints import fingerprint
from population.weights.genomes import Basis
from population.weights.geometry import Geometry, geometry_of
from population.weights.materialise import Materialiser, State, state_sha256
from population.weights.materialise_routes import RouteMaterialiser

T = TypeVar("T")

Progress = Callable[[int, int, str], None]
"""Called with (done, total, label) while something takes time."""


def silent(done: int, total: int, what: str) -> None:
    """Ignore progress; see `Progress`."""


@dataclass(frozen=True)
class ScoredModels:
    """Scores of some models on the same items.

    Attributes:
        hashes: SHA-256 of each model's weights.
        exact: shape (models, items).
        probability: shape (models, items).
    """

    hashes: tuple[str, ...]
    exact: Floats
    probability: Floats


class WeightMaker(Protocol):
    """Makes weights from genomes.

    Attributes:
        batch: how many siblings fit into memory together.
    """

    batch: int

    def siblings(self, genomes: Sequence[Floats], /) -> Iterator[State]:
        """The weights for each genome, shape (genes,), in order."""
        ...


class Context:
    """Everything that models are made of and scored with.

    Args:
        config: with paths resolved.
        founders: the checkpoints, compatible with each other, in archive order.
        basis: what the rows of a genome mean.
        layout: what its columns mean.
        hashes: of the founders' weights, where they are known already.
        extensions: operators, survival rules and judges from outside the project.
    """

    def __init__(
        self,
        config: Config,
        founders: Sequence[Checkpoint],
        basis: Basis,
        layout: Layout,
        hashes: Sequence[str] | None = None,
        extensions: Extensions | None = None,
    ) -> None:
        if hashes is not None:
            self.hashes = tuple(hashes)
        self.progress: Progress = silent
        """Called while something is made that takes time when it is first needed."""
        self.config = config
        self.extensions = extensions or Extensions()
        self.founders = tuple(founders)
        self.basis = basis
        self.layout = layout
        torch.set_num_threads(config.run.threads or os.cpu_count() or 1)

    @cached_property
    def hashes(self) -> tuple[str, ...]:
        """Of the founders' weights."""
        return tuple(fingerprint(founder) for founder in self.founders)

    @cached_property
    def operators(self) -> dict[str, Operator]:
        """The operators that recombine parents, by name."""
        return operators_of(self.config.search, self.extensions)

    @cached_property
    def survival_rule(self) -> Rule:
        """The survival rule."""
        return survival_rule_of(self.config.search, self.extensions)

    @cached_property
    def judges(self) -> dict[str, Judge]:
        """The kinds of judges in its arena, by mode."""
        return judges_of(self.config.arena, self.extensions)

    @cached_property
    def tasks(self) -> list[Task]:
        """The tasks, without items that no model could answer; no split is opened yet.

        Which those are, and what the tasks' own code raises, is kept in `failures`.
        """
        return [Guarded(task, self.failures.add) for task in self._usable]

    @cached_property
    def failures(self) -> FailureLog:
        """Failures that were passed over."""
        return FailureLog()

    @cached_property
    def _usable(self) -> list[Usable]:
        return [Usable(task, self._readers.fault, self.failures.add) for task in self._named]

    @cached_property
    def _named(self) -> list[Task]:
        return load_tasks(self.config.tasks.paths)

    @cached_property
    def _readers(self) -> Readers:
        stops = {task.name: task.stop for task in self._named if task.stop is not None}
        keyed = self.config.search.merit == "keys"
        return Readers(self.founders[0].path, stops, keyed=keyed)

    def check_items(self) -> list[str]:
        """Look at every item of the open splits; what was left out, a sentence for each task.

        Raises:
            TaskError: a file is missing or broken, or items cannot be asked and are not to be
                left out.
        """
        for task in self._usable:
            task.check()
        complaints = self.complaints()
        if complaints and self.config.tasks.unusable == "refuse":
            raise TaskError(
                f'{complaints[0]}; mend or remove it, or set [tasks] unusable = "leave out"'
            )
        return complaints

    def complaints(self) -> list[str]:
        """What was left out so far, a sentence for each task."""
        return [sentence for task in self._usable if (sentence := task.complaint())]

    @cached_property
    def space(self) -> ParameterSpace | FlowSpace | BothSpace:
        """What genomes mean.

        Raises:
            ConfigError: `[search] space` needs paths, and the founders' layers are not known or no
                operator works on paths.
        """
        search = self.config.search
        if search.space == "parameter":
            return self.parameter_space
        architecture = architecture_of(self.founders[0].config)
        if architecture is None:
            kind = self.founders[0].config.get("model_type")
            raise ConfigError(
                f'[search] space = "{search.space}": layers of a {kind} are not known'
            )
        usable = [name for name, often in search.operators.items() if often > 0]
        if all(self.operators[name].geometric for name in usable):
            raise ConfigError(
                f"[search] operators: a path has no coefficients for {', '.join(usable)}"
            )
        return route_space(
            search,
            len(self.founders),
            self.basis.vectors,
            len(self.layout.blocks),
            architecture.layers(self.founders[0].config),
        )

    @cached_property
    def parameter_space(self) -> ParameterSpace:
        """Merging in parameter space, which is where standard merges are made."""
        search = self.config.search
        return parameter_space(
            search,
            len(self.founders),
            self.basis.vectors,
            len(self.layout.blocks),
            levels_of(self.layout),
        )

    @cached_property
    def maker(self) -> WeightMaker:
        """Makes weights from genomes of `space`."""
        if isinstance(self.space, ParameterSpace):
            return self.materialiser
        return RouteMaterialiser(self.founders, self.basis, self.layout, self.space)

    @cached_property
    def materialiser(self) -> Materialiser:
        """Makes weights from genomes of `parameter_space`."""
        run = self.config.run
        return Materialiser(
            self.founders,
            self.basis,
            self.layout,
            self.plan.batch,
            resolve_device(run.device),
            threads=run.threads,
        )

    @cached_property
    def geometry(self) -> Geometry | None:
        """Lengths and angles of what genomes make; paths have none."""
        if not isinstance(self.space, ParameterSpace):
            return None
        return geometry_of(
            self.founders,
            self.basis,
            self.layout,
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
            tokenizer=self._readers.tokenizer,
            tasks={task.name: task for task in self.tasks},
        )

    def network(self, genome: Floats) -> Any:
        """A transformers model of its own with the weights of a genome, on the CPU, for inference.

        Args:
            genome: of `space`, shape (genes,).
        """
        (state,) = self.maker.siblings([genome])
        return network_of(self.founders[0].path, state)

    @cached_property
    def plan(self) -> MemoryPlan:
        """How much memory is taken, and how many models fit into it."""
        run, first = self.config.run, self.founders[0]
        device = resolve_device(run.device)
        stored = getattr(torch, first.dtype.name)
        dtype = resolve_dtype(run.dtype, stored, device)
        model = sum(header.size for header in first.tensors.values())
        network = first.parameters * dtype.itemsize
        text = text_config(first.config)
        vocabulary, hidden = (int(text.get(key) or 0) for key in ("vocab_size", "hidden_size"))
        tokens = run.batch_tokens or 2048
        on_cpu = device.type == "cpu"
        needs = MemoryNeeds(
            model=model,
            network=network if on_cpu and dtype != stored else 0,
            # Logits, half of which are looked at, and what a layer computes.
            forward=tokens * (3 * vocabulary + 32 * hidden) if on_cpu else 0,
        )
        nominal = usual_size(device, run.threads or os.cpu_count() or 1, network)
        return planned(needs, nominal, run.memory_gb, free_memory())

    @cached_property
    def pool(self) -> EvaluatorPool:
        """The evaluators that share the work of a generation."""
        plan = self.plan
        return EvaluatorPool(self.evaluator, self.config.run.threads, plan.evaluators, plan.waiting)

    def split(self, name: str) -> list[Item]:
        """All items of a split, task by task. Asking for `test` breaks its seal: reports only."""
        return [item for task in self.tasks for item in task.items(name)]

    def genome_of_founder(self, founder: int) -> Floats:
        """The genome that makes founder number `founder` itself, shape (genes,)."""
        return self.space.founder(founder)

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

        def score(number: int, evaluator: Evaluator, state: State) -> tuple[str, Floats, Floats]:
            own = prepared if isinstance(prepared, PreparedItems) else prepared[number]
            return state_sha256(state), *evaluator.score(own)

        rows = self.map_models(genomes, score, progress, label, maker)
        return ScoredModels(
            hashes=tuple(sha for sha, _, _ in rows),
            exact=np.array([exact for _, exact, _ in rows]),
            probability=np.array([probability for _, _, probability in rows]),
        )

    def map_models(
        self,
        genomes: Sequence[Floats],
        work: Callable[[int, Evaluator, State], T],
        progress: Progress = silent,
        label: str = "working",
        maker: WeightMaker | None = None,
        on_result: Callable[[int, T, int], None] = lambda number, result, evaluations: None,
        done_before: int = 0,
    ) -> list[T]:
        """Make the models of some genomes together and let the pool work with each.

        Args:
            genomes: shape (genes,) each.
            work: called with (the model's number, an evaluator with its weights, the weights).
            progress: called before each result; may raise to stop.
            label: what is done, for the progress.
            maker: for genomes of another space than this context's.
            on_result: called for each result, in order, with (the model's number, the result, the
                item evaluations that it took).
            done_before: models that were done already, for the progress.

        Returns:
            The results in the order of the genomes.
        """
        total = done_before + len(genomes)
        results = self.pool.map(
            (maker or self.maker).siblings(genomes),
            work,
            lambda done: progress(done_before + done, total, label),
            on_result,
        )
        progress(total, total, label)
        return results


def genome_of(archive: Archive, context: Context, model: Model) -> Floats:
    """The genome that makes a model of the archive, shape (genes,).

    Args:
        archive: of the campaign.
        context: with the founders.
        model: founder or offspring.
    """
    if model.kind == "founder":
        return context.genome_of_founder(list(archive.founder_paths()).index(model.id))
    return np.asarray(archive.genomes([model.id])[0])
