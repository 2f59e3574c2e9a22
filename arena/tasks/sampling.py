"""Several samples of an answer, and pass@k: how often the best of k samples is right.

Greedy decoding tells of one answer. Where models may try k times, as at programs with tests, what
counts is whether one of k samples is right. Of n samples with c right ones, 1 - C(n-c, k) / C(n, k)
is an unbiased estimate of that (Chen et al. 2021, arXiv 2107.03374, equation 1).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import comb

from arena.tasks.task import Task
from lineage.records import Item

DEFAULT_TEMPERATURE = 0.8
"""Of samples: what Chen et al. (2021) found best for a hundred of them."""


@dataclass(frozen=True)
class Sampling:
    """How answers of a task are sampled.

    Attributes:
        samples: of each item; each counts one item evaluation.
        pass_at: tries, of which the best counts; no more than samples.
        temperature: that logits are divided by.
    """

    samples: int
    pass_at: int = 1
    temperature: float = DEFAULT_TEMPERATURE

    def worth(self, verdicts: Sequence[float]) -> float:
        """The expected best verdict of `pass_at` samples, estimated without bias from all of them.

        For verdicts of 0 and 1 that is equation 1 of Chen et al. (2021). In general it is the mean
        over all choices of `pass_at` samples: the i-th smallest verdict is the best of C(i-1, k-1)
        among C(n, k).

        Args:
            verdicts: of each sample, in [0, 1].

        >>> round(Sampling(5, 2).worth([1.0, 0.0, 0.0, 1.0, 0.0]), 3)  # 1 - C(3,2) / C(5,2)
        0.7
        """
        k = min(self.pass_at, len(verdicts))
        best = sum(verdict * comb(place, k - 1) for place, verdict in enumerate(sorted(verdicts)))
        return best / comb(len(verdicts), k)


def sampling_of(task: Task | None, item: Item) -> Sampling | None:
    """How answers to an item are sampled; None where one is decoded, or nothing is."""
    if item.choices or getattr(task, "examiner", None) is not None:
        return None
    sampling: Sampling | None = getattr(task, "sampling", None)
    return sampling


def evaluations_of(tasks: Mapping[str, Task], items: Iterable[Item]) -> int:
    """Item evaluations that it takes to score a model on some items.

    Args:
        tasks: by name.
        items: of these tasks.
    """
    samplings = (sampling_of(tasks.get(item.task), item) for item in items)
    return sum(1 if sampling is None else sampling.samples for sampling in samplings)


def evaluations_each(task: Task) -> int:
    """Item evaluations that an item of a task takes, at most."""
    sampling: Sampling | None = getattr(task, "sampling", None)
    return 1 if sampling is None else sampling.samples
