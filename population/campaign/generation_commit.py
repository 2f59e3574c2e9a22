"""Builds the record of a generation for the archive: arena round, champion, diversity, events."""

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
from population.campaign.arena_rounds import arena_memory, arena_rules, judges_to_keep, play_round
from population.campaign.champion import ChampionCandidates, ChampionSelection
from population.campaign.clock import Clock
from population.campaign.context import Context, Progress
from population.campaign.item_sampling import ItemSampler
from population.campaign.kept_weights import ChampionKeeper
from population.campaign.quality_diversity import quality_diversity
from population.campaign.readiness import shortages
from population.campaign.state import PopulationState, task_means
from population.errors import CampaignError
from population.evaluation.results import Results
from population.evolution.alarms import diversity_of
from population.evolution.population_state import SearchState
from population.evolution.proposals import CENTRE
from population.weights.fingerprint import fingerprint
from population.weights.materialise import state_sha256


@dataclass(frozen=True)
class GenerationOutcome:
    """The outcome of a generation, before its arena round and its champion.

    Attributes:
        generation: its number.
        living: ids of all that live on, the founders first.
        standing: results on the panel, shape (living, items).
        genomes: by id, shape (genes,) each; of all living at least.
        births: of the generation.
        deaths: by id, the causes of death.
        scores: on search items, that the archive does not have yet.
        items: that the archive does not have yet.
        search: what the search has learned.
        alarms: losses of diversity, a sentence each.
    """

    generation: int
    living: tuple[int, ...]
    standing: Results
    genomes: dict[int, Floats]
    births: tuple[Birth, ...]
    deaths: dict[int, str]
    scores: list[Scores]
    items: list[Item]
    search: SearchState
    alarms: tuple[str, ...] = ()


class GenerationWriter:
    """Builds the records of generations.

    Args:
        archive: of the campaign.
        context: makes models.
        sampler: of items.
        kinship: of the living; the dead are removed with each record, but for judges.
        clock: of the generation.
        progress: called while models work; may raise to stop.
        keeper: keeps the weights of a new champion, which are made here for their SHA-256.
    """

    def __init__(
        self,
        archive: Archive,
        context: Context,
        sampler: ItemSampler,
        kinship: Kinship,
        clock: Clock,
        progress: Progress,
        keeper: ChampionKeeper,
    ) -> None:
        self._keeper = keeper
        self._archive, self._context, self._sampler = archive, context, sampler
        self._search = context.config.search
        self._kinship, self._clock, self._progress = kinship, clock, progress
        self._by_jury = self._search.merit == "jury"
        self._rules = arena_rules(context)
        self._champions = ChampionSelection(archive, context, sampler, progress)

    def record(
        self, before: PopulationState | None, end: GenerationOutcome, last: bool
    ) -> GenerationRecord:
        """Everything that a generation adds to the archive.

        Args:
            before: the population that bred, or None for generation 0.
            end: the outcome of the generation.
            last: whether it is the last one, as far as can be told.
        """
        epoch = self._sampler.epoch_of(end.generation)
        panel = self._sampler.panel(epoch).items
        fresh = before is None or before.epoch != epoch
        merits = task_means(panel, end.standing.merit, self._context.weights)
        judges = judges_to_keep(self._archive, self._search, end.generation)
        bench = tuple(judge for judge in judges if judge not in end.living)
        self._kinship.keep([*end.living, *bench])
        arena_round = self._arena_round(before, epoch, end, bench)
        centres = [b.id for b in end.births if b.operator == CENTRE and b.id in end.living]
        candidates = ChampionCandidates(end.generation, end.living, merits, end.genomes, centres)
        champion, selection = self._champions.crown(before, candidates, last=last)
        founders = len(self._context.founders)
        offspring = list(end.living[founders:])
        measures = diversity_of(
            self._kinship.founder_shares(offspring),
            self._kinship.relationship(offspring),
            end.standing.merit[founders:],
        )
        together = quality_diversity(
            self._context,
            panel,
            end.standing.only(range(founders, len(end.living))),
            [end.genomes[model] for model in offspring],
        )
        sha256 = self._sha256_of_new(champion, before, end)
        labelled, labels = self._sampler.labels(epoch) if fresh else ((), ())
        wall_s, forward_s, cpu_s, evaluations = self._clock.read()
        return GenerationRecord(
            summary=Generation(
                generation=end.generation,
                epoch=epoch,
                evaluations=evaluations,
                tokens=self._clock.tokens,
                best=float(merits.max()),
                median=float(np.median(merits)),
                champion=champion,
                wall_s=wall_s,
                forward_s=forward_s,
                cpu_s=cpu_s,
                founder_entropy=measures.founder_entropy,
                mean_kinship=measures.mean_kinship,
                item_coverage=measures.item_coverage,
                **(vars(together) if together else {}),
            ),
            births=end.births,
            deaths=tuple(Death(model, cause) for model, cause in sorted(end.deaths.items())),
            items=(*end.items, *labelled),
            panel=tuple(item.id for item in panel) if fresh else (),
            scores=(*end.scores, *selection),
            round=arena_round,
            jury=self._sampler.jury(epoch) if fresh else (),
            labels=labels,
            events=(
                *(Event("alarm", None, alarm) for alarm in end.alarms),
                *(Event("alarm", None, failure) for failure in self._new_failures()),
                *_events(before, epoch, champion),
                *(Event("panel", None, short) for short in self._shortages(before)),
            ),
            search=SearchRecord(origin=end.search.origin, **vars(end.search.emitter)),
            operators=tuple(
                OperatorRecord(name, **vars(arm)) for name, arm in end.search.bandit.items()
            ),
            champion_sha256=sha256,
        )

    def _sha256_of_new(
        self, champion: int, before: PopulationState | None, end: GenerationOutcome
    ) -> str | None:
        """The SHA-256 of the champion's weights, if the archive has none: it is to be kept."""
        members = () if before is None else before.members
        unhashed = {one.id: one.fingerprint for one in members if not one.weights_sha256}
        unhashed |= {one.id: one.fingerprint for one in end.births if not one.weights_sha256}
        if champion not in unhashed:
            return None
        (state,) = self._context.factory.maker.siblings([end.genomes[champion]])
        if fingerprint(state) != unhashed[champion]:
            raise CampaignError(
                f"#{champion} was born with other weights than its recipe makes now; "
                "`colony check` tells what has changed"
            )
        sha256 = state_sha256(state)
        # Before the commit that crowns it: if that fails, it is a file like others under the quota.
        self._keeper.put(sha256, state)
        return sha256

    def _shortages(self, before: PopulationState | None) -> tuple[str, ...]:
        """What tasks are too small for: told once, as the campaign begins."""
        return shortages(self._context, self._sampler.pools) if before is None else ()

    def _new_failures(self) -> list[str]:
        """What failed and was passed over, as far as the archive does not tell it yet.

        A resumed campaign meets what it met before it was stopped; once is enough.
        """
        new = self._context.failures.drain()
        told = {event.detail for _, event in self._archive.events()} if new else set()
        return [trouble for trouble in new if trouble not in told]

    def _arena_round(
        self,
        before: PopulationState | None,
        epoch: int,
        end: GenerationOutcome,
        bench: tuple[int, ...],
    ) -> Round:
        """The round of all living in the arena; judges on the bench may have died."""
        settings = self._context.config.arena
        panel_items, fresh = self._sampler.panel(epoch).items, self._sampler.arena_only(epoch)
        panel = round_items(panel_items, fresh, settings.items, settings.checkable)
        everyone = [*end.living, *bench]
        memory = arena_memory(self._archive, panel, everyone, epoch)
        # What the jury answered already is not asked again, and is stored with this round.
        jury_answers = (
            self._sampler.jury_answers(epoch) if before is None or before.epoch != epoch else ()
        )
        priors = {} if before is None else _priors(before, epoch, end.births, end.living)
        played = play_round(
            self._context,
            end.genomes | {judge: self._archive.genomes([judge])[0] for judge in bench},
            panel,
            fresh,
            Contestants(
                models=end.living,
                relationship=self._kinship.relationship(everyone),
                prior=np.array([priors.get(model, 0.0) for model in end.living]),
                anchors=tuple(range(len(self._context.founders))),
                solved=frozenset(
                    (model, item.id)
                    for model, row in zip(end.living, end.standing.exact, strict=True)
                    for item, exact in zip(panel_items, row, strict=True)
                    if exact == 1.0 and not self._by_jury
                ),
                bench=bench,
            ),
            replace(memory, answers=[*memory.answers, *jury_answers]),
            self._rules,
            self._progress,
        )
        return replace(played, answers=(*jury_answers, *played.answers))


def _priors(
    before: PopulationState, epoch: int, births: Sequence[Birth], contestants: Sequence[int]
) -> dict[int, float]:
    """By id, the prior mean of each rating, in logits.

    A newborn's is the mean of its parents. Others keep the prior of its first round in this
    epoch, since that round's matches are counted again; a new epoch brings new matches, and then
    the prior is what was known before.
    """
    ratings = before.ratings
    priors = {
        model: rating.prior if epoch == before.epoch else rating.rating
        for model, rating in ratings.items()
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
