"""Stores generation 0 in parts, every few seconds, and loads what an earlier process stored.

Candidates are born in a fixed order and scored each on its own, so it does not matter where one
process left off and another went on: the archive comes to the same rows.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np

from lineage import Archive, ArchiveError
from lineage.archive.unfinished import Effort, UnfinishedPart, unfinished_generation, write_part
from lineage.queries.item_scores import all_scores
from lineage.records import Birth, Death, Floats, Item, Scores
from population.campaign.generation import EvaluatedChild
from population.errors import CampaignError
from population.evolution.proposals import Proposal

WRITE_EVERY_S = 5.0
"""Parts are written this often: a process that is killed loses no more, and a commit takes some
hundredths of a second."""


@dataclass(frozen=True)
class StoredParts:
    """The part of generation 0 that an archive holds from an earlier process.

    Attributes:
        candidates: the first of them, in order.
        panel: by id, (exact, probability) on the panel, each of shape (items,).
        effort: time and item evaluations that it took.
    """

    candidates: tuple[EvaluatedChild, ...]
    panel: Mapping[int, tuple[Floats, Floats]]
    effort: Effort


def load_parts(
    archive: Archive, candidates: Sequence[Proposal], few: Sequence[Item], panel: Sequence[Item]
) -> StoredParts:
    """The stored part of generation 0.

    Args:
        archive: without a complete generation.
        candidates: all of them, in order.
        few: the items that candidates are scored on.
        panel: those that the living are scored on.

    Raises:
        CampaignError: it was not made of these candidates, or not on these items.
    """
    done = unfinished_generation(archive)
    if done is None:
        return StoredParts((), {}, Effort())
    born = archive.models(ids=archive.offspring())
    genomes = archive.genomes([model.id for model in born])
    for genome, child in zip(genomes, candidates, strict=False):
        if not np.array_equal(genome, np.ravel(child.genome)):
            raise CampaignError(
                f"{archive.path}: generation 0 was begun by another version of colony, with other "
                "candidates; start a new archive"
            )
    rows = all_scores(archive)
    asked = [item.id for item in few], [item.id for item in panel]
    evaluated, on_panel = [], {}
    for model in archive.models():
        ids, exact, probability = rows.get(model.id, ([], np.empty(0), np.empty(0)))
        first = 0 if model.kind == "founder" else len(few)
        if ids[:first] != asked[0][:first] or ids[first:] not in ([], asked[1]):
            raise CampaignError(
                f"{archive.path}: generation 0 was begun on other items than the tasks have now; "
                "put the files of the tasks back, or start a new archive"
            )
        if first:
            few_scores = exact[:first], probability[:first]
            evaluated.append(EvaluatedChild(model.identity, model.cause, *few_scores))
        if ids[first:]:
            on_panel[model.id] = exact[first:], probability[first:]
    return StoredParts(tuple(evaluated), on_panel, done.effort)


@dataclass
class _Unwritten:
    """What was made since the last part was written, and the item evaluations that it took."""

    births: list[Birth] = field(default_factory=list)
    deaths: list[Death] = field(default_factory=list)
    scores: list[Scores] = field(default_factory=list)
    evaluations: int = 0


class PartWriter:
    """Writes generation 0 to its archive in parts.

    Args:
        archive: of the campaign.
        candidates: how many are to be born in all.
        few: the items that they are scored on.
        panel: the items that the living are scored on.
        spent: wall, forward and processor time so far, in seconds, and tokens.
        clock: a monotonic clock, in seconds.
    """

    def __init__(
        self,
        archive: Archive,
        candidates: int,
        few: Sequence[Item],
        panel: Sequence[Item],
        spent: Callable[[], tuple[float, float, float, int]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._archive, self._candidates = archive, candidates
        self._few, self._panel = tuple(few), tuple(panel)
        self._spent, self._clock = spent, clock
        self._since, self._at = (0.0, 0.0, 0.0, 0), clock()
        self._unwritten = _Unwritten()

    def add_candidate(self, birth: Birth, child: EvaluatedChild, evaluations: int) -> None:
        """Add a candidate that was evaluated.

        Args:
            birth: of the candidate.
            child: its scores on the few items.
            evaluations: item evaluations that it took.
        """
        self._unwritten.births.append(birth)
        if child.cause:
            self._unwritten.deaths.append(Death(birth.id, child.cause))
        self._add_scores(birth.id, self._few, child.exact, child.probability, evaluations)

    def add_panel_scores(
        self, model: int, exact: Floats, probability: Floats, evaluations: int
    ) -> None:
        """Add the scores of a model on the panel.

        Args:
            model: its id.
            exact: shape (items,).
            probability: shape (items,).
            evaluations: item evaluations that it took.
        """
        self._add_scores(model, self._panel, exact, probability, evaluations)

    def flush(self) -> None:
        """Write what is not written yet.

        Raises:
            ArchiveError: the archive cannot be written.
        """
        self._at, new = self._clock(), self._unwritten
        if not new.scores:
            return
        spent = self._spent()
        before, tokens = self._since, spent[3] - self._since[3]
        wall, forward, cpu = (now - then for now, then in zip(spent[:3], before[:3], strict=True))
        asked = {item for scores in new.scores for item in scores.items}
        part = UnfinishedPart(
            self._candidates,
            Effort(new.evaluations, wall, forward, cpu, tokens),
            tuple(new.births),
            tuple(new.deaths),
            tuple(i for i in dict.fromkeys((*self._few, *self._panel)) if i.id in asked),
            tuple(new.scores),
        )
        self._since = spent
        # Before it is written: whatever goes wrong then, nothing is written twice.
        self._unwritten = _Unwritten()
        write_part(self._archive, part)

    def flush_after_error(self) -> None:
        """Write what can be written after another error, which is raised afterwards."""
        with suppress(ArchiveError):
            self.flush()

    def _add_scores(
        self,
        model: int,
        items: tuple[Item, ...],
        exact: Floats,
        probability: Floats,
        evaluations: int,
    ) -> None:
        ids = tuple(item.id for item in items)
        self._unwritten.scores.append(Scores((model,), ids, exact[None], probability[None]))
        self._unwritten.evaluations += evaluations
        if self._clock() - self._at >= WRITE_EVERY_S:
            self.flush()
