"""The inputs of a round: rules, contestants, and what earlier rounds left."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from arena.judges import JUDGES, Modes
from lineage.records import Answer, Canary, Floats, PairComparison, Reading, Trust


@dataclass(frozen=True)
class Rules:
    """How rounds are played.

    Attributes:
        judges: how many models read the others' answers.
        voters: how many models' own answers count as votes, at most.
        pairs: how many pairs of answers a judge is asked to compare ("A or B?") in a round.
        verifier: whether keys decide where they may be looked at.
        modes: the kinds of judges.
    """

    judges: int = 3
    voters: int = 32
    pairs: int = 0
    verifier: bool = True
    modes: Modes = field(default_factory=lambda: JUDGES, hash=False)


@dataclass(frozen=True)
class Memory:
    """What earlier rounds left: answers and readings on these items, trust from other items."""

    answers: Sequence[Answer] = ()
    readings: Sequence[Reading] = ()
    comparisons: Sequence[PairComparison] = ()
    canaries: Sequence[Canary] = ()
    trust: Sequence[Trust] = ()
    barred: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Contestants:
    """The contestants of a round.

    Attributes:
        models: ids of the contestants.
        relationship: shape `[models + bench, models + bench]`, coefficients in [0, 1].
        prior: shape `[models]`: the mean of each rating's prior, in logits.
        anchors: rows whose mean is the zero of the scale, the founders; they answer all items,
            however hopeless.
        solved: (model, item) where greedy decoding is known to give the key.
        bench: ids of judges that are no contestants: fossils of this panel's jury, which need not
            read again what they have read.
    """

    models: tuple[int, ...]
    relationship: Floats
    prior: Floats
    anchors: tuple[int, ...] = ()
    solved: frozenset[tuple[int, str]] = field(default_factory=frozenset)
    bench: tuple[int, ...] = ()

    @property
    def everybody(self) -> tuple[int, ...]:
        """Contestants and bench: the rows of `relationship`."""
        return (*self.models, *self.bench)
