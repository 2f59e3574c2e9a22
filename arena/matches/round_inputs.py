"""What a round is given: the rules, who plays, and what is known before."""

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
    """What is known before a round: of these items, and of the judges from others."""

    answers: Sequence[Answer] = ()
    readings: Sequence[Reading] = ()
    comparisons: Sequence[PairComparison] = ()
    canaries: Sequence[Canary] = ()
    trust: Sequence[Trust] = ()
    barred: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Contestants:
    """Who plays.

    Attributes:
        models: ids of the contestants.
        relationship: shape (models and bench, models and bench).
        prior: shape (models,): where each rating starts from, in logits.
        anchors: rows of those whose mean is the zero of the scale, the founders; they answer
            everything, however hopeless.
        solved: models and items where greedy decoding is known to give the key.
        bench: ids of judges that are no contestants: dead ones that sat in the jury of this panel.
            What they have read need not be read again.
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
