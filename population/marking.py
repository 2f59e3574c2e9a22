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

from arena.jury import seat_jury
from arena.tasks import deal_panel
from arena.trust import beliefs_by_task, lower_bound, totals
from lineage import Archive
from lineage.kinship import Kinship
from lineage.queries import rounds
from lineage.records import Floats, Item, Juror
from population.player import Player, Prepared
from population.randomness import generator
from population.report import genome_of
from population.workshop import Progress, Workshop

T = TypeVar("T")


@dataclass(frozen=True)
class Marked:
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


class Marker(Protocol):
    """Says what counts on items."""

    def mark(self, items: Sequence[Item], epoch: int) -> Marked:
        """The answers that count on some items in an epoch."""
        ...

    def jury(self, epoch: int) -> tuple[Juror, ...]:
        """Whose answers stand for keys in an epoch."""
        ...


@dataclass(frozen=True)
class Keys:
    """Keys count."""

    player: Player

    def mark(self, items: Sequence[Item], epoch: int) -> Marked:
        """The keys."""
        return Marked(self.player.prepare_keys(items))

    def jury(self, epoch: int) -> tuple[Juror, ...]:
        """Nobody's."""
        return ()


class Jury:
    """A jury's answers count. It is seated anew for every epoch, and kept in the archive.

    Args:
        archive: where the colony is kept.
        workshop: makes the jurors.
        kinship: of the living.
        examination: items with keys on which the founders earn their first trust, before the
            first round of the arena; nothing is bred on them.
        progress: told while jurors answer.
    """

    def __init__(
        self,
        archive: Archive,
        workshop: Workshop,
        kinship: Kinship,
        examination: Sequence[Item],
        progress: Progress,
    ) -> None:
        self._archive, self._workshop, self._kinship = archive, workshop, kinship
        self._examination, self._progress = examination, progress
        self._tasks = {task.name: task for task in workshop.tasks}
        self._seated: dict[int, tuple[Juror, ...]] = {}
        self._said: dict[tuple[int, str], dict[int, str]] = {}

    def jury(self, epoch: int) -> tuple[Juror, ...]:
        """Whose answers stand for keys in an epoch."""
        if epoch not in self._seated:
            known = rounds.jury(self._archive, epoch)
            self._seated = {epoch: tuple(known) if known else self._chosen()}
            self._said = {}
        return self._seated[epoch]

    def mark(self, items: Sequence[Item], epoch: int) -> Marked:
        """The jury's answers, each worth its part of the jury's trust."""
        jury = self.jury(epoch)
        judges = list(dict.fromkeys(juror.judge for juror in jury))
        belief = {(juror.judge, juror.task): juror.belief for juror in jury}
        said = self._answers(judges, items, epoch)
        answers = [sorted(set(said[item.id].values())) for item in items]
        questions = [(item, text) for item, own in zip(items, answers, strict=True) for text in own]
        prepared = self._workshop.player.prepare(questions)
        votes = np.zeros((len(judges), len(items), len(questions)))
        place = 0
        for column, (item, own) in enumerate(zip(items, answers, strict=True)):
            for row, judge in enumerate(judges):
                told = place + own.index(said[item.id][judge])
                votes[row, column, told] = belief[judge, item.task]
            place += len(own)
        everybody = replace(prepared, marks=_shares(votes))
        return Marked(
            everybody,
            {
                judge: replace(prepared, marks=_shares(np.delete(votes, row, axis=0)))
                for row, judge in enumerate(judges)
            },
        )

    def _answers(
        self, judges: Sequence[int], items: Sequence[Item], epoch: int
    ) -> dict[str, dict[int, str]]:
        """What jurors answer, by item and juror; what was asked before is remembered."""
        missing = [item for item in items if (epoch, item.id) not in self._said]
        if missing:
            told = self._made(judges, lambda player: player.generate(missing))
            for column, item in enumerate(missing):
                self._said[epoch, item.id] = {
                    judge: self._tasks[item.task].extract(item, texts[column])
                    for judge, texts in zip(judges, told, strict=True)
                }
        return {item.id: self._said[epoch, item.id] for item in items}

    def _chosen(self) -> tuple[Juror, ...]:
        """The living that are trusted most, from distant lines; at first the founders."""
        members = [model.id for model in self._archive.models(living=True)]
        tasks = sorted(self._tasks)
        if self._archive.latest() is None:
            hits, misses = self._examined(members, tasks)
        else:
            hits, misses = np.zeros((2, len(members), len(tasks)))
            for known in rounds.record(self._archive):
                if known.mode == "consensus" and known.judge in members:
                    place = members.index(known.judge), tasks.index(known.task)
                    hits[place] += known.hits
                    misses[place] += known.misses
        trust = lower_bound(1.0 + totals(hits), 1.0 + totals(misses))
        related = self._kinship.relationship(members)
        size = self._workshop.config.arena.jurors
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

    def _examined(self, members: Sequence[int], tasks: Sequence[str]) -> tuple[Floats, Floats]:
        """How often members are right and wrong where keys may be looked at, by task."""
        items = [item for item in self._examination if item.key is not None]
        hits, misses = np.zeros((2, len(members), len(tasks)))
        if not items:
            return hits, misses
        told = self._made(members, lambda player: player.generate(items))
        for row, texts in enumerate(told):
            for item, text in zip(items, texts, strict=True):
                task = self._tasks[item.task]
                right = task.verify(item, task.extract(item, text)) or 0.0
                hits[row, tasks.index(item.task)] += right
                misses[row, tasks.index(item.task)] += 1.0 - right
        return hits, misses

    def _made(self, models: Sequence[int], work: Callable[[Player], T]) -> list[T]:
        """What some models do, in their order."""
        rows = {model.id: model for model in self._archive.models(ids=models)}
        return self._workshop.each(
            [genome_of(self._archive, self._workshop, rows[model]) for model in models],
            lambda number, player, state: work(player),
            self._progress,
            "jury",
        )


def _shares(votes: Floats) -> Floats:
    """From votes (judges, items, questions), each answer's part of all trust on its item."""
    marks = votes.sum(axis=0)
    return np.asarray(marks / np.maximum(marks.sum(axis=1, keepdims=True), 1e-12))


def marker_of(
    archive: Archive, workshop: Workshop, kinship: Kinship, seed: int, progress: Progress
) -> Marker:
    """What counts in a campaign."""
    config = workshop.config
    if config.search.merit == "keys":
        return Keys(workshop.player)
    count = config.arena.items if config.arena.checkable > 0 else 0
    drawn = int(generator(seed, "examination").integers(1 << 31))
    examination = deal_panel(workshop.tasks, drawn, count) if count else []
    return Jury(archive, workshop, kinship, examination, progress)
