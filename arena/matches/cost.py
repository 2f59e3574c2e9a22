"""What a round costs, in tokens: predicted before it is played, counted afterwards.

Answers cost the prompt and what is said, once for each model and item; readings cost the prompt and
the answer, once for each judge, item and *distinct* answer. So a round costs models times items
plus judges times items times distinct answers, and matches between all pairs cost nothing.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from arena.judges import Modes, comparing, reading
from lineage.records import Answer, Item, PairComparison, Reading

Count = Callable[[str], int]
"""How many tokens a text takes."""

PLANTED = 2
"""Answers to an item that nobody gave, at most: a canary and the key."""


@dataclass(frozen=True)
class Cost:
    """Tokens that models read and say in a round."""

    answering: int = 0
    reading: int = 0

    @property
    def tokens(self) -> int:
        """All of them."""
        return self.answering + self.reading


def predicted(
    count: Count, items: Sequence[Item], newcomers: int, unread: int, distinct: float
) -> Cost:
    """What a round is expected to cost, all rungs climbed.

    Args:
        count: tokens of a text.
        items: of the round.
        newcomers: models that have answered nothing yet.
        unread: judges that have read nothing yet.
        distinct: answers to an item that differ, on average, as in earlier rounds.
    """
    if not items:
        return Cost()
    prompts = sum(count(item.prompt) for item in items)
    keys = [count(item.key) for item in items if item.key is not None]
    answers = len(items) * (sum(keys) / len(keys) if keys else prompts / len(items))
    return Cost(
        answering=round(newcomers * (prompts + answers)),
        reading=round(unread * distinct * (prompts + answers)),
    )


def counted(
    count: Count,
    items: Mapping[str, Item],
    answers: Sequence[Answer],
    readings: Sequence[Reading],
    comparisons: Sequence[PairComparison],
    judges: Modes,
) -> Cost:
    """What was answered and read, in tokens."""
    read_by, compared_by = reading(judges), comparing(judges)
    questions: Iterable[tuple[Item, str]] = (
        read_by[r.mode].question(items[r.item], r.answer) for r in readings
    )
    read = [count(item.prompt) + count(text) for item, text in questions]
    read += [
        count(item.prompt) + count(letter)
        for c in comparisons
        for order in ((c.better, c.worse), (c.worse, c.better))
        for item, letter in compared_by[c.mode].questions(items[c.item], *order)
    ]
    return Cost(
        answering=sum(count(items[a.item].prompt) + count(a.answer) for a in answers),
        reading=sum(read),
    )
