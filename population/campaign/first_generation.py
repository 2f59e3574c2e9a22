"""Generation 0: the founders, and the best of standard merges and random ones.

It is stored in parts (`population.campaign.parts`), founders first, so that there is something to
see soon and little is lost. The archive is the same whichever process made which part.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lineage import Archive
from lineage.archive.unfinished import Effort
from lineage.records import Birth, Floats, GenerationRecord
from population.bred_methods import LINEAR
from population.campaign.activity import Activity
from population.campaign.births import birth_of, births_of
from population.campaign.failure_handling import stop_if_all_failed
from population.campaign.generation import EvaluatedChild
from population.campaign.generation_commit import GenerationOutcome
from population.campaign.item_sampling import ItemBatch
from population.campaign.model_work import FAILURE_PREFIX, Failed, Scoring, Tolerant, failure
from population.campaign.parts import PartWriter, StoredParts, load_parts
from population.campaign.session import Session
from population.campaign.state import task_means
from population.evaluation.results import Results
from population.evolution.bandit import new_bandit
from population.evolution.evolution_strategy import new_emitter
from population.evolution.initial_selection import select_initial_population
from population.evolution.population_state import SearchState
from population.evolution.proposals import Offspring, Proposal, Proposals
from population.evolution.spaces.initial_genomes import equal_parents
from population.randomness import generator


def first_generation(
    archive: Archive, session: Session, seed: int, activity: Activity
) -> GenerationRecord:
    """Make, score and choose the first population; its births are kept as they come.

    Args:
        archive: of the campaign; may hold a part of this generation.
        session: with the founders.
        seed: the campaign's.
        activity: kept up to date, for whoever stops it.

    Returns:
        What is still to be committed.

    Raises:
        CampaignError: what the archive holds was made of other candidates or items, or all failed.
    """
    context, items = session.context, session.items
    drawn = context.factory.space.initial_genomes(
        generator(seed, "first"), 2 * context.config.search.first_population
    )
    proposals = Proposals(
        tuple(
            Proposal(
                genome.method, equal_parents(tuple(n + 1 for n in genome.sources)), genome.genes
            )
            for genome in drawn
        )
    )
    few, panel = items.offspring(0), items.panel(0)
    stored = load_parts(archive, proposals.children, few.items, panel.items)
    activity.earlier = stored.effort
    activity.making = f"{len(stored.candidates)} of {len(proposals.children)} candidates"
    parts = PartWriter(
        archive,
        len(proposals.children),
        few.items,
        panel.items,
        lambda: (*session.clock.read()[:3], session.clock.tokens),
    )
    making = _Making(session, proposals, few, panel, parts, activity, dict(stored.panel))
    try:
        born = making.population(stored)
        parts.flush()
    except BaseException:
        parts.flush_after_error()
        raise
    activity.closing = True
    for birth in born.births:
        session.kinship.add_birth(birth.id, birth.parents)
    outcome = _outcome(session, making, born)
    record = session.writer.record(None, outcome, last=False)
    here = Effort(record.summary.evaluations, *session.clock.read()[:3], session.clock.tokens)
    spent = here + activity.earlier
    # The births are there already.
    return replace(record, births=(), summary=replace(record.summary, **vars(spent)))


@dataclass(frozen=True)
class _Population:
    """The founders and who was chosen, by id; and all births."""

    genomes: Mapping[int, Floats]
    births: tuple[Birth, ...]
    offspring: Offspring
    chosen: Sequence[int]


@dataclass(frozen=True)
class _Making:
    """The models of generation 0 as they are made.

    Attributes:
        session: with the founders.
        proposals: all candidates.
        few: the items that candidates are scored on.
        panel: those that the living are scored on.
        parts: keeps what is done.
        activity: says how far it is.
        scores: by id, exact match and probability on the panel, each (items,).
    """

    session: Session
    proposals: Proposals
    few: ItemBatch
    panel: ItemBatch
    parts: PartWriter
    activity: Activity
    scores: dict[int, tuple[Floats, Floats]]

    def population(self, stored: StoredParts) -> _Population:
        """Score the founders, make the candidates, and score the chosen ones on the panel."""
        context, search = self.session.context, self.session.context.config.search
        founders = range(1, len(context.founders) + 1)
        genomes = {model: context.genome_of_founder(model - 1) for model in founders}
        self._on_panel(genomes, "founders")
        offspring, few_results = self._candidates(stored.candidates)
        births = births_of(offspring, len(founders) + 1, context.factory.space)
        means = task_means(self.few.items, few_results.merit, context.weights)
        chosen = select_initial_population(
            offspring,
            means,
            context.hashes.identities,
            search.first_population,
            [method for method in search.methods if method != LINEAR],
        )
        genomes |= {births[row].id: self.proposals.children[row].genome for row in chosen}
        self._on_panel(genomes, "first panel")
        return _Population(genomes, births, offspring, chosen)

    def _candidates(self, stored: Sequence[EvaluatedChild]) -> tuple[Offspring, Results]:
        """All candidates; some may be evaluated already, others are stored as they come."""
        context, children = self.session.context, self.proposals.children
        first = len(context.founders) + 1
        unstored: list[tuple[int, EvaluatedChild, int]] = []

        def taken(number: int, row: EvaluatedChild, evaluations: int) -> None:
            unstored.append((len(stored) + number, row, evaluations))
            # What fails for everybody stops the campaign, and none of that is to be kept.
            failed = [(one.cause or "").startswith(FAILURE_PREFIX) for _, one, _ in unstored]
            if not stored and all(failed):
                return
            for place, one, cost in unstored:
                birth = birth_of(
                    first + place, children[place], one.identity, context.factory.space
                )
                self.parts.add_candidate(birth, one, cost)
            unstored.clear()
            self.activity.making = f"{len(stored) + number + 1} of {len(children)} candidates"

        return self.session.evaluation.evaluate(
            self.proposals, self.few, "first population", stored, taken
        )

    def _on_panel(self, genomes: Mapping[int, Floats], what: str) -> None:
        """Score on the panel the models without scores there; each is stored as it comes."""
        missing = [model for model in genomes if model not in self.scores]
        prepared = self.panel.answered.for_each(missing)
        zeros = np.zeros(len(self.panel.items))
        failed: dict[int, tuple[str, int]] = {}

        def taken(number: int, row: tuple[Floats, Floats] | Failed, evaluations: int) -> None:
            model, cause = missing[number], None
            exact = probability = zeros
            if isinstance(row, Failed):
                cause = row.cause
            else:
                exact, probability = row
            self.scores[model] = exact, probability
            if what != "founders":
                there = f"{len(self.scores)} of {len(genomes)}"
                self.activity.making = f"all candidates and {there} panel scores"
            if cause:
                failed[model] = cause, evaluations
            else:
                self.parts.add_panel_scores(model, exact, probability, evaluations)

        context = self.session.context
        context.map_models(
            [genomes[model] for model in missing],
            Tolerant(Scoring(tuple(prepared))),
            self.session.evaluation.progress,
            what,
            on_result=taken,
            done_before=len(genomes) - len(missing),
            lost=failure,
        )
        if len(missing) == len(genomes):
            stop_if_all_failed([failed.get(model, (None, 0))[0] for model in missing], what)
        for model, (cause, evaluations) in failed.items():
            self.parts.add_panel_scores(model, zeros, zeros, evaluations)
            context.failures.add(f"#{model} ({what}) {cause}; it counts as having no score")


def _outcome(session: Session, making: _Making, born: _Population) -> GenerationOutcome:
    """The outcome of generation 0, without what is stored already."""
    founders, search = len(session.context.founders), session.context.config.search
    living = tuple(born.genomes)
    standing = Results(
        *(np.array([making.scores[model][part] for model in living]) for part in (0, 1))
    )
    means = task_means(making.panel.items, standing.merit, session.context.weights)
    head = living[founders + int(np.argmax(means[founders:]))]
    return GenerationOutcome(
        generation=0,
        living=living,
        standing=standing,
        genomes=dict(born.genomes),
        births=born.births,
        deaths={
            birth.id: "unpromising"
            for row, birth in enumerate(born.births)
            if row not in born.chosen and not born.offspring.causes[row]
        },
        scores=[],
        items=[*making.few.items, *making.panel.items, *session.items.selection(0)],
        search=SearchState(
            new_emitter(born.genomes[head]),
            head,
            new_bandit({str(name): often for name, often in search.operators.items()}),
        ),
    )
