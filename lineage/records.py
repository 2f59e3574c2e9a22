"""The rows of an archive as values: plain, frozen, and free of any database."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import numpy as np
import numpy.typing as npt

from lineage.allowance import allowance_of

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Item:
    """One question that was put to models.

    Attributes:
        key: the right answer, or None where only judges can tell.
        statement: a text with one {} in which judges read the answers, or None.
        plain: whether the prompt holds what models said, so that control tokens in it are text.
    """

    id: str
    task: str
    split: str
    prompt: str
    key: str | None
    statement: str | None = None
    plain: bool = False


@dataclass(frozen=True)
class Block:
    """One axis of a genome: a functionally closed part of the network."""

    name: str
    parameters: int


@dataclass(frozen=True)
class Founder:
    """A model that was brought in: its checkpoint folder and the hash of what lies there."""

    name: str
    path: str
    weights_sha256: str


@dataclass(frozen=True)
class Parent:
    """One parent of a model: `share` of all parents sums to 1."""

    id: int
    share: float
    role: str


@dataclass(frozen=True)
class Birth:
    """A model as it enters the archive: its genome (genes,), and by `method` what that means."""

    id: int
    operator: str
    parents: tuple[Parent, ...]
    genome: Floats
    weights_sha256: str
    method: str = "linear"


@dataclass(frozen=True)
class Death:
    """A model that became a fossil, and why."""

    id: int
    cause: str


@dataclass(frozen=True)
class Scores:
    """Scores of several models on the same items, each of shape (models, items)."""

    models: tuple[int, ...]
    items: tuple[str, ...]
    exact: Floats
    probability: Floats


@dataclass(frozen=True)
class Rating:
    """A Bradley-Terry strength in logits, its standard deviation, and the mean of its prior."""

    model: int
    rating: float
    deviation: float
    prior: float


@dataclass(frozen=True)
class Trust:
    """How often a judge was right (`hits`) and wrong where a key could tell.

    Counted apart by mode, by task, and by whose kin the judge is (`stratum`, see
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
    """Whether a judge of a mode may speak, and its trust: what is believed of all its verdicts.

    Attributes:
        trust: in [0, 1]: 2 x - 1 of the lower bound of its reliability, 0 for guessing.
        favour: p-value of the spread of its mistakes over the contestants; small if it favours
            some. None without enough to tell.
        admitted: whether its verdicts count.
    """

    judge: int
    mode: str
    trust: float
    favour: float | None
    admitted: bool


@dataclass(frozen=True)
class Answer:
    """What a model answered to an item, in canonical form, decoded greedily.

    `verified` is how right it is by the item's key, in [0, 1]; None where nobody looked.
    """

    item: str
    model: int
    answer: str
    verified: float | None = None


@dataclass(frozen=True)
class Reading:
    """How likely a judge finds an answer (log-likelihood in nats, summed over its tokens)."""

    item: str
    judge: int
    answer: str
    log_likelihood: float


@dataclass(frozen=True)
class PairComparison:
    """What a judge said to "A or B?": log-odds in nats that `better` is better, in both orders.

    Attributes:
        better: the answer that the log-odds are of.
        worse: the other one.
        first: with `better` named first.
        second: with `better` named second.
    """

    item: str
    judge: int
    better: str
    worse: str
    first: float
    second: float


@dataclass(frozen=True)
class Canary:
    """An answer that nobody gave and that no judge should like."""

    item: str
    kind: str
    answer: str


@dataclass(frozen=True)
class Verdict:
    """What the jury made of a model's answer to an item: its mean result, in [0, 1]."""

    item: str
    model: int
    support: float


@dataclass(frozen=True)
class RoundItem:
    """An item of a round: whether its key was looked at, and whether nothing else ever asks it."""

    item: str
    checkable: bool
    hidden: bool


@dataclass(frozen=True)
class Round:
    """What a round of the arena adds to the archive.

    Attributes:
        asked: the items that it was played on.
        items: those of them that the archive does not have yet.
        answers: given in it.
        trust: what this round's items say of the judges, not what was known before.
        predicted: tokens that it was expected to take.
        tokens: that it took.
    """

    asked: tuple[RoundItem, ...] = ()
    items: tuple[Item, ...] = ()
    answers: tuple[Answer, ...] = ()
    canaries: tuple[Canary, ...] = ()
    readings: tuple[Reading, ...] = ()
    comparisons: tuple[PairComparison, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    trust: tuple[Trust, ...] = ()
    audits: tuple[Audit, ...] = ()
    ratings: tuple[Rating, ...] = ()
    predicted: int = 0
    tokens: int = 0

    @property
    def evaluations(self) -> int:
        """What it took: an answer is one, a reading one, a comparison (two orders, A or B) four."""
        return len(self.answers) + len(self.readings) + 4 * len(self.comparisons)


@dataclass(frozen=True)
class Juror:
    """A judge whose answers stand for keys that nobody has, and what they are worth in a task.

    `belief` is the log-odds that an answer of its is right, in nats.
    """

    judge: int
    task: str
    belief: float


@dataclass(frozen=True)
class Event:
    """Something worth telling whoever watches."""

    kind: str
    model: int | None
    detail: str


CommandKind = Literal[
    "pause", "resume", "pin", "unpin", "cull", "mate", "add-founder", "budget", "tournament"
]

PAUSED = "paused"
"""What a campaign says that it does while it waits."""


@dataclass(frozen=True)
class Command:
    """A command to a campaign, and its outcome.

    Attributes:
        id: commands are carried out in the order of their ids.
        kind: what to do.
        models: ids of the models that it names.
        argument: the checkpoint of the founder to be added, or the new budget (`allowance_of`).
        given_at: when it was submitted, by the clock.
        given: the last generation that was complete then; -1 before the first.
        settled: the generation after which it was carried out or refused (a mating: in which);
            None as long as it is open.
        outcome: whether it was carried out or refused; None as long as it is open.
        answer: what was done, or why not, in words.
    """

    id: int
    kind: CommandKind
    models: tuple[int, ...]
    argument: str | None
    given_at: datetime
    given: int
    settled: int | None = None
    outcome: Literal["done", "refused"] | None = None
    answer: str | None = None

    @property
    def words(self) -> str:
        """The command as people read it.

        >>> Command(1, "mate", (12, 31), None, datetime(2026, 1, 1), 7).words
        'mate #12 with #31'
        """
        named = " with ".join(f"#{model}" for model in self.models)
        if self.kind == "budget":
            allowed = allowance_of(self.argument)
            named = allowed.words if allowed else str(self.argument)
        return " ".join(part for part in (self.kind, named or self.argument) if part)


@dataclass(frozen=True)
class CommandOutcome:
    """The outcome of a command.

    Attributes:
        command: which.
        outcome: whether it was carried out.
        answer: what was done, or why not, in words.
        model: id of the model that the answer is about, if there is one.
    """

    command: Command
    outcome: Literal["done", "refused"]
    answer: str
    model: int | None = None


@dataclass(frozen=True)
class Generation:
    """One round of breeding, as summed up when it was committed."""

    generation: int
    epoch: int
    evaluations: int
    best: float
    median: float
    champion: int
    wall_s: float
    forward_s: float
    cpu_s: float
    founder_entropy: float
    mean_kinship: float
    item_coverage: float


@dataclass(frozen=True)
class OperatorRecord:
    """What is known of a way of making children; what counts fades with time."""

    operator: str
    often: float
    tries: float
    successes: float
    cost: float


@dataclass(frozen=True)
class SearchRecord:
    """Where the search stands: its centre and what moves it, each of shape (genes,)."""

    origin: int
    steps: int
    level: int
    stalled: int
    stride: float
    centre: Floats
    average: Floats
    gradient: Floats
    square: Floats


@dataclass(frozen=True)
class GenerationRecord:
    """Everything one generation adds to the archive: it is committed whole or not at all."""

    summary: Generation
    births: tuple[Birth, ...] = ()
    deaths: tuple[Death, ...] = ()
    items: tuple[Item, ...] = ()
    panel: tuple[str, ...] = ()
    scores: tuple[Scores, ...] = ()
    round: Round | None = None
    jury: tuple[Juror, ...] = ()
    events: tuple[Event, ...] = ()
    command_outcomes: tuple[CommandOutcome, ...] = ()
    search: SearchRecord | None = None
    operators: tuple[OperatorRecord, ...] = ()


@dataclass(frozen=True)
class Model:
    """A row of the archive: a founder or an offspring, living or fossil."""

    id: int
    kind: str
    name: str | None
    generation: int
    operator: str
    weights_sha256: str
    died: int | None = None
    cause: str | None = None
    parents: tuple[Parent, ...] = field(default=())

    @property
    def living(self) -> bool:
        """Whether it may be picked as a parent."""
        return self.died is None

    @property
    def label(self) -> str:
        """How people refer to it: a founder by name, an offspring by number."""
        return self.name or f"#{self.id}"
