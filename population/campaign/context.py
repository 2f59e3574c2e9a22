"""The context: founders, tasks and a network, opened and checked once, ready to make models.

Campaigns, reports, exports and checks all work here. What is costly is done when first needed: a
check replays recipes and never builds the network.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import torch

from arena import Task, TaskError, load_tasks
from arena.judges import Judge
from arena.tasks.guarded import Guarded
from lineage import Archive
from lineage.records import Floats, Founder, Item, Model
from population.campaign.memory_plan import MemoryNeeds, MemoryPlan, free_memory, planned
from population.campaign.usable_items import Readers, Usable
from population.config import Config, parse_config
from population.errors import CampaignError, CheckpointError, ConfigError
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
from population.models.blocks import Layout, layout_of, levels_of
from population.models.canonical_form import form_with_hash, with_equal_tensors
from population.models.checkpoints import Checkpoint, check_compatible, text_config
from population.models.fingerprints import ReadProgress, fingerprint
from population.models.near_copies import near_copies
from population.models.sources import open_source
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


def open_context(
    config: Config,
    progress: Progress = silent,
    say: Callable[[str], None] = lambda _: None,
    extensions: Extensions | None = None,
) -> Context:
    """Open and check the founders of a configuration.

    Args:
        config: with paths resolved.
        progress: called while it is opened.
        say: called with notes about the founders.
        extensions: operators, survival rules and judges from outside the project.

    Raises:
        CheckpointError: a founder is missing, broken, or does not fit the others.
        ConfigError: two founders share a name, or the base is not among them.
    """
    founders = []
    for number, path in enumerate(config.founders.paths):
        progress(number, len(config.founders.paths), f"opening {Path(path).name}")
        founders.append(open_source(path, say=say))
    names = [founder.name for founder in founders]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"[founders] two folders are named {twice[0]!r}; rename one")
    if config.founders.base is not None and config.founders.base not in names:
        raise ConfigError(
            f"[founders] base: no founder is named {config.founders.base!r}; "
            f"there are {', '.join(names)}"
        )
    if len(founders) < 2:
        raise ConfigError("[founders] a colony needs at least two founders")
    founders = with_equal_tensors(founders)
    check_compatible(founders)
    hashes = [
        fingerprint(founder, _reading(progress, f"checking {founder.name}")) for founder in founders
    ]
    base = None if config.founders.base is None else names.index(config.founders.base)
    for line in near_copies(
        founders, base, lambda done, total: progress(done, total, "comparing the founders")
    ):
        say(f"note: {line}")
    basis, layout = Basis(tuple(names), base), _layout(config, founders[0])
    return Context(config, founders, basis, layout, hashes, extensions)


def reopen_context(
    archive: Archive, progress: Progress = silent, extensions: Extensions | None = None
) -> Context:
    """Open the context that an archive was started with, and make sure it is the same.

    Args:
        archive: of the campaign.
        progress: called while it is opened.
        extensions: as given when the campaign was started.

    Raises:
        CheckpointError: a founder has vanished or has other weights than it had.
        CampaignError: the blocks are cut differently by this version of colony.
    """
    _, content = archive.campaign()
    config = parse_config(content, str(archive.path))
    paths = archive.founder_paths()
    models = {model.id: model for model in archive.models(ids=paths)}
    founders = []
    for number, (model, path) in enumerate(paths.items()):
        row = models[model]
        progress(number, len(paths), f"opening {row.label}")
        hashed = partial(fingerprint, progress=_reading(progress, f"checking {row.label}"))
        founder = form_with_hash(open_source(path, row.name), row.weights_sha256, hashed)
        if founder is None:
            raise CheckpointError(
                f"founder {row.label!r} at {path} has other weights than when this archive was "
                "started; put the original back"
            )
        founders.append(founder)
    names = tuple(founder.name for founder in founders)
    base = None if config.founders.base is None else names.index(config.founders.base)
    layout = _layout(config, founders[0])
    if list(layout.blocks) != archive.blocks():
        raise CampaignError(
            f"{archive.path} was bred on other blocks than this version of colony cuts"
        )
    hashes = [models[model].weights_sha256 for model in paths]
    return Context(config, founders, Basis(names, base), layout, hashes, extensions)


def _reading(progress: Progress, what: str) -> ReadProgress:
    """Progress in bytes, reported in megabytes."""
    return lambda done, total: progress(done // 10**6, total // 10**6, f"{what}, MB")


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


def _layout(config: Config, founder: Checkpoint) -> Layout:
    return layout_of(
        {name: header.shape for name, header in founder.tensors.items()},
        founder.config,
        config.search.blocks,
        config.search.groups,
    )


def found_archive(path: Path, context: Context) -> Archive:
    """Start an archive with the founders of a context."""
    founders = [
        Founder(founder.name, founder.reference, sha256)
        for founder, sha256 in zip(context.founders, context.hashes, strict=True)
    ]
    return Archive.create(
        path,
        seed=context.config.run.seed,
        config=context.config.model_dump(mode="json"),
        founders=founders,
        basis=context.basis.vectors,
        blocks=context.layout.blocks,
    )
