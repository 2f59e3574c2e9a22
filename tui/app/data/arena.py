"""What the Arena page asks the archive, in a thread."""

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
"""Matches of a round that are listed, those of the best rated first."""

MOST_MODELS_FOR_KIN = 50_000
"""Models of the largest archive in which the kin of judges is computed; else it takes too long."""


@dataclass(frozen=True)
class ArenaQuery:
    """What the page shows.

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
        summary: of the round; None where none was played yet.
        matches: those of the best rated first, `LISTED` at most.
        judges: by judge and mode, on the task of the query or on all.
        trust: of judges, by mode, task and stratum.
        canaries: of the round, with who preferred them.
    """

    summary: RoundSummary | None = None
    matches: tuple[Match, ...] = ()
    judges: dict[int, dict[str, Reliability]] = field(default_factory=dict)
    trust: tuple[Trust, ...] = ()
    canaries: tuple[CanaryResult, ...] = ()

    @property
    def newest(self) -> int:
        """The highest model id in it."""
        return max([0, *self.judges, *(match.b.model for match in self.matches)])


def arena_view(archive: Archive, query: ArenaQuery) -> ArenaView:
    """The round, matches and judges that a query asks for; empty where none was played.

    Raises:
        ArchiveError: there is no such round, or the archive cannot be read.
    """
    summary = round_summary(archive, query.round)
    if summary is None:
        return ArenaView()
    reliability = reliabilities(archive, query.task)
    newest = max((one.round for modes in reliability.values() for one in modes.values()), default=0)
    judging_round = min(summary.round, newest)
    return ArenaView(
        summary,
        tuple(
            matches(archive, model=query.model, task=query.task, round=summary.round, limit=LISTED)
        ),
        {
            judge: modes
            for judge, modes in reliability.items()
            if any(one.round >= judging_round for one in modes.values())
        },
        tuple(
            entry
            for entry in trust_record(archive)
            if query.task is None or entry.task == query.task
        ),
        tuple(canary_results(archive, summary.round)),
    )


def match_with_kin(
    archive: Archive, name: MatchName, snapshot: Snapshot
) -> tuple[MatchDetail, dict[int, int | None]]:
    """A match, and by judge the contestant that it is closer kin to, if that is computed.

    Raises:
        ArchiveError: there is no such match.
    """
    detail = match_detail(archive, name)
    judges = sorted({judgement.judge for judgement in detail.judgements})
    models = [*judges, name.a, name.b]
    if snapshot.newest > MOST_MODELS_FOR_KIN or not all(snapshot.has(model) for model in models):
        return detail, {}
    return detail, closer_kin(snapshot.ancestry, judges, name.a, name.b)


def reason(mode: str, judge: Reliability) -> str:
    """Why the votes of a judge count or not, in words.

    Args:
        mode: in which it judges.
        judge: its reliability there.
    """
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
