"""A round of the arena, played by real models: missing answers are given, missing readings made.

What was answered or read before in this epoch is taken from the archive, so a round costs what the
newcomers cost. `arena` decides everything; this file only lends it the models.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from arena.judges import JUDGES, slate_of
from arena.jury import seat_jury
from arena.players import canonical
from arena.ratings import fit, matches_of
from arena.verdicts import supports
from lineage.records import Answer, Floats, Item, Rating, Reading, Trust, Verdict
from population.player import Player


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
    each = max(1, round(count / len(by_task)))
    return [item for items in by_task.values() for item in items[:each]]


def play_round(
    player: Player,
    become: Callable[[int], None],
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
        player: the network.
        become: makes the player take the weights of a model.
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
    for model in contestants:
        missing = [n for n, item in enumerate(items) if (item.id, model) not in known]
        right = [n for n in missing if solved[model][n] == 1.0]
        wrong = [n for n in missing if solved[model][n] != 1.0]
        fresh += [Answer(items[n].id, model, canonical(items[n].key)) for n in right]
        if wrong:
            become(model)
            texts = player.generate([items[n] for n in wrong])
            fresh += [
                Answer(items[n].id, model, canonical(text))
                for n, text in zip(wrong, texts, strict=True)
            ]
    answers = [answer for answer in answered if answer.model in set(contestants)] + fresh
    trusted = {(trust.judge, trust.mode): trust for trust in record}
    seated = sorted({reading.judge for reading in read})
    jury = seat_jury(contestants, relationship, trusted, jurors, seated)
    readings = _missing_readings(player, become, jury, items, answers, read)
    heard = [reading for reading in read if reading.judge in jury] + readings
    slate = slate_of(contestants, ids, answers, heard)
    relations = {
        model: dict(zip(contestants, row, strict=True))
        for model, row in zip(contestants, relationship.tolist(), strict=True)
    }
    keys = {item.id: canonical(item.key) for item in items}
    ballots = [judge(slate) for judge in JUDGES.values()]
    support, trust = supports(slate, ballots, keys, trusted, relations)
    strength, deviation = fit(matches_of(slate, support), prior)
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
            for model, s, d, p in zip(contestants, strength, deviation, prior, strict=True)
        ),
    )


def _missing_readings(
    player: Player,
    become: Callable[[int], None],
    jury: Sequence[int],
    items: Sequence[Item],
    answers: Sequence[Answer],
    read: Sequence[Reading],
) -> list[Reading]:
    """Every judge reads each distinct answer to each item once."""
    by_id = {item.id: item for item in items}
    distinct = sorted({(answer.item, answer.answer) for answer in answers})
    heard = {(reading.item, reading.judge, reading.answer) for reading in read}
    readings: list[Reading] = []
    for judge in jury:
        unread = [pair for pair in distinct if (pair[0], judge, pair[1]) not in heard]
        if not unread:
            continue
        become(judge)
        values = player.loglikelihood([(by_id[item], answer) for item, answer in unread])
        floor = np.finfo(np.float64).min
        readings += [
            Reading(item, judge, answer, max(value, floor))
            for (item, answer), value in zip(unread, values, strict=True)
        ]
    return readings
