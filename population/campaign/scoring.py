"""Scorers say which answers count: the keys of items or, where there are none, the colony's own.

With gradients those are labels (`population.campaign.labelling`), without them a jury's answers.

A model is scored on given answers, in one forward pass and without decoding. With keys, those are
the keys. Without, they are pseudo-labels: the distinct answers of a jury of the colony's own
models, each worth the jury's trust in those that gave it. A score is the trust that stands behind a
model's answer. No model's own vote counts for it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from arena.reliability.jury import select_jury
from arena.reliability.trust import answer_weights, lower_bound, totals
from arena.tasks.pools import Pools
from lineage import Archive
from lineage.ancestry.kinship import Kinship
from lineage.queries import rounds
from lineage.records import Answer, Floats, Item, Juror, Label
from population.campaign.context import Context, Progress, genome_of
from population.campaign.failure_handling import items_with_usable_keys, map_tolerantly
from population.campaign.labelling import LabelScorer
from population.campaign.scorer import AnsweredItems, Scorer
from population.evaluation.evaluator import Evaluator
from population.randomness import generator

T = TypeVar("T")

JURY_ANSWERS = 3
"""Distinct answers of a jury to an item, on average: more than was ever seen of eight jurors."""


@dataclass(frozen=True)
class KeyScorer:
    """Scores by keys.

    Attributes:
        context: prepares items.
    """

    context: Context
    questions = 1

    def cost_of_epoch(self, before: int) -> int:
        """Nothing."""
        return 0

    def scorable(self, split: str, epoch: int) -> None:
        """All: an item without a key is refused before a campaign starts."""

    def teaching(self, epoch: int) -> list[Item]:
        """The search items that have a key."""
        return [item for item in self.context.split("search") if item.key is not None]

    def labels(self, epoch: int) -> tuple[list[Item], tuple[Label, ...]]:
        """None."""
        return [], ()

    def prepare(self, items: Sequence[Item], epoch: int) -> AnsweredItems:
        """The items with their keys."""
        return AnsweredItems(self.context.evaluator.prepare_keys(items))

    def jury(self, epoch: int) -> tuple[Juror, ...]:
        """Nobody."""
        return ()

    def jury_answers(self, items: Sequence[Item], epoch: int) -> tuple[Answer, ...]:
        """Nothing."""
        return ()


class JuryScorer:
    """Scores by the answers of a jury, seated anew for every epoch and kept in the archive.

    Args:
        archive: where the colony is kept.
        context: makes the jurors.
        kinship: of the living.
        examination: samples the items of an epoch on which candidates for the jury show how
            reliable they are, in which task. Their keys are used for nothing else.
        progress: called while jurors answer; may raise to stop.
    """

    questions = JURY_ANSWERS

    def __init__(
        self,
        archive: Archive,
        context: Context,
        kinship: Kinship,
        examination: Callable[[int], list[Item]],
        progress: Progress,
    ) -> None:
        self._archive, self._context, self._kinship = archive, context, kinship
        self._examination, self._progress = examination, progress
        self._tasks = {task.name: task for task in context.tasks}
        self._juries: dict[int, tuple[Juror, ...]] = {}
        self._cached_answers: dict[tuple[int, str], dict[int, str]] = {}

    def cost_of_epoch(self, before: int) -> int:
        """Nothing that could be told before it is seated."""
        return 0

    def scorable(self, split: str, epoch: int) -> None:
        """All: the jury answers whatever is sampled."""

    def teaching(self, epoch: int) -> list[Item]:
        """Nothing: several answers may count on an item."""
        return []

    def labels(self, epoch: int) -> tuple[list[Item], tuple[Label, ...]]:
        """None."""
        return [], ()

    def jury(self, epoch: int) -> tuple[Juror, ...]:
        """The models whose answers stand for keys in an epoch."""
        if epoch not in self._juries:
            stored = rounds.jurors(self._archive, epoch)
            self._juries = {epoch: tuple(stored) if stored else self._seat_jury(epoch)}
            self._cached_answers = {}
        return self._juries[epoch]

    def prepare(self, items: Sequence[Item], epoch: int) -> AnsweredItems:
        """The items with the jury's answers, each worth its part of the jury's trust."""
        jury = self.jury(epoch)
        jurors = list(dict.fromkeys(juror.judge for juror in jury))
        trust = {(juror.judge, juror.task): juror.belief for juror in jury}
        answers = self._answers(jurors, items, epoch)
        # A juror without trust in a task has no say there.
        distinct = [
            sorted({answers[item.id][j] for j in jurors if trust[j, item.task] > 0.0})
            for item in items
        ]
        pairs = [(item, text) for item, own in zip(items, distinct, strict=True) for text in own]
        prepared = self._context.evaluator.prepare(pairs)
        votes = np.zeros((len(jurors), len(items), len(pairs)))
        first = 0
        for column, (item, texts) in enumerate(zip(items, distinct, strict=True)):
            for row, juror in enumerate(jurors):
                if worth := trust[juror, item.task]:
                    votes[row, column, first + texts.index(answers[item.id][juror])] = worth
            first += len(texts)
        return AnsweredItems(
            replace(prepared, answer_credit=_trust_shares(votes)),
            {
                juror: replace(prepared, answer_credit=_trust_shares(np.delete(votes, row, axis=0)))
                for row, juror in enumerate(jurors)
            },
        )

    def jury_answers(self, items: Sequence[Item], epoch: int) -> tuple[Answer, ...]:
        """The jury's answers to some items, without those that the archive has."""
        jurors = sorted({juror.judge for juror in self.jury(epoch)})
        answers = self._answers(jurors, items, epoch)
        stored = rounds.known_answers(self._archive, [item.id for item in items], jurors).answers
        in_archive = {(answer.item, answer.model) for answer in stored}
        return tuple(
            Answer(item.id, juror, answers[item.id][juror])
            for item in items
            for juror in jurors
            if (item.id, juror) not in in_archive
        )

    def _answers(
        self, jurors: Sequence[int], items: Sequence[Item], epoch: int
    ) -> dict[str, dict[int, str]]:
        """By item and juror, the jurors' answers. What was asked before is not asked again."""
        cache = self._cached_answers
        new = [item for item in items if (epoch, item.id) not in cache]
        stored = rounds.known_answers(self._archive, [item.id for item in new], jurors).answers
        for answer in stored:
            cache.setdefault((epoch, answer.item), {})[answer.model] = answer.answer
        unanswered = [item for item in new if len(cache.get((epoch, item.id), ())) < len(jurors)]
        if unanswered:
            silence = [""] * len(unanswered)
            generated = self._map(jurors, lambda evaluator: evaluator.generate(unanswered), silence)
            for column, item in enumerate(unanswered):
                cache[epoch, item.id] = {
                    juror: self._tasks[item.task].extract(item, texts[column])
                    for juror, texts in zip(jurors, generated, strict=True)
                }
        return {item.id: cache[epoch, item.id] for item in items}

    def _seat_jury(self, epoch: int) -> tuple[Juror, ...]:
        """The living that prove most reliable, from distant lines."""
        bred = self._archive.latest() is not None  # if not, generation 0 may be there by half
        members = [
            model.id
            for model in self._archive.models(living=True)
            if bred or model.kind == "founder"
        ]
        tasks = sorted(self._tasks)
        hits, misses = self._examine(members, tasks, epoch)
        trust = lower_bound(1.0 + totals(hits), 1.0 + totals(misses))
        relationship = self._kinship.relationship(members)
        size = self._context.config.arena.jurors
        jurors = sorted(select_jury(members, relationship, trust, size))
        rows = [members.index(juror) for juror in jurors]
        belief = answer_weights(hits[rows], misses[rows])
        # Where no juror has shown anything, all count alike.
        belief[:, belief.max(axis=0) == 0.0] = 1.0
        return tuple(
            Juror(juror, task, float(belief[row, column]))
            for row, juror in enumerate(jurors)
            for column, task in enumerate(tasks)
        )

    def _examine(
        self, members: Sequence[int], tasks: Sequence[str], epoch: int
    ) -> tuple[Floats, Floats]:
        """How often members are right and wrong on items with keys, shape (members, tasks) each."""
        hits, misses = np.zeros((2, len(members), len(tasks)))
        items = [item for item in self._examination(epoch) if item.key is not None]
        if not items:
            return hits, misses
        items = items_with_usable_keys(self._context, items)
        if not items:
            return hits, misses
        prepared = self._context.evaluator.prepare_keys(items)
        zeros = np.zeros(len(items))
        exact = self._map(members, lambda evaluator: evaluator.score(prepared)[0], zeros)
        for column, item in enumerate(items):
            right = np.array([row[column] for row in exact])
            hits[:, tasks.index(item.task)] += right
            misses[:, tasks.index(item.task)] += 1.0 - right
        return hits, misses

    def _map(self, models: Sequence[int], work: Callable[[Evaluator], T], default: T) -> list[T]:
        """The results of some work with each model; `default` for one that fails."""
        rows = {model.id: model for model in self._archive.models(ids=models)}
        results = map_tolerantly(
            self._context,
            [genome_of(self._archive, self._context, rows[model]) for model in models],
            models,
            lambda model, evaluator: work(evaluator),
            self._progress,
            "jury",
        )
        return [default if result is None else result for result in results]


def _trust_shares(votes: Floats) -> Floats:
    """Each answer's part of all trust on its item, shape (items, questions).

    Args:
        votes: shape (jurors, items, questions): trust in the juror that gave an answer, else 0.
    """
    trust = votes.sum(axis=0)
    return np.asarray(trust / np.maximum(trust.sum(axis=1, keepdims=True), 1e-12))


def scorer_of(
    archive: Archive,
    context: Context,
    pools: Pools,
    kinship: Kinship,
    seed: int,
    progress: Progress,
) -> Scorer:
    """The scorer that a configuration asks for by `[search] merit`.

    Args:
        archive: of the campaign.
        context: makes models.
        pools: that items are sampled from.
        kinship: of the living.
        seed: the campaign's.
        progress: called while jurors answer; may raise to stop.
    """
    search = context.config.search
    if search.merit == "keys":
        return KeyScorer(context)
    if context.config.by_labels:
        return LabelScorer(archive, context, kinship, pools, seed, progress)

    def examination(epoch: int) -> list[Item]:
        drawn = int(generator(seed, "examination", epoch).integers(1 << 31))
        return pools.examination(drawn, search.panel)

    return JuryScorer(archive, context, kinship, examination, progress)
