"""Items that several answers are read for: other keys, and choices of which a model picks one."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from arena.tasks.choice_scores import ChoiceScore, picked, probability_of
from lineage.records import Floats


@dataclass(frozen=True)
class Alternatives:
    """What is read for one item.

    Attributes:
        questions: numbers of its questions among all that were prepared.
        choices: the texts that a model picks from, one for each question; none where it answers
            freely, and any of the answers that were asked about is right.
        score: of the choices.
        right: the place of the right choice.
    """

    questions: tuple[int, ...]
    choices: tuple[str, ...] = ()
    score: ChoiceScore | None = None
    right: int = 0

    def pick(self, log_likelihood: Floats) -> int:
        """The place of the choice that a model picks.

        Args:
            log_likelihood: shape (questions,), of all that were prepared.
        """
        return picked(self._scores(log_likelihood))

    def pick_confidently(self, log_likelihood: Floats) -> tuple[str, float]:
        """The choice that a model picks, and its log-probability among all of them, in nats.

        Args:
            log_likelihood: shape (questions,), of all that were prepared.
        """
        scores = self._scores(log_likelihood)
        place = picked(scores)
        chance = probability_of(scores, place)
        return self.choices[place], math.log(chance) if chance > 0.0 else -math.inf

    def outcome(
        self, exact: Floats, probability: Floats, log_likelihood: Floats
    ) -> tuple[float, float]:
        """How right a model is, and how probable that: both in [0, 1].

        Different keys are different answers, so their probabilities add up.

        Args:
            exact: shape (questions,), as all others: how right the answers are.
            probability: of the answers that were asked about.
            log_likelihood: of these.
        """
        rows = list(self.questions)
        if not self.choices:
            return float(exact[rows].max()), float(min(1.0, probability[rows].sum()))
        scores = self._scores(log_likelihood)
        chance = probability_of(scores, self.right)
        return float(chance > 0.0 and picked(scores) == self.right), chance

    def _scores(self, log_likelihood: Floats) -> Floats:
        own = log_likelihood[list(self.questions)]
        return own if self.score is None else self.score(own, self.choices)


def outcomes(
    alternatives: Sequence[Alternatives], exact: Floats, probability: Floats, logs: Floats
) -> tuple[Floats, Floats]:
    """What models come to on items: two arrays of shape (items,), from those of their questions."""
    both = [one.outcome(exact, probability, logs) for one in alternatives]
    rows = np.array(both, dtype=float).reshape(len(both), 2)
    return rows[:, 0], rows[:, 1]
