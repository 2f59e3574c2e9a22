"""Whom a round is put before: the jury, and what its members were not asked yet."""

from collections.abc import Mapping, Sequence

import numpy as np

from arena.judges import ComparingJudge, Slate
from arena.judges.consensus import own_answers
from arena.matches.adjudication import passed, record_of
from arena.matches.round_inputs import Contestants, Memory
from arena.reliability.jury import select_jury
from arena.reliability.trust import earlier_counts, hits_and_misses, lower_bound, totals
from lineage.records import Item


def choose_jury(
    who: Contestants, memory: Memory, silent: Slate, size: int, own: str | None
) -> list[int]:
    """The jury: who has read this panel before, and of the voters the most reliable.

    A model judges no better than it solves, so its own answers tell how reliable it is.

    Args:
        who: the contestants, and the bench.
        memory: what is known before.
        silent: the answers.
        size: how many judges.
        own: the mode in which it was counted how right everybody's own answers were; None without.
    """
    ballots = own_answers(silent)
    place = {model: row for row, model in enumerate(who.everybody)}
    voters = [place[voter] for voter in ballots.judges]
    related = who.relationship[voters][:, : len(who.models)]
    hits, misses = hits_and_misses(silent, ballots, related)
    tasks = sorted(set(silent.tasks))
    before = earlier_counts(record_of(memory.trust), ballots.judges, own or "", tasks)
    right = 1.0 + totals(hits) + totals(before[0])
    wrong = 1.0 + totals(misses) + totals(before[1])
    trust = np.array([0.0 if v in memory.barred else 1.0 for v in ballots.judges])
    trust *= lower_bound(right, wrong)
    candidates = [*ballots.judges, *who.bench]
    rows = [place[candidate] for candidate in candidates]
    readers = {reading.judge for reading in memory.readings} - memory.barred
    return select_jury(
        candidates,
        who.relationship[np.ix_(rows, rows)],
        np.append(trust, np.zeros(len(who.bench))),
        size,
        sorted(readers & set(candidates)),
    )


def unread(
    mode: str, slate: Slate, jury: Sequence[int], memory: Memory, items: Mapping[str, Item]
) -> dict[int, list[tuple[Item, str]]]:
    """By judge, the distinct answers that it has not read in a mode."""
    known_replies = {
        (reading.judge, reading.item, reading.answer)
        for reading in memory.readings
        if reading.mode == mode
    }
    return {
        judge: [
            (items[item], answer)
            for item, answers in zip(slate.items, slate.answers, strict=True)
            if len(answers) > 1
            for answer in answers
            if (judge, item, answer) not in known_replies
        ]
        for judge in jury
    }


def uncompared(
    mode: str,
    kind: ComparingJudge,
    slate: Slate,
    jury: Sequence[int],
    memory: Memory,
    items: Mapping[str, Item],
    most: int,
) -> dict[int, list[tuple[Item, str, str]]]:
    """By judge, pairs that it is asked to compare: checkable ones, and once it is good others.

    Pairs are of answers that are given most, so that a comparison decides many matches.
    """
    compared = {(c.judge, c.item, c.better, c.worse) for c in memory.comparisons if c.mode == mode}
    good = passed(memory.trust, mode, kind.proof)
    pairs: dict[int, list[tuple[Item, str, str]]] = {}
    for judge in jury if most else ():
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
                (turn, items[item], answers[order[0]], answers[other])
                for turn, other in enumerate(order[1:])
                if (judge, item, answers[order[0]], answers[other]) not in compared
            ]
        choices.sort(key=lambda choice: choice[0])
        pairs[judge] = [choice[1:] for choice in choices[:most]]
    return pairs
