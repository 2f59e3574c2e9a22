"""Scores of choices: which of several given answers a model picks. A new one is a line here.

`score = "NAME"` in a task.toml; `score = "NAME"` in a class of one's own.
"""

from collections.abc import Callable, Sequence

import numpy as np

from arena.errors import TaskError
from lineage.records import Floats

ChoiceScore = Callable[[Floats, Sequence[str]], Floats]
"""What choices score, in nats, given their log-likelihoods and their texts; the most wins."""


def normalised(log_likelihood: Floats, choices: Sequence[str]) -> Floats:
    """Log-likelihood for each character, times the mean length, so that long choices may win.

    A choice has the length of its text without the white space that it begins with.

    Args:
        log_likelihood: of the choices, in nats; shape [choices].
        choices: their texts.

    Returns:
        Shape [choices], in nats.
    """
    lengths = np.array([max(1, len(choice.lstrip())) for choice in choices], dtype=float)
    return np.asarray(log_likelihood / lengths * lengths.mean())


CHOICE_SCORES: dict[str, ChoiceScore] = {
    "likelihood": lambda log_likelihood, choices: log_likelihood,
    "normalised": normalised,
}
"""By name: log-likelihood as it is (`acc` of lm-evaluation-harness), or for each character
(`acc_norm`)."""


def choice_score_of(task: object) -> ChoiceScore:
    """How a task's choices are scored: by its attribute `score`, by likelihood without one.

    Raises:
        TaskError: there is no such score.
    """
    name = getattr(task, "score", "likelihood")
    if name not in CHOICE_SCORES:
        raise TaskError(
            f"task {getattr(task, 'name', '?')!r}: no score {name!r:.60} of choices; there are "
            f"{', '.join(CHOICE_SCORES)}"
        )
    return CHOICE_SCORES[name]


def picked(scores: Floats) -> int:
    """The place of the choice that wins; of equals the first. Scores have the shape [choices]."""
    return int(np.argmax(scores))


def probability_of(scores: Floats, place: int) -> float:
    """The probability of a choice: the softmax of the scores; 0 where they are not finite.

    Args:
        scores: in nats, as a `ChoiceScore` gives them; shape [choices].
        place: of the choice.
    """
    if not np.isfinite(scores[place]):
        return 0.0
    return float(np.exp(scores[place] - np.logaddexp.reduce(scores)))
