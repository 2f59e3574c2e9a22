"""Preference: a judge is asked "A or B?", in both orders, and believed where both agree.

Small models answer A whatever they are asked: SmolLM2-135M does so in every case. So nobody is
asked but on items whose answer is known, until the lower bound of its accuracy there is above
`BAR` on at least `PAIRS` pairs; who always says A is right in half of them and never gets there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from arena.judges.judge import Proof, Question, Replies
from arena.judges.votes import Slate, Votes
from lineage.records import Evidence, Item

PAIRS = 200
"""Checkable pairs that a judge has to be asked before it is believed."""

BAR = 0.6
"""What the lower bound of its accuracy has to pass then."""

PROMPT = """\
Question: {question}
Answer A: {first}
Answer B: {second}
Which answer is better, A or B? Better answer:"""
"""Answers stand where they cannot be taken for instructions, in canonical form and cut short."""

LETTERS = (" A", " B")


@dataclass(frozen=True)
class Preference:
    """The jury, comparing answers."""

    evidence: Evidence = "comparisons"

    @property
    def proof(self) -> Proof:
        """Whoever always says A is right in half of the pairs and never gets there."""
        return Proof(PAIRS, BAR)

    def questions(self, item: Item, first: str, second: str) -> Sequence[Question]:
        """The two questions that tell which answer a judge prefers in this order."""
        prompt = PROMPT.format(question=item.prompt, first=first, second=second)
        question = replace(item, prompt=prompt, key=None, plain=True, messages=())
        return [(question, letter) for letter in LETTERS]

    def votes(self, slate: Slate, replies: Replies) -> Votes:
        """The judges that compared answers, on the pairs that they compared."""
        return by_comparison(slate, replies)


def by_comparison(slate: Slate, replies: Replies) -> Votes:
    """The votes of all judges that compared answers, where they agree with themselves."""
    judges = tuple(sorted({judge for _, judge in replies.comparisons}))
    signs = []
    for item, answers in zip(slate.items, slate.answers, strict=True):
        place = {answer: index for index, answer in enumerate(answers)}
        table = np.zeros((len(judges), len(answers), len(answers)), dtype=np.int8)
        for row, judge in enumerate(judges):
            odds: Mapping[tuple[str, str], tuple[float, float]]
            odds = replies.comparisons.get((item, judge), {})
            for (one, other), orders in odds.items():
                if one in place and other in place and np.sign(orders[0]) == np.sign(orders[1]):
                    table[row, place[one], place[other]] = np.sign(orders[0])
                    table[row, place[other], place[one]] = -np.sign(orders[0])
        signs.append(table)
    return Votes(judges, tuple(signs), sampled=True)
