"""The driver's side of the `ray` engine: it sends work out, and hands the results back in order."""

import pickle
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import ray
from ray import cloudpickle

from lineage.records import Floats
from population.engines.bench import BenchPlan
from population.engines.cluster.connection import connect, disconnect
from population.engines.cluster.fleet import Call, RayFleet
from population.engines.cluster.settings import ClusterRequest
from population.engines.cluster.worker import DescentTask, ModelResult, TaskReply
from population.engines.dispatch import MAX_KILLED, Dispatcher, together
from population.engines.interface import Engine, Lost, OnResult, Watch, Work
from population.errors import CampaignError
from population.evaluation.meter import Meter
from population.gradient.descent import Descent, DescentSettings, DescentStep, ItemSampler

T = TypeVar("T")


class Driver:
    """What the engine needs of the campaign.

    Args:
        plan: says how workers get ready.
        local: does here what cannot be sent.
        meter: counts what workers spend.
        report: called with a sentence for each item, worker or model that was passed over.
        waiting: called while there are no workers; may raise to stop.
    """

    def __init__(
        self,
        plan: Callable[[], BenchPlan],
        local: Engine,
        meter: Callable[[], Meter],
        report: Callable[[str], None],
        waiting: Callable[[], None],
    ) -> None:
        self.plan, self.local, self.meter = plan, local, meter
        self.report, self.waiting = report, waiting


class RayEngine:
    """Has the workers of a Ray cluster make models and work with them.

    What of a work cannot be pickled, as a judge of somebody's own, is done by the local engine.

    Args:
        request: says, when it is first needed, which cluster and which workers.
        cores: of this machine, for a cluster of its own.
        driver: the campaign.
    """

    def __init__(self, request: Callable[[], ClusterRequest], cores: int, driver: Driver) -> None:
        self._request, self._cores, self._driver = request, cores, driver
        self._connected = False
        self._fleet: RayFleet | None = None
        self._dispatcher: Dispatcher | None = None

    @property
    def in_flight(self) -> int:
        """Models that were in flight when the last work ended."""
        return self._dispatcher.in_flight if self._dispatcher else 0

    @property
    def workers(self) -> int:
        """Workers that are ready or at work."""
        return self._dispatcher.workers if self._dispatcher else 0

    @property
    def words(self) -> str:
        """Where the workers are, in a line."""
        if self._fleet is None:
            return "no worker of a Ray cluster yet"
        nodes = len(self._fleet.nodes)
        return (
            f"{_counted(self.workers, 'worker')} on {_counted(nodes, 'node')} of a Ray cluster; "
            "others may join"
        )

    def start(self) -> None:
        """Connect, and wait for the first worker.

        Raises:
            CampaignError: there is no cluster, or no worker can work.
        """
        self._ready()

    def map(
        self,
        genomes: Sequence[Floats],
        work: Work[T],
        progress: Watch,
        on_result: OnResult[T],
        lost: Lost[T] | None = None,
    ) -> list[T]:
        """See `Engine.map`."""
        try:
            pickled: bytes = cloudpickle.dumps(work)  # type: ignore[no-untyped-call]
        except (TypeError, AttributeError, ValueError, pickle.PicklingError):
            return self._driver.local.map(genomes, work, progress, on_result, lost)
        dispatcher, _ = self._ready()
        shared = ray.put(pickled)
        return self._run(
            genomes,
            together(len(genomes), dispatcher.workers),
            lambda actor, task: actor.map.remote([shared], task.first, task.payloads),
            progress,
            on_result,
            lost,
        )

    def descended(
        self,
        descents: Sequence[Descent],
        samplers: Sequence[ItemSampler],
        settings: Sequence[DescentSettings],
        steps: int,
        progress: Watch,
    ) -> list[list[DescentStep]]:
        """See `Descender.descended`: a worker for each descent."""
        tasks = [
            DescentTask(descent, sampler, own, steps)
            for descent, sampler, own in zip(descents, samplers, settings, strict=True)
        ]
        self._ready()
        return self._run(
            tasks,
            1,
            lambda actor, task: actor.descend.remote(task.payloads),
            lambda done: progress(done * steps),
            lambda number, result, evaluations: None,
            lambda number, cause: [DescentStep(descents[number], float("nan"), 0)],
        )

    def close(self) -> None:
        """End the workers, and leave the cluster."""
        if self._fleet is not None:
            self._fleet.close()
        if self._connected:
            disconnect()
        self._connected = False
        self._fleet = self._dispatcher = None

    def _run(
        self,
        payloads: Sequence[Any],
        size: int,
        call: Call,
        progress: Watch,
        on_result: OnResult[T],
        lost: Lost[T] | None,
    ) -> list[T]:
        dispatcher, fleet = self._ready()
        fleet.call = call
        meter = self._driver.meter()

        def given_up(number: int, cause: str) -> ModelResult:
            told = f"its work ended {MAX_KILLED} workers: {cause}"
            if lost is None:
                raise CampaignError(f"a model cannot be worked with: {told}")
            return ModelResult(lost(number, told))

        def counted(number: int, found: ModelResult) -> None:
            meter.add(found.evaluations, 0.0, 0.0, found.tokens)
            on_result(number, found.value, found.evaluations)

        found: list[ModelResult] = dispatcher.run(payloads, size, progress, counted, given_up)
        return [result.value for result in found]

    def _ready(self) -> tuple[Dispatcher, RayFleet]:
        if self._dispatcher is None or self._fleet is None:
            plan = cloudpickle.dumps(self._driver.plan())  # type: ignore[no-untyped-call]
            request = self._request()
            self._driver.waiting()
            self._connected = connect(request, self._cores)
            self._fleet = RayFleet(request, plan, self._driver.report)
            self._fleet.on_reply = self._note
            self._dispatcher = Dispatcher(self._fleet, time.monotonic)
        self._dispatcher.wait_for_workers(self._driver.waiting)
        return self._dispatcher, self._fleet

    def _note(self, reply: TaskReply) -> None:
        """Count what workers did beside each other, and tell what they passed over."""
        self._driver.meter().add(0, reply.forward_s / max(1, self.workers), reply.cpu_s, 0)
        for sentence in reply.failures:
            self._driver.report(sentence)


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"
