"""A round of the arena, played by real models: missing answers are given, missing readings made.

What was answered or read before in this epoch is taken from the archive, so a round costs what the
newcomers cost. `arena` decides everything; this file only lends it the models.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from arena.judges import JUDGES, slate_of
from arena.jury import seat_jury
from arena.players import canonical
from arena.ratings import fit, matches_of
from arena.tasks import each_of
from arena.verdicts import supports
from lineage.records import Answer, Floats, Item, Rating, Reading, Trust, Verdict
from population.player import Player

T = TypeVar("T")


class Lend(Protocol):
    """Lends models: for each id, a player that has become that model does some work."""

    def __call__(self, models: Sequence[int], work: Callable[[int, Player], T], /) -> list[T]:
        """The results of the work, in the order of the models."""
        ...


@dataclass(frozen=True)
class Round:
    """What a round adds to the archive."""

    answers: tuple[Answer, ...]
    readings: tuple[Reading, ...]
    verdicts: tuple[Verdict, ...]
    trust: tuple[Trust, ...]
    ratings: tuple[Rating, ...]


def arena_items(panel: Sequence[Item], count: int) -> list[Item]:
    """About `count` items of a panel, the same number of each task as far as that goes."""
    by_task: dict[str, list[Item]] = {}
    for item in panel:
        by_task.setdefault(item.task, []).append(item)
    each = each_of(count, len(by_task))
    return [item for items in by_task.values() for item in items[:each]]


def play_round(
    lend: Lend,
    *,
    contestants: Sequence[int],
    items: Sequence[Item],
    solved: Mapping[int, Floats],
    answered: Sequence[Answer],
    read: Sequence[Reading],
    record: Sequence[Trust],
    relationship: Floats,
    prior: Floats,
    jurors: int,
) -> Round:
    """Play a round among contestants.

    Args:
        lend: lets a player become each of some models and answer a question about each.
        contestants: ids; everyone answers every item.
        items: the arena's items, with their keys.
        solved: per contestant, exact match on `items`; who solved an item answered its key, which
            saves decoding it.
        answered: the answers given earlier on these items.
        read: the readings made earlier on these items.
        record: every judge's hits and misses before this epoch.
        relationship: shape (contestants, contestants).
        prior: shape (contestants,): the mean of each rating's prior, in logits.
        jurors: how many judges read.
    """
    ids = [item.id for item in items]
    known = {(answer.item, answer.model) for answer in answered}
    fresh: list[Answer] = []
    unsolved: dict[int, list[Item]] = {}
    for model in contestants:
        for item, hit in zip(items, solved[model], strict=True):
            if (item.id, model) in known:
                continue
            if hit == 1.0:
                fresh.append(Answer(item.id, model, canonical(item.key)))
            else:
                unsolved.setdefault(model, []).append(item)
    decoded = lend(list(unsolved), lambda model, player: player.generate(unsolved[model]))
    for (model, asked), texts in zip(unsolved.items(), decoded, strict=True):
        fresh += [
            Answer(item.id, model, canonical(text)) for item, text in zip(asked, texts, strict=True)
        ]
    answers = [answer for answer in answered if answer.model in set(contestants)] + fresh
    trusted = {(trust.judge, trust.mode): trust for trust in record}
    seated = sorted({reading.judge for reading in read})
    jury = seat_jury(contestants, relationship, trusted, jurors, seated)
    readings = _missing_readings(lend, jury, items, answers, read)
    heard = [reading for reading in read if reading.judge in jury] + readings
    slate = slate_of(contestants, ids, answers, heard)
    relations = {
        model: dict(zip(contestants, row, strict=True))
        for model, row in zip(contestants, relationship.tolist(), strict=True)
    }
    keys = {item.id: canonical(item.key) for item in items}
    ballots = [judge(slate) for judge in JUDGES.values()]
    support, trust = supports(slate, ballots, keys, trusted, relations)
    rated = fit(matches_of(slate, support), prior)
    return Round(
        answers=tuple(fresh),
        readings=tuple(readings),
        verdicts=tuple(
            Verdict(item, model, float(support[row, column]))
            for row, model in enumerate(contestants)
            for column, item in enumerate(ids)
        ),
        trust=tuple(trust),
        ratings=tuple(
            Rating(model, float(s), float(d), float(p))
            for model, s, d, p in zip(
                contestants, rated.strength, rated.deviation, prior, strict=True
            )
        ),
    )


def _missing_readings(
    lend: Lend,
    jury: Sequence[int],
    items: Sequence[Item],
    answers: Sequence[Answer],
    read: Sequence[Reading],
) -> list[Reading]:
    """Every judge reads each distinct answer to each item once."""
    by_id = {item.id: item for item in items}
    distinct = sorted({(answer.item, answer.answer) for answer in answers})
    heard = {(reading.item, reading.judge, reading.answer) for reading in read}
    unread = {
        judge: [pair for pair in distinct if (pair[0], judge, pair[1]) not in heard]
        for judge in jury
    }
    unread = {judge: pairs for judge, pairs in unread.items() if pairs}
    heard_now = lend(
        list(unread),
        lambda judge, player: player.loglikelihood(
            [(by_id[item], answer) for item, answer in unread[judge]]
        ),
    )
    floor = float(np.finfo(np.float64).min)  # a database cannot order minus infinity with ease
    return [
        Reading(item, judge, answer, max(value, floor))
        for (judge, pairs), values in zip(unread.items(), heard_now, strict=True)
        for (item, answer), value in zip(pairs, values, strict=True)
    ]
