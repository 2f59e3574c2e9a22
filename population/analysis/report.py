"""The report: a campaign's results on items that it never used.

Scores are exact match under greedy decoding, on items that have keys; means are over tasks, by
their weights. `sealed_split` measures; this module puts the results together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from arena.tasks.generators import SPLITS
from lineage import Archive
from lineage.ancestry.pedigree_size import PedigreeSize, pedigree_size
from lineage.archive.unfinished import why_no_generation
from lineage.queries.studies import StudyRow
from lineage.records import Generation, Model
from lineage.task_weights import EQUAL, TaskWeights
from population.analysis.baselines import baselines_of
from population.analysis.coverage import Coverage
from population.analysis.own_labels import OwnLabels, own_labels
from population.analysis.report_entry import ReportEntry
from population.analysis.sealed_split import SplitMeasurements
from population.campaign.context import Context, Progress, genome_of, silent
from population.errors import CampaignError
from population.evaluation.intervals import Interval
from population.weights.founder_shares import FounderShares, founder_shares


@dataclass(frozen=True)
class CampaignSpending:
    """What a campaign spent.

    Attributes:
        item_evaluations: of its budget; the report's own are not among them.
        wall_s: seconds that it ran.
        forward_fraction: the fraction of that time with a forward pass running.
        cores_busy: processor cores at work, on average.
        generations: how many it ran.
    """

    item_evaluations: int
    wall_s: float
    forward_fraction: float
    cores_busy: float
    generations: int


@dataclass(frozen=True)
class ChampionOrigin:
    """Where a champion came from.

    Attributes:
        pedigree: how large its pedigree is.
        founders: their parts in its weights; None for a path through layers.
    """

    pedigree: PedigreeSize
    founders: FounderShares | None


STUDIED = "study"
"""What a founder is called that came of a study."""


@dataclass(frozen=True)
class Report:
    """The content of a report.

    Attributes:
        champion: the best living model by the selection split.
        origin: of the champion.
        coverage: the best living offspring of every task; None if no offspring lives.
        living: the last generation, with measures of the living on search items.
        founders: all founders.
        baselines: the standard merges of the same founders.
        over_founder: the champion's gain over the founder that is best on the test split.
        over_merge: its gain over the standard merge that is best on the test split.
        composites: tasks that no founder was made for.
        spent: by the campaign.
        labels: the audit of those that the colony made for itself; None if it made none.
        weights: of the tasks, in all means over them.
    """

    champion: ReportEntry
    origin: ChampionOrigin
    coverage: Coverage | None
    living: Generation
    founders: tuple[ReportEntry, ...]
    baselines: tuple[ReportEntry, ...]
    over_founder: Interval
    over_merge: Interval
    composites: tuple[str, ...]
    spent: CampaignSpending
    labels: OwnLabels | None = None
    weights: TaskWeights = EQUAL

    @property
    def studies(self) -> tuple[StudyRow, ...]:
        """Who learned what from whom."""
        return self.labels.studies if self.labels else ()

    @property
    def best_founder(self) -> ReportEntry:
        """The founder that is best on the test split, of those that were brought in."""
        return best_of(brought_in(self.founders))

    @property
    def best_merge(self) -> ReportEntry:
        """The standard merge that is best on the test split."""
        return best_of(self.baselines)

    def as_json(self) -> dict[str, Any]:
        """The stable dictionary that scripts read; a baseline's own keys are its test results."""

        def splits(entry: ReportEntry) -> dict[str, Any]:
            found = {split: entry.results.get(split) for split in reversed(SPLITS)}
            return {split: one.as_json() if one else None for split, one in found.items()}

        founders, spent = self.origin.founders, self.spent
        return {
            "champion": {
                "id": self.champion.id,
                **splits(self.champion),
                "pedigree": vars(self.origin.pedigree),
                "founders_by_weight": founders.as_json() if founders else None,
            },
            "coverage": self.coverage.as_json() if self.coverage else None,
            "living": {
                "item_coverage": self.living.item_coverage,
                "task_coverage": self.living.task_coverage,
                "qd_score": self.living.qd_score,
                "founders_by_weight": self.living.founders_by_weight,
            },
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
            "budget": {"item_evaluations": spent.item_evaluations},
            "time": {
                "wall_s": spent.wall_s,
                "forward_fraction": spent.forward_fraction,
                "cores_busy": spent.cores_busy,
            },
            "generations": spent.generations,
            "labels": self.labels.as_json() if self.labels else None,
            "studies": [study.as_json() for study in self.studies],
            "weights": {task: self.weights.of(task) for task in self.champion.test.tasks},
        }


def brought_in(founders: Sequence[ReportEntry]) -> list[ReportEntry]:
    """The founders without those that came of a study."""
    return [entry for entry in founders if entry.detail != STUDIED]


def best_of(entries: Sequence[ReportEntry]) -> ReportEntry:
    """The best on the test split."""
    return max(entries, key=lambda entry: entry.test.interval.mean)


def make_report(archive: Archive, context: Context, progress: Progress = silent) -> Report:
    """Measure champion, founders and baselines on all three splits, and who is best at each task.

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
    labels = own_labels(archive, context)
    came_of = {study.model for study in labels.studies} if labels else set()
    founders = tuple(
        measurements.entry(
            genome, model.label, STUDIED if model.id in came_of else "founder", model.id
        )
        for model, genome in zip(rows, genomes, strict=True)
    )
    merges = baselines_of(
        [row for row, entry in enumerate(founders) if entry.detail != STUDIED],
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
    (crowned,) = archive.models(ids=[history[-1].champion])
    champion = _champion(archive, crowned, measurements, context)
    offspring = [one.id for one in archive.models(living=True) if one.kind == "offspring"]
    best_founder, best_merge = best_of(brought_in(founders)), best_of(entries)
    return Report(
        champion=champion,
        origin=_origin(archive, crowned, context),
        coverage=measurements.coverage(offspring),
        living=history[-1],
        founders=founders,
        baselines=entries,
        over_founder=measurements.gain(champion, best_founder),
        over_merge=measurements.gain(champion, best_merge),
        composites=tuple(task.name for task in context.tasks if task.kind == "composite"),
        spent=_spending(history),
        labels=labels,
        weights=context.weights,
    )


def _spending(history: Sequence[Generation]) -> CampaignSpending:
    wall_s = sum(generation.wall_s for generation in history)
    per_second = 1.0 / wall_s if wall_s else 0.0
    return CampaignSpending(
        item_evaluations=sum(generation.evaluations for generation in history),
        wall_s=wall_s,
        forward_fraction=sum(generation.forward_s for generation in history) * per_second,
        cores_busy=sum(generation.cpu_s for generation in history) * per_second,
        generations=history[-1].generation,
    )


def _origin(archive: Archive, champion: Model, context: Context) -> ChampionOrigin:
    factory, shares = context.factory, None
    if context.geometry is not None:
        shares = founder_shares(
            [context.founders[vector].name for vector in factory.basis.vectors],
            factory.parameter_space.coefficients(genome_of(archive, context, champion)),
            context.geometry.lengths,
            "length",
        )
    return ChampionOrigin(pedigree_size(archive.ancestry(), champion.id), shares)


def _champion(
    archive: Archive, model: Model, measurements: SplitMeasurements, context: Context
) -> ReportEntry:
    genome = genome_of(archive, context, model)
    measurements.measure([genome], "champion")
    return measurements.entry(genome, model.label, model.operator, model.id)
