"""The workers of a Ray cluster: actors that are given tasks, and replaced."""

import time
from collections.abc import Callable, Hashable, Sequence
from itertools import count
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError, RayTaskError

from population.engines.cluster.connection import HeadWatch
from population.engines.cluster.settings import ClusterRequest
from population.engines.cluster.versions import versions
from population.engines.cluster.worker import (
    BenchWorker,
    TaskRaised,
    TaskReply,
    WorkerOpened,
    WorkerRefused,
)
from population.engines.dispatch import Done, Gone, Happening, Joined
from population.errors import CampaignError
from population.failures import one_line

Call = Callable[[Any, Any], Any]
"""Gives an actor a task; a reference to what comes of it."""

DIED_EARLY = 3
"""Workers in a row that may die before they are ready."""

COUNTED_S = 5.0
"""Seconds after which the room in a cluster is counted again: nodes come and go."""


class RayFleet:
    """Workers of a Ray cluster.

    Args:
        request: how many workers are wanted, and what each needs.
        plan: a pickled `BenchPlan`.
        say: called with a sentence when a worker is refused.
    """

    def __init__(self, request: ClusterRequest, plan: bytes, say: Callable[[str], None]) -> None:
        self._needs, self._plan, self._say = request.needs, plan, say
        self._actors: dict[Hashable, Any] = {}
        self._calls: dict[Any, tuple[Hashable, bool]] = {}
        self._nodes: dict[Hashable, str] = {}
        self._starts = _Starts(request)
        self._head = HeadWatch(request.address)
        self.call: Call = lambda actor, task: None
        """How a worker is given a task; set before tasks are handed out."""
        self.on_reply: Callable[[TaskReply], None] = lambda reply: None
        """Called with each reply, also of tasks that somebody else was sooner with."""

    @property
    def nodes(self) -> set[str]:
        """Names of the nodes that workers are on."""
        return {node for worker, node in self._nodes.items() if worker in self._actors}

    def submit(self, worker: Hashable, task: Any) -> None:
        """See `Fleet.submit`."""
        self._calls[self.call(self._actors[worker], task)] = worker, False

    def events(self, patience: float) -> Sequence[Happening]:
        """See `Fleet.events`.

        Raises:
            CampaignError: no worker can work, or the cluster is lost.
            Exception: what a worker's work raised.
        """
        try:
            self._head.look()
            self._start_missing()
            waiting = list(self._calls)
            ready, _ = ray.wait(waiting, num_returns=1, timeout=patience)
            if ready:
                ready, _ = ray.wait(waiting, num_returns=len(waiting), timeout=0)
            return [event for one in ready for event in self._event(one)]
        except (RayError, ConnectionError) as error:
            raise CampaignError(
                f"the Ray cluster is lost ({one_line(error)}); `colony run` goes on from the last "
                "generation"
            ) from None

    def close(self) -> None:
        """End all workers."""
        for actor in self._actors.values():
            ray.kill(actor)
        self._actors.clear()
        self._calls.clear()

    def _event(self, reference: Any) -> Sequence[Happening]:
        worker, opening = self._calls.pop(reference)
        try:
            value = ray.get(reference)
        except RayActorError as error:
            ray.kill(self._actors.pop(worker))
            if opening:
                self._count_early_death(error)
                return []
            return [Gone(worker, _cause(error))]
        except RayTaskError as error:
            raise CampaignError(f"a worker of the Ray cluster failed: {one_line(error)}") from None
        if isinstance(value, WorkerRefused):
            self._refuse(worker, value)
            return []
        if isinstance(value, WorkerOpened):
            self._starts.died_early = 0
            self._nodes[worker] = value.node
            return [Joined(worker)]
        if isinstance(value, TaskRaised):
            raise value.error
        self.on_reply(value)
        return [Done(worker, value.results)]

    def _start_missing(self) -> None:
        needs = self._needs
        for _ in range(self._starts.wanted() - len(self._actors)):
            actor: Any = (
                ray.remote(BenchWorker)
                .options(
                    num_cpus=needs.cpus,
                    num_gpus=needs.gpus,
                    resources=dict(needs.resources),
                    runtime_env=dict(needs.runtime_env) or None,
                    max_restarts=0,
                )
                .remote()
            )
            worker = next(self._starts.numbers)
            self._actors[worker] = actor
            self._calls[actor.open.remote(dict(versions()), self._plan)] = worker, True
        if not self._actors:
            raise CampaignError(self._starts.refused[0])

    def _refuse(self, worker: Hashable, refused: WorkerRefused) -> None:
        sentence = f"node {refused.node} cannot work for this campaign: {refused.reason}"
        self._starts.refused.append(sentence)
        ray.kill(self._actors.pop(worker))
        if self._actors:
            self._say(sentence)

    def _count_early_death(self, error: RayActorError) -> None:
        self._starts.died_early += 1
        if self._starts.died_early >= DIED_EARLY:
            raise CampaignError(f"workers of the Ray cluster cannot start: {_cause(error)}")


class _Starts:
    """How many workers there are to be.

    Attributes:
        numbers: of workers that are started.
        refused: sentences about those that cannot work.
        died_early: workers in a row that died before they were ready.
    """

    def __init__(self, request: ClusterRequest) -> None:
        self.numbers = count()
        self.refused: list[str] = []
        self.died_early = 0
        needs = request.needs
        self._asked = request.workers
        self._needs = {"CPU": needs.cpus, "GPU": needs.gpus, **needs.resources}
        self._counted = -COUNTED_S
        self._count = 1

    def wanted(self) -> int:
        """How many, without those that were refused."""
        return (self._asked or max(1, self._room())) - len(self.refused)

    def _room(self) -> int:
        """For how many a cluster has room, as of a few seconds ago."""
        if time.monotonic() - self._counted > COUNTED_S:
            there: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
            fits = [there.get(name, 0.0) / each for name, each in self._needs.items() if each > 0]
            self._count, self._counted = int(min(fits, default=1)), time.monotonic()
        return self._count


def _cause(error: RayActorError) -> str:
    """What ended a worker, in a line without ids."""
    lines = [line.strip() for line in str(error).splitlines()]
    known = [line for line in lines if line.startswith("Worker exit type")]
    detail = [line for line in lines if line.startswith("Worker exit detail")]
    told = (detail or known or lines)[0]
    return told.partition("exit detail: ")[2] or told
