"""A campaign: generations of breeding, each committed whole, until the budget is spent.

In each generation the arena and the niches pick parents, pygad's hooks write recipes, the siblings
are made together and scored together on this epoch's panel, the fittest of old and new survive,
the leaders are looked at on the selection split, the survivors meet in the arena, and one
transaction commits all of it. Nothing is kept in memory that the archive does not hold.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from arena.tasks import deal_panel
from lineage import Archive
from lineage.kinship import Kinship
from lineage.records import (
    Birth,
    Chapter,
    Death,
    Event,
    Floats,
    Generation,
    Item,
    Scores,
)
from population.arena_round import Round, arena_items, play_round
from population.breeding import Breeder, Conception
from population.colony import Colony, load_colony, merit, selection_score, task_means
from population.config import Budget
from population.errors import CampaignError
from population.first import equal_parents, first_genomes
from population.player import Player, Prepared
from population.randomness import generator
from population.survival import survivors
from population.workshop import Progress, Workshop, silent

T = TypeVar("T")


@dataclass(frozen=True)
class Group:
    """Models with their recipes and their scores on the current panel; rows follow `ids`."""

    ids: tuple[int, ...]
    hashes: tuple[str, ...]
    genomes: Floats
    exact: Floats
    probability: Floats

    @property
    def merit(self) -> Floats:
        """What breeding goes by, shape (models, items)."""
        return merit(self.exact, self.probability)

    def __add__(self, other: "Group") -> "Group":
        return Group(
            self.ids + other.ids,
            self.hashes + other.hashes,
            np.concatenate([self.genomes, other.genomes]),
            np.concatenate([self.exact, other.exact]),
            np.concatenate([self.probability, other.probability]),
        )

    def only(self, rows: Sequence[int]) -> "Group":
        """Some of the models."""
        kept = list(rows)
        return Group(
            tuple(self.ids[row] for row in kept),
            tuple(self.hashes[row] for row in kept),
            self.genomes[kept],
            self.exact[kept],
            self.probability[kept],
        )


class Campaign:
    """Runs generations in an archive.

    Args:
        archive: where everything is kept.
        workshop: what models are made of.
        budget: when to stop; by default as the archive was started with.
        progress: told while a generation is computed; may raise to stop, and then the generation
            in flight is dropped and nothing else.
        on_generation: told after every commit.
    """

    def __init__(
        self,
        archive: Archive,
        workshop: Workshop,
        budget: Budget | None = None,
        progress: Progress = silent,
        on_generation: Callable[[Colony], None] | None = None,
    ) -> None:
        self._archive, self._workshop = archive, workshop
        self._search, self._arena = workshop.config.search, workshop.config.arena
        self._budget = budget or workshop.config.budget
        self._progress = progress
        self._on_generation = on_generation
        self._seed = archive.campaign()[0]
        self._selection = workshop.split("selection")
        self._prepared_selection = workshop.player.prepare_keys(self._selection)
        self._kinship = Kinship.replayed(archive.models())
        self._panel: tuple[int, list[Item], Prepared] | None = None

    def run(self) -> None:
        """Breed until the budget is spent. Returns at once if it is spent already."""
        self._start_clock()
        if not self._archive.generations():
            self._archive.commit(self._founding())
        colony = self._reload()
        if self._done(colony):
            return
        breeder = Breeder(self._seed, self._search, self._arena, self._score, self._settle)
        breeder.run(colony)

    def cost_of_next(self, colony: Colony) -> int:
        """Item evaluations that the next generation takes at most."""
        panel = len(colony.panel)
        scored = self._search.brood
        if self._epoch_of(colony.generation + 1) != colony.epoch:
            scored += len(colony.members)
        # In the arena a newcomer answers every item, and every answer may be new to every judge.
        played = min(self._arena.items, panel) * self._search.brood * (1 + self._arena.judges)
        return scored * panel + self._search.challengers * len(self._selection) + played

    def _done(self, colony: Colony) -> bool:
        if self._budget.generations is not None and colony.generation >= self._budget.generations:
            return True
        return colony.spent + self.cost_of_next(colony) > self._budget.item_evaluations

    def _reload(self) -> Colony:
        self._start_clock()
        self._colony = load_colony(self._archive, self._workshop.basis, self._kinship)
        if self._on_generation:
            self._on_generation(self._colony)
        return self._colony

    # A generation: founding it, or breeding it

    def _founding(self) -> Chapter:
        """Generation 0: the founders, and a first population of what people would try by hand."""
        workshop = self._workshop
        vectors = workshop.basis.vectors
        founders = self._scored(
            [workshop.genome_of_founder(row) for row in range(len(workshop.founders))],
            first_id=1,
            epoch=0,
            what="founders",
        )
        first = first_genomes(
            generator(self._seed, "first"),
            len(vectors),
            len(workshop.layout.blocks),
            self._search.population,
            base=workshop.basis.base is not None,
        )
        conceived = [
            Conception(
                made,
                equal_parents(tuple(vectors[v] + 1 for v in mixed)),
                np.clip(genome, self._search.lowest, self._search.highest),
            )
            for made, genome, mixed in first
        ]
        born = self._scored(
            [child.genome for child in conceived],
            first_id=len(founders.ids) + 1,
            epoch=0,
            what="first population",
        )
        return self._closed(None, founders, born.only([]), conceived, born)

    def _score(self, conceived: Sequence[Conception]) -> Floats:
        """Make and score the children of the next generation; their fitness."""
        epoch = self._epoch_of(self._colony.generation + 1)
        self._conceived = conceived
        self._born = self._scored(
            [child.genome for child in conceived],
            first_id=self._colony.next_id,
            epoch=epoch,
            what="offspring",
        )
        return task_means(self._panel_of(epoch)[0], self._born.merit)

    def _settle(self) -> Colony | None:
        """Close the generation; the colony as it is then, or None when the budget is spent."""
        founders, old = self._living(self._colony)
        chapter = self._closed(self._colony, founders, old, self._conceived, self._born)
        self._archive.commit(chapter)
        colony = self._reload()
        return None if self._done(colony) else colony

    def _closed(
        self,
        before: Colony | None,
        founders: Group,
        old: Group,
        conceived: Sequence[Conception],
        born: Group,
    ) -> Chapter:
        """Everything that a generation adds to the archive, once its children are scored.

        Args:
            before: the colony that bred, or None for generation 0.
            founders: scored on this epoch's panel.
            old: the living offspring so far, likewise.
            conceived: how the children came about.
            born: the children, scored.
        """
        generation = 0 if before is None else before.generation + 1
        epoch = self._epoch_of(generation)
        new_panel = before is None or epoch != before.epoch
        panel = self._panel_of(epoch)[0]
        candidates = old + born
        means = task_means(panel, candidates.merit)
        kept = survivors(
            candidates.merit,
            means,
            candidates.hashes,
            self._search.population,
            protected=self._protected(before, candidates, means, born),
            niches=self._search.niches,
            sharing=self._search.sharing,
        )
        living = founders + candidates.only(kept)
        leaders = [row for row in np.argsort(-means, kind="stable") if int(row) in kept]
        champion, selection = self._crowned(
            living, [candidates.ids[row] for row in leaders], newcomers=before is None
        )
        for child, model in zip(conceived, born.ids, strict=True):
            self._kinship.born(model, child.parents)
        self._kinship.keep(living.ids)
        played = self._played(before, epoch, living)
        deaths = [Death(model, "outscored") for model in candidates.ids if model not in living.ids]
        scores = [self._as_scores(born, panel)]
        if new_panel:
            scores.append(self._as_scores(founders + old, panel))
        merits = task_means(panel, living.merit)
        wall_s, forward_s, cpu_s, evaluations = self._clock_read()
        return Chapter(
            summary=Generation(
                generation=generation,
                epoch=epoch,
                evaluations=evaluations,
                best=float(merits.max()),
                median=float(np.median(merits)),
                champion=champion,
                wall_s=wall_s,
                forward_s=forward_s,
                cpu_s=cpu_s,
            ),
            births=tuple(
                Birth(model, child.operator, child.parents, genome, sha)
                for model, child, genome, sha in zip(
                    born.ids, conceived, born.genomes, born.hashes, strict=True
                )
            ),
            deaths=tuple(deaths),
            items=(*(panel if new_panel else ()), *(self._selection if before is None else ())),
            panel=tuple(item.id for item in panel) if new_panel else (),
            scores=(*scores, *selection),
            answers=played.answers,
            readings=played.readings,
            verdicts=played.verdicts,
            trust=played.trust,
            ratings=played.ratings,
            events=_events(before, epoch, champion),
        )

    # Its parts

    def _protected(
        self, before: Colony | None, candidates: Group, means: Floats, born: Group
    ) -> list[int]:
        """Who lives on whatever it scores: the champion, and the best of the brood.

        Rows of `candidates`, whose last rows are the brood.
        """
        start = len(candidates.ids) - len(born.ids)
        brood = sorted(range(start, len(candidates.ids)), key=lambda row: (-means[row], row))
        champion = [] if before is None else [before.champion]
        reigning = [row for row, model in enumerate(candidates.ids) if model in champion]
        return [*reigning, *brood[: self._search.young]]

    def _scored(self, genomes: Sequence[Floats], *, first_id: int, epoch: int, what: str) -> Group:
        """Make models and score them on the panel of an epoch."""
        scored = self._workshop.score(genomes, self._panel_of(epoch)[1], self._progress, what)
        ids = tuple(range(first_id, first_id + len(genomes)))
        return Group(ids, scored.hashes, np.array(genomes), scored.exact, scored.probability)

    def _living(self, colony: Colony) -> tuple[Group, Group]:
        """Founders and living offspring with scores on the panel of the next generation."""
        epoch = self._epoch_of(colony.generation + 1)
        exact, probability = colony.exact, colony.probability
        if epoch != colony.epoch:
            scored = self._workshop.score(
                list(colony.genomes), self._panel_of(epoch)[1], self._progress, "the living, again"
            )
            exact, probability = scored.exact, scored.probability
            for model, sha in zip(colony.members, scored.hashes, strict=True):
                if model.kind == "offspring" and sha != model.weights_sha256:
                    raise CampaignError(
                        f"{model.label} was born with other weights than its recipe makes now; "
                        "`colony check` tells what has changed"
                    )
        hashes = tuple(model.weights_sha256 for model in colony.members)
        everyone = Group(colony.ids, hashes, colony.genomes, exact, probability)
        split = colony.founders
        return everyone.only(range(split)), everyone.only(range(split, len(colony.ids)))

    def _crowned(
        self, living: Group, leaders: Sequence[int], *, newcomers: bool
    ) -> tuple[int, list[Scores]]:
        """The champion, and the selection scores that had to be taken to choose it.

        The leaders of this generation that were never seen on the selection split are looked at;
        of all the living that were ever seen there, the best is champion.

        Args:
            living: everyone who may be champion.
            leaders: living offspring, best first.
            newcomers: whether the founders must be looked at as well.
        """
        standing = self._archive.task_means("selection")
        unseen = [model for model in leaders if model not in standing]
        looked_at = unseen[: self._search.challengers]
        if newcomers:
            looked_at = [model for model in living.ids if model not in leaders] + looked_at
        results: list[Scores] = []
        score = {model: selection_score(means) for model, means in standing.items()}
        if looked_at:
            rows = [living.ids.index(model) for model in looked_at]
            scored = self._workshop.score(
                list(living.genomes[rows]), self._prepared_selection, self._progress, "challengers"
            )
            items = tuple(item.id for item in self._selection)
            results.append(Scores(tuple(looked_at), items, scored.exact, scored.probability))
            merits = task_means(self._selection, merit(scored.exact, scored.probability))
            score |= dict(zip(looked_at, merits.tolist(), strict=True))
        seen = [model for model in living.ids if model in score]
        return max(seen, key=lambda model: (score[model], -model)), results

    def _played(self, before: Colony | None, epoch: int, living: Group) -> Round:
        """The survivors and the founders meet in the arena."""
        panel = self._panel_of(epoch)[0]
        items = arena_items(panel, self._arena.items)
        columns = [panel.index(item) for item in items]
        genome = dict(zip(living.ids, living.genomes, strict=True))
        workshop = self._workshop
        rated: dict[int, float] = {}
        record = []
        if before is not None:
            rated = self._priors(before, epoch, living.ids)
            ended = [past.generation for past in before.history if past.epoch < epoch]
            record = self._archive.trust(ended[-1]) if ended else []
        current = before is not None and before.epoch == epoch

        def lend(models: Sequence[int], work: Callable[[int, Player], T]) -> list[T]:
            return workshop.each(
                [genome[model] for model in models],
                lambda number, player, state: work(models[number], player),
                self._progress,
                "arena",
            )

        return play_round(
            lend,
            contestants=living.ids,
            items=items,
            solved={
                model: row[columns] for model, row in zip(living.ids, living.exact, strict=True)
            },
            answered=self._archive.answers(epoch) if current else [],
            read=self._archive.readings(epoch) if current else [],
            record=record,
            relationship=self._kinship.relationship(living.ids),
            prior=np.array([rated.get(model, 0.0) for model in living.ids]),
            jurors=self._arena.judges,
        )

    def _priors(self, before: Colony, epoch: int, contestants: Sequence[int]) -> dict[int, float]:
        """Where each rating's fit starts from.

        A newborn starts at its parents' mean. Who was there keeps the prior of its first round in
        this epoch, since that round's matches are counted again; a new epoch brings new matches,
        and then the prior is what was known before.
        """
        ratings = before.ratings
        priors = {
            model: known.prior if epoch == before.epoch else known.rating
            for model, known in ratings.items()
        }
        for child, model in zip(self._conceived, self._born.ids, strict=True):
            if model in contestants:
                priors[model] = sum(p.share * ratings[p.id].rating for p in child.parents)
        return priors

    # Panels, scores and the clock

    def _epoch_of(self, generation: int) -> int:
        return generation // self._search.rotate

    def _panel_of(self, epoch: int) -> tuple[list[Item], Prepared]:
        """The panel of an epoch, dealt from the seed and prepared once for everyone."""
        if self._panel is None or self._panel[0] != epoch:
            seed = int(generator(self._seed, "panel", epoch).integers(1 << 31))
            items = deal_panel(self._workshop.tasks, seed, self._search.panel)
            self._panel = (epoch, items, self._workshop.player.prepare_keys(items))
        return self._panel[1], self._panel[2]

    def _as_scores(self, group: Group, items: Sequence[Item]) -> Scores:
        names = tuple(item.id for item in items)
        return Scores(group.ids, names, group.exact, group.probability)

    def _start_clock(self) -> None:
        meter = self._workshop.player.meter
        self._started = (
            time.perf_counter(),
            meter.forward_s,
            time.process_time(),
            meter.evaluations,
        )

    def _clock_read(self) -> tuple[float, float, float, int]:
        """Wall, forward and processor time, and item evaluations, since the last commit."""
        wall, forward, cpu, evaluations = self._started
        meter = self._workshop.player.meter
        return (
            time.perf_counter() - wall,
            meter.forward_s - forward,
            time.process_time() - cpu,
            meter.evaluations - evaluations,
        )


def _events(before: Colony | None, epoch: int, champion: int) -> tuple[Event, ...]:
    events: list[Event] = []
    if before is None or before.epoch != epoch:
        events.append(Event("panel", None, f"fresh search items dealt for epoch {epoch}"))
    if before is None or before.champion != champion:
        previous = "" if before is None else f" after #{before.champion}"
        events.append(Event("champion", champion, f"#{champion} is champion{previous}"))
    return tuple(events)
