"""Records of generations: their summary, the state of the search, and all that they add."""

from dataclasses import dataclass

from lineage.records.arrays import Floats
from lineage.records.commands import CommandOutcome
from lineage.records.items import Item
from lineage.records.judges import Juror, Label
from lineage.records.models import Birth, Death
from lineage.records.rounds import Round
from lineage.records.scores import Scores


@dataclass(frozen=True)
class Event:
    """An event of a campaign, such as an alarm or a new champion, with the model it is about."""

    kind: str
    model: int | None
    detail: str


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
        task_coverage: mean over tasks of the exact match, on the panel, of the living offspring
            that is best there. This and the next two are None where they were not recorded: in
            archives of schema 9 and earlier, and while no offspring lives.
        qd_score: mean over the panel of the best merit of a living offspring.
        founders_by_weight: effective number of founders in the weights of the living; None for
            paths too.
        tokens: that models read or generated, all uses; one that is learned counts 3. In generation
            0 those of interrupted work are among them.
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
    task_coverage: float | None = None
    qd_score: float | None = None
    founders_by_weight: float | None = None
    tokens: int = 0


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
    """Everything one generation adds to the archive: it is committed whole or not at all.

    `champion_sha256` is that of the champion's weights, where the archive may not have it yet.
    """

    summary: Generation
    births: tuple[Birth, ...] = ()
    deaths: tuple[Death, ...] = ()
    items: tuple[Item, ...] = ()
    panel: tuple[str, ...] = ()
    scores: tuple[Scores, ...] = ()
    round: Round | None = None
    jury: tuple[Juror, ...] = ()
    labels: tuple[Label, ...] = ()
    events: tuple[Event, ...] = ()
    command_outcomes: tuple[CommandOutcome, ...] = ()
    search: SearchRecord | None = None
    operators: tuple[OperatorRecord, ...] = ()
    champion_sha256: str | None = None
