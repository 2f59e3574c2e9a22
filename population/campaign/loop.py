"""A campaign: ask, evaluate, tell, commit, until there is a reason to stop.

Nothing is kept in memory that the archive does not hold: after every commit the population is read
anew. So a resumed campaign is the same code path as a running one, and changes of the archive
between two generations take effect.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lineage import Archive
from lineage.queries.studies import studied_after
from lineage.records import Command
from population.campaign.activity import Activity
from population.campaign.arena_rounds import judges_to_keep
from population.campaign.births import births_of
from population.campaign.commands import (
    CommandsCarriedOut,
    OnCommand,
    carry_out_commands,
    ignore,
    last_change,
    mating_outcomes,
    wait_for_change,
)
from population.campaign.context import Context, Progress, genome_of, silent
from population.campaign.engine_choice import equip
from population.campaign.first_generation import first_generation
from population.campaign.generation import FinalistScorer, panel_of
from population.campaign.generation_commit import GenerationOutcome
from population.campaign.generation_cost import GenerationSize, cost_of_generation
from population.campaign.opening import continued, started
from population.campaign.session import Session, open_session
from population.campaign.state import PopulationState, load_population, selection_score
from population.campaign.stopping import CampaignStanding, limits_of, reason_to_stop
from population.campaign.studying import cost_of_study, is_due, study
from population.config import Budget, Config, load_config
from population.errors import Interrupted
from population.evaluation.results import Results
from population.evolution.extensions import Extensions
from population.evolution.finals import Race, run_race
from population.evolution.lines import brood_of
from population.evolution.proposals import Offspring, Outcome


class Campaign:
    """Runs generations in an archive.

    Args:
        archive: where everything is kept.
        context: what models are made of and scored with.
        budget: when to stop; by default as the archive was started with.
        progress: called while a generation is computed; may raise to stop, and then the generation
            in flight is dropped and nothing else.
        on_generation: called with the population after every commit.
        on_command: called with the outcome of every command.
        on_trouble: called with a sentence for each item, candidate or judge that failed and was
            passed over.
    """

    def __init__(
        self,
        archive: Archive,
        context: Context,
        budget: Budget | None = None,
        progress: Progress = silent,
        on_generation: Callable[[PopulationState], None] | None = None,
        on_command: OnCommand = ignore,
        on_trouble: Callable[[str], None] = lambda sentence: None,
    ) -> None:
        self.archive, self.context = archive, context
        self.reason = "interrupted"
        self._limits = limits_of(budget or context.config.budget)
        self._progress = progress
        self._on_generation, self._on_command = on_generation, on_command
        self._on_trouble = on_trouble
        self._activity = Activity()
        self._session: Session | None = None

    @classmethod
    def start(
        cls,
        path: str | Path,
        config: Config | None = None,
        *,
        extensions: Extensions | None = None,
        progress: Progress = silent,
    ) -> "Campaign":
        """Start a campaign in a new archive.

        Args:
            path: where the archive is to be; the file must not exist.
            config: everything that its user decides; by default the shipped founders breed.
            extensions: operators, survival rules and judges from outside, which `config` names
                `plugin:NAME`.
            progress: called with (done, total, label); may raise to stop.

        Raises:
            ArchiveError: the archive exists already or cannot be written.
            CheckpointError: a founder is missing, broken, or does not fit the others.
            ConfigError: a setting is impossible.
            TaskError: a task is missing or broken.
        """
        asked = config or load_config()
        ready = started(Path(path), asked, asked.budget, progress, extensions=extensions)
        return cls(ready.archive, ready.context, progress=progress)

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        extensions: Extensions | None = None,
        progress: Progress = silent,
    ) -> "Campaign":
        """Go on with a campaign where its archive left it.

        Args:
            path: of the archive.
            extensions: as given to `start`.
            progress: called with (done, total, label); may raise to stop.

        Raises:
            ArchiveError: there is no archive.
            CheckpointError: a founder has vanished or has other weights than it had.
        """
        ready = continued(Archive.open(path), progress, extensions)
        return cls(ready.archive, ready.context, progress=progress)

    def model(self, reference: str | int = "champion") -> Any:
        """A model of the archive as a transformers model, living or fossil.

        Args:
            reference: an id, a founder's name, `champion`, or the start of a hash.

        Raises:
            ArchiveError: nothing, or more than one model, fits.
        """
        row = self.archive.find(str(reference))
        return self.context.factory.network(genome_of(self.archive, self.context, row))

    @property
    def spent(self) -> int:
        """Item evaluations so far, those of the generation in flight among them."""
        if self._session is None:
            return 0
        activity = self._activity
        earlier = activity.spent_before + activity.earlier.evaluations
        return earlier + self._session.clock.read()[3]

    def run(self) -> str:
        """Breed until there is a reason to stop; that reason. Returns at once if there is one.

        Raises:
            Interrupted: `progress` said so; tells what is kept and what is lost.
        """
        try:
            for _ in self:
                pass
        except Interrupted as stopped:
            dropped = self.context.engine.in_flight
            kept = self._activity.account(self.archive, dropped)
            raise Interrupted(kept, stopped.then) from None
        return self.reason

    def __iter__(self) -> Iterator[PopulationState]:
        """Breed, and yield the population as it is now and after every generation."""
        session = self._opened()
        if not self.archive.generations():
            seed = self.archive.campaign()[0]
            self.archive.commit(first_generation(self.archive, session, seed, self._activity))
        while True:
            population = self._loaded(session)
            if self._on_generation:
                self._on_generation(population)
            yield population
            session, population = self._after_study(session, population)
            session, population, mates = self._after_commands(session, population)
            if reason := self._reason_to_stop(session, population):
                self.reason = reason
                return
            self._breed(session, population, mates)

    def _breed(
        self, session: Session, population: PopulationState, mates: Sequence[Command]
    ) -> None:
        """One generation."""
        search = session.context.config.search
        generation = population.generation + 1
        epoch = session.items.epoch_of(generation)
        few, panel_items = session.items.offspring(generation), session.items.panel(epoch)
        fresh = epoch != population.epoch

        proposals = session.evolver.ask(population.breeding)
        self._activity.making = "offspring"
        proposals = session.local_search.improve(proposals, population.breeding, population.panel)
        offspring, few_results = session.evaluation.evaluate(proposals, few, "offspring")
        living = session.evaluation.score_living(population, panel_items, fresh=fresh)
        panel = panel_of(living, panel_items, session.context.weights)
        finals = FinalistScorer(session.evaluation, offspring, panel_items)
        race = run_race(population.breeding, offspring, panel, search, finals.score)

        outcome = session.evolver.tell(population.breeding, offspring, panel, race)

        end = _generation_outcome(
            session, population, offspring, few_results, living, finals, race, outcome
        )
        last = self._is_last(session, population, generation)
        record = session.writer.record(population, end, last)
        settled = mating_outcomes(mates, end.births, end.deaths)
        self.archive.commit(replace(record, command_outcomes=settled))

    # Between two generations

    def _opened(self) -> Session:
        self._session = open_session(self.archive, self.context, self._progress, self._on_trouble)
        return self._session

    def _loaded(self, session: Session) -> PopulationState:
        """The population as the last commit left it."""
        session.clock.start()
        population = load_population(self.archive, session.context.factory.space, session.kinship)
        self._activity = Activity(spent_before=population.spent)
        session.keeper.keep(population.champion)
        return population

    def _after_study(
        self, session: Session, population: PopulationState
    ) -> tuple[Session, PopulationState]:
        """Let the champion study if it is time, and the budget pays for that and a generation."""
        settings = self.context.config.study
        generation = population.generation
        if not is_due(settings, generation) or studied_after(self.archive, generation):
            return session, population
        cost = cost_of_study(settings, len(population.panel)) + self.cost_of_next(population)
        budget = self._limits.item_evaluations
        over = budget is not None and population.spent + cost > budget
        if over or self._reason_to_stop(session, population):
            return session, population
        joined = study(self.archive, session, population, self._progress)
        if joined is not self.context:
            session = self._adopt(joined)
        return session, self._loaded(session)

    def _after_commands(
        self, session: Session, population: PopulationState
    ) -> tuple[Session, PopulationState, Sequence[Command]]:
        """Do what was asked since the last generation, and wait while the campaign is paused.

        Returns:
            The session and the population to go on with, and the matings that the next offspring
            are to include.
        """
        while True:
            seen = last_change(self.archive)
            done = carry_out_commands(
                self.archive, session.context, self._progress, self._on_command
            )
            if done.settled:
                session = self._apply(session, done)
                population = self._loaded(session)
            if not done.paused or self._reason_to_stop(session, population):
                break
            wait_for_change(self.archive, seen, self._progress)
        breeding, brood = population.breeding, session.context.config.search.brood
        # Half of a brood is left to the search; who finds no place in this one waits for the next.
        mates = done.mates[: min(brood, len(breeding.members.offspring)) // 2]
        matings = tuple((one, other) for one, other in (mate.models for mate in mates))
        return session, replace(population, breeding=replace(breeding, matings=matings)), mates

    def _apply(self, session: Session, done: CommandsCarriedOut) -> Session:
        """Apply what commands changed; where models came or went, reopen all parts."""
        if now := done.budget:
            self._limits = replace(
                self._limits,
                item_evaluations=now.evaluations or self._limits.item_evaluations,
                tokens=now.tokens or self._limits.tokens,
                seconds=60.0 * now.minutes if now.minutes else self._limits.seconds,
            )
        if not done.lives_changed:
            return session
        return self._adopt(done.context)

    def _adopt(self, context: Context) -> Session:
        """Go on with a context, of which all parts are opened."""
        if context is not self.context:  # other founders, which workers have to open
            self.context.engine.close()
            equip(context)
        self.context = context
        return self._opened()

    # When to stop

    def cost_of_next(self, population: PopulationState) -> int:
        """Item evaluations that the next generation takes at most."""
        return cost_of_next(self.archive, self._session or self._opened(), population)

    def _reason_to_stop(self, session: Session, population: PopulationState) -> str | None:
        standing = self.archive.task_means("selection")
        history = [
            selection_score(standing[past.champion], session.context.weights)
            for past in population.history
            if past.champion in standing
        ]
        return reason_to_stop(
            CampaignStanding(
                population.generation,
                population.spent,
                population.worked_s,
                history,
                cost_of_next(self.archive, session, population),
                population.tokens,
            ),
            self._limits,
        )

    def _is_last(self, session: Session, before: PopulationState, generation: int) -> bool:
        """Whether the budget will probably not pay for another generation after this one."""
        wall, _, _, evaluations = session.clock.read()
        spent, seconds = before.spent + evaluations, self._limits.seconds
        cost = cost_of_next(self.archive, session, before)
        # The next one may have a whole brood, though this one has a single child.
        cost += cost_of_next(self.archive, session, before, session.context.config.search.brood)
        budget, most_tokens = self._limits.item_evaluations, self._limits.tokens
        tokens = before.tokens + session.clock.tokens
        return generation == self._limits.generations or (
            (budget is not None and spent + cost > budget)
            or (seconds is not None and before.worked_s + 2.0 * wall > seconds)
            or (most_tokens is not None and tokens * (1.0 + cost / max(1, spent)) > most_tokens)
        )


def cost_of_next(
    archive: Archive, session: Session, population: PopulationState, brood: int | None = None
) -> int:
    """Item evaluations that the next generation takes at most.

    Args:
        archive: of the campaign.
        session: its parts.
        population: as it is now.
        brood: how many children are born; by default as many as will be.
    """
    search, items = session.context.config.search, session.items
    living, renewal = len(population.members), 0
    newcomers = sum(model not in population.ratings for model in population.ids)
    if items.epoch_of(population.generation + 1) != population.epoch:
        renewal = living * items.max_questions(search.panel) + items.cost_of_epoch(population.epoch)
        newcomers += living
    size = GenerationSize(
        brood=brood or brood_of(search, population.breeding),
        living=living,
        panel=session.context.evaluations(population.panel),
        renewal=renewal,
        selection=session.context.evaluations(items.selection(population.epoch)),
        newcomers=newcomers,
        judges=len(judges_to_keep(archive, search, population.generation + 1)),
    )
    return cost_of_generation(session.context, size, items.max_questions)


def _generation_outcome(
    session: Session,
    before: PopulationState,
    offspring: Offspring,
    few_results: Results,
    living: Results,
    finals: FinalistScorer,
    race: Race,
    outcome: Outcome,
) -> GenerationOutcome:
    """The outcome of a generation, with births, results and items for the archive."""
    breeding = before.breeding
    generation, first = breeding.generation + 1, breeding.next_id
    epoch = session.items.epoch_of(generation)
    few, panel = session.items.offspring(generation).items, session.items.panel(epoch).items
    births = births_of(offspring, first, session.context.factory.space)
    for birth in births:
        session.kinship.add_birth(birth.id, birth.parents)
    finished = finals.results_of_finishers(race, living)
    finishers = [first + row for row in race.finishers]
    everyone = (*before.ids, *finishers)
    survivors = (*before.ids[: breeding.members.founders], *outcome.living)
    genomes = dict(zip(before.ids, breeding.members.genomes, strict=True))
    genomes |= {first + row: offspring.children[row].genome for row in race.finishers}
    fresh = epoch != before.epoch
    return GenerationOutcome(
        generation=generation,
        living=survivors,
        standing=(living + finished).only([everyone.index(model) for model in survivors]),
        genomes=genomes,
        births=births,
        deaths={**outcome.deaths, **{first + row: c for row, c in finals.causes.items()}},
        scores=[
            few_results.rows([birth.id for birth in births], few),
            finished.rows(finishers, panel),
            *([living.rows(before.ids, panel)] if fresh else []),
        ],
        items=[*few, *(panel if fresh else [])],
        search=outcome.search,
        alarms=tuple(alarm.detail for alarm in offspring.proposals.alarms),
    )
