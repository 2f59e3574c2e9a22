"""What a generation adds to the archive: its champion, its round in the arena, its record."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from arena.matches.items import round_items
from arena.matches.round_inputs import Contestants
from lineage import Archive
from lineage.ancestry.kinship import Kinship
from lineage.records import (
    Birth,
    Death,
    Event,
    Floats,
    Generation,
    GenerationRecord,
    Item,
    OperatorRecord,
    Round,
    Scores,
    SearchRecord,
)
from population.campaign.arena_rounds import memory_of, play, remembered, rules_of
from population.campaign.context import Context, Progress
from population.campaign.failure_handling import score_tolerantly
from population.campaign.item_sampling import ItemSampler
from population.campaign.readiness import shortages
from population.campaign.state import PopulationState, selection_score, task_means
from population.evaluation.meter import Meter
from population.evaluation.results import Results
from population.evolution.alarms import diversity_of
from population.evolution.bandit import Bandit
from population.evolution.evolution_strategy import EvolutionStrategyEmitter
from population.evolution.proposals import CENTRE

LAST_CHALLENGE = 3
"""In the last generation so many times as many leaders are looked at for the title."""


@dataclass(frozen=True)
class GenerationOutcome:
    """A generation that is to be closed.

    Attributes:
        generation: its number.
        living: ids of everyone who lives on, the founders first.
        standing: their results on the panel.
        genomes: theirs, by id.
        births: who was born.
        deaths: by id, what who died of.
        scores: what was measured on search items.
        items: those that the archive does not have yet.
        origin: of the emitter.
        emitter: where the search stands.
        bandit: what is known of the operators.
        alarms: what was found to be wrong.
    """

    generation: int
    living: tuple[int, ...]
    standing: Results
    genomes: dict[int, Floats]
    births: tuple[Birth, ...]
    deaths: dict[int, str]
    scores: list[Scores]
    items: list[Item]
    origin: int
    emitter: EvolutionStrategyEmitter
    bandit: Bandit
    alarms: tuple[str, ...] = ()


class Clock:
    """What was spent since the last commit, as the meter has it."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self.start()

    def start(self) -> None:
        """Count from here."""
        self._began = self._now()

    def read(self) -> tuple[float, float, float, int]:
        """Wall, forward and processor time in seconds, and item evaluations."""
        now = self._now()
        wall, forward, cpu = (now[part] - self._began[part] for part in range(3))
        return wall, forward, cpu, int(now[3] - self._began[3])

    def _now(self) -> tuple[float, float, float, int]:
        meter = self._meter
        return time.perf_counter(), meter.forward_s, time.process_time(), meter.evaluations


def is_early(generation: int, crown: int) -> bool:
    """Whether there is a challenge though it is too early for the first regular one.

    Those every `crown` generations suit a long campaign. One of six generations would never crown
    anybody before its end, so the first ones come at growing intervals: after generation 1, 2, 3,
    5, 8, ..., as long as no regular one has been.
    """
    one, two = 1, 2
    while one < generation:
        one, two = two, one + two
    return 0 < generation == one < crown


class GenerationWriter:
    """Closes generations.

    Args:
        archive: where the campaign is kept.
        context: what models are made of.
        sampler: which items are asked.
        kinship: of the living; it forgets the dead when a generation is closed, but for judges.
        clock: what the generation took.
        progress: told while models work.
    """

    def __init__(
        self,
        archive: Archive,
        context: Context,
        sampler: ItemSampler,
        kinship: Kinship,
        clock: Clock,
        progress: Progress,
    ) -> None:
        self._archive, self._context, self._sampler = archive, context, sampler
        self._search = context.config.search
        self._kinship, self._clock, self._progress = kinship, clock, progress
        self._judged = self._search.merit == "jury"
        self._rules = rules_of(context)
        self.selection = sampler.selection

    def record(
        self, before: PopulationState | None, end: GenerationOutcome, last: bool
    ) -> GenerationRecord:
        """Everything that a generation adds to the archive.

        Args:
            before: the colony that bred, or None for generation 0.
            end: how the generation ends.
            last: whether it is the last one, as far as can be told.
        """
        epoch = self._sampler.epoch_of(end.generation)
        panel = self._sampler.panel(epoch).items
        fresh = before is None or before.epoch != epoch
        merits = task_means(panel, end.standing.merit)
        judges = remembered(self._archive, self._search, end.generation)
        bench = tuple(judge for judge in judges if judge not in end.living)
        self._kinship.keep([*end.living, *bench])
        played = self._played(before, epoch, end, bench)
        champion, selection = self._crowned(before, end, merits, last)
        founders = len(self._context.founders)
        offspring = list(end.living[founders:])
        signs = diversity_of(
            self._kinship.founder_shares(offspring),
            self._kinship.relationship(offspring),
            end.standing.merit[founders:],
        )
        wall_s, forward_s, cpu_s, evaluations = self._clock.read()
        return GenerationRecord(
            summary=Generation(
                generation=end.generation,
                epoch=epoch,
                evaluations=evaluations,
                best=float(merits.max()),
                median=float(np.median(merits)),
                champion=champion,
                wall_s=wall_s,
                forward_s=forward_s,
                cpu_s=cpu_s,
                founder_entropy=signs.founder_entropy,
                mean_kinship=signs.mean_kinship,
                item_coverage=signs.item_coverage,
            ),
            births=end.births,
            deaths=tuple(Death(model, cause) for model, cause in sorted(end.deaths.items())),
            items=tuple(end.items),
            panel=tuple(item.id for item in panel) if fresh else (),
            scores=(*end.scores, *selection),
            round=played,
            jury=self._sampler.jury(epoch) if fresh else (),
            events=(
                *(Event("alarm", None, alarm) for alarm in end.alarms),
                *(Event("alarm", None, trouble) for trouble in self._passed_over()),
                *_events(before, epoch, champion),
                *(Event("panel", None, short) for short in self._shortages(before)),
            ),
            search=SearchRecord(origin=end.origin, **vars(end.emitter)),
            operators=tuple(OperatorRecord(name, **vars(arm)) for name, arm in end.bandit.items()),
        )

    def _shortages(self, before: PopulationState | None) -> tuple[str, ...]:
        """What tasks are too small for: told once, as the campaign begins."""
        return shortages(self._context, self._sampler.pools) if before is None else ()

    def _passed_over(self) -> list[str]:
        """What failed and was passed over, as far as the archive does not tell it yet.

        A resumed campaign meets what it met before it was stopped; once is enough.
        """
        new = self._context.failures.drain()
        told = {event.detail for _, event in self._archive.events()} if new else set()
        return [trouble for trouble in new if trouble not in told]

    def _crowned(
        self, before: PopulationState | None, end: GenerationOutcome, merits: Floats, last: bool
    ) -> tuple[int, list[Scores]]:
        """The champion, and the selection scores that had to be taken to choose it.

        Every few generations, early on at shorter intervals (`is_early`), and in the last one, the
        newest centre and the leaders that were
        never seen on the selection split are looked at there; leaders, if they lead the champion on
        the panel. A centre need not: it has learned longer than a champion whom one lucky panel
        keeps ahead. Of all the living that were ever seen there, the best is champion.

        Where a jury judges, what another one found counts for nothing: the champion has to defend
        its title, and without a challenge it keeps it.
        """
        early = is_early(end.generation, self._search.crown)
        challenge = before is None or last or early or end.generation % self._search.crown == 0
        living, score = end.living, self._seen_before(before, challenge)
        if not challenge:
            return max(score.keys() & set(living), key=lambda m: (score[m], -m)), []
        reigning = before.breeding.champion if before else None
        ahead = merits[living.index(reigning)] if reigning is not None else -np.inf
        order = np.argsort(-merits, kind="stable")
        unseen = [int(row) for row in order if living[row] not in score]
        leaders = [living[row] for row in unseen if merits[row] > ahead]
        centres = [b.id for b in end.births if b.operator == CENTRE and b.id in living]
        places = self._search.challengers * (LAST_CHALLENGE if last else 2 if early else 1)
        challengers = list(dict.fromkeys([*centres, *leaders]))[:places]
        if self._judged and reigning is not None:
            challengers = list(dict.fromkeys([reigning, *challengers]))
        results = []
        if challengers:
            answered = self._sampler.answered_selection(self._sampler.epoch_of(end.generation))
            scored = score_tolerantly(
                self._context,
                [end.genomes[model] for model in challengers],
                answered.for_each(challengers),
                self._progress,
                "challengers",
                challengers,
                all_may_fail=True,
            )
            fresh = Results(scored.exact, scored.probability)
            taken = task_means(self.selection, fresh.merit)
            score |= dict(zip(challengers, taken.tolist(), strict=True))
            if not self._judged:
                results.append(fresh.rows(challengers, self.selection))
        return max(score.keys() & set(living), key=lambda m: (score[m], -m)), results

    def _seen_before(self, before: PopulationState | None, challenge: bool) -> dict[int, float]:
        """By id, the selection scores that still count."""
        if before is None:
            return {}
        if self._judged:
            return {} if challenge else {before.breeding.champion: 0.0}
        standing = self._archive.task_means("selection")
        return {model: selection_score(means) for model, means in standing.items()}

    def _played(
        self,
        before: PopulationState | None,
        epoch: int,
        end: GenerationOutcome,
        bench: tuple[int, ...],
    ) -> Round:
        """The survivors and the founders meet in the arena, before judges who may have died."""
        settings = self._context.config.arena
        known, fresh = self._sampler.panel(epoch).items, self._sampler.arena_only(epoch)
        panel = round_items(known, fresh, settings.items, settings.checkable)
        everybody = [*end.living, *bench]
        memory = memory_of(self._archive, panel, everybody, epoch)
        # What the jury said while its answers were marked is known, and kept from here on.
        said = self._sampler.jury_answers(epoch) if before is None or before.epoch != epoch else ()
        rated = {} if before is None else _priors(before, epoch, end.births, end.living)
        played = play(
            self._context,
            end.genomes | {judge: self._archive.genomes([judge])[0] for judge in bench},
            panel,
            fresh,
            Contestants(
                models=end.living,
                relationship=self._kinship.relationship(everybody),
                prior=np.array([rated.get(model, 0.0) for model in end.living]),
                anchors=tuple(range(len(self._context.founders))),
                solved=frozenset(
                    (model, item.id)
                    for model, row in zip(end.living, end.standing.exact, strict=True)
                    for item, exact in zip(known, row, strict=True)
                    if exact == 1.0 and not self._judged
                ),
                bench=bench,
            ),
            replace(memory, answers=[*memory.answers, *said]),
            self._rules,
            self._progress,
        )
        return replace(played, answers=(*said, *played.answers))


def _priors(
    before: PopulationState, epoch: int, births: Sequence[Birth], contestants: Sequence[int]
) -> dict[int, float]:
    """Where each rating's fit starts from.

    A newborn starts at its parents' mean. Who was there keeps the prior of its first round in this
    epoch, since that round's matches are counted again; a new epoch brings new matches, and then
    the prior is what was known before.
    """
    ratings = before.ratings
    priors = {
        model: known.prior if epoch == before.epoch else known.rating
        for model, known in ratings.items()
    }
    for birth in births:
        if birth.id in contestants:
            # Founders that have just joined have not played yet.
            priors[birth.id] = sum(
                p.share * ratings[p.id].rating for p in birth.parents if p.id in ratings
            )
    return priors


def _events(before: PopulationState | None, epoch: int, champion: int) -> tuple[Event, ...]:
    events: list[Event] = []
    if before is None or before.epoch != epoch:
        events.append(Event("panel", None, f"fresh search items dealt for epoch {epoch}"))
    if before is None or before.breeding.champion != champion:
        previous = "" if before is None else f" after #{before.breeding.champion}"
        events.append(Event("champion", champion, f"#{champion} is champion{previous}"))
    return tuple(events)
