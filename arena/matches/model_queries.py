"""What models are asked in a round: for answers that are missing, and for readings of answers.

Everything that was answered or read before is taken as it is; a model is lent once for all that it
is asked of one kind.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from arena.judges import ComparingJudge, ReadingJudge
from arena.matches.model_protocol import Lend
from arena.tasks import Task
from arena.tasks.correctness import is_literal
from lineage.records import Answer, Item, PairComparison, Reading

FLOOR = float(np.finfo(np.float64).min)
"""Stands for minus infinity, which databases do not order with ease."""


def answers(
    lend: Lend,
    tasks: Mapping[str, Task],
    missing: Mapping[int, Sequence[Item]],
    solved: Iterable[tuple[int, str]],
) -> list[Answer]:
    """What some models answer, in canonical form.

    Args:
        lend: lends the models.
        tasks: by name.
        missing: by model, the items that it has not answered.
        solved: models and items where greedy decoding is known to give the key.
    """
    solved_pairs = set(solved)
    new_answers: list[Answer] = []
    open_items: dict[int, list[Item]] = {}
    for model, items in missing.items():
        for item in items:
            # Where a task takes more than the key for right, who is right may have said anything.
            literal = is_literal(tasks[item.task])
            if item.key is not None and literal and (model, item.id) in solved_pairs:
                new_answers.append(Answer(item.id, model, tasks[item.task].extract(item, item.key)))
            else:
                open_items.setdefault(model, []).append(item)
    texts_by_model = lend(
        list(open_items), lambda model, player: player.generate(open_items[model])
    )
    for (model, items), texts in zip(open_items.items(), texts_by_model, strict=True):
        if texts is None:
            continue  # who failed has not answered
        new_answers += [
            Answer(item.id, model, tasks[item.task].extract(item, text))
            for item, text in zip(items, texts, strict=True)
        ]
    return new_answers


def readings(
    lend: Lend, mode: str, kind: ReadingJudge, unread: Mapping[int, Sequence[tuple[Item, str]]]
) -> list[Reading]:
    """What some judges of a mode find of some answers.

    Args:
        lend: lends the judges.
        mode: what it is called.
        kind: says what is asked.
        unread: by judge, the items and answers that it has not read.
    """
    unread = {judge: pairs for judge, pairs in unread.items() if pairs}
    # Made before any model is lent: if this fails, it is no model's fault.
    questions = {judge: [kind.question(*pair) for pair in unread[judge]] for judge in unread}
    values_by_judge = lend(
        list(unread), lambda judge, player: player.loglikelihood(questions[judge])
    )
    return [
        Reading(item.id, judge, mode, answer, max(value, FLOOR))
        for (judge, pairs), values in zip(unread.items(), values_by_judge, strict=True)
        if values is not None
        for (item, answer), value in zip(pairs, values, strict=True)
    ]


def comparisons(
    lend: Lend,
    mode: str,
    kind: ComparingJudge,
    open_pairs: Mapping[int, Sequence[tuple[Item, str, str]]],
) -> list[PairComparison]:
    """What some judges of a mode say to "A or B?", in both orders.

    Args:
        lend: lends the judges.
        mode: what it is called.
        kind: says what is asked.
        open_pairs: by judge, items with two answers that it has not compared.
    """
    open_pairs = {judge: pairs for judge, pairs in open_pairs.items() if pairs}
    questions = {
        judge: [
            question
            for item, one, other in pairs
            for order in ((one, other), (other, one))
            for question in kind.questions(item, *order)
        ]
        for judge, pairs in open_pairs.items()
    }
    values_by_judge = lend(
        list(open_pairs), lambda judge, player: player.loglikelihood(questions[judge])
    )
    compared = []
    for (judge, pairs), values in zip(open_pairs.items(), values_by_judge, strict=True):
        if values is None:
            continue  # who failed has compared nothing
        table = np.maximum(np.array(values).reshape(len(pairs), 2, 2), FLOOR / 4)
        for (item, one, other), orders in zip(pairs, table, strict=True):
            first, second = orders[0, 0] - orders[0, 1], orders[1, 1] - orders[1, 0]
            compared.append(
                PairComparison(item.id, judge, mode, one, other, float(first), float(second))
            )
    return compared
