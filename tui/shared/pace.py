"""Estimates of the time left, by the pace so far. No clock is read here."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lineage.records import Generation

RECENT = 20
"""Generations that the pace is taken from."""


@dataclass(frozen=True)
class CampaignEnds:
    """When a campaign ends at the latest; None never.

    Attributes:
        evaluations: item evaluations in all.
        generations: the last generation.
        seconds: of work in all.
        tokens: that models read, learn or generate in all.
    """

    evaluations: int | None = None
    generations: int | None = None
    seconds: float | None = None
    tokens: int | None = None


def part_done(history: "Sequence[Generation]", ends: CampaignEnds) -> float:
    """The fraction of a campaign that is over, in [0, 1], by whichever limit comes first."""
    parts = [0.0]
    if ends.evaluations is not None:
        parts.append(sum(past.evaluations for past in history) / ends.evaluations)
    if ends.tokens is not None:
        parts.append(sum(past.tokens for past in history) / ends.tokens)
    if ends.generations is not None:
        parts.append(len(history) / (ends.generations + 1))
    if ends.seconds is not None:
        parts.append(sum(past.wall_s for past in history) / ends.seconds)
    return min(1.0, max(parts))


def time_left(
    history: "Sequence[Generation]", ends: CampaignEnds, since: int | None = None
) -> float | None:
    """Seconds of work until the earliest limit; None if nothing is known of the pace.

    The pace is that of the last generations. The first one makes more models than others and has no
    arena round, so it counts only as long as there is no other. Pauses do not count.

    Args:
        history: all complete generations.
        ends: the limits.
        since: the last generation of earlier runs, which may have been made on another machine;
            their pace counts only as long as there is no other.
    """
    if not history:
        return None if ends.seconds is None else ends.seconds
    mine = [past for past in history if since is None or past.generation > since] or history
    recent = ([past for past in mine if past.generation > 0] or mine)[-RECENT:]
    seconds = sum(past.wall_s for past in recent)
    evaluations = sum(past.evaluations for past in recent)
    left = []
    if ends.evaluations is not None and evaluations > 0:
        rest = ends.evaluations - sum(past.evaluations for past in history)
        left.append(rest * seconds / evaluations)
    tokens = sum(past.tokens for past in recent)
    if ends.tokens is not None and tokens > 0:
        rest = ends.tokens - sum(past.tokens for past in history)
        left.append(rest * seconds / tokens)
    if ends.generations is not None:
        left.append((ends.generations - history[-1].generation) * seconds / len(recent))
    if ends.seconds is not None:
        left.append(ends.seconds - sum(past.wall_s for past in history))
    return max(0.0, min(left)) if left else None


class Steps:
    """The time left of something that is done step by step."""

    def __init__(self) -> None:
        self._what = ""
        self._from: tuple[float, int] = (0.0, 0)

    def left(self, now: float, done: int, total: int, what: str) -> float | None:
        """Seconds that the rest takes, by the pace since it began; None where none is known.

        Args:
            now: of a monotonic clock, in seconds.
            done: how much is done, of `total`.
            total: see `done`; 0 where it is not known.
            what: is being done; another text starts another measurement.
        """
        if what != self._what or done < self._from[1]:
            self._what, self._from = what, (now, done)
        since, first = self._from
        if done <= first or not total or now <= since:
            return None
        return (now - since) / (done - first) * max(0, total - done)


def on_workers(count: int | None) -> str:
    """Who does what is done, to follow it; nothing where that is this process.

    >>> "offspring" + on_workers(1), "offspring" + on_workers(12), "offspring" + on_workers(None)
    ('offspring on 1 worker', 'offspring on 12 workers', 'offspring')
    """
    if not count:
        return ""
    return f" on {count:,} worker" if count == 1 else f" on {count:,} workers"


def clock(seconds: float) -> str:
    """A duration as minutes and seconds, or hours as well: 4:05 or 1:04:05."""
    minutes, rest = divmod(max(0, int(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
