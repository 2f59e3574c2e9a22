"""What the benchmarks of search share: an equal budget for everyone, and results that resume.

Whatever is compared spends item evaluations: one candidate on one item counts 1. At checkpoints of
that budget it is remembered which candidate a search would report, and only after the search are
those measured on the test items.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from tests.benchmarks.rivals.problem import Floats, Spent


class BenchmarkError(Exception):
    """A benchmark cannot run as it was asked to; the message is one line."""


# What a search spends, and what it has found


class Trail:
    """One search on its way: what it has spent, and whom it would report at each checkpoint.

    Args:
        checkpoints: in item evaluations, ascending; the last one is the budget.
        first: whom it would report before it has scored anybody.
        progress: told what is spent.
    """

    def __init__(
        self,
        checkpoints: Sequence[int],
        first: Floats,
        progress: Callable[[int], None] = lambda spent: None,
    ) -> None:
        self.incumbents = dict.fromkeys(checkpoints, first)
        self.budget = checkpoints[-1]
        self.spent = 0
        self.seconds = 0.0
        self._progress = progress

    def tell(self, spent: int, incumbent: Floats) -> None:
        """After `spent` item evaluations this one is the best known.

        Raises:
            BenchmarkError: that is more than the budget.
        """
        self.pay(spent - self.spent)
        found = np.array(incumbent)  # a copy: searches reuse their arrays
        for checkpoint in self.incumbents:
            if spent <= checkpoint:
                self.incumbents[checkpoint] = found

    def pay(self, evaluations: int) -> None:
        """Count item evaluations."""
        self.spent += evaluations
        if self.spent > self.budget:
            raise BenchmarkError(
                f"a budget of {self.budget:,} item evaluations does not pay for the first "
                f"population, which takes {self.spent:,}"
            )
        self._progress(self.spent)

    @contextmanager
    def clock(self) -> Iterator[None]:
        """Count the seconds of a block as spent on searching."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - start


class Budgeted:
    """A `Problem` for rivals that ends when the trail's budget is spent.

    Args:
        founders: the starting vectors, one a row.
        evaluate: scores vectors, shape (vectors, items).
        items: how many that are.
        trail: where costs and incumbents are noted.
    """

    def __init__(
        self, founders: Floats, evaluate: Callable[[Floats], Floats], items: int, trail: Trail
    ) -> None:
        self.founders = founders
        self._evaluate, self._items, self._trail = evaluate, items, trail
        self._best = -np.inf

    def scores(self, vectors: Floats) -> Floats:
        """See `Problem`. A checkpoint inside of a batch sees those that come before it."""
        if self._trail.spent + len(vectors) * self._items > self._trail.budget:
            raise Spent
        scores = self._evaluate(vectors)
        for vector, mean in zip(vectors, scores.mean(axis=1), strict=True):
            self._trail.pay(self._items)
            if mean > self._best:
                self._best = mean
                self._trail.tell(self._trail.spent, vector)
        return scores

    def offer(self, vector: Floats) -> None:
        """See `Problem`. The trail knows already, and where in its batch the vector was."""


def checkpoints(usual: Sequence[int], budget: int) -> list[int]:
    """The usual checkpoints that a budget comes by, and the budget itself."""
    return [*(checkpoint for checkpoint in usual if checkpoint < budget), budget]


# Results


@dataclass(frozen=True)
class Run:
    """What one method came to with one seed.

    Attributes:
        scores: by what was measured ("test", ...) and checkpoint.
        seconds: wall time of the search alone.
        spent: item evaluations.
    """

    scores: Mapping[str, Mapping[str, float]]
    seconds: float
    spent: int


class Results:
    """The results of a benchmark, in a file that is whole after every run.

    Args:
        path: a file that is written, and continued if it is there already; None keeps nothing.
        settings: what results depend on, as JSON has it.
        unit: what speed is told in, and how many item evaluations it takes.

    Raises:
        BenchmarkError: the file is broken, was measured with other settings, or has no folder.
    """

    def __init__(
        self,
        path: Path | None,
        settings: Mapping[str, Any],
        unit: tuple[str, int] = ("evaluations", 1),
    ) -> None:
        self._path, self._unit = path, unit
        self._settings: dict[str, Any] = json.loads(json.dumps(settings))
        self._methods: dict[str, dict[str, Any]] = {}
        if path is not None and not path.parent.is_dir():
            raise BenchmarkError(f"no folder {path.parent} to write {path.name} into")
        if path is not None and path.exists():
            self._methods = self._continued(path)

    def seconds(self, method: str) -> list[float]:
        """The seconds of each run of a method that is done, with seeds 0, 1, ..."""
        return list(self._methods.get(method, {}).get("seconds", []))

    def add(self, method: str, run: Run) -> None:
        """Keep the run of a method's next seed."""
        kept = self._methods.setdefault(method, {})
        for what, by_checkpoint in run.scores.items():
            for checkpoint, score in by_checkpoint.items():
                kept.setdefault(what, {}).setdefault(checkpoint, []).append(score)
        kept.setdefault("seconds", []).append(round(run.seconds, 3))
        kept.setdefault("spent", []).append(run.spent)
        if self._path is not None:
            partial = self._path.with_name(self._path.name + ".part")
            partial.write_text(self.text(), encoding="utf-8")
            partial.replace(self._path)

    def as_json(self) -> dict[str, Any]:
        """Everything, with means, 95 % intervals over seeds and speeds."""
        name, evaluations = self._unit
        methods = {}
        for method, kept in self._methods.items():
            known = {checkpoint: interval(of) for checkpoint, of in kept["test"].items()}
            methods[method] = kept | {
                "mean": {checkpoint: mean for checkpoint, (mean, _, _) in known.items()},
                "low": {checkpoint: low for checkpoint, (_, low, _) in known.items()},
                "high": {checkpoint: high for checkpoint, (_, _, high) in known.items()},
                f"{name}_per_s": sum(kept["spent"]) / evaluations / (sum(kept["seconds"]) or 1e-3),
            }
        return {"methods": methods, "settings": self._settings}

    def text(self) -> str:
        """Everything as text; the same for the same results, apart from times."""
        return json.dumps(self.as_json(), indent=1) + "\n"

    def _continued(self, path: Path) -> dict[str, dict[str, Any]]:
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            settings, methods = content["settings"], dict(content["methods"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BenchmarkError(f"{path} holds no results to continue: {error!r}") from None
        if differ := sorted(
            key
            for key in {*settings, *self._settings}
            if settings.get(key) != self._settings.get(key)
        ):
            raise BenchmarkError(
                f"{path} was measured with other settings ({', '.join(differ)}); "
                "name another file, or delete it"
            )
        derived = {"mean", "low", "high", f"{self._unit[0]}_per_s"}
        return {
            method: {what: value for what, value in kept.items() if what not in derived}
            for method, kept in methods.items()
        }


def interval(values: Sequence[float]) -> tuple[float, float | None, float | None]:
    """The mean of a few values with its 95 % interval by Student's t; one value has none."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, None, None
    error = float(np.std(values, ddof=1)) / len(values) ** 0.5
    half = float(stats.t.ppf(0.975, len(values) - 1)) * error
    return mean, mean - half, mean + half


def told(result: Mapping[str, Any], path: Path | None) -> None:
    """Print a result as JSON, and write it to a file if there is to be one."""
    text = json.dumps(result, indent=1) + "\n"
    sys.stdout.write(text)
    if path:
        path.write_text(text, encoding="utf-8")


# Running


Method = Callable[[int, Callable[[int], None]], Run]
"""Runs with a seed, telling what it has spent."""


@dataclass
class Progress:
    """Says on stderr what is running and how long everything will take.

    Attributes:
        budget: of each run.
        known: seconds of the runs that are done, by method.
        pending: methods of the runs that are not, in order; the first one is running.
        quiet: whether to say nothing.
    """

    budget: int
    known: dict[str, list[float]]
    pending: list[str]
    quiet: bool = False
    _started: float = field(default_factory=time.monotonic)
    _said: float = field(default_factory=time.monotonic)

    EVERY = (0.5, 30.0)
    """Seconds between two messages on a terminal, where one overwrites the other, and in a log."""

    def begin(self) -> None:
        """The next run starts."""
        self._started = time.monotonic()

    def spent(self, evaluations: int) -> None:
        """The run has spent so much."""
        terminal = sys.stderr.isatty()
        now = time.monotonic()
        if self.quiet or now - self._said < self.EVERY[0 if terminal else 1]:
            return
        self._said = now
        part = evaluations / self.budget
        text = f"{self.pending[0]}  {part:4.0%}  left {_minutes(self._left(part))}"
        sys.stderr.write(f"\r\x1b[K{text}" if terminal else f"{text}\n")
        sys.stderr.flush()

    def end(self, seed: int, run: Run) -> None:
        """The run is over."""
        method = self.pending.pop(0)
        self.known.setdefault(method, []).append(run.seconds)
        if not self.quiet:
            *_, test = run.scores["test"].values()
            start = "\r\x1b[K" if sys.stderr.isatty() else ""
            left = f"  left {_minutes(self._left(0.0))}" if self.pending else ""
            self._said = self._started = time.monotonic()
            sys.stderr.write(
                f"{start}{method}, seed {seed}: test {test:.3f} in {run.seconds:.1f} s{left}\n"
            )
            sys.stderr.flush()

    def _left(self, part: float) -> float:
        """Seconds until the end: what a method took before, or else what others take."""
        passed = time.monotonic() - self._started
        seconds = {method: float(np.mean(runs)) for method, runs in self.known.items() if runs}
        if part > 0.0:
            seconds[self.pending[0]] = passed / part
        else:
            passed = 0.0
        usual = float(np.mean(list(seconds.values()) or [0.0]))
        return sum(seconds.get(method, usual) for method in self.pending) - passed


def run_all(
    methods: Mapping[str, Method], seeds: int, budget: int, results: Results, quiet: bool = False
) -> None:
    """Run what the results lack: seed by seed, and each with every method."""
    done = {name: results.seconds(name) for name in methods}
    missing = [(seed, name) for seed in range(seeds) for name in methods if seed >= len(done[name])]
    progress = Progress(budget, done, [name for _, name in missing], quiet)
    for seed, name in missing:
        progress.begin()
        run = methods[name](seed, progress.spent)
        results.add(name, run)
        progress.end(seed, run)


def _minutes(seconds: float) -> str:
    return f"{int(seconds // 60)}:{int(seconds % 60):02d}"


# Command lines


def parser_of(description: str | None) -> argparse.ArgumentParser:
    """A parser with the options that all these benchmarks have."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=positive, default=1, help="runs of each method")
    parser.add_argument("--methods", help="a,b,...; by default all")
    parser.add_argument("--json", type=Path, help="written after every run, and continued")
    parser.add_argument("--threads", type=positive, default=os.cpu_count() or 1)
    return parser


def positive(text: str) -> int:
    """A whole number above 0, for argparse."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, got {number}")
    return number


def chosen(known: Mapping[str, Method], wanted: str | None) -> dict[str, Method]:
    """The methods of a list like a,b,...; all of them if there is no list.

    Raises:
        BenchmarkError: one is not known.
    """
    names = list(known) if wanted is None else [name.strip() for name in wanted.split(",")]
    if unknown := [name for name in names if name not in known]:
        raise BenchmarkError(f"no method {unknown[0]!r} here; there are {', '.join(known)}")
    return {name: known[name] for name in names}
