"""What counts as right: the key of an item or, where there is none, what the jury answers.

A model is scored on given answers, in one forward pass and without decoding. With keys, those are
the keys. Without, they are the distinct answers of a jury of the colony's own models, each worth
the jury's trust in those that gave it: the score is the trust that stands behind what the model
answers. Nobody's own vote counts for it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

import numpy as np

from arena.reliability.jury import seat_jury
from arena.reliability.trust import beliefs_by_task, lower_bound, totals
from arena.tasks.pools import Pools
from lineage import Archive
from lineage.ancestry.kinship import Kinship
from lineage.queries import rounds
from lineage.records import Answer, Floats, Item, Juror
from population.campaign.context import Context, Progress, genome_of
from population.campaign.passing_over import lent, preparable
from population.evaluation.evaluator import Evaluator
from population.evaluation.prepared import Prepared
from population.randomness import generator

T = TypeVar("T")


@dataclass(frozen=True)
class ScoredItems:
    """Items with the answers that count on them.

    Attributes:
        prepared: for everybody.
        without: for members of a jury, by id: the same without their own votes.
    """

    prepared: Prepared
    without: Mapping[int, Prepared] = field(default_factory=dict)

    def for_each(self, models: Sequence[int]) -> list[Prepared]:
        """What each of some models is scored on."""
        return [self.without.get(model, self.prepared) for model in models]


class Scorer(Protocol):
    """Says what counts on items."""

    def mark(self, items: Sequence[Item], epoch: int) -> ScoredItems:
        """The answers that count on some items in an epoch."""
        ...

    def jury(self, epoch: int) -> tuple[Juror, ...]:
        """Whose answers stand for keys in an epoch."""
        ...

    def said(self, items: Sequence[Item], epoch: int) -> tuple[Answer, ...]:
        """What its members answer to some items, as far as the archive does not have it yet."""
        ...


@dataclass(frozen=True)
class KeyScorer:
    """Keys count."""

    evaluator: Evaluator

    def mark(self, items: Sequence[Item], epoch: int) -> ScoredItems:
        """The keys."""
        return ScoredItems(self.evaluator.prepare_keys(items))

    def jury(self, epoch: int) -> tuple[Juror, ...]:
        """Nobody's."""
        return ()

    def said(self, items: Sequence[Item], epoch: int) -> tuple[Answer, ...]:
        """Nothing."""
        return ()


class JuryScorer:
    """A jury's answers count. It is seated anew for every epoch, and kept in the archive.

    Args:
        archive: where the colony is kept.
        context: makes the jurors.
        kinship: of the living.
        examination: deals the items of an epoch on which who may sit in the jury shows how
            reliable it is, in which task. Their keys are used for nothing else.
        progress: told while jurors answer.
    """

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
        self._seated: dict[int, tuple[Juror, ...]] = {}
        self._said: dict[tuple[int, str], dict[int, str]] = {}

    def jury(self, epoch: int) -> tuple[Juror, ...]:
        """Whose answers stand for keys in an epoch."""
        if epoch not in self._seated:
            known = rounds.jury(self._archive, epoch)
            self._seated = {epoch: tuple(known) if known else self._chosen(epoch)}
            self._said = {}
        return self._seated[epoch]

    def mark(self, items: Sequence[Item], epoch: int) -> ScoredItems:
        """The jury's answers, each worth its part of the jury's trust."""
        jury = self.jury(epoch)
        judges = list(dict.fromkeys(juror.judge for juror in jury))
        belief = {(juror.judge, juror.task): juror.belief for juror in jury}
        said = self._answers(judges, items, epoch)
        # Whom nobody believes in a task need not be heard there.
        told = [
            sorted({said[item.id][judge] for judge in judges if belief[judge, item.task] > 0.0})
            for item in items
        ]
        questions = [(item, text) for item, own in zip(items, told, strict=True) for text in own]
        prepared = self._context.evaluator.prepare(questions)
        votes = np.zeros((len(judges), len(items), len(questions)))
        place = 0
        for column, (item, own) in enumerate(zip(items, told, strict=True)):
            for row, judge in enumerate(judges):
                if worth := belief[judge, item.task]:
                    votes[row, column, place + own.index(said[item.id][judge])] = worth
            place += len(own)
        everybody = replace(prepared, marks=_shares(votes))
        return ScoredItems(
            everybody,
            {
                judge: replace(prepared, marks=_shares(np.delete(votes, row, axis=0)))
                for row, judge in enumerate(judges)
            },
        )

    def said(self, items: Sequence[Item], epoch: int) -> tuple[Answer, ...]:
        """What its members answer to some items, as far as the archive does not have it yet."""
        judges = sorted({juror.judge for juror in self.jury(epoch)})
        told = self._answers(judges, items, epoch)
        kept = rounds.heard(self._archive, [item.id for item in items], judges).answers
        known = {(answer.item, answer.model) for answer in kept}
        return tuple(
            Answer(item.id, judge, told[item.id][judge])
            for item in items
            for judge in judges
            if (item.id, judge) not in known
        )

    def _answers(
        self, judges: Sequence[int], items: Sequence[Item], epoch: int
    ) -> dict[str, dict[int, str]]:
        """What jurors answer, by item and juror. What was asked before is not asked again."""
        new = [item for item in items if (epoch, item.id) not in self._said]
        kept = rounds.heard(self._archive, [item.id for item in new], judges).answers
        for answer in kept:
            self._said.setdefault((epoch, answer.item), {})[answer.model] = answer.answer
        asked = [item for item in new if len(self._said.get((epoch, item.id), ())) < len(judges)]
        if asked:
            silence = [""] * len(asked)
            told = self._made(judges, lambda evaluator: evaluator.generate(asked), silence)
            for column, item in enumerate(asked):
                self._said[epoch, item.id] = {
                    judge: self._tasks[item.task].extract(item, texts[column])
                    for judge, texts in zip(judges, told, strict=True)
                }
        return {item.id: self._said[epoch, item.id] for item in items}

    def _chosen(self, epoch: int) -> tuple[Juror, ...]:
        """The living that prove most reliable, from distant lines."""
        bred = self._archive.latest() is not None  # if not, generation 0 may be there by half
        members = [
            model.id
            for model in self._archive.models(living=True)
            if bred or model.kind == "founder"
        ]
        tasks = sorted(self._tasks)
        hits, misses = self._examined(members, tasks, epoch)
        trust = lower_bound(1.0 + totals(hits), 1.0 + totals(misses))
        related = self._kinship.relationship(members)
        size = self._context.config.arena.jurors
        chosen = sorted(seat_jury(members, related, trust, size))
        rows = [members.index(judge) for judge in chosen]
        belief = beliefs_by_task(hits[rows], misses[rows])
        # Where nobody has shown anything, everybody is heard alike.
        belief[:, belief.max(axis=0) == 0.0] = 1.0
        return tuple(
            Juror(judge, task, float(belief[row, column]))
            for row, judge in enumerate(chosen)
            for column, task in enumerate(tasks)
        )

    def _examined(
        self, members: Sequence[int], tasks: Sequence[str], epoch: int
    ) -> tuple[Floats, Floats]:
        """How often members are right and wrong on items with keys, shape (members, tasks)."""
        hits, misses = np.zeros((2, len(members), len(tasks)))
        items = [item for item in self._examination(epoch) if item.key is not None]
        if not items:
            return hits, misses
        items = preparable(self._context, items)
        if not items:
            return hits, misses
        prepared = self._context.evaluator.prepare_keys(items)
        nothing = np.zeros(len(items))
        exact = self._made(members, lambda evaluator: evaluator.score(prepared)[0], nothing)
        for column, item in enumerate(items):
            right = np.array([row[column] for row in exact])
            hits[:, tasks.index(item.task)] += right
            misses[:, tasks.index(item.task)] += 1.0 - right
        return hits, misses

    def _made(self, models: Sequence[int], work: Callable[[Evaluator], T], otherwise: T) -> list[T]:
        """What some models do, in their order; `otherwise` for who fails."""
        rows = {model.id: model for model in self._archive.models(ids=models)}
        found = lent(
            self._context,
            [genome_of(self._archive, self._context, rows[model]) for model in models],
            models,
            lambda model, evaluator: work(evaluator),
            self._progress,
            "jury",
        )
        return [otherwise if row is None else row for row in found]


def _shares(votes: Floats) -> Floats:
    """From votes (judges, items, questions), each answer's part of all trust on its item."""
    marks = votes.sum(axis=0)
    return np.asarray(marks / np.maximum(marks.sum(axis=1, keepdims=True), 1e-12))


def scorer_of(
    archive: Archive,
    context: Context,
    pools: Pools,
    kinship: Kinship,
    seed: int,
    progress: Progress,
) -> Scorer:
    """What counts in a campaign."""
    search = context.config.search
    if search.merit == "keys":
        return KeyScorer(context.evaluator)

    def examination(epoch: int) -> list[Item]:
        drawn = int(generator(seed, "examination", epoch).integers(1 << 31))
        return pools.examination(drawn, search.panel)

    return JuryScorer(archive, context, kinship, examination, progress)
