"""What a worker does: it opens the founders by itself, and works with models that it makes."""

import os
import pickle
import socket
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray import cloudpickle

from lineage.records import Floats
from population.engines.bench import Bench, BenchPlan
from population.engines.cluster.versions import difference, versions
from population.engines.interface import Work
from population.errors import PopulationError
from population.evaluation.batching import landing_on
from population.evaluation.evaluator import Evaluator
from population.failures import one_line
from population.gradient.descent import Descent, DescentSettings, ItemSampler

KEPT_WORK = 4
"""Pieces of work that are kept unpickled: all tasks of a generation's step share one."""


@dataclass(frozen=True)
class WorkerOpened:
    """A worker is ready.

    Attributes:
        node: where it is, by name.
        pid: of its process.
    """

    node: str
    pid: int


@dataclass(frozen=True)
class WorkerRefused:
    """A worker cannot work as the driver does.

    Attributes:
        node: where it is, by name.
        reason: in words.
    """

    node: str
    reason: str


@dataclass(frozen=True)
class ModelResult:
    """What comes of a model.

    Attributes:
        value: the result of its work.
        evaluations: item evaluations that it took.
        tokens: that it read, learned or generated.
    """

    value: Any
    evaluations: int = 0
    tokens: int = 0


@dataclass(frozen=True)
class TaskReply:
    """What comes of a task.

    Attributes:
        results: for each model.
        forward_s: seconds in forward passes.
        cpu_s: processor time in seconds.
        failures: sentences about what was passed over.
    """

    results: tuple[ModelResult, ...]
    forward_s: float
    cpu_s: float
    failures: tuple[str, ...]


@dataclass(frozen=True)
class TaskRaised:
    """The work raised an error, which stops the campaign.

    Attributes:
        error: it.
    """

    error: BaseException


@dataclass(frozen=True)
class DescentTask:
    """A descent, and how it goes on.

    Attributes:
        descent: where it is.
        sampler: of its items.
        settings: of it.
        steps: how many are taken.
    """

    descent: Descent
    sampler: ItemSampler
    settings: DescentSettings
    steps: int


class BenchWorker:
    """The actor; one task at a time."""

    def __init__(self) -> None:
        self._works: OrderedDict[str, Any] = OrderedDict()
        self._bench: Bench | None = None

    def open(self, wanted: Mapping[str, str], plan: bytes) -> WorkerOpened | WorkerRefused:
        """Get ready.

        Args:
            wanted: the driver's versions.
            plan: a pickled `BenchPlan`, which other versions could not read.
        """
        node = socket.gethostname()
        if differs := difference(versions(), wanted):
            return WorkerRefused(node, differs)
        try:
            opener: BenchPlan = cloudpickle.loads(plan)
            self._bench = opener.open()
            self._bench.engine.start()
        except PopulationError as error:
            return WorkerRefused(node, str(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, this node cannot work
            return WorkerRefused(node, one_line(error))
        return WorkerOpened(node, os.getpid())

    def map(
        self, work: Sequence[Any], first: int, genomes: Sequence[Floats]
    ) -> TaskReply | TaskRaised:
        """Make some models and work with each.

        Args:
            work: where the pickled work is.
            first: the number of the first model.
            genomes: of the models.
        """
        bench = self._opened()

        def counted(number: int, evaluator: Evaluator, state: Any) -> ModelResult:
            evaluations, tokens = evaluator.meter.evaluations, evaluator.meter.tokens
            result = own(first + number, evaluator, state)
            meter = evaluator.meter
            return ModelResult(result, meter.evaluations - evaluations, meter.tokens - tokens)

        def job() -> Sequence[ModelResult]:
            return bench.engine.map(genomes, counted, lambda done: None, lambda *_: None)

        try:
            own: Work[Any] = self._work(work[0], bench)
        except Exception as error:  # noqa: BLE001 - it is raised where it can be told
            return TaskRaised(error)
        return self._measured(job)

    def descend(self, tasks: Sequence[DescentTask]) -> TaskReply | TaskRaised:
        """Take the steps of some descents."""
        bench = self._opened()

        def job() -> Sequence[ModelResult]:
            made: list[ModelResult] = []
            meter = bench.evaluator.meter
            for task in tasks:
                evaluations, tokens = meter.evaluations, meter.tokens
                (steps,) = bench.engine.descended(
                    [task.descent], [task.sampler], [task.settings], task.steps, lambda done: None
                )
                evaluations, tokens = meter.evaluations - evaluations, meter.tokens - tokens
                made.append(ModelResult(steps, evaluations, tokens))
            return made

        return self._measured(job)

    def _opened(self) -> Bench:
        if self._bench is None:
            raise RuntimeError("a worker was given a task before it was ready")
        return self._bench

    def _measured(self, job: Any) -> TaskReply | TaskRaised:
        bench = self._opened()
        meter = bench.evaluator.meter
        forward_s, cpu_s = meter.forward_s, time.process_time()
        try:
            results = tuple(job())
        except Exception as error:  # noqa: BLE001 - it is raised where it can be told
            return TaskRaised(_portable(error))
        forward_s, cpu_s = meter.forward_s - forward_s, time.process_time() - cpu_s
        return TaskReply(results, forward_s, cpu_s, bench.failures.drain())

    def _work(self, reference: Any, bench: Bench) -> Any:
        key = reference.hex()
        if key not in self._works:
            pickled = ray.get(reference)
            with landing_on(bench.evaluator.device):
                self._works[key] = cloudpickle.loads(pickled)
            while len(self._works) > KEPT_WORK:
                self._works.popitem(last=False)
        return self._works[key]


def _portable(error: Exception) -> Exception:
    """An error that can be sent."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - made here
    except Exception:  # noqa: BLE001 - whatever it is, its words can be sent
        return RuntimeError(one_line(error))
    return error
