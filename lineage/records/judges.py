"""Records of judges: what their votes follow from, how reliable they proved, what they believe."""

from dataclasses import dataclass
from typing import Literal

Evidence = Literal["answers", "readings", "comparisons", "votes"]
"""What the votes of a mode of judges follow from: `answers`, a judge prefers what it answered
itself; `readings`, the answer with the higher log-likelihood; `comparisons`, the one that it
preferred in both orders; `votes`, nothing that is kept elsewhere."""


@dataclass(frozen=True)
class Trust:
    """How often a judge was right (`hits`) and wrong (`misses`) where a key could tell.

    Counted by mode, by task, and by kinship with the contestants (`stratum`, see
    `arena.reliability.kin`).
    """

    judge: int
    mode: str
    task: str
    stratum: str
    hits: float
    misses: float


@dataclass(frozen=True)
class Audit:
    """The audit of a judge in one mode.

    Attributes:
        judge: id.
        mode: how it judges; any text.
        trust: in [0, 1]: 2 x - 1 of the lower bound x of its reliability; 0 for guessing.
        favour: p-value of the dispersion of its mistakes over the contestants; small if it favours
            some. None without enough observations.
        admitted: whether its verdicts count.
        evidence: what its votes follow from.
    """

    judge: int
    mode: str
    trust: float
    favour: float | None
    admitted: bool
    evidence: Evidence


@dataclass(frozen=True)
class Juror:
    """A judge whose answers are votes for pseudo-labels of a task without keys.

    `belief` is the log-odds in nats that an answer of the judge is right.
    """

    judge: int
    task: str
    belief: float


@dataclass(frozen=True)
class Label:
    """A pseudo-label: what the colony itself holds for the answer to an item.

    Attributes:
        item: id.
        answer: as a model wrote it, without its end.
        model: id of the one whose answer it is: the surest of those that were heard.
        confidence: mean log-probability of the answer's tokens to that model, in nats; 0 is sure.
        kept: whether it is sure enough to breed by.
    """

    item: str
    answer: str
    model: int
    confidence: float
    kept: bool
