"""What a kind of judge (a mode) has to offer."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from arena.judges.votes import Slate, Votes
from lineage.records import Evidence, Item, PairComparison, Reading

Question = tuple[Item, str]
"""What a model is asked: how likely is this text after the prompt of this item?"""


@dataclass(frozen=True)
class Proof:
    """What a judge has to show where keys are known, before it is asked where they are not.

    Attributes:
        pairs: so many pairs of a right and a wrong answer it has to have compared.
        accuracy: what the lower bound of its accuracy on them has to pass.
    """

    pairs: int
    accuracy: float


@dataclass(frozen=True)
class Replies:
    """What the judges of one mode replied, in this round and before.

    Attributes:
        readings: log-likelihoods by (item, judge), then by answer.
        comparisons: log-odds in both orders by (item, judge), then by (better, worse) as they
            were asked.
    """

    readings: Mapping[tuple[str, int], Mapping[str, float]] = field(default_factory=dict)
    comparisons: Mapping[tuple[str, int], Mapping[tuple[str, str], tuple[float, float]]] = field(
        default_factory=dict
    )


def replies_by_mode(
    readings: Iterable[Reading], comparisons: Iterable[PairComparison]
) -> dict[str, Replies]:
    """What judges replied, by mode."""
    likelihoods: dict[str, dict[tuple[str, int], dict[str, float]]] = {}
    for r in readings:
        by_answer = likelihoods.setdefault(r.mode, {}).setdefault((r.item, r.judge), {})
        by_answer[r.answer] = r.log_likelihood
    odds: dict[str, dict[tuple[str, int], dict[tuple[str, str], tuple[float, float]]]] = {}
    for c in comparisons:
        by_pair = odds.setdefault(c.mode, {}).setdefault((c.item, c.judge), {})
        by_pair[c.better, c.worse] = (c.first, c.second)
    return {
        mode: Replies(likelihoods.get(mode, {}), odds.get(mode, {}))
        for mode in {**likelihoods, **odds}
    }


@runtime_checkable
class Judge(Protocol):
    """A kind of judge. One that asks models nothing needs no more than this."""

    @property
    def evidence(self) -> Evidence:
        """What its votes follow from; `votes` unless it is one of the kinds below."""

    def votes(self, slate: Slate, replies: Replies) -> Votes:
        """How its judges vote on the answers of a round.

        Args:
            slate: the answers. Judges are models of the archive: `slate.voters`, or who replied.
            replies: what the jury replied in this mode, where it was asked.
        """


@runtime_checkable
class ReadingJudge(Judge, Protocol):
    """A kind of judge that is asked about each distinct answer once; its evidence is `readings`."""

    def question(self, item: Item, answer: str) -> Question:
        """What tells how good it finds an answer: the more likely the text, the better."""


@runtime_checkable
class ComparingJudge(Judge, Protocol):
    """A kind of judge that is asked about pairs of answers; its evidence is `comparisons`."""

    @property
    def proof(self) -> Proof:
        """What it has to show first."""

    def questions(self, item: Item, first: str, second: str) -> Sequence[Question]:
        """Two questions. The likelier the first text against the second, the better is `first`."""
