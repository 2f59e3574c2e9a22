"""The report: a campaign's results on items that it never used.

Scores are exact match under greedy decoding, on items that have keys; means are over tasks, so that
every task counts the same. `sealed_split` measures; this module puts the results together.
"""

from dataclasses import dataclass
from typing import Any

from arena.tasks.generators import SPLITS
from lineage import Archive
from lineage.archive.unfinished import why_no_generation
from population.analysis.baselines import baselines
from population.analysis.report_entry import ReportEntry
from population.analysis.sealed_split import SplitMeasurements
from population.campaign.context import Context, Progress, genome_of, silent
from population.errors import CampaignError
from population.evaluation.intervals import Interval


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
    measurements = SplitMeasurements(archive, context, progress)
    rows = archive.models(ids=archive.founder_paths())
    genomes = [context.genome_of_founder(row) for row in range(len(rows))]
    measurements.measure(genomes, "founders")
    founders = tuple(
        measurements.entry(genome, model.label, "founder", model.id)
        for model, genome in zip(rows, genomes, strict=True)
    )
    merges = baselines(
        context.factory.basis,
        len(context.factory.layout.blocks),
        [entry.results["selection"].interval.mean for entry in founders],
        measurements.on_selection,
    )
    merged = [merge.genome.ravel() for merge in merges]
    measurements.measure(merged, "standard merges", context.factory.materialiser)
    entries = tuple(
        measurements.entry(genome, merge.name, merge.detail)
        for merge, genome in zip(merges, merged, strict=True)
    )
    champion = _champion(archive, history[-1].champion, measurements, context)
    wall_s = sum(generation.wall_s for generation in history)
    best_founder = max(founders, key=lambda entry: entry.test.interval.mean)
    best_merge = max(entries, key=lambda entry: entry.test.interval.mean)
    return Report(
        champion=champion,
        founders=founders,
        baselines=entries,
        over_founder=measurements.gain(champion, best_founder),
        over_merge=measurements.gain(champion, best_merge),
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
    archive: Archive, model: int, measurements: SplitMeasurements, context: Context
) -> ReportEntry:
    (row,) = archive.models(ids=[model])
    genome = genome_of(archive, context, row)
    measurements.measure([genome], "champion")
    return measurements.entry(genome, row.label, row.operator, row.id)
