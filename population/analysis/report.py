"""The report: a campaign's results on items that it never used.

This is the only place that opens the sealed test split. Scores are exact match under greedy
decoding, on items that have keys; means are over tasks, so that every task counts the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from arena.tasks.generators import SPLITS
from lineage import Archive
from lineage.archive.unfinished import why_no_generation
from lineage.records import Floats, Item, Scores
from population.analysis.baselines import baselines
from population.campaign.context import Context, Progress, WeightMaker, genome_of, silent
from population.campaign.failure_handling import items_with_usable_keys
from population.errors import CampaignError
from population.evaluation.intervals import Interval, mean_over_tasks, scores_by_task
from population.weights.materialise import state_sha256


@dataclass(frozen=True)
class Result:
    """A model's results on one split.

    Attributes:
        interval: the mean over tasks of exact match.
        tasks: exact match by task.
    """

    interval: Interval
    tasks: Mapping[str, float]

    def as_json(self) -> dict[str, Any]:
        """The dictionary that `report --json` prints."""
        return {
            "mean": self.interval.mean,
            "low": self.interval.low,
            "high": self.interval.high,
            "tasks": dict(self.tasks),
        }


@dataclass(frozen=True)
class ReportEntry:
    """A line of the report: a model and its results.

    Attributes:
        name: of the model.
        detail: what it is.
        results: by split.
        exact_on_test: exact match on the test split, shape [items].
        id: of the model, if it is in the archive.
    """

    name: str
    detail: str
    results: Mapping[str, Result]
    exact_on_test: Floats
    id: int | None = None

    @property
    def test(self) -> Result:
        """The results on the sealed test split."""
        return self.results["test"]


@dataclass(frozen=True)
class Report:
    """The content of a report.

    Attributes:
        champion: the best living model by the selection split.
        founders: all founders.
        baselines: the standard merges of the same founders.
        over_founder: the champion's gain over the founder that is best on the test split.
        over_merge: its gain over the standard merge that is best on the test split.
        composites: tasks that no founder was made for.
        item_evaluations: that the campaign spent.
        wall_s: seconds that it ran.
        forward_fraction: the fraction of that time with a forward pass running.
        cores_busy: processor cores at work, on average.
        generations: how many it ran.
    """

    champion: ReportEntry
    founders: tuple[ReportEntry, ...]
    baselines: tuple[ReportEntry, ...]
    over_founder: Interval
    over_merge: Interval
    composites: tuple[str, ...]
    item_evaluations: int
    wall_s: float
    forward_fraction: float
    cores_busy: float
    generations: int

    @property
    def best_founder(self) -> ReportEntry:
        """The founder that is best on the test split."""
        return max(self.founders, key=lambda entry: entry.test.interval.mean)

    @property
    def best_merge(self) -> ReportEntry:
        """The standard merge that is best on the test split."""
        return max(self.baselines, key=lambda entry: entry.test.interval.mean)

    def as_json(self) -> dict[str, Any]:
        """The stable dictionary that scripts read; a baseline's own keys are its test results."""

        def splits(entry: ReportEntry) -> dict[str, Any]:
            return {split: entry.results[split].as_json() for split in reversed(SPLITS)}

        return {
            "champion": {"id": self.champion.id, **splits(self.champion)},
            "founders": [
                {"id": entry.id, "name": entry.name, **splits(entry)} for entry in self.founders
            ],
            "baselines": {
                entry.name: {**entry.test.as_json(), "detail": entry.detail, **splits(entry)}
                for entry in self.baselines
            },
            "gain": {
                "over_best_founder": vars(self.over_founder),
                "over_best_merge": vars(self.over_merge),
            },
            "budget": {"item_evaluations": self.item_evaluations},
            "time": {
                "wall_s": self.wall_s,
                "forward_fraction": self.forward_fraction,
                "cores_busy": self.cores_busy,
            },
            "generations": self.generations,
        }


def make_report(archive: Archive, context: Context, progress: Progress = silent) -> Report:
    """Measure champion, founders and baselines on all three splits.

    What was measured before is taken from the archive, by the hash of the weights.

    Raises:
        CampaignError: no generation is complete yet.
    """
    history = archive.generations()
    if not history:
        raise CampaignError(f"{archive.path}: nothing to report, {why_no_generation(archive)}")
    bench = _Measurements(archive, context, progress)
    rows = archive.models(ids=archive.founder_paths())
    genomes = [context.genome_of_founder(row) for row in range(len(rows))]
    bench.measure(genomes, "founders")
    founders = tuple(
        bench.entry(genome, model.label, "founder", model.id)
        for model, genome in zip(rows, genomes, strict=True)
    )
    merges = baselines(
        context.basis,
        len(context.layout.blocks),
        [entry.results["selection"].interval.mean for entry in founders],
        bench.on_selection,
    )
    merged = [merge.genome.ravel() for merge in merges]
    bench.measure(merged, "standard merges", context.materialiser)
    entries = tuple(
        bench.entry(genome, merge.name, merge.detail)
        for merge, genome in zip(merges, merged, strict=True)
    )
    champion = _champion(archive, history[-1].champion, bench, context)
    wall_s = sum(generation.wall_s for generation in history)
    best_founder = max(founders, key=lambda entry: entry.test.interval.mean)
    best_merge = max(entries, key=lambda entry: entry.test.interval.mean)
    return Report(
        champion=champion,
        founders=founders,
        baselines=entries,
        over_founder=bench.gain(champion, best_founder),
        over_merge=bench.gain(champion, best_merge),
        composites=tuple(task.name for task in context.tasks if task.kind == "composite"),
        item_evaluations=sum(generation.evaluations for generation in history),
        wall_s=wall_s,
        forward_fraction=sum(generation.forward_s for generation in history) / wall_s
        if wall_s
        else 0.0,
        cores_busy=sum(generation.cpu_s for generation in history) / wall_s if wall_s else 0.0,
        generations=history[-1].generation,
    )


def _champion(
    archive: Archive, model: int, bench: "_Measurements", context: Context
) -> ReportEntry:
    (row,) = archive.models(ids=[model])
    genome = genome_of(archive, context, row)
    bench.measure([genome], "champion")
    return bench.entry(genome, row.label, row.operator, row.id)


class _Measurements:
    """Measures genomes on the fixed items of every split, each weights hash once."""

    def __init__(self, archive: Archive, context: Context, progress: Progress) -> None:
        self._archive, self._context, self._progress = archive, context, progress
        everything = (item for split in SPLITS for item in context.split(split))
        keyed = [item for item in everything if item.key is not None]
        self._items: list[Item] = items_with_usable_keys(context, keyed)
        if not self._items:
            raise CampaignError(
                f"{archive.path}: nothing to report, no task has keys; "
                "`colony leaderboard` shows how the colony judges itself"
            )
        self._names = tuple(item.id for item in self._items)
        self._splits = np.array([item.split for item in self._items])
        self._tasks = [item.task for item in self._items]
        self._exact: dict[bytes, Floats] = {}

    def measure(self, genomes: list[Floats], what: str, maker: WeightMaker | None = None) -> None:
        """Score what was never scored, now or in an earlier report."""
        context = self._context
        maker = maker or context.maker
        unmeasured: list[tuple[Floats, str]] = []
        for number, (genome, state) in enumerate(
            zip(genomes, maker.siblings(genomes), strict=True)
        ):
            self._progress(number, len(genomes), what)
            sha = state_sha256(state)
            stored = self._archive.report_scores(sha, self._names)
            if stored is None:
                unmeasured.append((genome, sha))
            else:
                self._exact[genome.tobytes()] = stored.exact[0]
        if not unmeasured:
            return
        prepared = context.evaluator.prepare_keys(self._items)
        scored = context.score([g for g, _ in unmeasured], prepared, self._progress, what, maker)
        for row, (genome, sha) in enumerate(unmeasured):
            self._exact[genome.tobytes()] = scored.exact[row]
            self._archive.save_report_scores(
                sha,
                self._items,
                Scores((0,), self._names, scored.exact[[row]], scored.probability[[row]]),
            )

    def on_selection(self, genomes: list[Floats]) -> list[float]:
        """Mean exact match over tasks on the selection split, for choosing baselines."""
        items = [item for item in self._items if item.split == "selection"]
        prepared = self._context.evaluator.prepare_keys(items)
        maker = self._context.materialiser
        scored = self._context.score(genomes, prepared, self._progress, "standard merges", maker)
        tasks = [item.task for item in items]
        return [mean_over_tasks(row, tasks).mean for row in scored.exact]

    def entry(
        self, genome: Floats, name: str, detail: str, model: int | None = None
    ) -> ReportEntry:
        """The results of a measured genome."""
        exact = self._exact[genome.tobytes()]
        results = {}
        for split in SPLITS:
            in_split = self._splits == split
            tasks = self._tasks_in(split)
            by_task = sorted(scores_by_task(exact[in_split], tasks).items())
            results[split] = Result(
                mean_over_tasks(exact[in_split], tasks),
                {task: float(scores.mean()) for task, scores in by_task},
            )
        return ReportEntry(name, detail, results, exact[self._splits == "test"], model)

    def gain(self, model: ReportEntry, other: ReportEntry) -> Interval:
        """How much better one is than the other on the test split, item by item."""
        return mean_over_tasks(model.exact_on_test - other.exact_on_test, self._tasks_in("test"))

    def _tasks_in(self, split: str) -> list[str]:
        return [item.task for item in self._items if item.split == split]
