"""What the page Arena draws: matches, a match, judges, a judge; rows of spans for lists."""

from collections.abc import Hashable, Mapping, Sequence

from rich.cells import chop_cells

from arena.kin import STRATA
from lineage.drawing.text import Span, Tone, cells, columns, padded, shown
from lineage.queries.hearings import Hearing
from lineage.queries.judges import Reliability
from lineage.queries.matches import Match, Side
from tui.app.arena_view import ArenaView, by_task, reason
from tui.app.paint import Piece, Signs
from tui.app.rows import ListedRows
from tui.app.snapshot import Snapshot
from tui.arena_tables import verdict

Drawn = tuple[Hashable, int | None, list[Span | Piece]]
"""A row with what it is about, as `ListedRows` takes it."""


class MatchRows:
    """A row a match; its key is the match's name, and it is about the winner.

    Args:
        matches: top down, each once.
    """

    def __init__(self, matches: Sequence[Match]) -> None:
        self.matches = matches
        self._places = {str(match.name): row for row, match in enumerate(matches)}

    def __len__(self) -> int:
        return len(self.matches)

    def key(self, row: int) -> str:
        """The name of the match."""
        return str(self.matches[row].name)

    def row_of(self, key: Hashable) -> int | None:
        """Where a match is, or the first of a model's."""
        if isinstance(key, int):
            return next((row for row in range(len(self)) if self.has(row, key)), None)
        return self._places.get(str(key))

    def has(self, row: int, model: int) -> bool:
        """Whether a model took part in a match."""
        match = self.matches[row]
        return model in (match.a.model, match.b.model)

    def model(self, row: int) -> int:
        """The winner; the older one where nobody has won."""
        match = self.matches[row]
        return match.winner or match.a.model

    def draw(self, row: int, width: int) -> list[Span | Piece]:
        """Who met whom on what, what they said and how it went."""
        match = self.matches[row]
        task = min(14, max(0, width - 36))
        room = max(4, (width - task - 30) // 2)
        tones = _tones(match)
        sign = {1: ">", -1: "<", 0: "=", None: "?"}[match.outcome]
        a, b = match.a, match.b
        spans: list[Span | Piece] = [
            Piece(f"#{a.model}".rjust(7) + " ", tones[0]),
            Piece(padded(_answer(a, room), room, right=True) + " ", tones[0]),
            Piece(f"{_part(a.support)} {sign} {_part(b.support)} ", "dim"),
            Piece(padded(_answer(b, room), room) + " ", tones[1]),
            Piece(f"#{b.model}".ljust(7) + " ", tones[1]),
        ]
        if task:
            spans.append(Piece(padded(shown(match.task, task), task), "dim"))
        return [*spans, Piece("key" if match.by_key else "jury", "dim")]


def match_rows(
    found: Hearing,
    closer: Mapping[int, int | None],
    snapshot: Snapshot,
    signs: Signs,
    width: int,
) -> ListedRows:
    """One match: what was asked and said, who has won, and what every judge made of it."""
    match = found.match
    tones = _tones(match)
    hidden = ", asked nowhere else" if found.hidden else ""
    rows: list[Drawn] = [
        _told("match", str(match.name), width),
        _told("round", f"{match.round}, after generation {found.generation}{hidden}", width),
    ]
    rows += _wrapped("prompt", found.prompt, width)
    rows += _wrapped("key", found.key or "nobody looked at it", width)
    for letter, side, tone in zip("AB", (match.a, match.b), tones, strict=True):
        rows.append(((letter, "gap"), None, []))
        right = {None: "", 0.0: "  wrong", 1.0: "  right"}.get(
            side.verified, f"  {side.verified} right"
        )
        spans = [
            Piece(f"{letter}  ", "head"),
            Piece(snapshot.sign(side.model, signs) + " ", snapshot.tone(side.model)),
            Piece(snapshot.name(side.model), tone),
            Piece(f"  support {side.support:.2f}{right}", "dim"),
        ]
        rows.append((letter, side.model, list(spans)))
        rows += _wrapped("", _answer(side, 400), width, tone)
    rows.append(("gap", None, []))
    rows.append(_told("won", verdict(match), width, "strong"))
    rows.append(_told("judges", _counted(found), width))
    return ListedRows(rows + _judgements(found, closer, snapshot, signs, width))


def _judgements(
    found: Hearing,
    closer: Mapping[int, int | None],
    snapshot: Snapshot,
    signs: Signs,
    width: int,
) -> list[Drawn]:
    heads = ("", "mode", "prefers", "trust", f"right on {found.match.task}", "kin of", "")
    table = [[Span(head, "dim") for head in heads]]
    for one in found.judgements:
        kin = closer.get(one.judge)
        tone: Tone = "plain" if one.admitted else "dim"
        cells_of = (
            f"{snapshot.sign(one.judge, signs)} #{one.judge}",
            one.mode,
            signs.dash if one.prefers is None else f"#{one.prefers}",
            f"{one.trust:.2f}",
            f"{one.hits:.0f} of {one.hits + one.misses:.0f}",
            ("neither" if closer else signs.dash) if kin is None else f"#{kin}",
            "" if one.admitted else "not heard",
        )
        table.append([Span(text, tone) for text in cells_of])
    drawn = columns(table, (0, 1, 0, 2, 3, 4, 0), width)
    keys = [("heads", None), *(((one.judge, one.mode), one.judge) for one in found.judgements)]
    return [(key, model, list(spans)) for (key, model), spans in zip(keys, drawn, strict=True)]


def _counted(found: Hearing) -> str:
    """How many that were listened to were for whom."""
    heard = [one for one in found.judgements if one.admitted]
    a, b = (sum(one.prefers == side.model for one in heard) for side in _sides(found.match))
    silent = len(found.judgements) - len(heard)
    more = f", {silent} not listened to" if silent else ""
    return f"{a} for #{found.match.a.model}, {b} for #{found.match.b.model}{more}"


def judge_rows(view: ArenaView, snapshot: Snapshot, signs: Signs) -> ListedRows:
    """All judges, the most trusted first: trust by mode, and who is not listened to."""
    modes = modes_of(view)
    order = sorted(
        view.judges, key=lambda j: (-max(one.trust for one in view.judges[j].values()), j)
    )
    rows: list[Drawn] = []
    for judge in order:
        known = view.judges[judge]
        spans: list[Span | Piece] = [
            Piece(snapshot.sign(judge, signs) + " ", snapshot.tone(judge)),
            Piece(padded(shown(snapshot.name(judge), 15), 16)),
        ]
        for mode in modes:
            one = known.get(mode)
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
    """In which modes anybody judges."""
    return sorted({mode for modes in view.judges.values() for mode in modes})


def one_judge_rows(
    view: ArenaView, judge: int, snapshot: Snapshot, signs: Signs, width: int
) -> ListedRows:
    """A judge: why it is listened to or not, how often it was right, which canaries it liked."""
    known = view.judges.get(judge, {})
    rows: list[Drawn] = [
        (
            "judge",
            judge,
            [
                Piece(snapshot.sign(judge, signs) + " ", snapshot.tone(judge)),
                Piece(snapshot.name(judge), "strong"),
                Piece("" if known else "  has judged in no round that is shown", "dim"),
            ],
        )
    ]
    for mode, one in sorted(known.items()):
        rows.append(((mode, "gap"), None, []))
        told = f"trust {one.trust:.2f}, {reason(mode, one)}"
        rows.append(_told(mode, told, width, "plain" if one.admitted else "alarm"))
        tests = by_task(view.trust, judge, mode)
        table = [[Span(head, "dim") for head in ("right on", *STRATA)]]
        for task, strata in sorted(tests.items()):
            told_of = (_rate(*strata[stratum], signs) for stratum in STRATA)
            table.append([Span(shown(task, 16)), *(Span(text) for text in told_of)])
        drawn = columns(table, (0, 1, 1, 1, 2), width, gap=2)
        rows += [((mode, at), None, list(spans)) for at, spans in enumerate(drawn)]
    return ListedRows(rows + _canaries(view, judge, width))


def _canaries(view: ArenaView, judge: int, width: int) -> list[Drawn]:
    """What was planted, and whether this judge fell for it."""
    read = [canary for canary in view.planted if judge in canary.readers]
    if not view.planted:
        return []
    fooled = sum(judge in canary.fooled for canary in read)
    rows: list[Drawn] = [
        ("canaries gap", None, []),
        _told(
            "canaries",
            f"read {len(read)} of {len(view.planted)}, fell for {fooled}",
            width,
            "alarm" if fooled else "plain",
        ),
    ]
    for canary in sorted(read, key=lambda canary: judge not in canary.fooled):
        fell = judge in canary.fooled
        text = f"  {'fell for' if fell else 'refused':9}{canary.kind:12} {canary.item}  "
        spans = [
            Piece(text, "alarm" if fell else "dim"),
            Piece(shown(canary.answer, max(8, width - cells(text))), "dim"),
        ]
        rows.append((("canary", canary.item, canary.answer), None, list(spans)))
    return rows


def _trusted(one: Reliability | None) -> str:
    if one is None:
        return ""
    return f"{one.trust:.2f}" if one.admitted else f"({one.trust:.2f})"


def _tone_of(one: Reliability | None) -> str:
    return "plain" if one is None or one.admitted else "alarm"


def _rate(hits: float, misses: float, signs: Signs) -> str:
    total = hits + misses
    return f"{hits:.1f} of {total:.1f}" if total else signs.dash


def _sides(match: Match) -> tuple[Side, Side]:
    return match.a, match.b


def _tones(match: Match) -> tuple[str, str]:
    """How the two look: who has won stands out."""
    plain = "dim" if match.winner else "plain"
    a, b = ("strong" if match.winner == side.model else plain for side in _sides(match))
    return a, b


def _answer(side: Side, most: int) -> str:
    return shown(side.answer, most) if side.answer else shown("(nothing)", most)


def _part(value: float) -> str:
    return f"{value:.2f}"


def _told(name: str, text: str, width: int, tone: str = "plain") -> Drawn:
    """A row of a name and what is told of it."""
    return name, None, [Piece(name.ljust(8), "dim"), Piece(shown(text, max(8, width - 8)), tone)]


def _wrapped(name: str, text: str, width: int, tone: str = "plain") -> list[Drawn]:
    """As `_told`, in as many rows as it takes."""
    lines = [
        part
        for line in text.splitlines() or [""]
        for part in chop_cells(shown(line, 4000), max(8, width - 8)) or [""]
    ]
    return [
        ((name, text, at), None, [Piece(("" if at else name).ljust(8), "dim"), Piece(line, tone)])
        for at, line in enumerate(lines)
    ]
