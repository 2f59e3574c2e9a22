"""Generation 0 in parts: what is done of it is kept every few seconds, and found again.

Candidates are born in a fixed order and scored each on its own, so it does not matter where one
process left off and another went on: the archive comes to the same rows.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from lineage import Archive, ArchiveError
from lineage.archive.unfinished import Effort, UnfinishedPart, unfinished_generation, write_part
from lineage.records import Birth, Death, Floats, Item, Scores
from population.campaign.generation import EvaluatedChild
from population.errors import CampaignError
from population.evolution.proposals import Proposal

EVERY_S = 5.0
"""What is done is kept this often: a process that is killed loses no more, and a commit takes some
hundredths of a second."""


@dataclass(frozen=True)
class Found:
    """What an archive holds of generation 0 from an earlier process.

    Attributes:
        tried: the first candidates, in order.
        panel: by id, (exact, probability) on the panel, each (items,).
        effort: what it took.
    """

    tried: tuple[EvaluatedChild, ...]
    panel: Mapping[int, tuple[Floats, Floats]]
    effort: Effort


def found(
    archive: Archive, conceived: Sequence[Proposal], few: Sequence[Item], panel: Sequence[Item]
) -> Found:
    """What is there of generation 0.

    Args:
        archive: without a complete generation.
        conceived: all candidates.
        few: the items that candidates are scored on.
        panel: those that the living are scored on.

    Raises:
        CampaignError: what is there was not made of these candidates, or not on these items.
    """
    done = unfinished_generation(archive)
    if done is None:
        return Found((), {}, Effort())
    born = archive.models(ids=archive.offspring())
    genomes = archive.genomes([model.id for model in born])
    for genome, child in zip(genomes, conceived, strict=False):
        if not np.array_equal(genome, np.ravel(child.genome)):
            raise CampaignError(
                f"{archive.path}: generation 0 was begun by another version of colony, with other "
                "candidates; start a new archive"
            )
    rows = _scores(archive)
    asked = [item.id for item in few], [item.id for item in panel]
    tried, known = [], {}
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
            tried.append(EvaluatedChild(model.weights_sha256, model.cause, *few_scores))
        if ids[first:]:
            known[model.id] = exact[first:], probability[first:]
    return Found(tuple(tried), known, done.effort)


class Parts:
    """Keeps what is done of generation 0.

    Args:
        archive: where.
        candidates: how many are to be born in all.
        few: the items that they are scored on.
        panel: the items that the living are scored on.
        spent: wall, forward and processor time so far, in seconds.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        archive: Archive,
        candidates: int,
        few: Sequence[Item],
        panel: Sequence[Item],
        spent: Callable[[], tuple[float, float, float]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._archive, self._candidates = archive, candidates
        self._few, self._panel = tuple(few), tuple(panel)
        self._spent, self._clock = spent, clock
        self._since, self._at = (0.0, 0.0, 0.0), clock()
        self._clear()

    def born(self, birth: Birth, tried: EvaluatedChild, evaluations: int) -> None:
        """A candidate is there."""
        self._births.append(birth)
        if tried.cause:
            self._deaths.append(Death(birth.id, tried.cause))
        self._scored(birth.id, self._few, tried.exact, tried.probability, evaluations)

    def on_panel(self, model: int, exact: Floats, probability: Floats, evaluations: int) -> None:
        """A model is scored on the panel."""
        self._scored(model, self._panel, exact, probability, evaluations)

    def flush(self) -> None:
        """Keep what is not kept yet.

        Raises:
            ArchiveError: the archive cannot be written.
        """
        self._at = self._clock()
        if not self._scores:
            return
        spent = self._spent()
        wall, forward, cpu = (now - then for now, then in zip(spent, self._since, strict=True))
        asked = {item for scores in self._scores for item in scores.items}
        part = UnfinishedPart(
            self._candidates,
            Effort(self._evaluations, wall, forward, cpu),
            tuple(self._births),
            tuple(self._deaths),
            tuple(i for i in dict.fromkeys((*self._few, *self._panel)) if i.id in asked),
            tuple(self._scores),
        )
        self._since = spent
        # Before it is written: whatever goes wrong then, nothing is written twice.
        self._clear()
        write_part(self._archive, part)

    def rescue(self) -> None:
        """Keep what can be kept when something else has gone wrong already, which is told."""
        with suppress(ArchiveError):
            self.flush()

    def _scored(
        self,
        model: int,
        items: tuple[Item, ...],
        exact: Floats,
        probability: Floats,
        evaluations: int,
    ) -> None:
        ids = tuple(item.id for item in items)
        self._scores.append(Scores((model,), ids, exact[None], probability[None]))
        self._evaluations += evaluations
        if self._clock() - self._at >= EVERY_S:
            self.flush()

    def _clear(self) -> None:
        self._births: list[Birth] = []
        self._deaths: list[Death] = []
        self._scores: list[Scores] = []
        self._evaluations = 0


def _scores(archive: Archive) -> dict[int, tuple[list[str], Floats, Floats]]:
    """Everybody's scores as they were written: rows are where they were put."""
    with archive.reading() as db:
        rows = db.execute(
            "SELECT model, list(item ORDER BY rowid), list(exact ORDER BY rowid), "
            "list(probability ORDER BY rowid) FROM scores GROUP BY model"
        ).fetchall()
    return {model: (ids, np.array(e), np.array(p)) for model, ids, e, p in rows}
