"""The status of a campaign in words and bars: what is done now, what is spent, what is left."""

import time
from typing import TYPE_CHECKING, Any

from tui.shared.heartbeat import Heartbeat
from tui.shared.pace import on_workers
from tui.shared.styling import Piece, Signs, bar

if TYPE_CHECKING:
    from tui.app.data.snapshot import Snapshot


def head(
    name: str, snapshot: "Snapshot | None", heartbeat: Heartbeat | None, signs: Signs, width: int
) -> list[Piece]:
    """The first line of the page: the archive, whether its campaign runs, how far it is.

    Args:
        name: of the archive's file.
        snapshot: of the archive; None before it was read.
        heartbeat: the last; None if there never was one.
        signs: to draw with.
        width: of the line, in cells.
    """
    pieces = [Piece(f" {name}  ", "strong"), *_state(heartbeat, signs)]
    if snapshot is None:
        return pieces
    pieces.append(Piece(f"   births {snapshot.newest:,}", "plain"))
    spent, budget, part = spending(snapshot, heartbeat)
    if budget:
        words = f"   spent {spent:,} of {budget:,} "
        room = width - sum(len(piece.text) for piece in pieces) - len(words) - 6
        pieces.append(Piece(words))
        if room >= 8:
            pieces.append(Piece(bar(part, min(room, 40), signs), "bar"))
        pieces.append(Piece(f" {part:.0%}", "strong"))
    return pieces


def _state(heartbeat: Heartbeat | None, signs: Signs) -> list[Piece]:
    if heartbeat is None:
        return [Piece(f"{signs.at_rest} at rest", "dim")]
    if heartbeat.running:
        return [
            Piece(f"{signs.running} running {duration_text(time.time() - heartbeat.began)}", "best")
        ]
    return [Piece(f"{signs.at_rest} at rest: {heartbeat.ended or 'its process has gone'}", "dim")]


def spending(snapshot: "Snapshot", heartbeat: Heartbeat | None) -> tuple[int, int | None, float]:
    """Item evaluations spent, and in all (None: no limit); the fraction over, in [0, 1]."""
    limits: Any = snapshot.settings.get("budget", {})
    budget = limits.get("item_evaluations")
    if heartbeat is not None and heartbeat.budget is not None:
        budget = heartbeat.budget
    spent = snapshot.spent
    part = spent / budget if budget else 0.0
    if heartbeat is not None and heartbeat.running:
        spent = max(spent, heartbeat.spent)
        part = max(part, heartbeat.part, spent / budget if budget else 0.0)
    return spent, budget, min(1.0, part)


def activity(
    snapshot: "Snapshot | None", heartbeat: Heartbeat | None, signs: Signs, width: int
) -> list[list[Piece]]:
    """What is done at this moment, and how fast, as rows.

    Args:
        snapshot: of the archive; None before it was read.
        heartbeat: the last; None if there never was one.
        signs: to draw with.
        width: of a row, in cells.
    """
    rows: list[list[Piece]] = []
    if heartbeat is not None and heartbeat.running:
        done = f"{heartbeat.done}/{heartbeat.total}" if heartbeat.total else ""
        doing = [
            Piece("doing  ", "dim"),
            Piece(f"{heartbeat.what}{on_workers(heartbeat.workers)} {done}", "strong"),
        ]
        if heartbeat.step_left_s is not None and heartbeat.step_left_s >= 1.0:
            doing.append(Piece(f"   {duration_text(heartbeat.step_left_s)} to go", "dim"))
        rows.append(doing)
        part = heartbeat.done / heartbeat.total if heartbeat.total else 0.0
        rows.append([Piece("       "), Piece(bar(part, min(width - 8, 40), signs), "bar")])
    else:
        rows.append([Piece("doing  ", "dim"), Piece("nothing; colony run goes on", "plain")])
    if snapshot is None or snapshot.latest is None:
        return rows
    living, last = len(snapshot.living), snapshot.latest
    rows.append(
        [
            Piece("gen    ", "dim"),
            Piece(f"{last.generation}"),
            Piece(f"   {living:,} living, {snapshot.newest - living:,} fossils", "dim"),
        ]
    )
    recent = snapshot.columns.history["wall_s"][-20:]
    born = snapshot.births[-1] - snapshot.births[max(0, len(snapshot.births) - 1 - len(recent))]
    seconds = float(recent.sum())
    if seconds > 0:
        pace = f"{born / seconds:.1f} births/s, {seconds / len(recent):.1f} s a generation"
        rows.append([Piece("pace   ", "dim"), Piece(pace)])
    rows.append(
        [Piece("worked ", "dim"), Piece(duration_text(snapshot.worked_s)), *_left(heartbeat)]
    )
    return rows


def _left(heartbeat: Heartbeat | None) -> list[Piece]:
    if heartbeat is None or not heartbeat.running or heartbeat.left_s is None:
        return []
    end = time.strftime("%H:%M", time.localtime(heartbeat.at + heartbeat.left_s))
    return [Piece("   left ", "dim"), Piece(f"{duration_text(heartbeat.left_s)} (until {end})")]


def duration_text(seconds: float) -> str:
    """A duration in its two largest units, such as "3h 5m"."""
    whole = max(0, int(seconds))
    for name, size, lower, part in (
        ("d", 86400, "h", 3600),
        ("h", 3600, "m", 60),
        ("m", 60, "s", 1),
    ):
        if whole >= size:
            return f"{whole // size}{name} {whole % size // part}{lower}"
    return f"{whole}s"
