"""A campaign: generations of breeding, each committed whole, until there is a reason to stop.

The breeder conceives, judges and moves on (`population.evolution`); a campaign is its host on real
language models. It makes siblings together, lets the gate stop who has lost its language, scores
the brood on a few fresh items and the most promising on the panel;
`population.campaign.generation_commit` crowns the champion, lets the survivors meet in the arena
and writes the chapter, and one transaction commits all of it. Nothing is kept in memory that the
archive does not hold. Between two generations it does what was asked of it
(`population.campaign.commands`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from lineage import Archive
from lineage.ancestry.kinship import Kinship
from lineage.archive.unfinished import Effort
from lineage.records import Birth, Command, Floats, GenerationRecord
from population.campaign.arena_rounds import most_evaluations, not_forgotten, remembered
from population.campaign.coherence_filter import coherence_filter_of
from population.campaign.commands import (
    CommandsCarriedOut,
    Tell,
    bred,
    last_change,
    obey,
    unheard,
    wait_for_change,
)
from population.campaign.context import Context, Progress, silent
from population.campaign.generation_commit import (
    LAST_CHALLENGE,
    Clock,
    GenerationOutcome,
    GenerationWriter,
)
from population.campaign.item_sampling import ItemBatch, ItemSampler, dealing_pools
from population.campaign.kept_weights import ChampionKeeper
from population.campaign.parts import Parts, Tried, found
from population.campaign.passing_over import (
    FAILED,
    SYSTEMIC,
    passing,
    scored_or_nothing,
    stop_if_all_failed,
)
from population.campaign.scoring import scorer_of
from population.campaign.state import (
    PopulationState,
    load_population,
    merit,
    selection_score,
    task_means,
    task_weights,
)
from population.campaign.stopping import CampaignStanding, limits_of, reason_to_stop
from population.config import Budget
from population.errors import CampaignError, Interrupted, PopulationError
from population.evaluation.evaluator import Evaluator
from population.evaluation.results import Results, stacked
from population.evolution.bandit import start
from population.evolution.breeder import Breeder
from population.evolution.evolution_strategy import started
from population.evolution.initial_selection import pioneers
from population.evolution.population_state import BreedingState
from population.evolution.proposals import Offspring, Outcome, Panel, Proposal
from population.evolution.spaces.first import equal_parents
from population.evolution.spaces.parameter import ParameterSpace
from population.randomness import generator
from population.troubles import said_of
from population.weights.materialise import State, state_sha256

Row = tuple[str, str | None, Floats, Floats]
"""What came of a model: its hash, what it died of, exact match and probability, each (items,)."""


@dataclass
class Generating:
    """What is known of the generation in flight; lost if the campaign stops before it is committed.

    Attributes:
        brood: the children's results on the generation's items.
        living: everyone's results on the panel.
        finals: by row of the brood, its results on the panel so far, round by round.
        late: by row of the brood, what it died of when it was asked to answer.
    """

    brood: Results
    living: Results
    finals: dict[int, list[Results]] = field(default_factory=dict)
    late: dict[int, str] = field(default_factory=dict)


class Campaign:
    """Runs generations in an archive.

    Args:
        archive: where everything is kept.
        workshop: what models are made of.
        budget: when to stop; by default as the archive was started with.
        progress: told while a generation is computed; may raise to stop, and then the generation
            in flight is dropped and nothing else.
        on_generation: told after every commit.
        on_order: told what was asked, and what came of it.
        on_trouble: told of an item, a candidate or a judge that failed and was passed over.
    """

    def __init__(
        self,
        archive: Archive,
        workshop: Context,
        budget: Budget | None = None,
        progress: Progress = silent,
        on_generation: Callable[[PopulationState], None] | None = None,
        on_order: Tell = unheard,
        on_trouble: Callable[[str], None] = lambda sentence: None,
    ) -> None:
        self._archive, self._workshop = archive, workshop
        self._limits = limits_of(budget or workshop.config.budget)
        self._progress = progress
        self._on_generation, self._on_order = on_generation, on_order
        self._on_trouble = on_trouble
        self._seed = archive.campaign()[0]
        self._colony: PopulationState
        self._now: Generating
        self._mates: tuple[Command, ...] = ()
        self._next: BreedingState | None = None
        self._making: str | None = None
        self._closing = False
        self._earlier = Effort()

    @property
    def spent(self) -> int:
        """Item evaluations so far, those of the generation in flight among them."""
        if not hasattr(self, "_clock"):
            return 0
        done = self._earlier.evaluations + self._clock.read()[3]
        return done + (self._colony.spent if hasattr(self, "_colony") else 0)

    def run(self) -> str:
        """Breed until there is a reason to stop; that reason. Returns at once if there is one.

        Raises:
            Interrupted: `progress` said so; tells what is kept and what is lost.
        """
        try:
            return self._run()
        except Interrupted as stopped:
            raise Interrupted(self._account(), stopped.then) from None

    def _run(self) -> str:
        self._enter(self._workshop)
        if not self._archive.generations():
            self._archive.commit(self._founding())
        self._next = self._between()
        while self._next is not None:
            breeder = Breeder(
                self._seed,
                self._search,
                self._workshop.config.arena,
                self._workshop.space,
                self,
                self._workshop.geometry,
            )
            breeder.run(self._next)
        return self._reason(self._colony) or "interrupted"

    def _enter(self, workshop: Context) -> None:
        """Work in a workshop from here on, with all that depends on who the founders are."""
        self._workshop, self._search = workshop, workshop.config.search
        archive, progress = self._archive, self._progress
        self._troubles = workshop.troubles
        self._troubles.tell = self._on_trouble
        workshop.told = progress
        models = archive.models()
        if not archive.generations():  # what is there of generation 0 is born again, in its order
            models = [model for model in models if model.kind == "founder"]
        self._kinship = Kinship.replayed(models, not_forgotten(archive, self._search))
        pools = dealing_pools(workshop.tasks, self._seed, workshop.config)
        marker = scorer_of(archive, workshop, pools, self._kinship, self._seed, progress)
        self._dealer = ItemSampler(
            self._seed, self._search, pools, marker, archive.panel, self._troubles
        )
        self._clock = Clock(workshop.player.meter)
        self._closer = GenerationWriter(
            archive, workshop, self._dealer, self._kinship, self._clock, progress
        )
        self._keeper = ChampionKeeper(archive, workshop)
        try:
            self._gate = coherence_filter_of(workshop, self._dealer, progress)
        except (*SYSTEMIC, PopulationError):
            raise
        except Exception as error:
            raise CampaignError(f"the founders cannot be examined: {said_of(error)}") from error

    def cost_of_next(self, colony: PopulationState) -> int:
        """Item evaluations that the next generation takes at most."""
        config, panel, size = self._workshop.config, len(colony.panel), self._dealer.size
        search = config.search
        newcomers = search.finalists + sum(model not in colony.ratings for model in colony.ids)
        cost = search.brood * (size(search.items) + config.gate.texts)
        cost += search.finalists * (panel + config.gate.answers)
        if self._dealer.epoch_of(colony.generation + 1) != colony.epoch:
            cost += len(colony.members) * size(search.panel)
            newcomers += len(colony.members)
        cost += search.challengers * LAST_CHALLENGE * len(self._closer.selection)
        judges = len(remembered(self._archive, search, colony.generation + 1))
        everybody = len(colony.members) + search.finalists
        items = size(config.arena.items)
        return cost + most_evaluations(config.arena, items, newcomers, everybody, judges)

    # What the breeder asks of its host

    def trial(self, conceived: Sequence[Proposal]) -> Offspring:
        """Make the brood, let the gate look at it, and score it on fresh items."""
        self._making = "offspring"
        deal = self._dealer.brood(self._colony.generation + 1)
        brood, results = self._tried(conceived, deal, "offspring")
        self._now = Generating(brood=results, living=self._on_panel())
        return brood

    def panel(self) -> Panel:
        """The panel of the next generation, and the living on it."""
        deal = self._dealer.panel(self._dealer.epoch_of(self._colony.generation + 1))
        return Panel(self._now.living.merit, task_weights(deal.items), deal.rounds)

    def look(self, brood: Offspring, rows: Sequence[int], columns: Sequence[int]) -> Floats:
        """Score some of the brood on a round of the panel; NaN for who cannot answer coherently."""
        deal = self._dealer.panel(self._dealer.epoch_of(self._colony.generation + 1))
        number = deal.rounds.index(tuple(columns))

        def scored(
            place: int, player: Evaluator, state: State
        ) -> tuple[str | None, Floats, Floats]:
            cause = None
            if self._gate and number == 0:
                cause = self._gate.examine_answers(player)[1]
            return cause, *player.score(deal.by_round[number])

        genomes = [brood.conceived[row].genome for row in rows]
        nothing = np.zeros(len(columns))
        found = self._workshop.each(
            genomes,
            passing(scored, lambda number, cause: (cause, nothing, nothing)),
            self._progress,
            "finalists",
        )
        for row, (cause, exact, probability) in zip(rows, found, strict=True):
            if cause:
                self._now.late[row] = cause
            results = Results(exact[None], probability[None])
            self._now.finals.setdefault(row, []).append(results)
        merits = np.array([merit(exact, probability) for _, exact, probability in found])
        merits[[cause is not None for cause, *_ in found]] = np.nan
        return merits

    def settle(self, judged: Outcome) -> BreedingState | None:
        """Commit the generation; the stock to go on with, or None if the breeder is to stop.

        It is to stop when there is a reason, or when it does not know the founders any more.
        """
        before, brood, now = self._colony, judged.brood, self._now
        generation, first = before.generation + 1, before.stock.next_id
        fresh = self._dealer.brood(generation).items
        deal = self._dealer.panel(self._dealer.epoch_of(generation))
        new_panel = self._dealer.epoch_of(generation) != before.epoch
        order = np.argsort(np.concatenate(deal.rounds))
        finals = stacked([now.finals[row] for row in judged.finishers], order, now.living)
        finishers = [first + row for row in judged.finishers]
        everyone = (*before.ids, *finishers)
        living = (*before.ids[: before.stock.founders], *judged.living)
        genomes = dict(zip(before.ids, before.stock.genomes, strict=True))
        genomes |= {first + row: brood.conceived[row].genome for row in judged.finishers}
        births = self._born(brood, first)
        end = GenerationOutcome(
            generation=generation,
            living=living,
            standing=(now.living + finals).only([everyone.index(model) for model in living]),
            genomes=genomes,
            births=births,
            deaths={**judged.deaths, **{first + row: cause for row, cause in now.late.items()}},
            scores=[
                now.brood.rows([birth.id for birth in births], fresh),
                finals.rows(finishers, deal.items),
                *([now.living.rows(before.ids, deal.items)] if new_panel else []),
            ],
            items=[*fresh, *(deal.items if new_panel else [])],
            origin=judged.origin,
            emitter=judged.emitter,
            bandit=judged.bandit,
            alarms=tuple(alarm.detail for alarm in judged.alarms),
        )
        chapter = self._closer.chapter(before, end, self._is_last(before, generation))
        settled = bred(self._mates, births, end.deaths)
        self._archive.commit(replace(chapter, settled=settled))
        workshop, self._next = self._workshop, self._between()
        return self._next if self._workshop is workshop else None

    # Generation 0

    def _founding(self) -> GenerationRecord:
        """The founders, and the most promising of what people would try by hand.

        Founders come first, so that there is something to see soon.
        """
        workshop, search = self._workshop, self._search
        founders = len(workshop.founders)
        first = workshop.space.first(generator(self._seed, "first"), 2 * search.population)
        conceived = [
            Proposal(how, equal_parents(tuple(row + 1 for row in mixed)), genome)
            for how, genome, mixed in first
        ]
        few, deal = self._dealer.brood(0).items, self._dealer.panel(0)
        there = found(self._archive, conceived, few, deal.items)
        self._earlier = there.effort
        parts = Parts(
            self._archive, len(conceived), few, deal.items, lambda: self._clock.read()[:3]
        )
        self._making = f"{len(there.tried)} of {len(conceived)} candidates"
        try:
            panel = dict(there.panel)
            ids = range(1, founders + 1)
            genomes = {model: workshop.genome_of_founder(model - 1) for model in ids}
            self._on_first_panel(genomes, panel, deal, parts, "founders")
            brood, tried = self._first_brood(conceived, there.tried, parts)
            births = self._births(brood, founders + 1)
            chosen = pioneers(
                brood, task_means(few, tried.merit), workshop.hashes, search.population
            )
            living = (*ids, *(births[row].id for row in chosen))
            genomes |= {births[row].id: conceived[row].genome for row in chosen}
            self._on_first_panel(genomes, panel, deal, parts, "first panel")
            parts.flush()
        except BaseException:
            parts.rescue()
            raise
        self._closing = True
        self._know(births)
        standing = Results(*(np.array([panel[model][part] for model in living]) for part in (0, 1)))
        means = task_means(deal.items, standing.merit)
        head = founders + int(np.argmax(means[founders:]))
        end = GenerationOutcome(
            generation=0,
            living=living,
            standing=standing,
            genomes=genomes,
            births=births,
            deaths={
                birth.id: "unpromising"
                for row, birth in enumerate(births)
                if row not in chosen and not brood.causes[row]
            },
            scores=[],
            items=[*few, *deal.items, *self._closer.selection],
            origin=living[head],
            emitter=started(genomes[living[head]]),
            bandit=start({str(name): often for name, often in search.operators.items()}),
        )
        chapter = self._closer.chapter(None, end, last=False)
        spent = Effort(chapter.summary.evaluations, *self._clock.read()[:3]) + self._earlier
        # The births are there already.
        return replace(chapter, births=(), summary=replace(chapter.summary, **vars(spent)))

    def _first_brood(
        self, conceived: Sequence[Proposal], known: Sequence[Tried], parts: Parts
    ) -> tuple[Offspring, Results]:
        """The candidates of generation 0, of whom some may be known, each kept as it comes."""
        founders = len(self._workshop.founders)
        held: list[tuple[int, Row, int]] = []

        def taken(number: int, row: Row, evaluations: int) -> None:
            held.append((len(known) + number, row, evaluations))
            # What fails for everybody stops the campaign, and none of that is to be kept.
            if not known and all((one[1] or "").startswith(FAILED) for _, one, _ in held):
                return
            for place, one, cost in held:
                birth = self._birth(founders + 1 + place, conceived[place], one[0])
                parts.born(birth, Tried(*one), cost)
            held.clear()
            self._making = f"{len(known) + number + 1} of {len(conceived)} candidates"

        before = [(one.sha256, one.cause, one.exact, one.probability) for one in known]
        deal = self._dealer.brood(0)
        return self._tried(conceived, deal, "first population", before, taken)

    def _on_first_panel(
        self,
        genomes: Mapping[int, Floats],
        panel: dict[int, tuple[Floats, Floats]],
        deal: ItemBatch,
        parts: Parts,
        what: str,
    ) -> None:
        """Score those on the panel that are not known there yet; each is kept as it comes."""
        missing = [model for model in genomes if model not in panel]
        prepared = deal.marked.for_each(missing)
        nothing = np.zeros(len(deal.items))
        failed: dict[int, tuple[str, int]] = {}

        def scored(
            number: int, player: Evaluator, state: State
        ) -> tuple[Floats, Floats, str | None]:
            return *player.score(prepared[number]), None

        def taken(number: int, row: tuple[Floats, Floats, str | None], evaluations: int) -> None:
            exact, probability, cause = row
            panel[missing[number]] = exact, probability
            if what != "founders":
                self._making = f"all candidates and {len(panel)} of {len(genomes)} panel scores"
            if cause:
                failed[missing[number]] = cause, evaluations
            else:
                parts.on_panel(missing[number], exact, probability, evaluations)

        self._workshop.each(
            [genomes[model] for model in missing],
            passing(scored, lambda number, cause: (nothing, nothing, cause)),
            self._progress,
            what,
            taken=taken,
            before=len(genomes) - len(missing),
        )
        if len(missing) == len(genomes):
            stop_if_all_failed([failed.get(model, (None, 0))[0] for model in missing], what)
        for model, (cause, evaluations) in failed.items():
            parts.on_panel(model, nothing, nothing, evaluations)
            self._troubles.add(f"#{model} ({what}) {cause}; it counts as having no score")

    def _account(self) -> str:
        """What is kept and what is lost of a campaign that was stopped."""
        history = self._archive.generations()
        if history:
            last = history[-1].generation
            kept = "generation 0 is kept" if last == 0 else f"generations 0 to {last} are kept"
            if self._making is None:
                return f"{kept}, and nothing was in flight"
            return f"{kept}; what was done of generation {last + 1} is lost"
        if self._making is None:
            return "of generation 0 nothing was made yet"
        lost = f"{self._workshop.crew.dropped} in flight are lost"
        if self._closing:
            lost = "what the arena had done is lost"
        return f"generation 0: {self._making} are kept; {lost}"

    def _born(self, brood: Offspring, first: int) -> tuple[Birth, ...]:
        """The births of a brood, whose kinship is known from here on."""
        births = self._births(brood, first)
        self._know(births)
        return births

    def _births(self, brood: Offspring, first: int) -> tuple[Birth, ...]:
        return tuple(
            self._birth(first + row, child, sha)
            for row, (child, sha) in enumerate(zip(brood.conceived, brood.hashes, strict=True))
        )

    def _birth(self, number: int, child: Proposal, sha: str) -> Birth:
        method = "linear" if isinstance(self._workshop.space, ParameterSpace) else "route"
        return Birth(number, child.operator, child.parents, child.genome, sha, method)

    def _know(self, births: Sequence[Birth]) -> None:
        for birth in births:
            self._kinship.born(birth.id, birth.parents)

    # Making and scoring

    def _tried(
        self,
        conceived: Sequence[Proposal],
        deal: ItemBatch,
        what: str,
        known: Sequence[Row] = (),
        taken: Callable[[int, Row, int], None] = lambda number, row, evaluations: None,
    ) -> tuple[Offspring, Results]:
        """Make models and score them on a few items, unless the gate stops them.

        Args:
            conceived: the models.
            deal: the items.
            what: the progress says.
            known: what came of the first of them, which are not made again.
            taken: told what came of each other (number among those, row, item evaluations).
        """
        gate, nothing = self._gate, np.zeros(len(deal.items))

        def examined(
            number: int, player: Evaluator, state: State
        ) -> tuple[str | None, Floats, Floats]:
            cause = gate.examine_weights(state)[1] if gate else None
            if cause:
                return cause, nothing, nothing
            exact, probability = player.score(deal.prepared)
            # Reading costs as much as several items, and who can do anything at all can read.
            if gate and merit(exact, probability).mean() < self._workshop.config.gate.suspicious:
                cause = gate.examine_reading(player)[1]
            return cause, exact, probability

        def tried(number: int, player: Evaluator, state: State) -> Row:
            # Who raises an error, whatever it is, dies of it.
            survived = passing(examined, lambda number, cause: (cause, nothing, nothing))
            return state_sha256(state), *survived(number, player, state)

        genomes = [child.genome for child in conceived[len(known) :]]
        made = self._workshop.each(
            genomes, tried, self._progress, what, taken=taken, before=len(known)
        )
        rows = [*known, *made]
        causes = tuple(row[1] for row in rows)
        stop_if_all_failed(causes, what)
        for cause in sorted({cause for cause in causes if cause and cause.startswith(FAILED)}):
            many = causes.count(cause)
            self._troubles.add(f"{many} of {len(causes)} {what} died at birth: {cause}")
        results = Results(
            np.array([exact for _, _, exact, _ in rows]),
            np.array([probability for *_, probability in rows]),
        )
        hashes = tuple(row[0] for row in rows)
        return Offspring(tuple(conceived), hashes, results.merit, causes), results

    def _on_panel(self) -> Results:
        """The living on the panel of the next generation: they are scored again where it is new."""
        colony = self._colony
        epoch = self._dealer.epoch_of(colony.generation + 1)
        if epoch == colony.epoch:
            return Results(colony.exact, colony.probability)
        scored = scored_or_nothing(
            self._workshop,
            list(colony.stock.genomes),
            self._dealer.panel(epoch).marked.for_each(colony.ids),
            self._progress,
            "the living, again",
            colony.ids,
        )
        for model, sha in zip(colony.members, scored.hashes, strict=True):
            if model.kind == "offspring" and sha != model.weights_sha256:
                raise CampaignError(
                    f"{model.label} was born with other weights than its recipe makes now; "
                    "`colony check` tells what has changed"
                )
        return Results(scored.exact, scored.probability)

    # When to stop, and what is next

    def _reason(self, colony: PopulationState) -> str | None:
        """Why to stop now, or None."""
        standing = self._archive.task_means("selection")
        history = [
            selection_score(standing[past.champion])
            for past in colony.history
            if past.champion in standing
        ]
        return reason_to_stop(
            CampaignStanding(
                colony.generation,
                colony.spent,
                colony.worked_s,
                history,
                self.cost_of_next(colony),
            ),
            self._limits,
        )

    def _is_last(self, before: PopulationState, generation: int) -> bool:
        """Whether the budget will probably not pay for another generation after this one."""
        wall, _, _, evaluations = self._clock.read()
        spent, seconds = before.spent + evaluations, self._limits.seconds
        cost = self.cost_of_next(before)
        budget = self._limits.item_evaluations
        return generation == self._limits.generations or (
            (budget is not None and spent + 2 * cost > budget)
            or (seconds is not None and before.worked_s + 2.0 * wall > seconds)
        )

    def _between(self) -> BreedingState | None:
        """Do what was asked since the last generation; the stock to go on with, or None to stop."""
        self._reload()
        if self._on_generation:
            self._on_generation(self._colony)
        while True:
            seen = last_change(self._archive)
            obeyed = obey(self._archive, self._workshop, self._progress, self._on_order)
            if obeyed.settled:
                self._heed(obeyed)
            if self._reason(self._colony):
                return None
            if not obeyed.paused:
                break
            wait_for_change(self._archive, seen, self._progress)
        stock = self._colony.stock
        # Half of a brood is left to the search; who finds no place in this one waits for the next.
        self._mates = obeyed.mates[: min(self._search.brood, len(stock.offspring)) // 2]
        pairs = (order.models for order in self._mates)
        return replace(stock, matings=tuple((one, other) for one, other in pairs))

    def _heed(self, obeyed: CommandsCarriedOut) -> None:
        """Go by what has changed. Where somebody came or went, as if the campaign were resumed."""
        if obeyed.lives_changed:
            self._enter(obeyed.workshop)
        if obeyed.budget is not None:
            now = obeyed.budget
            self._limits = replace(
                self._limits,
                item_evaluations=now.evaluations or self._limits.item_evaluations,
                seconds=60.0 * now.minutes if now.minutes else self._limits.seconds,
            )
        self._reload()

    def _reload(self) -> None:
        self._clock.start()
        self._making, self._earlier = None, Effort()
        self._colony = colony = load_population(self._archive, self._workshop.space, self._kinship)
        self._keeper.keep(colony.members[colony.ids.index(colony.stock.champion)])
