"""A round of the arena: who has not answered answers, a jury reads, and everyone is rated anew.

What was answered or read before is taken from the archive, so a round costs what newcomers cost.
The models are lent; this file decides what they are asked and what follows from what they say.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from arena import asking
from arena.canaries import canaries
from arena.costs import Cost, Count, counted, predicted
from arena.judges import Slate, consensus, slate_of
from arena.judging import Judged, judged, passed, record_of
from arena.jury import seat_jury
from arena.panel import ArenaPanel, hopeless
from arena.players import Lend
from arena.ratings import Matches, Ratings, fit
from arena.tasks import Task
from arena.trust import earned, lower_bound, recorded, totals
from arena.verdicts import supports
from lineage.records import (
    Answer,
    Canary,
    Comparison,
    Floats,
    Item,
    Rating,
    Reading,
    Round,
    RoundItem,
    Trust,
    Verdict,
)

USUAL_DISTINCT = 4.0
"""Distinct answers to an item that are expected where nothing was answered before."""

PLANTED = 2.0
"""Answers to an item that nobody gave, at most: a canary and the key."""


@dataclass(frozen=True)
class Rules:
    """How rounds are played.

    Attributes:
        judges: how many models read the others' answers.
        voters: how many models' own answers count as votes, at most.
        pairs: how many pairs of answers a judge is asked to compare ("A or B?") in a round.
        verifier: whether keys decide where they may be looked at.
    """

    judges: int = 3
    voters: int = 32
    pairs: int = 0
    verifier: bool = True


@dataclass(frozen=True)
class Memory:
    """What is known before a round: of these items, and of the judges from others."""

    answers: Sequence[Answer] = ()
    readings: Sequence[Reading] = ()
    comparisons: Sequence[Comparison] = ()
    canaries: Sequence[Canary] = ()
    trust: Sequence[Trust] = ()
    barred: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Field:
    """Who plays.

    Attributes:
        models: ids of the contestants.
        relationship: shape (models and bench, models and bench).
        prior: shape (models,): where each rating starts from, in logits.
        anchors: rows of those whose mean is the zero of the scale, the founders; they answer
            everything, however hopeless.
        solved: models and items where greedy decoding is known to give the key.
        bench: ids of judges that are no contestants: dead ones that sat in the jury of this panel.
            What they have read need not be read again.
    """

    models: tuple[int, ...]
    relationship: Floats
    prior: Floats
    anchors: tuple[int, ...] = ()
    solved: frozenset[tuple[int, str]] = field(default_factory=frozenset)
    bench: tuple[int, ...] = ()

    @property
    def everybody(self) -> tuple[int, ...]:
        """Contestants and bench: the rows of `relationship`."""
        return (*self.models, *self.bench)


class Arena:
    """Plays a round.

    Args:
        lend: lends models.
        tasks: by name.
        count: tokens of a text.
        rules: how it is played.
        panel: on what.
        hidden: ids of items that nothing else asks.
    """

    def __init__(
        self,
        lend: Lend,
        tasks: Mapping[str, Task],
        count: Count,
        rules: Rules,
        panel: ArenaPanel,
        hidden: frozenset[str] = frozenset(),
    ) -> None:
        self._lend, self._tasks, self._count = lend, tasks, count
        self._rules, self._panel, self._hidden = rules, panel, hidden
        self._by_id = {item.id: item for item in panel.items}

    def cost(self, who: Field, memory: Memory) -> Cost:
        """What the round is expected to cost, if everybody climbs all rungs."""
        known = {answer.model for answer in memory.answers}
        seated = {reading.judge for reading in memory.readings} & set(who.everybody)
        texts = {(answer.item, answer.answer) for answer in memory.answers}
        asked = len({answer.item for answer in memory.answers})
        distinct = PLANTED + (len(texts) / asked if asked else USUAL_DISTINCT)
        # Known judges read what newcomers add; a new judge reads everything.
        newcomers = len(set(who.models) - known)
        unread = max(0, self._rules.judges - len(seated))
        cost = predicted(self._count, self._panel.items, newcomers, unread, distinct)
        more = predicted(
            self._count, self._panel.items, 0, len(seated), min(float(newcomers), distinct)
        )
        return Cost(
            cost.answering, cost.reading + more.reading, cost.evaluations + more.evaluations
        )

    def play(self, who: Field, memory: Memory) -> Round:
        """Play it among some contestants."""
        expected = self.cost(who, memory)
        answers = list(memory.answers)
        fresh = self._climb(who, memory, answers)
        planted = [*memory.canaries, *self._planted(answers, memory)]
        silent = self._slate(who, answers, canaries=planted)
        jury = self._seated(who, memory, silent)
        readings = asking.readings(self._lend, self._unread(silent, jury, memory))
        comparisons = asking.comparisons(self._lend, self._uncompared(silent, jury, memory))
        slate = self._slate(
            who,
            answers,
            canaries=planted,
            readings=[r for r in (*memory.readings, *readings) if r.judge in jury],
            comparisons=[c for c in (*memory.comparisons, *comparisons) if c.judge in jury],
        )
        outcome = self._judged(slate, who, memory)
        fitted = _fit(outcome.matches, who)
        support = supports(slate, outcome.matches)
        spent = counted(self._count, self._by_id, fresh, readings, comparisons)
        return Round(
            asked=tuple(
                RoundItem(item.id, item.id in self._panel.checkable, item.id in self._hidden)
                for item in self._panel.items
            ),
            answers=tuple(
                Answer(a.item, a.model, a.answer, self._verified(a.item, a.answer)) for a in fresh
            ),
            canaries=tuple(planted[len(memory.canaries) :]),
            readings=tuple(readings),
            comparisons=tuple(comparisons),
            verdicts=tuple(
                Verdict(item, model, float(support[row, column]))
                for row, model in enumerate(who.models)
                for column, item in enumerate(slate.items)
                if not np.isnan(support[row, column])
            ),
            trust=outcome.trust,
            audits=outcome.audits,
            ratings=_rated(who, fitted),
            predicted=expected.tokens,
            tokens=spent.tokens,
        )

    def _judged(self, slate: Slate, who: Field, memory: Memory) -> Judged:
        relationship = who.relationship[:, : len(who.models)]
        related = dict(zip(who.everybody, relationship, strict=True))
        return judged(slate, related, record_of(memory.trust), self._rules.verifier)

    def _verified(self, item: str, answer: str) -> float | None:
        """How right an answer is, where the key may be looked at."""
        if item not in self._panel.checkable:
            return None
        asked = self._by_id[item]
        return self._tasks[asked.task].verify(asked, answer)

    def _slate(
        self,
        who: Field,
        answers: Sequence[Answer],
        canaries: Sequence[Canary] = (),
        readings: Sequence[Reading] = (),
        comparisons: Sequence[Comparison] = (),
    ) -> Slate:
        keys = {
            item.id: self._tasks[item.task].extract(item, item.key)
            for item in self._panel.items
            if item.key is not None and item.id in self._panel.checkable
        }
        return slate_of(
            who.models,
            [(item.id, item.task) for item in self._panel.items],
            answers,
            verify=self._verified,
            keys=keys,
            canaries=canaries,
            readings=readings,
            comparisons=comparisons,
            voters=self._voters(who),
        )

    def _voters(self, who: Field) -> list[int]:
        """Everybody, or as many as may vote, from distant lines."""
        if len(who.models) <= self._rules.voters:
            return list(who.models)
        equal = np.ones(len(who.models))
        size = len(who.models)
        related = who.relationship[:size, :size]
        return sorted(seat_jury(who.models, related, equal, self._rules.voters))

    def _climb(self, who: Field, memory: Memory, answers: list[Answer]) -> list[Answer]:
        """Let everybody answer what it has not, rung by rung, and let the hopeless go.

        `answers`, those that were known, grow by those that are returned.
        """
        known = {(answer.model, answer.item) for answer in answers}
        kept = {who.models[row] for row in who.anchors}
        still = set(who.models)
        fresh: list[Answer] = []
        for rung in self._panel.rungs():
            asked = {
                model: [
                    item
                    for item in self._panel.items[: None if model in kept else rung]
                    if (model, item.id) not in known
                ]
                for model in who.models
                if model in still
            }
            missing = {model: items for model, items in asked.items() if items}
            said = asking.answers(self._lend, self._tasks, missing, who.solved)
            known |= {(answer.model, answer.item) for answer in said}
            answers += said
            fresh += said
            ahead = self._panel.items[rung:]
            climbing = {m for m in still if any((m, item.id) not in known for item in ahead)}
            if climbing:
                slate = self._slate(who, answers, memory.canaries, memory.readings)
                fitted = _fit(self._judged(slate, who, memory).matches, who)
                out = hopeless(fitted.strength, fitted.deviation)
                lost = {model for model, gone in zip(who.models, out, strict=True) if gone}
                still -= lost & climbing
        return fresh

    def _planted(self, answers: Sequence[Answer], memory: Memory) -> list[Canary]:
        """Canaries for checkable items that have none yet."""
        has = {canary.item for canary in memory.canaries}
        given: dict[str, set[str]] = {}
        for answer in answers:
            given.setdefault(answer.item, set()).add(answer.answer)
        items = [
            item
            for item in self._panel.items
            if item.id in self._panel.checkable and item.id not in has
        ]
        return canaries(self._tasks, items, [sorted(given.get(item.id, ())) for item in items])

    def _seated(self, who: Field, memory: Memory, silent: Slate) -> list[int]:
        """The jury: who has read this panel before, and of the voters the most reliable.

        A model judges no better than it solves, so its own answers tell how reliable it is.
        """
        ballots = consensus.ballots(silent)
        place = {model: row for row, model in enumerate(who.everybody)}
        voters = [place[voter] for voter in ballots.judges]
        related = who.relationship[voters][:, : len(who.models)]
        hits, misses = earned(silent, ballots, related)
        before = recorded(record_of(memory.trust), ballots, sorted(set(silent.tasks)))
        right = 1.0 + totals(hits) + totals(before[0])
        wrong = 1.0 + totals(misses) + totals(before[1])
        trust = np.array([0.0 if v in memory.barred else 1.0 for v in ballots.judges])
        trust *= lower_bound(right, wrong)
        candidates = [*ballots.judges, *who.bench]
        rows = [place[candidate] for candidate in candidates]
        seated = {reading.judge for reading in memory.readings} - memory.barred
        return seat_jury(
            candidates,
            who.relationship[np.ix_(rows, rows)],
            np.append(trust, np.zeros(len(who.bench))),
            self._rules.judges,
            sorted(seated & set(candidates)),
        )

    def _unread(
        self, slate: Slate, jury: Sequence[int], memory: Memory
    ) -> dict[int, list[tuple[Item, str]]]:
        """By judge, the distinct answers that it has not read."""
        heard = {(reading.judge, reading.item, reading.answer) for reading in memory.readings}
        return {
            judge: [
                (self._by_id[item], answer)
                for item, answers in zip(slate.items, slate.answers, strict=True)
                if len(answers) > 1
                for answer in answers
                if (judge, item, answer) not in heard
            ]
            for judge in jury
        }

    def _uncompared(
        self, slate: Slate, jury: Sequence[int], memory: Memory
    ) -> dict[int, list[tuple[Item, str, str]]]:
        """By judge, pairs that it is asked to compare: checkable ones, and once it is good others.

        Pairs are of answers that are given most, so that a comparison decides many matches.
        """
        heard = {(c.judge, c.item, c.better, c.worse) for c in memory.comparisons}
        good = passed(memory.trust)
        pairs: dict[int, list[tuple[Item, str, str]]] = {}
        for judge in jury if self._rules.pairs else ():
            choices = []
            for column, (item, answers) in enumerate(zip(slate.items, slate.answers, strict=True)):
                if slate.right[column] is None and judge not in good:
                    continue
                often = np.bincount(
                    slate.choice[:, column][slate.choice[:, column] >= 0], minlength=len(answers)
                )
                order = np.argsort(-often, kind="stable")
                right = slate.right[column]
                if len(order) > 1 and right is not None:
                    key = int(np.argmax(right))
                    order = np.array([key, *(place for place in order if place != key)])
                choices += [
                    (turn, self._by_id[item], answers[order[0]], answers[other])
                    for turn, other in enumerate(order[1:])
                    if (judge, item, answers[order[0]], answers[other]) not in heard
                ]
            choices.sort(key=lambda choice: choice[0])
            pairs[judge] = [choice[1:] for choice in choices[: self._rules.pairs]]
        return pairs


def _fit(matches: Matches, who: Field) -> Ratings:
    anchors = np.array(who.anchors, dtype=np.int64) if who.anchors else None
    return fit(matches, who.prior, anchors=anchors)


def _rated(who: Field, fitted: Ratings) -> tuple[Rating, ...]:
    return tuple(
        Rating(model, float(strength), float(deviation), float(prior))
        for model, strength, deviation, prior in zip(
            who.models, fitted.strength, fitted.deviation, who.prior, strict=True
        )
    )
