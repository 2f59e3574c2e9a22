"""Opens the sealed test split: the only place that reads its items, for reports alone.

Champion, founders and standard merges are measured here on the items of all three splits; of other
offspring those that are best at a task, on the test items of that task. Scores are kept in the
archive by the hash of the weights, so that no model is measured twice.
"""

from collections.abc import Sequence

import numpy as np

from arena.errors import TaskError
from arena.tasks.generators import SPLITS
from lineage import Archive
from lineage.records import Floats, Item, Scores
from population.analysis.coverage import BestOffspring, Coverage, best_of_each_task
from population.analysis.offspring_scores import OffspringScores
from population.analysis.own_labels import keyed_by_labels
from population.analysis.report_entry import ReportEntry, Result
from population.campaign.context import Context, Progress
from population.campaign.failure_handling import items_with_usable_keys
from population.engines.interface import WeightMaker
from population.errors import CampaignError
from population.evaluation.intervals import Interval, mean_over_tasks, scores_by_task
from population.failures import one_line
from population.weights.materialise import state_sha256


class SplitMeasurements:
    """Measures genomes on the fixed items of every split, each weights hash once.

    Args:
        archive: holds what was measured in earlier reports.
        context: makes the weights and scores them.
        progress: called while models are made and scored.

    Raises:
        CampaignError: no task has keys.
        TaskError: the file of another split than search is missing or broken.
    """

    def __init__(self, archive: Archive, context: Context, progress: Progress) -> None:
        self._archive, self._context, self._progress = archive, context, progress
        self.splits: tuple[str, ...] = tuple(s for s in SPLITS if s != "search")
        """Those that are at hand: breeding is done, so a report can do without search items."""
        try:
            bred_on = context.split("search")
            self.splits = SPLITS
        except TaskError as error:
            bred_on = []
            context.failures.add(f"the report is without the search split: {one_line(error)}")
        measured = [item for split in self.splits if split != "search"
                    for item in context.split(split)]  # fmt: skip
        everything = keyed_by_labels(archive, [*bred_on, *measured])
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
        self._weights = context.weights

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
        return [mean_over_tasks(row, tasks, self._weights).mean for row in scored.exact]

    def coverage(self, models: Sequence[int]) -> Coverage | None:
        """The best of some offspring for every task, chosen on the selection split.

        Chosen by the score that crowns champions: where several solve all of the few selection
        items of a task, the probability of the key tells them apart. A model that fails is passed
        over, and why is reported.

        Args:
            models: ids of offspring.

        Returns:
            None if there are none, or no task has items in both splits.
        """
        selection, test = self._by_task("selection"), self._by_task("test")
        tasks = [task for task in test if task in selection]
        items = [item for task in tasks for item in selection[task]]
        if not models or not items:
            return None
        offspring = OffspringScores(self._archive, self._context, self._progress, models)
        scored = offspring.on(dict.fromkeys(models, items))
        if not scored:
            return None
        ids = list(scored)
        merit = np.array([(scored[one].exact[0] + scored[one].probability[0]) / 2 for one in ids])
        best = {
            task: ids[row]
            for task, row in best_of_each_task(merit, [item.task for item in items]).items()
        }
        measured = offspring.on(
            {
                model: [item for task in tasks if best[task] == model for item in test[task]]
                for model in dict.fromkeys(best.values())
            }
        )
        exact = {
            item: score
            for scores in measured.values()
            for item, score in zip(scores.items, scores.exact[0].tolist(), strict=True)
        }
        tested = [item for task in tasks if best[task] in measured for item in test[task]]
        if not tested:
            return None
        on_test, task_of_item = [exact[item.id] for item in tested], [item.task for item in tested]
        by_task = sorted(scores_by_task(np.array(on_test), task_of_item).items())
        return Coverage(
            mean_over_tasks(np.array(on_test), task_of_item, self._weights),
            {task: BestOffspring(best[task], float(own.mean())) for task, own in by_task},
        )

    def _by_task(self, split: str) -> dict[str, list[Item]]:
        items = [item for item in self._items if item.split == split]
        return {
            task: [item for item in items if item.task == task]
            for task in dict.fromkeys(item.task for item in items)
        }

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
        for split in self.splits:
            in_split = self._splits == split
            tasks = self._tasks_in(split)
            by_task = sorted(scores_by_task(exact[in_split], tasks).items())
            results[split] = Result(
                mean_over_tasks(exact[in_split], tasks, self._weights),
                {task: float(scores.mean()) for task, scores in by_task},
            )
        return ReportEntry(name, detail, results, exact[self._splits == "test"], model)

    def gain(self, model: ReportEntry, other: ReportEntry) -> Interval:
        """How much better one is than the other on the test split, item by item."""
        lead = model.exact_on_test - other.exact_on_test
        return mean_over_tasks(lead, self._tasks_in("test"), self._weights)

    def _tasks_in(self, split: str) -> list[str]:
        return [item.task for item in self._items if item.split == split]
