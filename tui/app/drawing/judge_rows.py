"""Rows of judges on the Arena page: all of them, and one with its record."""

from arena.reliability.kin import STRATA
from lineage.drawing.text import Span, cells, columns, padded
from lineage.queries.judges import Reliability
from tui.app.data.arena import ArenaView, by_task, reason
from tui.app.data.snapshot import Snapshot
from tui.app.drawing.labelled_text import DrawnRow, cropped, gap, wrapped
from tui.app.drawing.rows import ListedRows
from tui.shared.styling import Piece, Signs


def judge_rows(view: ArenaView, snapshot: Snapshot, signs: Signs) -> ListedRows:
    """All judges, the most trusted first: trust by mode, in brackets if votes do not count."""
    modes = modes_of(view)
    order = sorted(
        view.judges, key=lambda j: (-max(one.trust for one in view.judges[j].values()), j)
    )
    rows: list[DrawnRow] = []
    for judge in order:
        by_mode = view.judges[judge]
        spans: list[Span | Piece] = [
            Piece(snapshot.sign(judge, signs) + " ", snapshot.tone(judge)),
            Piece(padded(cropped(snapshot.name(judge), 15, signs), 16)),
        ]
        for mode in modes:
            one = by_mode.get(mode)
            spans.append(Piece(_trusted(one).center(13), _tone_of(one)))
        rows.append((judge, judge, spans))
    return ListedRows(rows)


def judge_heads(view: ArenaView) -> list[Piece]:
    """The titles above the judges."""
    return [
        Piece("judge".ljust(18), "head"),
        *(Piece(m.center(13), "head") for m in modes_of(view)),
    ]


def modes_of(view: ArenaView) -> list[str]:
    """The modes in which any model judges, sorted."""
    return sorted({mode for modes in view.judges.values() for mode in modes})


def one_judge_rows(
    view: ArenaView, judge: int, snapshot: Snapshot, signs: Signs, width: int
) -> ListedRows:
    """A judge: whether its votes count and why, how often it was right, and its canaries.

    Args:
        view: of the arena.
        judge: its id.
        snapshot: knows the models.
        signs: to draw with.
        width: of a row, in cells.
    """
    by_mode = view.judges.get(judge, {})
    rows: list[DrawnRow] = [
        (
            "judge",
            judge,
            [
                Piece(snapshot.sign(judge, signs) + " ", snapshot.tone(judge)),
                Piece(snapshot.name(judge), "strong"),
                Piece("" if by_mode else "  has judged in no round that is shown", "dim"),
            ],
        )
    ]
    for mode, one in sorted(by_mode.items()):
        rows.append(gap(mode))
        why = f"trust {one.trust:.2f}, {reason(mode, one)}"
        rows += wrapped(mode, why, width, "plain" if one.admitted else "alarm")
        tests = by_task(view.trust, judge, mode)
        table = [[Span(head.replace(" is ", " "), "dim") for head in ("right on", *STRATA)]]
        for task, strata in sorted(tests.items()):
            rates = (rate(*strata[stratum], signs) for stratum in STRATA)
            table.append([Span(cropped(task, 16, signs)), *(Span(rate) for rate in rates)])
        drawn = columns(table, (0, 1, 1, 1, 2), width)
        rows += [((mode, at), None, list(spans)) for at, spans in enumerate(drawn)]
    return ListedRows(rows + _canaries(view, judge, signs, width))


def _canaries(view: ArenaView, judge: int, signs: Signs, width: int) -> list[DrawnRow]:
    """The canaries that a judge read, and whether it preferred them."""
    read = [canary for canary in view.canaries if judge in canary.readers]
    if not view.canaries:
        return []
    fooled = sum(judge in canary.fooled for canary in read)
    summary = (
        f"read {len(read)} of {len(view.canaries)}, fell for {fooled}" if read else "read none"
    )
    rows: list[DrawnRow] = [
        gap("canaries"),
        *wrapped("canaries", summary, width, "alarm" if fooled else "plain"),
    ]
    for canary in sorted(read, key=lambda canary: judge not in canary.fooled):
        fell = judge in canary.fooled
        text = f"  {'fell for' if fell else 'refused':9}{canary.kind:12} {canary.item}  "
        spans = [
            Piece(text, "alarm" if fell else "dim"),
            Piece(cropped(canary.answer, max(8, width - cells(text)), signs), "dim"),
        ]
        rows.append((("canary", canary.item, canary.answer), None, list(spans)))
    return rows


def _trusted(one: Reliability | None) -> str:
    if one is None:
        return ""
    return f"{one.trust:.2f}" if one.admitted else f"({one.trust:.2f})"


def _tone_of(one: Reliability | None) -> str:
    return "plain" if one is None or one.admitted else "alarm"


def rate(hits: float, misses: float, signs: Signs) -> str:
    """Hits of all that could be checked, such as "7/9"; a dash if none could."""
    total = hits + misses
    return f"{round(hits, 1):g}/{round(total, 1):g}" if total else signs.dash
