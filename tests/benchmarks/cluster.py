"""What a Ray cluster gains, what it costs the process that drives it, and how many workers that has
work for.

    python -m tests.benchmarks.cluster --json OUT
    python -m tests.benchmarks.cluster --founders A B C --base A --simulate-workers 1,10,100,1000

- `speedup_2`: candidates per second of two workers beside one, on a cluster of this machine's own.
  Its bound is the number of idle cores: each worker computes on one.
- `driver_ms`: processor time that a candidate takes in the process that sends it out and hands its
  result on, in milliseconds, all its threads.
- `simulated`: by number of workers, the share of their time in which they work on something whose
  result is taken, generation after generation. The loop that hands out tasks is the real one, and
  the time that it takes counts, with `driver_ms` for sending; workers are numbers. What a candidate
  takes is drawn from what candidates were measured to take, scaled to a mean of `--seconds`; one in
  a hundred takes ten times as long, and one in a hundred ends its worker, which is replaced after
  `--restart` seconds. Without a cluster (`--driver-ms`) nothing is measured, and all take the same.
"""

import argparse
import heapq
import os
import sys
import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # as the command line does, before torch loads

import numpy as np

from population.campaign.context import Context
from population.campaign.engine_choice import equip
from population.campaign.model_work import Identified, Scoring
from population.campaign.opening_context import open_context
from population.config import load_config
from population.engines.dispatch import Dispatcher, Done, Gone, Happening, Joined, together
from population.evaluation.evaluator import Evaluator
from population.weights.identity import identity_of
from population.weights.materialise import State
from tests.benchmarks.harness import told

CANDIDATES, ITEMS = 28, 36
LATE, SLOW, KILLED = 0.01, 10.0, 0.01
"""Part of the tasks that take so many times as long, and part of those that end their worker."""

GENERATIONS, EACH, FEWEST = 3, 16, 400
"""Generations that are simulated, and candidates in each: for each worker, and at least."""


@dataclass(frozen=True)
class Measured:
    """What a real cluster took.

    Attributes:
        speedup: of two workers beside one.
        driver_ms: processor time of the driver for each candidate.
        seconds: that candidates took where they were made and scored.
    """

    speedup: float
    driver_ms: float
    seconds: tuple[float, ...]


class Timed:
    """Scores a candidate, and says how long that took; it stands for no work of a campaign."""

    def __init__(self, work: Scoring) -> None:
        self.work = work

    def __call__(self, number: int, evaluator: Evaluator, state: State) -> float:
        began = time.perf_counter()
        identity_of(state, by_fingerprint=True)
        self.work(number, evaluator, state)
        return time.perf_counter() - began


def measured(founders: Sequence[str], base: str | None, repeat: int) -> Measured:
    """Measure candidates on one worker and on two."""
    rates, driver, seconds = [], 0.0, []
    for workers in (1, 2):
        context = context_of(founders, base, workers)
        engine = context.engine
        space = context.factory.space
        drawn = space.initial_genomes(np.random.default_rng(0), CANDIDATES)
        genomes = [drawn[number % len(drawn)].genes.ravel() for number in range(CANDIDATES)]
        items = context.split("search")[:: max(1, len(context.split("search")) // ITEMS)][:ITEMS]
        scoring = Scoring((context.evaluator.prepare_keys(items),) * CANDIDATES)
        engine.start()
        while engine.workers < workers:  # others are opening the founders
            context.map_models(genomes[:2], Timed(scoring))
        context.map_models(genomes, Timed(scoring))  # what starts lazily
        best = np.inf
        for _ in range(repeat):
            began, cpu = time.perf_counter(), time.process_time()
            context.map_models(genomes, Identified(scoring, by_fingerprint=True))
            wall = time.perf_counter() - began
            if wall < best:
                best, driver = wall, 1e3 * (time.process_time() - cpu) / CANDIDATES
        rates.append(CANDIDATES / best)
        seconds = context.map_models(genomes, Timed(scoring))
        engine.close()
    return Measured(rates[1] / rates[0], driver, tuple(seconds))


def context_of(founders: Sequence[str], base: str | None, workers: int) -> Context:
    """A context on a cluster of this machine's own."""
    settings: dict[str, Any] = {"run": {"engine": "ray", "ray": {"workers": workers}}}
    if founders:
        settings["founders"] = {"paths": list(founders), "base": base}
    context = open_context(load_config(settings))
    equip(context)
    return context


class VirtualFleet:
    """Workers that are numbers, in a time that passes as the driver works and as they would.

    Args:
        workers: how many.
        seconds: that candidates were measured to take.
        send_s: what the driver takes to send one.
        restart_s: after which a killed worker is replaced.
        seed: of what is drawn.
    """

    def __init__(
        self, workers: int, seconds: Sequence[float], send_s: float, restart_s: float, seed: int
    ) -> None:
        self._rng = np.random.default_rng(seed)
        self._seconds, self._send_s, self._restart_s = seconds, send_s, restart_s
        self._virtual, self._since = 0.0, time.thread_time()
        self._coming: list[tuple[float, int, Happening]] = []
        self._sent = 0
        for worker in range(workers):
            self._add(0.0, Joined(worker))

    def now(self) -> float:
        """Virtual seconds, with what the driver has really taken."""
        return self._virtual + time.thread_time() - self._since

    def submit(self, worker: Hashable, task: Any) -> None:
        """See `Fleet.submit`."""
        self._virtual += self._send_s * len(task.payloads)
        count = len(task.payloads)
        each = self._rng.choice(self._seconds, count)
        each = np.where(self._rng.random(count) < LATE, SLOW * each, each)
        takes = float(each.sum())
        if self._rng.random() < 1.0 - (1.0 - KILLED) ** count:
            gone = self.now() + takes * self._rng.random()
            self._add(gone, Gone(worker, "killed"))
            self._add(gone + self._restart_s, Joined((worker, self._sent)))
        else:
            self._add(self.now() + takes, Done(worker, each.tolist()))

    def events(self, patience: float) -> Sequence[Happening]:
        """See `Fleet.events`."""
        until = self.now() + patience
        at = min(self._coming[0][0] if self._coming else until, until)
        self._virtual += max(0.0, at - self.now())
        found = []
        while self._coming and self._coming[0][0] <= self.now():
            found.append(heapq.heappop(self._coming)[2])
        return found

    def _add(self, at: float, event: Happening) -> None:
        self._sent += 1
        heapq.heappush(self._coming, (at, self._sent, event))


def utilisation(
    workers: int, seconds: Sequence[float], driver_ms: float, restart_s: float, seed: int = 0
) -> float:
    """The share of the workers' time in which they work on what counts."""
    fleet = VirtualFleet(workers, seconds, driver_ms / 1e3, restart_s, seed)
    dispatcher = Dispatcher(fleet, fleet.now)
    genome, useful, began = np.zeros(8000), 0.0, fleet.now()
    count = max(FEWEST, EACH * workers)
    for _ in range(GENERATIONS):
        took: list[float] = dispatcher.run(
            [genome] * count,
            together(count, workers),
            lambda done: None,
            lambda number, result: None,
            lambda number, cause: 0.0,
        )
        useful += sum(took)
    return useful / (workers * (fleet.now() - began))


def main() -> None:
    """Measure, simulate, and print JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--founders", nargs="+", default=[], help="folders; default: the shipped")
    parser.add_argument("--base", help="the founder that others were fine-tuned from, by name")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--simulate-workers", default="1,10,100,200,1000")
    parser.add_argument("--seconds", type=float, default=0.25, help="mean of a simulated candidate")
    parser.add_argument("--restart", type=float, default=5.0)
    parser.add_argument("--driver-ms", type=float, help="start no cluster, and simulate with this")
    parser.add_argument("--json", type=Path, help="where the result is written")
    options = parser.parse_args()
    found = (
        Measured(float("nan"), options.driver_ms, (1.0,))
        if options.driver_ms is not None
        else measured(options.founders, options.base, options.repeat)
    )
    scale = options.seconds / float(np.mean(found.seconds))
    seconds = [scale * one for one in found.seconds]
    counts = [int(count) for count in options.simulate_workers.split(",") if count]
    result = {
        "speedup_2": None if np.isnan(found.speedup) else round(found.speedup, 3),
        "driver_ms": round(found.driver_ms, 3),
        "simulated": {
            str(count): round(utilisation(count, seconds, found.driver_ms, options.restart), 3)
            for count in counts
        },
    }
    told(result, options.json)


if __name__ == "__main__":
    sys.exit(main())
