"""The rows of an archive as values: plain, frozen, and free of any database."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import numpy as np
import numpy.typing as npt

from lineage.allowance import allowance_of

Floats = npt.NDArray[np.float64]

Evidence = Literal["answers", "readings", "comparisons", "votes"]
"""What the votes of a mode of judges follow from: `answers`, a judge prefers what it answered
itself; `readings`, the answer with the higher log-likelihood; `comparisons`, the one that it
preferred in both orders; `votes`, nothing that is kept elsewhere."""


@dataclass(frozen=True)
class Item:
    """An item: a prompt, with or without a key.

    Attributes:
        id: unique in an archive.
        task: name of its task.
        split: `search`, `selection` or `test`.
        prompt: what models are asked.
        key: the right answer, or None where only judges can tell.
        statement: a text with one {} in which judges read the answers, or None.
        plain: whether the prompt holds answers of models, so that control tokens in it are text.
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
    """A column of a genome: a functionally closed part of the network, with its parameter count."""

    name: str
    parameters: int


@dataclass(frozen=True)
class Founder:
    """A model that was brought in.

    Attributes:
        name: unique among the founders.
        path: of its checkpoint, as `colony run` takes it.
        weights_sha256: of its weights, in hexadecimal.
    """

    name: str
    path: str
    weights_sha256: str


def parent_roles(count: int) -> tuple[str, ...]:
    """The roles of so many parents together, the first parent first.

    >>> parent_roles(2), parent_roles(3)
    (('first', 'mate'), ('ensemble', 'ensemble', 'ensemble'))
    """
    return ("first", "mate") if count == 2 else ("ensemble",) * count


@dataclass(frozen=True)
class Parent:
    """One parent of a model.

    Attributes:
        id: of the parent.
        share: its share in the child; shares of all parents sum to 1.
        role: `first`, `mate` or `ensemble`.
    """

    id: int
    share: float
    role: str


@dataclass(frozen=True)
class Birth:
    """A new offspring as it enters the archive.

    Attributes:
        id: its number.
        operator: that made it.
        parents: with their shares.
        genome: shape `[genes]`.
        weights_sha256: of its weights, in hexadecimal.
        method: what the genome means: `linear` (coefficients) or `route` (a path through layers).
    """

    id: int
    operator: str
    parents: tuple[Parent, ...]
    genome: Floats
    weights_sha256: str
    method: str = "linear"


@dataclass(frozen=True)
class Death:
    """The death of a model, which becomes a fossil: its id and the cause."""

    id: int
    cause: str


@dataclass(frozen=True)
class Scores:
    """Scores of several models on the same items.

    Attributes:
        models: ids, the rows.
        items: ids, the columns.
        exact: shape `[models, items]`: 1 where greedy decoding gives the key, else 0.
        probability: shape `[models, items]`: that the model, sampled, gives the key.
    """

    models: tuple[int, ...]
    items: tuple[str, ...]
    exact: Floats
    probability: Floats


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


@dataclass(frozen=True)
class Juror:
    """A judge whose answers are votes for pseudo-labels of a task without keys.

    `belief` is the log-odds in nats that an answer of the judge is right.
    """

    judge: int
    task: str
    belief: float


@dataclass(frozen=True)
class Event:
    """An event of a campaign, such as an alarm or a new champion, with the model it is about."""

    kind: str
    model: int | None
    detail: str


CommandKind = Literal[
    "pause", "resume", "pin", "unpin", "cull", "mate", "add-founder", "budget", "tournament"
]

PAUSED = "paused"
"""The activity that the heartbeat of a paused campaign reports."""


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
    """Summary of a generation.

    Attributes:
        generation: its number, from 0.
        epoch: of its panel.
        evaluations: item evaluations, all uses.
        best: merit of the best living model on the panel.
        median: merit of the living on the panel.
        champion: id.
        wall_s: wall time in seconds.
        forward_s: wall time with a forward pass running, in seconds.
        cpu_s: processor time of all cores together, in seconds.
        founder_entropy: effective founders of the living, as a fraction of all founders.
        mean_kinship: of two of the living.
        item_coverage: fraction of the panel that at least one living model solves.
    """

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
    """Statistics of an operator for the bandit; tries, successes and cost are discounted."""

    operator: str
    often: float
    tries: float
    successes: float
    cost: float


@dataclass(frozen=True)
class SearchRecord:
    """State of the evolution strategy after a generation.

    Attributes:
        origin: id of the model that its offspring descend from.
        steps: number of steps taken.
        level: index of the step-size level.
        stalled: generations without progress.
        stride: factor on the step length.
        centre: shape `[genes]`, the middle of its steps.
        average: shape `[genes]`, average of the centres.
        gradient: shape `[genes]`, first moment.
        square: shape `[genes]`, second moment.
    """

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
