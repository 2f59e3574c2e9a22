"""A round of the arena: who has not answered answers, a jury reads, and everyone is rated anew.

What was answered or read before is taken from the archive, so a round costs what newcomers cost.
The models are lent; this file decides what they are asked and what follows from their replies.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from arena.judges import Replies, Slate, comparing, reading, replies_by_mode, slate_of
from arena.matches import model_queries
from arena.matches.adjudication import Adjudication, adjudicate, record_of
from arena.matches.cost import PLANTED, Cost, Count, counted, predicted
from arena.matches.items import RoundItems, hopeless
from arena.matches.judge_selection import choose_jury, uncompared, unread
from arena.matches.model_protocol import Lend
from arena.matches.outcomes import recorded_outcomes, supports
from arena.matches.round_inputs import Contestants, Memory, Rules
from arena.ratings import Matches, Ratings, fit
from arena.reliability.canaries import plant_canaries
from arena.reliability.jury import select_jury
from arena.tasks import Task
from lineage.records import (
    Answer,
    Canary,
    PairComparison,
    Rating,
    Reading,
    Round,
    RoundItem,
    Verdict,
)

USUAL_DISTINCT = 4.0
"""Distinct answers to an item that are expected where nothing was answered before."""


class Arena:
    """Plays a round.

    Args:
        lend: lends models.
        tasks: by name.
        count: tokens of a text.
        rules: how it is played.
        panel: the items that it is played on.
        hidden: ids of items that nothing else asks.
    """

    def __init__(
        self,
        lend: Lend,
        tasks: Mapping[str, Task],
        count: Count,
        rules: Rules,
        panel: RoundItems,
        hidden: frozenset[str] = frozenset(),
    ) -> None:
        self._lend, self._tasks, self._count = lend, tasks, count
        self._rules, self._panel, self._hidden = rules, panel, hidden
        self._by_id = {item.id: item for item in panel.items}
        self._keys = {
            item.id: tasks[item.task].extract(item, item.key)
            for item in panel.items
            if item.key is not None and item.id in panel.checkable
        }

    def cost(self, who: Contestants, memory: Memory) -> Cost:
        """What the round is expected to cost, if everybody climbs all rungs."""
        answered = {answer.model for answer in memory.answers}
        readers = {reading.judge for reading in memory.readings} & set(who.everybody)
        texts = {(answer.item, answer.answer) for answer in memory.answers}
        items = len({answer.item for answer in memory.answers})
        distinct = PLANTED + (len(texts) / items if items else USUAL_DISTINCT)
        # Known judges read what newcomers add; a new judge reads everything.
        newcomers = len(set(who.models) - answered)
        new_judges = max(0, self._rules.judges - len(readers))
        cost = predicted(self._count, self._panel.items, newcomers, new_judges, distinct)
        more = predicted(
            self._count, self._panel.items, 0, len(readers), min(float(newcomers), distinct)
        )
        modes = len(reading(self._rules.modes))
        return Cost(cost.answering, modes * (cost.reading + more.reading))

    def play(self, who: Contestants, memory: Memory) -> Round:
        """Play it among some contestants."""
        expected = self.cost(who, memory)
        answers = list(memory.answers)
        fresh = self._climb(who, memory, answers)
        planted = [*memory.canaries, *self._planted(answers, memory)]
        silent = self._slate(who, answers, canaries=planted)
        jury = self._jury(who, memory, silent)
        readings, comparisons = (
            self._read(silent, jury, memory),
            self._compared(silent, jury, memory),
        )
        replies = replies_by_mode(
            [r for r in (*memory.readings, *readings) if r.judge in jury],
            [c for c in (*memory.comparisons, *comparisons) if c.judge in jury],
        )
        slate = self._slate(who, answers, canaries=planted)
        outcome = self._judged(slate, replies, who, memory)
        fitted = _fit(outcome.matches, who)
        support = supports(slate, outcome.matches)
        spent = counted(self._count, self._by_id, fresh, readings, comparisons, self._rules.modes)
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
            votes=outcome.votes,
            matches=recorded_outcomes(slate, outcome.matches),
            trust=outcome.trust,
            audits=outcome.audits,
            ratings=_rated(who, fitted),
            predicted=expected.tokens,
            tokens=spent.tokens,
            verifier=self._rules.verifier,
        )

    def _jury(self, who: Contestants, memory: Memory, silent: Slate) -> list[int]:
        modes = self._rules.modes
        own = next((mode for mode, kind in modes.items() if kind.evidence == "answers"), None)
        return choose_jury(who, memory, silent, self._rules.judges, own)

    def _read(self, silent: Slate, jury: Sequence[int], memory: Memory) -> list[Reading]:
        """Let the jury read what it has not."""
        return [
            one
            for mode, kind in reading(self._rules.modes).items()
            for one in model_queries.readings(
                self._lend, mode, kind, unread(mode, silent, jury, memory, self._by_id)
            )
        ]

    def _compared(self, silent: Slate, jury: Sequence[int], memory: Memory) -> list[PairComparison]:
        """Let the jury compare what it has not."""
        most = self._rules.pairs
        return [
            comparison
            for mode, kind in comparing(self._rules.modes).items()
            for comparison in model_queries.comparisons(
                self._lend,
                mode,
                kind,
                uncompared(mode, kind, silent, jury, memory, self._by_id, most),
            )
        ]

    def _judged(
        self,
        slate: Slate,
        replies: Mapping[str, Replies],
        who: Contestants,
        memory: Memory,
        *,
        audit: bool = True,
    ) -> Adjudication:
        relationship = who.relationship[:, : len(who.models)]
        related = dict(zip(who.everybody, relationship, strict=True))
        record, verifier = record_of(memory.trust), self._rules.verifier
        return adjudicate(
            slate,
            related,
            record,
            verifier=verifier,
            replies=replies,
            judges=self._rules.modes,
            audit=audit,
        )

    def _verified(self, item: str, answer: str) -> float | None:
        """How right an answer is, where the key may be looked at."""
        if item not in self._panel.checkable:
            return None
        asked = self._by_id[item]
        return self._tasks[asked.task].verify(asked, answer)

    def _slate(
        self,
        who: Contestants,
        answers: Sequence[Answer],
        canaries: Sequence[Canary] = (),
    ) -> Slate:
        return slate_of(
            who.models,
            [(item.id, item.task) for item in self._panel.items],
            answers,
            verify=self._verified,
            keys=self._keys,
            canaries=canaries,
            voters=self._voters(who),
        )

    def _voters(self, who: Contestants) -> list[int]:
        """Everybody, or as many as may vote, from distant lines."""
        if len(who.models) <= self._rules.voters:
            return list(who.models)
        equal = np.ones(len(who.models))
        size = len(who.models)
        related = who.relationship[:size, :size]
        return sorted(select_jury(who.models, related, equal, self._rules.voters))

    def _climb(self, who: Contestants, memory: Memory, answers: list[Answer]) -> list[Answer]:
        """Let everybody answer what it has not, rung by rung, and let the hopeless go.

        `answers`, those that were known, grow by those that are returned.
        """
        answered = {(answer.model, answer.item) for answer in answers}
        anchors = {who.models[row] for row in who.anchors}
        remaining = set(who.models)
        fresh: list[Answer] = []
        for rung in self._panel.rungs():
            asked = {
                model: [
                    item
                    for item in self._panel.items[: None if model in anchors else rung]
                    if (model, item.id) not in answered
                ]
                for model in who.models
                if model in remaining
            }
            missing = {model: items for model, items in asked.items() if items}
            new_answers = model_queries.answers(self._lend, self._tasks, missing, who.solved)
            answered |= {(answer.model, answer.item) for answer in new_answers}
            answers += new_answers
            fresh += new_answers
            ahead = self._panel.items[rung:]
            climbing = {m for m in remaining if any((m, item.id) not in answered for item in ahead)}
            if climbing:
                slate = self._slate(who, answers, memory.canaries)
                replies = replies_by_mode(memory.readings, ())
                matches = self._judged(slate, replies, who, memory, audit=False).matches
                fitted = _fit(matches, who)
                out = hopeless(fitted.strength, fitted.deviation)
                lost = {model for model, gone in zip(who.models, out, strict=True) if gone}
                remaining -= lost & climbing
        return fresh

    def _planted(self, answers: Sequence[Answer], memory: Memory) -> list[Canary]:
        """Canaries for checkable items that have none yet."""
        with_canary = {canary.item for canary in memory.canaries}
        texts: dict[str, set[str]] = {}
        for answer in answers:
            texts.setdefault(answer.item, set()).add(answer.answer)
        items = [
            item
            for item in self._panel.items
            if item.id in self._panel.checkable and item.id not in with_canary
        ]
        answers_by_item = [sorted(texts.get(item.id, ())) for item in items]
        return plant_canaries(self._tasks, items, answers_by_item)


def _fit(matches: Matches, who: Contestants) -> Ratings:
    anchors = np.array(who.anchors, dtype=np.int64) if who.anchors else None
    return fit(matches, who.prior, anchors=anchors)


def _rated(who: Contestants, fitted: Ratings) -> tuple[Rating, ...]:
    return tuple(
        Rating(model, float(strength), float(deviation), float(prior))
        for model, strength, deviation, prior in zip(
            who.models, fitted.strength, fitted.deviation, who.prior, strict=True
        )
    )
