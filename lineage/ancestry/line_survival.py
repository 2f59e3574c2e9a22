"""Survival of lines: which models the living descend from, and which lines died out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lineage.ancestry.ancestry import Ancestry
from lineage.ancestry.coefficients import inbreedings, relationships
from lineage.ancestry.parent_edges import Ids
from lineage.records import Floats

NEVER = np.iinfo(np.int32).max
"""Stands for the generation of death of a living model, and of birth where an id is unused."""

FADING = 0.25
"""A line fades when its share in the living is below this part of its highest share ever."""


@dataclass(frozen=True)
class Lifespans:
    """Generations of birth and death of all models, indexed by id.

    Attributes:
        born: shape `[newest + 1]`, generation of birth; NEVER where no model has the id.
        died: shape `[newest + 1]`, generation in which it became a fossil; NEVER for the living.
    """

    born: Ids
    died: Ids

    @property
    def living(self) -> Ids:
        """Ids of the living, ascending: shape `[living]`."""
        return np.flatnonzero((self.died == NEVER) & (self.born != NEVER)).astype(np.int32)


@dataclass(frozen=True)
class Contribution:
    """What one model contributed to the living.

    Attributes:
        model: id.
        share: its mean share in the living by descent, in [0, 1]; its own place is not counted.
        children: number of its children.
        descendants: number of its descendants, living or fossil.
        living: number of its living descendants.
    """

    model: int
    share: float
    children: int
    descendants: int
    living: int


@dataclass(frozen=True)
class FounderLine:
    """The line of a founder.

    Attributes:
        founder: id.
        shares: its mean share in the living after each generation, shape `[generations]`;
            NaN where no model lived.
        carriers: number of living models that descend from it, itself included.
        state: whether it lives, fades (see `FADING`) or has died.
        last: ids of the carriers that died last, ascending; empty while the line lives.
    """

    founder: int
    shares: Floats
    carriers: int
    state: Literal["living", "fading", "died"]
    last: tuple[int, ...]


@dataclass(frozen=True)
class LostLine:
    """A line of offspring that died out while the line of a parent of its head lives on.

    Attributes:
        head: id of the first model of the line.
        descendants: number of descendants of the head.
        ended: the generation in which the last of the line died.
        last: ids of the models that died then, ascending.
    """

    head: int
    descendants: int
    ended: int
    last: tuple[int, ...]


@dataclass(frozen=True)
class Diversity:
    """Genetic diversity of the living by descent.

    Attributes:
        living: number of living models.
        effective_founders: founder equivalents (Lacy 1989, Zoo Biology 8: 111-123).
        mean_kinship: mean coefficient of kinship over all ordered pairs, each model with itself
            included; 1 minus it is the gene diversity (Lacy 1995, Zoo Biology 14: 565-578).
        mean_relationship: mean coefficient of relationship of two different living models.
        mean_inbreeding: mean of Wright's coefficient of inbreeding.
    """

    living: int
    effective_founders: float
    mean_kinship: float
    mean_relationship: float
    mean_inbreeding: float


def main_contributors(ancestry: Ancestry, living: Ids, most: int) -> list[Contribution]:
    """The offspring with the largest share in the living; for founders see `founder_lines`.

    Args:
        ancestry: of the whole archive.
        living: ids, shape `[living]`.
        most: how many to give, at most.

    Returns:
        Contributions, the largest share first.
    """
    if not len(living):
        return []
    shares = ancestry.contributions(living)
    shares[living] -= 1.0 / len(living)
    shares[ancestry.founders] = 0.0
    ranked = np.argsort(-shares, kind="stable")[:most]
    return [
        contribution_of(ancestry, living, int(model), float(shares[model]))
        for model in ranked
        if shares[model] > 1e-12
    ]


def contribution_of(ancestry: Ancestry, living: Ids, model: int, share: float) -> Contribution:
    """The contribution of one model whose share in the living is known.

    Args:
        ancestry: of the whole archive.
        living: ids, shape `[living]`.
        model: id.
        share: its mean share in the living.
    """
    descendants = ancestry.descendants(model)
    alive = len(np.intersect1d(descendants, living))
    return Contribution(model, share, int(ancestry.births[model]), len(descendants), alive)


def founder_lines(ancestry: Ancestry, lifespans: Lifespans, last: int) -> list[FounderLine]:
    """The lines of all founders up to a generation, the largest share first.

    Args:
        ancestry: of the whole archive.
        lifespans: generations of birth and death in the whole archive.
        last: the latest generation.
    """
    shares = ancestry.founder_shares()
    exists = lifespans.born != NEVER
    # A model adds its shares to the living when it is born and takes them away when it dies.
    born = np.clip(lifespans.born, 0, last + 1)
    died = np.clip(lifespans.died, 0, last + 1)
    count = _alive_total(born[exists], died[exists], np.ones(int(exists.sum())), last)
    lines = []
    for column, founder in enumerate(ancestry.founders.tolist()):
        line = exists & (shares[:, column] > 0.0)
        total = _alive_total(born[line], died[line], shares[line, column].astype(np.float64), last)
        with np.errstate(invalid="ignore", divide="ignore"):
            history = np.where(count > 0, np.maximum(total, 0.0) / count, np.nan)
        carrying = np.append(ancestry.descendants(founder), founder)
        carriers = int(np.sum(lifespans.died[carrying] == NEVER))
        peak = float(np.nanmax(history)) if np.any(count > 0) else 0.0
        if carriers:
            state: Literal["living", "fading"] = (
                "fading" if history[-1] < FADING * peak else "living"
            )
            lines.append(FounderLine(founder, history, carriers, state, ()))
        else:
            history = np.where(
                np.arange(last + 1) >= lifespans.died[carrying].max(), 0.0 * history, history
            )
            lines.append(
                FounderLine(founder, history, 0, "died", _last_to_die(lifespans, carrying))
            )
    return sorted(lines, key=lambda line: (-line.shares[-1], -line.carriers, line.founder))


def lost_lines(ancestry: Ancestry, lifespans: Lifespans, most: int) -> list[LostLine]:
    """The lines of offspring that died out, the largest first.

    A line begins with a model without living descendants, one of whose parents has some. (Founders
    have no parents; those whose line died are among `founder_lines`.) The size of a line is the
    sum of the shares of its head in all models without living descendants.

    Args:
        ancestry: of the whole archive.
        lifespans: generations of birth and death in the whole archive.
        most: how many to give, at most.
    """
    has_heirs = ancestry.has_heirs(lifespans.living)
    lost = np.flatnonzero(~has_heirs & (lifespans.born != NEVER))
    if not len(lost):
        return []
    size = ancestry.contributions(lost) * len(lost)
    bred = [m for m in np.argsort(-size, kind="stable").tolist() if size[m] > 1.0 + 1e-9]
    heads: list[LostLine] = []
    for model in bred:
        if len(heads) == most:
            break
        if not has_heirs[model] and any(has_heirs[parent] for parent in ancestry.parents(model)):
            line = np.append(ancestry.descendants(model), model)
            last = _last_to_die(lifespans, line)
            heads.append(LostLine(model, len(line) - 1, int(lifespans.died[last[0]]), last))
    return heads


def diversity(
    ancestry: Ancestry, living: Ids, progress: Callable[[int, int], None] | None = None
) -> Diversity:
    """Genetic diversity of the living by descent.

    Args:
        ancestry: of the whole archive.
        living: ids, shape `[living]`.
        progress: called with (done, total) now and then.
    """
    count = len(living)
    if not count:
        return Diversity(0, 0.0, 0.0, 0.0, 0.0)
    phi = ancestry.kinship(living.tolist(), progress)
    pairs = count * (count - 1)
    return Diversity(
        count,
        ancestry.effective_founders(living),
        float(phi.mean()),
        float((relationships(phi).sum() - count) / pairs) if pairs else 1.0,
        float(inbreedings(phi).mean()),
    )


def _alive_total(born: Ids, died: Ids, amount: Floats, last: int) -> Floats:
    """The summed amount of the models alive after each generation: shape `[last + 1]`."""
    gained = np.bincount(born, amount, last + 2)
    lost = np.bincount(died, amount, last + 2)
    return np.asarray(np.cumsum(gained - lost)[: last + 1])


def _last_to_die(lifespans: Lifespans, line: Ids) -> tuple[int, ...]:
    """Ids of the models of an extinct line that died last."""
    died = lifespans.died[line]
    return tuple(sorted(line[died == died.max()].tolist()))
