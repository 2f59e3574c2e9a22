"""Likelihood: a judge prefers the answer that it would more likely have given itself.

Raw log-likelihoods of two judges cannot be compared, so only their order within a judge and an item
is used. Answers are read in their canonical form, in the words of the task if it has any for them.
"""

from dataclasses import dataclass

import numpy as np

from arena.judges.judge import Question, Replies
from arena.judges.votes import Slate, Votes, preferences
from arena.tasks.answers import judge_question
from lineage.records import Evidence, Item


@dataclass(frozen=True)
class Likelihood:
    """The jury, reading answers."""

    evidence: Evidence = "readings"

    def question(self, item: Item, answer: str) -> Question:
        """How likely is the answer?"""
        return judge_question(item, answer)

    def votes(self, slate: Slate, replies: Replies) -> Votes:
        """The judges that read answers, on those that they have read."""
        return by_reading(slate, replies)


def by_reading(slate: Slate, replies: Replies) -> Votes:
    """The votes of all judges that read answers for those that they find more likely."""
    judges = tuple(sorted({judge for _, judge in replies.readings}))
    signs = []
    for item, answers in zip(slate.items, slate.answers, strict=True):
        read = [replies.readings.get((item, judge), {}) for judge in judges]
        votes = np.array([[of.get(answer, np.nan) for answer in answers] for of in read])
        signs.append(preferences(votes.reshape(len(judges), len(answers))))
    return Votes(judges, tuple(signs))
