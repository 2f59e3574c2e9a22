"""Legacies: whom the living descend from, and whose line came to an end."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lineage.ancestry.ancestry import Ancestry
from lineage.ancestry.coefficients import inbreedings, relationships
from lineage.ancestry.parent_edges import Ids
from lineage.records import Floats

NEVER = np.iinfo(np.int32).max
"""The generation in which the living die, as far as anybody knows."""

FADING = 0.25
"""A line fades when the living carry less than this part of the most that it ever had."""


@dataclass(frozen=True)
class Lifespans:
    """When everybody lived, by id: shape (newest + 1,) each.

    Attributes:
        born: generation of birth; NEVER where an id is nobody's.
        died: the generation in which it became a fossil; NEVER for the living.
    """

    born: Ids
    died: Ids

    @property
    def living(self) -> Ids:
        """Ids of who may still be a parent, ascending."""
        return np.flatnonzero((self.died == NEVER) & (self.born != NEVER)).astype(np.int32)


@dataclass(frozen=True)
class FounderSurvival:
    """What became of a model.

    Attributes:
        model: which.
        part: how much of the living, on average, comes down from it; itself not counted.
        children: how many it had.
        descendants: how many there ever were.
        living: how many of them live.
    """

    model: int
    part: float
    children: int
    descendants: int
    living: int


@dataclass(frozen=True)
class FounderLine:
    """The line of a founder.

    Attributes:
        founder: which.
        shares: its mean share in the living after each generation, shape (generations + 1,);
            NaN where nobody lived.
        carriers: how many of the living descend from it, or are it.
        state: whether it lives, fades (see `FADING`) or has died.
        last: whom it died with, ascending: the carriers that were the last to die.
    """

    founder: int
    shares: Floats
    carriers: int
    state: Literal["living", "fading", "died"]
    last: tuple[int, ...]


@dataclass(frozen=True)
class LostLine:
    """A model that some living line comes past, but nobody living descends from.

    Attributes:
        head: the model in which the line left those that still live.
        descendants: how many it came to.
        ended: the generation in which the last of them died.
        last: who died then, ascending.
    """

    head: int
    descendants: int
    ended: int
    last: tuple[int, ...]


@dataclass(frozen=True)
class Diversity:
    """How different the living are by descent.

    Attributes:
        living: how many there are.
        effective_founders: founder equivalents (Lacy 1989, Zoo Biology 8: 111-123).
        mean_kinship: mean coefficient of kinship of all pairs, each with itself included.
        mean_relationship: mean coefficient of relationship of two different ones.
        mean_inbreeding: mean of Wright's coefficient.
    """

    living: int
    effective_founders: float
    mean_kinship: float
    mean_relationship: float
    mean_inbreeding: float


def fruitful(descent: Ancestry, living: Ids, most: int) -> list[FounderSurvival]:
    """The offspring that the living descend from most; founders have lines of their own."""
    if not len(living):
        return []
    parts = descent.contributions(living)
    parts[living] -= 1.0 / len(living)
    parts[descent.founders] = 0.0
    ranked = np.argsort(-parts, kind="stable")[:most]
    return [legacy(descent, living, int(m), float(parts[m])) for m in ranked if parts[m] > 1e-12]


def legacy(descent: Ancestry, living: Ids, model: int, part: float) -> FounderSurvival:
    """What became of one model, whose part in the living is known."""
    heirs = descent.descendants(model)
    alive = len(np.intersect1d(heirs, living))
    return FounderSurvival(model, part, int(descent.births[model]), len(heirs), alive)


def founder_lines(descent: Ancestry, lives: Lifespans, last: int) -> list[FounderLine]:
    """The lines of all founders up to a generation, the strongest first.

    Args:
        descent: of the whole archive.
        lives: of the whole archive.
        last: the latest generation.
    """
    shares = descent.founder_shares()
    known = lives.born != NEVER
    # A model adds its shares to the living when it is born and takes them away when it dies.
    born = np.clip(lives.born, 0, last + 1)
    died = np.clip(lives.died, 0, last + 1)
    count = _balance(born[known], died[known], np.ones(int(known.sum())), last)
    lines = []
    for column, founder in enumerate(descent.founders.tolist()):
        mine = known & (shares[:, column] > 0.0)
        total = _balance(born[mine], died[mine], shares[mine, column].astype(np.float64), last)
        with np.errstate(invalid="ignore", divide="ignore"):
            history = np.where(count > 0, np.maximum(total, 0.0) / count, np.nan)
        heirs = np.append(descent.descendants(founder), founder)
        carriers = int(np.sum(lives.died[heirs] == NEVER))
        peak = float(np.nanmax(history)) if np.any(count > 0) else 0.0
        if carriers:
            ends: tuple[int, ...] = ()
            state: Literal["living", "fading"] = (
                "fading" if history[-1] < FADING * peak else "living"
            )
            lines.append(FounderLine(founder, history, carriers, state, ends))
        else:
            history = np.where(
                np.arange(last + 1) >= lives.died[heirs].max(), 0.0 * history, history
            )
            lines.append(FounderLine(founder, history, 0, "died", _last(lives, heirs)))
    return sorted(lines, key=lambda line: (-line.shares[-1], -line.carriers, line.founder))


def lost_lines(descent: Ancestry, lives: Lifespans, most: int) -> list[LostLine]:
    """The lines that died, those that the most models came of first.

    A line begins with who has no heir among the living but a parent that has one; founders whose
    line died have none and are among `founder_lines`. Size is the sum of its shares in everybody
    who died without an heir, so that a line counts with what it gave.
    """
    heirs = descent.has_heirs(lives.living)
    lost = np.flatnonzero(~heirs & (lives.born != NEVER))
    if not len(lost):
        return []
    size = descent.contributions(lost) * len(lost)
    bred = [m for m in np.argsort(-size, kind="stable").tolist() if size[m] > 1.0 + 1e-9]
    heads: list[LostLine] = []
    for model in bred:
        if len(heads) == most:
            break
        if not heirs[model] and any(heirs[parent] for parent in descent.parents(model)):
            family = np.append(descent.descendants(model), model)
            ends = _last(lives, family)
            heads.append(LostLine(model, len(family) - 1, int(lives.died[ends[0]]), ends))
    return heads


def diversity(
    descent: Ancestry, living: Ids, told: Callable[[int, int], None] | None = None
) -> Diversity:
    """How different the living are by descent; `told` hears (done, total) now and then."""
    count = len(living)
    if not count:
        return Diversity(0, 0.0, 0.0, 0.0, 0.0)
    phi = descent.kinship(living.tolist(), told)
    pairs = count * (count - 1)
    return Diversity(
        count,
        descent.effective_founders(living),
        float(phi.mean()),
        float((relationships(phi).sum() - count) / pairs) if pairs else 1.0,
        float(inbreedings(phi).mean()),
    )


def _balance(born: Ids, died: Ids, amount: Floats, last: int) -> Floats:
    """What those who live after each generation have together: shape (last + 1,)."""
    come = np.bincount(born, amount, last + 2)
    gone = np.bincount(died, amount, last + 2)
    return np.asarray(np.cumsum(come - gone)[: last + 1])


def _last(lives: Lifespans, family: Ids) -> tuple[int, ...]:
    """Who of a family that died out was the last to die."""
    died = lives.died[family]
    return tuple(sorted(family[died == died.max()].tolist()))
