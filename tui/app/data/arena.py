"""What the page Arena asks the archive, in a thread: whatever takes its time is here."""

from dataclasses import dataclass, field

from arena.judges import JUDGES, ComparingJudge
from arena.reliability.kin import STRATA
from arena.reliability.partiality import closer_kin
from lineage import Archive
from lineage.queries.judges import Reliability, reliabilities
from lineage.queries.match_detail import MatchDetail, match_detail
from lineage.queries.matches import Match, MatchName, matches
from lineage.queries.round_summary import CanaryResult, RoundSummary, canary_results, round_summary
from lineage.queries.rounds import trust_record
from lineage.records import Trust
from tui.app.data.snapshot import Snapshot

LISTED = 1000
"""Matches of a round that are listed: those of the best rated come first, and nobody scrolls on."""

KIN_UP_TO = 50_000
"""Models of an archive in which it is worked out whose kin a judge is; too long in others."""


@dataclass(frozen=True)
class ArenaQuery:
    """What the page is to show.

    Attributes:
        round: its number; None for the last one, whichever that is.
        task: only what happened on it; None for all.
        model: only the matches of this one; None for all.
    """

    round: int | None = None
    task: str | None = None
    model: int | None = None


@dataclass(frozen=True)
class ArenaView:
    """A round, its matches and its judges.

    Attributes:
        played: the round; None where none was played yet.
        matches: those of the best rated first, `LISTED` at most.
        judges: by judge and mode, of the task that was asked for or of all.
        trust: what is known of judges, by mode, task and stratum.
        planted: the canaries of the round.
    """

    played: RoundSummary | None = None
    matches: tuple[Match, ...] = ()
    judges: dict[int, dict[str, Reliability]] = field(default_factory=dict)
    trust: tuple[Trust, ...] = ()
    planted: tuple[CanaryResult, ...] = ()

    @property
    def newest(self) -> int:
        """The highest id in it."""
        return max([0, *self.judges, *(match.b.model for match in self.matches)])


def arena_view(archive: Archive, asked: ArenaQuery) -> ArenaView:
    """What there is to see of a round."""
    about = round_summary(archive, asked.round)
    if about is None:
        return ArenaView()
    reliability = reliabilities(archive, asked.task)
    newest = max((one.round for modes in reliability.values() for one in modes.values()), default=0)
    seated = min(about.round, newest)
    return ArenaView(
        about,
        tuple(
            matches(archive, model=asked.model, task=asked.task, round=about.round, limit=LISTED)
        ),
        {
            judge: modes
            for judge, modes in reliability.items()
            if any(one.round >= seated for one in modes.values())
        },
        tuple(
            entry
            for entry in trust_record(archive)
            if asked.task is None or entry.task == asked.task
        ),
        tuple(canary_results(archive, about.round)),
    )


def heard(
    archive: Archive, name: MatchName, snapshot: Snapshot
) -> tuple[MatchDetail, dict[int, int | None]]:
    """A match, and by judge whom of the two it is closer kin to, where that is worked out."""
    detail = match_detail(archive, name)
    judges = sorted({judgement.judge for judgement in detail.judgements})
    models = [*judges, name.a, name.b]
    if snapshot.newest > KIN_UP_TO or not all(snapshot.has(model) for model in models):
        return detail, {}
    return detail, closer_kin(snapshot.descent, judges, name.a, name.b)


def reason(mode: str, judge: Reliability) -> str:
    """Why a judge is listened to or not, in words."""
    if judge.admitted:
        return "listened to"
    favours = "" if judge.favour is None else f" (p {judge.favour:.1g})"
    kind = JUDGES.get(mode)
    if isinstance(kind, ComparingJudge):
        return (
            f"not listened to: it has to be right in more than {kind.proof.accuracy:.0%} of at "
            f"least {kind.proof.pairs} known pairs, and to favour nobody{favours}"
        )
    return f"not listened to: its mistakes favour some{favours}"


def by_task(
    trust: tuple[Trust, ...], judge: int, mode: str
) -> dict[str, dict[str, tuple[float, float]]]:
    """Hits and misses of a judge by task, then by stratum in the order of `STRATA`."""
    tallies: dict[str, dict[str, tuple[float, float]]] = {}
    for entry in trust:
        if (entry.judge, entry.mode) == (judge, mode):
            strata = tallies.setdefault(entry.task, dict.fromkeys(STRATA, (0.0, 0.0)))
            strata[entry.stratum] = entry.hits, entry.misses
    return tallies
