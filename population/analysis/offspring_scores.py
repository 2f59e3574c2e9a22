"""Scores of offspring on some items each, taken where neither campaign nor report has them yet."""

from collections.abc import Mapping, Sequence

import numpy as np

from lineage import Archive
from lineage.records import Floats, Item, Scores
from population.campaign.context import Context, Progress
from population.campaign.failure_handling import map_tolerantly
from population.evaluation.evaluator import Evaluator


class OffspringScores:
    """Scores offspring of an archive, each on items of its own.

    Args:
        archive: holds them, and what was measured before.
        context: makes the weights and scores them.
        progress: called while models are made and scored.
        models: ids of the offspring.
    """

    def __init__(
        self, archive: Archive, context: Context, progress: Progress, models: Sequence[int]
    ) -> None:
        self._archive, self._context, self._progress = archive, context, progress
        self._hashes = {model.id: model.identity for model in archive.models(ids=models)}

    def on(self, items: Mapping[int, Sequence[Item]]) -> dict[int, Scores]:
        """Scores by id, one row each; a model that fails has none, and why is reported.

        Args:
            items: with keys, by id of the model.
        """
        names = {model: tuple(item.id for item in own) for model, own in items.items()}
        scores = {model: self._known(model, own) for model, own in names.items()}
        missing = [model for model, known in scores.items() if known is None]
        found = {model: known for model, known in scores.items() if known is not None}
        if not missing:
            return found
        evaluator = self._context.evaluator
        asked = {names[model]: items[model] for model in missing}
        prepared = {own: evaluator.prepare_keys(asked[own]) for own in asked}

        def score(model: int, evaluator: Evaluator) -> tuple[Floats, Floats]:
            return evaluator.score(prepared[names[model]])

        results = map_tolerantly(
            self._context,
            list(self._archive.genomes(missing)),
            missing,
            score,
            self._progress,
            "living offspring",
        )
        for model, result in zip(missing, results, strict=True):
            if result is not None:
                exact, probability = result
                found[model] = Scores((0,), names[model], exact[None], probability[None])
                self._archive.save_report_scores(self._hashes[model], items[model], found[model])
        return {model: found[model] for model in items if model in found}

    def _known(self, model: int, items: Sequence[str]) -> Scores | None:
        # Challengers for the crown were scored on the selection split by the campaign.
        of_campaign = self._archive.scores([model], items)
        if not np.isnan(of_campaign.exact).any():
            return of_campaign
        return self._archive.report_scores(self._hashes[model], items)
