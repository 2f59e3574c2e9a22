"""Opens the sealed test split: the only place that reads its items, for reports alone.

Champion, founders and standard merges are measured here on the items of all three splits. Scores
are kept in the archive by the hash of the weights, so that no model is measured twice.
"""

import numpy as np

from arena.tasks.generators import SPLITS
from lineage import Archive
from lineage.records import Floats, Item, Scores
from population.analysis.report_entry import ReportEntry, Result
from population.campaign.context import Context, Progress
from population.campaign.failure_handling import items_with_usable_keys
from population.campaign.model_factory import WeightMaker
from population.errors import CampaignError
from population.evaluation.intervals import Interval, mean_over_tasks, scores_by_task
from population.weights.materialise import state_sha256


class SplitMeasurements:
    """Measures genomes on the fixed items of every split, each weights hash once.

    Args:
        archive: holds what was measured in earlier reports.
        context: makes the weights and scores them.
        progress: called while models are made and scored.

    Raises:
        CampaignError: no task has keys.
        TaskError: the file of a split is missing or broken.
    """

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
        """Score what was never scored, now or in an earlier report.

        Args:
            genomes: shape (genes,) each.
            what: they are, for the progress.
            maker: of their weights; the campaign's own by default.
        """
        context = self._context
        maker = maker or context.factory.maker
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
        """Mean exact match over tasks on the selection split, a number for each genome.

        Args:
            genomes: of the founders' linear space, shape (genes,) each.
        """
        items = [item for item in self._items if item.split == "selection"]
        prepared = self._context.evaluator.prepare_keys(items)
        maker = self._context.factory.materialiser
        scored = self._context.score(genomes, prepared, self._progress, "standard merges", maker)
        tasks = [item.task for item in items]
        return [mean_over_tasks(row, tasks).mean for row in scored.exact]

    def entry(
        self, genome: Floats, name: str, detail: str, model: int | None = None
    ) -> ReportEntry:
        """The results of a genome that was measured.

        Args:
            genome: shape (genes,), one of those given to `measure`.
            name: of the model.
            detail: what it is.
            model: its id, if it is in the archive.
        """
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
