"""Records of rounds of the arena: what was asked and answered, what judges said, who won."""

from dataclasses import dataclass

from lineage.records.items import Item
from lineage.records.judges import Audit, Trust


@dataclass(frozen=True)
class Answer:
    """The answer of a model to an item, in canonical form, decoded greedily.

    `verified` is how right it is by the item's key, in [0, 1]; None where the key was not looked
    at.
    """

    item: str
    model: int
    answer: str
    verified: float | None = None


@dataclass(frozen=True)
class Reading:
    """The log-likelihood in nats that a judge gives an answer, or what its mode asks about it.

    It is summed over tokens.
    """

    item: str
    judge: int
    mode: str
    answer: str
    log_likelihood: float


@dataclass(frozen=True)
class PairComparison:
    """A judge's reply to "A or B?": log-odds in nats that `better` is better, in both orders.

    Attributes:
        item: id.
        judge: id.
        better: the answer that the log-odds are of.
        worse: the other one.
        first: log-odds with `better` named first.
        second: log-odds with `better` named second.
    """

    item: str
    judge: int
    mode: str
    better: str
    worse: str
    first: float
    second: float


@dataclass(frozen=True)
class Canary:
    """A planted wrong answer that no judge should prefer, and the kind of attack that it is."""

    item: str
    kind: str
    answer: str


@dataclass(frozen=True)
class Vote:
    """That a judge of a mode prefers an answer to another, where no other record tells."""

    item: str
    judge: int
    mode: str
    better: str
    worse: str


@dataclass(frozen=True)
class MatchOutcome:
    """What came of a match: 1 where `a`, the smaller id, has won, -1 where `b` has, 0 for a tie."""

    item: str
    a: int
    b: int
    outcome: int


@dataclass(frozen=True)
class Verdict:
    """The jury's verdict on a model's answer to an item: its mean result, in [0, 1]."""

    item: str
    model: int
    support: float


@dataclass(frozen=True)
class Rating:
    """A rating of a model.

    Attributes:
        model: id.
        rating: Bradley-Terry strength in logits; the founders have mean zero.
        deviation: its standard error in logits.
        prior: the mean of its prior in logits.
    """

    model: int
    rating: float
    deviation: float
    prior: float


@dataclass(frozen=True)
class RoundItem:
    """An item of a round.

    Attributes:
        item: id.
        checkable: whether its key may be looked at.
        hidden: whether it is used nowhere but in the arena.
    """

    item: str
    checkable: bool
    hidden: bool


@dataclass(frozen=True)
class Round:
    """What a round of the arena adds to the archive.

    Attributes:
        asked: the items that it was played on.
        items: those of them that the archive does not have yet.
        answers: new ones.
        canaries: new ones.
        readings: new ones.
        comparisons: new ones.
        votes: of those judges alone whose votes follow from nothing else that is kept.
        verdicts: of every contestant on every item that it answered.
        matches: all that somebody decided, as the ratings took them.
        trust: hits and misses of judges on this round's items alone.
        audits: of every judge in every mode.
        ratings: of every contestant.
        predicted: tokens that it was expected to take.
        tokens: that it took.
        verifier: whether keys decided where they were looked at.
    """

    asked: tuple[RoundItem, ...] = ()
    items: tuple[Item, ...] = ()
    answers: tuple[Answer, ...] = ()
    canaries: tuple[Canary, ...] = ()
    readings: tuple[Reading, ...] = ()
    comparisons: tuple[PairComparison, ...] = ()
    votes: tuple[Vote, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    matches: tuple[MatchOutcome, ...] = ()
    trust: tuple[Trust, ...] = ()
    audits: tuple[Audit, ...] = ()
    ratings: tuple[Rating, ...] = ()
    predicted: int = 0
    tokens: int = 0
    verifier: bool = True

    @property
    def evaluations(self) -> int:
        """Item evaluations: an answer is one, a reading one, a comparison (two orders, A, B) four.

        >>> reading = Reading("i", 2, "likelihood", "yes", -0.5)
        >>> Round(answers=(Answer("i", 1, "yes"),), readings=(reading,)).evaluations
        2
        """
        return len(self.answers) + len(self.readings) + 4 * len(self.comparisons)
